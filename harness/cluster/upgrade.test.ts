/** A cluster of real nodes goes over to the next version of the program, node by node, under load. */
import { deepEqual, equal, match, ok } from "node:assert/strict"
import { test } from "node:test"
import { Prng } from "../../src/base/prng.ts"
import { startCheckedLoad } from "./checked-load.ts"
import { startCommand } from "./command-row.ts"
import { nextBuild } from "./next-build.ts"
import { NodeBench } from "./node-bench.ts"

test("replaced one by one under load, three nodes become three of the next version; nothing is lost, no operation fails", {
  timeout: 240_000,
}, async context => {
  const bench = new NodeBench(context)
  const next = await nextBuild(bench.directory)
  const nodes = await bench.cluster({ name: "n1" }, { name: "n2" }, { name: "n3" })
  const [before] = await bench.complete(nodes)
  const proto = before?.proto ?? 0
  const load = await startCheckedLoad({
    ...{ nodes: bench.addressesOf(nodes), prng: new Prng(1), keyCount: 60 },
    ...{ processCount: 8, rate: 150, deadlineMs: 20_000 },
  })
  context.after(() => load.end())

  for (const [place, old] of nodes.entries()) {
    equal((await bench.report(old, "a member", ({ phase }) => phase === "member")).proto, proto)
    old.process.terminate()
    equal((await old.process.ended).code, 0, old.process.tail)
    const join = nodes.filter(node => node !== old)
    nodes[place] = await bench.start(`${old.name} upgraded`, { at: old, join, command: next })
    await bench.complete(nodes)
  }
  const [first] = nodes
  ok(first)
  await bench.report(first, "the new protocol", report => report.proto === proto + 1)
  await bench.eventually(
    () => load.count() > 500,
    () => `500 operations, not ${load.count()}`,
  )

  const { verdict, violations, lostWrites, errorCodes } = await load.stop(bench.addressesOf(nodes))
  deepEqual({ verdict, violations, lostWrites }, { verdict: "consistent", violations: [], lostWrites: 0 })
  deepEqual(errorCodes, {})

  // The old version is of no use to this cluster any more, and is told so.
  const late = await startCommand(bench.command, ["node", "--join", first.process.address, "--listen", "127.0.0.1:0"], {
    env: { XDG_STATE_HOME: bench.directory },
  }).answer
  equal(late.code, 5, late.err)
  match(late.err, /this cluster speaks protocol \d+; start a node of the version that the cluster runs/)
})
