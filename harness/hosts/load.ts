/**
 * The load of one host: a real client, several processes of a history, random operations on keys that all hosts share. Prints
 * the history when its standard input ends, timed by the machine's monotonic clock, so that those of several hosts are one.
 *
 *     node load.ts FIRST_PROCESS SEED KEYS DEADLINE_MS KEY_PREFIX ADDRESS...
 */
import { Prng } from "../../src/base/prng.ts"
import { historyLine } from "../checker/history.ts"
import { openWay } from "../cluster/access.ts"
import { OperationChooser } from "../cluster/operations.ts"
import { Recorder } from "../cluster/recorder.ts"
import { Workload } from "../cluster/workload.ts"

const [firstProcess = 0, seed = 1, keyCount = 20, deadlineMs = 2_000] = process.argv.slice(2, 6).map(Number)
const [keyPrefix = "", ...nodes] = process.argv.slice(6)
const processCount = 6
const rate = 80

const way = await openWay({ nodes, routing: "to-primary", deadlineMs })
const recorder = new Recorder()
const chooser = new OperationChooser({ prng: new Prng(seed), keyCount, prefix: `${firstProcess}-`, keyPrefix })
const workload = new Workload({
  ...{ chooser, recorder, processCount, rate },
  accesses: [way],
  nowNs: () => Number(process.hrtime.bigint()),
})
process.stdout.write("ready\n")
process.stdin.on("data", () => {})
process.stdin.on("end", async () => {
  await workload.stop()
  const lines = recorder
    .history()
    .map(operation => historyLine({ ...operation, process: operation.process + firstProcess }))
  process.stdout.write(lines.join(""), () => process.exit(0))
})
