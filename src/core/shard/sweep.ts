/**
 * Removes what nobody will ask for: entries whose time is over, and the records of clients that have been silent for longer
 * than any request of theirs may live. A little at each look, so that clients come first. Does not know when a shard
 * commits, nor who holds copies of it ("Data path" in `../README.md`).
 */
import type { Config } from "../../config.ts"
import type { ReplicatedOp, Seq } from "../../protocol/message.ts"
import type { HashedKey, Store } from "../../store/store.ts"
import type { Rules } from "../rules.ts"
import type { Shard } from "./shard.ts"

export type SweepOptions = {
  readonly config: Pick<Config, "eviction" | "sweepBatch" | "maxUncommitted" | "dedupIdleMs">
  readonly rules: Rules
  readonly shardAt: (position: number) => Shard | undefined
  readonly serves: (shard: Shard, nowMs: number) => boolean
  /** Operations were put into the shard's order. */
  readonly appended: (shard: Shard, nowMs: number) => void
}

type Expired = { readonly shard: Shard; readonly key: HashedKey; readonly version: Seq }

/** Shards looked at in one tick for clients to forget. */
const forgettingStride = 16
/** Clients that one look at a shard forgets at most: with the stride, far more than can come in the time between. */
const forgottenAtOnce = 64
/** Of the operations that a shard may hold uncommitted, the sweep takes one in so many: clients' come first. */
const sweepShare = 4

export class Sweep {
  readonly #options: SweepOptions
  #forgettingAt = 0

  constructor(options: SweepOptions) {
    this.#options = options
  }

  /** Removes what has expired and has nothing under way for its key. "more": there may be more of it. */
  entries(store: Store, nowMs: number): { readonly removed: number; readonly left: "more" | "done" } {
    const { eviction, sweepBatch } = this.#options.config
    const expired: Expired[] = []
    let nominated = 0
    store.sweep(nowMs, sweepBatch, (bytes, position, version) => {
      nominated += 1
      const shard = this.#options.shardAt(position)
      if (shard !== undefined && shard.pendingOf({ bytes }) === 0)
        expired.push({ shard, key: { bytes, position }, version })
    })
    const removed = eviction === "none" ? this.#delete(expired, nowMs) : this.#forget(expired, store)
    return { removed, left: nominated >= sweepBatch && removed > 0 ? "more" : "done" }
  }

  /** Where anything may be forgotten at any time, this may, by whoever holds it: nobody needs to be told or to agree. */
  #forget(expired: readonly Expired[], store: Store): number {
    for (const { shard, key, version } of expired)
      if (store.forget(key, version)) shard.forgot(key.bytes, version, this.#options.rules)
    return expired.length
  }

  /** Where nothing is forgotten the primary deletes, as clients do, and leaves them most of the room for what is uncommitted. */
  #delete(expired: readonly Expired[], nowMs: number): number {
    const { config, serves, appended } = this.#options
    const most = config.maxUncommitted / sweepShare
    const changed = new Set<Shard>()
    let removed = 0
    for (const { shard, key } of expired) {
      if (shard.log.length >= most || !serves(shard, nowMs)) continue
      shard.apply(expiryOf(shard, key), key, nowMs)
      changed.add(shard)
      removed += 1
    }
    for (const shard of changed) appended(shard, nowMs)
    return removed
  }

  /** Drops the records of clients, of a few of these shards at each call. */
  clients(shards: readonly (Shard | undefined)[], nowMs: number): void {
    const beforeMs = nowMs - this.#options.config.dedupIdleMs
    for (let i = 0; i < forgettingStride && shards.length > 0; i++) {
      this.#forgettingAt = (this.#forgettingAt + 1) % shards.length
      const shard = shards[this.#forgettingAt]
      if (shard === undefined || shard.role !== "primary" || shard.dedup.size === 0) continue
      if (this.#options.serves(shard, nowMs)) this.#clientsOf(shard, beforeMs, nowMs)
    }
  }

  #clientsOf(shard: Shard, beforeMs: number, nowMs: number): void {
    for (let i = 0; i < forgottenAtOnce; i++) {
      const client = shard.dedup.idleSince(beforeMs, shard.commit)
      if (client === undefined) return
      const key: HashedKey = { bytes: new Uint8Array(0), position: shard.arc.from }
      const effect = { kind: "forget-client", client } as const
      shard.apply({ seq: shard.seq + 1, key: key.bytes, effect, origin: null, result: null }, key, nowMs)
      this.#options.appended(shard, nowMs)
    }
  }
}

/** The deletion of a key that has expired: an operation like others, of the primary's own. */
export function expiryOf(shard: Shard, key: HashedKey): ReplicatedOp {
  return { seq: shard.seq + 1, key: key.bytes, effect: { kind: "delete" }, origin: null, result: null }
}
