/**
 * Executes the operations that name shards instead of a key: each does a bounded piece of a walk, and its answer says where
 * the next one goes on ("Walks"). What a piece holds is for `pages.ts`.
 */
import { unreachable } from "../../base/assert.ts"
import type { Config } from "../../config.ts"
import type { Place, ReplicatedOp, Reply, ShardId, ShardOperation } from "../../protocol/message.ts"
import type { HashedKey, Store } from "../../store/store.ts"
import type { Pending } from "../requests.ts"
import { arcOf } from "../ring.ts"
import type { Rules } from "../rules.ts"
import type { Commits } from "./commits.ts"
import { scanShards, sizeOfShards, stretchToClear } from "./pages.ts"
import { ownedEffect, type Shard } from "./shard.ts"
import { isNew } from "./standing.ts"

export type ShardOperationsOptions = {
  readonly config: Config
  readonly rules: Rules
  readonly commits: Pick<Commits, "append">
  readonly store: () => Store
  readonly shardCount: () => number
  /** The shard, if it may answer now. */
  readonly serving: (index: ShardId, nowMs: number) => Shard | undefined
  readonly answer: (pending: Pending, reply: Reply) => void
}

export class ShardOperations {
  readonly #options: ShardOperationsOptions

  constructor(options: ShardOperationsOptions) {
    this.#options = options
  }

  /** `shard`: the first that the operation names. It serves. */
  execute(shard: Shard, operation: ShardOperation, pending: Pending, nowMs: number): void {
    switch (operation.op) {
      case "scan":
        return this.#scan(operation, pending, nowMs)
      case "size":
        return this.#size(operation, pending, nowMs)
      case "clear":
        return this.#clear(shard, operation, pending, nowMs)
      default:
        unreachable(operation)
    }
  }

  #scan(operation: Extract<ShardOperation, { op: "scan" }>, pending: Pending, nowMs: number): void {
    const { answer, rules, store } = this.#options
    const { entries, done, stoppedAt } = scanShards(operation, this.#servingOf(operation.shards, nowMs), {
      store: store(),
      sees: (shard, key) => (rules.committedReads ? shard.committed(key) : shard.newest(key)),
      nowMs,
    })
    answer(pending, { kind: "page", entries, next: stoppedAt ?? this.#beginningOf(operation.shards[done]) })
  }

  #size(operation: Extract<ShardOperation, { op: "size" }>, pending: Pending, nowMs: number): void {
    const { answer, store } = this.#options
    const { entries, bytes, done } = sizeOfShards(this.#servingOf(operation.shards, nowMs), store())
    answer(pending, { kind: "size", entries, bytes, next: this.#beginningOf(operation.shards[done]) })
  }

  /** Empties a stretch of a shard by one operation: every holder finds the same in it, but for what the primary has forgotten. */
  #clear(shard: Shard, operation: Extract<ShardOperation, { op: "clear" }>, pending: Pending, nowMs: number): void {
    if (!isNew(shard, pending, this.#options)) return
    const { commits, store } = this.#options
    const { clientId, n, ackedBelow } = pending.request
    const { stretch, count, next } = stretchToClear(operation, shard, { store: store(), nowMs })
    const key: HashedKey = { bytes: new Uint8Array(0), position: shard.arc.from }
    const op: ReplicatedOp = {
      ...{ seq: shard.seq + 1, key: key.bytes },
      effect: ownedEffect({ kind: "clear", ...stretch }),
      origin: { client: clientId, n, ackedBelow },
      result: { kind: "cleared", count, next },
    }
    commits.append(shard, op, key, pending, nowMs)
  }

  /** The first of these shards, and those after it, up to one that may not answer now. */
  *#servingOf(indexes: readonly ShardId[], nowMs: number): Generator<Shard> {
    for (const index of indexes) {
      const shard = this.#options.serving(index, nowMs)
      if (shard === undefined) return
      yield shard
    }
  }

  #beginningOf(index: ShardId | undefined): Place | null {
    return index === undefined ? null : { position: arcOf(index, this.#options.shardCount()).from, after: null }
  }
}
