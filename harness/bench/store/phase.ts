/**
 * One phase of work at full speed, in batches with a turn of the event loop after each: what an operation costs at the
 * median, and how long the loop was kept from everything else.
 */
import { monitorEventLoopDelay, PerformanceObserver } from "node:perf_hooks"
import { setImmediate as turn } from "node:timers/promises"
import { median } from "../../cluster/cpu.ts"
import { threadCpuMicros } from "./cpu-clock.ts"

export type Phase = {
  /** Of an operation, median over the batches. CPU time is this thread's: a wait for a core is no cost of the store. */
  readonly cpuNs: number
  readonly wallNs: number
  /** Of an operation, in the mean, CPU time of all threads: what helps with collecting garbage counts. */
  readonly allCpuNs: number
  /** CPU time of this thread between two turns. */
  readonly longestSliceMs: number
  readonly longestGcMs: number
  /** By the clock, so that a busy machine counts as well. */
  readonly longestDelayMs: number
}

/** Small, so that one long operation shows. */
const batchSize = 200

/** Does the operations of a batch: those from `from` up to and without `to`. */
export type Batch = (from: number, to: number) => void

export async function runPhase(operations: number, batch: Batch, progress: (done: number) => void): Promise<Phase> {
  const batches = Math.ceil(operations / batchSize)
  const cpuNs = new Float64Array(batches)
  const wallNs = new Float64Array(batches)
  let longestGcMs = 0
  const collections = new PerformanceObserver(list => {
    for (const { duration } of list.getEntries()) longestGcMs = Math.max(longestGcMs, duration)
  })
  collections.observe({ entryTypes: ["gc"] })
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const allBefore = allCpuMicros()
  let longestSliceMicros = 0
  let turnedAt = threadCpuMicros()
  for (let at = 0; at < batches; at++) {
    const [from, to] = [at * batchSize, Math.min(operations, (at + 1) * batchSize)]
    const [cpuBefore, wallBefore] = [threadCpuMicros(), performance.now()]
    batch(from, to)
    const [cpuAfter, wallAfter] = [threadCpuMicros(), performance.now()]
    cpuNs[at] = (1e3 * (cpuAfter - cpuBefore)) / (to - from)
    wallNs[at] = (1e6 * (wallAfter - wallBefore)) / (to - from)
    await turn()
    const now = threadCpuMicros()
    longestSliceMicros = Math.max(longestSliceMicros, now - turnedAt)
    turnedAt = now
    if (at % 1_000 === 0) progress(to)
  }
  const allCpuNs = (1e3 * (allCpuMicros() - allBefore)) / operations
  // The observer is told of the last collections in a later turn.
  await turn()
  await turn()
  collections.disconnect()
  delay.disable()
  return {
    cpuNs: median([...cpuNs]),
    wallNs: median([...wallNs]),
    allCpuNs,
    longestSliceMs: longestSliceMicros / 1e3,
    longestGcMs,
    longestDelayMs: delay.max / 1e6,
  }
}

function allCpuMicros(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}
