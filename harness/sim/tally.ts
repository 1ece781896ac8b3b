/** What a run exercised, counted from the decided views and from what was sent: so that a clean run can be told from an idle one. */
import type { PeerMessage, ReplicatedOp, ShardConfig, View } from "../../src/protocol/message.ts"

export type Tally = {
  /** Views that removed a member. */
  removals: number
  /** Shards whose primary was replaced because it was gone, and because the plan says another. */
  failovers: number
  moves: number
  /** Shards that lost their last holder, got one back, and were begun anew. */
  orphans: number
  reinstated: number
  resets: number
  transfers: number
  syncs: number
  /** Times that an operator had survivors go on without a majority. */
  recoveries: number
  /** Faults while some transfer was under way, and within 100 ms of the one before. */
  duringTransfers: number
  onTheHeels: number
  /** Times that somebody was told what it had missed as a whole view. */
  snapshots: number
  /** Groups of keys that were written, those of them that lay in several shards, and those of which one condition was not met. */
  groups: number
  groupsApart: number
  groupsUnmet: number
  /** Results that somebody gave, each compared with what the replicas hold at that instant; and refusals of those without a majority. */
  answers: number
  minority: number
  /** Deletions of what had expired, as copies were told of them. */
  expiries: number
  /** Entries that somebody had no memory for, and those that a copy was told to forget. */
  dropped: number
  forgotten: number
}

export function newTally(): Tally {
  return {
    ...{ answers: 0, minority: 0, expiries: 0 },
    ...{ removals: 0, failovers: 0, moves: 0, orphans: 0, reinstated: 0, resets: 0, transfers: 0, syncs: 0 },
    ...{
      recoveries: 0,
      duringTransfers: 0,
      onTheHeels: 0,
      snapshots: 0,
      groups: 0,
      groupsApart: 0,
      groupsUnmet: 0,
      dropped: 0,
      forgotten: 0,
    },
  }
}

export function countView(tally: Tally, before: View, after: View): void {
  const ids = new Set(after.members.map(({ id }) => id))
  if (before.members.some(({ id }) => !ids.has(id))) tally.removals += 1
  for (const [shard, config] of after.shards.entries()) {
    const old = before.shards[shard]
    if (old !== undefined && old !== config) countShard(tally, old, config, ids)
  }
}

function countShard(tally: Tally, before: ShardConfig, after: ShardConfig, members: ReadonlySet<string>): void {
  if (after.orphan && !before.orphan) tally.orphans += 1
  else if (after.resetAt > before.resetAt) tally.resets += 1
  else if (before.orphan && !after.orphan) tally.reinstated += 1
  else if (after.primary !== before.primary)
    tally[before.primary === null || members.has(before.primary) ? "moves" : "failovers"] += 1
}

export function countMessage(tally: Tally, message: PeerMessage): void {
  if (message.kind === "transfer-begin") tally.transfers += 1
  else if (message.kind === "sync") tally.syncs += 1
  else if (message.kind === "view-snapshot") tally.snapshots += 1
  else if (message.kind === "repl") tally.expiries += message.ops.filter(isExpiry).length
  else if (message.kind === "forget") tally.forgotten += message.entries.length
}

/** Of a primary's own accord. */
function isExpiry({ effect, origin }: ReplicatedOp): boolean {
  return effect.kind === "delete" && origin === null
}
