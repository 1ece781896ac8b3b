/** Stories of clusters all of whose nodes stopped, and of who may begin a new one. */
import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import { assert } from "../../src/base/assert.ts"
import { Prng } from "../../src/base/prng.ts"
import type { Rules } from "../../src/core/rules.ts"
import type { ColdHint } from "../../src/protocol/message.ts"
import { type SimulatedCluster, simulatedCluster } from "./cluster.ts"
import type { SimulatedProcess } from "./process.ts"

/** What a process wrote down of its newest view. */
function hintOf({ node }: SimulatedProcess): ColdHint {
  const { view } = node
  assert(view !== undefined, "it was a member")
  const { clusterId, generation, membersEpoch: epoch, copies, members } = view
  return { clusterId, generation, epoch, copies, addresses: members.map(({ addr }) => addr) }
}

/** A cluster of before, of which nobody is left: each with what it wrote down. */
function stoppedCluster(nodes: number, seed: number, rules: Partial<Rules> = {}) {
  // Two clusters have views of the same epochs; the checkers that compare them are for one.
  const cluster = simulatedCluster({ nodes, seed, rules, checkers: [] })
  cluster.run(2_000)
  const dead = cluster.alive().map(process => ({ process, hint: hintOf(process) }))
  return { cluster, dead }
}

function restart(cluster: SimulatedCluster, { process, hint }: { process: SimulatedProcess; hint: ColdHint }) {
  return cluster.start({ seeds: [], address: process.address, hint })
}

function clustersOf(processes: readonly SimulatedProcess[]): Set<string> {
  return new Set(processes.flatMap(({ node }) => node.view?.clusterId ?? []))
}

for (const seed of [1, 2, 3, 4])
  test(`restarted in any order, each knowing what it wrote down, they form one cluster when the last is back (seed ${seed})`, () => {
    const { cluster, dead } = stoppedCluster(5, seed)
    for (const { process } of dead) cluster.crash(process)
    cluster.run(3_000)
    const prng = new Prng(seed)
    const [last, ...others] = prng.shuffled(dead)
    assert(last !== undefined, "there were five")
    const back = others.map(one => {
      cluster.run(prng.between(0, 2_000))
      return restart(cluster, one)
    })
    cluster.run(20_000)
    deepEqual(
      back.map(({ node }) => node.phase),
      back.map(() => "joining"),
      "one of them may be alive, cut off",
    )
    back.push(restart(cluster, last))
    cluster.runUntil(() => back.every(({ node }) => node.status().members.length === 5), { withinMs: 20_000 })
    equal(clustersOf(back).size, 1)
    equal(clustersOf(back).has(last.hint.clusterId), false, "it is another cluster, with nothing in it")
    equal(cluster.client(back).set("k", "v").kind, "stored")
  })

test("one that stood alone begins again at once", () => {
  const { cluster, dead } = stoppedCluster(1, 1)
  for (const { process } of dead) cluster.crash(process)
  const [only] = dead.map(one => restart(cluster, one))
  cluster.runUntil(() => only?.node.phase === "member", { withinMs: 1_000 })
})

test("a node restarted alone finds the others through what it wrote down", () => {
  const { cluster, dead } = stoppedCluster(3, 5)
  const [first, ...others] = dead
  assert(first !== undefined, "there were three")
  cluster.crash(first.process)
  cluster.runUntil(() => others.every(({ process }) => process.node.status().members.length === 2), { withinMs: 5_000 })
  const again = restart(cluster, first)
  cluster.runUntil(() => again.node.status().members.length === 3, { withinMs: 5_000 })
  equal(clustersOf([again, ...others.map(({ process }) => process)]).size, 1)
})

/** Of four, three die and come back; the fourth was cut off meanwhile, alive, with data. */
function oneIsCutOff(rules: Partial<Rules>): Set<string> {
  const { cluster, dead } = stoppedCluster(4, 7, rules)
  const [lonely, ...others] = dead
  assert(lonely !== undefined, "there were four")
  cluster.isolate(lonely.process)
  for (const { process } of others) cluster.crash(process)
  const back = others.map(one => restart(cluster, one))
  cluster.run(20_000)
  cluster.heal()
  cluster.run(20_000)
  return clustersOf([lonely.process, ...back])
}

test("while one may be alive no second cluster is formed", () => {
  equal(oneIsCutOff({}).size, 1)
})

test("without the waiting there are two, one of them with the data and without its majority", () => {
  equal(oneIsCutOff({ coldStartWaits: false }).size, 2)
})

test("who was away when the members changed learns it from those who were there", () => {
  const { cluster, dead } = stoppedCluster(3, 9)
  const [first, second, third] = dead
  assert(first && second && third, "there were three")
  // The first goes; later a fourth comes, and the cluster is the second, the third and the fourth.
  cluster.crash(first.process)
  cluster.runUntil(() => second.process.node.status().members.length === 2, { withinMs: 5_000 })
  const fourth = cluster.start({ seeds: [second.process.address] })
  cluster.runUntil(() => second.process.node.status().members.length === 3, { withinMs: 5_000 })
  cluster.run(2_000)
  const later = [second.process, third.process, fourth].map(process => ({ process, hint: hintOf(process) }))
  for (const { process } of later) cluster.crash(process)
  const [secondAgain, thirdAgain] = [later[0], later[1]].map(one => one && restart(cluster, one))
  const firstAgain = restart(cluster, first)
  assert(secondAgain && thirdAgain, "two are back")
  // All whom the first knows of are back. The fourth is not.
  cluster.run(20_000)
  equal(clustersOf([firstAgain, secondAgain, thirdAgain]).size, 0)
  const fourthAgain = later[2] && restart(cluster, later[2])
  assert(fourthAgain !== undefined, "it is back, too")
  const all = [firstAgain, secondAgain, thirdAgain, fourthAgain]
  cluster.runUntil(() => all.every(({ node }) => node.status().members.length === 4), { withinMs: 20_000 })
  equal(clustersOf(all).size, 1)
})
