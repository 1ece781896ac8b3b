/**
 * What was asked, what was answered, and how long it took: the history for the checker, and the figures for the report.
 * Everything is kept until the end; a run of minutes is some hundred thousand records.
 */
import type { Action, Operation } from "../checker/history.ts"

export type OperationName = Action["op"]
export const operationNames = ["get", "set", "add", "cas", "delete", "incr"] as const satisfies readonly OperationName[]

/**
 * done: answered. unmet: answered, the condition did not hold. refused: certainly not executed, `code` says why.
 * unknown: nobody knows whether it was.
 */
export type Ending =
  | { readonly kind: "done" | "unmet" }
  | { readonly kind: "refused" | "unknown"; readonly code: string }

export type Recorded = {
  readonly process: number
  readonly key: string
  readonly action: Action
  readonly callNs: number
  readonly returnNs: number
  readonly ending: Ending
}

export type OperationFigures = {
  /** Answered or not. */
  readonly count: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  /** Refused, or of unknown outcome; a miss and an unmet condition are answers. */
  readonly errors: number
}

export class Recorder {
  readonly #all: Recorded[] = []
  #windowStart = 0

  record(operation: Recorded): void {
    this.#all.push(operation)
  }

  get count(): number {
    return this.#all.length
  }

  /** For the checker. Refusals of conditional operations are left out: there, "fail" says that the condition was unmet. */
  history(): Operation[] {
    return this.#all.flatMap(recorded => {
      const { process, key, action, callNs, returnNs, ending } = recorded
      const isConditional = action.op === "add" || action.op === "cas"
      if (ending.kind === "refused" && (isConditional || action.op === "get")) return []
      // A read of unknown outcome says nothing and changes nothing.
      if (ending.kind === "unknown" && action.op === "get") return []
      const status = ending.kind === "done" ? "ok" : ending.kind === "unknown" ? "info" : "fail"
      return [{ process, key, callNs, returnNs, status, ...action }]
    })
  }

  figures(op: OperationName | "all"): OperationFigures {
    return figuresOf(op === "all" ? this.#all : this.#all.filter(recorded => recorded.action.op === op))
  }

  /** Of what returned since the last call: for whoever watches. */
  takeWindow(): OperationFigures {
    const window = this.#all.slice(this.#windowStart)
    this.#windowStart = this.#all.length
    return figuresOf(window)
  }

  /** What a span of the run did to the operations that were under way in it. */
  impact(span: { readonly fromNs: number; readonly toNs: number }): {
    failedOperations: number
    longestWaitMs: number
  } {
    const touched = this.#all.filter(({ callNs, returnNs }) => callNs <= span.toNs && returnNs >= span.fromNs)
    return {
      failedOperations: touched.filter(isError).length,
      longestWaitMs: touched.reduce((longest, recorded) => Math.max(longest, durationMs(recorded)), 0),
    }
  }

  /** How often each reason was given for not answering. */
  errorCodes(): Record<string, number> {
    const codes: Record<string, number> = {}
    for (const { ending } of this.#all) if ("code" in ending) codes[ending.code] = (codes[ending.code] ?? 0) + 1
    return codes
  }
}

/** The figures of every operation by its name, and of all together. */
export function operationFigures(recorder: Recorder): Record<OperationName | "all", OperationFigures> {
  const of = (op: OperationName | "all") => recorder.figures(op)
  return {
    ...{ all: of("all"), get: of("get"), set: of("set"), add: of("add"), cas: of("cas") },
    ...{ delete: of("delete"), incr: of("incr") },
  }
}

function figuresOf(operations: readonly Recorded[]): OperationFigures {
  const durations = Float64Array.from(operations, durationMs).sort()
  return {
    count: operations.length,
    p50Ms: quantile(durations, 0.5),
    p99Ms: quantile(durations, 0.99),
    maxMs: durations.at(-1) ?? 0,
    errors: operations.filter(isError).length,
  }
}

/** The smallest duration that at least this share of all does not exceed. */
function quantile(sorted: Float64Array, share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0
}

function durationMs({ callNs, returnNs }: Recorded): number {
  return (returnNs - callNs) / 1e6
}

function isError({ ending }: Recorded): boolean {
  return ending.kind === "refused" || ending.kind === "unknown"
}
