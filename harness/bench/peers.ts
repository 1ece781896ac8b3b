/**
 * dcache beside other caches, each through the clients that programs use for it, in one run: operations a second and CPU an operation,
 * latencies of a lone caller, what an entry costs in memory, and what the loss of a primary does. A cache that fails, or
 * does not answer, is left out by name, with the reason.
 */
import { writeFileSync } from "node:fs"
import path from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { parseChoice, parseCount, UsageError } from "./options.ts"
import { reasonOf, within } from "./patience.ts"
import { chart } from "./peers/chart.ts"
import { dcacheFailover, type Failover, redisFailover } from "./peers/failover.ts"
import { installClients } from "./peers/installed.ts"
import { type EntryCost, entryCost } from "./peers/memory.ts"
import { ratios } from "./peers/ratios.ts"
import { failoverText, type Failovers, memoryText, ratioText, speedText } from "./peers/report.ts"
import { missing } from "./peers/servers.ts"
import { readShares, type Speed, speeds } from "./peers/speed.ts"
import { made, type Maker, type Peer, peerMakers } from "./peers/targets.ts"
import { Progress } from "./progress.ts"
import { modes } from "./throughput/measure.ts"

const parts = ["speed", "memory", "failover"] as const
const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    ms: { type: "string", default: "500" },
    entries: { type: "string", default: "5e6" },
    failovers: { type: "string", default: "5" },
    parts: { type: "string", default: "" },
    only: { type: "string", default: "" },
    svg: { type: "string" },
    program: { type: "string", default: fileURLToPath(new URL("../../dcache", import.meta.url)) },
    json: { type: "boolean", default: false },
  },
})
const rounds = parseCount("--rounds", values.rounds)
const ms = parseCount("--ms", values.ms)
const entries = parseCount("--entries", values.entries)
const failoverCount = parseCount("--failovers", values.failovers)
const chosen = parseChoice("--parts", values.parts, parts)
const program = path.resolve(values.program)
const command = program.endsWith(".ts") ? { file: process.execPath, args: [program] } : { file: program, args: [] }

/** Each of these has one server. */
const measuredForMemory: readonly Peer["name"][] = ["dcache, 1 node", "ioredis, auto-pipelining", "memcache-client"]
/** For setting all entries at a fifth of what is usual. */
const memoryWithinMs = 30_000 + entries / 40
const failoverWithinMs = 120_000
const closeWithinMs = 10_000
const failoverNames = [
  "dcache, 3 nodes, 2 copies",
  "Redis Cluster, 1 s time-out",
  "Redis Cluster, its own 15 s time-out",
] as const

const progress = new Progress()
const leftOut: string[] = []
const leave = (reason: string) => void leftOut.push(reason)
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130))

const names = [...peerMakers({ command, nodeArgs: [], memcachedMiB: 0 }).map(({ name }) => name), ...failoverNames]
if (!names.some(name => name.startsWith(values.only)))
  throw new UsageError(`--only: no cache begins so; there are ${names.map(name => JSON.stringify(name)).join(", ")}`)

installClients()
const speed = chosen.includes("speed") ? await allSpeeds() : []
const memory = chosen.includes("memory") ? await allEntryCosts() : []
const failovers = chosen.includes("failover") ? await allFailovers() : []
progress.end()
await print()
// What is left of a client that did not close must not keep this process.
process.exit()

function makers(options: { readonly nodeArgs: readonly string[]; readonly memcachedMiB: number }): Maker[] {
  return peerMakers({ command, ...options }).filter(({ name }) => name.startsWith(values.only))
}

async function allSpeeds(): Promise<Speed[]> {
  const targets: Peer[] = []
  try {
    for (const maker of makers({ nodeArgs: [], memcachedMiB: 1_024 })) {
      progress.show(`starting ${maker.name}`)
      const target = await made(maker, leave)
      if (target !== undefined) targets.push(target)
    }
    return await speeds(targets, { rounds, ms, progress: text => progress.show(text), leftOut: leave })
  } finally {
    for (const target of targets.toReversed()) await closed(target)
  }
}

/** One after another, each with a server of its own that has held nothing before. */
async function allEntryCosts(): Promise<EntryCost[]> {
  const costs: EntryCost[] = []
  const roomyMiB = 512 + Math.ceil((entries * 256) / 2 ** 20)
  const nodeArgs = ["--memory", `${roomyMiB}MiB`, "--eviction", "none"]
  for (const maker of makers({ nodeArgs, memcachedMiB: roomyMiB })) {
    if (!measuredForMemory.includes(maker.name)) continue
    const target = await made(maker, leave)
    if (target === undefined) continue
    try {
      const show = (done: number) =>
        progress.show(`memory, ${target.name}: ${done.toLocaleString("en")} of ${entries.toLocaleString("en")} entries`)
      costs.push(await entryCost(target, { entries, withinMs: memoryWithinMs, progress: show }))
    } catch (error) {
      leave(`${target.name}, memory: ${reasonOf(error)}`)
    } finally {
      await closed(target)
    }
  }
  return costs
}

/** The slowest Redis Cluster is run once: that takes as long as all the others together. */
async function allFailovers(): Promise<Failovers[]> {
  const kinds = [
    { name: failoverNames[0], count: failoverCount, run: () => dcacheFailover(command) },
    { name: failoverNames[1], count: failoverCount, run: () => redisFailover(1_000) },
    { name: failoverNames[2], count: 1, run: () => redisFailover(15_000) },
  ].filter(({ name }) => name.startsWith(values.only))
  const found: Failovers[] = []
  for (const { name, count, run } of kinds) {
    const problem = name.startsWith("Redis") ? missing("redis-server") : undefined
    if (problem !== undefined) {
      leave(`${name}: ${problem}`)
      continue
    }
    const runs: Failover[] = []
    for (let n = 1; n <= count; n++) {
      progress.show(`failover ${n} of ${count}, ${name}`)
      try {
        runs.push(await within(failoverWithinMs, "starting, killing and reading back", run()))
      } catch (error) {
        leave(`${name}, failover ${n} of ${count}: ${reasonOf(error)}`)
      }
    }
    if (runs.length > 0) found.push({ name, runs })
  }
  return found
}

async function closed(target: Peer): Promise<void> {
  await within(closeWithinMs, "closing", target.close()).catch(error => leave(`${target.name}: ${reasonOf(error)}`))
}

async function print(): Promise<void> {
  const of = (name: Peer["name"]) => speed.find(measured => measured.name === name)
  const reached = ratios({
    ops: (name, mode, reads) => of(name)?.cell(mode, reads)?.opsPerSecond,
    cpuMicros: (name, mode, reads) => {
      const cell = of(name)?.cell(mode, reads)
      return cell === undefined ? undefined : cell.clientMicros + cell.serverMicros
    },
    lone: name => of(name)?.lone,
    bytesPerEntry: name => memory.find(cost => cost.name === name)?.bytesPerEntry,
  })
  if (values.svg !== undefined && speed.length > 0)
    writeFileSync(
      values.svg,
      await chart({
        title: "Operations a second, 16-byte keys, 100-byte values, 90 % reads, two cores",
        modes,
        targets: speed.map(({ name, cell }) => ({ name, values: modes.map(mode => cell(mode, 0.9)?.opsPerSecond) })),
      }),
    )
  if (values.json) {
    const rows = speed.map(({ name, cell, lone }) => ({
      name,
      lone,
      cells: readShares.flatMap(reads => modes.map(mode => ({ mode, reads, ...cell(mode, reads) }))),
    }))
    console.log(JSON.stringify({ ...values, speed: rows, ratios: reached, memory, failovers, leftOut }, null, 2))
    return
  }
  if (speed.length > 0) console.log(speedText(speed))
  if (memory.length > 0) console.log(memoryText(memory))
  if (failovers.length > 0) console.log(failoverText(failovers))
  if (reached.some(ratio => ratio.reached !== undefined)) console.log(ratioText(reached))
  for (const reason of leftOut) console.log(`left out: ${reason}`)
}
