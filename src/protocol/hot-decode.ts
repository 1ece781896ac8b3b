/**
 * The messages of `hot-encode.ts` read straight from a frame. Takes only what is exactly of the expected form and within
 * every bound; a frame with anything else in it, another kind or a field of a later version included, is left to the
 * tables, which accept or refuse it. So a frame means the same whichever of the two reads it, and nothing is refused here.
 */
import type { CborReader } from "./cbor-reader.ts"
import {
  maxChannelBytes,
  maxFrameBytes,
  maxFrameItems,
  maxKeyBytes,
  maxKeysRead,
  maxListItems,
  maxOperationsAhead,
  maxShards,
  maxTtlMs,
  maxValueBytes,
} from "./limits.ts"
import type {
  ClientToNode,
  Condition,
  DedupRecord,
  NodeToClient,
  Operation,
  ReplicatedOp,
  Request,
  Result,
  TransferEntry,
} from "./message.ts"
import type { FrameHeader, LinkMessage } from "./tables.ts"

const maxCounter = 2 ** 48 - 1
const maxFlags = 0xffff
const maxViewHash = 2 ** 53 - 1

/** An item takes a byte at least: a frame of so many bytes cannot have too many of them. */
export function mayBeHot(frame: Uint8Array): boolean {
  return frame.length <= maxFrameItems
}

/** What a client sent; undefined: not as expected. */
export function readForNode(from: CborReader): ClientToNode[] | undefined {
  const messages: ClientToNode[] = []
  const count = from.list()
  for (let i = 0; i < count && from.isIntact; i++) {
    from.listOf(3)
    const kind = from.uint(6)
    const number = from.uint(maxCounter)
    if (kind === 2) messages.push({ kind: "request", attempt: number, request: readRequest(from) })
    else if (kind === 6) messages.push({ kind: "read-many", n: number, keys: readKeys(from) })
    else from.fail()
  }
  return from.end() ? messages : undefined
}

/** What a node sent to a client; undefined: not as expected. */
export function readForClient(from: CborReader): NodeToClient[] | undefined {
  const messages: NodeToClient[] = []
  const count = from.list()
  for (let i = 0; i < count && from.isIntact; i++) {
    const length = from.list()
    const kind = from.uint(7)
    const n = from.uint(maxCounter)
    if (kind === 7 && length === 4) {
      const results = readResultsOfMany(from)
      messages.push({ kind: "many-read", n, results, epoch: from.uint(maxCounter) })
      continue
    }
    if (kind !== 4 || length !== 5) from.fail()
    const attempt = from.uint(maxCounter)
    const reply = readResult(from)
    messages.push({ kind: "reply", n, attempt, reply, epoch: from.uint(maxCounter) })
  }
  return from.end() ? messages : undefined
}

/** What a node sent to another; undefined: not as expected. */
export function readLinkFrame(
  from: CborReader,
): { readonly header: FrameHeader; readonly messages: LinkMessage[] } | undefined {
  from.listOf(2)
  const header = readHeader(from)
  const messages: LinkMessage[] = []
  const count = from.list()
  for (let i = 0; i < count && from.isIntact; i++) {
    const message = readLinkMessage(from)
    if (message !== undefined) messages.push(message)
  }
  return from.end() ? { header, messages } : undefined
}

function readHeader(from: CborReader): FrameHeader {
  from.listOf(5)
  const proto = from.uint(0xffff)
  const clusterId = from.isEmptyText() ? "" : from.id()
  const generation = from.uint(0xffff_ffff)
  const sender = from.id()
  return { proto, clusterId, generation, from: sender, to: from.isNull() ? null : from.id() }
}

function readLinkMessage(from: CborReader): LinkMessage | undefined {
  const length = from.list()
  const kind = from.uint(maxCounter)
  if (kind === 64 && length === 7) {
    const shard = from.uint(maxShards - 1)
    const q = from.uint(maxCounter)
    const tid = from.uint(maxCounter)
    const ops = readOps(from)
    const commit = from.uint(maxCounter)
    return { kind: "repl", shard, q, tid, ops, commit, last: from.uint(maxCounter) }
  }
  if (kind === 65 && length === 7) {
    const shard = from.uint(maxShards - 1)
    const q = from.uint(maxCounter)
    const tid = from.uint(maxCounter)
    const seq = from.uint(maxCounter)
    const gap = from.flag()
    return { kind: "repl-ack", shard, q, tid, seq, gap, headroom: readFinite(from) }
  }
  if (kind === 69 && length === 8) {
    const shard = from.uint(maxShards - 1)
    const q = from.uint(maxCounter)
    const tid = from.uint(maxCounter)
    const since = from.uint(maxCounter)
    const baseSeq = from.uint(maxCounter)
    const commit = from.uint(maxCounter)
    return { kind: "transfer-begin", shard, q, tid, since, baseSeq, commit, dedup: readDedup(from) }
  }
  if (kind === 70 && length === 8) {
    const shard = from.uint(maxShards - 1)
    const q = from.uint(maxCounter)
    const tid = from.uint(maxCounter)
    const index = from.uint(maxCounter)
    const entries = readEntries(from)
    const fin = from.flag()
    return { kind: "transfer-chunk", shard, q, tid, index, entries, fin, endSeq: from.uint(maxCounter) }
  }
  if (kind === 71 && length === 5) {
    const shard = from.uint(maxShards - 1)
    const q = from.uint(maxCounter)
    const tid = from.uint(maxCounter)
    return { kind: "transfer-ack", shard, q, tid, index: from.uint(maxCounter) }
  }
  if (kind === 74 && length === 3) {
    const epoch = from.uint(maxCounter)
    return { kind: "forget", epoch, entries: readForgotten(from) }
  }
  if (kind === 75 && length === 3) {
    const n = from.uint(maxCounter)
    from.listOf(3)
    // Questions and answers of other kinds are rare.
    if (from.uint(1) !== 1) from.fail()
    const channel = from.bytes(maxChannelBytes)
    return { kind: "channel-ask", n, question: { about: "publish", channel, payload: from.bytes(maxValueBytes) } }
  }
  if (kind === 76 && length === 3) {
    const n = from.uint(maxCounter)
    from.listOf(2)
    if (from.uint(1) !== 1) from.fail()
    return { kind: "channel-told", n, answer: { about: "publish", count: from.uint(maxCounter) } }
  }
  if (kind === 32 && length === 5) {
    const n = from.uint(maxCounter)
    const epoch = from.uint(maxCounter)
    const viewHash = from.uint(maxViewHash)
    return { kind: "beat", n, epoch, viewHash, acked: from.uint(maxCounter) }
  }
  if (kind === 33 && length === 3) {
    const n = from.uint(maxCounter)
    return { kind: "beat-ack", n, epoch: from.uint(maxCounter) }
  }
  if (kind === 72 && length === 3) {
    const n = from.uint(maxCounter)
    return { kind: "forward", n, request: readRequest(from) }
  }
  if (kind === 73 && length === 4) {
    const n = from.uint(maxCounter)
    const reply = readResult(from)
    return { kind: "forward-reply", n, reply, epoch: from.uint(maxCounter) }
  }
  from.fail()
  return undefined
}

// ---------------------------------------------------------------------------------------------------- operations

function readRequest(from: CborReader): Request {
  from.listOf(7)
  const clientId = from.id()
  const n = from.uint(maxCounter)
  const ackedBelow = from.uint(maxCounter)
  const firstEpoch = from.uint(maxCounter)
  const key = from.bytes(maxFrameBytes)
  const operation = readOperation(from)
  return { clientId, n, ackedBelow, firstEpoch, key, operation, deadlineMs: readSpan(from) }
}

function readOperation(from: CborReader): Operation {
  const length = from.list()
  const kind = from.uint(6)
  if (kind === 1 && length === 1) return { op: "get" }
  if (kind === 2 && length === 1) return { op: "ttl" }
  if (kind === 3 && length === 5) {
    const value = from.bytes(maxFrameBytes)
    const flags = from.uint(maxFlags)
    const ttlMs = readTtlChange(from)
    return { op: "set", value, flags, ttlMs, condition: readCondition(from) }
  }
  if (kind === 4 && length === 2) return { op: "delete", condition: readCondition(from) }
  if (kind === 5 && length === 3) {
    const ttlMs = readTtl(from)
    return { op: "touch", ttlMs, condition: readCondition(from) }
  }
  if (kind === 6 && length === 3) {
    const by = readInteger(from)
    return { op: "incr", by, ttlMs: readTtl(from) }
  }
  from.fail()
  return { op: "get" }
}

function readCondition(from: CborReader): Condition | null {
  if (from.isNull()) return null
  const length = from.list()
  const kind = from.uint(4)
  if (kind === 1 && length === 1) return { if: "absent" }
  if (kind === 2 && length === 1) return { if: "present" }
  if (kind === 3 && length === 2) return { if: "version", version: from.uint(maxCounter) }
  if (kind === 4 && length === 2) return { if: "value", value: from.bytes(maxFrameBytes) }
  from.fail()
  return null
}

function readResult(from: CborReader): Result {
  const length = from.list()
  const kind = from.uint(9)
  if (kind === 1 && length === 4) {
    const value = from.bytes(maxValueBytes)
    const flags = from.uint(maxFlags)
    return { kind: "value", value, flags, version: from.uint(maxCounter) }
  }
  if (kind === 2 && length === 1) return { kind: "missing" }
  if (kind === 3 && length === 3) {
    const ttlMs = readTtl(from)
    return { kind: "ttl", ttlMs, version: from.uint(maxCounter) }
  }
  if (kind === 4 && length === 2) return { kind: "stored", version: from.uint(maxCounter) }
  if (kind === 5 && length === 1) return { kind: "deleted" }
  if (kind === 6 && length === 2) return { kind: "touched", version: from.uint(maxCounter) }
  if (kind === 7 && length === 4) {
    const value = readInteger(from)
    const version = from.uint(maxCounter)
    return { kind: "counted", value, version, ttlMs: readTtl(from) }
  }
  if (kind === 8 && length === 2) return { kind: "unmet", version: from.uint(maxCounter) }
  if (kind === 9 && length === 1) return { kind: "not-a-number" }
  from.fail()
  return { kind: "missing" }
}

function readKeys(from: CborReader): Uint8Array[] {
  const count = from.list()
  if (count > maxKeysRead) from.fail()
  const keys: Uint8Array[] = []
  for (let i = 0; i < count && from.isIntact; i++) keys.push(from.bytes(maxKeyBytes))
  return keys
}

function readResultsOfMany(from: CborReader): (Result | null)[] {
  const count = from.list()
  if (count > maxKeysRead) from.fail()
  const results: (Result | null)[] = []
  for (let i = 0; i < count && from.isIntact; i++) results.push(from.isNull() ? null : readResult(from))
  return results
}

function readOps(from: CborReader): ReplicatedOp[] {
  const count = from.list()
  if (count > maxListItems) from.fail()
  const ops: ReplicatedOp[] = []
  for (let i = 0; i < count && from.isIntact; i++) {
    from.listOf(5)
    const seq = from.uint(maxCounter)
    const key = from.bytes(maxKeyBytes)
    const effect = readEffect(from)
    const origin = from.isNull() ? null : readOrigin(from)
    ops.push({ seq, key, effect, origin, result: from.isNull() ? null : readResult(from) })
  }
  return ops
}

function readDedup(from: CborReader): DedupRecord[] {
  const count = from.list()
  if (count > maxListItems) from.fail()
  const records: DedupRecord[] = []
  for (let i = 0; i < count && from.isIntact; i++) {
    from.listOf(4)
    const client = from.id()
    const low = from.uint(maxCounter)
    const idleMs = readSpan(from)
    records.push({ client, low, idleMs, results: readResults(from) })
  }
  return records
}

function readResults(from: CborReader): (readonly [number, Result])[] {
  const count = from.list()
  if (count > maxOperationsAhead + 1) from.fail()
  const results: (readonly [number, Result])[] = []
  for (let i = 0; i < count && from.isIntact; i++) {
    from.listOf(2)
    const n = from.uint(maxCounter)
    results.push([n, readResult(from)])
  }
  return results
}

function readEntries(from: CborReader): TransferEntry[] {
  const count = from.list()
  if (count > maxListItems) from.fail()
  const entries: TransferEntry[] = []
  for (let i = 0; i < count && from.isIntact; i++) {
    from.listOf(5)
    const key = from.bytes(maxKeyBytes)
    const value = from.bytes(maxValueBytes)
    const flags = from.uint(maxFlags)
    const version = from.uint(maxCounter)
    entries.push({ key, value, flags, version, ttlLeftMs: readTtl(from) })
  }
  return entries
}

function readForgotten(from: CborReader): (readonly [Uint8Array, number])[] {
  const count = from.list()
  if (count > maxListItems) from.fail()
  const entries: (readonly [Uint8Array, number])[] = []
  for (let i = 0; i < count && from.isIntact; i++) {
    from.listOf(2)
    const key = from.bytes(maxKeyBytes)
    entries.push([key, from.uint(maxCounter)])
  }
  return entries
}

function readEffect(from: CborReader): ReplicatedOp["effect"] {
  const length = from.list()
  const kind = from.uint(4)
  if (kind === 1 && length === 4) {
    const value = from.bytes(maxValueBytes)
    const flags = from.uint(maxFlags)
    return { kind: "put", value, flags, ttlLeftMs: readTtl(from) }
  }
  if (kind === 2 && length === 1) return { kind: "delete" }
  if (kind === 3 && length === 1) return { kind: "none" }
  if (kind === 4 && length === 2) return { kind: "forget-client", client: from.id() }
  from.fail()
  return { kind: "none" }
}

function readOrigin(from: CborReader): NonNullable<ReplicatedOp["origin"]> {
  from.listOf(3)
  const client = from.id()
  const n = from.uint(maxCounter)
  return { client, n, ackedBelow: from.uint(maxCounter) }
}

// ------------------------------------------------------------------------------------------------------- numbers

function readTtlChange(from: CborReader): number | null | "keep" {
  if (from.isNull()) return null
  const value = from.number()
  return value === -1 ? "keep" : ttlFrom(value, from)
}

function readTtl(from: CborReader): number | null {
  return from.isNull() ? null : ttlFrom(from.number(), from)
}

function ttlFrom(value: number, from: CborReader): number {
  if (!(Number.isFinite(value) && value >= 0)) from.fail()
  return Math.min(maxTtlMs, value)
}

function readSpan(from: CborReader): number {
  const value = from.number()
  if (!(Number.isFinite(value) && value >= 0)) from.fail()
  return value
}

function readFinite(from: CborReader): number {
  const value = from.number()
  if (!Number.isFinite(value)) from.fail()
  return value
}

function readInteger(from: CborReader): number {
  const value = from.number()
  if (!Number.isSafeInteger(value)) from.fail()
  return value
}
