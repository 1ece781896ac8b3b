/** Shrinking is shown on runs that are broken on purpose. */
import { equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { type RunOptions, type RunReport, randomRun } from "./random-run.ts"
import { shrink } from "./shrink.ts"

function firstBroken(options: Omit<RunOptions, "seed">): { options: RunOptions; report: RunReport } {
  for (let seed = 1; seed <= 60; seed++) {
    const report = randomRun({ ...options, seed })
    if (report.violations.length > 0 && report.planned.length >= 4) return { options: { ...options, seed }, report }
  }
  throw new Error("no run of this mutant was caught")
}

test("a broken run is shrunk to fewer faults that break the same promise, and replays from them alone", () => {
  const kinds = ["client-cut", "break-links", "primary-crash", "restart", "spikes"] as const
  const { options, report } = firstBroken({ kinds, rules: { dedup: false } })
  const small = shrink(options, report, 40)
  ok(small.faults.length < report.planned.length, `${small.faults.length} of ${report.planned.length}`)
  const replayed = randomRun({ ...options, onlyFaults: new Set(small.faults) })
  equal(replayed.traceHash, small.report.traceHash)
  equal(replayed.violations[0]?.promise, report.violations[0]?.promise)
})

test("leaving no fault out changes nothing", () => {
  for (const seed of [11, 12]) {
    const whole = randomRun({ seed })
    const same = randomRun({ seed, onlyFaults: new Set(whole.planned.keys()) })
    equal(same.traceHash, whole.traceHash)
  }
})
