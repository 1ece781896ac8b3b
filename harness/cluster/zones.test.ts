/** Copies stand in different zones, as `dcache status --json` shows it, and a zone that fails takes no data with it. */
import { equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { openWay } from "./access.ts"
import { startCommand } from "./command-row.ts"
import { NodeBench } from "./node-bench.ts"

test("four nodes in two zones: every shard has a copy in each, so that one zone may fail", {
  timeout: 180_000,
}, async context => {
  const bench = new NodeBench(context)
  const nodes = await bench.cluster(
    { name: "east-1", args: ["--zone", "east"] },
    { name: "east-2", args: ["--zone", "east"] },
    { name: "west-1", args: ["--zone", "west"] },
    { name: "west-2", args: ["--zone", "west"] },
  )
  const [first, , , last] = nodes
  ok(first && last)
  await bench.report(last, "no shard whose copies crowd in one zone", ({ crowded }) => crowded === 0)
  const args = ["status", "--json", "--node", last.process.address, "--timeout", "30s"]
  const status = JSON.parse((await startCommand(bench.command, args).answer).out.toString())
  equal(status.crowded, 0)
  equal(status.underReplicated, 0)
  equal(status.members.map(({ zone }: { zone: string }) => zone).join(), "east,east,west,west")

  const keys = Array.from({ length: 100 }, (_, i) => `key:${i}`)
  const way = await openWay({ nodes: bench.addressesOf(nodes), routing: "to-primary", deadlineMs: 60_000 })
  for (const key of keys) equal((await way.perform({ key, op: "set", value: key })).ending.kind, "done")
  // A majority of the four voters must remain, so the second one of the zone goes when the first is out.
  const [, second, ...west] = nodes
  ok(second)
  await bench.kill(first)
  await bench.complete([second, ...west])
  await bench.kill(second)
  for (const key of keys) equal((await way.perform({ key, op: "get" })).value, key)
  await way.close()
})
