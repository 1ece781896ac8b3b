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

/** Of seven members three vote. Voters die one after another, each when the one before has been removed: how many are. */
function votersOutlived(rules: Partial<Rules>): number {
  const cluster = simulatedCluster({ nodes: 7, seed: 2, rules, config: { maxVoters: 3 } })
  let outlived = 0
  while (outlived < 4) {
    const voter = cluster.voters().at(-1)
    assert(voter !== undefined, "somebody votes")
    cluster.crash(voter)
    if (!cluster.comesTrue(() => !cluster.isMember(voter), { withinMs: 3_000 })) break
    cluster.runUntil(() => cluster.hasConverged(), { withinMs: 5_000 })
    outlived += 1
  }
  return outlived
}

test("a voter that has gone is replaced, so that any number of them may go, one after another", () => {
  equal(votersOutlived({}), 4)
  equal(votersOutlived({ votersReplaced: false }), 1)
})

/** Four join three at once, and die as soon as they are members. Whether the three go on. */
function goesOnWithoutJoiners(rules: Partial<Rules>): boolean {
  const cluster = simulatedCluster({ nodes: 3, seed: 3, rules, config: { maxVoters: 7 } })
  const joiners = Array.from({ length: 4 }, () => cluster.join())
  cluster.runUntil(() => joiners.every(joiner => cluster.isMember(joiner)), { withinMs: 5_000 })
  for (const joiner of joiners) cluster.crash(joiner, "machine")
  return cluster.comesTrue(() => cluster.newestView.members.length === 3, { withinMs: 5_000 })
}

test("who has joined and died at once never voted: a burst of them takes no majority away", () => {
  equal(goesOnWithoutJoiners({}), true)
  equal(goesOnWithoutJoiners({ votersShow: false }), false)
})

/** A process dies, and another takes its place, address and all, with nothing in its memory: under an id of its own, or that of the dead one. */
function amnesia(id: "its own" | "the same"): string | undefined {
  const story = (cluster: SimulatedCluster) => {
    const client = cluster.client()
    for (let i = 0; i < 20; i++) client.set(`key${i}`, "value")
    const dead = cluster.primaryOf("key0")
    cluster.crash(dead)
    const others = cluster.alive().map(({ address }) => address)
    cluster.start({ seeds: others, address: dead.address, ...(id === "the same" ? { id: dead.id } : {}) })
    cluster.run(5_000)
    for (let i = 0; i < 20; i++) equal(client.get(`key${i}`).text, "value")
    cluster.checkAtRest()
    cluster.throwIfBroken()
  }
  return broken(story, { nodes: 4 }, {})
}

test("a process that is started again is another one: with the id of the dead it would answer for what it has forgotten", () => {
  equal(amnesia("its own"), undefined)
  ok(amnesia("the same") !== undefined)
})
