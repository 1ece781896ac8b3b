/** Stories of clusters that are stopped as planned and started again, and of what must not come of it. */
import { deepEqual, equal, ok, throws } from "node:assert/strict"
import { test } from "node:test"
import { assert } from "../../src/base/assert.ts"
import type { Rules } from "../../src/core/rules.ts"
import type { CallOutcome } from "../../src/client/session.ts"
import { questions, type SimulatedClient } from "./client.ts"
import { BrokenPromise, type ClusterSettings, type SimulatedCluster, simulatedCluster } from "./cluster.ts"
import type { SimulatedProcess } from "./process.ts"
import { type Ended, hintOf, orderStop, randomStop, startAgain, stop } from "./stops.ts"

const keys = Array.from({ length: 60 }, (_, i) => `k${i}`)

/** A cluster with disks that holds something. */
function filledCluster(settings: Partial<ClusterSettings> & { nodes: number; seed: number }): SimulatedCluster {
  const cluster = simulatedCluster({ disks: "one-each", ...settings })
  const client = cluster.client(cluster.alive())
  for (const key of keys) equal(client.set(key, `of ${key}`).kind, "stored")
  return cluster
}

function runsAgain(cluster: SimulatedCluster, members: number): void {
  const isRight = () => cluster.hasConverged() && cluster.newestView.members.length === members
  cluster.runUntil(isRight, { withinMs: 30_000, orElse: `${members} members are at rest` })
  cluster.run(1_000)
}

function holdsAll(cluster: SimulatedCluster): void {
  const client = cluster.client(cluster.alive())
  for (const key of keys) equal(client.get(key).text, `of ${key}`, key)
}

function found<T>(items: readonly T[], is: (item: T) => boolean): T {
  const item = items.find(is)
  assert(item !== undefined, "the story has one of these")
  return item
}

function idsOf(processes: readonly { readonly id: string }[]): string[] {
  return processes.map(({ id }) => id).sort()
}

for (const seed of [1, 2, 3])
  test(`started again in another order, the same members go on with all that they held (seed ${seed})`, () => {
    const cluster = filledCluster({ nodes: 4, seed })
    const members = idsOf(cluster.newestView.members)
    const { clusterId, epoch } = cluster.newestView
    const ended = stop(cluster)
    equal(ended.length, 4)
    cluster.run(60_000)
    for (const one of cluster.prng.shuffled(ended)) {
      cluster.run(500)
      startAgain(cluster, one)
    }
    runsAgain(cluster, 4)
    deepEqual(idsOf(cluster.newestView.members), members)
    deepEqual([cluster.newestView.clusterId, cluster.newestView.epoch], [clusterId, epoch + 2])
    holdsAll(cluster)
    cluster.checkAtRest()
    cluster.checkAtEnd()
    deepEqual(cluster.violations, [])
  })

test("how many shards a new cluster would have is nothing to one that is started again", () => {
  const cluster = filledCluster({ nodes: 3, seed: 32 })
  for (const { process } of stop(cluster))
    cluster.start({ seeds: [], address: process.address, goesOn: "when-all-are-back", shardCount: 4 })
  runsAgain(cluster, 3)
  holdsAll(cluster)
  cluster.checkAtEnd()
  deepEqual(cluster.violations, [])
})

test("times to live go on while all is stopped", () => {
  const cluster = filledCluster({ nodes: 3, seed: 4 })
  const client = cluster.client()
  client.set("short", "s", { ttlMs: 20_000 })
  client.set("long", "l", { ttlMs: 60_000 })
  const ended = stop(cluster)
  cluster.run(25_000)
  for (const one of ended) startAgain(cluster, one)
  runsAgain(cluster, 3)
  const reader = cluster.client()
  equal(reader.get("short").kind, "missing")
  let left: CallOutcome | undefined
  reader.ask(questions.ttl("long"), {}, outcome => {
    left = outcome
  })
  cluster.run(1_000)
  ok(left?.kind === "ttl" && left.ttlMs !== null && left.ttlMs < 35_000 && left.ttlMs > 20_000, JSON.stringify(left))
  cluster.checkAtEnd()
  deepEqual(cluster.violations, [])
})

test("a stop waits for the copies of who has just joined", () => {
  const cluster = filledCluster({ nodes: 3, seed: 5 })
  const arrive = cluster.lose((_from, _to, { kind }) => kind === "transfer-chunk")
  cluster.join()
  cluster.runUntil(() => cluster.newestView.members.length === 4, { withinMs: 5_000 })
  for (let i = 0; i < 30; i++) {
    orderStop(cluster)
    cluster.run(100)
  }
  equal(cluster.newestView.stopped, false)
  arrive()
  equal(stop(cluster).length, 4)
})

test("unless it is ordered as it is: what was being filled is filled again afterwards", () => {
  const cluster = filledCluster({ nodes: 3, seed: 5 })
  const arrive = cluster.lose((_from, _to, { kind }) => kind === "transfer-chunk")
  cluster.join()
  cluster.runUntil(() => cluster.newestView.members.length === 4, { withinMs: 5_000 })
  orderStop(cluster, "as-it-is")
  arrive()
  for (const one of stop(cluster)) startAgain(cluster, one)
  runsAgain(cluster, 4)
  holdsAll(cluster)
  cluster.checkAtRest()
  deepEqual(cluster.violations, [])
})

test("clients are told that the cluster is stopped, and what was refused so never happens", () => {
  const cluster = filledCluster({ nodes: 3, seed: 6 })
  // Those who have stopped wait for one that does not know yet.
  const [last] = cluster.alive().toReversed()
  assert(last !== undefined, "there are three")
  const client = cluster.client(cluster.alive().filter(process => process !== last))
  cluster.pause(last)
  orderStop(cluster)
  const knows = (process: SimulatedProcess) => process === last || process.node.view?.stopped === true
  cluster.runUntil(() => cluster.alive().every(knows), { withinMs: 2_000 })
  const key = cluster.keyWhere(({ primary }) => primary !== last.id)
  const outcome = client.set(key, "too late")
  deepEqual(outcome.kind === "failed" && [outcome.code, outcome.mayHaveHappened], ["stopped", "no"])
  cluster.resume(last)
  for (const one of stop(cluster)) startAgain(cluster, one)
  runsAgain(cluster, 3)
  equal(cluster.client().get(key).kind, "missing")
})

test("one whose snapshot is gone is not waited for: others have what it held, and it joins empty", () => {
  const cluster = filledCluster({ nodes: 4, seed: 7 })
  const ended = stop(cluster)
  const [unlucky] = ended
  assert(unlucky !== undefined, "there are four")
  cluster.diskAt(unlucky.process.address).takeOutOfUse()
  for (const one of ended) startAgain(cluster, one)
  runsAgain(cluster, 4)
  equal(cluster.isMember(unlucky.process), false, "it is another process, with another id")
  holdsAll(cluster)
  cluster.checkAtRest()
  deepEqual(cluster.violations, [])
})

test("when all copies of something are gone they wait for a person, and then go on without it", () => {
  const cluster = filledCluster({ nodes: 4, seed: 8, config: { orphanResetMs: 5_000 } })
  const { shards } = cluster.newestView
  const ended = stop(cluster)
  const holders = shards[0]?.inSync ?? []
  const kept = keys.filter(key => shards[cluster.shardOf(key)]?.inSync.some(id => !holders.includes(id)))
  ok(kept.length > 0 && kept.length < keys.length, "some of it is lost")
  for (const { process } of ended) if (holders.includes(process.id)) cluster.diskAt(process.address).takeOutOfUse()
  const back = ended.map(one => startAgain(cluster, one))
  cluster.run(30_000)
  ok(
    back.every(({ node }) => node.phase === "resuming" || node.phase === "joining"),
    "nobody goes on by himself",
  )
  const resuming = found(back, ({ node }) => node.phase === "resuming")
  resuming.node.clientMessage(0, { kind: "admin", n: 1, command: { kind: "recover", how: "force" } })
  runsAgain(cluster, 4)
  const client = cluster.client()
  for (const key of kept) equal(client.get(key).text, `of ${key}`)
  for (const key of keys) equal(client.set(key, "anew").kind, "stored")
})

test("while one is not back, and nobody says that it never will be, they wait", () => {
  const cluster = filledCluster({ nodes: 5, seed: 9 })
  const [last, ...others] = stop(cluster)
  assert(last !== undefined, "there are five")
  const back = others.map(one => startAgain(cluster, one))
  cluster.run(60_000)
  deepEqual(
    back.map(({ node }) => node.status().awaited),
    back.map(() => [last.process.address]),
  )
  startAgain(cluster, last)
  runsAgain(cluster, 5)
  holdsAll(cluster)
})

test("a person may say that nobody else comes; who comes all the same finds that it is too late, and joins empty", () => {
  const cluster = filledCluster({ nodes: 5, seed: 10, config: { copies: 3 } })
  const [late, ...others] = stop(cluster)
  assert(late !== undefined, "there are five")
  for (const [i, one] of others.entries()) startAgain(cluster, one, i === 2 ? "with-those-here" : "when-all-are-back")
  runsAgain(cluster, 4)
  holdsAll(cluster)
  cluster.client().set("k0", "later")
  const process = startAgain(cluster, late)
  runsAgain(cluster, 5)
  equal(process.isAlive, false)
  equal(cluster.isMember(late.process), false)
  equal(cluster.client().get("k0").text, "later")
  cluster.checkAtRest()
  deepEqual(cluster.violations, [])
})

test("where those who are back cannot decide, a person's word makes them a new generation", () => {
  const cluster = filledCluster({ nodes: 5, seed: 11, config: { copies: 3, orphanResetMs: 5_000 } })
  const { generation, shards } = cluster.newestView
  const ended = stop(cluster)
  const back = ended.slice(0, 2).map(one => startAgain(cluster, one, "with-those-here"))
  runsAgain(cluster, 2)
  ok(cluster.newestView.generation > generation)
  const client = cluster.client()
  for (const key of keys)
    if (shards[cluster.shardOf(key)]?.inSync.some(id => back.some(process => process.id === id)))
      equal(client.get(key).text, `of ${key}`)
  // The others are too late, each of them.
  for (const one of ended.slice(2)) startAgain(cluster, one)
  runsAgain(cluster, 5)
  equal(
    ended.slice(2).every(({ process }) => !cluster.isMember(process)),
    true,
  )
})

test("who slept through the stop, with the others long gone, learns of it when they are back, and is waited for", () => {
  const cluster = filledCluster({ nodes: 4, seed: 12 })
  const [sleeper] = cluster.alive().toReversed()
  assert(sleeper !== undefined, "there are four")
  orderStop(cluster)
  cluster.pause(sleeper)
  const ended = stop(cluster)
  equal(ended.length, 3)
  cluster.run(20_000)
  const back = ended.map(one => startAgain(cluster, one))
  cluster.run(3_000)
  cluster.resume(sleeper)
  cluster.runUntil(() => !sleeper.isAlive, { withinMs: 20_000 })
  ok(back.every(({ node }) => node.phase === "resuming"))
  startAgain(cluster, { process: sleeper, hint: hintOf(sleeper) })
  runsAgain(cluster, 4)
  equal(cluster.isMember(sleeper), true)
  holdsAll(cluster)
  cluster.checkAtRest()
  deepEqual(cluster.violations, [])
})

test("who dies when it has claimed its snapshot comes back empty, and the others go on without it", () => {
  const cluster = filledCluster({ nodes: 4, seed: 13 })
  const ended = stop(cluster)
  // The decision does not come through before one has died.
  const arrive = cluster.lose((_from, _to, { kind }) => kind === "prepare")
  const back = ended.map(one => startAgain(cluster, one))
  const [victim] = back.toReversed()
  assert(victim !== undefined, "there are four")
  cluster.runUntil(() => cluster.diskAt(victim.address).read() === undefined, { withinMs: 10_000 })
  cluster.crash(victim)
  arrive()
  startAgain(cluster, { process: victim, hint: hintOf(victim) })
  runsAgain(cluster, 4)
  holdsAll(cluster)
  cluster.checkAtRest()
  deepEqual(cluster.violations, [])
})

test("a snapshot of an earlier stop is refused by those who wait with a later one", () => {
  const cluster = filledCluster({ nodes: 5, seed: 14, config: { copies: 3 } })
  const [absent, ...others] = stop(cluster)
  assert(absent !== undefined, "there are five")
  for (const one of others) startAgain(cluster, one, "with-those-here")
  runsAgain(cluster, 4)
  cluster.client().set("k0", "second life")
  const again = stop(cluster)
  equal(again.length, 4)
  startAgain(cluster, absent)
  for (const one of again) startAgain(cluster, one)
  runsAgain(cluster, 5)
  equal(cluster.isMember(absent.process), false)
  equal(cluster.client().get("k0").text, "second life")
})

// -------------------------------------------------------------------------------------------------- without one rule

function broken(promise: RegExp): (error: unknown) => boolean {
  return error => error instanceof BrokenPromise && promise.test(error.message)
}

/**
 * A primary does not hear of the stop, and goes on for the rest of its lease. Its replica has written down what it holds.
 * Then the primary dies, with what it acknowledged last.
 */
function unheardStop(rules: Partial<Rules>): void {
  const cluster = filledCluster({ nodes: 3, seed: 15, rules, config: { leaseMs: 1_500 } })
  const key = found(keys, name => cluster.primaryOf(name) !== cluster.leader())
  const primary = cluster.primaryOf(key)
  const [replica] = cluster.backupsOf(key)
  assert(replica !== undefined, "there are two copies")
  const client = cluster.client(primary)
  client.get(key)
  cluster.run(500)
  const deaf = new Set(["prepare", "accept", "accepted", "view-delta", "view-snapshot"])
  cluster.lose((_from, to, { kind }) => to === primary && deaf.has(kind))
  orderStop(cluster)
  cluster.runUntil(() => cluster.diskAt(replica.address).read() !== undefined, { withinMs: 1_000 })
  client.ask(questions.set(key, "acknowledged last"), {}, () => {})
  cluster.run(300)
  cluster.crash(primary)
  for (const one of stop(cluster)) startAgain(cluster, one)
  runsAgain(cluster, 3)
  cluster.client().get(key)
  cluster.checkAtEnd()
  cluster.throwIfBroken()
}

test("a replica that knows of the stop acknowledges nothing that it has not written down", () => unheardStop({}))

test("without stopFreezes: what was acknowledged is gone", () => {
  throws(() => unheardStop({ stopFreezes: false }), broken(/has an explanation/))
})

/**
 * Of three voters two have started again, and a person says that nobody else comes. The third still runs, and would decide
 * with one of them; started again, it does not remember, and decides otherwise with the other.
 */
function halfStarted(rules: Partial<Rules>): void {
  const cluster = filledCluster({ nodes: 3, seed: 16, rules, config: { copies: 3, orphanResetMs: 5_000 } })
  const [a, b, c] = cluster.voters()
  assert(a && b && c, "there are three")
  // It believes that the others do not know of the stop, and stays for them.
  cluster.lose((from, to, { kind }) => (from === a || from === b) && to === c && kind === "beat")
  orderStop(cluster)
  cluster.runUntil(() => !a.isAlive && !b.isAlive, { withinMs: 5_000 })
  equal(c.isAlive, true)
  const [again, other] = [a, b].map(process =>
    startAgain(cluster, { process, hint: hintOf(process) }, "with-those-here"),
  )
  assert(again && other, "two are back")
  const isSaidToB = new Set(["accept", "accepted", "view-delta", "view-snapshot"])
  cluster.lose((from, to, { kind }) => (from === again || from === c) && to === other && isSaidToB.has(kind))
  if (!cluster.comesTrue(() => again.node.view?.stopped === false, { withinMs: 9_000 })) return
  cluster.isolate(again)
  const last = { process: c, hint: hintOf(c) }
  if (c.isAlive) cluster.crash(c)
  startAgain(cluster, last, "with-those-here")
  cluster.run(15_000)
}

test("who was stopped and has not started again has no part in what follows", () => halfStarted({}))

test("without stopAbstains: the cluster resumes twice", () => {
  throws(() => halfStarted({ stopAbstains: false }), broken(/one decided view per epoch/))
})

/** All of them die soon after they have resumed, and start again. */
function usedTwice(rules: Partial<Rules>): ReturnType<SimulatedClient["get"]> {
  const cluster = filledCluster({ nodes: 3, seed: 17, rules, checkers: [] })
  for (const one of stop(cluster)) startAgain(cluster, one)
  runsAgain(cluster, 3)
  cluster.client().set("k0", "after the stop")
  const dead: Ended[] = cluster.alive().map(process => ({ process, hint: hintOf(process) }))
  for (const { process } of dead) cluster.crash(process)
  for (const one of dead) startAgain(cluster, one)
  cluster.run(20_000)
  return cluster.client().get("k0")
}

test("a snapshot that was used once is not used again, whatever happens then", () => {
  equal(usedTwice({}).kind, "missing", "a new and empty cluster, as after any crash of all")
})

test("without resumeClaims: what was overwritten comes back", () => {
  const outcome = usedTwice({ resumeClaims: false })
  equal(outcome.text, "of k0")
})

/** Of two nodes one dies, and a copy of what it once started from is put in its place. The other cannot vote it out. */
function copiedDisk(rules: Partial<Rules>): void {
  const cluster = filledCluster({ nodes: 2, seed: 18, rules })
  const ended = stop(cluster)
  const copies = new Map(ended.map(({ process }) => [process.address, cluster.diskAt(process.address).copy()]))
  const back = ended.map(one => startAgain(cluster, one))
  runsAgain(cluster, 2)
  const client = cluster.client()
  for (const key of keys) client.set(key, "after the stop")
  const [victim] = back
  assert(victim !== undefined, "there are two")
  cluster.crash(victim)
  cluster.run(2_000)
  cluster.disks.set(victim.address, copies.get(victim.address) ?? cluster.diskAt(victim.address))
  startAgain(cluster, { process: victim, hint: hintOf(victim) })
  cluster.run(10_000)
  for (const key of keys.slice(0, 5)) cluster.client().get(key)
  cluster.checkAtEnd()
  cluster.throwIfBroken()
}

test("a copy of a used snapshot, offered to the cluster that lives, is refused", () => copiedDisk({}))

test("without resumeInTime: the past comes back", () => {
  throws(() => copiedDisk({ resumeInTime: false }), BrokenPromise)
})

// ------------------------------------------------------------------------------------------------------- random runs

const mostRuns = 40

for (const [rule, because] of [
  ["stopKeepsLog", "what was acknowledged, and not known to be everywhere, is gone"],
  ["resumeWaits", "what only the late ones hold is gone"],
] as const)
  test(`without ${rule}: ${because}`, () => {
    for (let seed = 1; seed <= mostRuns; seed++) {
      if (randomStop({ seed, rules: { [rule]: false } }).violations.length === 0) continue
      deepEqual(randomStop({ seed }).violations, [])
      return
    }
    throw new Error(`none of ${mostRuns} runs was caught`)
  })

test("under load, with who dies on the way, in any order: nothing that was acknowledged is missing", () => {
  for (let seed = 1; seed <= 25; seed++) deepEqual(randomStop({ seed }).violations, [], `seed ${seed}`)
})
