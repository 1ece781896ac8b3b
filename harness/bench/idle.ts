/**
 * CPU of an idle member of twenty, voters and others apart, and of a bare process with the same frames beside it: at the same time,
 * because what a wake-up costs depends on what else the machine does.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { setTimeout as sleep } from "node:timers/promises"
import path from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { Prng } from "../../src/base/prng.ts"
import { defaultConfig } from "../../src/config.ts"
import { cpuSecondsOf } from "../cluster/cpu.ts"
import { Fleet } from "../cluster/fleet.ts"
import { freePorts } from "../cluster/free-ports.ts"
import { startCluster } from "../cluster/start.ts"
import { formatTable } from "./format-table.ts"
import { parseCount } from "./options.ts"

const nodeCount = 20
/** After the last copy is there: what started late, a compiler included, is done, and so are the rehearsals of losses. */
const restMs = 25_000

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "20" },
    program: { type: "string", default: fileURLToPath(new URL("../../dcache", import.meta.url)) },
    json: { type: "boolean", default: false },
  },
})
const seconds = parseCount("--seconds", values.seconds)
const program = path.resolve(values.program)
const aim = 1.5
const prng = new Prng(1)
const interruption = new AbortController()
process.once("SIGINT", () => interruption.abort())

const members = await startMembers()
const bare = await startBareProcesses()
try {
  await sleep(restMs, undefined, { signal: interruption.signal })
  const shares = await measured([...members.processes, ...bare.processes])
  const found = (["voter", "other"] as const).map(kind => {
    const of = (processes: readonly Idle[]) =>
      processes.filter(({ isVoter }) => isVoter === (kind === "voter")).map(({ pid }) => shares.get(pid) ?? 0)
    const [ours, bareShare] = [of(members.processes), average(of(bare.processes))]
    const [share, least, most] = [average(ours), Math.min(...ours), Math.max(...ours)]
    return { kind, count: ours.length, share, least, most, bareShare, times: share / bareShare }
  })
  if (values.json) console.log(JSON.stringify({ seconds, aim, found }, null, 2))
  else {
    const rows = found.map(({ kind, count, share, least, most, bareShare, times }) => [
      kind,
      ...[String(count), percent(share), `${percent(least)} to ${percent(most)}`, percent(bareShare), times.toFixed(2)],
    ])
    console.log(formatTable(["MEMBER", "COUNT", "OF A CORE", "FROM, TO", "BARE PROCESS", "TIMES"], rows, 1))
    console.log(`aim: ${aim} times`)
  }
} finally {
  await members.end()
  await bare.end()
}

type Idle = { readonly pid: number; readonly isVoter: boolean }
type Started = { readonly processes: readonly Idle[]; end(): Promise<void> }

async function startMembers(): Promise<Started> {
  const command = program.endsWith(".ts") ? { file: process.execPath, args: [program] } : { file: program, args: [] }
  const fleet = new Fleet({ command, nodeArgs: [], prng, signal: interruption.signal })
  try {
    await fleet.reservePorts(nodeCount)
    await startCluster(fleet, { nodeCount, prng, nowMs: () => performance.now() })
    const [sighting] = await fleet.atRest(60_000, () => {})
    const voters = new Set(sighting?.report?.members.filter(member => member.voter).map(member => member.id))
    const processes = fleet.nodes.map(node => ({
      pid: node.process.pid ?? 0,
      isVoter: voters.has(node.observer.lastReport?.id ?? ""),
    }))
    // Our own connections would cost them something.
    for (const node of fleet.nodes) node.observer.close()
    return { processes, end: () => fleet.endAll() }
  } catch (error) {
    await fleet.endAll()
    throw error
  }
}

async function startBareProcesses(): Promise<Started> {
  const ports = await freePorts(nodeCount, prng)
  const script = fileURLToPath(new URL("idle-bare.ts", import.meta.url))
  const { maxVoters, beatMs } = defaultConfig
  const children: ChildProcess[] = ports.map((_, index) =>
    spawn(process.execPath, [script, ...[index, maxVoters, beatMs, ...ports].map(String)], {
      stdio: ["pipe", "inherit", "inherit"],
    }),
  )
  return {
    processes: children.map((child, index) => ({ pid: child.pid ?? 0, isVoter: index < maxVoters })),
    end: async () => {
      for (const child of children) child.kill("SIGKILL")
    },
  }
}

/** Shares of a core that these processes use. */
async function measured(processes: readonly Idle[]): Promise<ReadonlyMap<number, number>> {
  const fromMs = performance.now()
  const before = processes.map(({ pid }) => cpuSecondsOf(pid))
  await sleep(seconds * 1_000, undefined, { signal: interruption.signal })
  const tookSeconds = (performance.now() - fromMs) / 1_000
  return new Map(processes.map(({ pid }, i) => [pid, (cpuSecondsOf(pid) - (before[i] ?? 0)) / tookSeconds]))
}

function average(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

function percent(share: number): string {
  return `${(share * 100).toFixed(2)} %`
}
