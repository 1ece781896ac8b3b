/**
 * All shards of one node: gives each its role under every view, routes the messages of replication and transfers to it, and
 * says when it may answer. What an operation does then is for `key-operations.ts` and the two beside it; when it commits, for
 * `commits.ts` ("Data path", "Transfers").
 */
import { assert } from "../../base/assert.ts"
import { copyOf } from "../../base/bytes.ts"
import type { Config } from "../../config.ts"
import type {
  DataMessage,
  Epoch,
  NodeId,
  Operation,
  ReplicatedOp,
  Reply,
  Result,
  ShardConfig,
  ShardId,
  SnapshotPart,
  View,
  ViewCommand,
} from "../../protocol/message.ts"
import type { HashedKey, Store, StoreOptions } from "../../store/store.ts"
import type { ViewChange } from "../membership/membership.ts"
import { isMember } from "../membership/view.ts"
import type { Pending } from "../requests.ts"
import { arcOf, positionOf, shardOf } from "../ring.ts"
import type { Rules } from "../rules.ts"
import { Commits } from "./commits.ts"
import { beginFilling, newFilling, takePiece } from "./filling.ts"
import { Forgetting } from "./forgetting.ts"
import { GroupOperations } from "./group-operations.ts"
import { type Held, heldIn, inspectionOf, type ShardInspection } from "./inspection.ts"
import { KeyOperations } from "./key-operations.ts"
import { Lead } from "./lead.ts"
import { isOfShards, isRead } from "./operations.ts"
import { ShardOperations } from "./shard-operations.ts"
import { ownedEffect, type Role, Shard } from "./shard.ts"
import { partsOf, SnapshotReader } from "./snapshot.ts"
import { Sweep } from "./sweep.ts"
import { Transfers } from "./transfers.ts"
import { busyRetryMs, type ShardState, Waiting } from "./waiting.ts"

type ShardMessage = Exclude<DataMessage, { kind: "forward" | "forward-reply" | "forget" }>

export type ShardsOptions = {
  readonly self: NodeId
  readonly config: Config
  readonly rules: Rules
  readonly makeStore: (options: StoreOptions) => Store
  readonly send: (to: NodeId, message: DataMessage) => void
  readonly hasLease: (nowMs: number) => boolean
  readonly isFenced: (shard: ShardId, nowMs: number) => boolean
  /** The shard's current primary is known to have served: no earlier one has a lease. */
  readonly unfence: (shard: ShardId) => void
  readonly pull: (from: NodeId, nowMs: number) => void
  readonly propose: (commands: readonly ViewCommand[], nowMs: number) => void
  /** A replica whose acknowledgements are needed has given none for too long. */
  readonly linkDown: (peer: NodeId, nowMs: number) => void
  readonly answer: (pending: Pending, reply: Reply) => void
  /** Takes an operation up again from its beginning. */
  readonly rerun: (pending: Pending, nowMs: number) => void
}

/**
 * Messages of views that this node has not learned yet, kept until it has; beyond, senders repeat. Few enough that the
 * largest of them (a value each) stay bearable; after a view change most are a few words long.
 */
const maxEarly = 1_024
/** What the store is given to tidy up in one slice of work. */
const tidyBytes = 64 * 1024
/** Entries of shards that this node no longer holds that are dropped in one slice. */
const abandonedBatch = 1_024
/** After a stop was decided: acknowledgements on their way arrive within this, if ever. */
const settleMs = 300

export class Shards {
  readonly #options: ShardsOptions
  #view: View | undefined
  #ownStore: Store | undefined
  #table: (Shard | undefined)[] = []
  #expired = 0
  #early: { from: NodeId; message: ShardMessage }[] = []
  #hasWork = false
  /** Shards that this node holds no more, whose entries may still be here. */
  readonly #abandoned = new Set<Shard>()
  readonly #waiting: Waiting
  readonly #commits: Commits
  readonly #keyOperations: KeyOperations
  readonly #groupOperations: GroupOperations
  readonly #shardOperations: ShardOperations
  readonly #sweep: Sweep
  readonly #transfers: Transfers
  readonly #forgetting: Forgetting
  /** A stop was decided; until when operations may still commit by what others had acknowledged before they knew of it. */
  #settleUntilMs: number | null = null
  /** While the shards of a node that resumes are read. */
  #reader: SnapshotReader | null = null

  constructor(options: ShardsOptions) {
    this.#options = options
    const { self, config, rules, send, propose, answer, rerun, hasLease } = options
    const store = () => this.#store
    const hashed = (key: Uint8Array) => this.#hashed(key)
    const shardAt = (position: number) => this.#shardAt(position)
    const serves = (shard: Shard, nowMs: number) => this.#state(shard, nowMs) === "serving"
    const { maxParked, parkWithoutLeaseMs } = config
    const waiting = new Waiting({ maxParked, parkWithoutLeaseMs, answer })
    const commits = new Commits({
      waiting,
      mayCommit: nowMs => hasLease(nowMs) && this.#settleUntilMs !== Number.NEGATIVE_INFINITY,
      isCurrent: ({ index, config: { q } }) => this.#view?.shards[index]?.q === q,
      answer,
      rerun,
    })
    this.#waiting = waiting
    this.#commits = commits

    this.#forgetting = new Forgetting({
      shardAt,
      epoch: () => this.#view?.epoch ?? 0,
      // What is read back after a stop will be led here again, as far as anybody knows.
      leads: ({ role, config: { primary } }) =>
        role === "primary" || (this.#view?.stopped === true && primary === self),
      send,
      rules,
    })
    this.#sweep = new Sweep({
      ...{ config, rules, shardAt, serves },
      appended: (shard, nowMs) => commits.appended(shard, nowMs),
    })
    this.#transfers = new Transfers({
      send,
      propose,
      store,
      serves: (shard, nowMs) => serves(shard, nowMs) || !rules.fillOnlyServing,
      requirementsChanged: (shard, nowMs) => {
        commits.watch(shard)
        commits.tryCommit(shard, nowMs)
      },
      config,
      rules,
    })
    const fits = (shard: Shard, bytes: number, nowMs: number) => this.#fits(shard, bytes, nowMs)
    const countExpired = () => {
      this.#expired += 1
    }
    const shared = { config, rules, commits, waiting, store, hashed, shardAt, serves, fits, countExpired, answer }
    this.#keyOperations = new KeyOperations(shared)
    this.#groupOperations = new GroupOperations(shared)
    this.#shardOperations = new ShardOperations({
      ...shared,
      shardCount: () => this.#view?.shards.length ?? 1,
      serving: (index, nowMs) => (this.serves(index, nowMs) ? this.#table[index] : undefined),
    })
  }

  /** What this node holds; undefined: it has not been a member yet. */
  get store(): Store | undefined {
    return this.#ownStore
  }

  /** Made for the first view, which tells how many copies there are: on the average a node backs as many shards as it leads, for each further one. */
  get #store(): Store {
    const { config, makeStore } = this.#options
    if (this.#ownStore !== undefined) return this.#ownStore
    assert(this.#view !== undefined, "only members hold entries")
    const { maxBytes, eviction } = config
    const copiesShare = 1 - 1 / this.#view.copies
    this.#ownStore = makeStore({ maxBytes, eviction, copiesShare, owner: this.#forgetting })
    return this.#ownStore
  }

  /** Entries that this node removed because their time was over, and bytes that it copied to others, since it started. */
  get counts(): { readonly expired: number; readonly transferredBytes: number } {
    return { expired: this.#expired, transferredBytes: this.#transfers.sentBytes }
  }

  get transfersOpen(): number {
    return this.#transfers.openCount
  }

  serves(index: ShardId, nowMs: number): boolean {
    const shard = this.#table[index]
    return shard !== undefined && this.#state(shard, nowMs) === "serving"
  }

  // ------------------------------------------------------------------------------------------------ views

  viewInstalled({ before, after, changed }: ViewChange, nowMs: number): void {
    this.#view = after
    this.#settleUntilMs = after.stopped ? nowMs + settleMs : null
    const freed: Pending[] = []
    if (after.stopped) this.#waiting.unparkAll(freed)
    for (const index of changed) {
      const config = after.shards[index]
      if (config !== undefined) this.#reconfigure(index, config, before?.epoch ?? 0, freed, nowMs)
    }
    for (const pending of freed) this.#options.rerun(pending, nowMs)
    const early = this.#early
    this.#early = []
    for (const { from, message } of early) this.receive(from, message, nowMs)
  }

  /** Gives the shard its role under `config`; `lastEpoch` is the view that this node had before. */
  #reconfigure(index: ShardId, config: ShardConfig, lastEpoch: Epoch, freed: Pending[], nowMs: number): void {
    const { self, rules } = this.#options
    const view = this.#view
    assert(view !== undefined, "a shard is configured by a view")
    const role = this.#roleUnder(config, view)
    let shard = this.#table[index]
    if (shard === undefined) {
      if (role === "none") return
      const arc = arcOf(index, view.shards.length)
      shard = new Shard({ index, arc, config, store: this.#store, hashed: key => this.#hashed(key) })
      if (!rules.fifo) shard.allowDisorder()
      this.#table[index] = shard
    }
    const last = shard.config
    if (shard.role !== "none" && last.q === config.q && shard.role === role) {
      shard.config = config
      return
    }
    const isSameLead = rules.primarySince ? last.primarySince === config.primarySince : last.primary === config.primary
    const staysPrimary = shard.role === "primary" && role === "primary" && isSameLead
    if (shard.lead !== null && !staysPrimary) this.#demote(shard, freed)
    shard.config = config

    // The target of a reset starts empty and complete, also if it skipped the view that made the reset; so does the
    // first member of a cluster.
    const wasReset = config.resetAt > lastEpoch && config.inSync.includes(self)
    if (wasReset || view.epoch === 1) {
      shard.clear(config.seqBase)
      this.#abandoned.delete(shard)
      shard.role = "replica"
      shard.equalSince = config.primarySince
    }
    switch (role) {
      case "none":
        if (shard.role !== "none") this.#abandon(shard)
        break
      case "orphan":
        // Also a learner whose completion was decided together with the removal of all holders, itself included.
        this.#finishFilling(shard)
        break
      case "learner":
        this.#becomeLearner(shard, config, isSameLead)
        break
      case "replica":
        if (shard.role === "learner" && isSameLead) shard.equalSince = config.primarySince
        else if (shard.equalSince === last.primarySince && isSameLead) shard.equalSince = config.primarySince
        this.#finishFilling(shard)
        break
      case "primary":
        if (staysPrimary) shard.lead?.reconfigured(config, nowMs)
        else {
          this.#finishFilling(shard)
          shard.lead = new Lead(
            shard,
            {
              self,
              send: this.#options.send,
              replProbeMs: this.#options.config.replProbeMs,
              replProbeMaxMs: this.#options.config.replProbeMaxMs,
              linkDownMs: this.#options.config.linkDownMs,
              linkDown: this.#options.linkDown,
              rules,
            },
            nowMs,
          )
        }
        shard.equalSince = config.primarySince
        this.#commits.watch(shard)
        break
    }
    shard.role = role
    this.#transfers.reconfigured(shard)
    if (role === "primary") this.#commits.tryCommit(shard, nowMs)
    else this.#commits.unwatch(shard)
    this.#waiting.unpark(shard, freed)
  }

  #roleUnder(config: ShardConfig, view: View): Role {
    const { self, rules } = this.#options
    if (config.orphan) return config.inSync.includes(self) && rules.lastHoldersKeep ? "orphan" : "none"
    if (!isMember(view, self)) return "none"
    if (config.primary === self) return "primary"
    if (config.inSync.includes(self)) return "replica"
    return config.learners.some(({ id }) => id === self) ? "learner" : "none"
  }

  /** A primary that is replaced gives up what is open: its clients ask again, and are answered once. */
  #demote(shard: Shard, freed: Pending[]): void {
    for (const { waiters, op } of shard.log) {
      if (op.origin === null) freed.push(...waiters)
      else for (const pending of waiters) this.#options.answer(pending, { kind: "retry", afterMs: 0 })
      waiters.length = 0
    }
    for (const { group } of shard.lead?.openGroups ?? []) group.drop(shard)
    shard.lead = null
    shard.equalSince = 0
    this.#forgetting.demoted(shard)
  }

  #becomeLearner(shard: Shard, config: ShardConfig, isSameLead: boolean): void {
    const learner = config.learners.find(({ id }) => id === this.#options.self)
    assert(learner !== undefined, "a learner is assigned")
    if (shard.role === "learner" && shard.filling?.since === learner.since && isSameLead) return
    shard.clear(0)
    this.#abandoned.delete(shard)
    shard.filling = newFilling(learner.since)
  }

  /** Somebody else holds it now. A view may take a hundred shards from a node: their entries go in slices. */
  #abandon(shard: Shard): void {
    shard.forgetOrder(0)
    if (this.#ownStore === undefined) return
    this.#abandoned.add(shard)
    this.#hasWork = true
  }

  /** A learner that has become a holder has everything that was read for it, and all of that is committed. */
  #finishFilling(shard: Shard): void {
    const { filling } = shard
    if (filling === null) {
      assert(shard.role !== "none", "a holder was filled, or held the shard before")
      return
    }
    assert(filling.isComplete, "a learner is complete before it becomes a holder")
    shard.commitTo(Math.max(shard.commit, Math.min(filling.endSeq, shard.seq)))
    shard.filling = null
  }

  // ------------------------------------------------------------------------------------------------ messages

  receive(from: NodeId, message: ShardMessage, nowMs: number): void {
    const view = this.#view
    const { pull, send } = this.#options
    if (view === undefined || message.q > view.epoch) {
      pull(from, nowMs)
      if (message.kind !== "transfer-chunk" && this.#early.length < maxEarly) this.#early.push({ from, message })
      return
    }
    if (message.kind === "stale") {
      if (message.epoch > view.epoch) pull(from, nowMs)
      return
    }
    const shard = this.#table[message.shard]
    if (view.stopped && this.#options.rules.stopFreezes) return this.#receiveStopped(from, message, nowMs)
    switch (message.kind) {
      case "repl":
      case "sync":
      case "transfer-begin":
      case "transfer-chunk": {
        const current = shard?.config ?? view.shards[message.shard]
        if (current === undefined) return
        // A transfer outlives changes of the config that leave its two ends alone; its number tells what belongs to it.
        const isOfTransfer = message.kind !== "sync" && (message.kind !== "repl" || message.tid > 0)
        const { configSpeaks } = this.#options.rules
        if (!configSpeaks && shard !== undefined) return this.#fromPrimary(shard, from, message, nowMs)
        const isCurrent = message.q === current.q || (isOfTransfer && message.q >= current.primarySince)
        if (!isCurrent || (message.q < current.q && shard?.role !== "learner"))
          return send(from, { kind: "stale", shard: message.shard, q: current.q, epoch: view.epoch })
        if (shard === undefined || from !== shard.config.primary) return
        return this.#fromPrimary(shard, from, message, nowMs)
      }
      default:
        if (shard?.lead != null) this.#fromFollower(shard, from, message, nowMs)
    }
  }

  /**
   * What this node holds is written down from here on, so it acknowledges nothing more. What others acknowledged before
   * they knew of the stop is written down there, and commits.
   */
  #receiveStopped(from: NodeId, message: Exclude<ShardMessage, { kind: "stale" }>, nowMs: number): void {
    const shard = this.#table[message.shard]
    const epoch = this.#view?.epoch ?? 0
    const mayCommit = this.#settleUntilMs !== Number.NEGATIVE_INFINITY
    if (message.kind === "repl-ack" && shard?.lead != null && mayCommit) this.#fromFollower(shard, from, message, nowMs)
    else if (message.kind === "repl" || message.kind === "sync")
      this.#options.send(from, { kind: "stale", shard: message.shard, q: message.q, epoch })
  }

  #fromPrimary(
    shard: Shard,
    from: NodeId,
    message: Extract<ShardMessage, { kind: "repl" | "sync" | "transfer-begin" | "transfer-chunk" }>,
    nowMs: number,
  ): void {
    switch (message.kind) {
      case "repl":
        return this.#repl(shard, from, message, nowMs)
      case "sync":
        return this.#sync(shard, from, message, nowMs)
      case "transfer-begin":
        if (shard.role !== "learner") return
        beginFilling(shard, message, nowMs, this.#fillingContext)
        // Only a primary that serves fills others: every lease before its own has ended.
        if (message.q >= shard.config.primarySince) this.#options.unfence(shard.index)
        return
      case "transfer-chunk":
        if (shard.role === "learner") takePiece(shard, from, message, nowMs, this.#fillingContext)
        return
    }
  }

  #fromFollower(
    shard: Shard,
    from: NodeId,
    message: Extract<ShardMessage, { kind: "repl-ack" | "sync-ack" | "transfer-ack" }>,
    nowMs: number,
  ): void {
    if (shard.lead === null) return
    switch (message.kind) {
      case "repl-ack":
        shard.lead.acknowledged(from, message, nowMs)
        break
      case "sync-ack":
        if (message.q === shard.config.q) shard.lead.synced(from, message.seq, nowMs)
        break
      case "transfer-ack":
        this.#transfers.acknowledged(shard, from, message, nowMs)
        break
    }
    this.#commits.tryCommit(shard, nowMs)
  }

  /** Takes operations in order, refuses a gap, and says how far it has come. */
  #repl(shard: Shard, from: NodeId, message: Extract<ShardMessage, { kind: "repl" }>, nowMs: number): void {
    const { rules, send } = this.#options
    if (message.tid === 0) {
      if (shard.role !== "replica" || shard.equalSince !== shard.config.primarySince) return
    } else if (shard.role !== "learner" || (shard.filling?.tid !== message.tid && rules.transferIds)) return
    let isGap = false
    for (const op of message.ops) {
      if (op.seq <= shard.seq) continue
      if (op.seq !== shard.seq + 1 && rules.fifo) {
        isGap = true
        break
      }
      const own = ownedCopy(op)
      shard.apply(own, this.#hashed(own.key), nowMs)
    }
    if (shard.seq < message.last) isGap = true
    const commit = Math.min(message.commit, shard.seq)
    const isNews = commit > shard.commit
    shard.commitTo(commit)
    if (message.ops.length === 0 && isNews && !isGap) return // told what has committed; nothing to acknowledge
    send(from, {
      kind: "repl-ack",
      shard: shard.index,
      q: message.tid === 0 ? shard.config.q : message.q,
      tid: message.tid,
      seq: shard.seq,
      gap: isGap,
      headroom: this.#headroomBytes,
    })
  }

  /** Becomes equal to a new primary: undoes what that does not have, takes what this replica lacks. */
  #sync(shard: Shard, from: NodeId, message: Extract<ShardMessage, { kind: "sync" }>, nowMs: number): void {
    if (shard.role !== "replica" || message.q !== shard.config.q) return
    if (shard.equalSince !== shard.config.primarySince) {
      // What has committed is the same everywhere, so only what is above can differ.
      const base = Math.max(message.base, shard.commit)
      assert(shard.seq >= message.base, "an in-sync replica has everything that may have committed")
      shard.rollBackTo(base, this.#options.rules.undo ? "restores" : "deletes")
      for (const op of message.ops) {
        if (op.seq <= shard.seq) continue
        const own = ownedCopy(op)
        shard.apply(own, this.#hashed(own.key), nowMs)
      }
      shard.equalSince = shard.config.primarySince
    }
    this.#options.send(from, { kind: "sync-ack", shard: shard.index, q: shard.config.q, seq: shard.seq })
  }

  /** A primary has forgotten something. It says so of the shards that are its own in its present reign, and no earlier one. */
  forget(from: NodeId, { epoch, entries }: Extract<DataMessage, { kind: "forget" }>): void {
    if (this.#view === undefined) return
    for (const [bytes, version] of entries) {
      const key = this.#hashed(bytes)
      const shard = this.#shardAt(key.position)
      if (shard === undefined || from !== shard.config.primary || epoch < shard.config.primarySince) continue
      if (shard.role === "replica" || shard.role === "learner") shard.forget(key, version, this.#options.rules)
    }
  }

  // ------------------------------------------------------------------------------------------------ operations

  /** Executes an operation of a shard that this node leads by its view. */
  execute(index: ShardId, pending: Pending, key: HashedKey, nowMs: number): void {
    const shard = this.#table[index]
    assert(shard !== undefined && shard.role === "primary", "a primary knows its shard")
    const state = this.#state(shard, nowMs)
    if (state !== "serving") return this.#waiting.park(shard, pending, nowMs)
    const { operation } = pending.request
    if (isOfShards(operation)) this.#shardOperations.execute(shard, operation, pending, nowMs)
    else if (operation.op === "group") this.#groupOperations.execute(operation, pending, nowMs)
    else if (isRead(operation)) this.#keyOperations.read(shard, pending, key, nowMs)
    else this.#keyOperations.write(shard, pending, key, nowMs)
  }

  /**
   * Executes an operation in this very step, or does nothing: `undefined`. A write only where this node alone holds the
   * shard: then it has committed when it is applied, and there is nothing to undo, to send or to repeat.
   */
  executeNow(index: ShardId, operation: Operation, key: HashedKey, nowMs: number): Result | undefined {
    const shard = this.#table[index]
    if (shard === undefined || this.#state(shard, nowMs) !== "serving") return undefined
    if (isOfShards(operation)) return undefined
    if (operation.op === "group") return this.#groupOperations.executeNow(shard, operation, nowMs)
    return this.#keyOperations.executeNow(shard, operation, key, nowMs)
  }

  /** Whether this shard may answer now, checked in the same step as the answer. */
  #state(shard: Shard, nowMs: number): ShardState {
    if (shard.role !== "primary" || shard.lead === null || this.#view?.stopped === true) return "waiting"
    if (!this.#options.hasLease(nowMs)) return "no-lease"
    if (this.#options.isFenced(shard.index, nowMs)) return "waiting"
    const { inheritedFirst } = this.#options.rules
    return shard.commit >= shard.lead.inheritedUpTo || !inheritedFirst ? "serving" : "waiting"
  }

  // ------------------------------------------------------------------------------------------------ waiting

  /** What kept these shards from serving may be over. */
  wake(indexes: readonly ShardId[] | "all", nowMs: number): void {
    const freed: Pending[] = []
    if (indexes === "all") {
      this.#commits.tryCommitAll(nowMs)
      this.#waiting.unparkAll(freed)
    } else
      for (const index of indexes) {
        const shard = this.#table[index]
        if (shard !== undefined) this.#waiting.unpark(shard, freed)
      }
    for (const pending of freed) this.#options.rerun(pending, nowMs)
  }

  // ------------------------------------------------------------------------------------------------ time

  /** Whether nothing here comes due by time; expired entries, and clients that went silent, can wait for any tick. */
  get isAtRest(): boolean {
    return this.#commits.active.size === 0 && this.#waiting.isEmpty && this.#transfers.openCount === 0
  }

  tick(nowMs: number): void {
    if (this.#view?.stopped === true)
      return this.#waiting.tellWaiters(this.#commits.active, this.#options.hasLease, nowMs)
    this.#commits.tick(nowMs)
    this.#waiting.tellWaiters(this.#commits.active, this.#options.hasLease, nowMs)
    this.#transfers.tick(nowMs)
    const freed: Pending[] = []
    this.#waiting.expire(shard => this.#state(shard, nowMs), freed, nowMs)
    for (const pending of freed) this.#options.rerun(pending, nowMs)
    if (this.#view !== undefined) this.#sweep.clients(this.#table, nowMs)
    this.work(nowMs)
    this.#forgetting.tell()
  }

  linkLost(peer: NodeId): void {
    this.#transfers.linkLost(peer)
  }

  /** Whether the last slice of work came to no end. */
  get hasWork(): boolean {
    return this.#hasWork
  }

  /** A slice of what needs doing and is in no hurry: a few milliseconds at most. Every tick does one. */
  work(nowMs: number): void {
    if (this.#ownStore === undefined) return
    this.#ownStore.tidy(tidyBytes)
    // What is written down does not change meanwhile, and what is read back is not complete yet.
    if (this.#view?.stopped === true) {
      this.#hasWork = false
      return
    }
    const { removed, left } = this.#sweep.entries(this.#ownStore, nowMs)
    this.#expired += removed
    this.#dropAbandoned(this.#ownStore)
    this.#hasWork = left === "more" || this.#abandoned.size > 0
  }

  #dropAbandoned(store: Store): void {
    let left = abandonedBatch
    for (const shard of this.#abandoned) {
      const { entries } = store
      if (store.dropArc(shard.arc, left)) return
      this.#abandoned.delete(shard)
      left -= Math.max(1, entries - store.entries)
      if (left <= 0) return
    }
  }

  // ------------------------------------------------------------------------------------------------ stop and resume

  /** Whether nothing changes here any more. Says so to whoever waits for what did not commit in time. */
  hasSettled(nowMs: number): boolean {
    if (this.#settleUntilMs === null) return false
    const open = [...this.#commits.active].flatMap(({ log }) => log.filter(({ waiters }) => waiters.length > 0))
    if (open.length > 0 && nowMs < this.#settleUntilMs) return false
    for (const { waiters } of open)
      for (const pending of waiters.splice(0)) this.#options.answer(pending, { kind: "retry", afterMs: busyRetryMs })
    this.#settleUntilMs = Number.NEGATIVE_INFINITY
    return true
  }

  /** What this node holds, to be written down: to be taken piece by piece. */
  snapshot(now: () => number): Generator<SnapshotPart, void, undefined> {
    assert(this.#settleUntilMs === Number.NEGATIVE_INFINITY, "what is written down does not change any more")
    const held = this.#table.filter((shard): shard is Shard => shard !== undefined && isHolder(shard.role))
    return partsOf(held, { store: this.#store, now, rules: this.#options.rules })
  }

  /** `view` is that of the stop; what was written down follows. */
  beginResuming(view: View): void {
    assert(this.#view === undefined, "whoever resumes begins with that")
    this.#view = view
    this.#reader = new SnapshotReader({
      view,
      store: this.#store,
      hashed: key => this.#hashed(key),
      begun: shard => {
        this.#table[shard.index] = shard
        if (!this.#options.rules.fifo) shard.allowDisorder()
      },
    })
  }

  /** Takes the next piece of what was written down `agoMs` ago. Returns what is wrong with it, in words. */
  restore(part: SnapshotPart, agoMs: number, nowMs: number): string | undefined {
    assert(this.#reader !== null, "a node that resumes reads what it wrote")
    return this.#reader.take(part, agoMs, nowMs)
  }

  /** Everything has been read. Returns what is missing, in words. */
  restored(): string | undefined {
    assert(this.#reader !== null && this.#view !== undefined, "a node that resumes reads what it wrote")
    for (const [index, config] of this.#view.shards.entries()) {
      const isHeld = isHolder(this.#roleUnder(config, this.#view))
      if (isHeld !== (this.#table[index] !== undefined))
        return `shard ${index} is ${isHeld ? "missing" : "not this node's"}`
    }
    this.#reader = null
    return undefined
  }

  // ------------------------------------------------------------------------------------------------ the rest

  get held(): Held {
    const shards = this.#table.filter(shard => shard !== undefined)
    return heldIn(shards, { early: this.#early.length, transferBytes: this.#transfers.mostUnderWayBytes })
  }

  inspect(index: ShardId): ShardInspection | undefined {
    const shard = this.#table[index]
    return shard === undefined ? undefined : inspectionOf(shard, this.#store)
  }

  /** As it travels: a number within limits, also where there is no end of it. */
  get #headroomBytes(): number {
    return Math.min(this.#store.headroomBytes, Number.MAX_SAFE_INTEGER)
  }

  /** Copies that evict forget what does not fit them. */
  #fits(shard: Shard, bytes: number, nowMs: number): boolean {
    if (!this.#store.fits(bytes)) return false
    if (this.#options.config.eviction !== "none") return true
    if (shard.lead === null || bytes <= shard.lead.headroomBytes()) return true
    shard.lead.askHeadroom(nowMs)
    return false
  }

  #shardAt(position: number): Shard | undefined {
    return this.#table[shardOf(position, this.#view?.shards.length ?? 1)]
  }

  #hashed(bytes: Uint8Array): HashedKey {
    const view = this.#view
    assert(view !== undefined, "keys are hashed with the cluster's key")
    return { bytes, position: positionOf(bytes, { hashKey: view.hashKey, shardCount: view.shards.length }) }
  }

  get #fillingContext() {
    return {
      store: this.#store,
      hashed: (key: Uint8Array) => this.#hashed(key),
      send: this.#options.send,
      rules: this.#options.rules,
    }
  }
}

/** Of a shard's data. Whoever is a member holds no orphan, and what a learner has is of no use to anybody. */
function isHolder(role: Role): boolean {
  return role === "primary" || role === "replica"
}

/** What is decoded from a frame is a window onto it: a copy is what may be kept. */
function ownedCopy(op: ReplicatedOp): ReplicatedOp {
  return { ...op, key: copyOf(op.key), effect: ownedEffect(op.effect) }
}
