/** Stories of members that are dead for certain, and of who may go on without them. */
import { equal, match } from "node:assert/strict"
import { test } from "node:test"
import { assert } from "../../src/base/assert.ts"
import type { Rules } from "../../src/core/rules.ts"
import { BrokenPromise, type SimulatedCluster, simulatedCluster } from "./cluster.ts"
import type { SimulatedProcess } from "./process.ts"

function kill(
  cluster: SimulatedCluster,
  dead: readonly SimulatedProcess[],
  knownTo: readonly SimulatedProcess[],
): void {
  for (const process of dead) cluster.crash(process)
  for (const process of knownTo) for (const { id } of dead) process.peerDied(id)
}

for (const seed of [1, 2, 3, 4, 5, 6])
  test(`of two nodes one dies: the other, to whom that is certain, serves everything within 1.5 s (seed ${seed})`, () => {
    const cluster = simulatedCluster({ nodes: 2, seed })
    cluster.run(3_000)
    const [first, second] = cluster.alive()
    assert(first && second, "two nodes were started")
    const [dying, survivor] = seed % 2 === 0 ? [first, second] : [second, first]
    const client = cluster.client(survivor)
    for (const key of ["a", "b", "c", "d", "e"]) equal(client.set(key, `of ${key}`).kind, "stored")
    kill(cluster, [dying], [survivor])
    const status = () => survivor.node.status()
    cluster.runUntil(() => status().members.length === 1 && status().serving === status().shardCount, {
      withinMs: 1_500,
    })
    for (const key of ["a", "b", "c", "d", "e"]) equal(client.get(key).text, `of ${key}`)
    equal(client.set("a", "new").kind, "stored")
    cluster.run(2_000)
    equal(cluster.violations.length, 0)
  })

test("of two nodes one dies, and that is not certain: the other refuses", () => {
  const cluster = simulatedCluster({ nodes: 2, seed: 1 })
  cluster.run(3_000)
  const [dying, survivor] = cluster.alive()
  assert(dying && survivor, "two nodes were started")
  kill(cluster, [dying], [])
  cluster.run(10_000)
  equal(survivor.node.status().members.length, 2)
  equal(survivor.node.status().hasLease, false)
})

test("of four voters two die in one moment: the other two, who both know, go on", () => {
  const cluster = simulatedCluster({ nodes: 4, seed: 3, config: { copies: 3 } })
  cluster.run(4_000)
  const [first, second, third, fourth] = cluster.alive()
  assert(first && second && third && fourth, "four nodes were started")
  const client = cluster.client([third, fourth])
  equal(client.set("k", "v").kind, "stored")
  kill(cluster, [first, second], [third, fourth])
  cluster.runUntil(() => third.node.status().members.length === 2, { withinMs: 3_000 })
  cluster.run(3_000)
  equal(client.get("k").text, "v")
  equal(cluster.violations.length, 0)
})

/**
 * One of three is cut off. The other two go on without it, acknowledge a write, and die; and that they died is certain to
 * the one that was cut off. It knows neither the view that they decided nor the write.
 */
function cutOffAndLeft(rules: Partial<Rules>): SimulatedCluster {
  const cluster = simulatedCluster({ nodes: 3, seed: 2, rules })
  cluster.run(3_000)
  const [lonely, ...others] = cluster.alive()
  assert(lonely && others.length === 2, "three nodes were started")
  const key = cluster.keyWhere(({ inSync }) => inSync.includes(lonely.id))
  equal(cluster.client(others).set(key, "old").kind, "stored")
  cluster.isolate(lonely)
  cluster.runUntil(() => others.every(({ node }) => node.status().members.length === 2), { withinMs: 5_000 })
  cluster.run(2_000)
  equal(cluster.client(others).set(key, "new").kind, "stored")
  kill(cluster, others, [lonely])
  cluster.run(10_000)
  equal(lonely.node.status().members.length, 3, "it decides nothing by itself")
  equal(lonely.node.status().hasLease, false)
  return cluster
}

test("one of three that was cut off does not go on by itself when the other two, a majority, are dead for certain", () => {
  equal(cutOffAndLeft({}).violations.length, 0)
})

test("without deadAreFew: it would decide an epoch for the second time", () => {
  try {
    cutOffAndLeft({ deadAreFew: false })
  } catch (error) {
    assert(error instanceof BrokenPromise, `a checker noticed, not: ${error}`)
    match(error.message, /epoch|view/)
    return
  }
  assert(false, "nobody noticed")
})
