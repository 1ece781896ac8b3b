/**
 * The primary's side of replication for one shard: what each follower was sent and has acknowledged, and hence what may
 * commit. A follower is an in-sync replica, made equal by a `sync` first, or a learner whose transfer has begun. The
 * stream to each is in order and acknowledged cumulatively; a gap shows by number and is sent again ("Data path").
 */
import { assert } from "../../base/assert.ts"
import type { DataMessage, NodeId, ReplicatedOp, Seq, ShardConfig } from "../../protocol/message.ts"
import type { OpenGroup } from "./groups.ts"
import { bytesOf, type LogRecord, type Shard } from "./shard.ts"
import type { Outgoing } from "./transfers.ts"

export type Follower = {
  readonly id: NodeId
  /** A learner's transfer; null: an in-sync replica. */
  transfer: Outgoing | null
  /** Whether the replica was made equal to this primary; before, nothing else is sent to it. */
  isEqual: boolean
  acked: Seq
  sent: Seq
  commitSent: Seq
  /** Bytes that still fit, as it last said. */
  headroomBytes: number
  probeAtMs: number
  probeDelayMs: number
  resentAtMs: number
  /** Since when an acknowledgement that is needed has been missing; null: nothing is missing. */
  missingSinceMs: number | null
}

export type LeadOptions = {
  readonly self: NodeId
  readonly send: (to: NodeId, message: DataMessage) => void
  readonly replProbeMs: number
  readonly replProbeMaxMs: number
  readonly linkDownMs: number
  readonly linkDown: (peer: NodeId, nowMs: number) => void
  readonly rules: { readonly sync: boolean; readonly commitNeedsAll: boolean }
}

/** Operations of one message take about so many bytes at most; more go in further ones. */
const messageBytes = 128 * 1024
export class Lead {
  /** What was open when the lead began: nothing is served before it has committed. */
  readonly inheritedUpTo: Seq
  readonly followers = new Map<NodeId, Follower>()
  /** Operations that commit together with others in other shards, in their order. */
  readonly openGroups: { readonly group: OpenGroup; readonly seq: Seq }[] = []
  readonly #shard: Shard
  readonly #options: LeadOptions
  #committedAtMs = 0
  #tickedAtMs = 0

  constructor(shard: Shard, options: LeadOptions, nowMs: number) {
    this.#shard = shard
    this.#options = options
    this.inheritedUpTo = shard.seq
    for (const id of shard.config.inSync) if (id !== options.self) this.#follow(id, nowMs)
    for (const follower of this.followers.values()) this.#sync(follower, nowMs)
  }

  /** The shard's config has changed while this node stays its primary. */
  reconfigured(config: ShardConfig, nowMs: number): void {
    for (const [id, follower] of this.followers) {
      const learner = config.learners.find(other => other.id === id)
      if (config.inSync.includes(id)) {
        if (follower.transfer === null) continue
        // The learner's completion was decided. What it has not acknowledged is sent again, now as to a replica.
        assert(
          follower.transfer.isIncluded || follower.transfer.wasReady,
          "a learner was complete before it is in sync",
        )
        follower.transfer = null
        follower.isEqual = true
      } else if (learner === undefined || learner.since !== follower.transfer?.since) this.followers.delete(id)
    }
    for (const id of config.inSync)
      assert(id === this.#options.self || this.followers.has(id), "an in-sync replica was filled by its primary")
    for (const follower of this.followers.values()) {
      if (follower.transfer !== null) continue
      if (!follower.isEqual) this.#sync(follower, nowMs)
      else {
        follower.sent = follower.acked
        this.pump(follower, nowMs)
      }
    }
  }

  /** A learner's transfer begins: from here on the live operations go to it as well. */
  fill(id: NodeId, transfer: Outgoing, nowMs: number): Follower {
    const follower = this.followers.get(id) ?? this.#follow(id, nowMs)
    follower.transfer = transfer
    follower.isEqual = false
    // Nothing is counted before the learner is included, and then it has at least what the transfer began with.
    follower.acked = this.#shard.seq
    follower.sent = this.#shard.seq
    follower.commitSent = this.#shard.commit
    return follower
  }

  /** An operation was appended: it leaves at once. */
  appended(nowMs: number): void {
    for (const follower of this.followers.values()) this.pump(follower, nowMs)
  }

  /** Sends what the follower was not sent yet. */
  pump(follower: Follower, nowMs: number): void {
    if (follower.transfer === null && !follower.isEqual) return
    const { log } = this.#shard
    const first = log[0]?.op.seq
    if (first === undefined || follower.sent >= this.#shard.seq) return
    const from = follower.sent + 1 - first
    assert(from >= 0 || follower.transfer !== null, "what an in-sync replica lacks is still uncommitted")
    if (from < 0) return // a learner that lost operations is filled again
    if (follower.sent === follower.acked) {
      follower.probeDelayMs = this.#options.replProbeMs
      follower.probeAtMs = nowMs + follower.probeDelayMs
    }
    let ops: ReplicatedOp[] = []
    let bytes = 0
    for (let i = from; i < log.length; i++) {
      const op = this.#shard.outgoing(log[i] as LogRecord, nowMs) // the index is within bounds
      ops.push(op)
      bytes += bytesOf(op)
      if (bytes < messageBytes && i < log.length - 1) continue
      follower.sent = op.seq
      this.#send(follower, ops)
      ops = []
      bytes = 0
    }
  }

  synced(from: NodeId, seq: Seq, nowMs: number): void {
    const follower = this.followers.get(from)
    if (follower === undefined || follower.transfer !== null || follower.isEqual) return
    assert(seq <= this.#shard.seq, "a replica that was made equal has nothing that its primary lacks")
    follower.isEqual = true
    follower.acked = seq
    follower.sent = seq
    this.pump(follower, nowMs)
  }

  /** Takes a cumulative acknowledgement. */
  acknowledged(from: NodeId, ack: Extract<DataMessage, { kind: "repl-ack" }>, nowMs: number): void {
    const follower = this.followers.get(from)
    if (follower === undefined || ack.tid !== (follower.transfer?.tid ?? 0)) return
    if (follower.transfer === null && (!follower.isEqual || ack.q !== this.#shard.config.q)) return
    follower.headroomBytes = ack.headroom
    if (ack.seq > follower.acked) {
      follower.acked = Math.min(ack.seq, this.#shard.seq)
      follower.missingSinceMs = null // slow, not gone
      follower.probeDelayMs = this.#options.replProbeMs
      follower.probeAtMs = nowMs + follower.probeDelayMs
    }
    if (!ack.gap || ack.seq < follower.acked) return
    const first = this.#shard.log[0]?.op.seq ?? this.#shard.seq + 1
    if (follower.transfer !== null && ack.seq + 1 < first) {
      // It missed an operation that is no longer kept: only a new transfer can bring it.
      assert(!follower.transfer.wasReady, "what a complete learner lacks is still uncommitted")
      follower.transfer.isIncluded = false
      follower.transfer.progressAtMs = Number.NEGATIVE_INFINITY
      return
    }
    // One message lost makes each later one report the gap: answer the first report.
    if (nowMs - follower.resentAtMs < this.#options.replProbeMs / 2) return
    follower.resentAtMs = nowMs
    follower.sent = follower.acked
    this.pump(follower, nowMs)
  }

  /** The newest operation that everyone has whose acknowledgement is required. */
  committable(): Seq {
    let seq = this.#shard.seq
    if (!this.#options.rules.commitNeedsAll) return seq
    for (const { transfer, isEqual, acked } of this.followers.values()) {
      if (transfer === null) seq = Math.min(seq, isEqual ? acked : 0)
      else if (transfer.isIncluded) seq = Math.min(seq, acked)
    }
    return Math.max(seq, this.#shard.commit)
  }

  committed(nowMs: number): void {
    this.#committedAtMs = nowMs
  }

  /** Least room among those that must hold every write. */
  headroomBytes(): number {
    let least = Number.POSITIVE_INFINITY
    for (const { headroomBytes, transfer } of this.followers.values())
      if (transfer === null || transfer.isIncluded) least = Math.min(least, headroomBytes)
    return least
  }

  /** Asks followers that said they are full whether they still are. */
  askHeadroom(nowMs: number): void {
    for (const follower of this.followers.values())
      if (nowMs >= follower.probeAtMs && (follower.isEqual || follower.transfer !== null)) {
        follower.probeAtMs = nowMs + this.#options.replProbeMaxMs
        this.#send(follower, [])
      }
  }

  /** Repeats what went unanswered and tells followers what has committed; returns whether anything is left to watch. */
  tick(nowMs: number): "busy" | "idle" {
    let state: "busy" | "idle" = "idle"
    // What is missing for want of having looked is no fault of the link: this node stood still.
    const wasAway = nowMs - this.#tickedAtMs > this.#options.linkDownMs / 2
    this.#tickedAtMs = nowMs
    for (const follower of this.followers.values()) {
      const { transfer, isEqual } = follower
      if (wasAway) follower.missingSinceMs = null
      this.#watch(follower, nowMs)
      if (transfer === null && !isEqual) {
        state = "busy"
        if (nowMs >= follower.probeAtMs) this.#sync(follower, nowMs)
        continue
      }
      if (follower.acked < follower.sent && (transfer === null || transfer.isIncluded)) {
        state = "busy"
        if (nowMs >= follower.probeAtMs) {
          follower.probeDelayMs = Math.min(2 * follower.probeDelayMs, this.#options.replProbeMaxMs)
          follower.probeAtMs = nowMs + follower.probeDelayMs
          this.#send(follower, [])
        }
      } else if (follower.commitSent < this.#shard.commit) {
        state = "busy"
        // The next operation would carry it; only a pause makes it worth a message of its own.
        if (nowMs - this.#committedAtMs >= this.#options.replProbeMs) this.#send(follower, [])
      }
    }
    return state
  }

  /** A follower that others hear but that this primary cannot reach stops every write: somebody must decide. */
  #watch(follower: Follower, nowMs: number): void {
    const { transfer, isEqual, acked, sent } = follower
    const isMissing = transfer === null ? !isEqual || acked < sent : transfer.isIncluded && acked < sent
    if (!isMissing) follower.missingSinceMs = null
    else follower.missingSinceMs ??= nowMs
    if (follower.missingSinceMs === null || nowMs - follower.missingSinceMs < this.#options.linkDownMs) return
    follower.missingSinceMs = nowMs - this.#options.linkDownMs / 2 // said again in a while
    this.#options.linkDown(follower.id, nowMs)
  }

  #follow(id: NodeId, nowMs: number): Follower {
    const follower: Follower = {
      id,
      transfer: null,
      isEqual: false,
      acked: 0,
      sent: 0,
      commitSent: 0,
      headroomBytes: Number.POSITIVE_INFINITY,
      probeAtMs: nowMs,
      probeDelayMs: this.#options.replProbeMs,
      resentAtMs: Number.NEGATIVE_INFINITY,
      missingSinceMs: null,
    }
    this.followers.set(id, follower)
    return follower
  }

  /** Makes a replica equal: it undoes what this primary does not have, and takes what it lacks. */
  #sync(follower: Follower, nowMs: number): void {
    const shard = this.#shard
    if (!this.#options.rules.sync) {
      follower.isEqual = true
      follower.acked = shard.seq
      follower.sent = shard.seq
      return
    }
    follower.probeAtMs = nowMs + follower.probeDelayMs
    follower.probeDelayMs = Math.min(2 * follower.probeDelayMs, this.#options.replProbeMaxMs)
    const inherited = shard.log.filter(({ op }) => op.seq <= this.inheritedUpTo)
    // Not the commit watermark: an empty log may follow operations whose commit this node never heard of.
    const base = inherited[0] === undefined ? this.inheritedUpTo : inherited[0].op.seq - 1
    // All in one message, which a shard's bound of uncommitted bytes makes fit a frame: a replica that undid its own and
    // had taken only a part would for that moment lack what it had acknowledged.
    const ops = inherited.map(record => shard.outgoing(record, nowMs))
    this.#options.send(follower.id, { kind: "sync", shard: shard.index, q: shard.config.q, base, ops })
  }

  #send(follower: Follower, ops: readonly ReplicatedOp[]): void {
    const { index, config, commit } = this.#shard
    follower.commitSent = commit
    this.#options.send(follower.id, {
      kind: "repl",
      shard: index,
      q: config.q,
      tid: follower.transfer?.tid ?? 0,
      ops,
      commit,
      last: follower.sent,
    })
  }
}
