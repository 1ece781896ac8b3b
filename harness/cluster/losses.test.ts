/** Real nodes die under load: one after another nothing is lost; two at once, and it is said what. */
import { deepEqual, equal, match, ok } from "node:assert/strict"
import { test } from "node:test"
import { Prng } from "../../src/base/prng.ts"
import { shardOfKey } from "../../src/client/routes.ts"
import { openWay } from "./access.ts"
import { startCheckedLoad } from "./checked-load.ts"
import { startCommand } from "./command-row.ts"
import { NodeBench } from "./node-bench.ts"

const names = ["n1", "n2", "n3", "n4", "n5", "n6"]

test("half of the nodes die one after another, each as soon as copies are complete: nothing is lost", {
  timeout: 180_000,
}, async context => {
  const bench = new NodeBench(context)
  const nodes = await bench.cluster(...names.map(name => ({ name })))
  const prng = new Prng(7)
  const load = await startCheckedLoad({
    ...{ nodes: bench.addressesOf(nodes), prng, keyCount: 80, processCount: 8, rate: 120, deadlineMs: 20_000 },
  })
  context.after(() => load.end())
  const dying = prng.shuffled(nodes).slice(0, nodes.length / 2)
  let alive = nodes
  for (const node of dying) {
    await bench.kill(node)
    alive = alive.filter(other => other !== node)
    await bench.complete(alive)
  }
  const { verdict, violations, lostWrites } = await load.stop(bench.addressesOf(alive))
  deepEqual({ verdict, violations, lostWrites }, { verdict: "consistent", violations: [], lostWrites: 0 })
})

test("two of five die at once: the status says exactly which key ranges are lost, and all the others are intact", {
  timeout: 180_000,
}, async context => {
  const bench = new NodeBench(context)
  const nodes = await bench.cluster(...names.slice(0, 5).map(name => ({ name })))
  // Both of those that die hold their share.
  await bench.atRest(nodes)
  const [witness] = nodes
  ok(witness)
  const way = await openWay({ nodes: bench.addressesOf(nodes), routing: "to-primary", deadlineMs: 30_000 })
  const keys = Array.from({ length: 600 }, (_, i) => `key:${i}`)
  await Promise.all(
    keys.map(async key => equal((await way.perform({ key, op: "set", value: key })).ending.kind, "done")),
  )
  const dying = nodes.slice(3)
  await bench.kill(...dying)
  const alive = nodes.filter(node => !dying.includes(node))
  const [report] = await bench.complete(alive)
  const { routes } = witness.observer
  ok(report && routes)
  const lost = new Set(report.lost)
  ok(lost.size > 0 && lost.size < report.shardCount / 2, `${lost.size} shards`)

  const shardOf = (key: string) => shardOfKey(routes, new TextEncoder().encode(key))
  let gone = 0
  await Promise.all(
    keys.map(async key => {
      const { ending, value } = await way.perform({ key, op: "get" })
      equal(ending.kind, "done")
      if (lost.has(shardOf(key))) gone += 1
      equal(value, lost.has(shardOf(key)) ? null : key, `${key} of shard ${shardOf(key)}`)
    }),
  )
  ok(gone > 0, "some key was in what is lost")
  await way.close()

  const { code, out } = await startCommand(bench.command, ["status", "--node", witness.process.address]).answer
  equal(code, 0)
  match(out.toString(), new RegExp(`data lost: ${lost.size} shards? of ${report.shardCount} .* began anew, empty: \\d`))
  await bench.says(witness, new RegExp(`data lost: \\d+ shards? had no holder left`))
})
