/**
 * What a new primary still has to wait for: for every shard, the earlier primaries whose lease may not have ended.
 * Every node keeps the fences of every shard, whoever leads it now: a primary that is replaced before its own barrier
 * ended leaves its predecessor's lease to its successor ("Leases and fences").
 */
import type { Epoch, NodeId, ShardId } from "../../protocol/message.ts"
import type { Rules } from "../rules.ts"

/** `who` null: some primary that this node never heard of. */
type Fence = {
  readonly who: NodeId | null
  readonly epoch: Epoch
  readonly untilMs: number
  readonly shards: Set<ShardId>
}

export class Fences {
  #open: Fence[] = []
  /** Open fences of each shard, so that the check before each operation is one look. */
  readonly #count: Uint16Array
  #nextEndMs = Number.POSITIVE_INFINITY
  readonly #onCleared: (shards: readonly ShardId[]) => void
  readonly #rules: Pick<Rules, "releaseNeedsEpoch">

  /** `onCleared` is told shards that may have lost their last fence. */
  constructor(options: {
    shardCount: number
    rules: Pick<Rules, "releaseNeedsEpoch">
    onCleared: (shards: readonly ShardId[]) => void
  }) {
    this.#rules = options.rules
    this.#count = new Uint16Array(options.shardCount)
    this.#onCleared = options.onCleared
  }

  get shardCount(): number {
    return this.#count.length
  }

  add(fence: Omit<Fence, "shards"> & { readonly shards: readonly ShardId[] }): void {
    if (fence.shards.length === 0) return
    this.#open.push({ ...fence, shards: new Set(fence.shards) })
    this.#nextEndMs = Math.min(this.#nextEndMs, fence.untilMs)
    for (const shard of fence.shards) this.#count[shard] = (this.#count[shard] ?? 0) + 1
  }

  isOpen(shard: ShardId, nowMs: number): boolean {
    if (nowMs >= this.#nextEndMs) this.expire(nowMs)
    return this.#count[shard] !== 0
  }

  expire(nowMs: number): void {
    if (nowMs >= this.#nextEndMs) this.#end(fence => fence.untilMs <= nowMs)
  }

  /** `who` has shown `epoch`, hence leads nothing any more of what it lost in that view or before. */
  released(who: NodeId, epoch: Epoch): void {
    if (this.#open.length === 0) return
    const { releaseNeedsEpoch } = this.#rules
    this.#end(fence => fence.who === who && (fence.epoch <= epoch || !releaseNeedsEpoch))
  }

  /** Whom to ask for a release, and of which epoch, so that the shards that `concerns` picks can serve. */
  awaited(concerns: (shard: ShardId) => boolean): Map<NodeId, Epoch> {
    const asked = new Map<NodeId, Epoch>()
    for (const { who, epoch, shards } of this.#open)
      if (who !== null && epoch > (asked.get(who) ?? 0) && someOf(shards, concerns)) asked.set(who, epoch)
    return asked
  }

  /** The shard's current primary is known to have served: no earlier one can hold a lease any more. */
  lift(shard: ShardId): void {
    if (this.#count[shard] === 0) return
    for (const { shards } of this.#open) shards.delete(shard)
    this.#count[shard] = 0
    this.#onCleared([shard])
  }

  get openCount(): number {
    return this.#open.length
  }

  #end(ended: (fence: Fence) => boolean): void {
    const left: Fence[] = []
    const cleared: ShardId[] = []
    for (const fence of this.#open) {
      if (!ended(fence)) left.push(fence)
      else
        for (const shard of fence.shards) {
          const count = (this.#count[shard] ?? 1) - 1
          this.#count[shard] = count
          if (count === 0) cleared.push(shard)
        }
    }
    if (left.length === this.#open.length) return
    this.#open = left
    this.#nextEndMs = left.reduce((end, fence) => Math.min(end, fence.untilMs), Number.POSITIVE_INFINITY)
    if (cleared.length > 0) this.#onCleared(cleared)
  }
}

function someOf(shards: Iterable<ShardId>, concerns: (shard: ShardId) => boolean): boolean {
  for (const shard of shards) if (concerns(shard)) return true
  return false
}
