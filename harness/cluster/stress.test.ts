/** Real processes: `stress`, its nodes, and how both end. */
import { deepEqual, equal, match, ok, rejects } from "node:assert/strict"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { Prng } from "../../src/base/prng.ts"
import { parseHistory } from "../checker/history.ts"
import { openWay } from "./access.ts"
import { commandUnderTest } from "./command-under-test.ts"
import { usualFaultKinds } from "./fault-plan.ts"
import { Fleet } from "./fleet.ts"
import type { StressReport } from "./report.ts"
import { startCluster } from "./start.ts"
import { until } from "./until.ts"

const command = commandUnderTest()

test("five nodes answer consistently through every kind of fault", { timeout: 180_000 }, async () => {
  const directory = mkdtempSync(join(tmpdir(), "dcache-test-"))
  const [reportFile, historyFile] = [join(directory, "report.json"), join(directory, "history.jsonl")]
  const files = ["--report", reportFile, "--history", historyFile]
  const stress = startStress(
    "--nodes",
    "5",
    "--keys",
    "300",
    "--rate",
    "200",
    "--duration",
    "1s",
    "--seed",
    "1",
    ...files,
  )
  const [code] = await once(stress.child, "exit")
  equal(code, 0, stress.output())
  const report: StressReport = JSON.parse(readFileSync(reportFile, "utf8"))
  deepEqual(new Set(report.faults.map(fault => fault.kind)), new Set(usualFaultKinds))
  equal(report.verdict, "consistent")
  equal(report.lostWrites, 0)
  deepEqual(report.violations, [])
  ok(report.membership.everyNodeAgrees)
  deepEqual(report.membership.unexpectedRemovals, [])
  for (const { kind, failedOperations } of report.faults) {
    if (kind === "leave" || kind === "join") equal(failedOperations, 0, `operations failed in a ${kind}`)
  }
  const { operations, problems } = parseHistory(readFileSync(historyFile, "utf8"))
  deepEqual(problems, [])
  ok(operations.length > 1_000, `${operations.length} operations`)
  rmSync(directory, { recursive: true })
})

test("nodes that have memory for a third of the keys forget, and never answer an older value", {
  timeout: 180_000,
}, async () => {
  const directory = mkdtempSync(join(tmpdir(), "dcache-test-"))
  const reportFile = join(directory, "report.json")
  const size = ["--nodes", "4", "--memory", "16MiB", "--keys", "400"]
  const load = ["--rate", "300", "--duration", "8s", "--faults", "crash,restart", "--seed", "1"]
  const stress = startStress(...size, ...load, "--report", reportFile)
  const [code] = await once(stress.child, "exit")
  equal(code, 0, stress.output())
  const report: StressReport = JSON.parse(readFileSync(reportFile, "utf8"))
  deepEqual([report.verdict, report.memory], ["consistent", "forgetful"])
  ok(report.evicted > 0, "something was forgotten")
  match(stress.output(), /CONSISTENT: .* or that the key is missing/)
  rmSync(directory, { recursive: true })
})

test("twenty nodes, most of them started at once, report one member list", { timeout: 120_000 }, async () => {
  const prng = new Prng(2)
  const fleet = new Fleet({ command, nodeArgs: [], prng, signal: new AbortController().signal })
  try {
    await fleet.reservePorts(20)
    await startCluster(fleet, { nodeCount: 20, prng, nowMs: () => performance.now() })
    // Voters are still being appointed after that, so the lists are those of one moment when all agreed.
    const reports = (await fleet.agreed(60_000)).map(({ report }) => report)
    const lists = reports.map(report => `${report?.membersEpoch}: ${report?.members.map(member => member.id).join()}`)
    equal(new Set(lists).size, 1)
    equal(reports[0]?.members.length, 20)
  } finally {
    await fleet.endAll()
  }
})

test("a client to whom only the node that it dialed is open reaches every key through it", {
  timeout: 60_000,
}, async () => {
  // Every node tells clients to dial a port where nobody listens.
  const prng = new Prng(3)
  const nodeArgs = ["--advertise-client", "127.0.0.1:9"]
  const fleet = new Fleet({ command, nodeArgs, prng, signal: new AbortController().signal })
  try {
    await fleet.reservePorts(4)
    await startCluster(fleet, { nodeCount: 4, prng, nowMs: () => performance.now() })
    const [address = ""] = fleet.addresses
    const way = await openWay({ nodes: [address], routing: "to-primary", deadlineMs: 5_000 })
    const keys = Array.from({ length: 100 }, (_, i) => `key:${i}`)
    for (const key of keys) equal((await way.perform({ key, op: "set", value: key })).ending.kind, "done")
    for (const key of keys) equal((await way.perform({ key, op: "get" })).value, key)
    await way.close()
  } finally {
    await fleet.endAll()
  }
})

const endings = [
  { signal: "SIGINT", code: 130 },
  { signal: "SIGTERM", code: 130 },
  { signal: "SIGKILL", code: null },
] as const

for (const { signal, code } of endings)
  test(`${signal} to stress leaves no node behind`, { timeout: 60_000 }, async () => {
    const stress = startStress("--nodes", "3", "--faults", "none", "--duration", "10m")
    const isLoaded = () => stress.output().includes("report the same")
    await until(isLoaded, { withinMs: 40_000, what: () => `three nodes\n${stress.output()}` })
    const children = childrenOf(stress.child.pid)
    equal(children.length, 3)
    stress.child.kill(signal)
    const [exitCode] = await once(stress.child, "exit")
    equal(exitCode, code, stress.output())
    await until(() => children.every(pid => !isAlive(pid)), { withinMs: 10_000, what: "the nodes' end" })
  })

test("a report that cannot be written is told before any node is started", { timeout: 60_000 }, async () => {
  const stress = startStress("--nodes", "3", "--report", "/nowhere/report.json")
  const [code] = await once(stress.child, "exit")
  equal(code, 3)
  ok(stress.output().includes("cannot write /nowhere/report.json"), stress.output())
})

test("a node that ends by itself ends the start, in its own last words", { timeout: 60_000 }, async () => {
  const prng = new Prng(4)
  const failing = { file: process.execPath, args: ["-e", "console.error('no luck'); process.exit(3)", "--"] }
  const fleet = new Fleet({ command: failing, nodeArgs: [], prng, signal: new AbortController().signal })
  try {
    await fleet.reservePorts(2)
    const started = startCluster(fleet, { nodeCount: 2, prng, nowMs: () => performance.now() })
    await rejects(started, { name: "CouldNotRun", message: /^n1 ended by itself \(exit status 3\):\nno luck$/ })
  } finally {
    await fleet.endAll()
  }
})

function startStress(...args: string[]): { child: ChildProcess; output: () => string } {
  const child = spawn(command.file, [...command.args, "stress", ...args], { stdio: ["ignore", "pipe", "pipe"] })
  let output = ""
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (output += chunk))
  return { child, output: () => output }
}

function childrenOf(parent: number | undefined): number[] {
  const pids = readdirSync("/proc")
    .filter(name => /^\d+$/.test(name))
    .map(Number)
  return pids.filter(pid => statFields(pid)?.[1] === String(parent))
}

function isAlive(pid: number): boolean {
  const state = statFields(pid)?.[0]
  return state !== undefined && state !== "Z"
}

/** The fields of /proc/PID/stat after the name: state, parent, and so on; undefined: no such process. */
function statFields(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  } catch {
    return undefined // it ended
  }
}
