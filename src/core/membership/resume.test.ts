/** Who is back, who is not, and what is to be done about it. */
import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import type { NodeId, ResumeState, View } from "../../protocol/message.ts"
import { allRules } from "../rules.ts"
import { firstView } from "../testing/random-views.ts"
import { Resume, type ResumeVerdict } from "./resume.ts"

/** Five members, a to e, of which the first three vote. Each of two shards has two copies. */
const view: View = (() => {
  const { members, shards, ...rest } = firstView({ copies: 2, maxVoters: 3 })
  const [member, config] = [members[0], shards[0]]
  if (member === undefined || config === undefined) throw new Error("a view has a member and a shard")
  return {
    ...rest,
    epoch: 9,
    stopped: true,
    members: [..."abcde"].map((id, i) => ({ ...member, id, name: id, addr: `${id}:1`, voter: i < 3 })),
    shards: [
      { ...config, primary: "a", inSync: ["a", "b"] },
      { ...config, primary: "d", inSync: ["d", "e"] },
    ],
  }
})()

type Plot = {
  readonly because: string
  readonly self?: NodeId
  readonly own?: ResumeState
  /** Of those who are back: a letter each, in capitals where it has claimed; before a "?" one that is still loading. */
  readonly here: string
  /** Addresses at which another process has asked to join. */
  readonly replaced?: string
  /** Who says that nobody else comes. */
  readonly goesOn?: string
  readonly atMs?: number
  readonly verdict: string
}

const plots: readonly Plot[] = [
  { here: "bcd", verdict: "wait for e", because: "one is missing" },
  { here: "bcde", verdict: "claim of abcde", because: "all are back, and this is the first voter" },
  { here: "acde", self: "b", verdict: "follow", because: "the first voter sees to it" },
  { here: "BcdE", own: "claimed", verdict: "claim of cd", because: "some have claimed already" },
  { here: "BCDE", own: "claimed", verdict: "go on, by decision", because: "all have claimed" },
  { here: "bcde?", verdict: "wait for nobody", because: "one is there, and has not read all of it" },
  { here: "bcde", own: "loading", verdict: "wait for nobody", because: "so it is with this one" },
  {
    here: "bcd",
    replaced: "e",
    verdict: "claim of abcd",
    because: "e is back with nothing, and others have what it held",
  },
  { here: "BCD", own: "claimed", replaced: "e", verdict: "go on without e, by decision", because: "the same, claimed" },
  { here: "bcd", replaced: "e", atMs: 100, verdict: "wait for e", because: "it may have been heard of too early" },
  { here: "bc", replaced: "e", verdict: "wait for de", because: "nobody knows of d" },
  { here: "bc", replaced: "de", verdict: "wait for de", because: "both held the last copies of a shard" },
  { here: "de", replaced: "bc", verdict: "wait for bc", because: "one voter of three decides nothing" },
  { here: "bc", goesOn: "c", verdict: "claim of abc", because: "a person has told c that nobody else comes" },
  { here: "bc", goesOn: "a", verdict: "claim of abc", because: "or this one" },
  { here: "bc", goesOn: "c", atMs: 3_000, verdict: "wait for de", because: "it does not know yet who else is there" },
  { here: "BC", own: "claimed", goesOn: "c", verdict: "go on without de, by decision", because: "two of three voters" },
  {
    here: "DE",
    own: "claimed",
    goesOn: "d",
    verdict: "go on without bc, as a generation",
    because: "one voter cannot decide, and a person says that it must be",
  },
  { self: "d", here: "e", goesOn: "d", verdict: "claim of de", because: "without a voter the first member sees to it" },
  { self: "e", here: "d", goesOn: "e", verdict: "follow", because: "which is not this one" },
]

for (const { because, self = "a", own = "waiting", here, replaced = "", goesOn = "", atMs = 6_000, verdict } of plots)
  test(`${self} with ${here}: ${verdict}, because ${because}`, () => {
    const resume = new Resume({
      self,
      view,
      goesOn: goesOn.includes(self) ? "with-those-here" : "when-all-are-back",
      announceEveryMs: 300,
      rules: allRules,
    })
    if (own !== "loading") resume.loaded(0)
    if (own === "claimed") resume.claimed(0)
    for (const [, letter = "", mark] of here.matchAll(/(\w)(\??)/g)) {
      const id = letter.toLowerCase()
      const state = mark === "?" ? "loading" : letter === id ? "waiting" : "claimed"
      resume.heard(id, { state, goesOn: goesOn.includes(id) }, atMs)
    }
    for (const id of replaced) resume.replaced(`${id}:1`, atMs)
    equal(inWords(resume.verdict(atMs)), verdict)
  })

function inWords(verdict: ResumeVerdict): string {
  const names = (members: readonly { readonly id: NodeId }[]) => members.map(({ id }) => id).join("")
  switch (verdict.kind) {
    case "wait":
      return `wait for ${names(verdict.missing) || "nobody"}`
    case "claim":
      return `claim of ${verdict.of.join("")}`
    case "follow":
      return "follow"
    case "go-on": {
      const without = verdict.without.length > 0 ? ` without ${names(verdict.without)}` : ""
      return `go on${without}, ${verdict.how.replaceAll("-", " ")}`
    }
  }
}

test("whoever has fallen silent is missing again", () => {
  const resume = new Resume({ self: "a", view, goesOn: "when-all-are-back", announceEveryMs: 300, rules: allRules })
  resume.heard("b", { state: "waiting", goesOn: false }, 0)
  equal(resume.isHere("b", 1_500), true)
  equal(resume.isHere("b", 1_501), false)
})

test("each says so often that it is back, and at once when there is something new", () => {
  const resume = new Resume({ self: "a", view, goesOn: "with-those-here", announceEveryMs: 300, rules: allRules })
  const said = [0, 100, 300, 310, 5_309, 5_320].flatMap(atMs => {
    if (atMs === 310) resume.loaded(atMs)
    const announcement = resume.announcement(atMs)
    return announcement === undefined ? [] : [[atMs, announcement.state, announcement.goesOn]]
  })
  deepEqual(said, [
    [0, "loading", false],
    [300, "loading", false],
    [310, "waiting", false],
    [5_309, "waiting", false],
  ])
  equal(resume.announcement(5_700)?.goesOn, true)
})
