/** All nodes of a cluster are killed at once, and started again with nothing but their hint files. */
import { equal, notEqual, ok } from "node:assert/strict"
import { test } from "node:test"
import { openWay } from "./access.ts"
import { NodeBench } from "./node-bench.ts"

test("killed all at once and started again, three nodes wait for one another and form one cluster", {
  timeout: 120_000,
}, async context => {
  const bench = new NodeBench(context)
  const nodes = await bench.cluster({ name: "first" }, { name: "second" }, { name: "third" })
  const [before] = await bench.complete(nodes)
  const [first, second, third] = nodes
  ok(first && second && third && before)
  // The file follows the view at a distance; what is written is what counts.
  await bench.eventually(
    () => nodes.every(node => bench.hintOf(node)?.addresses.length === 3),
    () => "every hint file to name three",
  )
  await bench.kill(...nodes)

  const secondAgain = await bench.start("second again", { at: second })
  const thirdAgain = await bench.start("third again", { at: third })
  await bench.says(secondAgain, new RegExp(`waiting for .*${first.process.address}.*--bootstrap`))
  equal((await secondAgain.observer.status(10_000))?.phase, "joining")
  equal((await thirdAgain.observer.status(10_000))?.phase, "joining")

  const firstAgain = await bench.start("first again", { at: first })
  const [after] = await bench.complete([firstAgain, secondAgain, thirdAgain])
  notEqual(after?.clusterId, before.clusterId)
  const way = await openWay({ nodes: [thirdAgain.process.address], routing: "to-primary", deadlineMs: 30_000 })
  equal((await way.perform({ key: "k", op: "set", value: "v" })).ending.kind, "done")
  await way.close()
})

test("if one never returns, --bootstrap forms a cluster that those who wait join", {
  timeout: 120_000,
}, async context => {
  const bench = new NodeBench(context)
  const nodes = await bench.cluster({ name: "first" }, { name: "second" }, { name: "third" })
  const [first, second] = nodes
  ok(first && second)
  await bench.eventually(
    () => nodes.every(node => bench.hintOf(node)?.addresses.length === 3),
    () => "every hint file to name three",
  )
  await bench.kill(...nodes)
  const secondAgain = await bench.start("second again", { at: second })
  const firstAgain = await bench.start("first again", { at: first, args: ["--bootstrap"] })
  await bench.complete([firstAgain, secondAgain])
})
