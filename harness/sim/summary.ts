/** Many random runs as one account: what was exercised, what was found. Adds up reports; knows nothing of how they came about. */
import type { RunReport } from "./random-run.ts"
import type { Violation } from "./cluster.ts"

/** A report without what only one process can hold, so that it can be handed to another. */
export type PlainReport = Omit<RunReport, "faults" | "planned"> & {
  readonly faults: readonly (readonly [string, number])[]
}

export type Broken = { readonly seed: number; readonly violations: readonly Violation[] }

export type Summary = {
  readonly seeds: number
  readonly broken: readonly Broken[]
  readonly operations: number
  readonly answered: number
  readonly unknownOutcomes: number
  /** Histories that the checker could not decide; each is a broken promise as well. */
  readonly undecided: number
  readonly views: number
  readonly processes: number
  readonly virtualSeconds: number
  readonly events: number
  /** Runs that lost half of their voters and the newest view with them, and so ended before their second act. */
  readonly stopped: number
  readonly tally: Readonly<Record<string, number>>
  readonly faults: Readonly<Record<string, number>>
  readonly longestUntilAgreedMs: number
  readonly longestUntilAtRestMs: number
}

export function plainReport({ faults, planned: _planned, ...report }: RunReport): PlainReport {
  return { ...report, faults: [...faults] }
}

export class Account {
  readonly #tally = new Map<string, number>()
  readonly #faults = new Map<string, number>()
  readonly #broken: Broken[] = []
  #undecided = 0
  readonly #sums = { seeds: 0, operations: 0, answered: 0, unknown: 0, views: 0, processes: 0, virtualMs: 0, steps: 0 }
  #stopped = 0
  #agreedAfterMs = 0
  #restAfterMs = 0

  add(report: PlainReport): void {
    const { seed, violations, tally, faults, isStopped } = report
    this.#sums.seeds += 1
    for (const name of ["operations", "answered", "unknown", "views", "processes", "virtualMs", "steps"] as const)
      this.#sums[name] += report[name]
    for (const [name, count] of Object.entries(tally)) this.#tally.set(name, (this.#tally.get(name) ?? 0) + count)
    for (const [name, count] of faults) this.#faults.set(name, (this.#faults.get(name) ?? 0) + count)
    if (isStopped) this.#stopped += 1
    if (violations.length > 0) this.#broken.push({ seed, violations })
    if (violations.some(({ what }) => what.includes("undecided"))) this.#undecided += 1
    // Not a number: that act was not reached.
    if (report.agreedAfterMs > this.#agreedAfterMs) this.#agreedAfterMs = report.agreedAfterMs
    if (report.restAfterMs > this.#restAfterMs) this.#restAfterMs = report.restAfterMs
  }

  get summary(): Summary {
    const { seeds, operations, answered, unknown, views, processes, virtualMs, steps } = this.#sums
    return {
      ...{ seeds, operations, answered, views, processes },
      broken: this.#broken,
      unknownOutcomes: unknown,
      undecided: this.#undecided,
      virtualSeconds: Math.round(virtualMs / 1_000),
      events: steps,
      stopped: this.#stopped,
      tally: Object.fromEntries(this.#tally),
      faults: Object.fromEntries([...this.#faults].sort(([a], [b]) => (a < b ? -1 : 1))),
      longestUntilAgreedMs: Math.round(this.#agreedAfterMs),
      longestUntilAtRestMs: Math.round(this.#restAfterMs),
    }
  }
}

export function summaryLines(summary: Summary): string[] {
  const many = (count: number) => count.toLocaleString("en")
  const list = (counts: Readonly<Record<string, number>>) =>
    Object.entries(counts)
      .map(([name, count]) => `${name} ${many(count)}`)
      .join(", ")
  return [
    `${many(summary.seeds)} runs, ${summary.broken.length} with a broken promise, ${summary.undecided} undecided`,
    `${many(summary.operations)} operations (${many(summary.unknownOutcomes)} of unknown outcome), ${many(summary.views)} views, ` +
      `${many(summary.processes)} processes, ${many(summary.virtualSeconds)} virtual seconds, ${many(summary.events)} events`,
    `of the views: ${list(summary.tally)}`,
    `faults: ${list(summary.faults)}`,
    `after the faults all agreed within ${many(summary.longestUntilAgreedMs)} ms and were at rest within ${many(summary.longestUntilAtRestMs)} ms; ` +
      `${summary.stopped} runs lost half of their voters and the newest view with them, and were judged for their history alone`,
  ]
}
