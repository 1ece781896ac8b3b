/** What a cluster does when one thing goes wrong, told event by event. Every checker watches. */
import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { questions } from "./client.ts"
import { type SimulatedCluster, simulatedCluster } from "./cluster.ts"
import type { SimulatedProcess } from "./process.ts"
import { textOf } from "./recorder.ts"

test("what is written through one node is read through another", () => {
  const cluster = simulatedCluster({ nodes: 3, seed: 1 })
  const [first, second, third] = cluster.alive()
  ok(first && second && third)
  equal(cluster.client(first).set("user:42", "ada").kind, "stored")
  equal(cluster.client(second).get("user:42").text, "ada")
  equal(cluster.client(third).cas("user:42", "ada", "grace").kind, "stored")
  equal(cluster.client(first).add("user:42", "edith").kind, "unmet")
  equal(cluster.client(second).get("user:42").text, "grace")
  equal(cluster.client(third).delete("user:42").kind, "deleted")
  equal(cluster.client(first).get("user:42").kind, "missing")
  cluster.checkAtEnd()
})

test("twenty nodes that join at once through different ones, some of which are joining themselves, agree in a second", () => {
  const cluster = simulatedCluster({ nodes: 1, seed: 2 })
  const began = cluster.nowMs
  for (let i = 0; i < 20; i++) cluster.join()
  cluster.runUntil(() => cluster.alive().length === 21 && cluster.hasAgreed(), { withinMs: 2_000 })
  ok(cluster.nowMs - began < 1_000, `it took ${(cluster.nowMs - began).toFixed(0)} ms`)
  cluster.runUntil(() => cluster.hasConverged(), { withinMs: 10_000 })
  equal(cluster.newestView.members.length, 21)
  equal(cluster.voters().length, cluster.config.maxVoters)
  cluster.checkAtRest()
})

test("a killed primary is replaced within the time of a lease, and nothing that was acknowledged is gone", () => {
  for (const seed of [1, 2, 3, 4, 5]) {
    const cluster = simulatedCluster({ nodes: 5, seed })
    const client = cluster.client()
    equal(client.set("user:42", "kept").kind, "stored")
    const killedAtMs = cluster.nowMs
    cluster.crash(cluster.primaryOf("user:42"))
    equal(client.get("user:42").text, "kept")
    ok(cluster.nowMs - killedAtMs < 700, `seed ${seed}: it took ${(cluster.nowMs - killedAtMs).toFixed(0)} ms`)
    atRest(cluster)
  }
})

test("a machine that goes without a word is found out by its silence", () => {
  const cluster = simulatedCluster({ nodes: 5, seed: 6 })
  const client = cluster.client()
  client.set("user:42", "kept")
  const goneAtMs = cluster.nowMs
  cluster.crash(cluster.primaryOf("user:42"), "machine")
  equal(client.get("user:42").text, "kept")
  ok(cluster.nowMs - goneAtMs < 1_200, `it took ${(cluster.nowMs - goneAtMs).toFixed(0)} ms`)
  atRest(cluster)
})

test("a primary that can send but not hear is replaced, and its late answers are refused", () => {
  // Its beats still arrive, so nothing looks wrong from outside; only the missing acknowledgements betray it.
  const cluster = simulatedCluster({ nodes: 5, seed: 7 })
  const client = cluster.client()
  const primary = cluster.primaryOf("user:42")
  client.set("user:42", "old")

  const deafness = cluster.deafen(primary)
  cluster.runUntil(() => !cluster.isMember(primary), { withinMs: 5_000, orElse: "the deaf one is removed" })
  equal(client.set("user:42", "new").kind, "stored")

  cluster.heal([deafness])
  equal(client.get("user:42").text, "new")
  atRest(cluster)
  ok(cluster.isMember(primary), "it hears again, and is back")
})

test("the side with most voters goes on, the other refuses; afterwards both are one", () => {
  const cluster = simulatedCluster({ nodes: 5, seed: 8 })
  const [a, b, ...majority] = cluster.alive()
  ok(a && b)
  const [outside, inside] = [cluster.client(majority), cluster.client([a, b])]
  outside.set("user:42", "before")
  inside.get("user:42")
  const cuts = cluster.partition([
    [a, b, inside],
    [...majority, outside],
  ])
  cluster.run(1_500)
  equal(outside.set("user:42", "during").kind, "stored")
  equal(inside.get("user:42").kind, "failed")
  cluster.heal(cuts)
  equal(inside.get("user:42").text, "during")
  atRest(cluster)
})

test("a process that was stopped beyond detection answers nothing old when it goes on", () => {
  const cluster = simulatedCluster({ nodes: 5, seed: 9 })
  const client = cluster.client()
  const primary = cluster.primaryOf("user:42")
  const atPrimary = cluster.client(primary)
  client.set("user:42", "old")
  atPrimary.get("user:42")

  cluster.pause(primary)
  cluster.runUntil(() => !cluster.isMember(primary), { withinMs: 3_000 })
  equal(client.set("user:42", "new").kind, "stored")
  let late: string | undefined
  atPrimary.ask(questions.get("user:42"), {}, outcome => {
    late = outcome.kind === "value" ? textOf(outcome.value) : outcome.kind
  })
  cluster.resume(primary)
  cluster.runUntil(() => late !== undefined, { withinMs: 6_000 })
  equal(late, "new")
  atRest(cluster)
})

test("leaving hands everything over first: nothing is lost, no operation fails", () => {
  const cluster = simulatedCluster({ nodes: 5, seed: 10 })
  const client = cluster.client()
  const keys = Array.from({ length: 50 }, (_, i) => `key${i}`)
  for (const key of keys) client.set(key, `of ${key}`)
  const [one, two] = [cluster.primaryOf("key1"), cluster.backupsOf("key1")[0]]
  ok(one && two)
  // Both copies of one shard leave at once.
  cluster.leave(one)
  cluster.leave(two)
  cluster.runUntil(() => !one.isAlive && !two.isAlive, { withinMs: 10_000, orElse: "both have left" })
  deepEqual(
    keys.map(key => client.get(key).text),
    keys.map(key => `of ${key}`),
  )
  atRest(cluster)
})

test("a process restarted at its address comes back as another member, with nothing in memory", () => {
  const cluster = simulatedCluster({ nodes: 4, seed: 11 })
  const client = cluster.client()
  client.set("user:42", "kept")
  const former = cluster.primaryOf("user:42")
  cluster.crash(former)
  const successor = cluster.restart(former)
  equal(client.get("user:42").text, "kept")
  atRest(cluster)
  ok(cluster.isMember(successor) && !cluster.isMember(former))
})

test("all holders of a shard are cut off and come back: their data is what it was", () => {
  const cluster = simulatedCluster({ nodes: 5, seed: 12, config: { orphanResetMs: Number.POSITIVE_INFINITY } })
  const client = cluster.client(cluster.leader())
  client.set("user:42", "kept")
  const holders = [cluster.primaryOf("user:42"), ...cluster.backupsOf("user:42")]
  const others = cluster.alive().filter(process => !holders.includes(process))
  const cuts = cluster.partition([holders, [...others, client]])
  cluster.runUntil(() => cluster.newestView.shards[cluster.shardOf("user:42")]?.orphan === true, {
    withinMs: 5_000,
    orElse: "the shard has no holder left",
  })
  equal(client.get("user:42").kind, "failed")
  cluster.heal(cuts)
  atRest(cluster)
  equal(client.get("user:42").text, "kept")
})

test("a member that is removed while it leaves, with copies that nobody else has, comes back, hands them over, and goes", () => {
  const cluster = simulatedCluster({ nodes: 5, seed: 12, config: { orphanResetMs: Number.POSITIVE_INFINITY } })
  const client = cluster.client(cluster.leader())
  client.set("user:42", "kept")
  const [leaving, ...copies] = [cluster.primaryOf("user:42"), ...cluster.backupsOf("user:42")]
  ok(leaving)
  const holders = [leaving, ...copies]
  const others = cluster.alive().filter(process => !holders.includes(process))
  // It has asked, and is cut off before anything of its own is with the others.
  const fillAgain = cluster.lose((_from, _to, { kind }) => kind === "transfer-begin")
  cluster.leave(leaving)
  cluster.run(150)
  const cuts = cluster.partition([holders, [...others, client]])
  cluster.runUntil(() => cluster.newestView.shards[cluster.shardOf("user:42")]?.orphan === true, {
    withinMs: 5_000,
    orElse: "the shard has no holder left",
  })
  ok(leaving.isAlive)
  fillAgain()
  cluster.heal(cuts)
  cluster.runUntil(() => !leaving.isAlive, { withinMs: 20_000, orElse: "it has left" })
  equal(client.get("user:42").text, "kept")
  atRest(cluster)
})

test("an incr whose answers are all lost, and which is asked again and again, counts once", () => {
  const cluster = simulatedCluster({ nodes: 5, seed: 13 })
  const client = cluster.client()
  client.incr("visits", 1)
  const answersLost = cluster.cut(cluster.alive(), [client], "resets")
  let sum: number | undefined
  client.ask(questions.incr("visits", 1), {}, outcome => {
    sum = outcome.kind === "counted" ? outcome.value : Number.NaN
  })
  cluster.run(1_000)
  cluster.heal([answersLost])
  cluster.runUntil(() => sum !== undefined, { withinMs: 6_000 })
  equal(sum, 2)
  equal(client.get("visits").text, "2")
})

test("a value expires at every replica, and stays gone through a failover", () => {
  const cluster = simulatedCluster({ nodes: 4, seed: 14 })
  const client = cluster.client()
  client.set("session", "here", { ttlMs: 500 })
  equal(client.get("session").text, "here")
  cluster.run(600)
  equal(client.get("session").kind, "missing")
  cluster.crash(cluster.primaryOf("session"))
  equal(client.get("session").kind, "missing")
  atRest(cluster)
})

/** Everything comes to rest, and what the checkers look at then is in order. */
function atRest(cluster: SimulatedCluster): void {
  cluster.runUntil(() => cluster.hasConverged(), { withinMs: 30_000, orElse: "the cluster comes to rest" })
  cluster.run(500)
  cluster.checkAtRest()
  cluster.checkAtEnd()
  cluster.throwIfBroken()
  const dead = (process: SimulatedProcess) => !process.isAlive && cluster.isMember(process)
  equal(cluster.processes.filter(dead).length, 0)
}
