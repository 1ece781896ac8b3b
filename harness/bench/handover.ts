/**
 * One node that holds everything, and a second one that joins: it is given a copy of each entry and the lead of half of them,
 * while both serve. Printed: the latencies of a steady load at rest and meanwhile.
 *
 *     npm run bench -- handover [--entries 5e6] [--value-bytes 100] [--rate 500] [--rest 15] [--program ./dcache]
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
import { parseCount } from "./options.ts"
import { Progress } from "./progress.ts"

const { values } = parseArgs({
  options: {
    entries: { type: "string", default: "5e6" },
    "value-bytes": { type: "string", default: "100" },
    rate: { type: "string", default: "500" },
    rest: { type: "string", default: "15" },
    program: { type: "string", default: fileURLToPath(new URL("../../dcache", import.meta.url)) },
  },
})
const entries = parseCount("--entries", values.entries)
const valueBytes = parseCount("--value-bytes", values["value-bytes"])
const rate = parseCount("--rate", values.rate)
const restMs = parseCount("--rest", values.rest) * 1_000
const { program } = values

/** Key and value, what the store adds, and as much room again as keeps it from forgetting anything. */
const memoryMiB = Math.ceil((entries * (16 + valueBytes + 64) * 1.3) / 2 ** 20) + 192
const handoverWithinMs = 600_000

const interruption = new AbortController()
process.once("SIGINT", () => interruption.abort())
const command = program.endsWith(".ts") ? { file: process.execPath, args: [program] } : { file: program, args: [] }
const prng = new Prng(1)
const nodeArgs = ["--memory", `${memoryMiB}MiB`, "--eviction", "none"]
const fleet = new Fleet({ command, nodeArgs, prng, signal: interruption.signal })
const progress = new Progress()
const keyOf = (index: number) => `bench:${String(index).padStart(10, "0")}`
const value = Uint8Array.from({ length: valueBytes }, () => prng.below(256))
try {
  await fleet.reservePorts(2)
  const first = fleet.startNew([])
  await fleet.joined(first)
  await using cache = await CacheClient.connect(fleet.addresses, { timeoutMs: 10_000 })
  const load = () => gauge({ cache, keyOf, keys: entries, value, setShare: 0.1, rate })
  const fillFromMs = performance.now()
  const show = (written: number) => progress.show(`writing entries: ${Math.floor((100 * written) / entries)} %`)
  await writeKeys({ cache, keyOf, keys: entries, value, progress: show })
  const fillMs = performance.now() - fillFromMs

  progress.show("at rest")
  await sleep(3_000)
  await longestDelayMs(first.process.address)
  const resting = load()
  await sleep(restMs, undefined, { signal: interruption.signal })
  const atRest = await resting.stop()
  const delayAtRestMs = await longestDelayMs(first.process.address)

  progress.show("a second node joins")
  const pid = first.process.pid ?? 0
  const [cpu, machine] = [cpuSecondsOf(pid), machineSeconds()]
  const moving = load()
  const fromMs = performance.now()
  const second = fleet.startNew([first])
  await fleet.joined(second)
  await fleet.complete(handoverWithinMs, obstacle => progress.show(obstacle))
  const tookMs = performance.now() - fromMs
  const meanwhile = await moving.stop()
  const delayMs = await longestDelayMs(first.process.address)
  const after = machineSeconds()
  const [sighting] = await fleet.sightings()
  progress.end()

  const idle = (after.idle - machine.idle) / (after.idle - machine.idle + after.busy - machine.busy)
  const mib = (entries * (16 + valueBytes)) / 2 ** 20
  console.log(`${entries.toLocaleString("en")} entries of ${16 + valueBytes} bytes, written in ${(fillMs / 1_000).toFixed(0)} s; ${rate} operations a second, a tenth of them sets
`)
  console.log(formatTable(latencyTitles, [latencyRow("at rest", atRest), latencyRow("handing over", meanwhile)], 1))
  console.log(`
handed over in ${(tookMs / 1_000).toFixed(1)} s from the start of the process: ${mib.toFixed(0)} MiB, ${(mib / (tookMs / 1_000)).toFixed(1)} MiB/s, ${(((cpuSecondsOf(pid) - cpu) / entries) * 1e6).toFixed(2)} µs of the first node's CPU an entry
the first node's event loop was late by ${delayAtRestMs.toFixed(1)} ms at most at rest, ${delayMs.toFixed(1)} ms while handing over
${sighting?.report?.entries.toLocaleString("en")} entries at each node now; ${(idle * 100).toFixed(0)} % of the machine idle meanwhile`)
} finally {
  await fleet.endAll()
}
