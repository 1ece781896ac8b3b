/** What was asked, how it ended and how long that took, since the node started: for whoever watches it. */
import { LatencyHistogram } from "../base/histogram.ts"
import type { Operation, Reply } from "../protocol/message.ts"

export type OperationName = Operation["op"]
export type Outcome = Reply["kind"]

/** Of one kind of operation. */
export type Counted = { readonly outcomes: ReadonlyMap<Outcome, number>; readonly latency: LatencyHistogram }

export class OperationCounts {
  readonly #counted = new Map<
    OperationName,
    { readonly outcomes: Map<Outcome, number>; readonly latency: LatencyHistogram }
  >()

  /** `tookMs`: from its arrival to its answer, parked and forwarded time included. */
  record(operation: OperationName, outcome: Outcome, tookMs: number): void {
    let counted = this.#counted.get(operation)
    if (counted === undefined) {
      counted = { outcomes: new Map(), latency: new LatencyHistogram() }
      this.#counted.set(operation, counted)
    }
    counted.outcomes.set(outcome, (counted.outcomes.get(outcome) ?? 0) + 1)
    counted.latency.record(Math.max(0, tookMs) * 1_000)
  }

  get byOperation(): ReadonlyMap<OperationName, Counted> {
    return this.#counted
  }
}
