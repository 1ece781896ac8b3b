/**
 * Says what is wrong with a key's history in words: the first moment that no order of the operations explains, the
 * answer that came at that moment, and the operations that a person should look at.
 */
import type { Operation } from "./history.ts"
import { integerOf } from "./history.ts"
import { layOut } from "./key-history.ts"
import type { Memory } from "./model.ts"
import type { Budget } from "./search.ts"
import { search } from "./search.ts"

/** `number`: its place in the whole history, from 1; the line in the history's file. */
export type NumberedOperation = Operation & { readonly number: number }

export type Explanation = {
  readonly explanation: string
  /** Those around the moment, in the order of their calls. */
  readonly operations: readonly NumberedOperation[]
}

/** For one of the dozen prefixes that are tried: a better explanation is not worth minutes. */
const prefixBudget: Budget = { steps: 200_000, memory: 100_000 }

/** So many operations a person reads; more hide what matters. */
const mostShown = 16

/** `operations` of one key, known to be inconsistent. */
export function explain(operations: readonly NumberedOperation[], memory: Memory): Explanation {
  const atNs = firstInexplicableNs(operations, memory)
  const culprit = operations.findLast(operation => operation.returnNs === atNs && operation.status !== "info")
  if (culprit === undefined) return { explanation: "no order of the operations explains all answers", operations: [] }
  const { why, because } = reason(culprit, operations)
  return {
    explanation: `${describe(culprit)}${why}. Everything answered before ${seconds(atNs)} has an explanation.`,
    operations: around(culprit, because, operations),
  }
}

/**
 * The earliest return such that what had returned by then is inconsistent, whatever else was under way. Longer prefixes
 * of an inconsistent one are inconsistent, so halving finds it. A prefix that stays undecided is passed over: the
 * moment found may then be later than the first one, and is still inconsistent.
 */
function firstInexplicableNs(operations: readonly Operation[], memory: Memory): number {
  const returns = operations.filter(({ status }) => status !== "info").map(({ returnNs }) => returnNs)
  returns.sort((a, b) => a - b)
  let low = 0
  let high = returns.length - 1
  while (low < high) {
    const middle = (low + high) >>> 1
    const prefix = prefixUntil(operations, returns[middle] ?? 0)
    if (search(layOut(prefix, memory), prefixBudget).verdict === "inconsistent") high = middle
    else low = middle + 1
  }
  return returns[low] ?? 0
}

/** What had happened by then: what had not returned may have taken effect, or will, and has not answered anything. */
function prefixUntil(operations: readonly Operation[], timeNs: number): Operation[] {
  return operations
    .filter(operation => operation.callNs <= timeNs && !(operation.returnNs > timeNs && operation.status === "fail"))
    .map(operation => (operation.returnNs > timeNs ? { ...operation, status: "info", returnNs: Infinity } : operation))
}

type Reason = { readonly why: string; readonly because: readonly NumberedOperation[] }

function reason(culprit: NumberedOperation, operations: readonly NumberedOperation[]): Reason {
  const others = operations.filter(operation => operation !== culprit)
  if (culprit.op === "incr") {
    const twin = others.find(other => other.op === "incr" && other.status === "ok" && other.value === culprit.value)
    const isCounter = operations.every(({ op }) => op === "incr" || op === "get")
    if (twin !== undefined && isCounter && culprit.by > 0 && twin.op === "incr" && twin.by > 0)
      return { why: `, which #${twin.number} had been answered already: one of the two was lost`, because: [twin] }
  }
  const seen = valueSeen(culprit)
  if (seen === undefined) return { why: ", which nothing explains", because: [] }
  const makers = others.filter(other => mayMake(other, seen))
  if (makers.length === 0 && seen !== null) return { why: `: ${show(seen)} was never written`, because: [] }
  const began = makers.filter(({ callNs }) => callNs <= culprit.returnNs)
  if (began.length === 0 && seen !== null) {
    const first = makers.reduce((a, b) => (b.callNs < a.callNs ? b : a))
    return { why: `: nobody had begun to write ${show(seen)} yet; ${describe(first)} did`, because: [first] }
  }
  // Something that began when all who may have written the value had finished, and that finished before the answer was
  // asked for, stands between.
  const madeByNs = began.reduce(
    (latest, { status, returnNs }) => Math.max(latest, status === "info" ? Infinity : returnNs),
    -Infinity,
  )
  const between = others
    .filter(
      other => writes(other) && other.callNs > madeByNs && other.returnNs < culprit.callNs && !mayMake(other, seen),
    )
    .sort((a, b) => b.returnNs - a.returnNs)[0]
  if (between === undefined) return { why: ", which no order of the operations explains", because: began.slice(-3) }
  const last = began.at(-1)
  if (last === undefined) return { why: `: but ${describe(between)}, and nothing has deleted it`, because: [between] }
  const maker = last.op === "delete" ? `after ${describe(last)}` : `which ${describe(last)} had written`
  return { why: `, ${maker}: but since then ${describe(between)}`, because: [last, between] }
}

/** What the operation found in the key before it did anything; undefined: its answer does not say. */
function valueSeen(operation: Operation): string | null | undefined {
  switch (operation.op) {
    case "get":
      return operation.value
    case "cas":
      return operation.status === "ok" ? operation.expected : undefined
    case "add":
      return operation.status === "ok" ? null : undefined
    case "incr": {
      const sum = integerOf(operation.value)
      return sum === undefined ? undefined : sum === operation.by ? null : String(sum - operation.by)
    }
    case "delete":
      return operation.found === false ? null : undefined
    case "set":
      return undefined
  }
}

function mayMake(operation: Operation, value: string | null): boolean {
  if (operation.status === "fail" || operation.op === "get") return false
  if (operation.op === "delete") return value === null
  if (operation.op === "incr" && operation.status === "info") return integerOf(value) !== undefined
  return operation.value === value
}

function writes(operation: Operation): boolean {
  return (
    operation.status === "ok" && operation.op !== "get" && !(operation.op === "delete" && operation.found === false)
  )
}

/** Those that explain, those that overlapped, and the last ones before. */
function around(
  culprit: NumberedOperation,
  because: readonly NumberedOperation[],
  operations: readonly NumberedOperation[],
): NumberedOperation[] {
  const shown = new Set([culprit, ...because])
  const earlier = operations
    .filter(({ callNs, op, status }) => callNs <= culprit.returnNs && !(op === "get" && status !== "ok"))
    // What ended last first; unknown ones may have ended at any time, and there may be many: those called last.
    .sort((a, b) => endedNs(b, culprit) - endedNs(a, culprit))
  for (const operation of earlier) if (shown.size < mostShown) shown.add(operation)
  return [...shown].sort((a, b) => a.callNs - b.callNs)
}

function endedNs(operation: Operation, culprit: Operation): number {
  return operation.status === "info" ? operation.callNs : Math.min(operation.returnNs, culprit.returnNs)
}

/** One operation in words: `#12 set "a" by process 3 (1.203000 s to 1.204000 s)`. */
export function describe(operation: NumberedOperation): string {
  const { number, process, callNs, returnNs, status } = operation
  const until = status === "info" ? "outcome unknown" : `${seconds(callNs)} to ${seconds(returnNs)}`
  const when = status === "info" ? `called at ${seconds(callNs)}, ${until}` : until
  return `#${number} ${what(operation)} by process ${process} (${when})`
}

function what(operation: Operation): string {
  const { status } = operation
  const unmet = status === "fail" ? ", not met" : ""
  switch (operation.op) {
    case "get":
      return operation.value === null ? "get answered a miss" : `get answered ${show(operation.value)}`
    case "set":
      return `set ${show(operation.value)}`
    case "add":
      return `add ${show(operation.value)}${unmet}`
    case "delete":
      return `delete${operation.found === undefined ? "" : operation.found ? ", found" : ", nothing found"}`
    case "cas":
      return `cas from ${show(operation.expected)} to ${show(operation.value)}${unmet}`
    case "incr":
      return `incr by ${operation.by}${status === "ok" ? ` answered ${operation.value}` : ""}`
  }
}

function show(value: string | null): string {
  if (value === null) return "nothing"
  return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value)
}

function seconds(timeNs: number): string {
  return `${(timeNs / 1e9).toFixed(6)} s`
}
