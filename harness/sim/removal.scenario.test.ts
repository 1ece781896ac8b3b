/** Stories of members that are taken for dead, and of who is removed then: what a review of the rules found, once each. */
import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { assert } from "../../src/base/assert.ts"
import type { Rules } from "../../src/core/rules.ts"
import type { Member } from "../../src/protocol/message.ts"
import { type SimulatedCluster, simulatedCluster } from "./cluster.ts"
import { questions } from "./client.ts"
import type { SimulatedProcess } from "./process.ts"

/** How many of these are no longer members of before. */
function lostOf(cluster: SimulatedCluster, members: readonly Member[]): number {
  const since = new Map(cluster.newestView.members.map(member => [member.id, member.since]))
  return members.filter(member => since.get(member.id) !== member.since).length
}

/** Everybody is cut from everybody for three seconds, and the links come back one after another: how many members that costs. */
function lostByCuts({ nodes, seed, rules }: { nodes: number; seed: number; rules?: Partial<Rules> }): number {
  // Meanwhile each one suspects all the others, and would remove them if anybody could decide.
  const cluster = simulatedCluster({ nodes, seed, rules: rules ?? {} })
  cluster.run(3_000)
  const { members } = cluster.newestView
  const cuts = cluster.partition(cluster.alive().map(process => [process]))
  cluster.run(3_000)
  for (const cut of cluster.prng.shuffled(cuts)) {
    cluster.heal([cut])
    cluster.run(cluster.prng.between(0, 30))
  }
  cluster.run(5_000)
  deepEqual(cluster.violations, [])
  return lostOf(cluster, members)
}

for (const nodes of [2, 3, 5])
  test(`${nodes} nodes that were all cut from each other for 3 s all stay members when the cuts heal`, () => {
    for (const seed of [1, 2, 3, 4, 5, 6]) equal(lostByCuts({ nodes, seed }), 0, `seed ${seed}`)
  })

test("without decidersSettle: who can decide again removes members that it is about to hear", () => {
  ok([1, 2, 3].some(seed => lostByCuts({ nodes: 5, seed, rules: { decidersSettle: false } }) > 0))
})

/** `meanwhile`: what happens to the one that is cut off, before it notices. */
function forgottenByAll(meanwhile: (cluster: SimulatedCluster, lonely: SimulatedProcess) => void): SimulatedCluster {
  const cluster = simulatedCluster({ nodes: 4, seed: 7 })
  cluster.run(3_000)
  const [first, second, third, lonely] = cluster.alive()
  assert(first && second && third && lonely, "four nodes were started")
  cluster.isolate(lonely)
  meanwhile(cluster, lonely)
  cluster.run(3_000)
  // One after another, at their addresses: the lonely one knows none of the processes that live in the end.
  const others: SimulatedProcess[] = [first, second, third]
  for (const [place, dead] of [...others.entries()]) {
    cluster.crash(dead)
    cluster.run(2_000)
    const through = others[(place + 1) % others.length]
    assert(through, "the index is within bounds")
    others[place] = cluster.start({ seeds: [through.address], address: dead.address })
    cluster.run(6_000)
  }
  cluster.heal()
  cluster.run(30_000)
  equal(cluster.unfinished(), undefined)
  deepEqual(cluster.violations, [])
  return cluster
}

test("a member whose voters were all replaced while it was cut off is admitted again", () => {
  equal(forgottenByAll(() => {}).alive().length, 4)
})

test("if it was asked to leave meanwhile it leaves: it does not wait for ever for those who are gone", () => {
  const cluster = forgottenByAll((cluster, lonely) => cluster.leave(lonely))
  equal(cluster.alive().length, 3)
  equal(cluster.newestView.members.length, 3)
})

/** A primary and its only replica are cut from each other alone: what comes of a write after ten seconds? */
function writtenOverABrokenLink(rules: Partial<Rules>): string {
  const cluster = simulatedCluster({ nodes: 4, seed: 7, rules })
  cluster.run(3_000)
  const [asked, primary, replica] = cluster.alive()
  assert(asked && primary && replica, "four nodes were started")
  let key = "k0"
  for (let i = 0; cluster.primaryOf(key) !== primary || cluster.backupsOf(key)[0] !== replica; i++) key = `k${i}`
  const client = cluster.client(asked)
  equal(client.set(key, "before").kind, "stored")
  cluster.partition([[primary], [replica]])
  cluster.run(10_000)
  const { kind } = client.set(key, "after")
  deepEqual(cluster.violations, [])
  return kind
}

test("writes go on when a primary and its replica are cut from each other alone", () => {
  equal(writtenOverABrokenLink({}), "stored")
})

test("without linkDown: they wait for as long as the link is down", () => {
  equal(writtenOverABrokenLink({ linkDown: false }), "failed")
})

/** One hears nobody, and is heard: whether it is out before its replicas, or its primaries, report the link. */
function isDeafOneRemoved(rules: Partial<Rules>): boolean {
  const cluster = simulatedCluster({ nodes: 5, seed: 3, rules })
  cluster.run(6_000)
  const deaf = cluster.voters().at(-1)
  assert(deaf !== undefined, "there are voters")
  cluster.deafen(deaf)
  cluster.run(1_500)
  return !cluster.isMember(deaf)
}

test("a member that sends and does not hear is removed: it does not confirm what it is granted", () => {
  equal(isDeafOneRemoved({}), true)
  equal(isDeafOneRemoved({ confirmationsCount: false }), false)
})

/** The leader alone does not hear the beats of one member: whether that is removed within three seconds. */
function doesOneReportSuffice(rules: Partial<Rules>): boolean {
  const cluster = simulatedCluster({ nodes: 5, seed: 3, rules })
  const [leader, , , other] = cluster.voters()
  assert(leader && other, "there are five voters")
  cluster.lose((from, to, { kind }) => kind === "beat" && from === other && to === leader)
  return cluster.comesTrue(() => !cluster.isMember(other), { withinMs: 3_000 })
}

test("a member that one voter does not hear stays: the others do", () => {
  equal(doesOneReportSuffice({}), false)
  equal(doesOneReportSuffice({ reportsNeedMajority: false }), true)
})

/** All nodes stand still at once, as on a machine that is short of everything, and go on one after another: how many members that costs. */
function lostByAStandstill(seed: number, rules: Partial<Rules>): number {
  const cluster = simulatedCluster({ nodes: 4, seed, rules, config: { maxVoters: 1 } })
  cluster.run(6_000)
  const { members } = cluster.newestView
  for (const process of cluster.alive()) cluster.pauseFor(process, 900 + cluster.prng.between(0, 100))
  cluster.run(4_000)
  return lostOf(cluster, members)
}

test("a voter that stood still itself takes nobody for dead, though it heard nobody", () => {
  const seeds = [1, 2, 3, 4, 5, 6]
  for (const seed of seeds) equal(lostByAStandstill(seed, {}), 0, `seed ${seed}`)
  ok(seeds.some(seed => lostByAStandstill(seed, { selfDistrust: false }) > 0))
})

/** Somebody asks to join whom nobody can dial: the views that this makes in ten seconds. */
function viewsForOneOutOfReach(rules: Partial<Rules>): number {
  const cluster = simulatedCluster({ nodes: 3, seed: 4, rules })
  const { epoch } = cluster.newestView
  const joiner = cluster.join()
  // Answers on the connection that it made come through; what others dial does not.
  cluster.lose((_from, to, { kind }) => kind === "dial-back" || (to === joiner && kind !== "try-also"))
  cluster.run(10_000)
  return cluster.newestView.epoch - epoch
}

test("who cannot be reached at the address that it advertises is not let in, and disturbs nobody", () => {
  equal(viewsForOneOutOfReach({}), 0)
  ok(viewsForOneOutOfReach({ dialBack: false }) >= 2)
})

/** A member behind a link that comes and goes for two and a half minutes: the views made meanwhile. */
function flapping(rules: Partial<Rules>): { views: number } {
  const config = { flapWaitMs: 10_000, flapWaitMaxMs: 300_000, flapWindowMs: 300_000 }
  const cluster = simulatedCluster({ nodes: 4, seed: 11, rules, config })
  cluster.run(3_000)
  const flapper = cluster.alive()[3]
  assert(flapper !== undefined, "four nodes were started")
  const firstEpoch = cluster.newestView.epoch
  for (let round = 0; round < 30; round++) {
    cluster.isolate(flapper)
    cluster.run(2_500)
    cluster.heal()
    cluster.run(2_500)
  }
  const views = cluster.newestView.epoch - firstEpoch
  // It is kept out for a time, not for ever.
  cluster.runUntil(() => cluster.newestView.members.length === 4 && cluster.unfinished() === undefined, {
    withinMs: 320_000,
    everyMs: 100,
  })
  deepEqual(cluster.violations, [])
  return { views }
}

test("a member that comes and goes is kept out for longer each time, and the views that it causes are few", () => {
  const { views } = flapping({})
  const without = flapping({ flapsWait: false })
  ok(views <= 40, `${views} views`)
  ok(without.views > 4 * views, `${without.views} views without the rule, ${views} with it`)
})

test("members that stood still, all at once, complain of no link for what was missing meanwhile", () => {
  const cluster = simulatedCluster({ nodes: 3, seed: 5 })
  cluster.run(6_000)
  const { members } = cluster.newestView
  const client = cluster.client()
  for (let i = 0; i < 40; i++) client.set(`key${i}`, "value")
  const [first, ...others] = cluster.alive()
  assert(first !== undefined, "three nodes were started")
  for (const process of others) cluster.pause(process)
  for (let i = 0; i < 40; i++) client.ask(questions.set(`key${i}`, "value"), { timeoutMs: 20_000, lane: i }, () => {})
  cluster.run(20)
  cluster.pause(first)
  cluster.run(3_000)
  cluster.resume(first)
  cluster.run(100)
  for (const process of others) cluster.resume(process)
  cluster.run(3_000)
  deepEqual(cluster.violations, [])
  equal(lostOf(cluster, members), 0)
})
