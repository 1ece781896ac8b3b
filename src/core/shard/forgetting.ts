/**
 * What a node forgets for want of memory: asked by its store what may go, told what went, and tells the copies.
 * Forgetting is a licence, not an operation: it takes no place in a shard's order, nobody acknowledges it, and what says
 * so may be lost; a copy then remembers longer what is still the latest acknowledged value ("Data path").
 */
import { copyOf } from "../../base/bytes.ts"
import type { DataMessage, NodeId, Seq } from "../../protocol/message.ts"
import type { StoreOwner } from "../../store/store.ts"
import type { ForgettingRules, Shard } from "./shard.ts"

export type ForgettingOptions = {
  readonly shardAt: (position: number) => Shard | undefined
  readonly leads: (shard: Shard) => boolean
  readonly send: (to: NodeId, message: DataMessage) => void
  readonly rules: ForgettingRules & { readonly uncommittedStays: boolean }
}

/** Keys that wait to be told of, of all shards together: with the longest ones a message stays well inside a frame. */
const mostUntold = 1_024

export class Forgetting implements StoreOwner {
  readonly #options: ForgettingOptions
  /** By shard led here: the key and the version of what is gone. */
  readonly #untold = new Map<Shard, (readonly [Uint8Array, Seq])[]>()
  #untoldCount = 0

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
    this.gone(shard, copyOf(key), version)
  }

  // -------------------------------------------------------------------------------------------------- told to others

  /** The copies of a shard led here may forget this as well. Keeps the key. */
  gone(shard: Shard, key: Uint8Array, version: Seq): void {
    if (shard.lead === null || shard.lead.followers.size === 0) return
    const untold = this.#untold.get(shard)
    if (untold === undefined) this.#untold.set(shard, [[key, version]])
    else untold.push([key, version])
    this.#untoldCount += 1
    if (this.#untoldCount >= mostUntold) this.tell()
  }

  /** Tells every copy, also one that is being filled. */
  tell(): void {
    if (this.#untoldCount === 0) return
    for (const [{ index, config, lead }, entries] of this.#untold)
      for (const id of lead?.followers.keys() ?? [])
        this.#options.send(id, { kind: "forget", shard: index, q: config.q, entries })
    this.#untold.clear()
    this.#untoldCount = 0
  }

  /** It is led by somebody else from now on: what its copies forget is no longer this node's to say. */
  demoted(shard: Shard): void {
    this.#untoldCount -= this.#untold.get(shard)?.length ?? 0
    this.#untold.delete(shard)
  }
}
