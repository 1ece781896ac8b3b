/**
 * One operation from the moment it is asked for until its outcome is told, and what can be said of it when no answer
 * came: whether it may have taken effect.
 */
import { maxKeyBytes, maxValueBytes } from "../protocol/limits.ts"
import type {
  Address,
  Epoch,
  NodeId,
  Operation,
  Refusal,
  Result,
  ShardId,
  ShardOperation,
} from "../protocol/message.ts"

/** Why an operation failed. Closed: a caller can switch over it. */
export type FailureCode =
  /** The cluster, or a part of it, is at a limit. */
  | "busy"
  /** The memory limit is reached and nothing may be forgotten. */
  | "full"
  /** The nodes that could be asked cannot reach a majority. */
  | "minority"
  /** All holders of the key are gone, or not back yet. */
  | "orphan"
  | "forked"
  | "stopped"
  /** The nodes that could be asked are not members of a cluster yet. */
  | "joining"
  | "timeout"
  /** No node could be reached. */
  | "unreachable"
  | "wrong-cluster"
  | "key-too-long"
  | "value-too-large"
  /** The keys of a group lie with different primaries; a group has too many keys or bytes. */
  | "keys-apart"
  | "group-too-large"
  | "bad-request"
  | "duplicate"
  | "cancelled"
  | "closed"
  /** More calls wait than this client's own bounds allow. */
  | "too-many-calls"

export type Failed = {
  readonly kind: "failed"
  readonly code: FailureCode
  /** Whether the operation may have taken effect, or yet may. Reads have none. */
  readonly mayHaveHappened: "no" | "unknown"
}

export type CallOutcome = Result | Failed

/** A request that was sent and not yet answered. */
export type Attempt = { readonly number: number; readonly to: Address; readonly sentAtMs: number }

const noAttempts: readonly Attempt[] = []
const queued = { kind: "queued" } as const
export const settled = { kind: "settled" } as const

export type CallState =
  /** Waits for a view, or for room in the window. Not numbered yet. */
  | { readonly kind: "queued" }
  /** There is nobody to ask. */
  | { readonly kind: "unrouted" }
  | { readonly kind: "backing-off"; readonly sendAtMs: number }
  | { readonly kind: "sent"; readonly attempt: Attempt; readonly askElsewhereAtMs: number }
  | { readonly kind: "settled" }

/** `index` is what the call was given as its own: many calls may share one such function. */
export type Done = (outcome: CallOutcome, index: number) => void

export type CallOptions = {
  readonly key: Uint8Array
  readonly operation: Operation
  readonly timeoutMs: number
  readonly done: Done
  readonly index?: number
}

/** A class, so that all of the thousands under way are of one shape. */
export class Call {
  readonly key: Uint8Array
  readonly operation: Operation
  readonly bytes: number
  readonly deadlineAtMs: number
  readonly done: Done
  readonly index: number
  state: CallState = queued
  // What follows has a meaning once the call has left the queue.
  n = 0
  firstEpoch: Epoch = 0
  shard: ShardId = 0
  /** Whom the newest attempt was meant for. */
  primary: NodeId | undefined = undefined
  attempts = 0
  /** Attempts without an answer, the newest last. */
  open: readonly Attempt[] = noAttempts
  /** An attempt was lost, or answered by what does not tell whether it was executed. */
  fateUnknown = false
  refusals = 0
  timeouts = 0
  /** What the last refusal said, for when nothing better follows. */
  lastCode: FailureCode | undefined = undefined
  /** Where the last attempt came to nothing. */
  avoid: Address | undefined = undefined
  /** A node said that this one is the primary now, by a view that is newer than ours. */
  hint: { readonly primary: NodeId; readonly epoch: Epoch; readonly from: Address } | undefined = undefined

  constructor({ key, operation, done, index }: CallOptions, deadlineAtMs: number) {
    this.key = key
    this.operation = operation
    this.bytes = bytesOf(key, operation)
    this.deadlineAtMs = deadlineAtMs
    this.done = done
    this.index = index ?? 0
  }
}

export function isRead({ op }: Operation): boolean {
  return op === "get" || op === "ttl" || op === "scan" || op === "size"
}

/** Such an operation names shards instead of a key. */
export function isOfShards(operation: Operation): operation is ShardOperation {
  return operation.op === "scan" || operation.op === "size" || operation.op === "clear"
}

/** What can be said of a call's effect when it ends without a result. */
export function mayHaveHappened(call: Call): "no" | "unknown" {
  if (isRead(call.operation)) return "no"
  return call.fateUnknown || call.open.length > 0 ? "unknown" : "no"
}

/** Whether an answer leaves no doubt that its attempt was not executed. */
export function saysNotExecuted(refusal: Refusal): boolean {
  return refusal.kind !== "retry" && refusal.kind !== "timeout" && refusal.kind !== "duplicate"
}

export function isRefusal(reply: Result | Refusal): reply is Refusal {
  switch (reply.kind) {
    case "moved":
    case "retry":
    case "busy":
    case "full":
    case "unavailable":
    case "timeout":
    case "duplicate":
    case "rejected":
      return true
    default:
      return false
  }
}

/** Why no message can carry this; undefined: one can. */
export function tooLong(key: Uint8Array, operation: Operation): "key-too-long" | "value-too-large" | undefined {
  if (key.length > maxKeyBytes) return "key-too-long"
  if (operation.op === "scan" || operation.op === "clear")
    return operation.prefix.length > maxKeyBytes ? "key-too-long" : undefined
  if (operation.op === "group")
    return operation.steps.some(step => step.key.length > maxKeyBytes) ? "key-too-long" : undefined
  const isLarge = operation.op === "set" && operation.value.length > maxValueBytes
  return isLarge || (comparedValue(operation)?.length ?? 0) > maxValueBytes ? "value-too-large" : undefined
}

/** Rough memory of a waiting call: what its bytes weigh, and its records. */
function bytesOf(key: Uint8Array, operation: Operation): number {
  const recordBytes = 256
  if (operation.op === "group") {
    let bytes = recordBytes
    for (const step of operation.steps) {
      const { op, condition } = step.operation
      bytes += recordBytes + step.key.length + (condition?.if === "value" ? condition.value.length : 0)
      if (op === "set") bytes += step.operation.value.length
    }
    return bytes
  }
  const valueBytes = operation.op === "set" ? operation.value.length : 0
  return recordBytes + key.length + valueBytes + (comparedValue(operation)?.length ?? 0)
}

function comparedValue(operation: Operation): Uint8Array | undefined {
  const condition = operation.op === "set" || operation.op === "delete" ? operation.condition : null
  return condition?.if === "value" ? condition.value : undefined
}
