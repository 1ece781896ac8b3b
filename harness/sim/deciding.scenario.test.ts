/**
 * How a view is decided when those who decide it hear each other badly. Random runs do not come upon these moments: each is staged,
 * message by message, once with the rule that it is about and once without.
 */
import { equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { assert } from "../../src/base/assert.ts"
import type { Rules } from "../../src/core/rules.ts"
import type { PeerMessage } from "../../src/protocol/message.ts"
import { BrokenPromise, type ClusterSettings, type SimulatedCluster, simulatedCluster } from "./cluster.ts"
import type { SimulatedProcess } from "./process.ts"

type Settings = Omit<ClusterSettings, "seed" | "rules">

/** The promise that the story breaks; undefined: none. */
function broken(
  story: (cluster: SimulatedCluster) => void,
  settings: Settings,
  rules: Partial<Rules>,
): string | undefined {
  try {
    story(simulatedCluster({ ...settings, seed: 1, rules }))
  } catch (error) {
    if (error instanceof BrokenPromise) return error.violation.promise
    throw error
  }
  return undefined
}

/** Five voters, the leader first, and somebody whose leave is what is to be decided. */
function fiveVoters(cluster: SimulatedCluster) {
  const voters = cluster.voters()
  const [leader, second, third, fourth, fifth] = voters
  assert(leader && second && third && fourth && fifth && voters.length === 5, "five voters")
  const leaving = cluster.alive().find(process => !voters.includes(process))
  assert(leaving !== undefined, "one is no voter")
  return { leader, second, third, fourth, fifth, leaving }
}

const sixNodes: Settings = { nodes: 6, config: { maxVoters: 5, suspectMs: 4_000 } }
const outcome: ReadonlySet<PeerMessage["kind"]> = new Set<PeerMessage["kind"]>([
  "accepted",
  "view-delta",
  "view-snapshot",
])

const decidingAtAll: ReadonlySet<PeerMessage["kind"]> = new Set<PeerMessage["kind"]>([
  ...outcome,
  "prepare",
  "accept",
  "beat",
])

/**
 * The leader gathers promises and is slow to ask for acceptance. Meanwhile the second has its own, empty, view decided by three others;
 * two of them do not learn that. Then the leader's question comes.
 */
function lateAccept(cluster: SimulatedCluster): void {
  const { leader, second, fourth, fifth, leaving } = fiveVoters(cluster)
  const others = cluster.alive().filter(process => process !== leader)
  let hasPromises = false
  cluster.lose((from, to, { kind }) => {
    // It accepts its own value first, and says so.
    if (from === leader && kind === "accepted" && !hasPromises) {
      hasPromises = true
      for (const other of others) cluster.weather.slowDown(leader.host, other.host, 10_000)
    }
    return false
  })
  cluster.lose((from, to, message) => {
    if (!hasPromises || from === leader) return false
    // What the second has decided reaches neither the leader, who waits for answers to its own question, nor two of those who helped.
    if (to === leader)
      return message.kind !== "accepted" ? decidingAtAll.has(message.kind) : message.ballot.proposer !== leader.id
    return outcome.has(message.kind) && (to === fourth || to === fifth)
  })
  cluster.leave(leaving)
  cluster.runUntil(() => hasPromises, { withinMs: 500, everyMs: 0 })
  cluster.runUntil(() => second.node.view?.epoch === cluster.newestView.epoch, { withinMs: 700 })
  cluster.run(1_500)
}

test("an acceptor that has promised a later ballot refuses what was asked under an earlier one", () => {
  equal(broken(lateAccept, sixNodes, {}), undefined)
  equal(broken(lateAccept, sixNodes, { promiseBinds: false }), "one decided view per epoch")
})

/** The leader alone learns what was decided, and is cut off. The others have accepted it, and must come to the same. */
function decidedUnseen(cluster: SimulatedCluster): void {
  const { leader, leaving } = fiveVoters(cluster)
  const epoch = leader.node.view?.epoch ?? 0
  const lostTo = (process: SimulatedProcess | undefined) => process !== leader
  const hearAgain = cluster.lose((_from, to, { kind }) => lostTo(to) && outcome.has(kind))
  cluster.leave(leaving)
  cluster.runUntil(() => (leader.node.view?.epoch ?? 0) > epoch, { withinMs: 500, everyMs: 0 })
  cluster.isolate(leader)
  cluster.pause(leaving)
  hearAgain()
  cluster.run(3_000)
}

test("who proposes takes over what some acceptor may have helped to decide", () => {
  equal(broken(decidedUnseen, sixNodes, {}), undefined)
  equal(broken(decidedUnseen, sixNodes, { adoptAccepted: false }), "one decided view per epoch")
})

/** One member misses the news of a view that changes nothing of its own; how long until it has learned it? */
function behindForMs(rules: Partial<Rules>): number {
  const cluster = simulatedCluster({ nodes: 9, seed: 2, rules, config: { maxVoters: 3, shardCount: 8 } })
  const isAbout = (process: SimulatedProcess, other: SimulatedProcess) =>
    cluster.newestView.shards.some(({ inSync }) => inSync.includes(process.id) && inSync.includes(other.id))
  const plain = cluster.alive().filter(process => !cluster.voters().includes(process))
  const pairs = plain.flatMap(late => plain.map(gone => ({ late, gone })))
  const { late, gone } = pairs.find(pair => pair.late !== pair.gone && !isAbout(pair.late, pair.gone)) ?? {}
  assert(late !== undefined && gone !== undefined, "the cluster is as the story needs it: else take another seed")
  const hearAgain = cluster.lose((_from, to, { kind }) => to === late && kind === "view-delta")
  cluster.crash(gone)
  cluster.runUntil(() => !cluster.isMember(gone), { withinMs: 2_000 })
  // Everybody has been told by then, once.
  cluster.run(10)
  hearAgain()
  const missed = cluster.newestView.epoch
  const sinceMs = cluster.nowMs
  cluster.comesTrue(() => (late.node.view?.epoch ?? 0) >= missed, { withinMs: 3_000 })
  return cluster.nowMs - sinceMs
}

test("a member that missed a view is sent it soon after its next beat shows that", () => {
  const withRule = behindForMs({})
  ok(withRule < 600, `behind for ${withRule.toFixed(0)} ms`)
  const without = behindForMs({ laggardsLearn: false })
  ok(without > 1_000, `behind for ${without.toFixed(0)} ms without the rule: is it not needed?`)
})

/**
 * Of seven voters the leader hears three, one of whom the two others report. To remove that one leaves six, of whom it hears three with
 * itself: enough to decide it, and never anything again.
 */
function hasLeaseAfterwards(rules: Partial<Rules>): boolean {
  const cluster = simulatedCluster({ nodes: 8, seed: 1, rules, config: { maxVoters: 7 } })
  // Members that are new are allowed more.
  cluster.run(6_000)
  const voters = cluster.voters()
  const [leader, second, third, reported, ...unheard] = voters
  assert(leader && second && third && reported && unheard.length === 3, "seven voters")
  cluster.lose((from, to, { kind }) => kind === "beat" && from === reported && (to === second || to === third))
  // The eighth would take the place of a voter that goes.
  cluster.lose((from, to, { kind }) => kind === "beat" && to === leader && !voters.includes(from))
  cluster.partition([[leader], unheard])
  cluster.run(2_500)
  return leader.node.status().hasLease
}

test("who leads removes no voter if of those who remain it would not hear a majority", () => {
  equal(hasLeaseAfterwards({}), true)
  equal(hasLeaseAfterwards({ batchKeepsMajority: false }), false)
})
