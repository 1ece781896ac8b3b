/**
 * The fewest faults that still break the promise: leaves out halves, quarters, ... single ones of what the seed planned, as
 * long as the same promise is broken without them (delta debugging: Zeller and Hildebrandt, 2002). Each attempt is a whole
 * run, and leaving a fault out changes what comes after it, so the result is the smallest found and not the smallest there is.
 */
import { type RunOptions, type RunReport, randomRun } from "./random-run.ts"

export type Shrunk = {
  /** Places of the faults that are left. */
  readonly faults: readonly number[]
  readonly report: RunReport
  readonly attempts: number
}

/** `found` is the run with all of its faults. At most so many attempts. */
export function shrink(options: RunOptions, found: RunReport, mostAttempts = 200): Shrunk {
  const promise = found.violations[0]?.promise
  let best = { faults: found.planned.map((_fault, place) => place), report: found }
  let attempts = 0
  for (let pieces = 2; best.faults.length > 0 && attempts < mostAttempts; ) {
    const size = Math.ceil(best.faults.length / pieces)
    const smaller = firstThatBreaks(size)
    if (smaller !== undefined) {
      best = smaller
      pieces = Math.max(2, pieces - 1)
    } else if (size === 1) break
    else pieces = Math.min(best.faults.length, pieces * 2)
  }
  return { ...best, attempts }

  /** Leaves out each piece of this size in turn. */
  function firstThatBreaks(size: number): typeof best | undefined {
    for (let from = 0; from < best.faults.length && attempts < mostAttempts; from += size) {
      const faults = best.faults.filter((_place, i) => i < from || i >= from + size)
      attempts += 1
      const report = randomRun({ ...options, onlyFaults: new Set(faults) })
      if (report.violations[0]?.promise === promise) return { faults, report }
    }
    return undefined
  }
}
