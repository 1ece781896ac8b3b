/**
 * Moments that random runs do not hit in hundreds of seeds: each is staged, message by message, once with the rule that
 * it is about and once without. Leases are much longer than detection here; with the usual times they end before a
 * mistake about them shows.
 */
import { equal, ok } from "node:assert/strict"
import { test } from "node:test"
import type { Rules } from "../../src/core/rules.ts"
import type { NodeId, PeerMessage, ShardId, View } from "../../src/protocol/message.ts"
import { apply } from "../../src/core/layout.ts"
import { Placement } from "../../src/core/ring.ts"
import { BrokenPromise, type ClusterSettings, type SimulatedCluster, simulatedCluster } from "./cluster.ts"
import type { SimulatedProcess } from "./process.ts"

const deciding: ReadonlySet<PeerMessage["kind"]> = new Set<PeerMessage["kind"]>([
  "prepare",
  "promise",
  "accept",
  "accepted",
  "nack",
  "view-delta",
  "view-snapshot",
])

type Story = (cluster: SimulatedCluster) => void

/** What the story comes to: nothing, or the promise that was broken in it. */
function outcomeOf(story: Story, settings: Omit<ClusterSettings, "seed">, seed: number): string {
  try {
    story(simulatedCluster({ ...settings, seed }))
  } catch (error) {
    if (error instanceof BrokenPromise) return error.violation.promise
    throw error
  }
  return "kept"
}

function staged(
  rule: keyof Rules,
  name: string,
  settings: Omit<ClusterSettings, "seed" | "rules">,
  story: Story,
): void {
  for (const seed of [1, 2, 3])
    test(`${name} (seed ${seed})`, () => {
      equal(outcomeOf(story, settings, seed), "kept")
      equal(
        outcomeOf(story, { ...settings, rules: { [rule]: false } }, seed),
        "one server per shard",
        `without ${rule}`,
      )
    })
}

const longLeases = { leaseMs: 1_500, shardCount: 64 }

/** Nothing of what is decided, and of what follows from it, reaches this process; its leases are still granted. */
function keepInThePast(cluster: SimulatedCluster, process: SimulatedProcess): void {
  cluster.lose((_from, to, message) => to === process && (deciding.has(message.kind) || isOfTheNewView(message)))
}

function isOfTheNewView(message: PeerMessage): boolean {
  return message.kind === "yield" || message.kind === "released" || message.kind === "stale"
}

/** The shards that a process would pass on at once by leaving, to whom, and the view in which it has. */
function passedBy(before: View, process: SimulatedProcess): { shard: ShardId; to: NodeId; after: View }[] {
  const after = apply(before, [{ kind: "leave", id: process.id }], new Placement())
  return [...before.shards.entries()].flatMap(([shard, { primary }]) => {
    const to = after.shards[shard]?.primary ?? process.id
    return primary === process.id && to !== process.id ? [{ shard, to, after }] : []
  })
}

function found<T>(one: T | undefined): T {
  ok(one !== undefined, "the cluster is as the story needs it: else take another seed")
  return one
}

/** Runs until somebody else serves one of these shards, and on until no old lease can matter any more. */
function untilServed(cluster: SimulatedCluster, former: SimulatedProcess, shards: readonly ShardId[]): void {
  cluster.runUntil(
    () => cluster.alive().some(process => process !== former && shards.some(shard => process.node.serves(shard))),
    { withinMs: 6_000, orElse: "a successor serves" },
  )
  cluster.run(500)
}

staged(
  "grantHorizon",
  "a primary that missed the view which replaced it gets no grants from voters that have it",
  { nodes: 5, config: longLeases },
  cluster => {
    const others = cluster.alive().filter(process => process !== cluster.leader())
    const primary = found(others.find(process => passedBy(cluster.newestView, process).length > 0))
    const shards = passedBy(cluster.newestView, primary).map(({ shard }) => shard)
    keepInThePast(cluster, primary)
    cluster.leave(primary)
    untilServed(cluster, primary, shards)
  },
)

/** A primary whose leave passes shards on to the leader, and which. */
function onePassingToTheLeader(cluster: SimulatedCluster) {
  const leader = cluster.leader()
  const passedOn = (process: SimulatedProcess) =>
    passedBy(cluster.newestView, process).flatMap(({ shard, to }) => (to === leader.id ? [shard] : []))
  const primary = found(cluster.alive().find(process => process !== leader && passedOn(process).length > 0))
  return { leader, primary, shards: passedOn(primary) }
}

/** Shards that pass from one to the next to the last when the first two leave, none of them the leader. */
function relays(cluster: SimulatedCluster) {
  const processOf = (id: NodeId) => found(cluster.processOf(id))
  const leader = cluster.leader()
  const others = cluster.alive().filter(process => process !== leader)
  return others.flatMap(primary =>
    passedBy(cluster.newestView, primary).flatMap(({ shard, to, after }) =>
      passedBy(after, processOf(to)).flatMap(next =>
        next.shard === shard && to !== leader.id && next.to !== leader.id
          ? [{ shard, primary, between: processOf(to), last: processOf(next.to) }]
          : [],
      ),
    ),
  )
}

staged(
  "acceptRaisesHorizon",
  "a voter that accepted the next view, and never hears whether it was decided, grants nothing to the old one",
  { nodes: 5, config: longLeases },
  cluster => {
    const { leader: successor, primary, shards } = onePassingToTheLeader(cluster)
    const { epoch } = cluster.newestView
    keepInThePast(cluster, primary)
    // The successor alone learns what was decided: the others accept once, and then hear nothing more of it.
    cluster.lose((_from, to, { kind }) => {
      if (to === successor || !deciding.has(kind)) return false
      const isAsked = kind === "prepare" || kind === "accept"
      return !isAsked || cluster.newestView.epoch > epoch
    })
    cluster.leave(primary)
    untilServed(cluster, primary, shards)
  },
)

staged(
  "voterFence",
  "a primary that rests on the voters of an older view is waited for, though the new voters never granted it anything",
  { nodes: 8, config: { ...longLeases, maxVoters: 3 } },
  cluster => {
    const [first, second, third] = cluster.voters()
    const others = cluster.alive().filter(process => !cluster.voters().includes(process))
    const primary = found(others.find(process => passedBy(cluster.newestView, process).length > 0))
    const shards = passedBy(cluster.newestView, primary).map(({ shard }) => shard)
    // The primary rests on the first two voters alone: the third does not hear it, and has not for longer than a lease.
    cluster.lose((from, to, { kind }) => from === primary && to === third && kind === "beat")
    cluster.run(2 * cluster.config.leaseMs)
    keepInThePast(cluster, primary)
    // These two are replaced. Of those who decide the next view, nobody has ever granted it anything that still counts.
    cluster.leave(found(first))
    cluster.leave(found(second))
    cluster.runUntil(() => !cluster.voters().some(voter => voter === first || voter === second), {
      withinMs: 1_000,
      orElse: "two voters are replaced",
    })
    cluster.leave(primary)
    untilServed(cluster, primary, shards)
  },
)

staged(
  "gapFence",
  "a primary that learned of its part by a snapshot waits for those it never heard of",
  { nodes: 5, config: { ...longLeases, copies: 3, viewsKept: 1 } },
  cluster => {
    // The shard passes from one to the next to the last, who misses all of it and is told the outcome alone.
    const { shard, primary, between, last } = found(relays(cluster)[0])
    keepInThePast(cluster, primary)
    const tellLast = cluster.lose((_from, to, { kind }) => to === last && deciding.has(kind))
    cluster.leave(primary)
    cluster.runUntil(() => cluster.newestView.shards[shard]?.primary === between.id, { withinMs: 500 })
    cluster.leave(between)
    cluster.runUntil(() => cluster.newestView.shards[shard]?.primary === last.id, { withinMs: 500 })
    tellLast()
    untilServed(cluster, primary, [shard])
  },
)

staged(
  "releaseNeedsEpoch",
  "a primary that shows an older view than the one that replaced it has released nothing",
  { nodes: 5, config: longLeases },
  cluster => {
    const { leader, primary, shards } = onePassingToTheLeader(cluster)
    keepInThePast(cluster, primary)
    cluster.leave(primary)
    // Its beats reach its successor, a voter, all the time.
    ok(cluster.voters().includes(leader))
    untilServed(cluster, primary, shards)
  },
)

staged(
  "fencesEverywhere",
  "a successor that was replaced before it served leaves its predecessor's lease to who comes next",
  { nodes: 5, config: { ...longLeases, copies: 3 } },
  cluster => {
    const { shard, primary, between, last } = found(relays(cluster)[0])
    keepInThePast(cluster, primary)
    cluster.leave(primary)
    cluster.runUntil(() => cluster.newestView.shards[shard]?.primary === between.id, { withinMs: 500 })
    cluster.leave(between)
    cluster.runUntil(() => cluster.newestView.shards[shard]?.primary === last.id, { withinMs: 500 })
    untilServed(cluster, primary, [shard])
  },
)

staged(
  "leaseFromSending",
  "a grant that was long on its way does not begin a lease when it comes",
  // Nobody is taken for deaf because it confirms late.
  { nodes: 5, config: { ...longLeases, suspectMs: 4_000 } },
  cluster => {
    const { primary, shards } = onePassingToTheLeader(cluster)
    for (const voter of cluster.voters())
      if (voter !== primary) cluster.weather.slowDown(voter.host, primary.host, 10_000)
    cluster.run(2_000)
    keepInThePast(cluster, primary)
    cluster.leave(primary)
    untilServed(cluster, primary, shards)
  },
)

test("an accepted view whose proposer falls silent stops no lease: another voter finishes it", () => {
  // Suspicion is made slow here, so that nobody else has a reason to propose anything.
  const slow = { nodes: 5, config: { suspectMs: 4_000 } }
  const withRule = withoutLeaseAfterAccept(simulatedCluster({ ...slow, seed: 4 }))
  ok(withRule < 400, `${withRule} ms without leases`)
  const withoutRule = withoutLeaseAfterAccept(simulatedCluster({ ...slow, seed: 4, rules: { finishInstances: false } }))
  ok(withoutRule > 1_500, `${withoutRule} ms without leases: the rule is not needed?`)
})

/** The leader asks for a view to be accepted and falls silent; for how long is there no majority of leases? */
function withoutLeaseAfterAccept(cluster: SimulatedCluster): number {
  const leader = cluster.leader()
  let hasAccepted = false
  cluster.lose((_from, to, message) => {
    if (message.kind !== "accepted" || message.ballot.proposer !== leader.id) return false
    hasAccepted = true
    // Each acceptance reaches its proposer alone, who is stopped before it reads one.
    return to !== leader
  })
  const leaving = found(cluster.alive().find(process => process !== leader))
  cluster.leave(leaving)
  cluster.runUntil(() => hasAccepted, { withinMs: 1_000, everyMs: 0, orElse: "somebody accepts" })
  cluster.pause(leader)
  // Whoever asked for the view falls silent too: else its asking again would make another voter propose, rule or not.
  cluster.pause(leaving)
  const others = cluster.alive().filter(process => process !== leader && process !== leaving)
  let withoutMs = 0
  for (let passedMs = 0; passedMs < 3_000; passedMs += 10) {
    cluster.run(10)
    if (others.filter(process => process.node.status().hasLease).length < 3) withoutMs += 10
  }
  return withoutMs
}
