/** Stories of members that are taken for dead, and of who is removed then: what a review of the rules found, once each. */
import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { assert } from "../../src/base/assert.ts"
import type { Rules } from "../../src/core/rules.ts"
import { simulatedCluster } from "./cluster.ts"
import type { SimulatedProcess } from "./process.ts"

for (const nodes of [2, 3, 5])
  test(`${nodes} nodes that were all cut from each other for 3 s all stay members when the cuts heal`, () => {
    // Meanwhile each one suspects all the others, and would remove them if anybody could decide.
    const cluster = simulatedCluster({ nodes, seed: 5 })
    cluster.run(3_000)
    const { members } = cluster.newestView
    cluster.partition(cluster.alive().map(process => [process]))
    cluster.run(3_000)
    cluster.heal()
    cluster.run(5_000)
    deepEqual(
      cluster.newestView.members.map(({ id, since }) => [id, since]),
      members.map(({ id, since }) => [id, since]),
    )
    deepEqual(cluster.violations, [])
  })

test("a member whose voters were all replaced while it was cut off is admitted again", () => {
  const cluster = simulatedCluster({ nodes: 4, seed: 7 })
  cluster.run(3_000)
  const [first, second, third, lonely] = cluster.alive()
  assert(first && second && third && lonely, "four nodes were started")
  cluster.isolate(lonely)
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
})

test("writes go on when a primary and its replica are cut from each other alone", () => {
  const cluster = simulatedCluster({ nodes: 4, seed: 7 })
  cluster.run(3_000)
  const [asked, primary, replica] = cluster.alive()
  assert(asked && primary && replica, "four nodes were started")
  let key = "k0"
  for (let i = 0; cluster.primaryOf(key) !== primary || cluster.backupsOf(key)[0] !== replica; i++) key = `k${i}`
  const client = cluster.client(asked)
  equal(client.set(key, "before").kind, "stored")
  cluster.partition([[primary], [replica]])
  cluster.run(10_000)
  equal(client.set(key, "after").kind, "stored")
  deepEqual(cluster.violations, [])
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
