/**
 * Two nodes on one machine: the death of either is seen and proved, where both see the same processes, and nowhere else.
 * The clock of a test counts from the kill to the first answer of the survivor for every key.
 */
import { equal, match, ok } from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { test } from "node:test"
import { openWay } from "./access.ts"
import { startCommand } from "./command-row.ts"
import { type BenchNode, NodeBench } from "./node-bench.ts"

/** Asked again and again, since a node refuses while it does not know; a busy machine may take ten times the promise. */
const deadlineMs = 30_000
const keys = Array.from({ length: 40 }, (_, i) => `key:${i}`)

async function fill(node: BenchNode): Promise<void> {
  const way = await openWay({ nodes: [node.process.address], routing: "to-primary", deadlineMs })
  for (const key of keys) equal((await way.perform({ key, op: "set", value: `of ${key}` })).ending.kind, "done")
  await way.close()
}

/** Every key is there, and can be written. */
async function checkAll(node: BenchNode): Promise<void> {
  const way = await openWay({ nodes: [node.process.address], routing: "to-primary", deadlineMs })
  for (const key of keys) equal((await way.perform({ key, op: "get" })).value, `of ${key}`)
  for (const key of keys) equal((await way.perform({ key, op: "set", value: `of ${key}` })).ending.kind, "done")
  await way.close()
}

for (const victim of ["first", "second"] as const) {
  test(`two nodes: after kill -9 of the ${victim}, the other serves everything`, {
    timeout: 120_000,
  }, async context => {
    const bench = new NodeBench(context)
    const [first, second] = await bench.cluster({ name: "first" }, { name: "second" })
    ok(first && second)
    const [dying, survivor] = victim === "first" ? [first, second] : [second, first]
    await fill(first)
    await bench.kill(dying)
    const killedAtMs = performance.now()
    await checkAll(survivor)
    context.diagnostic(`served everything ${Math.round(performance.now() - killedAtMs)} ms after the kill`)
    await bench.complete([survivor])
  })
}

for (const victim of ["first", "witness"] as const) {
  test(`two nodes and a witness: after kill -9 of the ${victim}, all is served`, {
    timeout: 120_000,
  }, async context => {
    const bench = new NodeBench(context)
    const nodes = await bench.cluster({ name: "first" }, { name: "second" }, { name: "witness", args: ["--witness"] })
    const [, second] = nodes
    const dying = nodes.find(({ name }) => name === victim)
    ok(second && dying)
    const [report] = await bench.complete(nodes)
    equal(report?.members.find(({ name }) => name === "witness")?.replicas, 0)
    await fill(second)
    await bench.kill(dying)
    await checkAll(second)
    await bench.complete(nodes.filter(node => node !== dying))
  })
}

const unshare = { file: "unshare", args: ["--pid", "--fork", "--mount-proc", "--kill-child"] }
const canUnshare = spawnSync(unshare.file, [...unshare.args, "true"]).status === 0

test("a node of another pid namespace is never taken for dead: the survivor refuses, until a person vouches for it", {
  timeout: 120_000,
  skip: canUnshare ? false : "unshare --pid is not permitted here (root on Linux is needed)",
}, async context => {
  const bench = new NodeBench(context)
  const { file, args } = bench.command
  const inside = { file: unshare.file, args: [...unshare.args, file, ...args] }
  const first = await bench.start("first", { args: ["--log-level", "info"] })
  await bench.complete([first])
  const second = await bench.start("second", { command: inside, join: [first] })
  await bench.complete([first, second])
  await fill(first)
  await bench.kill(second) // and with it, by --kill-child, the node
  const refusing = await bench.report(first, "to refuse, for want of the other vote", ({ hasLease }) => !hasLease)
  equal(refusing.members.length, 2)
  // By then it has looked five times: ten times a second, from when the connection broke.
  ok(!first.process.tail.includes("death-known"), first.process.tail)
  match(first.process.tail, /suspected/)

  const at = ["--node", first.process.address, "--timeout", "10s"]
  const forget = (...args: string[]) => startCommand(bench.command, ["forget", ...args, ...at]).answer
  const unconfirmed = await forget("second")
  equal(unconfirmed.code, 2)
  match(unconfirmed.err, /second does not answer.*\n.*\n.*\ndcache forget: asks .* say --yes/s)
  equal((await bench.report(first, "to answer", () => true)).members.length, 2)
  const forgotten = await forget("second", "--yes")
  equal(forgotten.code, 0, forgotten.err)
  match(forgotten.out.toString(), /^second \(\w{16}, 127.0.0.1:\d+\) is forgotten/)
  await bench.complete([first])
  await checkAll(first)
})
