/**
 * What an operation does to an entry: pure. The entry is the newest value of its key, also an uncommitted one, and is
 * `undefined` where it is missing or has expired ("Data path").
 */
import { unreachable } from "../../base/assert.ts"
import { copyOf } from "../../base/bytes.ts"
import { leaseFlag, textFlags } from "../../protocol/limits.ts"
import type {
  Condition,
  GroupStep,
  GroupWrite,
  KeyOperation,
  KeyResult,
  Operation,
  ReplicatedOp,
  Seq,
  ShardOperation,
} from "../../protocol/message.ts"
import type { Entry } from "../../store/store.ts"

export type ReadOperation = Extract<KeyOperation, { op: "get" | "ttl" }>
/** Of one key. */
export type WriteOperation = Exclude<KeyOperation, ReadOperation>
export type Evaluation = {
  readonly effect: Extract<ReplicatedOp["effect"], { kind: "put" | "delete" | "none" }>
  readonly result: KeyResult
}

export function isRead(operation: Operation): operation is ReadOperation {
  return operation.op === "get" || operation.op === "ttl"
}

/** Whether nothing depends on how often it is executed. */
export function changesNothing(operation: Operation): boolean {
  return isRead(operation) || operation.op === "scan" || operation.op === "size"
}

/** Such an operation names shards instead of a key. */
export function isOfShards(operation: Operation): operation is ShardOperation {
  return operation.op === "scan" || operation.op === "size" || operation.op === "clear"
}

/**
 * A promise of somebody to write the key soon ("Leases"): everybody else finds the key absent, and may write it or delete
 * it, which ends the lease. Only who names its version, or wants a lease as well, comes across it.
 */
export function isLease(entry: Entry): boolean {
  return (entry.flags & leaseFlag) !== 0
}

export function read(entry: Entry | undefined, operation: ReadOperation, nowMs: number): KeyResult {
  if (entry === undefined || isLease(entry)) return missing
  if (operation.op === "get") return { kind: "value", value: entry.value, flags: entry.flags, version: entry.version }
  return { kind: "ttl", ttlMs: ttlLeftMs(entry, nowMs), version: entry.version }
}

/** `seq`: the place in the shard's order that the operation will take, which is the version that it writes. */
export function evaluate(options: {
  readonly entry: Entry | undefined
  readonly operation: WriteOperation
  readonly seq: Seq
  readonly nowMs: number
}): Evaluation {
  const { entry: held, operation, seq, nowMs } = options
  const entry = held !== undefined && isLease(held) ? undefined : held
  switch (operation.op) {
    case "set": {
      const isForLease = (operation.flags & leaseFlag) !== 0
      const refusal = unmet(isForLease ? held : entry, held, operation.condition)
      if (refusal !== undefined) return { effect: { kind: "none" }, result: refusal }
      const { value, flags, ttlMs } = operation
      const kept = entry === undefined ? null : ttlLeftMs(entry, nowMs)
      return {
        effect: { kind: "put", value: copyOf(value), flags, ttlLeftMs: ttlMs === "keep" ? kept : ttlMs },
        result: { kind: "stored", version: seq },
      }
    }
    case "delete": {
      const refusal = held === undefined ? missing : unmet(entry, held, operation.condition)
      if (refusal !== undefined) return { effect: { kind: "none" }, result: refusal }
      const isSeen = entry !== undefined || operation.condition !== null
      return { effect: { kind: "delete" }, result: isSeen ? { kind: "deleted" } : missing }
    }
    case "touch": {
      if (entry === undefined) return { effect: { kind: "none" }, result: missing }
      const refusal = unmet(entry, held, operation.condition)
      if (refusal !== undefined) return { effect: { kind: "none" }, result: refusal }
      const { value, flags } = entry
      return {
        effect: { kind: "put", value, flags, ttlLeftMs: operation.ttlMs },
        result: { kind: "touched", version: seq },
      }
    }
    case "incr": {
      const before = entry === undefined ? 0 : integerOf(entry.value)
      const after = before === undefined ? undefined : before + operation.by
      if (after === undefined || !Number.isSafeInteger(after))
        return { effect: { kind: "none" }, result: { kind: "not-a-number" } }
      const leftMs = entry === undefined ? operation.ttlMs : ttlLeftMs(entry, nowMs)
      return {
        effect: { kind: "put", value: textOf(after), flags: entry?.flags ?? textFlags, ttlLeftMs: leftMs },
        result: { kind: "counted", value: after, version: seq, ttlMs: leftMs },
      }
    }
    default:
      return unreachable(operation)
  }
}

/**
 * What a group does: all of it, or nothing. `entries`: of the keys of its steps, in their order, as are the `writes`. What is
 * not there is deleted, met or not: missing here is not missing everywhere.
 */
export function evaluateGroup(options: {
  readonly steps: readonly GroupStep[]
  readonly entries: readonly (Entry | undefined)[]
  readonly nowMs: number
  readonly rules: { readonly missIsWritten: boolean; readonly groupsAllOrNothing: boolean }
}): {
  readonly writes: readonly (GroupWrite | undefined)[]
  /** The place of the first step whose condition is not met; undefined: all are. */
  readonly unmetAt: number | undefined
} {
  const { entries, nowMs, rules } = options
  const steps = options.steps.map((step, i) => ({ step, ...evaluateStep(step, entries[i], nowMs) }))
  const unmetAt = steps.findIndex(({ isMet }) => !isMet)
  const writes = steps.map(({ step: { key }, effect, isMet }, i): GroupWrite | undefined => {
    const isDone = unmetAt < 0 || (isMet && !rules.groupsAllOrNothing)
    if (isDone && effect.kind !== "none") return { key: copyOf(key), effect }
    return entries[i] === undefined && rules.missIsWritten
      ? { key: copyOf(key), effect: { kind: "delete" } }
      : undefined
  })
  return { writes, unmetAt: unmetAt < 0 ? undefined : unmetAt }
}

function evaluateStep(
  { operation }: GroupStep,
  held: Entry | undefined,
  nowMs: number,
): { readonly effect: Evaluation["effect"]; readonly isMet: boolean } {
  if (operation.op === "check") {
    const entry = held !== undefined && isLease(held) ? undefined : held
    return { effect: { kind: "none" }, isMet: unmet(entry, held, operation.condition) === undefined }
  }
  // Its version is that of the whole, of which it is not told here.
  const { effect, result } = evaluate({ entry: held, operation, seq: 0, nowMs })
  const { kind } = result
  const isMet = kind === "stored" || kind === "touched" || kind === "deleted"
  return { effect, isMet: isMet || (operation.op === "delete" && operation.condition === null) }
}

/** Bytes of the keys and values that a group writes. */
export function bytesWritten(writes: readonly (GroupWrite | undefined)[]): number {
  let bytes = 0
  for (const write of writes)
    if (write !== undefined) bytes += write.key.length + (write.effect.kind === "put" ? write.effect.value.length : 0)
  return bytes
}

/** What the store adds to an entry, at most: of a single one it knows that itself. */
const entryBytes = 64

/** The same of a group. */
export function bytesAddedByGroup(steps: readonly GroupStep[]): number {
  let bytes = 0
  for (const { key, operation } of steps) {
    const added = operation.op === "check" ? 0 : bytesAdded(operation, key)
    if (added > 0) bytes += added + entryBytes
  }
  return bytes
}

/** Bytes that a write may add to the store; 0: it adds none. */
export function bytesAdded(operation: WriteOperation, key: Uint8Array): number {
  if (operation.op === "set") return key.length + operation.value.length
  return operation.op === "incr" ? key.length + longestInteger : 0
}

export function ttlLeftMs(entry: Entry, nowMs: number): number | null {
  return entry.expiresAtMs === Number.POSITIVE_INFINITY ? null : Math.max(0, entry.expiresAtMs - nowMs)
}

export function hasExpired(entry: Entry, nowMs: number): boolean {
  return entry.expiresAtMs <= nowMs
}

const missing: KeyResult = { kind: "missing" }

/** Characters of the longest safe integer, with its sign. */
const longestInteger = 17

/** `held`: also a lease, which who knows its version may name. */
function unmet(entry: Entry | undefined, held: Entry | undefined, condition: Condition | null): KeyResult | undefined {
  if (condition === null) return undefined
  if (condition.if === "version" && held?.version === condition.version) return undefined
  if (condition.if === "absent") return entry === undefined ? undefined : { kind: "unmet", version: entry.version }
  if (entry === undefined) return missing
  switch (condition.if) {
    case "present":
      return undefined
    case "version":
      return { kind: "unmet", version: entry.version }
    case "value":
      return isSame(entry.value, condition.value) ? undefined : { kind: "unmet", version: entry.version }
    default:
      return unreachable(condition)
  }
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

function integerOf(value: Uint8Array): number | undefined {
  if (value.length === 0 || value.length > longestInteger) return undefined
  let text = ""
  for (const byte of value) text += String.fromCharCode(byte)
  if (!/^-?(0|[1-9][0-9]*)$/.test(text)) return undefined
  const number = Number(text)
  return Number.isSafeInteger(number) ? number : undefined
}

function textOf(integer: number): Uint8Array {
  const text = String(integer)
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i)
  return bytes
}
