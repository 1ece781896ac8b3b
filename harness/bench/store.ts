/**
 * What an entry costs in a node's store, in memory, time and pauses, beside a Map and lru-cache in the same run. Each engine
 * and size has a process of its own, so that its memory is its own and no compiler knows two engines.
 *
 *     npm run bench -- store [--entries 1e6,5e6,20e6] [--key-bytes 16] [--engines map,lru-cache,dcache] [--rounds 1] [--json]
 *     npm run bench -- store --limit 1GiB [--seconds 30] [--json]
 *     npm run bench -- store --expiry [--entries 1e6] [--json]
 */
import { parseArgs } from "node:util"
import { formatSize, parseSize } from "../../src/base/size.ts"
import { formatTable } from "./format-table.ts"
import { parseChoice, parseCount, parseCounts, UsageError } from "./options.ts"
import { Progress } from "./progress.ts"
import {
  type Aim,
  combined,
  expiryAims,
  limitAims,
  mapBeside,
  type Measured,
  overheadBytes,
  speedAims,
} from "./store/aims.ts"
import { engineNames, mostEntries } from "./store/engines.ts"
import { inChild } from "./store/in-child.ts"
import type { Phase } from "./store/phase.ts"
import type { SpeedResult } from "./store/speed.ts"

const { values } = parseArgs({
  options: {
    entries: { type: "string" },
    "key-bytes": { type: "string", default: "16" },
    engines: { type: "string", default: "" },
    operations: { type: "string", default: "1e6" },
    rounds: { type: "string", default: "1" },
    limit: { type: "string" },
    expiry: { type: "boolean", default: false },
    seconds: { type: "string", default: "30" },
    json: { type: "boolean", default: false },
  },
})
const phaseTitles = { fill: "set", hit: "get", miss: "miss", sameSize: "same size", otherSize: "other size" } as const
const progress = new Progress()

if (values.limit !== undefined) await limit(values.limit)
else if (values.expiry) await expiry()
else await speed()

async function speed(): Promise<void> {
  const sizes = parseCounts("--entries", values.entries ?? "1e6,5e6,20e6")
  const keyLengths = parseCounts("--key-bytes", values["key-bytes"])
  if (keyLengths.some(length => length % 4 !== 0 || length < 8))
    throw new UsageError("--key-bytes: a key has a multiple of 4 bytes, at least 8")
  const engines = parseChoice("--engines", values.engines, engineNames)
  const operations = parseCount("--operations", values.operations)
  const rounds = parseCount("--rounds", values.rounds)
  const measured: Measured[] = []
  const leftOut: string[] = []
  for (const entries of sizes)
    for (const keyBytes of keyLengths) {
      const fitting = engines.filter(engine => entries <= mostEntries(engine))
      for (const engine of engines)
        if (!fitting.includes(engine))
          leftOut.push(`${engine} with ${count(entries)} entries: it ends at ${count(mostEntries(engine))}`)
      const results = new Map(fitting.map(engine => [engine, [] as SpeedResult[]]))
      for (let round = 1; round <= rounds; round++)
        for (const engine of fitting) {
          const title = `${engine}, ${count(entries)} entries, round ${round} of ${rounds}`
          const job = { kind: "speed", engine, entries, keyBytes, operations } as const
          results.get(engine)?.push(await inChild(job, text => progress.show(`${title}: ${text}`)))
        }
      for (const [engine, each] of results) measured.push({ engine, entries, keyBytes, result: combined(each) })
    }
  progress.end()
  const aims = measured
    .filter(({ engine }) => engine === "dcache")
    .map(ours => ({ ours, aims: speedAims(ours, mapBeside(ours, measured)) }))
  if (values.json) return printJson({ measured, leftOut, aims })
  printSpeed(measured)
  for (const text of leftOut) console.log(`left out: ${text}`)
  for (const { ours, aims: each } of aims)
    printAims(`dcache, ${count(ours.entries)} entries, keys of ${ours.keyBytes} B, values of 100 B`, each)
}

async function limit(text: string): Promise<void> {
  const maxBytes = parseSize(text)
  if (typeof maxBytes !== "number") throw new UsageError(`--limit: ${maxBytes.problem}`)
  const job = { kind: "limit", maxBytes, seconds: parseCount("--seconds", values.seconds) } as const
  const result = await inChild(job, each => progress.show(each))
  progress.end()
  const aims = limitAims(job, result)
  if (values.json) return printJson({ job, result, aims })
  printAims(`a limit of ${text}, ${count(result.writes)} writes, ${count(result.evicted)} entries evicted`, aims)
  const { heapBytes, bufferBytes, mostEntries, longestOperationMs } = result
  console.log(
    `at that moment ${formatSize(Math.max(0, heapBytes))} of it were heap, ${formatSize(bufferBytes)} buffers, garbage included`,
  )
  console.log(`at most ${count(mostEntries)} entries; longest operation ${longestOperationMs.toFixed(1)} ms of CPU`)
}

async function expiry(): Promise<void> {
  const [entries = 0, ...more] = parseCounts("--entries", values.entries ?? "1e6")
  const [keyBytes = 0] = parseCounts("--key-bytes", values["key-bytes"])
  if (more.length > 0) throw new UsageError("--entries: one number with --expiry")
  const result = await inChild({ kind: "expiry", entries, keyBytes }, each => progress.show(each))
  progress.end()
  const aims = expiryAims(result)
  if (values.json) return printJson({ entries, result, aims })
  printAims(`${count(entries)} entries expire at one instant; ${result.cpuMs.toFixed(0)} ms of CPU`, aims)
}

function printSpeed(measured: readonly Measured[]): void {
  const memory = ({ keyBytes, result }: Measured) => [
    ...[result.entryBytes, result.heapEntryBytes, overheadBytes({ keyBytes, result })].map(bytes => bytes.toFixed(0)),
    `× ${result.growthFactor.toFixed(2)}`,
  ]
  console.log(
    "Growth of the process, bytes an entry: all, of it the heap, beyond key and value; after overwrites with other sizes.\n",
  )
  printEach(measured, ["all", "heap", "beyond", "after"], memory)
  const titles = Object.values(phaseTitles)
  const phases = (text: (phase: Phase) => string) => (each: Measured) =>
    (Object.keys(phaseTitles) as (keyof typeof phaseTitles)[]) // the keys of a literal
      .map(name => text(each.result[name]))
  console.log(
    "ns an operation: median over batches of 200, CPU of the thread / by the clock; CPU of all threads in the mean.\n",
  )
  printEach(
    measured,
    titles,
    phases(phase => [phase.cpuNs, phase.wallNs, phase.allCpuNs].map(ns => ns.toFixed(0)).join(" / ")),
  )
  console.log(
    "Pauses, ms: longest CPU slice between two turns / longest collection / longest event-loop delay, by the clock.\n",
  )
  const pauses = ({ longestSliceMs, longestGcMs, longestDelayMs }: Phase) =>
    [longestSliceMs, longestGcMs, longestDelayMs].map(ms => ms.toFixed(1)).join(" / ")
  printEach(measured, titles, phases(pauses))
}

function printEach(
  measured: readonly Measured[],
  titles: readonly string[],
  cells: (each: Measured) => string[],
): void {
  const rows = measured.map(each => [count(each.entries), `${each.keyBytes} B`, each.engine, ...cells(each)])
  console.log(formatTable(["entries", "key", "engine", ...titles], rows, 3))
}

function printAims(title: string, aims: readonly Aim[]): void {
  const widest = Math.max(...aims.map(({ what }) => what.length))
  console.log(title)
  for (const { what, measured, aim, isMet } of aims)
    console.log(`  ${what.padEnd(widest)}  ${measured} (aim: ${aim}): ${isMet ? "met" : "MISSED"}`)
}

function printJson(figures: unknown): void {
  console.log(JSON.stringify(figures, null, 2))
}

function count(amount: number): string {
  return amount.toLocaleString("en")
}
