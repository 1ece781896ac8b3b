/**
 * The hash of a view's whole content: two nodes at one epoch with different hashes have forked. Combined from one hash
 * per shard, so that a view which changes a few shards is hashed by looking at those alone (`README.md`, "Views").
 */
import { ContentHash, mix32 } from "../base/hash.ts"
import type { Member, ShardConfig, View } from "../protocol/message.ts"

/** Two lanes, each 32 bits. */
type Lanes = { readonly low: number; readonly high: number }

// Views share what did not change between them, and all of it is immutable: what was hashed once stays right. A single
// config is hashed anew each time: that costs less than to remember thousands of them.
const hashOfShards = new WeakMap<readonly ShardConfig[], Lanes>()
const hashOfMembers = new WeakMap<readonly Member[], Lanes>()

/** An integer below 2^52. */
export function viewHash(view: Omit<View, "hash">): number {
  const shards = remembered(hashOfShards, view.shards, sumOfShards)
  const members = remembered(hashOfMembers, view.members, hashMembers)
  const all = new ContentHash()
    .text(view.clusterId)
    .integer(view.generation)
    .integer(view.baseEpoch)
    .integer(view.epoch)
    .integer(view.membersEpoch)
    .integer(view.copies)
    .integer(view.maxVoters)
    .integer(view.hashKey[0])
    .integer(view.hashKey[1])
    .integer(view.proto)
    .integer(view.layoutVersion)
    .integer(members.low)
    .integer(members.high)
    .integer(view.shards.length)
    .integer(shards.low)
    .integer(shards.high)
  if (view.stopped) all.text("stopped")
  return (all.high & 0xf_ffff) * 0x1_0000_0000 + all.low
}

/** To be called with shards that differ from `before` in `changed` alone, before their view is hashed. */
export function hashChangedShards(
  before: readonly ShardConfig[],
  after: readonly ShardConfig[],
  changed: Iterable<number>,
): void {
  let { low, high } = remembered(hashOfShards, before, sumOfShards)
  for (const shard of changed) {
    const old = lanesOf(before[shard], shard)
    const now = lanesOf(after[shard], shard)
    low = (low - old.low + now.low) >>> 0
    high = (high - old.high + now.high) >>> 0
  }
  hashOfShards.set(after, { low, high })
}

function sumOfShards(shards: readonly ShardConfig[]): Lanes {
  let low = 0
  let high = 0
  shards.forEach((config, shard) => {
    const lanes = lanesOf(config, shard)
    low = (low + lanes.low) >>> 0
    high = (high + lanes.high) >>> 0
  })
  return { low, high }
}

/** Of a config at its place: the same config elsewhere counts differently. */
function lanesOf(config: ShardConfig | undefined, shard: number): Lanes {
  if (config === undefined) throw new RangeError("no such shard")
  const own = hashConfig(config)
  return { low: mix32(own.low ^ mix32(shard)), high: mix32(own.high + mix32(~shard)) }
}

function hashConfig(config: ShardConfig): Lanes {
  const hash = new ContentHash()
    .integer(config.q)
    .text(config.primary ?? "")
    .integer(config.primarySince)
    .integer(config.inSync.length)
  for (const id of config.inSync) hash.text(id)
  hash.integer(config.learners.length)
  for (const learner of config.learners) hash.text(learner.id).integer(learner.since)
  return hash.integer(Number(config.orphan)).integer(config.resetAt).integer(config.seqBase)
}

function hashMembers(members: readonly Member[]): Lanes {
  const hash = new ContentHash().integer(members.length)
  for (const member of members)
    hash
      .text(member.id)
      .text(member.name)
      .text(member.addr)
      .text(member.clientAddr)
      .text(member.zone)
      .integer(Number(member.witness) + 2 * Number(member.voter) + 4 * Number(member.leaving))
      .integer(member.protoMin)
      .integer(member.protoMax)
      .integer(member.since)
  return hash
}

function remembered<K extends object>(known: WeakMap<K, Lanes>, of: K, compute: (of: K) => Lanes): Lanes {
  const before = known.get(of)
  if (before !== undefined) return before
  const { low, high } = compute(of)
  const lanes = { low, high }
  known.set(of, lanes)
  return lanes
}
