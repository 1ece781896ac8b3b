/**
 * dcache beside other caches, each through the clients that programs use for it, in one run: operations a second and CPU an operation,
 * latencies of a lone caller, what an entry costs in memory, and what the loss of a primary does. Rounds are interleaved, so
 * that what else the machine does meets all alike; printed are medians.
 */
import { writeFileSync } from "node:fs"
import path from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { Prng } from "../../src/base/prng.ts"
import { median } from "../cluster/cpu.ts"
import { formatTable } from "./format-table.ts"
import { parseChoice, parseCount } from "./options.ts"
import { chart } from "./peers/chart.ts"
import { dcacheFailover, type Failover, redisFailover } from "./peers/failover.ts"
import { installClients } from "./peers/installed.ts"
import { type Lone, lone } from "./peers/lone.ts"
import { type EntryCost, entryCost } from "./peers/memory.ts"
import { ratios, verdictOf } from "./peers/ratios.ts"
import { missing } from "./peers/servers.ts"
import { type Peer, peerTargets } from "./peers/targets.ts"
import { Progress } from "./progress.ts"
import { type Cell, fill, type Mode, measure, modes } from "./throughput/measure.ts"

const parts = ["speed", "memory", "failover"] as const
const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    ms: { type: "string", default: "500" },
    entries: { type: "string", default: "5e6" },
    failovers: { type: "string", default: "5" },
    parts: { type: "string", default: "" },
    svg: { type: "string" },
    program: { type: "string", default: fileURLToPath(new URL("../../dcache", import.meta.url)) },
    json: { type: "boolean", default: false },
  },
})
const rounds = parseCount("--rounds", values.rounds)
const ms = parseCount("--ms", values.ms)
const chosen = parseChoice("--parts", values.parts, parts)
const program = path.resolve(values.program)
const command = program.endsWith(".ts") ? { file: process.execPath, args: [program] } : { file: program, args: [] }
const shares = [0.9, 0.5]
const progress = new Progress()

/** Of one target: a cell for each mode and share of reads; undefined: the peer refuses that. */
type Measured = { readonly name: Peer["name"]; cell(mode: Mode, reads: number): Cell | undefined; readonly lone: Lone }

installClients()
const { targets, skipped } = await peerTargets(command)
let speed: Measured[] = []
const memory: EntryCost[] = []
try {
  if (chosen.includes("speed")) speed = await speeds(targets)
  if (chosen.includes("memory"))
    for (const target of targets.filter(({ name }) =>
      ["dcache, 1 node", "ioredis, auto-pipelining", "memcache-client"].includes(name),
    ))
      memory.push(
        await entryCost(target, parseCount("--entries", values.entries), done =>
          progress.show(`memory of ${target.name}: ${done}`),
        ),
      )
} finally {
  for (const target of targets.toReversed()) await target.close()
}
const failovers = chosen.includes("failover") ? await failoversOfAll() : []
progress.end()
await print()

async function speeds(targets: readonly Peer[]): Promise<Measured[]> {
  const prng = new Prng(1)
  const cells = new Map<string, Cell[]>()
  const lones = new Map<string, Lone[]>()
  const add = <T>(map: Map<string, T[]>, key: string, value: T) => map.set(key, [...(map.get(key) ?? []), value])
  const refused = new Set<string>()
  for (const target of targets) {
    await fillAny(target)
    // Compilers have done their work before anything counts.
    for (const mode of modes)
      await measure(target, mode, { ms, readShare: 0.9, prng }).catch(() => refused.add(`${target.name} ${mode}`))
  }
  for (let round = 0; round < rounds; round++)
    for (const readShare of shares)
      for (const mode of modes)
        for (const target of targets) {
          progress.show(`round ${round + 1} of ${rounds}: ${mode}, ${readShare * 100} % reads, ${target.name}`)
          if (refused.has(`${target.name} ${mode}`)) continue
          add(cells, `${target.name} ${mode} ${readShare}`, await measure(target, mode, { ms, readShare, prng }))
        }
  for (let round = 0; round < rounds; round++)
    for (const target of targets) {
      progress.show(`round ${round + 1} of ${rounds}: one at a time, ${target.name}`)
      add(lones, target.name, await lone(target, { ms, readShare: 0.9, prng }))
    }
  return targets.map(({ name }) => {
    const seen = lones.get(name) ?? []
    return {
      name,
      cell: (mode, reads) => middle(cells.get(`${name} ${mode} ${reads}`)),
      lone: { p50Us: median(seen.map(({ p50Us }) => p50Us)), p99Us: median(seen.map(({ p99Us }) => p99Us)) },
    }
  })
}

/** Where many keys are refused together, one by one. */
async function fillAny(target: Peer): Promise<void> {
  try {
    await fill(target)
  } catch {
    const setMany = (entries: readonly (readonly [string, Uint8Array])[]) =>
      Promise.all(entries.map(([key, value]) => target.set(key, value)))
    await fill({ ...target, setMany })
  }
}

function middle(cells: readonly Cell[] | undefined): Cell | undefined {
  if (cells === undefined) return undefined
  const of = (field: keyof Cell) => median(cells.map(cell => cell[field]))
  return { opsPerSecond: of("opsPerSecond"), clientMicros: of("clientMicros"), serverMicros: of("serverMicros") }
}

async function failoversOfAll(): Promise<Failover[]> {
  const count = parseCount("--failovers", values.failovers)
  const runs: Failover[] = []
  for (let run = 0; run < count; run++) {
    progress.show(`failover ${run + 1} of ${count}`)
    runs.push(await dcacheFailover(command))
  }
  if (missing("redis-server") === undefined)
    for (const timeoutMs of [1_000, 15_000]) runs.push(await redisFailover(timeoutMs))
  const names = [...new Set(runs.map(({ name }) => name))]
  return names.map(name => {
    const own = runs.filter(run => run.name === name)
    return {
      name,
      writableAfterMs: median(own.map(({ writableAfterMs }) => writableAfterMs)),
      lostWrites: own.reduce((sum, { lostWrites }) => sum + lostWrites, 0),
    }
  })
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
      cells: shares.flatMap(reads => modes.map(mode => ({ mode, reads, ...cell(mode, reads) }))),
    }))
    console.log(JSON.stringify({ ...values, speed: rows, ratios: reached, memory, failovers, skipped }, null, 2))
    return
  }
  if (speed.length > 0) {
    const text = (cell: Cell | undefined) =>
      cell === undefined
        ? "refused"
        : `${(cell.opsPerSecond / 1_000).toFixed(1)} k; ${cell.clientMicros.toFixed(1)} / ${cell.serverMicros.toFixed(1)}`
    for (const reads of shares) {
      console.log(`\n${reads * 100} % reads: operations a second; CPU µs an operation, client / servers`)
      console.log(
        formatTable(
          ["CACHE", ...modes],
          speed.map(({ name, cell }) => [name, ...modes.map(mode => text(cell(mode, reads)))]),
          1,
        ),
      )
    }
    console.log("one at a time, 90 % reads, µs")
    console.log(
      formatTable(
        ["CACHE", "p50", "p99"],
        speed.map(({ name, lone }) => [name, lone.p50Us.toFixed(0), lone.p99Us.toFixed(0)]),
        1,
      ),
    )
    const rows = reached.map(ratio => [
      ratio.against,
      ratio.figure,
      ratio.reached === undefined ? "-" : `${ratio.reached.toFixed(2)}`,
      `${ratio.better === "more" ? ">=" : "<="} ${ratio.must}`,
      String(ratio.aim),
      verdictOf(ratio),
    ])
    console.log(formatTable(["AGAINST", "FIGURE", "RATIO", "MUST", "AIM", "REACHED"], rows, 2))
  }
  if (memory.length > 0)
    console.log(
      formatTable(
        ["MEMORY", "bytes an entry (116 of key and value)"],
        memory.map(({ name, bytesPerEntry }) => [name, bytesPerEntry.toFixed(0)]),
        1,
      ),
    )
  if (failovers.length > 0)
    console.log(
      formatTable(
        ["PRIMARY KILLED", "all its keys written again after, ms", "acknowledged writes lost"],
        failovers.map(({ name, writableAfterMs, lostWrites }) => [
          name,
          writableAfterMs.toFixed(0),
          String(lostWrites),
        ]),
        1,
      ),
    )
  for (const reason of skipped) console.log(`left out: ${reason}`)
}
