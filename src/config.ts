/**
 * Every tunable of a node: what it does, its unit, what raising and lowering it costs, and how they relate. Where a
 * number comes from the protocol, `src/core/README.md` gives the reasoning. Parts receive the values they use.
 */
import { maxDeadlineMs } from "./protocol/limits.ts"

export type Config = {
  // ------------------------------------------------------------------ shape of a new cluster (fixed at creation)
  /** Copies of each entry, the primary included. Two survive one crash at a time, three survive two at once. */
  copies: number
  /**
   * Arcs of the ring, a power of two. Each costs every node work whenever members come or go: with 1,024 a node joins with a third of the CPU time
   * that 4,096 take. More balance better: of twenty members the busiest leads 1.25 times the mean with 1,024, 1.18 with
   * 4,096; of a hundred 1.76 and 1.34.
   */
  shardCount: number
  /** Members that vote, detect failures and grant leases. More survive more simultaneous crashes and cost more beats. */
  maxVoters: number

  // ------------------------------------------------------------------ detection and leases
  /** How often a member beats to each voter, up to 75 members; above, 2 ms per member. */
  beatMs: number
  /** Random part of a beat interval, so that members do not beat in step. */
  beatJitter: number
  /** Silence after which a voter suspects a member. Shorter finds death sooner and mistakes slowness for it. */
  suspectMs: number
  /** A suspicion adapts to late beats, up to this many times `suspectMs`. */
  suspectCap: number
  /** How long a majority of grants lets a member serve. Not much longer than detection: a failover waits for its end. */
  leaseMs: number
  /** Largest error of clock rates between two nodes. Fences are longer by it. */
  clockRateError: number
  /** A voter whose own tick was later than this distrusts itself for `selfDistrustMs`. */
  lateTickMs: number
  selfDistrustMs: number
  /** How often a standing suspicion is repeated, and how long it counts without being repeated. */
  suspectRenewMs: number
  suspectExpiryMs: number
  /** How often a primary behind a fence asks its predecessor to release it. */
  yieldMs: number

  // ------------------------------------------------------------------ deciding views
  /** The leader waits so long after the first command, to put more into one view. */
  batchMs: number
  /** The same while some member is reported by too few voters. */
  batchMaxMs: number
  /** Least distance of views that only complete transfers. */
  readyIntervalMs: number
  /** A proposer without a majority tries again after this, plus as much at random, doubling to `paxosRetryMaxMs`. */
  paxosRetryMs: number
  paxosRetryMaxMs: number
  /** A value accepted, or a promise given, for so long without an outcome makes the leader finish that instance. */
  finishAcceptedMs: number
  finishPromisedMs: number
  /** Decided views kept to bring a node up to date by steps instead of by a snapshot. */
  viewsKept: number
  /** A joiner asks again after this. */
  joinRetryMs: number
  /** An originator repeats its command until a view shows it. */
  proposeRetryMs: number
  /** A shard without holders is reset when none of them was heard of for so long. Infinity: never. */
  orphanResetMs: number
  /** A process voted out three times in a row stays out for `flapWaitMs`, then twice as long each time, up to `flapWaitMaxMs`. */
  flapWaitMs: number
  flapWaitMaxMs: number
  /** In a row: each time within so long of when it might come back. */
  flapWindowMs: number
  /** When nothing happens, a node computes every so often what the loss of one member would mean. Infinity: never. */
  rehearseEveryMs: number
  /** A leaving node stops anyway after this: from then on it is a crash. */
  leaveTimeoutMs: number

  // ------------------------------------------------------------------ data
  /** Unacknowledged operations are probed after this, doubling to `replProbeMaxMs`. */
  replProbeMs: number
  replProbeMaxMs: number
  /** A primary that got no acknowledgement from a replica for so long reports the link. */
  linkDownMs: number
  /** Target size of one piece of a transfer, in bytes. */
  chunkBytes: number
  /** Pieces under way of one shard. */
  chunkWindow: number
  /** Bytes under way of all transfers to one member. */
  transferBytesPerPeer: number
  /** A transfer without progress for so long is begun again. */
  transferTimeoutMs: number
  /** A shard holds at most so many uncommitted operations; beyond: `busy`. */
  maxUncommitted: number
  /** And so many bytes of them, before the last: all of them must fit one frame, when a new primary makes replicas equal. */
  maxUncommittedBytes: number
  /** Of one key. */
  maxPendingPerKey: number
  /** Operations that wait at this node for something to clear; beyond: `busy`. */
  maxParked: number
  /** Operations under way that this process itself has asked for, by other protocols than ours; beyond: `busy`. */
  maxOwnCalls: number
  /** How long an operation waits for a lease before it is refused, `minority`. */
  parkWithoutLeaseMs: number
  /** A client's dedup records are forgotten so long after its last operation. Longer than any deadline. */
  dedupIdleMs: number
  /** Clients remembered by one shard; beyond, a new one is `busy` until others are forgotten. */
  maxDedupClients: number
  /** Memory for entries on this node, in bytes, with what the store adds to them. */
  maxBytes: number
  /**
   * What happens at that limit: entries are forgotten, by S3-FIFO (it tells what is used again from what is used once) or by the
   * time of their last use, or writes are refused, `full`. All members do the one or the other.
   */
  eviction: "s3fifo" | "lru" | "none"
  /** Expired entries that one slice of the sweep removes: larger ones make others wait, smaller ones are more of them. */
  sweepBatch: number

  // ------------------------------------------------------------------ the node
  /** How often a node wants to be called while anything is under way. Finer costs CPU, coarser makes every wait longer. */
  tickMs: number
  /**
   * The same of a voter with nothing under way; others rest from one beat to the next. A voter that was stopped for less than this and
   * `lateTickMs` may not notice, and take its own silence for that of others.
   */
  restMs: number
}

export const defaultConfig: Config = {
  copies: 2,
  shardCount: 1_024,
  maxVoters: 7,
  beatMs: 150,
  beatJitter: 0.1,
  suspectMs: 400,
  suspectCap: 5,
  leaseMs: 500,
  clockRateError: 0.01,
  lateTickMs: 80,
  selfDistrustMs: 150,
  suspectRenewMs: 100,
  suspectExpiryMs: 1_000,
  yieldMs: 60,
  batchMs: 30,
  batchMaxMs: 200,
  readyIntervalMs: 200,
  paxosRetryMs: 50,
  paxosRetryMaxMs: 250,
  finishAcceptedMs: 150,
  finishPromisedMs: 300,
  viewsKept: 256,
  joinRetryMs: 300,
  proposeRetryMs: 100,
  orphanResetMs: 60_000,
  flapWaitMs: 10_000,
  flapWaitMaxMs: 300_000,
  flapWindowMs: 300_000,
  rehearseEveryMs: 500,
  leaveTimeoutMs: 60_000,
  replProbeMs: 60,
  replProbeMaxMs: 1_000,
  linkDownMs: 2_000,
  chunkBytes: 64 * 1024,
  chunkWindow: 4,
  transferBytesPerPeer: 1024 * 1024,
  transferTimeoutMs: 1_000,
  maxUncommitted: 4_096,
  maxUncommittedBytes: 8 * 1024 * 1024,
  maxPendingPerKey: 1_024,
  maxParked: 10_000,
  maxOwnCalls: 50_000,
  parkWithoutLeaseMs: 200,
  dedupIdleMs: 120_000,
  maxDedupClients: 16_384,
  maxBytes: 1024 * 1024 * 1024,
  eviction: "s3fifo",
  sweepBatch: 1_024,
  tickMs: 20,
  restMs: 100,
}

/** The simulator's clusters: few shards, so that thousands of runs fit a test. */
export const simulatedConfig: Config = {
  ...defaultConfig,
  rehearseEveryMs: Number.POSITIVE_INFINITY,
  shardCount: 16,
  // Runs last seconds.
  flapWaitMs: 500,
  flapWaitMaxMs: 2_000,
  flapWindowMs: 10_000,
  maxBytes: 64 * 1024 * 1024,
  // What is promised then is more, and easier to judge.
  eviction: "none",
}

/** The first thing wrong with a configuration, in words for the person who wrote it. */
export function configProblem(config: Config): string | undefined {
  if (!Number.isInteger(config.copies) || config.copies < 1 || config.copies > 7)
    return "copies must be 1 to 7: an entry has its primary copy, and each further one costs a round trip to one more node"
  if (config.maxVoters < 1 || config.maxVoters > 9) return "maxVoters must be 1 to 9"
  // A lease must outlive two lost beats, or every hiccup of the network refuses operations.
  if (3 * config.beatMs * (1 + config.beatJitter) >= config.leaseMs) return "leaseMs must exceed three beats"
  if (config.suspectMs <= 2 * config.beatMs) return "suspectMs must exceed two beats"
  if (config.dedupIdleMs < 2 * maxDeadlineMs)
    return "dedupIdleMs must be twice the longest deadline: no request may outlive its record"
  // A reset must come after every lease that rests on the lost holders.
  if (config.orphanResetMs < 2 * config.leaseMs) return "orphanResetMs must be twice leaseMs or more"
  if (config.tickMs > config.beatMs / 3) return "tickMs must be a third of beatMs or less"
  // The longest beat interval may pass before a stopped voter is called, and what others sent meanwhile lies unread.
  if (config.beatMs * (1 + config.beatJitter) + config.restMs + config.lateTickMs >= config.suspectMs)
    return "suspectMs must exceed a beat, restMs and lateTickMs together"
  if (config.maxBytes < 1024) return "maxBytes must be 1 KiB or more"
  return undefined
}
