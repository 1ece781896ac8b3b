/**
 * Fills learners: the primary's side of every transfer of this node. A transfer reads its shard in pieces while the
 * shard serves; live operations go to the learner beside it. When everything that was read has committed at the learner,
 * and its acknowledgements are required for new operations, its completion is proposed ("Transfers").
 */
import type { DataMessage, Epoch, NodeId, Seq, TransferEntry, ViewCommand } from "../../protocol/message.ts"
import type { Cursor, Store } from "../../store/store.ts"
import type { Follower } from "./lead.ts"
import type { Rules } from "../rules.ts"
import { ttlLeftMs } from "./operations.ts"
import type { Shard } from "./shard.ts"

/** One transfer to one learner. */
export type Outgoing = {
  /** Unique and rising on this node; every message of the transfer carries it. */
  readonly tid: number
  /** The learner's assignment that it serves. */
  readonly since: Epoch
  cursor: Cursor | undefined
  nextIndex: number
  /** Index of the last piece; null: not read yet. */
  lastIndex: number | null
  /** The newest operation when the last entry was read. */
  endSeq: Seq
  /** Sizes of pieces under way, oldest first. */
  readonly underWayBytes: number[]
  progressAtMs: number
  /** The learner holds everything; its acknowledgements are required from now on. */
  isIncluded: boolean
  /** Its completion was proposed: from now on nothing is begun again, only repeated. */
  wasReady: boolean
  readyAtMs: number
}

export type TransfersOptions = {
  readonly send: (to: NodeId, message: DataMessage) => void
  readonly propose: (commands: readonly ViewCommand[], nowMs: number) => void
  readonly store: () => Store
  readonly serves: (shard: Shard, nowMs: number) => boolean
  /** A learner's acknowledgements became required, or are no longer. */
  readonly requirementsChanged: (shard: Shard, nowMs: number) => void
  readonly config: {
    readonly chunkBytes: number
    readonly chunkWindow: number
    readonly transferBytesPerPeer: number
    readonly transferTimeoutMs: number
  }
  readonly rules: Pick<Rules, "readyNeedsInclude" | "readyNeedsCommit" | "includedStay">
}

/** What a message of a transfer takes besides its entries, for the budget. */
const messageOverhead = 200
/** A completion is proposed again after this: a view of completions is made every 200 ms, when all goes well. */
const readyRetryMs = 600
/** What one tick reads and sends at most, to all learners together: a few milliseconds. From then on acknowledgements set the pace. */
const tickBytes = 256 * 1024
/** A transfer that fails again and again is begun again at growing distances, up to so many times the time-out. */
const maxBackoff = 32

export class Transfers {
  readonly #options: TransfersOptions
  /** Shards led here that have learners. */
  readonly #open = new Set<Shard>()
  /** The same in the order of urgency; null: to be made. */
  #order: Shard[] | null = null
  /** For each learner, up to where in that order its transfers are begun. */
  readonly #begunUpTo = new Map<NodeId, number>()
  readonly #underWayBytes = new Map<NodeId, number>()
  /** What this step may still read. */
  #allowedBytes = 0
  /** How often each learner's transfer was begun, by shard and assignment. */
  readonly #attempts = new Map<string, number>()
  #lastTid = 0
  #sentBytes = 0

  constructor(options: TransfersOptions) {
    this.#options = options
  }

  /** Keys and values that were sent in pieces, with what messages add, since the start. */
  get sentBytes(): number {
    return this.#sentBytes
  }

  /** To the learner to which most is. For checkers. */
  get mostUnderWayBytes(): number {
    return Math.max(0, ...this.#underWayBytes.values())
  }

  get openCount(): number {
    return this.#open.size
  }

  /** The shard's config or role changed. */
  reconfigured(shard: Shard): void {
    const isOpen = shard.lead !== null && shard.config.learners.length > 0
    if (!isOpen && !this.#open.has(shard)) return
    if (isOpen) this.#open.add(shard)
    else this.#open.delete(shard)
    this.#order = null
  }

  /** Begins, continues, repeats and completes transfers. */
  tick(nowMs: number): void {
    if (this.#open.size === 0) {
      this.#attempts.clear()
      this.#underWayBytes.clear()
      return
    }
    if (this.#order === null) {
      this.#recount()
      // A shard with one copy left comes first: a second crash would lose it.
      const rank = ({ config, index }: Shard) => config.inSync.length * 2 ** 20 + index
      this.#order = [...this.#open].sort((a, b) => rank(a) - rank(b))
      this.#begunUpTo.clear()
    }
    this.#allowedBytes = tickBytes
    const ready: ViewCommand[] = []
    for (const shard of this.#order) {
      if (!this.#options.serves(shard, nowMs)) continue
      for (const { id, since } of shard.config.learners) {
        const follower = this.#advance(shard, id, since, nowMs)
        if (follower !== undefined && this.#isReady(shard, follower)) this.#ready(shard, follower, nowMs, ready)
      }
    }
    if (ready.length > 0) this.#options.propose(ready, nowMs)
  }

  acknowledged(shard: Shard, from: NodeId, ack: Extract<DataMessage, { kind: "transfer-ack" }>, nowMs: number): void {
    const follower = shard.lead?.followers.get(from)
    const transfer = follower?.transfer
    if (follower === undefined || transfer === null || transfer === undefined || transfer.tid !== ack.tid) return
    const firstUnderWay = transfer.nextIndex - transfer.underWayBytes.length
    const taken = transfer.underWayBytes.splice(0, Math.max(0, ack.index + 1 - firstUnderWay))
    const takenBytes = taken.reduce((sum, bytes) => sum + bytes, 0)
    this.#underWayBytes.set(from, (this.#underWayBytes.get(from) ?? 0) - takenBytes)
    this.#allowedBytes = takenBytes
    if (taken.length > 0) {
      transfer.progressAtMs = nowMs
      this.#attempts.delete(`${shard.index} ${from} ${transfer.since}`)
    }
    if (ack.index === transfer.lastIndex && !transfer.isIncluded) {
      transfer.isIncluded = true
      this.#options.requirementsChanged(shard, nowMs)
    } else if (transfer.lastIndex === null && this.#options.serves(shard, nowMs)) this.#pump(shard, follower, nowMs)
    if (transfer.lastIndex !== null) this.#beginNext(from, nowMs)
  }

  /** What has arrived makes room for the next ones. */
  #beginNext(id: NodeId, nowMs: number): void {
    const limit = this.#options.config.transferBytesPerPeer
    const order = this.#order ?? []
    let at = this.#begunUpTo.get(id) ?? 0
    for (; at < order.length && this.#allowedBytes > 0 && (this.#underWayBytes.get(id) ?? 0) < limit; at++) {
      const shard = order[at]
      const learner = shard?.config.learners.find(each => each.id === id)
      if (shard === undefined || learner === undefined) continue
      const isBegun = shard.lead?.followers.get(id)?.transfer?.since === learner.since
      if (!isBegun && this.#options.serves(shard, nowMs)) this.#begin(shard, id, learner.since, nowMs)
    }
    this.#begunUpTo.set(id, at)
  }

  /**
   * A connection to this learner broke: what was under way is lost. That it did not arrive says nothing of how long the learner
   * takes: the next attempt waits as long as a first one.
   */
  linkLost(peer: NodeId): void {
    for (const shard of this.#open) {
      const transfer = shard.lead?.followers.get(peer)?.transfer
      if (transfer == null || this.#isFinal(transfer)) continue
      transfer.progressAtMs = Number.NEGATIVE_INFINITY
      this.#attempts.delete(`${shard.index} ${peer} ${transfer.since}`)
    }
    this.#order = null
  }

  #advance(shard: Shard, id: NodeId, since: Epoch, nowMs: number): Follower | undefined {
    const { lead } = shard
    if (lead === null) return undefined
    const follower = lead.followers.get(id)
    const transfer = follower?.transfer
    if (follower === undefined || transfer == null || transfer.since !== since) {
      const hasRoom = (this.#underWayBytes.get(id) ?? 0) < this.#options.config.transferBytesPerPeer
      // With a first piece at least: from then on its acknowledgements keep it going.
      if (hasRoom && this.#allowedBytes > 0) this.#begin(shard, id, since, nowMs)
      return undefined
    }
    if (this.#isFinal(transfer)) return follower
    const attempts = this.#attempts.get(`${shard.index} ${id} ${since}`) ?? 1
    const timeoutMs = this.#options.config.transferTimeoutMs * Math.min(maxBackoff, 2 ** (attempts - 1))
    if (nowMs - transfer.progressAtMs <= timeoutMs) this.#pump(shard, follower, nowMs)
    else if (this.#allowedBytes > 0) this.#begin(shard, id, since, nowMs)
    return follower
  }

  #begin(shard: Shard, id: NodeId, since: Epoch, nowMs: number): void {
    const { lead } = shard
    if (lead === null) return
    const key = `${shard.index} ${id} ${since}`
    this.#attempts.set(key, (this.#attempts.get(key) ?? 0) + 1)
    this.#lastTid += 1
    const transfer: Outgoing = {
      tid: this.#lastTid,
      since,
      cursor: undefined,
      nextIndex: 0,
      lastIndex: null,
      endSeq: 0,
      underWayBytes: [],
      progressAtMs: nowMs,
      isIncluded: false,
      wasReady: false,
      readyAtMs: Number.NEGATIVE_INFINITY,
    }
    if (lead.followers.get(id)?.transfer != null) this.#order = null // what that had under way counts no more
    const follower = lead.fill(id, transfer, nowMs)
    this.#options.send(id, {
      kind: "transfer-begin",
      shard: shard.index,
      q: shard.config.q,
      tid: transfer.tid,
      since,
      baseSeq: shard.seq,
      commit: shard.commit,
      dedup: shard.dedup.export(nowMs),
    })
    this.#pump(shard, follower, nowMs)
  }

  /** Reads and sends pieces, as many as may be under way. */
  #pump(shard: Shard, follower: Follower, nowMs: number): void {
    const { config, send, store } = this.#options
    const { transfer } = follower
    if (transfer === null) return
    while (
      transfer.lastIndex === null &&
      this.#allowedBytes > 0 &&
      transfer.underWayBytes.length < config.chunkWindow &&
      (this.#underWayBytes.get(follower.id) ?? 0) < config.transferBytesPerPeer
    ) {
      const entries: TransferEntry[] = []
      let bytes = messageOverhead
      transfer.cursor = store().scan(shard.arc, transfer.cursor, config.chunkBytes, (key, _position, entry) => {
        const { value, flags, version } = entry
        entries.push({ key, value, flags, version, ttlLeftMs: ttlLeftMs(entry, nowMs) })
        bytes += messageOverhead / 4 + key.length + value.length
      })
      const isLast = transfer.cursor === undefined
      const index = transfer.nextIndex
      transfer.nextIndex += 1
      transfer.underWayBytes.push(bytes)
      this.#allowedBytes -= bytes
      this.#sentBytes += bytes
      this.#underWayBytes.set(follower.id, (this.#underWayBytes.get(follower.id) ?? 0) + bytes)
      if (isLast) {
        transfer.lastIndex = index
        transfer.endSeq = shard.seq
      }
      send(follower.id, {
        kind: "transfer-chunk",
        shard: shard.index,
        q: shard.config.q,
        tid: transfer.tid,
        index,
        entries,
        fin: isLast,
        endSeq: shard.seq,
      })
    }
  }

  /** What was read may hold uncommitted writes: a learner that became in-sync with them could not undo them. */
  #isReady(shard: Shard, follower: Follower): boolean {
    const { transfer } = follower
    if (transfer === null || transfer.lastIndex === null) return false
    const { readyNeedsInclude, readyNeedsCommit } = this.#options.rules
    if (readyNeedsCommit && shard.commit < transfer.endSeq) return false
    return !readyNeedsInclude || (transfer.isIncluded && follower.acked >= shard.commit)
  }

  /** From here on things are only repeated: its completion may have been decided. */
  #isFinal(transfer: Outgoing): boolean {
    return transfer.isIncluded && this.#options.rules.includedStay
  }

  #ready(shard: Shard, follower: Follower, nowMs: number, commands: ViewCommand[]): void {
    const { transfer } = follower
    if (transfer === null || nowMs - transfer.readyAtMs < readyRetryMs) return
    transfer.readyAtMs = nowMs
    transfer.wasReady = true
    commands.push({ kind: "ready", shard: shard.index, q: shard.config.q, node: follower.id, since: transfer.since })
  }

  /** Transfers end in many ways; counting afresh keeps the budget true. */
  #recount(): void {
    this.#underWayBytes.clear()
    for (const shard of this.#open)
      for (const { id, transfer } of shard.lead?.followers.values() ?? [])
        if (transfer !== null)
          for (const bytes of transfer.underWayBytes)
            this.#underWayBytes.set(id, (this.#underWayBytes.get(id) ?? 0) + bytes)
  }
}
