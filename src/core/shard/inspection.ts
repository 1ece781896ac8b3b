/** What checkers and tests may see of the shards of a node: nothing here is asked for by the node itself. */
import type { ClientId, Epoch, Result, Seq } from "../../protocol/message.ts"
import type { Cursor, Entry, Store } from "../../store/store.ts"
import { type Role, type Shard, textOf } from "./shard.ts"

/** What one shard holds on this node, for checkers. */
export type ShardInspection = {
  readonly role: Role
  readonly q: Epoch
  readonly seq: Seq
  readonly commit: Seq
  readonly uncommitted: number
  readonly parked: number
  readonly entries: ReadonlyMap<string, Pick<Entry, "value" | "version" | "expiresAtMs">>
  readonly dedupClients: number
  /** What this operation of a client is remembered to have given; "below": it is finished. */
  readonly recordOf: (client: ClientId, n: number) => Result | "below" | undefined
  readonly isComplete: boolean
}

/** How much a node keeps of what is bounded, of all shards or of the one that has most, for checkers. */
export type Held = {
  readonly parked: number
  readonly early: number
  readonly uncommitted: number
  readonly uncommittedBytes: number
  readonly pendingOfKey: number
  readonly dedupClients: number
  readonly resultsOfClient: number
  readonly transferBytes: number
}

export function inspectionOf(shard: Shard, store: Store): ShardInspection {
  const entries = new Map<string, Pick<Entry, "value" | "version" | "expiresAtMs">>()
  let cursor: Cursor | undefined
  do
    cursor = store.scan(shard.arc, cursor, Number.MAX_SAFE_INTEGER, (key, _position, entry) =>
      entries.set(textOf(key), { value: entry.value, version: entry.version, expiresAtMs: entry.expiresAtMs }),
    )
  while (cursor !== undefined)
  return {
    role: shard.role,
    q: shard.config.q,
    seq: shard.seq,
    commit: shard.commit,
    uncommitted: shard.log.length,
    parked: shard.parked.length,
    entries,
    dedupClients: shard.dedup.size,
    recordOf: (client, n) => {
      const found = shard.dedup.find(client, n)
      return found === undefined || found === "below" ? found : found.result
    },
    isComplete: shard.filling === null || shard.filling.isComplete,
  }
}

export function heldIn(shards: readonly Shard[], others: Pick<Held, "early" | "transferBytes">): Held {
  const most = (measure: (shard: Shard) => number) => Math.max(0, ...shards.map(measure))
  return {
    parked: shards.reduce((sum, { parked }) => sum + parked.length, 0),
    uncommitted: most(({ log }) => log.length),
    uncommittedBytes: most(({ logBytes }) => logBytes),
    pendingOfKey: most(({ mostPending }) => mostPending),
    dedupClients: most(({ dedup }) => dedup.size),
    resultsOfClient: most(({ dedup }) => dedup.mostResults),
    ...others,
  }
}
