/**
 * Twenty nodes under a fixed load that leaves half of the machine idle; `kill -9` of one after another, each started again
 * at its address. Printed: the time until every key range that the victim led answers again, median and worst.
 */
import { parseArgs } from "node:util"
import { fileURLToPath } from "node:url"
import { cpuSecondsOf, machineSeconds, median } from "../cluster/cpu.ts"
import { runStress } from "../cluster/stress.ts"
import { parseCount } from "./options.ts"

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "12" },
    rate: { type: "string", default: "100" },
    program: { type: "string", default: fileURLToPath(new URL("../../dcache", import.meta.url)) },
  },
})
const kills = parseCount("--kills", values.kills)
const rate = parseCount("--rate", values.rate)
const { program } = values
const command = program.endsWith(".ts") ? { file: process.execPath, args: [program] } : { file: program, args: [] }

const interruption = new AbortController()
process.once("SIGINT", () => interruption.abort())
const before = machineSeconds()
const { report } = await runStress(
  {
    ...{ nodes: 20, copies: 2, clients: 64, keys: 2_000, rate, seed: 1, command, nodeArgs: [], memory: "strict" },
    faults: ["restart"],
    durationMs: 1,
    faultCount: kills,
  },
  { line: text => console.log(text), progress: () => {} },
  interruption.signal,
)
const after = machineSeconds()
const idleShare = (after.idle - before.idle) / (after.idle - before.idle + after.busy - before.busy)
const times = report.faults.flatMap(({ failoverMs }) => (failoverMs === null ? [] : [failoverMs]))
console.log(`
${times.length} kills of one of 20 nodes, ${rate} operations a second, ${(idleShare * 100).toFixed(0)} % of the machine idle over the whole run
every key range of the victim answers again after: median ${median(times).toFixed(0)} ms, worst ${Math.max(...times).toFixed(0)} ms (aim: 600 and 1,200)
this process used ${cpuSecondsOf(process.pid).toFixed(1)} s of CPU; verdict: ${report.verdict}`)
process.exitCode = report.verdict === "consistent" && times.length === kills ? 0 : 1
