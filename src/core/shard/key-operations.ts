/**
 * Executes the operations of one key in a shard that serves: what they do is in `operations.ts`; here is what comes before
 * and after: whether the shard takes them, what has expired, and into which order a write goes ("Data path").
 */
import { assert } from "../../base/assert.ts"
import { copyOf } from "../../base/bytes.ts"
import type { Config } from "../../config.ts"
import type { KeyOperation, Reply, Result } from "../../protocol/message.ts"
import type { Entry, HashedKey } from "../../store/store.ts"
import type { Pending } from "../requests.ts"
import type { Rules } from "../rules.ts"
import type { Commits } from "./commits.ts"
import { bytesAdded, evaluate, hasExpired, isOfShards, isRead, read } from "./operations.ts"
import type { Shard } from "./shard.ts"
import { isNew } from "./standing.ts"
import { expiryOf } from "./sweep.ts"
import { busyRetryMs, type Waiting } from "./waiting.ts"

export type KeyOperationsOptions = {
  readonly config: Config
  readonly rules: Rules
  readonly commits: Pick<Commits, "append">
  readonly waiting: Pick<Waiting, "park">
  /** Whether so many bytes more have room with all who hold the shard. */
  readonly fits: (shard: Shard, bytes: number, nowMs: number) => boolean
  /** An entry is removed because its time was over. */
  readonly countExpired: () => void
  readonly answer: (pending: Pending, reply: Reply) => void
}

export class KeyOperations {
  readonly #options: KeyOperationsOptions

  constructor(options: KeyOperationsOptions) {
    this.#options = options
  }

  /** In this very step, without a client's number, or not at all: `undefined`. */
  executeNow(shard: Shard, operation: KeyOperation, key: HashedKey, nowMs: number): Result | undefined {
    if (isRead(operation)) {
      const entry = this.#seen(shard, key)
      // One that has expired is deleted first, in the shard's order.
      return entry !== undefined && hasExpired(entry, nowMs) ? undefined : read(entry, operation, nowMs)
    }
    if (!shard.isAlone && this.#options.rules.aloneAtOnce) return undefined
    const entry = shard.newest(key)
    if (entry !== undefined && hasExpired(entry, nowMs)) return undefined
    const added = bytesAdded(operation, key.bytes)
    if (added > 0 && !this.#options.fits(shard, added, nowMs)) return undefined
    const { effect, result } = evaluate({ entry, operation, seq: shard.seq + 1, nowMs })
    shard.applyAlone([{ key, effect }], nowMs)
    return result
  }

  read(shard: Shard, pending: Pending, key: HashedKey, nowMs: number): void {
    const { operation } = pending.request
    assert(isRead(operation), "only reads are read")
    const entry = this.#seen(shard, key)
    const { answer, rules } = this.#options
    if (entry === undefined || !hasExpired(entry, nowMs)) return answer(pending, read(entry, operation, nowMs))
    // Gone once seen gone: the deletion commits before the miss is answered.
    if (!rules.expiryCommits) return answer(pending, { kind: "missing" })
    if (shard.pendingOf(key) > 0 && rules.expirySparesNewer) return this.#options.waiting.park(shard, pending, nowMs)
    this.#options.countExpired()
    this.#options.commits.append(shard, expiryOf(shard, key), key, pending, nowMs)
  }

  write(shard: Shard, pending: Pending, key: HashedKey, nowMs: number): void {
    const { answer, config, rules } = this.#options
    const { request } = pending
    const { operation, clientId, n, ackedBelow } = request
    assert(!isRead(operation) && !isOfShards(operation) && operation.op !== "group", "only writes are written")
    if (!isNew(shard, pending, this.#options)) return
    if (shard.pendingOf(key) >= config.maxPendingPerKey)
      return answer(pending, { kind: "busy", retryAfterMs: busyRetryMs })
    const added = bytesAdded(operation, request.key)
    if (added > 0 && !this.#options.fits(shard, added, nowMs)) return answer(pending, { kind: "full" })

    const entry = this.#deletingExpired(shard, key, nowMs)
    const seq = shard.seq + 1
    const { effect: own, result } = evaluate({ entry, operation, seq, nowMs })
    if (own.kind === "none" && !rules.recordUnmet) return answer(pending, result)
    // Missing here is not missing everywhere: a copy may hold what this node has forgotten, and lead next.
    const isMiss = own.kind === "none" && entry === undefined && rules.missIsWritten
    const effect = isMiss ? ({ kind: "delete" } as const) : own
    if (shard.isAlone) {
      // It commits when it is applied: there is nobody to send it to, and it is never undone.
      shard.applyAlone([{ key, effect }], nowMs)
      shard.dedup.record(clientId, n, result, seq, nowMs)
      shard.dedup.finished(clientId, ackedBelow)
      return answer(pending, result)
    }
    const origin = { client: clientId, n, ackedBelow }
    // The key came in a frame that must not be kept alive by it.
    const op = { seq, key: copyOf(key.bytes), effect, origin, result }
    this.#options.commits.append(shard, op, key, pending, nowMs)
  }

  /** What readers may see of the key. */
  #seen(shard: Shard, key: HashedKey): Entry | undefined {
    return this.#options.rules.committedReads ? shard.committed(key) : shard.newest(key)
  }

  /** What a write of the key builds on. An entry that has expired is deleted first. */
  #deletingExpired(shard: Shard, key: HashedKey, nowMs: number): Entry | undefined {
    const entry = foundBy(shard, key, this.#options.rules)
    if (entry === undefined || !hasExpired(entry, nowMs)) return entry
    this.#options.countExpired()
    this.#options.commits.append(shard, expiryOf(shard, key), key, undefined, nowMs)
    return undefined
  }
}

/** What a write finds of its key: also what has not committed. */
export function foundBy(
  shard: Shard,
  key: HashedKey,
  { conditionsOnNewest }: Pick<Rules, "conditionsOnNewest">,
): Entry | undefined {
  return conditionsOnNewest ? shard.newest(key) : shard.committed(key)
}
