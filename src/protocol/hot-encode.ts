/**
 * The messages of which there are many (requests and their answers, replication, transfers, what is forgotten, what is published, beats) written straight
 * into a frame, without the lists that the tables of `tables.ts` would build for the encoder. The bytes are the same: that
 * the tables and this file agree is what a property test is for. Everything else goes by the tables.
 */
import { assert, unreachable } from "../base/assert.ts"
import type { CborWriter } from "./cbor-writer.ts"
import type {
  ClientToNode,
  Condition,
  DedupRecord,
  KeyOperation,
  KeyResult,
  NodeToClient,
  Operation,
  ReplicatedOp,
  Reply,
  Request,
  Result,
  TransferEntry,
} from "./message.ts"
import type { FrameHeader, LinkMessage } from "./tables.ts"

export type AnyMessage = LinkMessage | ClientToNode | NodeToClient

/** The kinds that are written here, and by how many bytes a message can exceed the keys and values in it. */
const overheadBytes = 160
/** The same for an entry of a transfer, for a key that is forgotten, and for a result of many. */
const entryOverheadBytes = 40
/** What a byte string adds to its bytes. */
const itemOverheadBytes = 5

/** The most that the message takes; undefined: it is none of those written here. */
export function hotBytes(message: AnyMessage): number | undefined {
  switch (message.kind) {
    case "request":
    case "forward": {
      const { key, operation } = message.request
      return isHotOperation(operation) ? overheadBytes + key.length + operationBytes(operation) : undefined
    }
    case "read-many": {
      let bytes = overheadBytes
      for (const key of message.keys) bytes += itemOverheadBytes + key.length
      return bytes
    }
    case "many-read": {
      let bytes = overheadBytes
      for (const result of message.results) {
        if (result !== null && !isHotReply(result)) return undefined
        bytes += entryOverheadBytes + (result === null ? 0 : resultBytes(result))
      }
      return bytes
    }
    case "reply":
    case "forward-reply":
      return isHotReply(message.reply) ? overheadBytes + resultBytes(message.reply) : undefined
    case "repl": {
      let bytes = overheadBytes
      for (const op of message.ops) {
        if (op.effect.kind === "clear" || op.effect.kind === "group" || (op.result !== null && !isHotReply(op.result)))
          return undefined
        bytes += overheadBytes + replicatedBytes(op)
      }
      return bytes
    }
    case "transfer-begin": {
      let bytes = overheadBytes
      for (const { results } of message.dedup) {
        bytes += overheadBytes
        for (const [, result] of results) {
          if (!isHotReply(result)) return undefined
          bytes += entryOverheadBytes + resultBytes(result)
        }
      }
      return bytes
    }
    case "transfer-chunk": {
      let bytes = overheadBytes
      for (const { key, value } of message.entries) bytes += entryOverheadBytes + key.length + value.length
      return bytes
    }
    case "forget": {
      let bytes = overheadBytes
      for (const [key] of message.entries) bytes += entryOverheadBytes + key.length
      return bytes
    }
    case "channel-ask": {
      const { question } = message
      if (question.about !== "publish") return undefined
      return overheadBytes + question.channel.length + question.payload.length
    }
    case "channel-told":
      return message.answer.about === "publish" ? overheadBytes : undefined
    case "repl-ack":
    case "transfer-ack":
    case "beat":
    case "beat-ack":
      return overheadBytes
    default:
      return undefined
  }
}

/** Only what `hotBytes` has given a size. */
export function writeHot(message: AnyMessage, to: CborWriter): void {
  switch (message.kind) {
    case "request":
      to.list(3)
      to.number(2)
      to.number(message.attempt)
      return writeRequest(message.request, to)
    case "read-many":
      to.list(3)
      to.number(6)
      to.number(message.n)
      to.list(message.keys.length)
      for (const key of message.keys) to.bytes(key)
      return
    case "many-read":
      to.list(4)
      to.number(7)
      to.number(message.n)
      to.list(message.results.length)
      for (const result of message.results) writeResultOrNull(result, to)
      return to.number(message.epoch)
    case "reply":
      assert(isHotReply(message.reply), "other replies go by the tables")
      to.list(5)
      to.number(4)
      to.number(message.n)
      to.number(message.attempt)
      writeResult(message.reply, to)
      return to.number(message.epoch)
    case "repl":
      to.list(7)
      to.number(64)
      to.number(message.shard)
      to.number(message.q)
      to.number(message.tid)
      to.list(message.ops.length)
      for (const op of message.ops) writeReplicated(op, to)
      to.number(message.commit)
      return to.number(message.last)
    case "repl-ack":
      to.list(7)
      to.number(65)
      to.number(message.shard)
      to.number(message.q)
      to.number(message.tid)
      to.number(message.seq)
      to.flag(message.gap)
      return to.number(message.headroom)
    case "transfer-begin":
      to.list(8)
      to.number(69)
      to.number(message.shard)
      to.number(message.q)
      to.number(message.tid)
      to.number(message.since)
      to.number(message.baseSeq)
      to.number(message.commit)
      to.list(message.dedup.length)
      for (const record of message.dedup) writeDedup(record, to)
      return
    case "transfer-chunk":
      to.list(8)
      to.number(70)
      to.number(message.shard)
      to.number(message.q)
      to.number(message.tid)
      to.number(message.index)
      to.list(message.entries.length)
      for (const entry of message.entries) writeEntry(entry, to)
      to.flag(message.fin)
      return to.number(message.endSeq)
    case "transfer-ack":
      to.list(5)
      to.number(71)
      to.number(message.shard)
      to.number(message.q)
      to.number(message.tid)
      return to.number(message.index)
    case "forget":
      to.list(3)
      to.number(74)
      to.number(message.epoch)
      to.list(message.entries.length)
      for (const [key, version] of message.entries) {
        to.list(2)
        to.bytes(key)
        to.number(version)
      }
      return
    case "beat":
      to.list(5)
      to.number(32)
      to.number(message.n)
      to.number(message.epoch)
      to.number(message.viewHash)
      return to.number(message.acked)
    case "beat-ack":
      to.list(3)
      to.number(33)
      to.number(message.n)
      return to.number(message.epoch)
    case "channel-ask":
      assert(message.question.about === "publish", "other questions go by the tables")
      to.list(3)
      to.number(75)
      to.number(message.n)
      to.list(3)
      to.number(1)
      to.bytes(message.question.channel)
      return to.bytes(message.question.payload)
    case "channel-told":
      assert(message.answer.about === "publish", "other answers go by the tables")
      to.list(3)
      to.number(76)
      to.number(message.n)
      to.list(2)
      to.number(1)
      return to.number(message.answer.count)
    case "forward":
      to.list(3)
      to.number(72)
      to.number(message.n)
      return writeRequest(message.request, to)
    case "forward-reply":
      assert(isHotReply(message.reply), "other replies go by the tables")
      to.list(4)
      to.number(73)
      to.number(message.n)
      writeResult(message.reply, to)
      return to.number(message.epoch)
    default:
      assert(false, `${message.kind} goes by the tables`)
  }
}

/** The header of a frame between nodes; not its list, which the messages end. */
export function writeHeader({ proto, clusterId, generation, from, to }: FrameHeader, writer: CborWriter): void {
  writer.list(5)
  writer.number(proto)
  writer.shortText(clusterId)
  writer.number(generation)
  writer.shortText(from)
  if (to === null) writer.null()
  else writer.shortText(to)
}

/** Whether `writeHeader` can: ids are short, but the name of a cluster may be any text. */
export function isHotHeader({ clusterId }: FrameHeader): boolean {
  return /^[ -~]{0,23}$/.test(clusterId)
}

// ------------------------------------------------------------------------------------------------------- sizes

/** The others are of whole shards or of several keys, and rare. */
function isHotOperation(operation: Operation): operation is KeyOperation {
  return operation.op !== "scan" && operation.op !== "size" && operation.op !== "clear" && operation.op !== "group"
}

function operationBytes(operation: KeyOperation): number {
  if (operation.op === "set") return operation.value.length + conditionBytes(operation.condition)
  return operation.op === "delete" || operation.op === "touch" ? conditionBytes(operation.condition) : 0
}

function conditionBytes(condition: Condition | null): number {
  return condition !== null && condition.if === "value" ? condition.value.length : 0
}

function resultBytes(result: Result): number {
  return result.kind === "value" ? result.value.length : 0
}

function replicatedBytes({ key, effect, result }: ReplicatedOp): number {
  return key.length + (effect.kind === "put" ? effect.value.length : 0) + (result === null ? 0 : resultBytes(result))
}

/** Refusals are rare, and have words and ids in them; so are the answers of whole shards. */
function isHotReply(reply: Reply): reply is KeyResult {
  return resultNumbers[reply.kind] !== 0
}

const resultNumbers: Readonly<Record<Reply["kind"], number>> = {
  value: 1,
  missing: 2,
  ttl: 3,
  stored: 4,
  deleted: 5,
  touched: 6,
  counted: 7,
  unmet: 8,
  "not-a-number": 9,
  page: 0,
  size: 0,
  cleared: 0,
  "group-done": 0,
  "group-unmet": 0,
  moved: 0,
  retry: 0,
  busy: 0,
  full: 0,
  unavailable: 0,
  timeout: 0,
  duplicate: 0,
  rejected: 0,
}

// ----------------------------------------------------------------------------------------------------- writing

function writeRequest(request: Request, to: CborWriter): void {
  assert(isHotOperation(request.operation), "other operations go by the tables")
  to.list(7)
  to.shortText(request.clientId)
  to.number(request.n)
  to.number(request.ackedBelow)
  to.number(request.firstEpoch)
  to.bytes(request.key)
  writeOperation(request.operation, to)
  to.number(request.deadlineMs)
}

function writeOperation(operation: KeyOperation, to: CborWriter): void {
  switch (operation.op) {
    case "get":
      to.list(1)
      return to.number(1)
    case "ttl":
      to.list(1)
      return to.number(2)
    case "set":
      to.list(5)
      to.number(3)
      to.bytes(operation.value)
      to.number(operation.flags)
      if (operation.ttlMs === "keep") to.number(-1)
      else numberOrNull(operation.ttlMs, to)
      return writeCondition(operation.condition, to)
    case "delete":
      to.list(2)
      to.number(4)
      return writeCondition(operation.condition, to)
    case "touch":
      to.list(3)
      to.number(5)
      numberOrNull(operation.ttlMs, to)
      return writeCondition(operation.condition, to)
    case "incr":
      to.list(3)
      to.number(6)
      to.number(operation.by)
      return numberOrNull(operation.ttlMs, to)
    default:
      return unreachable(operation)
  }
}

function writeCondition(condition: Condition | null, to: CborWriter): void {
  if (condition === null) return to.null()
  switch (condition.if) {
    case "absent":
      to.list(1)
      return to.number(1)
    case "present":
      to.list(1)
      return to.number(2)
    case "version":
      to.list(2)
      to.number(3)
      return to.number(condition.version)
    case "value":
      to.list(2)
      to.number(4)
      return to.bytes(condition.value)
    default:
      return unreachable(condition)
  }
}

function writeResult(result: KeyResult, to: CborWriter): void {
  const number = resultNumbers[result.kind]
  switch (result.kind) {
    case "value":
      to.list(4)
      to.number(number)
      to.bytes(result.value)
      to.number(result.flags)
      return to.number(result.version)
    case "ttl":
      to.list(3)
      to.number(number)
      numberOrNull(result.ttlMs, to)
      return to.number(result.version)
    case "counted":
      to.list(4)
      to.number(number)
      to.number(result.value)
      to.number(result.version)
      return numberOrNull(result.ttlMs, to)
    case "stored":
    case "touched":
    case "unmet":
      to.list(2)
      to.number(number)
      return to.number(result.version)
    case "missing":
    case "deleted":
    case "not-a-number":
      to.list(1)
      return to.number(number)
    default:
      return unreachable(result)
  }
}

function writeDedup({ client, low, idleMs, results }: DedupRecord, to: CborWriter): void {
  to.list(4)
  to.shortText(client)
  to.number(low)
  to.number(idleMs)
  to.list(results.length)
  for (const [n, result] of results) {
    assert(isHotReply(result), "other results go by the tables")
    to.list(2)
    to.number(n)
    writeResult(result, to)
  }
}

function writeEntry({ key, value, flags, version, ttlLeftMs }: TransferEntry, to: CborWriter): void {
  to.list(5)
  to.bytes(key)
  to.bytes(value)
  to.number(flags)
  to.number(version)
  numberOrNull(ttlLeftMs, to)
}

function writeReplicated({ seq, key, effect, origin, result }: ReplicatedOp, to: CborWriter): void {
  to.list(5)
  to.number(seq)
  to.bytes(key)
  switch (effect.kind) {
    case "put":
      to.list(4)
      to.number(1)
      to.bytes(effect.value)
      to.number(effect.flags)
      numberOrNull(effect.ttlLeftMs, to)
      break
    case "delete":
      to.list(1)
      to.number(2)
      break
    case "none":
      to.list(1)
      to.number(3)
      break
    case "forget-client":
      to.list(2)
      to.number(4)
      to.shortText(effect.client)
      break
    case "clear":
    case "group":
      return assert(false, "other effects go by the tables")
    default:
      unreachable(effect)
  }
  if (origin === null) to.null()
  else {
    to.list(3)
    to.shortText(origin.client)
    to.number(origin.n)
    to.number(origin.ackedBelow)
  }
  writeResultOrNull(result, to)
}

function writeResultOrNull(result: Result | null, to: CborWriter): void {
  if (result === null) return to.null()
  assert(isHotReply(result), "other results go by the tables")
  writeResult(result, to)
}

function numberOrNull(value: number | null, to: CborWriter): void {
  if (value === null) to.null()
  else to.number(value)
}
