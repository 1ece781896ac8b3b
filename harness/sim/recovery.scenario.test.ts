/** Stories of clusters that lost a majority of their voters, and go on by an operator's word. */
import { deepEqual, equal, ok, throws } from "node:assert/strict"
import { test } from "node:test"
import { assert } from "../../src/base/assert.ts"
import type { Rules } from "../../src/core/rules.ts"
import { oneServerPerShard } from "./checkers/one-server-per-shard.ts"
import { BrokenPromise, type SimulatedCluster, simulatedCluster } from "./cluster.ts"
import type { SimulatedProcess } from "./process.ts"

const keys = Array.from({ length: 60 }, (_, i) => `k${i}`)

function recover({ node }: SimulatedProcess): void {
  node.clientMessage(0, { kind: "admin", n: 1, command: { kind: "recover", how: "force" } })
}

function newest(processes: readonly SimulatedProcess[]): SimulatedProcess {
  const [first] = processes.toSorted((a, b) => (b.node.view?.epoch ?? 0) - (a.node.view?.epoch ?? 0))
  assert(first !== undefined, "somebody lives")
  return first
}

function isServing(cluster: SimulatedCluster, members: number): boolean {
  return cluster.alive().every(({ node }) => {
    const status = node.status()
    return status.members.length === members && status.hasLease && status.serving === status.leading
  })
}

function isHeldBy(cluster: SimulatedCluster, key: string, processes: readonly SimulatedProcess[]): boolean {
  const inSync = cluster.newestView.shards[cluster.shardOf(key)]?.inSync ?? []
  return processes.some(({ id }) => inSync.includes(id))
}

for (const seed of [1, 2, 3, 4, 5])
  test(`three of five voters die at once: the others go on with what they hold (seed ${seed})`, () => {
    const cluster = simulatedCluster({ nodes: 5, seed, config: { orphanResetMs: 5_000 } })
    cluster.run(3_000)
    const client = cluster.client(cluster.alive())
    for (const key of keys) equal(client.set(key, `of ${key}`).kind, "stored")
    const [dead, left] = [cluster.alive().slice(0, 3), cluster.alive().slice(3)]
    const survives = new Map(keys.map(key => [key, isHeldBy(cluster, key, left)]))
    for (const process of dead) cluster.crash(process)
    cluster.run(10_000)
    ok(
      left.every(({ node }) => !node.status().hasLease),
      "nobody decides by himself",
    )
    recover(newest(left))
    cluster.runUntil(() => isServing(cluster, 2), { withinMs: 3_000 })
    const later = cluster.client(left)
    for (const key of keys) if (survives.get(key)) equal(later.get(key).text, `of ${key}`, key)
    // What nobody holds is refused until it is given up, and then begins anew.
    cluster.run(6_000)
    for (const key of keys) equal(later.set(key, "new").kind, "stored")
    deepEqual(cluster.violations, [])
    // And it is a cluster like any other.
    cluster.start({ seeds: [newest(left).address] })
    cluster.runUntil(() => isServing(cluster, 3), { withinMs: 10_000 })
  })

test("a survivor that could not be heard joins the new generation, with what it alone holds", () => {
  const cluster = simulatedCluster({ nodes: 5, seed: 6 })
  cluster.run(3_000)
  const client = cluster.client(cluster.alive())
  for (const key of keys) equal(client.set(key, `of ${key}`).kind, "stored")
  const [dead, left] = [cluster.alive().slice(0, 3), cluster.alive().slice(3)]
  const survives = keys.filter(key => isHeldBy(cluster, key, left))
  for (const process of dead) cluster.crash(process)
  const [one, other] = left
  assert(one && other, "two live")
  cluster.isolate(other)
  cluster.run(5_000)
  recover(one)
  cluster.run(3_000)
  equal(one.node.status().members.length, 1)
  cluster.heal()
  cluster.runUntil(() => isServing(cluster, 2), { withinMs: 20_000 })
  const later = cluster.client(left)
  for (const key of survives) equal(later.get(key).text, `of ${key}`, key)
  deepEqual(cluster.violations, [])
})

test("two operators recover two survivors that do not hear each other: two generations, and neither takes the other in", () => {
  const cluster = simulatedCluster({ nodes: 5, seed: 7, checkers: [] })
  cluster.run(3_000)
  const [dead, left] = [cluster.alive().slice(0, 3), cluster.alive().slice(3)]
  for (const process of dead) cluster.crash(process)
  cluster.partition(left.map(process => [process]))
  cluster.run(5_000)
  for (const process of left) recover(process)
  cluster.run(3_000)
  cluster.heal()
  cluster.run(10_000)
  const generations = new Set(left.map(({ node }) => node.view?.generation))
  equal(generations.size, 2)
  for (const { node } of left) equal(node.status().members.length, 1)
})

/**
 * One of five is cut off from three of the others, who live; the fourth hears everybody. Before the cluster has voted anybody
 * out, an operator who sees nothing but that one recovers it, with the one that it hears.
 */
function recoveredByMistake(rules: Partial<Rules>): SimulatedCluster {
  // Two generations are two lines of views; what counts is who serves.
  const cluster = simulatedCluster({ nodes: 5, seed: 8, rules, checkers: [oneServerPerShard] })
  cluster.run(3_000)
  const [lonely, friend, ...others] = cluster.alive().toReversed()
  assert(lonely && friend && others.length === 3, "there are five")
  // The moment before the decision is short; here it lasts.
  cluster.lose((_from, _to, { kind }) => kind === "prepare" || kind === "accept")
  cluster.partition([[lonely], others])
  cluster.run(4_000)
  equal(lonely.node.status().hasLease, false)
  equal(friend.node.status().hasLease, true)
  recover(lonely)
  cluster.run(5_000)
  equal(lonely.node.status().members.length, 2)
  return cluster
}

test("who belongs to a majority that lives is not impressed by a generation that an operator made elsewhere", () => {
  const cluster = recoveredByMistake({})
  equal(cluster.alive().filter(({ node }) => node.status().hasLease).length, 4)
  deepEqual(cluster.violations, [])
})

test("without leaseKeepsGeneration: two nodes serve one shard", () => {
  throws(
    () => recoveredByMistake({ leaseKeepsGeneration: false }),
    (error: unknown) => error instanceof BrokenPromise && /one server per shard/.test(error.message),
  )
})
