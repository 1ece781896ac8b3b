/** Random runs by the thousand, on every core. A run is a function of its seed, so who makes it does not matter. */
import { availableParallelism } from "node:os"
import { Worker } from "node:worker_threads"
import type { RunOptions } from "./random-run.ts"
import { Account, type PlainReport, type Summary } from "./summary.ts"

export type ManyOptions = {
  readonly from: number
  readonly to: number
  readonly run: Omit<RunOptions, "seed" | "print">
  /** After each run. */
  readonly progress: (done: number, broken: number) => void
  readonly threads?: number
}

/** No further seeds are begun after this many broken ones: they are mostly the same thing again. */
const enoughBroken = 20

/** Rejects when a thread dies, with what it died of. */
export async function runMany({
  from,
  to,
  run,
  progress,
  threads = availableParallelism(),
}: ManyOptions): Promise<Summary> {
  const account = new Account()
  let next = from
  let [done, broken] = [0, 0]
  await Promise.all(
    Array.from({ length: Math.min(threads, to - from + 1) }, async () => {
      const worker = new Worker(new URL("run-worker.ts", import.meta.url), { workerData: run })
      const failed = new Promise<never>((_resolve, reject) => worker.once("error", reject))
      try {
        while (next <= to && broken < enoughBroken) {
          const seed = next++
          const answer = new Promise<PlainReport>(resolve => worker.once("message", resolve))
          worker.postMessage(seed)
          const report = await Promise.race([answer, failed])
          account.add(report)
          done += 1
          if (report.violations.length > 0) broken += 1
          progress(done, broken)
        }
      } finally {
        await worker.terminate()
      }
    }),
  )
  return account.summary
}
