/** Real clusters are stopped with `dcache shutdown`, started again in another order, and are what they were. */
import { deepEqual, equal, match, ok } from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { Prng } from "../../src/base/prng.ts"
import { openWay } from "./access.ts"
import { startCheckedLoad } from "./checked-load.ts"
import { checkRow, startCommand } from "./command-row.ts"
import { type BenchNode, NodeBench } from "./node-bench.ts"
import { until } from "./until.ts"

function dataOf(bench: NodeBench, name: string): string {
  return join(bench.directory, `data-${name}`)
}

/** What a node is told that keeps what it holds. */
function keeping(bench: NodeBench, name: string): { name: string; args: string[] } {
  return { name, args: ["--data", dataOf(bench, name)] }
}

async function shutdown(bench: NodeBench, through: BenchNode, ...args: string[]) {
  return startCommand(bench.command, ["shutdown", "--yes", "--node", through.process.address, ...args]).answer
}

test("under load: stopped, started again in another order, everything acknowledged is there", {
  timeout: 180_000,
}, async context => {
  const bench = new NodeBench(context)
  const nodes = await bench.cluster(...["n1", "n2", "n3", "n4"].map(name => keeping(bench, name)))
  const [first] = nodes
  const [before] = await bench.complete(nodes)
  ok(first && before)
  const load = await startCheckedLoad({
    ...{
      nodes: bench.addressesOf(nodes),
      prng: new Prng(5),
      keyCount: 80,
      processCount: 8,
      rate: 120,
      deadlineMs: 30_000,
    },
  })
  context.after(() => load.end())
  await bench.eventually(
    async () => ((await first.observer.status(2_000))?.entries ?? 0) > 20,
    () => "the load to write something",
  )
  const stopped = await shutdown(bench, first)
  equal(stopped.code, 0, stopped.err)
  match(stopped.out.toString(), /^the cluster is stopped: 4 nodes wrote \d+ entries/)
  const ends = await Promise.all(nodes.map(({ process }) => process.ended))
  deepEqual(
    ends.map(({ code }) => code),
    [0, 0, 0, 0],
    "each ends as it should",
  )
  for (const { name } of nodes) ok(readdirSync(dataOf(bench, name)).includes("snapshot"))

  // Neither asked to join anybody, nor in the order of before.
  const again: BenchNode[] = []
  for (const node of nodes.toReversed())
    again.push(await bench.start(node.name, { at: node, args: keeping(bench, node.name).args }))
  const [after] = await bench.complete(again)
  equal(after?.clusterId, before.clusterId)
  deepEqual(
    after.members.map(({ id }) => id),
    before.members.map(({ id }) => id),
    "the same members",
  )
  // Each removes it when it has seen that the cluster goes on.
  const leftOver = () => nodes.flatMap(({ name }) => readdirSync(dataOf(bench, name)).filter(file => file !== "owner"))
  await bench.eventually(
    async () => leftOver().length === 0,
    () => `snapshots to be used once, and gone: ${leftOver().join()}`,
  )
  const { verdict, violations, lostWrites } = await load.stop(bench.addressesOf(again))
  deepEqual({ verdict, violations, lostWrites }, { verdict: "consistent", violations: [], lostWrites: 0 })
})

test("while one is missing the others wait and refuse in words; one whose snapshot is damaged joins as a new node", {
  timeout: 180_000,
}, async context => {
  const bench = new NodeBench(context)
  const nodes = await bench.cluster(...["n1", "n2", "n3"].map(name => keeping(bench, name)))
  const [first, second, third] = nodes
  ok(first && second && third)
  const keys = Array.from({ length: 300 }, (_, i) => `key:${i}`)
  const way = await openWay({ nodes: bench.addressesOf(nodes), routing: "to-primary", deadlineMs: 30_000 })
  for (const key of keys) equal((await way.perform({ key, op: "set", value: key })).ending.kind, "done")
  await way.close()
  const stopped = JSON.parse((await shutdown(bench, second, "--json")).out.toString())
  deepEqual([stopped.stopped, stopped.problems, stopped.members.length], [true, [], 3])
  await Promise.all(nodes.map(({ process }) => process.ended))

  const damaged = join(dataOf(bench, "n3"), "snapshot")
  const bytes = readFileSync(damaged)
  bytes[bytes.length - 100] = 255 - (bytes[bytes.length - 100] as number) // it is longer than that
  writeFileSync(damaged, bytes)

  const firstAgain = await bench.start("n1", { at: first, args: keeping(bench, "n1").args })
  await bench.says(
    firstAgain,
    new RegExp(`resuming with .*waiting for .*${third.process.address}.*dcache recover`, "s"),
  )
  const at = ["--node", first.process.address, "--timeout", "1s"]
  const refused = { args: ["get", "key:1", ...at], code: 3, err: /the whole cluster is stopped/ }
  await checkRow(bench.command, { ...refused, because: "nothing is served before all are back" })
  const secondAgain = await bench.start("n2", { at: second, args: keeping(bench, "n2").args })
  const thirdAgain = await bench.start("n3", { at: third, args: keeping(bench, "n3").args })
  await bench.says(
    thirdAgain,
    /n3\/snapshot cannot be used: block \d+ is damaged.*snapshot\.refused\. It joins as a new node/s,
  )
  await bench.complete([firstAgain, secondAgain, thirdAgain])
  const later = await openWay({ nodes: bench.addressesOf([thirdAgain]), routing: "to-primary", deadlineMs: 30_000 })
  for (const key of keys) equal((await later.perform({ key, op: "get" })).value, key)
  await later.close()
})

test("one that comes when the cluster has gone on is told so, and joins as a new node", {
  timeout: 180_000,
}, async context => {
  const bench = new NodeBench(context)
  const nodes = await bench.cluster(...["n1", "n2", "n3"].map(name => keeping(bench, name)))
  const [first, second, third] = nodes
  ok(first && second && third)
  equal((await shutdown(bench, first)).code, 0)
  await Promise.all(nodes.map(({ process }) => process.ended))
  const firstAgain = await bench.start("n1", { at: first, args: keeping(bench, "n1").args })
  const secondAgain = await bench.start("n2", { at: second, args: [...keeping(bench, "n2").args, "--bootstrap"] })
  await bench.complete([firstAgain, secondAgain])
  const thirdAgain = await bench.start("n3", { at: third, args: keeping(bench, "n3").args })
  await bench.says(thirdAgain, /the cluster has gone on to epoch \d+ without this node.*It joins as a new node/s)
  await bench.complete([firstAgain, secondAgain, thirdAgain])
})

test("a directory that another node uses, or nobody can, is refused in words; a script must say --yes", {
  timeout: 120_000,
}, async context => {
  const bench = new NodeBench(context)
  const node = await bench.start("n1", { args: keeping(bench, "n1").args })
  await bench.complete([node])
  const data = dataOf(bench, "n1")
  const started = ["node", "--listen", "127.0.0.1:0", "--hint-file", "none", "--data"]
  await checkRow(bench.command, {
    args: [...started, data],
    code: 3,
    err: /is the directory of process \d+, another node: give each node a --data of its own/,
    because: "one directory, one node",
  })
  await checkRow(bench.command, {
    args: [...started, join(data, "owner", "x")],
    code: 3,
    err: /cannot be used to keep data in: a part of the path is no directory/,
    because: "there can be no such directory",
  })
  await checkRow(bench.command, {
    args: [...started, join(data, "owner")],
    code: 3,
    err: /cannot be used to keep data in: a file of that name is there/,
    because: "it is a file",
  })
  if (process.platform === "linux")
    await checkRow(bench.command, {
      args: [...started, "/proc/dcache"],
      code: 3,
      err: /cannot be used to keep data in: it is not there, and cannot be made$/m,
      because: "nothing can be made there, and trying must end",
    })
  const unconfirmed = await startCommand(bench.command, ["shutdown", "--node", node.process.address]).answer
  equal(unconfirmed.code, 2)
  match(unconfirmed.err, /All 1 member of cluster .* will stop\..*n1 will keep what it holds.*say --yes/s)
  equal((await bench.report(node, "to go on", () => true)).phase, "member")
})

test("a full disk is said by the node and by the command; when there is room, what the node holds is written", {
  timeout: 120_000,
}, async context => {
  const bench = new NodeBench(context)
  const data = mkdtempSync(join(tmpdir(), "dcache-small-"))
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", data], { stdio: "pipe" })
  } catch {
    rmSync(data, { recursive: true })
    return context.skip("mounting a small file system is not permitted here")
  }
  // The bench has ended its nodes by then.
  context.after(() => {
    execFileSync("umount", ["--lazy", data])
    rmSync(data, { recursive: true })
  })
  const args = ["--data", data]
  const node = await bench.start("n1", { args })
  await bench.complete([node])
  const way = await openWay({ nodes: [node.process.address], routing: "to-primary", deadlineMs: 30_000 })
  const value = "v".repeat(100_000)
  for (let i = 0; i < 30; i++) await way.perform({ key: `key:${i}`, op: "set", value })
  await way.close()
  const command = await shutdown(bench, node, "--deadline", "3s")
  equal(command.code, 4)
  match(command.err, /n1 could not write down what it holds: the disk is full/)
  await bench.says(node, /what this node holds cannot be written: the disk is full; it tries again/)
  deepEqual(readdirSync(data), ["owner"])
  execFileSync("mount", ["-o", "remount,size=16m", data])
  equal((await node.process.ended).code, 0)
  match(node.process.tail, /stopped: 30 entries \(2\.8\d MiB\) written to/)
  const again = await bench.start("n1", { at: node, args })
  equal((await bench.complete([again]))[0]?.entries, 30)
  await bench.kill(again)
})

test("killed while it writes, at whatever moment: all of it is there afterwards, or nothing that a start would take for it", {
  timeout: 240_000,
}, async context => {
  const bench = new NodeBench(context)
  const prng = new Prng(11)
  const value = "v".repeat(10_000)
  const keys = Array.from({ length: 3_000 }, (_, i) => `key:${i}`)
  const ends = new Set<string>()
  for (let round = 0; round < 5; round++) {
    const name = `round${round}`
    const data = dataOf(bench, name)
    // With room for all of them: what is forgotten for want of memory is another story.
    const args = [...keeping(bench, name).args, "--memory", "256MiB"]
    const node = await bench.start(name, { args })
    await bench.complete([node])
    const way = await openWay({ nodes: [node.process.address], routing: "to-primary", deadlineMs: 30_000 })
    for (let i = 0; i < keys.length; i += 100)
      await Promise.all(keys.slice(i, i + 100).map(key => way.perform({ key, op: "set", value })))
    await way.close()
    const command = shutdown(bench, node)
    // The last one is killed when it is all there, before it has ended.
    const killAtBytes = round === 4 ? Number.POSITIVE_INFINITY : prng.between(0, keys.length * value.length)
    const written = () => (existsSync(join(data, "snapshot.new")) ? statSync(join(data, "snapshot.new")).size : 0)
    await until(() => existsSync(join(data, "snapshot")) || written() > killAtBytes, {
      ...{ withinMs: 60_000, everyMs: 1, what: () => "it to write" },
    })
    await bench.kill(node)
    await command
    const wasWhole = existsSync(join(data, "snapshot"))
    ends.add(wasWhole ? "whole" : "none")
    const again = await bench.start(`${name} again`, { at: node, args })
    const [report] = await bench.complete([again])
    equal(report?.entries, wasWhole ? keys.length : 0)
    await bench.eventually(
      async () => readdirSync(data).join() === "owner",
      () => `nothing half-written to be left: ${readdirSync(data).join()}`,
    )
    await bench.kill(again)
  }
  ok(ends.has("whole") && ends.has("none"), [...ends].join())
})
