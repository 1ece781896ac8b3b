/** How the states of a link follow each other, and who wins when both ends dial. */
import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import { contest, idle, type LinkEvent, type LinkState, type LinkTimes, nextLinkState } from "./link-state.ts"

// At 10,000 ms; the first redial after 100 ms, at most 800 ms; the chance that leaves delays whole.
const times: LinkTimes = { nowMs: 10_000, chance: 1, dialMs: 2_000, redialMs: 100, redialMaxMs: 800 }

const dialing: LinkState = { kind: "dialing", failures: 2, giveUpAtMs: 11_000 }
const openOfOld: LinkState = { kind: "open", dialedBy: "us", failures: 2, openedAtMs: 1_000 }
const openJustNow: LinkState = { kind: "open", dialedBy: "us", failures: 2, openedAtMs: 9_900 }
const due: LinkState = { kind: "waiting", then: "rest", failures: 3, redialAtMs: 9_999 }
const notDue: LinkState = { kind: "waiting", then: "rest", failures: 3, redialAtMs: 10_001 }
const closed: LinkState = { kind: "closed" }

const dial: LinkEvent = { kind: "dial-requested" }
const opened: LinkEvent = { kind: "opened", dialedBy: "them" }
const dropped: LinkEvent = { kind: "dropped" }
const turnedAway: LinkEvent = { kind: "turned-away" }

const cases: { from: LinkState; event: LinkEvent; to: LinkState; because: string }[] = [
  {
    from: idle,
    event: dial,
    to: { kind: "dialing", failures: 0, giveUpAtMs: 12_000 },
    because: "the first dial is made at once",
  },
  { from: idle, event: dropped, to: idle, because: "there is nothing to drop" },
  {
    from: idle,
    event: opened,
    to: { kind: "open", dialedBy: "them", failures: 0, openedAtMs: 10_000 },
    because: "the peer may dial first",
  },
  { from: dialing, event: dial, to: dialing, because: "one dial at a time" },
  {
    from: dialing,
    event: opened,
    to: { kind: "open", dialedBy: "them", failures: 2, openedAtMs: 10_000 },
    because: "failures count until the connection has proved to last",
  },
  {
    from: dialing,
    event: dropped,
    to: { kind: "waiting", then: "rest", failures: 3, redialAtMs: 10_400 },
    because: "the third failure in a row waits four times as long as the first, then for something to send",
  },
  {
    from: openOfOld,
    event: dropped,
    to: { kind: "waiting", then: "redial", failures: 0, redialAtMs: 10_000 },
    because: "a good connection that broke is dialed again at once: is the peer gone?",
  },
  {
    from: openJustNow,
    event: dropped,
    to: { kind: "waiting", then: "redial", failures: 3, redialAtMs: 10_400 },
    because: "one that did not last counts as a failure, or two that disagree would dial without a pause",
  },
  {
    from: openOfOld,
    event: turnedAway,
    to: { kind: "waiting", then: "rest", failures: 3, redialAtMs: 10_400 },
    because: "a peer that said why need not be asked again",
  },
  {
    from: openOfOld,
    event: opened,
    to: { kind: "open", dialedBy: "them", failures: 0, openedAtMs: 10_000 },
    because: "the newer connection stands",
  },
  { from: notDue, event: dial, to: notDue, because: "not before the back-off has passed" },
  {
    from: due,
    event: dial,
    to: { kind: "dialing", failures: 3, giveUpAtMs: 12_000 },
    because: "the back-off has passed",
  },
  {
    from: notDue,
    event: opened,
    to: { kind: "open", dialedBy: "them", failures: 3, openedAtMs: 10_000 },
    because: "the peer's dial ends the waiting",
  },
  { from: closed, event: dial, to: closed, because: "closed is for good" },
]

for (const { from, event, to, because } of cases) {
  test(`${from.kind}, ${event.kind}: ${because}`, () => deepEqual(nextLinkState(from, event, times), to))
}

test("from every state a request to close leads to closed", () => {
  for (const state of [idle, dialing, openOfOld, due, closed])
    deepEqual(nextLinkState(state, { kind: "close-requested" }, times), closed)
})

test("back-off doubles up to its bound, and the least chance halves it", () => {
  const delays = [0, 1, 2, 3, 4, 50].map(failures => {
    const after = nextLinkState({ kind: "dialing", failures, giveUpAtMs: 0 }, dropped, times)
    return after.kind === "waiting" ? after.redialAtMs - times.nowMs : undefined
  })
  deepEqual(delays, [100, 200, 400, 800, 800, 800])
  const lucky = nextLinkState({ kind: "dialing", failures: 1, giveUpAtMs: 0 }, dropped, { ...times, chance: 0 })
  equal(lucky.kind === "waiting" && lucky.redialAtMs, 10_100)
})

const byThem: LinkState = { kind: "open", dialedBy: "them", failures: 0, openedAtMs: 9_900 }

const contests: { state: LinkState; peer: "lower" | "higher"; verdict: "take" | "refuse"; because: string }[] = [
  { state: idle, peer: "higher", verdict: "take", because: "there is no other" },
  { state: due, peer: "higher", verdict: "take", because: "the peer is quicker than our back-off" },
  { state: dialing, peer: "higher", verdict: "refuse", because: "both dial, and ours is the lower id's" },
  { state: dialing, peer: "lower", verdict: "take", because: "both dial, and theirs is the lower id's" },
  { state: openJustNow, peer: "higher", verdict: "refuse", because: "it was dialed before the peer answered ours" },
  { state: openJustNow, peer: "lower", verdict: "take", because: "the lower id's stands, or ours is dead already" },
  { state: openOfOld, peer: "higher", verdict: "take", because: "the peer would not dial if ours were alive" },
  { state: byThem, peer: "higher", verdict: "take", because: "the peer itself replaces what it dialed" },
  { state: closed, peer: "lower", verdict: "refuse", because: "this node stops" },
]

for (const { state, peer, verdict, because } of contests) {
  test(`a dial of a peer with a ${peer} id while ${state.kind}: ${verdict}, ${because}`, () => {
    const ids = peer === "lower" ? { self: "bb", peer: "aa" } : { self: "aa", peer: "bb" }
    equal(contest(state, { ...ids, nowMs: times.nowMs, dialMs: times.dialMs }), verdict)
  })
}
