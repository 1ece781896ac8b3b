/**
 * The learner's side of a transfer: takes the shard's past in pieces and its present as a stream of operations, and is
 * complete when the last piece has come ("Transfers").
 */
import { copyOf } from "../../base/bytes.ts"
import type { DataMessage, Epoch, NodeId } from "../../protocol/message.ts"
import type { HashedKey, Store } from "../../store/store.ts"
import { isWithin } from "./places.ts"
import { type Filling, type Shard, textOf } from "./shard.ts"

type Message<Kind extends DataMessage["kind"]> = Extract<DataMessage, { kind: Kind }>

export type FillingContext = {
  readonly store: Store
  readonly hashed: (key: Uint8Array) => HashedKey
  readonly send: (to: NodeId, message: DataMessage) => void
  readonly rules: { readonly transferIds: boolean; readonly piecesYield: boolean }
}

export function newFilling(since: Epoch): Filling {
  return { since, tid: 0, nextIndex: 0, endSeq: 0, isComplete: false, readSeq: 0, tombstones: new Map(), clearings: [] }
}

/** A transfer begins, again or for the first time: what an earlier one brought is dropped. */
export function beginFilling(
  shard: Shard,
  message: Message<"transfer-begin">,
  nowMs: number,
  context: FillingContext,
): void {
  const since = shard.filling?.since
  if (since !== message.since) return
  // An old beginning that arrives late would wipe a learner that is already complete.
  if (message.tid <= (shard.filling?.tid ?? 0) && context.rules.transferIds) return
  // Nothing up to here can be undone: completion is proposed only once all of it has committed.
  shard.clear(message.baseSeq)
  shard.filling = { ...newFilling(since), tid: message.tid }
  shard.dedup.import(message.dedup, message.baseSeq, nowMs)
}

export function takePiece(
  shard: Shard,
  from: NodeId,
  message: Message<"transfer-chunk">,
  nowMs: number,
  context: FillingContext,
): void {
  const { filling } = shard
  if (filling === null || (filling.tid !== message.tid && context.rules.transferIds)) return
  if (message.index > filling.nextIndex) return // a piece is missing: the primary begins again
  if (message.index === filling.nextIndex) {
    filling.nextIndex += 1
    // Read before, and here after: what the pieces that are under way hold of a stretch that was cleared is gone.
    const clearedSince = filling.clearings.filter(({ seq }) => seq > message.endSeq)
    for (const { key, value, flags, version, ttlLeftMs } of message.entries) {
      const hashed = context.hashed(key)
      const newest = context.store.get(hashed)?.version ?? filling.tombstones.get(textOf(key)) ?? 0
      if (version <= newest && context.rules.piecesYield) continue // the live stream was faster
      if (clearedSince.some(({ stretch }) => isWithin(hashed, stretch))) continue
      const expiresAtMs = ttlLeftMs === null ? Number.POSITIVE_INFINITY : nowMs + ttlLeftMs
      context.store.set(hashed, { value: copyOf(value), flags, version, expiresAtMs })
    }
    filling.readSeq = Math.max(filling.readSeq, message.endSeq)
    for (const [key, seq] of filling.tombstones) if (seq <= filling.readSeq) filling.tombstones.delete(key)
    filling.clearings = filling.clearings.filter(({ seq }) => seq > filling.readSeq)
    if (message.fin) {
      filling.isComplete = true
      filling.endSeq = message.endSeq
      filling.tombstones.clear()
      filling.clearings = []
    }
  }
  context.send(from, {
    kind: "transfer-ack",
    shard: shard.index,
    q: shard.config.q,
    tid: message.tid,
    index: message.index,
  })
}
