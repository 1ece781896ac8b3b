/** Stories of nodes of different versions in one cluster. */
import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { assert } from "../../src/base/assert.ts"
import { apply } from "../../src/core/layout.ts"
import { CacheNode, type NodeOptions } from "../../src/core/node.ts"
import { Placement } from "../../src/core/ring.ts"
import { protoMax } from "../../src/protocol/limits.ts"
import { allCheckers } from "./checkers/all.ts"
import { oneViewPerEpoch } from "./checkers/one-view-per-epoch.ts"
import { simulatedCluster } from "./cluster.ts"

test("replaced one by one by a newer version, a cluster goes over to the new protocol when the last one is new", () => {
  const cluster = simulatedCluster({ nodes: 4, seed: 21 })
  cluster.run(2_000)
  const client = cluster.client(cluster.alive())
  for (let i = 0; i < 20; i++) equal(client.set(`k${i}`, `v${i}`).kind, "stored")
  for (const old of cluster.alive()) {
    equal(cluster.newestView.proto, protoMax)
    old.node.leave()
    cluster.runUntil(() => !old.isAlive, { withinMs: 30_000 })
    const [through] = cluster.alive()
    assert(through !== undefined, "three remain")
    cluster.start({ seeds: [through.address], address: old.address, protoMax: protoMax + 1 })
    cluster.runUntil(() => cluster.newestView.members.length === 4 && cluster.unfinished() === undefined, {
      withinMs: 20_000,
    })
  }
  cluster.runUntil(() => cluster.newestView.proto === protoMax + 1, { withinMs: 2_000 })
  for (let i = 0; i < 20; i++) equal(client.get(`k${i}`).text, `v${i}`)

  // From now on one that does not speak it is told so, and stays out.
  const [through] = cluster.alive()
  assert(through !== undefined, "four are there")
  const late = cluster.start({ seeds: [through.address] })
  cluster.run(5_000)
  equal(late.node.phase, "joining")
  equal(cluster.newestView.members.length, 4)
  deepEqual(cluster.violations, [])
})

for (const [place, who] of [
  [0, "the leader"],
  [2, "a voter"],
] as const)
  test(`${who} computes views differently than the others: it is voted out, refuses everything, and harms nobody`, () => {
    let made = 0
    const makeNode = (options: NodeOptions) => {
      made += 1
      if (made !== place + 1) return new CacheNode(options)
      const skewed: typeof apply = (view, commands, placement, rules) => {
        const next = apply(view, commands, placement, rules)
        // As if it made something else of a removal.
        return commands.some(({ kind }) => kind === "remove") ? { ...next, hash: next.hash ^ 1 } : next
      }
      return new CacheNode({ ...options, shared: { placement: new Placement(), apply: skewed } })
    }
    // What becomes of views is what this is about; all promises to clients are kept.
    const checkers = allCheckers.filter(make => make !== oneViewPerEpoch)
    const cluster = simulatedCluster({ nodes: 5, seed: 22, makeNode, checkers, config: { copies: 3 } })
    cluster.run(2_000)
    const skewed = cluster.processes[place]
    const victim = cluster.alive().findLast(process => process !== skewed)
    assert(skewed !== undefined && victim !== undefined, "five nodes were started")
    cluster.crash(victim)
    cluster.runUntil(() => cluster.newestView.members.every(({ id }) => id !== skewed.id && id !== victim.id), {
      withinMs: 10_000,
    })
    cluster.run(5_000)
    const others = cluster.alive().filter(process => process !== skewed)
    ok(others.every(({ node }) => node.status().hasLease))
    const client = cluster.client(others)
    for (let i = 0; i < 20; i++) equal(client.set(`k${i}`, "v").kind, "stored")
    deepEqual(cluster.violations, [])
  })
