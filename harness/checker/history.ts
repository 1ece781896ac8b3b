/**
 * The format of a history: what clients asked, what they were told, and when. One JSON line an operation, so that a run
 * can write it as it goes, and so that other tools can read it:
 *
 *     {"process":3,"key":"k","op":"set","value":"v","call_ns":1,"return_ns":2,"status":"ok"}
 *
 * Times count from the start of the run, on one clock. Operations whose ends touch (one returns in the nanosecond in
 * which another is called) count as concurrent; a recorder with a coarse clock adds a counter to it, or loses order.
 */

/** `ttlMs`: what is written may expire so long after the call, by any clock; absent: never. */
export type Action =
  /** `value`: what was answered; null: a miss. */
  | { readonly op: "get"; readonly value: string | null }
  | { readonly op: "set"; readonly value: string; readonly ttlMs?: number }
  /** Set if absent. */
  | { readonly op: "add"; readonly value: string; readonly ttlMs?: number }
  /** `found`: whether the answer said that the key was there; absent: the answer is not held against anyone. */
  | { readonly op: "delete"; readonly found?: boolean }
  /** Compares values; `expected` null: the key is absent. */
  | { readonly op: "cas"; readonly expected: string | null; readonly value: string; readonly ttlMs?: number }
  /** Adds to a decimal integer; a missing key counts as 0. `value`: what was answered, null when nothing was. */
  | { readonly op: "incr"; readonly by: number; readonly value: string | null }

/**
 * ok: took effect once between call and return, and answered as stated.
 * fail: certainly without effect. For add and cas it also says that the condition was not met, which is as good as a
 * read; so an add or a cas that was refused for another reason is left out of the history.
 * info: nobody knows. May take effect once at any time after the call, also after `returnNs`, or never.
 */
export type Status = "ok" | "fail" | "info"

export type Operation = Action & {
  /** A process has one operation at a time; after an info it goes on, while the old one may still take effect. */
  readonly process: number
  readonly key: string
  readonly callNs: number
  /** Infinity when nothing returned. */
  readonly returnNs: number
  readonly status: Status
}

/** One line, with its end. */
export function historyLine(operation: Operation): string {
  const { process, key, op, callNs, returnNs, status } = operation
  const line: Record<string, unknown> = { process, key, op }
  line["value"] = operation.op === "delete" ? null : operation.value
  if (operation.op === "cas") line["expected"] = operation.expected
  if (operation.op === "incr") line["by"] = operation.by
  if (operation.op === "delete" && operation.found !== undefined) line["found"] = operation.found
  if ("ttlMs" in operation && operation.ttlMs !== undefined) line["ttl_ms"] = operation.ttlMs
  line["call_ns"] = callNs
  if (returnNs !== Infinity) line["return_ns"] = returnNs
  line["status"] = status
  return `${JSON.stringify(line)}\n`
}

export type HistoryProblem = { readonly line: number; readonly problem: string }

export type ParsedHistory = { readonly operations: readonly Operation[]; readonly problems: readonly HistoryProblem[] }

/** Reads JSON lines; empty lines are skipped, bad ones reported and left out. */
export function parseHistory(text: string): ParsedHistory {
  const operations: Operation[] = []
  const lineNumbers: number[] = []
  const problems: HistoryProblem[] = []
  let line = 0
  for (const content of text.split("\n")) {
    line++
    if (content.trim() === "") continue
    const parsed = parseLine(content)
    if (typeof parsed === "string") problems.push({ line, problem: parsed })
    else {
      operations.push(parsed)
      lineNumbers.push(line)
    }
  }
  for (const { index, problem } of overlaps(operations)) problems.push({ line: lineNumbers[index] ?? 0, problem })
  return { operations, problems: problems.sort((a, b) => a.line - b.line) }
}

/** The operation, or what is wrong with the line. */
export function parseLine(content: string): Operation | string {
  let line: unknown
  try {
    line = JSON.parse(content)
  } catch (error) {
    return `not JSON: ${error instanceof Error ? error.message : String(error)}`
  }
  if (typeof line !== "object" || line === null || Array.isArray(line)) return "a line is one JSON object"
  const fields: { readonly [name: string]: unknown } = { ...line }
  const { process, key, status, call_ns: callNs } = fields
  if (!isWhole(process)) return "process must be a whole number"
  if (typeof key !== "string") return "key must be a string"
  if (status !== "ok" && status !== "fail" && status !== "info") return "status must be ok, fail or info"
  if (!isWhole(callNs)) return "call_ns must be a whole number below 2^53: count from the start of the run"
  const returnNs = fields["return_ns"] ?? Infinity
  if (returnNs !== Infinity && !isWhole(returnNs)) return "return_ns must be a whole number below 2^53"
  if (status !== "info" && returnNs === Infinity)
    return `return_ns is missing: only an info may lack it, this is ${status}`
  if (returnNs < callNs) return "return_ns is before call_ns"
  const action = parseAction(fields, status)
  return typeof action === "string" ? action : { process, key, callNs, returnNs, status, ...action }
}

function parseAction(fields: { readonly [name: string]: unknown }, status: Status): Action | string {
  const { op, by, found, ttl_ms: ttlMs } = fields
  const value = text(fields["value"] ?? null)
  if (value === undefined) return "value must be a string or null"
  if (ttlMs !== undefined && (typeof ttlMs !== "number" || !(ttlMs > 0))) return "ttl_ms must be a number above 0"
  const expiry = ttlMs === undefined ? {} : { ttlMs }
  switch (op) {
    case "get":
      return { op, value }
    case "set":
    case "add":
      return value === null ? `${op} needs the value that was written` : { op, value, ...expiry }
    case "delete":
      if (found !== undefined && typeof found !== "boolean") return "found must be true or false"
      return found === undefined ? { op } : { op, found }
    case "cas": {
      const expected = text(fields["expected"])
      if (value === null) return "cas needs the value that was written"
      return expected === undefined
        ? "cas needs expected: a string, or null for absent"
        : { op, expected, value, ...expiry }
    }
    case "incr":
      if (typeof by !== "number" || !Number.isSafeInteger(by)) return "incr needs by: a whole number"
      if (status === "ok" && integerOf(value) === undefined) return "an incr that is ok answered a whole number: value"
      return { op, by, value }
    default:
      return "op must be get, set, add, delete, cas or incr"
  }
}

/** The whole number that a value spells, as incr reads it. */
export function integerOf(value: string | null): number | undefined {
  if (value === null || !/^-?\d{1,16}$/.test(value)) return undefined
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : undefined
}

/** Operations that begin while an earlier one of the same process is still open: the recorder is wrong, not the cache. */
function overlaps(operations: readonly Operation[]): { index: number; problem: string }[] {
  const order = operations.map((operation, index) => ({ operation, index }))
  // By return as well: of two that are called in the same nanosecond, the one that took no time came first.
  order.sort(
    (a, b) => a.operation.callNs - b.operation.callNs || (a.operation.returnNs < b.operation.returnNs ? -1 : 1),
  )
  const openUntilNs = new Map<number, number>()
  const found: { index: number; problem: string }[] = []
  for (const { operation, index } of order) {
    if (operation.callNs < (openUntilNs.get(operation.process) ?? -Infinity))
      found.push({ index, problem: `process ${operation.process} had another operation open: it has one at a time` })
    if (operation.status !== "info") openUntilNs.set(operation.process, operation.returnNs)
  }
  return found
}

/** Other recorders write numbers as numbers; here a value is text. */
function text(value: unknown): string | null | undefined {
  if (typeof value === "number") return String(value)
  return typeof value === "string" || value === null ? value : undefined
}

function isWhole(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value)
}
