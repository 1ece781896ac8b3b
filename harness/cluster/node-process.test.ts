import { equal, match, notEqual, ok } from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { test } from "node:test"
import { Prng } from "../../src/base/prng.ts"
import { freePorts } from "./free-ports.ts"
import { NodeProcess, type NodeProcessOptions } from "./node-process.ts"
import { until } from "./until.ts"

/** Stands in for a node: says what it was given, and lives until something ends it. */
const fakeNode = `
  const { exitWithParent } = await import(${JSON.stringify(new URL("../../src/host/parent-watch.ts", import.meta.url).href)})
  exitWithParent(process.env)
  setInterval(() => {}, 1_000)
  console.log("started " + process.argv.slice(1).join(" "))
`
const options: NodeProcessOptions = {
  command: { file: process.execPath, args: ["--input-type=module", "-e", fakeNode, "--"] },
  name: "n1",
  listen: "127.0.0.1:20001",
  join: ["127.0.0.1:20000"],
  extraArgs: ["--copies", "2"],
  directory: tmpdir(),
}

test("a node is given its address, its name and its seeds, and its last lines are kept", async () => {
  const node = new NodeProcess(options)
  await until(() => node.tail !== "", { withinMs: 10_000, what: "the first line" })
  equal(node.tail, "started node --listen 127.0.0.1:20001 --name n1 --join 127.0.0.1:20000 --copies 2")
  node.kill()
  equal((await node.ended).signal, "SIGKILL")
})

test("a command that cannot be started is an end with a reason, not an exception", async () => {
  const node = new NodeProcess({ ...options, command: { file: "/nowhere/dcache", args: [] } })
  const end = await node.ended
  equal(end.signal, null)
  match(node.tail, /ENOENT/)
})

test("a paused node stands still, lives, and goes on when it is resumed", async () => {
  const node = new NodeProcess(options)
  await until(() => node.tail !== "", { withinMs: 10_000, what: "the first line" })
  node.pause()
  await until(() => processState(node.pid) === "T", { withinMs: 2_000, what: "the stop" })
  equal(node.end, undefined)
  node.resume()
  await until(() => processState(node.pid) !== "T", { withinMs: 2_000, what: "the continuation" })
  node.kill()
  await node.ended
})

/** Starts two nodes, stops the second, prints both process numbers. */
const parent = `
  const { NodeProcess } = await import(${JSON.stringify(new URL("node-process.ts", import.meta.url).href)})
  const nodes = [0, 1].map(() => new NodeProcess(JSON.parse(process.argv[1])))
  const timer = setInterval(() => {
    if (nodes.some(node => node.tail === "")) return
    clearInterval(timer)
    nodes[1].pause()
    console.log(nodes.map(node => node.pid).join(" "))
  }, 20)
`

test("children end with a parent that is killed outright, a paused child too", { timeout: 20_000 }, async () => {
  const child = spawn(process.execPath, ["--input-type=module", "-e", parent, "--", JSON.stringify(options)], {
    stdio: ["ignore", "pipe", "inherit"],
  })
  const [line] = (await once(child.stdout, "data")) as [Buffer] // no encoding is set: chunks are buffers
  const pids = line.toString().trim().split(" ").map(Number)
  equal(pids.length, 2)
  for (const pid of pids) notEqual(processState(pid), undefined)
  child.kill("SIGKILL")
  await until(() => pids.every(pid => processState(pid) === undefined), {
    withinMs: 10_000,
    what: "the children's end",
  })
})

test("free ports are distinct and below the range of outgoing connections", async () => {
  const ports = await freePorts(20, new Prng(1))
  equal(new Set(ports).size, 20)
  for (const port of ports) ok(port >= 20_000 && port < 32_768)
})

/** The letter of /proc/PID/stat, "T" for stopped; undefined when the process is gone or a zombie. */
function processState(pid: number | undefined): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
    const state = stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3)
    return state === "Z" ? undefined : state
  } catch {
    return undefined // no such process
  }
}
