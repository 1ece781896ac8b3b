/**
 * What a node forgets: asked by its store what may go for want of memory, told what went, and tells the copies.
 * Forgetting is a licence, not an operation: it takes no place in a shard's order, nobody acknowledges it, and what says
 * so may be lost; a copy then remembers longer what is still the latest acknowledged value ("Data path").
 */
import { copyOf } from "../../base/bytes.ts"
import type { DataMessage, Epoch, NodeId, Seq } from "../../protocol/message.ts"
import type { StoreOwner } from "../../store/store.ts"
import type { ForgettingRules, Shard } from "./shard.ts"

export type ForgettingOptions = {
  readonly shardAt: (position: number) => Shard | undefined
  readonly leads: (shard: Shard) => boolean
  readonly epoch: () => Epoch
  readonly send: (to: NodeId, message: DataMessage) => void
  readonly rules: ForgettingRules & { readonly uncommittedStays: boolean }
}

type Untold = { readonly shard: Shard; readonly key: Uint8Array; readonly version: Seq }

/** Entries that wait to be told of: with the longest keys a message of them stays well inside a frame. */
const mostUntold = 1_024

export class Forgetting implements StoreOwner {
  readonly #options: ForgettingOptions
  /** Of shards led here. */
  #untold: Untold[] = []

  constructor(options: ForgettingOptions) {
    this.#options = options
  }

  // ------------------------------------------------------------------------------------------- asked by the store

  isLed(position: number): boolean {
    const shard = this.#options.shardAt(position)
    return shard !== undefined && this.#options.leads(shard)
  }

  /** The next operation builds on what is uncommitted; to drop it would free nothing either, the log holds it as well. */
  mayDrop(key: Uint8Array, position: number): boolean {
    if (!this.#options.rules.uncommittedStays) return true
    return (this.#options.shardAt(position)?.pendingOf({ bytes: key }) ?? 0) === 0
  }

  dropped(key: Uint8Array, position: number, version: Seq): void {
    const shard = this.#options.shardAt(position)
    if (shard === undefined) return
    shard.forgot(key, version, this.#options.rules)
    if (shard.lead === null || shard.lead.followers.size === 0) return
    this.#untold.push({ shard, key: copyOf(key), version })
    if (this.#untold.length >= mostUntold) this.tell()
  }

  // -------------------------------------------------------------------------------------------------- told to others

  /** One message to everyone who has copies of some of it, also to who is being filled. */
  tell(): void {
    if (this.#untold.length === 0) return
    const entries = new Map<NodeId, (readonly [Uint8Array, Seq])[]>()
    for (const { shard, key, version } of this.#untold)
      for (const id of shard.lead?.followers.keys() ?? []) {
        const theirs = entries.get(id)
        if (theirs === undefined) entries.set(id, [[key, version]])
        else theirs.push([key, version])
      }
    this.#untold = []
    const epoch = this.#options.epoch()
    for (const [id, theirs] of entries) this.#options.send(id, { kind: "forget", epoch, entries: theirs })
  }

  /** Somebody else leads it from now on: what its copies forget is no longer this node's to say. */
  demoted(shard: Shard): void {
    this.#untold = this.#untold.filter(untold => untold.shard !== shard)
  }
}
