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

/** A row for each thing that a reader asks of a long run: was anything wrong, how much was tried, did it come back. */
export function summaryLines(summary: Summary): string[] {
  const { tally, faults } = summary
  const of = (name: string) => many(tally[name] ?? 0)
  const struck = Object.values(faults).reduce((sum, count) => sum + count, 0)
  const kinds = Object.entries(faults).map(([kind, count]) => `${kind} ${many(count)}`)
  const rows: readonly (readonly [string, string])[] = [
    ["runs", `${many(summary.seeds)}: ${summary.broken.length} with a broken promise, ${summary.undecided} undecided`],
    [
      "",
      `${summary.stopped} lost half of their voters and the newest view with them, and were judged for their history alone`,
    ],
    ["operations", `${many(summary.operations)}, ${many(summary.unknownOutcomes)} of them of unknown outcome`],
    [
      "answers",
      `${of("answers")} compared with what the replicas held, ${of("minority")} refusals for want of a majority, ${of("expiries")} expiries`,
    ],
    [
      "groups",
      `${of("groups")} written in one step, ${of("groupsApart")} of them over several shards; ${of("groupsUnmet")} refused for a condition`,
    ],
    [
      "events",
      `${many(summary.events)} in ${many(summary.virtualSeconds)} virtual seconds of ${many(summary.processes)} processes`,
    ],
    ["views", `${many(summary.views)}, ${of("removals")} of them removals; ${of("snapshots")} learned as a whole`],
    [
      "shards led anew",
      `${of("failovers")} failovers, ${of("moves")} planned moves, ${of("syncs")} replicas made equal`,
    ],
    ["shards filled", `${of("transfers")} transfers`],
    [
      "orphans",
      `${of("orphans")}; ${of("reinstated")} reinstated, ${of("resets")} begun anew, ${of("recoveries")} recoveries of a lost majority`,
    ],
    [
      "memory",
      `${of("dropped")} entries dropped for want of it, ${of("forgotten")} forgotten by a copy on its primary's word`,
    ],
    [
      "faults",
      `${many(struck)}; ${of("duringTransfers")} during transfers, ${of("onTheHeels")} within 100 ms of another`,
    ],
    ...inLines(kinds, lineChars).map(line => ["", line] as const),
    [
      "after the faults",
      `all agreed within ${many(summary.longestUntilAgreedMs)} ms, and were at rest within ${many(summary.longestUntilAtRestMs)} ms`,
    ],
  ]
  return rows.map(([name, text]) => `${name.padEnd(18)}${text}`)
}

const lineChars = 110

function many(count: number): string {
  return count.toLocaleString("en")
}

/** Joined by commas, as many as fit each line. */
function inLines(parts: readonly string[], chars: number): string[] {
  const lines: string[] = []
  for (const part of parts) {
    const last = lines.at(-1)
    if (last === undefined || last.length + part.length + 2 > chars) lines.push(part)
    else lines[lines.length - 1] = `${last}, ${part}`
  }
  return lines
}
