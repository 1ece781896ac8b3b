/** Three of five real nodes are killed at once: the other two refuse, until a person says that those are gone. */
import { equal, match, ok } from "node:assert/strict"
import { test } from "node:test"
import { shardOfKey } from "../../src/client/routes.ts"
import { openWay } from "./access.ts"
import { type Row, checkRow, startCommand } from "./command-row.ts"
import { NodeBench } from "./node-bench.ts"

test("a majority of the voters dies at once: dcache recover shows what is left, and goes on with it", {
  timeout: 180_000,
}, async context => {
  const bench = new NodeBench(context)
  const nodes = await bench.cluster(...["n1", "n2", "n3", "n4", "n5"].map(name => ({ name })))
  const [first, second] = nodes
  ok(first && second)
  const way = await openWay({ nodes: bench.addressesOf(nodes.slice(0, 2)), routing: "to-primary", deadlineMs: 30_000 })
  const keys = Array.from({ length: 200 }, (_, i) => `key:${i}`)
  for (const key of keys) equal((await way.perform({ key, op: "set", value: key })).ending.kind, "done")
  const at = ["--node", first.process.address, "--timeout", "5s"]
  const check = (row: Row) => checkRow(bench.command, row)
  const needless = /refused: this node hears a majority of the voters/
  await check({ args: ["recover", ...at], code: 5, err: needless, because: "nothing is wrong" })

  await bench.kill(...nodes.slice(2))
  await bench.report(first, "to refuse, for want of the other votes", ({ hasLease }) => !hasLease)
  const plan = await startCommand(bench.command, ["recover", ...at]).answer
  equal(plan.code, 0, plan.err)
  match(
    plan.out.toString(),
    /goes on with n1, n2\n +without n3, n4, n5\n.* keep their data; \d+ shards have no holder left/s,
  )
  equal((await bench.report(first, "to answer", () => true)).members.length, 5, "it was only shown")
  const unconfirmed = await startCommand(bench.command, ["recover", "--force", ...at]).answer
  equal(unconfirmed.code, 2)
  match(unconfirmed.err, /gone|say --yes/)

  const done = await startCommand(bench.command, ["recover", "--force", "--yes", ...at]).answer
  equal(done.code, 0, done.err)
  match(done.out.toString(), /^recovered: 2 members serve again; /)
  const [report] = await bench.complete([first, second])
  const { routes } = first.observer
  ok(report && routes)
  const lost = new Set(report.lost)
  for (const key of keys) {
    const { ending, value } = await way.perform({ key, op: "get" })
    equal(ending.kind, "done")
    equal(value, lost.has(shardOfKey(routes, new TextEncoder().encode(key))) ? null : key)
  }
  await way.close()
})
