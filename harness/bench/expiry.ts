/**
 * Entries of real nodes that all expire at one instant: how long until they are gone from memory, and what somebody who reads other
 * keys notices of it.
 *
 *     npm run bench -- expiry [--entries 1e6] [--nodes 1] [--eviction s3fifo] [--rate 500] [--program ./dcache]
 */
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { Prng } from "../../src/base/prng.ts"
import { CacheClient } from "../../src/client/client.ts"
import { cpuSecondsOf, machineSeconds } from "../cluster/cpu.ts"
import { Fleet } from "../cluster/fleet.ts"
import { formatTable } from "./format-table.ts"
import { gauge, latencyRow, latencyTitles, longestDelayMs, writeKeys } from "./gauge.ts"
import { parseChoice, parseCount } from "./options.ts"
import { Progress } from "./progress.ts"

const { values } = parseArgs({
  options: {
    entries: { type: "string", default: "1e6" },
    nodes: { type: "string", default: "1" },
    eviction: { type: "string", default: "s3fifo" },
    rate: { type: "string", default: "500" },
    program: { type: "string", default: fileURLToPath(new URL("../../dcache", import.meta.url)) },
  },
})
const entries = parseCount("--entries", values.entries)
const nodeCount = parseCount("--nodes", values.nodes)
const [eviction = "s3fifo"] = parseChoice("--eviction", values.eviction, ["s3fifo", "lru", "none"])
const rate = parseCount("--rate", values.rate)
const { program } = values

const valueBytes = 100
/** Those that are read meanwhile, and stay. */
const lasting = 1_000
const memoryMiB = Math.ceil((entries * (16 + valueBytes + 64) * 1.3) / 2 ** 20) + 192
/** Between the last write and the end of all that was written. */
const restMs = 10_000
/** What a second of writing is good for, at least. */
const writtenPerSecond = 10_000
const goneWithinMs = 120_000

const interruption = new AbortController()
process.once("SIGINT", () => interruption.abort())
const command = program.endsWith(".ts") ? { file: process.execPath, args: [program] } : { file: program, args: [] }
const prng = new Prng(1)
const nodeArgs = ["--memory", `${memoryMiB}MiB`, "--eviction", eviction]
const fleet = new Fleet({ command, nodeArgs, prng, signal: interruption.signal })
const progress = new Progress()
const keyOf = (index: number) => `bench:${String(index).padStart(10, "0")}`
const lastingKeyOf = (index: number) => `stays:${String(index).padStart(10, "0")}`
const value = Uint8Array.from({ length: valueBytes }, () => prng.below(256))
try {
  await fleet.reservePorts(nodeCount)
  const first = fleet.startNew([])
  await fleet.joined(first)
  while (fleet.nodes.length < nodeCount) await fleet.joined(fleet.startNew([first]))
  await fleet.atRest(60_000, () => {})
  await using cache = await CacheClient.connect(fleet.addresses, { timeoutMs: 10_000 })
  await writeKeys({ cache, keyOf: lastingKeyOf, keys: lasting, value, progress: () => {} })
  const endsAtMs = performance.now() + (entries / writtenPerSecond) * 1_000 + restMs
  const written = await writeKeys({
    ...{ cache, keyOf, keys: entries, value, untilMs: endsAtMs - restMs },
    ttlMs: () => endsAtMs - performance.now(),
    progress: count => progress.show(`writing entries: ${Math.floor((100 * count) / entries)} %`),
  })
  const held = async () => {
    const sightings = await fleet.sightings()
    return sightings.reduce((sum, { report }) => sum + (report?.entries ?? Number.NaN), 0)
  }
  const before = await held()
  const load = () => gauge({ cache, keyOf: lastingKeyOf, keys: lasting, value, setShare: 0, rate })
  const delays = () => Promise.all(fleet.addresses.map(longestDelayMs))

  progress.show("at rest until they expire")
  // They may as well be read until shortly before their end.
  await sleep(Math.max(0, endsAtMs - performance.now() - restMs))
  await delays()
  const resting = load()
  await sleep(Math.max(0, endsAtMs - performance.now() - 500))
  const atRest = await resting.stop()
  const delaysAtRest = await delays()

  progress.show("expiring")
  const expiring = load()
  const pids = fleet.nodes.map(({ process }) => process.pid ?? 0)
  const cpuOf = () => pids.reduce((sum, pid) => sum + cpuSecondsOf(pid), 0)
  const [cpu, machine] = [cpuOf(), machineSeconds()]
  await sleep(Math.max(0, endsAtMs - performance.now()))
  const stays = lasting * Math.min(2, nodeCount)
  let left = before
  while (left > stays && performance.now() < endsAtMs + goneWithinMs) {
    await sleep(50, undefined, { signal: interruption.signal })
    left = await held()
    progress.show(`${left} entries left`)
  }
  const tookMs = performance.now() - endsAtMs
  const meanwhile = await expiring.stop()
  const delaysMeanwhile = await delays()
  const after = machineSeconds()
  progress.end()

  const idle = (after.idle - machine.idle) / (after.idle - machine.idle + after.busy - machine.busy)
  const longest = (each: readonly number[]) => Math.max(...each).toFixed(1)
  console.log(`${written.toLocaleString("en")} entries, ${before.toLocaleString("en")} with copies at ${nodeCount} nodes, ${eviction}; ${rate} reads of other keys a second
`)
  console.log(formatTable(latencyTitles, [latencyRow("at rest", atRest), latencyRow("expiring", meanwhile)], 1))
  console.log(`
${left <= stays ? `gone after ${(tookMs / 1_000).toFixed(2)} s` : `${left - stays} are left after ${(tookMs / 1_000).toFixed(0)} s`}, ${(((cpuOf() - cpu) / before) * 1e6).toFixed(2)} µs of CPU each, all nodes together
event loops were late by ${longest(delaysAtRest)} ms at most at rest, ${longest(delaysMeanwhile)} ms meanwhile; ${(idle * 100).toFixed(0)} % of the machine idle meanwhile`)
} finally {
  await fleet.endAll()
}
