/**
 * CPU of an idle member of twenty, voters and others apart, and of a bare process with the same frames beside it.
 *
 *     node harness/bench/idle.ts [seconds] [program]                 20 s each, ./dcache
 */
import { type ChildProcess, spawn } from "node:child_process"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { Prng } from "../../src/base/prng.ts"
import { defaultConfig } from "../../src/config.ts"
import { cpuSecondsOf } from "../cluster/cpu.ts"
import { Fleet } from "../cluster/fleet.ts"
import { freePorts } from "../cluster/free-ports.ts"
import { startCluster } from "../cluster/start.ts"

const nodeCount = 20
/** After the last copy is there: what started late, a compiler included, is done, and so are the rehearsals of losses. */
const restMs = 25_000

const seconds = Number(process.argv[2] ?? 20)
const program = process.argv[3] ?? fileURLToPath(new URL("../../dcache", import.meta.url))
const prng = new Prng(1)
const interruption = new AbortController()
process.once("SIGINT", () => interruption.abort())

const members = await idleMembers()
const bare = await idleBareProcesses()
for (const kind of ["voter", "other"] as const) {
  const [ours, least] = [average(members[kind]), average(bare[kind])]
  console.log(
    `${kind.padEnd(6)} ${percent(ours)} of a core (${members[kind].length} of them, ${percent(Math.min(...members[kind]))} to ` +
      `${percent(Math.max(...members[kind]))}); bare process ${percent(least)}; ${(ours / least).toFixed(2)} times (aim: 1.5)`,
  )
}

type Shares = { readonly voter: readonly number[]; readonly other: readonly number[] }

async function idleMembers(): Promise<Shares> {
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
    return await measured(processes)
  } finally {
    await fleet.endAll()
  }
}

async function idleBareProcesses(): Promise<Shares> {
  const ports = await freePorts(nodeCount, prng)
  const script = fileURLToPath(new URL("idle-bare.ts", import.meta.url))
  const { maxVoters, beatMs } = defaultConfig
  const children: ChildProcess[] = ports.map((_, index) =>
    spawn(process.execPath, [script, ...[index, maxVoters, beatMs, ...ports].map(String)], {
      stdio: ["pipe", "inherit", "inherit"],
    }),
  )
  try {
    return await measured(children.map((child, index) => ({ pid: child.pid ?? 0, isVoter: index < maxVoters })))
  } finally {
    for (const child of children) child.kill("SIGKILL")
  }
}

/** Shares of a core that these processes use, by what they are. */
async function measured(processes: readonly { pid: number; isVoter: boolean }[]): Promise<Shares> {
  await sleep(restMs, undefined, { signal: interruption.signal })
  const fromMs = performance.now()
  const before = processes.map(({ pid }) => cpuSecondsOf(pid))
  await sleep(seconds * 1_000, undefined, { signal: interruption.signal })
  const tookSeconds = (performance.now() - fromMs) / 1_000
  const shares = processes.map(({ pid, isVoter }, i) => ({
    isVoter,
    share: (cpuSecondsOf(pid) - (before[i] ?? 0)) / tookSeconds,
  }))
  return {
    voter: shares.filter(each => each.isVoter).map(each => each.share),
    other: shares.filter(each => !each.isVoter).map(each => each.share),
  }
}

function average(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`
}
