/**
 * What a node holds of its shards, in pieces that can be written down and read back one after another: at a planned stop,
 * and when it starts again. Of each shard what is known to have committed, and the operations after that in their order, so
 * that whoever starts from it can undo them as ever ("Planned stop" in `../README.md`).
 *
 * Times to live are what was left of them when the piece was made; whoever reads it says how long ago that was.
 */
import type { DedupRecord, ReplicatedOp, SnapshotPart, TransferEntry, View } from "../../protocol/message.ts"
import type { Cursor, Entry, HashedKey, Store } from "../../store/store.ts"
import { arcOf } from "../ring.ts"
import type { Rules } from "../rules.ts"
import { ttlLeftMs } from "./operations.ts"
import { bytesOf, keysOf, ownedEffect, Shard, textOf } from "./shard.ts"

/** About how many bytes a piece has. One entry may be larger. */
const pieceBytes = 64 * 1024
/** What a result takes in a record of a client, and a client besides. */
const resultBytes = 24
const clientBytes = 40

/** Nobody waits for an operation of these shards any more, and none of them changes while this goes on. */
export function* partsOf(
  shards: Iterable<Shard>,
  options: { readonly store: Store; readonly now: () => number; readonly rules: Pick<Rules, "stopKeepsLog"> },
): Generator<SnapshotPart, void, undefined> {
  const { store, now, rules } = options
  for (const shard of shards) {
    yield { kind: "shard", shard: shard.index, commit: shard.commit }
    for (const records of pieces(shard.committedRecords(now()), recordBytes)) yield { kind: "records", records }
    // Of these the store has what may yet be undone.
    const open = new Map<string, HashedKey>()
    for (const record of shard.log) for (const { key, keyText } of keysOf(record)) open.set(keyText, key)
    let cursor: Cursor | undefined
    do {
      const entries: TransferEntry[] = []
      const nowMs = now()
      cursor = store.scan(shard.arc, cursor, pieceBytes, (key, _position, entry) => {
        if (open.size === 0 || !open.has(textOf(key))) entries.push(entryOf(key, entry, nowMs))
      })
      if (entries.length > 0) yield { kind: "entries", entries }
    } while (cursor !== undefined)
    for (const key of open.values()) {
      const entry = shard.committed(key)
      if (entry !== undefined) yield { kind: "entries", entries: [entryOf(key.bytes, entry, now())] }
    }
    const ops = shard.log.map(record => shard.outgoing(record, now()))
    if (rules.stopKeepsLog) for (const some of pieces(ops, bytesOf)) yield { kind: "operations", ops: some }
  }
}

function entryOf(key: Uint8Array, entry: Entry, nowMs: number): TransferEntry {
  const { value, flags, version } = entry
  return { key, value, flags, version, ttlLeftMs: ttlLeftMs(entry, nowMs) }
}

function recordBytes({ results }: DedupRecord): number {
  return clientBytes + resultBytes * results.length
}

/** Cut into runs of about `pieceBytes`. */
function* pieces<T>(items: readonly T[], bytesOf: (item: T) => number): Generator<T[], void, undefined> {
  let piece: T[] = []
  let bytes = 0
  for (const item of items) {
    piece.push(item)
    bytes += bytesOf(item)
    if (bytes < pieceBytes) continue
    yield piece
    piece = []
    bytes = 0
  }
  if (piece.length > 0) yield piece
}

/** Builds shards from such pieces, in the order in which they were made. */
export class SnapshotReader {
  readonly #view: View
  readonly #store: Store
  readonly #hashed: (key: Uint8Array) => HashedKey
  readonly #begun: (shard: Shard) => void
  readonly #seen = new Set<number>()
  #current: Shard | undefined

  constructor(options: {
    readonly view: View
    readonly store: Store
    readonly hashed: (key: Uint8Array) => HashedKey
    /** Told of each shard before anything is put into the store for it: the store asks what may go for want of memory. */
    readonly begun: (shard: Shard) => void
  }) {
    this.#view = options.view
    this.#store = options.store
    this.#hashed = options.hashed
    this.#begun = options.begun
  }

  /** `agoMs`: how long ago the piece was made. Returns what is wrong with it, in words. Its bytes may be windows. */
  take(part: SnapshotPart, agoMs: number, nowMs: number): string | undefined {
    if (part.kind === "shard") return this.#begin(part)
    const shard = this.#current
    if (shard === undefined) return "it does not begin with a shard"
    switch (part.kind) {
      case "records":
        // Idle for as long as before: a calendar that leapt meanwhile must not let a record go too early.
        shard.dedup.add(part.records, shard.commit, nowMs)
        return undefined
      case "entries":
        return this.#entries(shard, part.entries, agoMs, nowMs)
      case "operations":
        return this.#operations(shard, part.ops, agoMs, nowMs)
    }
  }

  #begin({ shard: index, commit }: Extract<SnapshotPart, { kind: "shard" }>): string | undefined {
    const config = this.#view.shards[index]
    if (config === undefined) return `there is no shard ${index}`
    if (this.#seen.has(index)) return `shard ${index} comes twice`
    const shard = new Shard({
      index,
      arc: arcOf(index, this.#view.shards.length),
      config,
      store: this.#store,
      hashed: this.#hashed,
    })
    shard.clear(commit)
    shard.role = "replica"
    this.#seen.add(index)
    this.#current = shard
    this.#begun(shard)
    return undefined
  }

  #entries(shard: Shard, entries: readonly TransferEntry[], agoMs: number, nowMs: number): string | undefined {
    for (const { key, value, flags, version, ttlLeftMs } of entries) {
      const hashed = this.#hashed(Uint8Array.from(key))
      if (!isWithin(shard, hashed)) return `a key is not of shard ${shard.index}`
      if (version > shard.commit) return `an entry of shard ${shard.index} is newer than all that committed`
      const expiresAtMs = ttlLeftMs === null ? Number.POSITIVE_INFINITY : nowMs + ttlLeftMs - agoMs
      this.#store.set(hashed, { value: Uint8Array.from(value), flags, version, expiresAtMs })
    }
    return undefined
  }

  #operations(shard: Shard, ops: readonly ReplicatedOp[], agoMs: number, nowMs: number): string | undefined {
    for (const op of ops) {
      if (op.seq !== shard.seq + 1) return `the operations of shard ${shard.index} have a gap`
      const own = ownedAged(op, agoMs)
      const hashed = this.#hashed(own.key)
      const isKeyed = op.effect.kind === "put" || op.effect.kind === "delete"
      const written = isKeyed ? [hashed] : keysOfGroup(op.effect).map(this.#hashed)
      if (!written.every(key => isWithin(shard, key))) return `an operation is not of shard ${shard.index}`
      shard.apply(own, hashed, nowMs)
    }
    return undefined
  }
}

function isWithin({ arc }: Shard, { position }: HashedKey): boolean {
  return position >= arc.from && position < arc.to
}

/** With bytes of its own, and what is left to live after `agoMs` more. */
function ownedAged(op: ReplicatedOp, agoMs: number): ReplicatedOp {
  const key = Uint8Array.from(op.key)
  const effect = ownedEffect(op.effect)
  if (effect.kind !== "group") return { ...op, key, effect: aged(effect, agoMs) }
  const writes = effect.writes.map(write => ({ key: write.key, effect: aged(write.effect, agoMs) }))
  return { ...op, key, effect: { kind: "group", writes } }
}

function aged<E extends ReplicatedOp["effect"]>(effect: E, agoMs: number): E {
  if (effect.kind !== "put" || effect.ttlLeftMs === null) return effect
  return { ...effect, ttlLeftMs: Math.max(0, effect.ttlLeftMs - agoMs) }
}

function keysOfGroup(effect: ReplicatedOp["effect"]): Uint8Array[] {
  return effect.kind === "group" ? effect.writes.map(({ key }) => key) : []
}
