/**
 * One shard on one node: its place in the order of operations, and the entries, dedup records and uncommitted operations
 * that go with it. Knows how to apply, undo and commit; who may do so, and when, is decided by its owner ("Data path").
 */
import { assert } from "../../base/assert.ts"
import { copyOf } from "../../base/bytes.ts"
import type {
  DedupRecord,
  Epoch,
  GroupWrite,
  NodeId,
  Place,
  ReplicatedOp,
  Seq,
  ShardConfig,
  ShardId,
} from "../../protocol/message.ts"
import type { Arc, Entry, HashedKey, Store, Visit } from "../../store/store.ts"
import type { Pending } from "../requests.ts"
import { Dedup, type ForgottenClient } from "./dedup.ts"
import { ttlLeftMs } from "./operations.ts"
import { isWithin, type Stretch } from "./places.ts"
import type { Lead } from "./lead.ts"

export type Role = "none" | "primary" | "replica" | "learner" | "orphan"

/** An applied operation that may still be undone. */
export type LogRecord = {
  readonly op: ReplicatedOp
  readonly key: HashedKey
  readonly keyText: string
  /** What the key held before and after; undefined: nothing. */
  readonly before: Entry | undefined
  readonly after: Entry | undefined
  readonly forgotten: ForgottenClient | undefined
  /** What an operation of many keys has changed. */
  readonly changes: readonly Change[]
  /** To be answered when the operation commits. */
  readonly waiters: Pending[]
}

type Put = Extract<ReplicatedOp["effect"], { kind: "put" }>
type Clear = Extract<ReplicatedOp["effect"], { kind: "clear" }>
type Group = Extract<ReplicatedOp["effect"], { kind: "group" }>
type WriteEffect = Extract<ReplicatedOp["effect"], { kind: "put" | "delete" | "none" }>

/** A key that an operation has changed together with others. */
type Change = {
  readonly key: HashedKey
  readonly keyText: string
  readonly before: Entry | undefined
  readonly after: Entry | undefined
}

/** A key with uncommitted operations: what readers see meanwhile, and how many operations are open. */
type Overlay = { readonly key: HashedKey; committed: Entry | undefined; pending: number }

export type ForgettingRules = { readonly forgetsExactly: boolean; readonly forgottenStays: boolean }

/** What a learner knows of the transfer that fills it. */
export type Filling = {
  readonly since: Epoch
  /** 0: no transfer has begun. */
  tid: number
  nextIndex: number
  /** Everything up to here was read for the transfer; meaningful once complete. */
  endSeq: Seq
  isComplete: boolean
  /** What the pieces that are still to come hold was read when the primary had come to here, or further. */
  readSeq: Seq
  /**
   * What the live stream deleted, and what was forgotten, above `readSeq`, by which version: a piece that is still under
   * way may hold an older one.
   */
  readonly tombstones: Map<string, Seq>
  /** What the live stream cleared, likewise. */
  clearings: readonly { readonly stretch: Stretch; readonly seq: Seq }[]
}

export class Shard {
  readonly index: ShardId
  readonly arc: Arc
  config: ShardConfig
  role: Role = "none"
  seq: Seq = 0
  commit: Seq = 0
  /** Operations above `commit`, without a gap. */
  readonly log: LogRecord[] = []
  /** What the operations of `log` take on the wire, and what is kept to undo those of many keys. */
  logBytes = 0
  readonly dedup = new Dedup()
  readonly #overlay = new Map<string, Overlay>()
  readonly #store: Store
  readonly #hashed: (key: Uint8Array) => HashedKey

  /** As replica: the primary's `primarySince` with which this replica was made equal; 0: not yet. */
  equalSince: Epoch = 0
  filling: Filling | null = null
  lead: Lead | null = null
  /** Operations that wait for this shard to serve, or for an earlier operation of their key. */
  parked: Pending[] = []

  constructor(options: {
    index: ShardId
    arc: Arc
    config: ShardConfig
    store: Store
    /** Where a key lies that an operation names among others. */
    hashed: (key: Uint8Array) => HashedKey
  }) {
    this.index = options.index
    this.arc = options.arc
    this.config = options.config
    this.#store = options.store
    this.#hashed = options.hashed
  }

  /** The newest value of a key, committed or not. */
  newest(key: HashedKey): Entry | undefined {
    return this.#store.get(key)
  }

  /** The value that readers may see. */
  committed(key: HashedKey): Entry | undefined {
    // Mostly nothing is under way in a shard, and the text of a key costs more than all the rest of a read.
    const overlay = this.#overlay.size === 0 ? undefined : this.#overlay.get(textOf(key.bytes))
    return overlay === undefined ? this.#store.get(key) : overlay.committed
  }

  pendingOf(key: Pick<HashedKey, "bytes">): number {
    return this.#overlay.size === 0 ? 0 : (this.#overlay.get(textOf(key.bytes))?.pending ?? 0)
  }

  /** Open operations of the key that has most. For checkers. */
  get mostPending(): number {
    let most = 0
    for (const { pending } of this.#overlay.values()) most = Math.max(most, pending)
    return most
  }

  /** Keys of this arc whose newest operation, not yet committed, has deleted them: the store does not show them any more. */
  deletedUncommitted({ from, to }: Arc): HashedKey[] {
    const keys: HashedKey[] = []
    for (const { key, committed } of this.#overlay.values())
      if (committed !== undefined && key.position >= from && key.position < to && this.#store.get(key) === undefined)
        keys.push(key)
    return keys
  }

  /** Applies the next operation, keeping what undoes it. The operation owns its bytes. */
  apply(op: ReplicatedOp, key: HashedKey, nowMs: number): LogRecord {
    assert(op.seq === this.seq + 1 || this.#mayDisorder, "operations of a shard are applied in order")
    this.seq = op.seq
    const keyText = textOf(key.bytes)
    const isKeyed = op.effect.kind === "put" || op.effect.kind === "delete"
    const before = isKeyed ? this.#store.get(key) : undefined
    let after = before
    let forgotten: ForgottenClient | undefined
    if (op.effect.kind === "put") {
      after = entryOf(op.effect, op.seq, nowMs)
      this.#store.set(key, after)
    } else if (op.effect.kind === "delete") {
      after = undefined
      this.#store.delete(key)
      this.#bury(keyText, op.seq)
    } else if (op.effect.kind === "forget-client") forgotten = this.dedup.forget(op.effect.client)
    if (isKeyed) this.#opened(key, keyText, before)
    const changes =
      op.effect.kind === "clear"
        ? this.#clearStretch(op.effect, op.seq)
        : op.effect.kind === "group"
          ? this.#writeAll(op.effect, op.seq, nowMs)
          : none
    if (op.origin !== null && op.result !== null)
      this.dedup.record(op.origin.client, op.origin.n, op.result, op.seq, nowMs)
    const record: LogRecord = { op, key, keyText, before, after, forgotten, changes, waiters: [] }
    this.log.push(record)
    this.logBytes += recordBytes(record)
    return record
  }

  #writeAll({ writes }: Group, seq: Seq, nowMs: number): Change[] {
    return writes.map(({ key: bytes, effect }) => {
      const key = this.#hashed(bytes)
      const keyText = textOf(bytes)
      const before = this.#store.get(key)
      const after = effect.kind === "put" ? entryOf(effect, seq, nowMs) : undefined
      if (after !== undefined) this.#store.set(key, after)
      else {
        this.#store.delete(key)
        this.#bury(keyText, seq)
      }
      this.#opened(key, keyText, before)
      return { key, keyText, before, after }
    })
  }

  #clearStretch(stretch: Clear, seq: Seq): Change[] {
    const deleted: Change[] = []
    for (const key of this.#keysOf(stretch)) {
      const before = this.#store.get(key)
      assert(before !== undefined, "what was just visited is there")
      const keyText = textOf(key.bytes)
      this.#store.delete(key)
      this.#opened(key, keyText, before)
      deleted.push({ key, keyText, before, after: undefined })
    }
    const { filling } = this
    if (filling !== null && !filling.isComplete && seq > filling.readSeq)
      filling.clearings = [...filling.clearings, { stretch, seq }]
    return deleted
  }

  #keysOf(stretch: Clear): HashedKey[] {
    const keys: HashedKey[] = []
    const from = Math.max(this.arc.from, stretch.from.position)
    const to = Math.min(this.arc.to, stretch.to.position + 1)
    if (from >= to) return keys
    const visit: Visit = (bytes, position) => {
      if (isWithin({ bytes, position }, stretch)) keys.push({ bytes: copyOf(bytes), position })
    }
    let cursor = this.#store.scan({ from, to }, undefined, Number.MAX_SAFE_INTEGER, visit)
    while (cursor !== undefined) cursor = this.#store.scan({ from, to }, cursor, Number.MAX_SAFE_INTEGER, visit)
    return keys
  }

  /** One more operation on a key is open. */
  #opened(key: HashedKey, keyText: string, before: Entry | undefined): void {
    const overlay = this.#overlay.get(keyText)
    if (overlay === undefined) this.#overlay.set(keyText, { key, committed: before, pending: 1 })
    else overlay.pending += 1
  }

  #closed(keyText: string): Overlay {
    const overlay = this.#overlay.get(keyText)
    assert(overlay !== undefined, "an uncommitted key is overlaid")
    overlay.pending -= 1
    if (overlay.pending === 0) this.#overlay.delete(keyText)
    return overlay
  }

  /** Whether this primary holds the only copy, and nothing is open. */
  get isAlone(): boolean {
    return this.lead !== null && this.lead.followers.size === 0 && this.log.length === 0
  }

  /** Applies and commits the next operation at once, where nobody else holds the shard: there is nothing to undo. */
  applyAlone(writes: readonly { readonly key: HashedKey; readonly effect: WriteEffect }[], nowMs: number): void {
    this.seq += 1
    this.commit = this.seq
    for (const { key, effect } of writes)
      if (effect.kind === "delete") this.#store.delete(key)
      else if (effect.kind === "put") this.#store.set(key, entryOf(effect, this.seq, nowMs))
  }

  /** The primary holds this version no longer: nor does this copy, if it is what it has, and nothing is open. */
  forget(key: HashedKey, version: Seq, rules: ForgettingRules): void {
    if (this.pendingOf(key) > 0) return
    const dropped = rules.forgetsExactly ? version : (this.#store.get(key)?.version ?? version)
    if (this.#store.forget(key, dropped)) this.forgot(key.bytes, dropped, rules)
  }

  /** What was of this version is gone from here for want of memory; nothing is undone by it, and nothing acknowledged. */
  forgot(key: Uint8Array, version: Seq, rules: ForgettingRules): void {
    if (this.filling !== null && rules.forgottenStays) this.#bury(textOf(key), version)
  }

  #bury(keyText: string, seq: Seq): void {
    const { filling } = this
    if (filling === null || filling.isComplete || seq <= filling.readSeq) return
    filling.tombstones.set(keyText, Math.max(seq, filling.tombstones.get(keyText) ?? 0))
  }

  /** Undoes every operation above `seq`, newest first. */
  rollBackTo(seq: Seq, what: "restores" | "deletes" = "restores"): void {
    assert(seq >= this.commit, "what is committed is never undone")
    for (let last = this.log.at(-1); last !== undefined && last.op.seq > seq; last = this.log.at(-1)) {
      this.log.pop()
      this.logBytes -= recordBytes(last)
      const { op, key, keyText, before, forgotten, changes } = last
      assert(last.waiters.length === 0, "an operation that is undone has been given up by whoever waited for it")
      if (op.effect.kind === "put" || op.effect.kind === "delete") {
        this.#restore(key, what === "deletes" ? undefined : before)
        this.#closed(keyText)
      }
      for (const each of changes) {
        this.#restore(each.key, what === "deletes" ? undefined : each.before)
        this.#closed(each.keyText)
      }
      if (op.effect.kind === "forget-client" && forgotten !== undefined) this.dedup.restore(op.effect.client, forgotten)
      if (op.origin !== null && op.result !== null) this.dedup.unrecord(op.origin.client, op.origin.n)
    }
    this.seq = Math.max(this.commit, Math.min(this.seq, seq))
  }

  #restore(key: HashedKey, before: Entry | undefined): void {
    if (before === undefined) this.#store.delete(key)
    else this.#store.set(key, before)
  }

  /** Commits up to `seq`; returns what became committed, in order. */
  commitTo(seq: Seq): LogRecord[] {
    if (seq <= this.commit) return []
    assert(seq <= this.seq, "only what was applied is committed")
    this.commit = seq
    let count = 0
    while (count < this.log.length && (this.log[count] as LogRecord).op.seq <= seq) count += 1
    const done = this.log.splice(0, count)
    for (const record of done) {
      const { op, keyText, after } = record
      this.logBytes -= recordBytes(record)
      if (op.effect.kind === "put" || op.effect.kind === "delete") this.#closed(keyText).committed = after
      for (const each of record.changes) this.#closed(each.keyText).committed = each.after
      if (op.origin !== null) this.dedup.finished(op.origin.client, op.origin.ackedBelow)
    }
    return done
  }

  /** What is remembered of clients by the operations that have committed. */
  committedRecords(nowMs: number): DedupRecord[] {
    const forgotten = this.log.flatMap(({ op, forgotten: client }) =>
      op.effect.kind === "forget-client" && client !== undefined ? [[op.effect.client, client] as const] : [],
    )
    return this.dedup.exportCommitted(this.commit, forgotten, nowMs)
  }

  /** An operation as it is sent now: what is left of its time to live shrinks with time. */
  outgoing(record: LogRecord, nowMs: number): ReplicatedOp {
    const { op, after } = record
    if (op.effect.kind === "group") return { ...op, effect: outgoingGroup(op.effect, record.changes, nowMs) }
    if (op.effect.kind !== "put" || op.effect.ttlLeftMs === null || after === undefined) return op
    return { ...op, effect: { ...op.effect, ttlLeftMs: ttlLeftMs(after, nowMs) } }
  }

  /** Forgets everything; the order starts again after `seq`. */
  clear(seq: Seq): void {
    this.#store.dropArc(this.arc, Number.POSITIVE_INFINITY)
    this.forgetOrder(seq)
  }

  /** The same, but for the entries: they mean nothing from now on. */
  forgetOrder(seq: Seq): void {
    assert(
      this.log.every(({ waiters }) => waiters.length === 0),
      "nobody waits for what is dropped",
    )
    this.dedup.clear()
    this.#overlay.clear()
    this.log.length = 0
    this.logBytes = 0
    this.seq = seq
    this.commit = seq
    this.equalSince = 0
    this.filling = null
  }

  /** Set by the owner when a test has switched the order rule off. */
  #mayDisorder = false
  allowDisorder(): void {
    this.#mayDisorder = true
  }

  /** Who must acknowledge besides the primary, by the view. */
  get otherInSync(): readonly NodeId[] {
    return this.config.inSync.filter(id => id !== this.config.primary)
  }
}

function entryOf({ value, flags, ttlLeftMs }: Put, version: Seq, nowMs: number): Entry {
  const expiresAtMs = ttlLeftMs === null ? Number.POSITIVE_INFINITY : nowMs + ttlLeftMs
  return { value, flags, version, expiresAtMs }
}

/** The changes are those of the writes, in their order. */
function outgoingGroup({ kind, writes }: Group, changes: readonly Change[], nowMs: number): Group {
  return {
    kind,
    writes: writes.map(({ key, effect }, i) => {
      const after = changes[i]?.after
      if (effect.kind !== "put" || effect.ttlLeftMs === null || after === undefined) return { key, effect }
      return { key, effect: { ...effect, ttlLeftMs: ttlLeftMs(after, nowMs) } }
    }),
  }
}

const none: readonly Change[] = []

/** The keys that an operation has written or deleted. */
export function* keysOf({ op, key, keyText, changes }: LogRecord): Generator<Pick<Change, "key" | "keyText">> {
  if (op.effect.kind === "put" || op.effect.kind === "delete") yield { key, keyText }
  yield* changes
}

function recordBytes({ op, changes }: LogRecord): number {
  let bytes = bytesOf(op)
  // What many keys held before is kept here alone, and may be much.
  for (const { before } of changes) bytes += before?.value.length ?? 0
  // A group names its keys; what a stretch held does nobody.
  if (op.effect.kind === "clear") for (const { key } of changes) bytes += key.bytes.length
  return bytes
}

/** About what an operation takes on the wire. */
export function bytesOf({ key, effect }: ReplicatedOp): number {
  let bytes = operationOverhead + key.length
  if (effect.kind === "put") bytes += effect.value.length
  else if (effect.kind === "group")
    for (const write of effect.writes)
      bytes += operationOverhead + write.key.length + (write.effect.kind === "put" ? write.effect.value.length : 0)
  return bytes
}

/** What an operation adds to its key and value. */
const operationOverhead = 100

/** Bytes as a string of as many characters, for use as a key of a `Map`. */
export function textOf(bytes: Uint8Array): string {
  let text = ""
  for (let i = 0; i < bytes.length; i++) text += String.fromCharCode(bytes[i] as number) // the index is within bounds
  return text
}

/** The same with bytes of its own. */
export function ownedEffect(effect: ReplicatedOp["effect"]): ReplicatedOp["effect"] {
  if (effect.kind === "put") return { ...effect, value: copyOf(effect.value) }
  if (effect.kind === "group")
    return {
      kind: "group",
      // A put or a delete stays what it is.
      writes: effect.writes.map(write => ({
        key: copyOf(write.key),
        effect: ownedEffect(write.effect) as GroupWrite["effect"],
      })),
    }
  if (effect.kind !== "clear") return effect
  const { from, to, prefix } = effect
  return { ...effect, from: ownedPlace(from), to: ownedPlace(to), prefix: copyOf(prefix) }
}

function ownedPlace({ position, after }: Place): Place {
  return { position, after: after === null ? null : copyOf(after) }
}
