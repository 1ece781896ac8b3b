/** One of several threads that make random runs: is told a seed at a time, answers with the report. */
import { parentPort, workerData } from "node:worker_threads"
import type { RunOptions } from "./random-run.ts"
import { randomRun } from "./random-run.ts"
import { plainReport } from "./summary.ts"

const port = parentPort
if (port === null) throw new Error("this file is run as a thread, by run.ts")
// What run.ts hands over, and nothing else starts this thread.
const options = workerData as Omit<RunOptions, "seed">
port.on("message", (seed: number) => port.postMessage(plainReport(randomRun({ ...options, seed }))))
