/**
 * Is this history of operations explicable, key by key? Linearizability is local (Herlihy and Wing 1990): a history is
 * linearizable if each key's part of it is, so keys are judged one by one. What makes one fast is in `search.ts`.
 *
 * Three verdicts. "undecided" (a budget ran out) is never a pass: whoever asks decides what to do, and says so.
 */
import type { Explanation, NumberedOperation } from "./explain.ts"
import { explain } from "./explain.ts"
import type { Operation } from "./history.ts"
import { layOut } from "./key-history.ts"
import type { Memory } from "./model.ts"
import type { Budget, SearchVerdict } from "./search.ts"
import { search } from "./search.ts"

export type Verdict = SearchVerdict

export type CheckOptions = {
  /** Strict, or forgetful when the cluster ran with a memory limit. */
  readonly memory?: Memory
  readonly budget?: Budget
  /** Explaining one key costs a few more searches of it; the rest are only named. */
  readonly explainAtMost?: number
}

export type Violation = { readonly key: string } & Explanation

export type CheckReport = {
  readonly verdict: Verdict
  readonly violations: readonly Violation[]
  readonly undecidedKeys: readonly string[]
  readonly checkedOperations: number
  readonly checkedKeys: number
  /** Choices tried in all, a measure of effort that does not depend on the machine. */
  readonly steps: number
}

/** About a minute for a key, and 200 MB. Ordinary keys need a step or two an operation. */
export const defaultBudget: Budget = { steps: 20_000_000, memory: 1_000_000 }

export function checkLinearizability(history: readonly Operation[], options: CheckOptions = {}): CheckReport {
  const { memory = "strict", budget = defaultBudget, explainAtMost = 10 } = options
  const violations: Violation[] = []
  const undecidedKeys: string[] = []
  let steps = 0
  const keys = byKey(history)
  for (const [key, indexes] of keys) {
    const operations = indexes.map(index => history[index] as Operation) // they are indexes of the history
    const judged = search(layOut(operations, memory), budget)
    steps += judged.steps
    if (judged.verdict === "undecided") undecidedKeys.push(key)
    if (judged.verdict !== "inconsistent") continue
    const isExplained = violations.length < explainAtMost
    violations.push({ key, ...(isExplained ? explain(numbered(history, indexes), memory) : unexplained) })
  }
  const verdict = violations.length > 0 ? "inconsistent" : undecidedKeys.length > 0 ? "undecided" : "consistent"
  return { verdict, violations, undecidedKeys, checkedOperations: history.length, checkedKeys: keys.size, steps }
}

const unexplained: Explanation = { explanation: "not explained: enough other keys were", operations: [] }

/** Where in the history the operations of each key are. */
export function byKey(history: readonly Operation[]): Map<string, number[]> {
  const keys = new Map<string, number[]>()
  history.forEach(({ key }, index) => {
    const indexes = keys.get(key)
    if (indexes === undefined) keys.set(key, [index])
    else indexes.push(index)
  })
  return keys
}

/** The operations at these places, as a person counts them: from 1, like the lines of a file. */
export function numbered(history: readonly Operation[], indexes: readonly number[]): NumberedOperation[] {
  return indexes.map(index => ({ ...(history[index] as Operation), number: index + 1 })) // they are its indexes
}
