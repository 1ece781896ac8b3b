/**
 * One phase of work at full speed, in batches with a turn of the event loop after each: what an operation costs at the
 * median, and how long the loop was kept from everything else.
 */
import { monitorEventLoopDelay, PerformanceObserver } from "node:perf_hooks"
import { setImmediate as turn } from "node:timers/promises"
import { median } from "../../cluster/cpu.ts"
import { type Collection, longestCollectionMs } from "./collections.ts"
import { cpuMicros } from "./cpu-clock.ts"

export type Phase = {
  /** Of an operation, median over the batches. CPU time is this thread's: a wait for a core is no cost of the store. */
  readonly cpuNs: number
  readonly wallNs: number
  /** Of an operation, in the mean, CPU time of all threads: what helps with collecting garbage counts. */
  readonly allCpuNs: number
  /** CPU time of this thread between two turns. */
  readonly longestSliceMs: number
  /** No more than the CPU of all threads in the turn that it fell into. */
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
  const collections: Collection[] = []
  const turns = { endedAtMs: new Float64Array(batches), processCpuMs: new Float64Array(batches) }
  const observer = new PerformanceObserver(list => {
    for (const { startTime, duration } of list.getEntries()) collections.push({ beganAtMs: startTime, ms: duration })
  })
  observer.observe({ entryTypes: ["gc"] })
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const beganAt = cpuMicros()
  let longestSliceMicros = 0
  let turnedAt = beganAt
  for (let at = 0; at < batches; at++) {
    const [from, to] = [at * batchSize, Math.min(operations, (at + 1) * batchSize)]
    const [cpuBefore, wallBefore] = [cpuMicros().thread, performance.now()]
    batch(from, to)
    const [cpuAfter, wallAfter] = [cpuMicros().thread, performance.now()]
    cpuNs[at] = (1e3 * (cpuAfter - cpuBefore)) / (to - from)
    wallNs[at] = (1e6 * (wallAfter - wallBefore)) / (to - from)
    await turn()
    const now = cpuMicros()
    longestSliceMicros = Math.max(longestSliceMicros, now.thread - turnedAt.thread)
    turns.endedAtMs[at] = performance.now()
    turns.processCpuMs[at] = (now.process - turnedAt.process) / 1e3
    turnedAt = now
    if (at % 1_000 === 0) progress(to)
  }
  const allCpuNs = (1e3 * (turnedAt.process - beganAt.process)) / operations
  // The observer is told of the last collections in a later turn.
  await turn()
  await turn()
  observer.disconnect()
  delay.disable()
  return {
    cpuNs: median([...cpuNs]),
    wallNs: median([...wallNs]),
    allCpuNs,
    longestSliceMs: longestSliceMicros / 1e3,
    longestGcMs: longestCollectionMs(collections, turns),
    longestDelayMs: delay.max / 1e6,
  }
}
