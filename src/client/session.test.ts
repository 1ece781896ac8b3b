import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { maxOperationsAhead, maxValueBytes } from "../protocol/limits.ts"
import type { Operation, Reply } from "../protocol/message.ts"
import type { CallOutcome, FailureCode, SessionLimits } from "./session.ts"
import { defaultSessionLimits } from "./session.ts"
import { get, incr, type Ticks, tickMs, VirtualCluster } from "./testing/virtual-cluster.ts"

type Called = ReturnType<VirtualCluster["call"]>

const failed = (code: FailureCode, mayHaveHappened: "no" | "unknown"): CallOutcome => ({
  kind: "failed",
  code,
  mayHaveHappened,
})
const sameBytes = (a: Uint8Array, b: Uint8Array) => a.length === b.length && a.every((byte, i) => byte === b[i])
const askedOf = (cluster: VirtualCluster) => cluster.seen.map(seen => seen.to)

// ------------------------------------------------------------------------------------------------ routing

test("the first operation goes through the node that was dialed, later ones straight to their primary", () => {
  const cluster = new VirtualCluster({ nodes: 4 })
  cluster.run(5)
  for (const salt of ["a", "b", "c"]) {
    cluster.call(cluster.keyLedBy(3, salt), incr)
    cluster.run(20)
  }
  deepEqual(askedOf(cluster), ["n0", "n3", "n3"])
})

test("operations asked for before any node answered are sent when one does", () => {
  const cluster = new VirtualCluster({ nodes: 2 })
  const call = cluster.call(cluster.keyLedBy(0), get)
  cluster.run(20)
  deepEqual(call.outcomes, [{ kind: "missing" }])
})

test("advertised addresses that lead nowhere cost nothing but the hop through the dialed node", () => {
  const cluster = new VirtualCluster({ nodes: 4 })
  for (const node of cluster.nodes) node.clientAddr = `203.0.113.${node.name}:9`
  // Nor do the addresses for nodes lead anywhere for this client, but for the one that it was given.
  for (const node of cluster.nodes.slice(1)) node.listening = "hangs"
  cluster.run(20)
  for (const node of cluster.nodes.slice(1)) node.script = () => "silence"
  cluster.node(0).script = seen => cluster.execute(seen.request)
  for (let i = 0; i < 50; i++) {
    const call = cluster.call(cluster.keyLedBy(i % 4, `${i}`), incr)
    cluster.run(100)
    equal(call.outcomes[0]?.kind, "stored")
    ok((call.atMs[0] ?? 0) <= cluster.nowMs - 90, "answered in one round trip")
  }
  deepEqual(new Set(askedOf(cluster)), new Set(["n0"]))
})

test("an address that cannot be reached is dialed again after a growing time, at most thirty seconds", () => {
  const cluster = new VirtualCluster({ nodes: 2 })
  cluster.node(1).listening = "no"
  cluster.node(0).script = seen => cluster.execute(seen.request)
  const key = cluster.keyLedBy(1)
  for (let i = 0; i < 1_200; i++) {
    cluster.call(key, incr)
    cluster.run(100)
  }
  const times = cluster.dials.filter(dial => dial.to === cluster.node(1).clientAddr).map(dial => dial.atMs)
  const gaps = times.slice(1).map((atMs, i) => atMs - (times[i] ?? 0))
  ok(gaps.length >= 6 && gaps.length <= 10, `dialed ${times.length} times in two minutes`)
  for (const [i, gap] of gaps.entries()) {
    const expectedMs = Math.min(30_000, 1_000 * 2 ** i)
    ok(gap >= 0.75 * expectedMs && gap <= expectedMs + 150, `gap ${i} is ${gap} ms, about ${expectedMs} expected`)
  }
})

test("a node that forwards for a primary is used while the connection to the primary is silent", () => {
  const cluster = new VirtualCluster({ nodes: 3, seeds: [0, 1, 2] })
  cluster.run(20)
  // The client's packets to n1 vanish, those of the other nodes do not.
  cluster.node(1).listening = "silent"
  for (const index of [0, 2]) cluster.node(index).script = seen => cluster.execute(seen.request)
  const first = cluster.call(cluster.keyLedBy(1), incr)
  cluster.run(300)
  equal(first.outcomes[0]?.kind, "stored", "after one attempt timed out")
  const second = cluster.call(cluster.keyLedBy(1, "x"), incr)
  const askedAtMs = cluster.nowMs
  cluster.run(100)
  ok((second.atMs[0] ?? Number.POSITIVE_INFINITY) - askedAtMs < 10, "the next does not wait for the silent node again")
  cluster.node(1).listening = "yes"
  cluster.run(600)
  cluster.call(cluster.keyLedBy(1, "y"), incr)
  cluster.run(20)
  equal(askedOf(cluster).at(-1), "n1", "once it speaks it is asked again")
})

test("a session that knows where two names lead to one node does not dial it twice", () => {
  const cluster = new VirtualCluster({ nodes: 1 })
  cluster.node(0).clientAddr = "localhost:1"
  cluster.run(20)
  for (let i = 0; i < 10; i++) cluster.call(cluster.keyLedBy(0, `${i}`), incr)
  cluster.run(20)
  equal(cluster.executed.size, 10)
  deepEqual(new Set(askedOf(cluster)), new Set(["n0"]))
})

test("a node that answers others but not this operation is not asked for it twice in a row", () => {
  const cluster = new VirtualCluster({ nodes: 3, seeds: [0, 1, 2] })
  cluster.run(20)
  const stuck = cluster.keyLedBy(0)
  for (const index of [0, 1, 2]) {
    cluster.node(index).script = seen => (sameBytes(seen.request.key, stuck) ? "silence" : "as-usual")
  }
  const fromMs = cluster.nowMs
  cluster.call(stuck, incr, 10_000)
  for (let i = 0; i < 90; i++) {
    for (const index of [0, 1, 2]) cluster.call(cluster.keyLedBy(index, "x"), incr)
    cluster.run(100)
  }
  const asked = cluster.seen.filter(seen => seen.request.n === 1).map(seen => seen.to)
  // It is late, as far as anybody can see, and would have more to do if others handed it the same again; but not for ever.
  deepEqual(cluster.seen.filter(seen => seen.request.n === 1 && seen.atMs < fromMs + 700).length, 1)
  ok(asked.length >= 4)
  deepEqual(cluster.pulls, [], "and none is doubted: all of them speak")
  for (const [i, to] of asked.entries()) if (i > 0) ok(to !== asked[i - 1], asked.join(", "))
})

test("with one connection allowed everything goes through the node that was dialed", () => {
  const cluster = new VirtualCluster({ nodes: 4, limits: { maxConnections: 1 } })
  for (let i = 0; i < 20; i++) {
    cluster.call(cluster.keyLedBy(i % 4, `${i}`), incr)
    cluster.run(20)
  }
  equal(cluster.executed.size, 20)
  deepEqual(cluster.dials.length, 1)
})

test("a node on the wrong side of a partition is left for another one", () => {
  const cluster = new VirtualCluster({ nodes: 3, seeds: [0, 1, 2] })
  cluster.run(20)
  cluster.node(1).script = () => ({ kind: "unavailable", reason: "minority" })
  for (const index of [0, 2]) cluster.node(index).script = seen => cluster.execute(seen.request)
  const call = cluster.call(cluster.keyLedBy(1), incr)
  cluster.run(40)
  equal(call.outcomes[0]?.kind, "stored")
})

test("a node that stays silent is hung up on, and one that neither opens nor refuses is given up", () => {
  const cluster = new VirtualCluster({ nodes: 2, seeds: [0, 1] })
  cluster.run(20)
  cluster.node(1).listening = "silent"
  cluster.call(cluster.keyLedBy(1), incr)
  cluster.run(5_000)
  deepEqual(cluster.hungUp, [])
  cluster.run(500)
  deepEqual(cluster.hungUp, [cluster.node(1).seedAddress])

  const other = new VirtualCluster({ nodes: 2, seeds: [0, 1] })
  other.node(0).listening = "hangs"
  other.run(defaultSessionLimits.dialMs + tickMs)
  deepEqual(other.hungUp, [other.node(0).seedAddress])
})

// ------------------------------------------------------------------------------------------------ views

const led = (index: number) => Array.from({ length: 8 }, () => index)

for (const push of ["delta", "whole"] as const) {
  test(`a pushed view (${push}) moves the next operation to the new primary`, () => {
    const cluster = new VirtualCluster({ nodes: 3, seeds: [0, 1, 2] })
    cluster.run(20)
    const key = cluster.keyLedBy(1)
    cluster.move(led(2), { known: [0, 1, 2], push })
    cluster.run(20)
    cluster.call(key, incr)
    cluster.run(20)
    deepEqual(askedOf(cluster), ["n2"])
    equal(cluster.session.view?.epoch, 2)
  })
}

test("the same news from several nodes is taken once, and nobody is asked for more", () => {
  const cluster = new VirtualCluster({ nodes: 3, seeds: [0, 1, 2] })
  cluster.run(20)
  for (const index of [2, 0, 1]) cluster.move(led(index), { known: [0, 1, 2], push: "delta" })
  cluster.run(100)
  equal(cluster.session.view?.epoch, 4)
  deepEqual(cluster.pulls, [])
})

test("a session is as quick when it is woken exactly when it asks to be", () => {
  const cluster = new VirtualCluster({ nodes: 1, ticks: "when due" })
  cluster.node(0).listening = "no"
  cluster.run(20)
  const call = cluster.call(cluster.keyLedBy(0), incr)
  const startMs = cluster.nowMs
  cluster.node(0).listening = "yes"
  cluster.run(100)
  ok((call.atMs[0] ?? Number.POSITIVE_INFINITY) - startMs < 15, "it was dialed 18 ms before")
  cluster.run(1_000)
  cluster.node(0).script = () => "silence"
  const lost = cluster.call(cluster.keyLedBy(0), incr)
  cluster.run(10)
  cluster.node(0).script = () => "as-usual"
  cluster.breakLink(0)
  const brokeMs = cluster.nowMs
  cluster.run(2_000)
  ok((lost.atMs[0] ?? Number.POSITIVE_INFINITY) - brokeMs < 10, "the connection is made anew at once")
})

test("a delta that does not begin where the client stands is not applied; the whole view is asked for", () => {
  const cluster = new VirtualCluster({ nodes: 2, seeds: [0, 1] })
  cluster.run(20)
  cluster.move(led(0), { known: [0, 1], push: "no" })
  cluster.move(led(1), { known: [0, 1], push: "no" })
  cluster.tell(0, { kind: "client-view-delta", from: 2, epoch: 3, changes: [0, 1] })
  cluster.run(20)
  equal(cluster.pulls[0]?.have, 1)
  equal(cluster.session.view?.epoch, 3)
})

test("a node that is behind does not take the client back", () => {
  const cluster = new VirtualCluster({ nodes: 2, seeds: [0] })
  cluster.run(5)
  cluster.move(led(1), { known: [0], push: "whole" })
  cluster.run(50)
  equal(cluster.session.view?.epoch, 2)
  cluster.tell(1, { kind: "client-view-delta", from: 0, epoch: 1, changes: [0, 0] })
  cluster.tell(1, cluster.viewOf(cluster.node(1)))
  cluster.run(20)
  equal(cluster.session.view?.epoch, 2)
})

test("moved, by a view that is newer than the client's, is followed at once and the view is asked for", () => {
  const cluster = new VirtualCluster({ nodes: 3, seeds: [0, 1, 2] })
  cluster.run(20)
  const key = cluster.keyLedBy(1)
  cluster.move(led(2), { known: [1, 2], push: "no" })
  const moved: Reply = { kind: "moved", shard: 0, primary: cluster.node(2).id, epoch: 2 }
  cluster.node(1).script = () => moved
  const call = cluster.call(key, incr)
  cluster.run(10)
  deepEqual(askedOf(cluster), ["n1", "n2"])
  deepEqual(
    cluster.seen.map(seen => [seen.request.n, seen.attempt]),
    [
      [1, 1],
      [1, 2],
    ],
  )
  equal((cluster.seen[1]?.atMs ?? 0) - (cluster.seen[0]?.atMs ?? 0), 2, "a round trip later")
  equal(call.outcomes[0]?.kind, "stored")
  deepEqual(
    cluster.pulls.map(pull => pull.to),
    ["n1"],
  )
  equal(cluster.session.view?.epoch, 2)
})

test("who tells of a primary that the client cannot reach is the one who forwards to it", () => {
  for (let seed = 0; seed < 10; seed++) {
    const cluster = new VirtualCluster({ nodes: 4, seeds: [0, 1, 2], seed })
    cluster.run(20)
    cluster.node(3).listening = "silent"
    for (const node of cluster.nodes) node.script = () => "silence"
    const moved: Reply = { kind: "moved", shard: 0, primary: cluster.node(3).id, epoch: 2 }
    cluster.node(1).script = seen => (seen.attempt === 1 ? moved : cluster.execute(seen.request))
    cluster.call(cluster.keyLedBy(1), incr)
    cluster.run(20)
    deepEqual(askedOf(cluster), ["n1", "n1"])
  }
})

test("moved, by a view that is not newer than the client's, is backed off from and not followed", () => {
  const cluster = new VirtualCluster({ nodes: 2, seeds: [0, 1] })
  cluster.run(20)
  cluster.node(0).script = () => ({ kind: "moved", shard: 0, primary: cluster.node(1).id, epoch: 1 })
  cluster.node(1).script = () => ({ kind: "moved", shard: 0, primary: cluster.node(0).id, epoch: 1 })
  const call = cluster.call(cluster.keyLedBy(0), incr, 1_000)
  cluster.run(1_100)
  ok(cluster.seen.length < 15, `two nodes that point at each other were asked ${cluster.seen.length} times in a second`)
  deepEqual(call.outcomes, [failed("timeout", "no")])
})

test("an answer given under a newer view makes the client ask for it, when no push comes shortly", () => {
  const cluster = new VirtualCluster({ nodes: 1 })
  cluster.run(20)
  cluster.move(led(0), { known: [0], push: "no" })
  cluster.call(cluster.keyLedBy(0), incr)
  cluster.run(20)
  equal(cluster.pulls.length, 0)
  cluster.run(40)
  equal(cluster.pulls.length, 1)
  equal(cluster.session.view?.epoch, 2)
  cluster.run(1_000)
  equal(cluster.pulls.length, 1)
})

test("a view that moves a shard sends the operations under way there to the new primary, under their numbers", () => {
  const cluster = new VirtualCluster({ nodes: 3, seeds: [0, 1, 2] })
  cluster.run(20)
  cluster.node(1).script = () => "silence"
  const call = cluster.call(cluster.keyLedBy(1), incr)
  cluster.run(50)
  cluster.move(led(2), { known: [0, 2], push: "delta" })
  cluster.run(10)
  deepEqual(askedOf(cluster), ["n1", "n2"])
  equal(call.outcomes[0]?.kind, "stored")
})

// ------------------------------------------------------------------------------------------------ retries

test("every attempt carries the number and the first epoch of the operation, and what is finished below", () => {
  const cluster = new VirtualCluster({ nodes: 1 })
  cluster.run(20)
  cluster.call(cluster.keyLedBy(0), incr)
  cluster.run(20)
  let refusals = 3
  cluster.node(0).script = seen => {
    if (refusals-- > 0) return { kind: "retry", afterMs: 0 }
    return cluster.execute(seen.request)
  }
  const call = cluster.call(cluster.keyLedBy(0), incr)
  cluster.move(led(0), { known: [0], push: "whole" })
  cluster.run(200)
  equal(call.outcomes[0]?.kind, "stored")
  const attempts = cluster.seen.slice(1)
  deepEqual(
    attempts.map(({ attempt, request }) => [attempt, request.n, request.ackedBelow, request.firstEpoch]),
    [1, 2, 3, 4].map(attempt => [attempt, 2, 2, 1]),
  )
})

test("refused operations are repeated at doubling distances with a random part, at most 300 ms", () => {
  const cluster = new VirtualCluster({ nodes: 1 })
  cluster.run(20)
  cluster.node(0).script = () => ({ kind: "busy", retryAfterMs: 0 })
  cluster.call(cluster.keyLedBy(0), incr, 3_000)
  cluster.run(3_000)
  const times = cluster.seen.map(seen => seen.atMs)
  const gaps = times.slice(1).map((atMs, i) => atMs - (times[i] ?? 0))
  for (const [i, gap] of gaps.entries()) {
    const leastMs = Math.min(200, 5 * 2 ** i)
    ok(gap >= leastMs && gap <= 1.5 * leastMs + 2 + tickMs, `gap ${i} is ${gap} ms, ${leastMs} at least`)
  }
})

test("without an answer another node is asked, after waits that double", () => {
  const cluster = new VirtualCluster({ nodes: 3, seeds: [0, 1, 2] })
  cluster.run(20)
  for (const node of cluster.nodes) node.script = () => "silence"
  const call = cluster.call(cluster.keyLedBy(0), incr, 5_000)
  cluster.run(5_100)
  const times = cluster.seen.map(seen => seen.atMs)
  deepEqual(
    times.slice(1).map((atMs, i) => Math.round((atMs - (times[i] ?? 0)) / 50) * 50),
    [250, 500, 1_000, 2_000],
  )
  for (const [i, seen] of cluster.seen.entries())
    if (i > 0) ok(seen.to !== cluster.seen[i - 1]?.to, "not the same node twice")
  deepEqual(call.outcomes, [failed("timeout", "unknown")])
})

test("a late answer to an earlier attempt settles the call, and a later one is ignored", () => {
  const cluster = new VirtualCluster({ nodes: 2, seeds: [0, 1] })
  cluster.run(20)
  for (const node of cluster.nodes) node.script = () => "silence"
  const call = cluster.call(cluster.keyLedBy(0), incr)
  cluster.run(400)
  equal(cluster.seen.length, 2)
  for (const { to, attempt, request } of cluster.seen) {
    const reply = cluster.execute(request)
    cluster.tell(to === "n0" ? 0 : 1, { kind: "reply", n: request.n, attempt, reply, epoch: 1 })
  }
  cluster.run(10)
  deepEqual(call.outcomes, [{ kind: "stored", version: 1 }])
})

test("an answer counts only from the node that was asked", () => {
  const cluster = new VirtualCluster({ nodes: 2, seeds: [0, 1] })
  cluster.run(20)
  cluster.node(0).script = () => "silence"
  const call = cluster.call(cluster.keyLedBy(0), get)
  cluster.run(20)
  cluster.tell(1, { kind: "reply", n: 1, attempt: 1, reply: { kind: "missing" }, epoch: 1 })
  cluster.run(20)
  deepEqual(call.outcomes, [])
})

test("when the connection to a primary breaks, its operations go to another node at once and the view is asked for", () => {
  const cluster = new VirtualCluster({ nodes: 3, seeds: [0, 1] })
  cluster.run(20)
  cluster.node(1).script = () => "silence"
  cluster.node(0).script = seen => cluster.execute(seen.request)
  const call = cluster.call(cluster.keyLedBy(1), incr)
  cluster.run(5)
  const atMs = cluster.nowMs
  cluster.crash(1)
  cluster.run(10)
  equal(call.outcomes[0]?.kind, "stored")
  ok((call.atMs[0] ?? 0) - atMs <= 2)
  equal(cluster.pulls[0]?.atMs, atMs + 1)
})

test("a restarted cluster is found again, through an address that was learned, after the seed is gone for good", () => {
  const cluster = new VirtualCluster({ nodes: 4 })
  cluster.run(20)
  for (const index of [0, 1, 2, 3]) cluster.crash(index)
  cluster.run(60_000)
  cluster.node(3).listening = "yes"
  cluster.node(3).script = seen => cluster.execute(seen.request)
  const call = cluster.call(cluster.keyLedBy(0), incr)
  cluster.run(2_000)
  equal(
    call.outcomes[0]?.kind,
    "stored",
    "an operation that waits makes the client look more often than an idle one does",
  )
})

test("a node that is joining is asked again, and the addresses that it names are tried", () => {
  const cluster = new VirtualCluster({ nodes: 2 })
  cluster.node(0).phase = "joining"
  const call = cluster.call(cluster.keyLedBy(0), get, 2_000)
  cluster.run(100)
  deepEqual(call.outcomes, [])
  cluster.node(0).phase = "member"
  cluster.run(500)
  deepEqual(call.outcomes, [{ kind: "missing" }])

  const other = new VirtualCluster({ nodes: 2 })
  other.node(0).phase = "joining"
  other.run(10)
  other.tell(0, { kind: "client-not-ready", addresses: [other.node(1).seedAddress] })
  const through = other.call(other.keyLedBy(1), get)
  other.run(50)
  deepEqual(through.outcomes, [{ kind: "missing" }])
})

test("an address that answers for another cluster is left alone, whatever it says", () => {
  const cluster = new VirtualCluster({ nodes: 3, seeds: [0, 2] })
  cluster.node(2).clusterId = "another"
  cluster.node(2).epoch = 9
  cluster.run(20)
  for (let i = 0; i < 20; i++) cluster.call(cluster.keyLedBy(i % 2, `${i}`), incr)
  cluster.run(5_000)
  equal(cluster.session.view?.clusterId, "one")
  equal(cluster.session.view?.epoch, 1)
  ok(!askedOf(cluster).includes("n2"))
  deepEqual(cluster.hungUp, [cluster.node(2).seedAddress], "and not dialed again for half a minute")

  cluster.crash(0)
  cluster.crash(1)
  const call = cluster.call(cluster.keyLedBy(0), incr, 100)
  cluster.run(200)
  deepEqual(call.outcomes, [failed("wrong-cluster", "no")])
})

// ------------------------------------------------------------------------------------------------ how a call ends

type Ending = {
  because: string
  operation: Operation
  replies: (Reply | "silence")[]
  outcome: CallOutcome
}
const minority: Reply = { kind: "unavailable", reason: "minority" }
const endings: Ending[] = [
  { because: "a read has no effect", operation: get, replies: ["silence"], outcome: failed("timeout", "no") },
  {
    because: "a sent write may be carried out later",
    operation: incr,
    replies: ["silence"],
    outcome: failed("timeout", "unknown"),
  },
  {
    because: "a refusal for lack of a majority is certain",
    operation: incr,
    replies: [minority],
    outcome: failed("minority", "no"),
  },
  {
    because: "retry does not tell",
    operation: incr,
    replies: [{ kind: "retry", afterMs: 0 }, minority],
    outcome: failed("timeout", "unknown"),
  },
  {
    because: "busy tells",
    operation: incr,
    replies: [{ kind: "busy", retryAfterMs: 1 }],
    outcome: failed("busy", "no"),
  },
  {
    because: "an earlier attempt is still open",
    operation: incr,
    replies: ["silence", minority],
    outcome: failed("timeout", "unknown"),
  },
  { because: "a full memory ends it", operation: incr, replies: [{ kind: "full" }], outcome: failed("full", "no") },
  {
    because: "full, but an earlier attempt is open",
    operation: incr,
    replies: ["silence", { kind: "full" }],
    outcome: failed("full", "unknown"),
  },
  {
    because: "lost with its record",
    operation: incr,
    replies: [{ kind: "timeout" }],
    outcome: failed("timeout", "unknown"),
  },
  {
    because: "finished before",
    operation: incr,
    replies: [{ kind: "duplicate" }],
    outcome: failed("duplicate", "unknown"),
  },
  {
    because: "the node finds it wrong",
    operation: incr,
    replies: [{ kind: "rejected", reason: "bad-request" }],
    outcome: failed("bad-request", "no"),
  },
  {
    because: "no holder of the key is there",
    operation: get,
    replies: [{ kind: "unavailable", reason: "orphan" }],
    outcome: failed("orphan", "no"),
  },
  {
    because: "an unmet condition is a result",
    operation: incr,
    replies: [{ kind: "unmet", version: 7 }],
    outcome: { kind: "unmet", version: 7 },
  },
]
for (const { because, operation, replies, outcome } of endings) {
  const said = replies.map(reply => (reply === "silence" ? reply : reply.kind)).join(", ")
  const how = outcome.kind === "failed" ? `${outcome.code}, ${outcome.mayHaveHappened}` : outcome.kind
  test(`${operation.op} answered by ${said} ends as ${how}: ${because}`, () => {
    const cluster = new VirtualCluster({ nodes: 1 })
    cluster.run(20)
    const script = [...replies]
    cluster.node(0).script = () => (script.length > 1 ? script.shift() : script[0]) ?? "silence"
    const call = cluster.call(cluster.keyLedBy(0), operation, 1_000)
    cluster.run(1_000 + tickMs)
    deepEqual(call.outcomes, [outcome])
  })
}

test("with nobody to ask, an operation fails as unreachable at its deadline and had no effect", () => {
  const cluster = new VirtualCluster({ nodes: 1 })
  cluster.node(0).listening = "no"
  const call = cluster.call(cluster.keyLedBy(0), incr, 700)
  cluster.run(690)
  deepEqual(call.outcomes, [])
  cluster.run(20)
  deepEqual(call.outcomes, [failed("unreachable", "no")])
})

test("a key or a value beyond the limits is refused without being sent", () => {
  const cluster = new VirtualCluster({ nodes: 1 })
  cluster.run(20)
  const set: Operation = { op: "set", value: new Uint8Array(maxValueBytes + 1), flags: 0, ttlMs: null, condition: null }
  deepEqual(cluster.call(new Uint8Array(1), set).outcomes, [failed("value-too-large", "no")])
  deepEqual(cluster.call(new Uint8Array(5_000), get).outcomes, [failed("key-too-long", "no")])
  cluster.run(100)
  deepEqual(cluster.seen, [])
})

test("cancel ends a call at once: unknown when a write was sent, without effect when it was not", () => {
  const cluster = new VirtualCluster({ nodes: 1 })
  const waiting = cluster.call(cluster.keyLedBy(0), incr)
  waiting.cancel()
  deepEqual(waiting.outcomes, [failed("cancelled", "no")])
  cluster.run(20)
  cluster.node(0).script = () => "silence"
  const sent = cluster.call(cluster.keyLedBy(0), incr)
  const read = cluster.call(cluster.keyLedBy(0), get)
  cluster.run(20)
  for (const call of [sent, read, read]) call.cancel()
  deepEqual(sent.outcomes, [failed("cancelled", "unknown")])
  deepEqual(read.outcomes, [failed("cancelled", "no")])
})

test("close ends every call and every connection, and later calls fail at once", () => {
  const cluster = new VirtualCluster({ nodes: 2, seeds: [0, 1], limits: { maxInFlight: 1 } })
  cluster.run(20)
  for (const node of cluster.nodes) node.script = () => "silence"
  const [sent, queued] = [cluster.call(cluster.keyLedBy(0), incr), cluster.call(cluster.keyLedBy(0), incr)]
  cluster.run(20)
  cluster.session.close()
  deepEqual(sent.outcomes, [failed("closed", "unknown")])
  deepEqual(queued.outcomes, [failed("closed", "no")])
  deepEqual(cluster.hungUp, [cluster.node(0).seedAddress, cluster.node(1).seedAddress])
  deepEqual(cluster.call(cluster.keyLedBy(0), get).outcomes, [failed("closed", "no")])
  cluster.run(10_000)
  equal(cluster.seen.length, 1)
})

// ------------------------------------------------------------------------------------------------ bounds

test("calls beyond the bounds of the queue fail at once as too many, counted or weighed", () => {
  const value = new Uint8Array(1_000)
  const set: Operation = { op: "set", value, flags: 0, ttlMs: null, condition: null }
  const bounds: Partial<SessionLimits>[] = [{ maxQueued: 3 }, { maxQueuedBytes: 4_000 }]
  for (const limits of bounds) {
    const cluster = new VirtualCluster({ nodes: 1, limits })
    const calls: Called[] = Array.from({ length: 5 }, (): Called => cluster.call(new Uint8Array(1), set))
    const refused = calls.filter(call => call.outcomes.length > 0)
    deepEqual(
      refused.map(call => call.outcomes),
      [[failed("too-many-calls", "no")], [failed("too-many-calls", "no")]],
    )
    cluster.run(50)
    equal(cluster.executed.size, 3)
  }
})

test("no operation is more than the window ahead of the oldest open one", () => {
  const cluster = new VirtualCluster({ nodes: 1 })
  cluster.run(20)
  cluster.node(0).script = seen => (seen.request.n === 1 ? "silence" : "as-usual")
  const stuck = cluster.call(cluster.keyLedBy(0), incr, 60_000)
  let later = Array.from({ length: maxOperationsAhead }, () => cluster.call(cluster.keyLedBy(0), incr, 60_000))
  cluster.run(1_000)
  later = later.filter(call => call.outcomes.length === 0)
  equal(Math.max(...cluster.seen.map(seen => seen.request.n)), maxOperationsAhead)
  equal(later.length, 1)
  stuck.cancel()
  cluster.run(20)
  equal(later[0]?.outcomes[0]?.kind, "stored")
})

test("at most so many operations are under way at once, and the rest follow in order", () => {
  const cluster = new VirtualCluster({ nodes: 1, limits: { maxInFlight: 10 } })
  cluster.run(20)
  const calls = Array.from({ length: 100 }, () => cluster.call(cluster.keyLedBy(0), incr))
  cluster.run(1)
  equal(cluster.seen.length, 10)
  cluster.run(100)
  ok(calls.every(call => call.outcomes.length === 1))
  deepEqual(
    cluster.seen.map(seen => seen.request.n),
    calls.map((_, i) => i + 1),
  )
})

test("the bytes under way and the bytes that wait are bounded, and what has ended makes room", () => {
  const cluster = new VirtualCluster({ nodes: 1, limits: { maxInFlightBytes: 4_000, maxQueuedBytes: 8_000 } })
  cluster.run(20)
  const set = (bytes: number): Operation => ({
    op: "set",
    value: new Uint8Array(bytes),
    flags: 0,
    ttlMs: null,
    condition: null,
  })
  for (let round = 0; round < 5; round++) {
    const seen = cluster.seen.length
    const calls = Array.from({ length: 8 }, () => cluster.call(cluster.keyLedBy(0), set(1_000)))
    cluster.run(1)
    equal(cluster.seen.length - seen, 3)
    cluster.run(50)
    ok(calls.every(call => call.outcomes[0]?.kind === "stored"))
  }
  const large = cluster.call(cluster.keyLedBy(0), set(100_000))
  cluster.run(50)
  equal(large.outcomes[0]?.kind, "stored", "one call alone is always sent")
})

test("a process that was paused sends nothing after its deadline, and hangs up what it had queued before", () => {
  const cluster = new VirtualCluster({ nodes: 2, seeds: [0, 1] })
  cluster.run(20)
  for (const node of cluster.nodes) node.script = () => "silence"
  const [short, long] = [
    cluster.call(cluster.keyLedBy(0), incr, 5_000),
    cluster.call(cluster.keyLedBy(0), incr, 60_000),
  ]
  cluster.run(50)
  const seen = cluster.seen.length
  cluster.pause(20_000)
  cluster.run(tickMs)
  deepEqual(short.outcomes, [failed("timeout", "unknown")])
  deepEqual(cluster.hungUp, [cluster.node(0).seedAddress, cluster.node(1).seedAddress])
  cluster.run(5_000)
  const after = cluster.seen.slice(seen)
  ok(after.length > 0 && after.every(one => one.request.n === 2 && one.request.deadlineMs < 41_000))
  deepEqual(long.outcomes, [])
})

test("an idle client asks for no wake-up", () => {
  const cluster = new VirtualCluster({ nodes: 3 })
  cluster.run(100)
  cluster.call(cluster.keyLedBy(1), incr)
  cluster.run(10_000)
  equal(cluster.session.openCalls, 0)
  equal(cluster.session.nextWakeAtMs(), Number.POSITIVE_INFINITY)
})

// ------------------------------------------------------------------------------------------------ status

test("a report counts only from the node that was asked", () => {
  const cluster = new VirtualCluster({ nodes: 2, seeds: [0, 1] })
  cluster.run(20)
  cluster.node(0).listening = "silent"
  const said: string[] = []
  const done = (outcome: { kind: string }) => said.push(outcome.kind)
  cluster.session.requestStatus({ address: cluster.node(0).seedAddress, timeoutMs: 100, done })
  cluster.session.requestStatus({ address: cluster.node(1).seedAddress, timeoutMs: 100, done })
  cluster.tell(1, { kind: "status", n: 1, report: cluster.reportOf(1) })
  cluster.run(50)
  deepEqual(said, ["report"])
  cluster.run(100)
  deepEqual(said, ["report", "failed"])
})

test("a status report is one node's own, member or not, and a node that cannot be asked is named unreachable", () => {
  const cluster = new VirtualCluster({ nodes: 3 })
  cluster.node(1).phase = "joining"
  cluster.node(2).listening = "no"
  cluster.run(20)
  const said: string[] = []
  for (const node of cluster.nodes) {
    const done = (outcome: { kind: "report"; report: { phase: string } } | { kind: "failed"; code: string }) =>
      said.push(`${node.name} ${outcome.kind === "report" ? outcome.report.phase : outcome.code}`)
    cluster.session.requestStatus({ address: node.seedAddress, timeoutMs: 500, done })
  }
  cluster.run(20)
  deepEqual(said.sort(), ["n0 member", "n1 joining", "n2 unreachable"])
  cluster.node(0).listening = "silent"
  cluster.session.requestStatus({
    address: cluster.node(0).seedAddress,
    timeoutMs: 500,
    done: outcome => said.push(`late ${outcome.kind}`),
  })
  cluster.run(600)
  equal(said.at(-1), "late failed")
})

// ------------------------------------------------------------------------------------------------ promises

type Step =
  | { kind: "call"; node: number; read: boolean; timeoutMs: number }
  | { kind: "run"; ms: number }
  | { kind: "pause"; ms: number }
  | { kind: "listen"; node: number; how: "yes" | "no" | "hangs" | "silent" }
  | { kind: "break"; node: number }
  | { kind: "move"; primaries: number[]; known: number[]; push: "delta" | "whole" | "no" }
  | { kind: "script"; node: number; reply: Reply | "silence" | "as-usual" }
  | { kind: "cancel"; call: number }

const node = fc.nat(3)
const reply: fc.Arbitrary<Reply | "silence" | "as-usual"> = fc.oneof(
  fc.constantFrom<Reply | "silence" | "as-usual">(
    "silence",
    "as-usual",
    "as-usual",
    { kind: "retry", afterMs: 3 },
    { kind: "busy", retryAfterMs: 10 },
    { kind: "full" },
    minority,
    { kind: "timeout" },
  ),
  fc.record({
    kind: fc.constant("moved" as const),
    shard: fc.nat(7),
    primary: node.map(i => `${i}`.padStart(16, "0")),
    epoch: fc.nat(20),
  }),
)
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant("call" as const),
    node,
    read: fc.boolean(),
    timeoutMs: fc.integer({ min: 0, max: 8_000 }),
  }),
  fc.record({
    kind: fc.constant("call" as const),
    node,
    read: fc.boolean(),
    timeoutMs: fc.integer({ min: 0, max: 8_000 }),
  }),
  fc.record({ kind: fc.constant("run" as const), ms: fc.integer({ min: 1, max: 600 }) }),
  fc.record({ kind: fc.constant("pause" as const), ms: fc.integer({ min: 1, max: 9_000 }) }),
  fc.record({
    kind: fc.constant("listen" as const),
    node,
    how: fc.constantFrom("yes" as const, "yes" as const, "no" as const, "hangs" as const, "silent" as const),
  }),
  fc.record({ kind: fc.constant("break" as const), node }),
  fc.record({
    kind: fc.constant("move" as const),
    primaries: fc.array(fc.nat(4), { minLength: 8, maxLength: 8 }),
    known: fc.uniqueArray(node),
    push: fc.constantFrom("delta" as const, "whole" as const, "no" as const),
  }),
  fc.record({ kind: fc.constant("script" as const), node, reply }),
  fc.record({ kind: fc.constant("cancel" as const), call: fc.nat(20) }),
)

const ticks = fc.constantFrom<Ticks>("every 10 ms", "when due")

type Asked = { timeoutMs: number; atMs: number; call: Called }

/** Plays the steps; afterwards all faults end. */
function play(
  steps: readonly Step[],
  seed: number,
  ticks: Ticks,
): { cluster: VirtualCluster; asked: Asked[]; pausedMs: number } {
  const cluster = new VirtualCluster({ nodes: 4, seeds: [0, 1], seed, ticks, limits: { maxInFlight: 4, maxQueued: 6 } })
  const keys = cluster.nodes.map((_, i) => cluster.keyLedBy(i))
  const asked: Asked[] = []
  let pausedMs = 0
  for (const step of steps) {
    switch (step.kind) {
      case "call": {
        const { timeoutMs } = step
        const atMs = cluster.nowMs
        asked.push({
          timeoutMs,
          atMs,
          call: cluster.call(keys[step.node] ?? new Uint8Array(1), step.read ? get : incr, timeoutMs),
        })
        break
      }
      case "run":
        cluster.run(step.ms)
        break
      case "pause":
        cluster.pause(step.ms)
        pausedMs += step.ms
        break
      case "listen":
        cluster.node(step.node).listening = step.how
        if (step.how === "no") cluster.breakLink(step.node)
        break
      case "break":
        cluster.breakLink(step.node)
        break
      case "move":
        cluster.move(step.primaries, step)
        break
      case "script": {
        const { reply } = step
        cluster.node(step.node).script = () => reply
        break
      }
      case "cancel":
        asked[step.call]?.call.cancel()
    }
  }
  return { cluster, asked, pausedMs }
}

test("whatever happens, every call ends exactly once, by its deadline and one tick, and nothing of it is kept", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.integer(), ticks, (steps, seed, ticks) => {
      const { cluster, asked, pausedMs } = play(steps, seed, ticks)
      cluster.run(8_000 + tickMs)
      for (const { call, atMs, timeoutMs } of asked) {
        equal(call.outcomes.length, 1)
        ok((call.atMs[0] ?? 0) <= atMs + timeoutMs + tickMs + pausedMs)
      }
      equal(cluster.session.openCalls, 0)
      const lastSent = new Map<number, number>()
      for (const { request } of cluster.seen) {
        ok(request.deadlineMs >= 1)
        ok(request.ackedBelow >= (lastSent.get(0) ?? 0) && request.ackedBelow <= request.n)
        lastSent.set(0, request.ackedBelow)
      }
    }),
    { numRuns: 200 },
  )
})

test("a call that is said to have had no effect had none, and none ever has one later", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.integer(), ticks, (steps, seed, ticks) => {
      const { cluster, asked } = play(steps, seed, ticks)
      cluster.run(10_000)
      const certain = asked.filter(({ call }) => call.outcomes[0]?.kind === "stored").length
      const doubtful = asked.filter(
        ({ call }) => call.outcomes[0]?.kind === "failed" && call.outcomes[0].mayHaveHappened === "unknown",
      ).length
      const writes = [...cluster.executed.keys()].filter(
        n => cluster.seen.find(seen => seen.request.n === n)?.request.operation.op === "incr",
      )
      ok(
        writes.length >= certain && writes.length <= certain + doubtful,
        `${certain} stored, ${doubtful} unknown, ${writes.length} executed`,
      )
      ok([...cluster.executed.values()].every(times => times === 1))
    }),
    { numRuns: 200 },
  )
})

test("once faults stop, calls succeed again within two seconds", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.integer(), ticks, (steps, seed, ticks) => {
      const { cluster } = play(steps, seed, ticks)
      for (const one of cluster.nodes) {
        one.listening = "yes"
        one.script = () => "as-usual"
      }
      cluster.move([0, 1, 2, 3, 0, 1, 2, 3], { known: [0, 1, 2, 3], push: "whole" })
      cluster.run(defaultSessionLimits.dialMs)
      const calls = [0, 1, 2, 3].map(index => cluster.call(cluster.keyLedBy(index), incr, 2_000))
      cluster.run(2_000)
      deepEqual(
        calls.map(call => call.outcomes[0]?.kind),
        ["stored", "stored", "stored", "stored"],
      )
    }),
    { numRuns: 200 },
  )
})

// ------------------------------------------------------------------------------------------------ many keys

/** Of 4 nodes, each led by one of them, as the client has found out. */
function keysOfFour(cluster: VirtualCluster): Uint8Array[] {
  cluster.run(20)
  for (let i = 0; i < 4; i++) cluster.call(cluster.keyLedBy(i, "first"), get)
  cluster.run(50)
  cluster.seen.length = 0
  return Array.from({ length: 12 }, (_, i) => cluster.keyLedBy(i % 4, `${i}:`))
}
const missing: CallOutcome = { kind: "missing" }

test("many keys are read in one message for each node that leads some of them", () => {
  const cluster = new VirtualCluster({ nodes: 4 })
  const outcomes = cluster.readMany(keysOfFour(cluster))
  cluster.run(10)
  deepEqual(outcomes, Array(12).fill([missing]))
  deepEqual(cluster.manySeen.map(({ to, keys }) => `${to} ${keys}`).toSorted(), ["n0 3", "n1 3", "n2 3", "n3 3"])
  deepEqual(cluster.seen, [])
  equal(cluster.session.openCalls, 0)
})

test("what a node cannot read at once is asked for alone, and so is what it no longer leads", () => {
  const cluster = new VirtualCluster({ nodes: 4 })
  const keys = keysOfFour(cluster)
  cluster.node(1).manyReads = "none at once"
  // Node 2 takes over what node 3 led; the client does not know yet.
  cluster.primaries = cluster.primaries.map(primary => (primary === 3 ? 2 : primary))
  const outcomes = cluster.readMany(keys)
  cluster.run(100)
  deepEqual(outcomes, Array(12).fill([missing]))
  equal(cluster.seen.length, 6)
})

test("a read of many keys that is not answered, or whose connection breaks, is done key by key, in the time that is left", () => {
  const cluster = new VirtualCluster({ nodes: 4 })
  const keys = keysOfFour(cluster)
  cluster.node(1).manyReads = "silence"
  cluster.node(2).manyReads = "silence"
  const outcomes = cluster.readMany(keys, 1_000)
  cluster.run(5)
  cluster.breakLink(2)
  cluster.run(50)
  deepEqual(
    outcomes.map(({ length }) => length),
    keys.map((_, i) => (i % 4 === 1 ? 0 : 1)),
  )
  cluster.run(1_000)
  deepEqual(
    outcomes.map(each => each.length),
    keys.map(() => 1),
  )
  ok(outcomes.flat().every(({ kind }) => kind === "missing" || kind === "failed"))
  equal(cluster.session.openCalls, 0)
})

test("a node that passes a read of many keys by is asked key by key itself: that is no silence", () => {
  const cluster = new VirtualCluster({ nodes: 4 })
  const keys = keysOfFour(cluster)
  cluster.node(1).manyReads = "silence"
  const outcomes = cluster.readMany(keys)
  cluster.run(500)
  deepEqual(outcomes, Array(12).fill([missing]))
  deepEqual(
    cluster.seen.map(({ to }) => to),
    ["n1", "n1", "n1"],
  )
})

test("reads of many keys end with the session, and are refused after it", () => {
  const cluster = new VirtualCluster({ nodes: 4 })
  const keys = keysOfFour(cluster)
  for (const node of cluster.nodes) node.manyReads = "silence"
  const before = cluster.readMany(keys)
  cluster.run(5)
  cluster.session.close()
  const after = cluster.readMany(keys)
  deepEqual([...before, ...after], Array(24).fill([failed("closed", "no")]))
})
