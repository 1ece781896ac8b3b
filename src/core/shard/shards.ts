/**
 * All shards of one node: gives each its role under every view, routes the messages of replication and transfers to it,
 * executes operations where this node serves, and commits what has been acknowledged ("Data path", "Transfers").
 */
import { assert } from "../../base/assert.ts"
import { copyOf } from "../../base/bytes.ts"
import type { Config } from "../../config.ts"
import { maxOperationsAhead } from "../../protocol/limits.ts"
import type {
  ClientId,
  DataMessage,
  Epoch,
  GroupOperation,
  GroupResult,
  GroupStep,
  GroupWrite,
  NodeId,
  Operation,
  Place,
  ReplicatedOp,
  Refusal,
  Reply,
  Result,
  Seq,
  ShardConfig,
  ShardId,
  ShardOperation,
  SnapshotPart,
  View,
  ViewCommand,
} from "../../protocol/message.ts"
import type { Cursor, Entry, HashedKey, Store, StoreOptions } from "../../store/store.ts"
import type { ViewChange } from "../membership/membership.ts"
import { isMember } from "../membership/view.ts"
import type { Pending } from "../requests.ts"
import { arcOf, positionOf, shardOf } from "../ring.ts"
import type { Rules } from "../rules.ts"
import { beginFilling, newFilling, takePiece } from "./filling.ts"
import { Forgetting } from "./forgetting.ts"
import { type GroupPart, groupPartsOf, OpenGroup, restOf } from "./groups.ts"
import { Lead } from "./lead.ts"
import {
  bytesAdded,
  bytesAddedByGroup,
  evaluate,
  evaluateGroup,
  hasExpired,
  isOfShards,
  isRead,
  read,
} from "./operations.ts"
import { scanShards, sizeOfShards, stretchToClear } from "./pages.ts"
import { type LogRecord, ownedEffect, type Role, Shard, textOf } from "./shard.ts"
import { partsOf, SnapshotReader } from "./snapshot.ts"
import { expiryOf, Sweep } from "./sweep.ts"
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
/** Attempts of one operation that wait for it to commit; a client makes a few. Beyond: told to come back. */
const maxWaiters = 64
/** What the store is given to tidy up in one slice of work. */
const tidyBytes = 64 * 1024
/** Entries of shards that this node no longer holds that are dropped in one slice. */
const abandonedBatch = 1_024
/** After a stop was decided: acknowledgements on their way arrive within this, if ever. */
const settleMs = 300

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
  /** By which operation of the shard this one of a client was recorded; "below": it is finished. */
  readonly recordOf: (client: ClientId, n: number) => Seq | "below" | undefined
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

export class Shards {
  readonly #options: ShardsOptions
  #view: View | undefined
  #ownStore: Store | undefined
  #table: (Shard | undefined)[] = []
  /** Shards led here in which something is under way. */
  readonly #active = new Set<Shard>()
  #expired = 0
  #early: { from: NodeId; message: ShardMessage }[] = []
  #hasWork = false
  /** Shards that this node holds no more, whose entries may still be here. */
  readonly #abandoned = new Set<Shard>()
  readonly #waiting: Waiting
  readonly #sweep: Sweep
  readonly #transfers: Transfers
  readonly #forgetting: Forgetting
  /** A stop was decided; until when operations may still commit by what others had acknowledged before they knew of it. */
  #settleUntilMs: number | null = null
  /** While the shards of a node that resumes are read. */
  #reader: SnapshotReader | null = null

  constructor(options: ShardsOptions) {
    this.#options = options
    const { maxParked, parkWithoutLeaseMs } = options.config
    this.#waiting = new Waiting({ maxParked, parkWithoutLeaseMs, answer: options.answer })
    this.#forgetting = new Forgetting({
      shardAt: position => this.#shardAt(position),
      epoch: () => this.#view?.epoch ?? 0,
      // What is read back after a stop will be led here again, as far as anybody knows.
      leads: ({ role, config }) =>
        role === "primary" || (this.#view?.stopped === true && config.primary === options.self),
      send: options.send,
      rules: options.rules,
    })
    this.#sweep = new Sweep({
      config: options.config,
      rules: options.rules,
      shardAt: position => this.#shardAt(position),
      serves: (shard, nowMs) => this.#state(shard, nowMs) === "serving",
      appended: (shard, nowMs) => {
        const freed: Pending[] = []
        this.#appended(shard, freed, nowMs)
        for (const pending of freed) options.rerun(pending, nowMs)
      },
    })
    this.#transfers = new Transfers({
      send: options.send,
      propose: options.propose,
      store: () => this.#store,
      serves: (shard, nowMs) => this.#state(shard, nowMs) === "serving" || !options.rules.fillOnlyServing,
      requirementsChanged: (shard, nowMs) => {
        this.#active.add(shard)
        this.#tryCommit(shard, nowMs)
      },
      config: options.config,
      rules: options.rules,
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
        this.#active.add(shard)
        break
    }
    shard.role = role
    this.#transfers.reconfigured(shard)
    if (role === "primary") this.#tryCommit(shard, nowMs)
    else this.#active.delete(shard)
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
    this.#tryCommit(shard, nowMs)
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
    if (operation.op === "scan") this.#scan(operation, pending, nowMs)
    else if (operation.op === "size") this.#size(operation, pending, nowMs)
    else if (operation.op === "clear") this.#clear(shard, operation, pending, nowMs)
    else if (operation.op === "group") this.#group(operation, pending, nowMs)
    else if (isRead(operation)) this.#read(shard, pending, key, nowMs)
    else this.#write(shard, pending, key, nowMs)
  }

  /**
   * Executes an operation in this very step, or does nothing: `undefined`. A write only where this node alone holds the
   * shard: then it has committed when it is applied, and there is nothing to undo, to send or to repeat.
   */
  executeNow(index: ShardId, operation: Operation, key: HashedKey, nowMs: number): Result | undefined {
    const shard = this.#table[index]
    if (shard === undefined || this.#state(shard, nowMs) !== "serving") return undefined
    if (isOfShards(operation)) return undefined
    if (operation.op === "group") return this.#groupNow(shard, operation, nowMs)
    if (isRead(operation)) {
      const entry = this.#options.rules.committedReads ? shard.committed(key) : shard.newest(key)
      // One that has expired is deleted first, in the shard's order.
      return entry !== undefined && hasExpired(entry, nowMs) ? undefined : read(entry, operation, nowMs)
    }
    if (!isAlone(shard) && this.#options.rules.aloneAtOnce) return undefined
    const entry = shard.newest(key)
    if (entry !== undefined && hasExpired(entry, nowMs)) return undefined
    const added = bytesAdded(operation, key.bytes)
    if (added > 0 && !this.#fits(shard, added, nowMs)) return undefined
    const { effect, result } = evaluate({ entry, operation, seq: shard.seq + 1, nowMs })
    shard.applyAlone([{ key, effect }], nowMs)
    return result
  }

  #groupNow(asked: Shard, { steps }: GroupOperation, nowMs: number): Result | undefined {
    const keys = steps.map(({ key }) => this.#hashed(key))
    const parts = groupPartsOf(keys, position => this.#shardAt(position))
    const { aloneAtOnce } = this.#options.rules
    const isRight = ({ shard }: GroupPart) =>
      this.#state(shard, nowMs) === "serving" && (isAlone(shard) || !aloneAtOnce)
    if (parts === undefined || !parts.every(isRight)) return undefined
    const isExpired = ({ shard, places }: GroupPart) =>
      places.some(place => {
        const entry = shard.newest(placed(keys, place))
        return entry !== undefined && hasExpired(entry, nowMs)
      })
    if (parts.some(isExpired) || !this.#fitsGroup(steps, parts, nowMs)) return undefined
    const judged = this.#judge(steps, keys, parts, nowMs)
    for (const { shard, places } of parts) shard.applyAlone(keyedWrites(keys, judged, places), nowMs)
    return resultOf(judged.unmetAt, asked.seq)
  }

  #read(shard: Shard, pending: Pending, key: HashedKey, nowMs: number): void {
    const { operation } = pending.request
    assert(isRead(operation), "only reads are read")
    const entry = this.#options.rules.committedReads ? shard.committed(key) : shard.newest(key)
    const { answer, rules } = this.#options
    if (entry === undefined || !hasExpired(entry, nowMs)) return answer(pending, read(entry, operation, nowMs))
    // Gone once seen gone: the deletion commits before the miss is answered.
    if (!rules.expiryCommits) return answer(pending, { kind: "missing" })
    if (shard.pendingOf(key) > 0 && rules.expirySparesNewer) return this.#waiting.park(shard, pending, nowMs)
    this.#expired += 1
    this.#append(shard, expiryOf(shard, key), key, pending, nowMs)
  }

  #write(shard: Shard, pending: Pending, key: HashedKey, nowMs: number): void {
    const { answer, config, rules } = this.#options
    const { request } = pending
    const { operation, clientId, n, ackedBelow } = request
    assert(!isRead(operation) && !isOfShards(operation) && operation.op !== "group", "only writes are written")
    if (!this.#isNew(shard, pending)) return
    if (shard.pendingOf(key) >= config.maxPendingPerKey)
      return answer(pending, { kind: "busy", retryAfterMs: busyRetryMs })
    const added = bytesAdded(operation, request.key)
    if (added > 0 && !this.#fits(shard, added, nowMs)) return answer(pending, { kind: "full" })

    const entry = this.#deletingExpired(shard, key, nowMs)
    const seq = shard.seq + 1
    const { effect: own, result } = evaluate({ entry, operation, seq, nowMs })
    if (own.kind === "none" && !rules.recordUnmet) return answer(pending, result)
    // Missing here is not missing everywhere: a copy may hold what this node has forgotten, and lead next.
    const isMiss = own.kind === "none" && entry === undefined && rules.missIsWritten
    const effect = isMiss ? ({ kind: "delete" } as const) : own
    if (isAlone(shard)) {
      // It commits when it is applied: there is nobody to send it to, and it is never undone.
      shard.applyAlone([{ key, effect }], nowMs)
      shard.dedup.record(clientId, n, result, seq, nowMs)
      shard.dedup.finished(clientId, ackedBelow)
      return answer(pending, result)
    }
    const origin = { client: clientId, n, ackedBelow }
    // The key came in a frame that must not be kept alive by it.
    this.#append(shard, { seq, key: copyOf(key.bytes), effect, origin, result }, key, pending, nowMs)
  }

  #newest(shard: Shard, key: HashedKey): Entry | undefined {
    return this.#options.rules.conditionsOnNewest ? shard.newest(key) : shard.committed(key)
  }

  /** What a write of the key builds on. An entry that has expired is deleted first. */
  #deletingExpired(shard: Shard, key: HashedKey, nowMs: number): Entry | undefined {
    const entry = this.#newest(shard, key)
    if (entry === undefined || !hasExpired(entry, nowMs)) return entry
    this.#expired += 1
    this.#append(shard, expiryOf(shard, key), key, undefined, nowMs)
    return undefined
  }

  /**
   * Several keys in one step: one operation in the order of their shard, so that no copy ever has a part of it. Where they lie in
   * several shards it is one in each, appended together.
   */
  #group({ steps }: GroupOperation, pending: Pending, nowMs: number): void {
    const { answer, config, rules } = this.#options
    const keys = steps.map(({ key }) => this.#hashed(copyOf(key)))
    const parts = groupPartsOf(keys, position => this.#shardAt(position))
    // A view that names this node the primary of all of them is being taken up.
    if (parts === undefined) return answer(pending, { kind: "busy", retryAfterMs: busyRetryMs })
    const late = parts.find(({ shard }) => this.#state(shard, nowMs) !== "serving")
    if (late !== undefined) return this.#waiting.park(late.shard, pending, nowMs)
    const standings = parts.map(({ shard }) => this.#standing(shard, pending))
    const known = standings.filter(standing => standing.kind === "known")
    const left = parts.filter((_, i) => standings[i]?.kind === "new")
    if (known.length > 0 && parts.length > 1) pending.mayBeDone = true
    const refused = standings.find(standing => standing.kind === "refused")
    if (refused !== undefined) return answer(pending, refused.reply)
    const remembered = known[0]
    if (remembered !== undefined && (left.length === 0 || !rules.groupsAreFinished)) {
      // They were appended in this order, and so the last is likely to be the last to commit.
      const open = known.findLast(standing => standing.open !== undefined)?.open
      if (open !== undefined) return this.#await(open, parts, pending)
      const asked = this.#shardAt(this.#hashed(pending.request.key).position)
      const own = standings[parts.findIndex(({ shard }) => shard === asked)]
      return answer(pending, own?.kind === "known" ? own.result : remembered.result)
    }
    const isCrowded = ({ shard, places }: GroupPart) =>
      places.some(place => shard.pendingOf(placed(keys, place)) >= config.maxPendingPerKey)
    if (left.some(isCrowded)) return answer(pending, { kind: "busy", retryAfterMs: busyRetryMs })
    if (!this.#fitsGroup(steps, left, nowMs)) return answer(pending, { kind: "full" })
    const { writes, unmetAt } = this.#judge(steps, keys, left, nowMs)
    const rest = restOf(remembered?.result, left, unmetAt)
    if (rest === "torn") return answer(pending, { kind: "timeout" })
    const unmet = remembered?.result.kind === "group-unmet" ? remembered.result : undefined
    const records = left.map(part => {
      const result = unmet ?? resultOf(unmetAt, part.shard.seq + 1)
      return this.#applyPart(part, rest === "nothing" ? [] : writes, result, pending, nowMs)
    })
    const last = records.at(-1)
    assert(last !== undefined, "a group has a step")
    if (left.length > 1 && rules.groupsShowAtOnce) new OpenGroup(left.map(({ shard }) => ({ shard, seq: shard.seq })))
    this.#await(last, parts, pending)
    // Nothing commits before each part is on its way to all that it must reach, and nothing else is done before that.
    const freed: Pending[] = []
    for (const { shard } of left) this.#send(shard, nowMs)
    for (const { shard } of left) this.#commit(shard, freed, nowMs)
    for (const each of freed) this.#options.rerun(each, nowMs)
  }

  /** Its answer leaves when this record has committed; where others have a part of it, they are looked at again then. */
  #await(record: LogRecord, parts: readonly GroupPart[], pending: Pending): void {
    this.#join(record, pending)
    if (parts.length === 1) return
    pending.isInParts = true
    pending.mayBeDone = true
  }

  /** What the steps of these parts do, each at its place. The conditions of all of them are judged before anything is written. */
  #judge(steps: readonly GroupStep[], keys: readonly HashedKey[], parts: readonly GroupPart[], nowMs: number): Judged {
    const { rules } = this.#options
    const writes: (GroupWrite | undefined)[] = []
    const unmet: number[] = []
    for (const some of rules.groupsInOneStep ? [parts] : parts.map(part => [part])) {
      const judged = some.flatMap(({ shard, places }) => places.map(place => ({ shard, place })))
      judged.sort((a, b) => a.place - b.place)
      const entries = judged.map(({ shard, place }) => this.#unexpired(shard, placed(keys, place), nowMs))
      const found = evaluateGroup({ steps: judged.map(({ place }) => placed(steps, place)), entries, nowMs, rules })
      for (const [i, { place }] of judged.entries()) writes[place] = found.writes[i]
      if (found.unmetAt !== undefined) unmet.push(placed(judged, found.unmetAt).place)
    }
    return { writes, unmetAt: unmet.length === 0 ? undefined : Math.min(...unmet) }
  }

  /** What a step builds on. What has expired counts as missing, and so is deleted, or written over. */
  #unexpired(shard: Shard, key: HashedKey, nowMs: number): Entry | undefined {
    const entry = this.#newest(shard, key)
    if (entry === undefined || !hasExpired(entry, nowMs)) return entry
    this.#expired += 1
    return undefined
  }

  #applyPart(
    { shard, places }: GroupPart,
    all: Judged["writes"],
    result: GroupResult,
    { request }: Pending,
    nowMs: number,
  ): LogRecord {
    const writes = places.flatMap(place => all[place] ?? [])
    const { clientId, n, ackedBelow } = request
    const origin = { client: clientId, n, ackedBelow }
    const key: HashedKey = { bytes: new Uint8Array(0), position: shard.arc.from }
    const { groupsAreOne } = this.#options.rules
    if (!groupsAreOne) this.#appendEach(shard, writes, nowMs)
    const effect = { kind: "group", writes: groupsAreOne ? writes : [] } as const
    return shard.apply({ seq: shard.seq + 1, key: key.bytes, effect, origin, result }, key, nowMs)
  }

  /** Each shard of them by itself would hold all of it. */
  #fitsGroup(steps: readonly GroupStep[], parts: readonly GroupPart[], nowMs: number): boolean {
    const added = bytesAddedByGroup(steps)
    return added === 0 || parts.every(({ shard }) => this.#fits(shard, added, nowMs))
  }

  /** As a group must not be written: in parts. */
  #appendEach(shard: Shard, writes: readonly GroupWrite[], nowMs: number): void {
    for (const { key, effect } of writes)
      this.#append(
        ...([shard, { seq: shard.seq + 1, key, effect, origin: null, result: null }] as const),
        ...([this.#hashed(key), undefined, nowMs] as const),
      )
  }

  /** Whether a write is to be executed. Otherwise it is answered here, or when the operation that it repeats has committed. */
  #isNew(shard: Shard, pending: Pending): boolean {
    const standing = this.#standing(shard, pending)
    if (standing.kind === "refused") this.#options.answer(pending, standing.reply)
    else if (standing.kind === "known" && standing.open === undefined) this.#options.answer(pending, standing.result)
    else if (standing.kind === "known" && standing.open !== undefined) this.#join(standing.open, pending)
    return standing.kind === "new"
  }

  #join({ waiters }: LogRecord, pending: Pending): void {
    if (waiters.length < maxWaiters) waiters.push(pending)
    else this.#options.answer(pending, { kind: "retry", afterMs: busyRetryMs })
  }

  /** What a shard remembers of a write, and whether it takes it. */
  #standing(shard: Shard, { request, isInParts }: Pending): Standing {
    const { config, rules } = this.#options
    const { clientId, n, ackedBelow, firstEpoch } = request
    const known = rules.dedup || isInParts ? shard.dedup.find(clientId, n) : undefined
    // A reset forgot what this client did before it.
    if (firstEpoch < shard.config.resetAt && rules.resetsForget) return refused({ kind: "timeout" })
    if (known === "below" && rules.finishedStaysFinished) return refused({ kind: "duplicate" })
    if (known !== undefined && known !== "below") {
      const open = known.seq <= shard.commit ? undefined : shard.log.find(({ op }) => op.seq === known.seq)
      assert(open !== undefined || known.seq <= shard.commit, "an uncommitted operation is in the log")
      return { kind: "known", result: known.result, open }
    }
    if (n < ackedBelow) return refused({ kind: "rejected", reason: "bad-request" })
    const isFull =
      n - ackedBelow > maxOperationsAhead ||
      this.#isCrowded(shard, clientId) ||
      shard.log.length >= config.maxUncommitted
    return isFull ? refused({ kind: "busy", retryAfterMs: busyRetryMs }) : fresh
  }

  #isCrowded(shard: Shard, client: ClientId): boolean {
    const { maxDedupClients, maxUncommittedBytes } = this.#options.config
    if (shard.logBytes >= maxUncommittedBytes) return true
    return shard.dedup.size >= maxDedupClients && !shard.dedup.knows(client)
  }

  // -------------------------------------------------------------------------------------------- whole shards

  #scan(operation: Extract<ShardOperation, { op: "scan" }>, pending: Pending, nowMs: number): void {
    const { answer, rules } = this.#options
    const { entries, done, stoppedAt } = scanShards(operation, this.#servingOf(operation.shards, nowMs), {
      store: this.#store,
      sees: (shard, key) => (rules.committedReads ? shard.committed(key) : shard.newest(key)),
      nowMs,
    })
    answer(pending, { kind: "page", entries, next: stoppedAt ?? this.#beginningOf(operation.shards[done]) })
  }

  #size(operation: Extract<ShardOperation, { op: "size" }>, pending: Pending, nowMs: number): void {
    const { entries, bytes, done } = sizeOfShards(this.#servingOf(operation.shards, nowMs), this.#store)
    this.#options.answer(pending, { kind: "size", entries, bytes, next: this.#beginningOf(operation.shards[done]) })
  }

  /** The first of these shards, and those after it, up to one that may not answer now. */
  *#servingOf(indexes: readonly ShardId[], nowMs: number): Generator<Shard> {
    for (const index of indexes) {
      const shard = this.#table[index]
      if (shard === undefined || this.#state(shard, nowMs) !== "serving") return
      yield shard
    }
  }

  #beginningOf(index: ShardId | undefined): Place | null {
    const view = this.#view
    if (index === undefined || view === undefined) return null
    return { position: arcOf(index, view.shards.length).from, after: null }
  }

  /** Empties a stretch of a shard by one operation: every holder finds the same in it, but for what the primary has forgotten. */
  #clear(shard: Shard, operation: Extract<ShardOperation, { op: "clear" }>, pending: Pending, nowMs: number): void {
    if (!this.#isNew(shard, pending)) return
    const { clientId, n, ackedBelow } = pending.request
    const { stretch, count, next } = stretchToClear(operation, shard, { store: this.#store, nowMs })
    const key: HashedKey = { bytes: new Uint8Array(0), position: shard.arc.from }
    const op: ReplicatedOp = {
      ...{ seq: shard.seq + 1, key: key.bytes },
      effect: ownedEffect({ kind: "clear", ...stretch }),
      origin: { client: clientId, n, ackedBelow },
      result: { kind: "cleared", count, next },
    }
    this.#append(shard, op, key, pending, nowMs)
  }

  #append(shard: Shard, op: ReplicatedOp, key: HashedKey, waiter: Pending | undefined, nowMs: number): void {
    const { lead } = shard
    assert(lead !== null, "only a primary orders operations")
    const record = shard.apply(op, key, nowMs)
    if (waiter !== undefined) record.waiters.push(waiter)
    const freed: Pending[] = []
    this.#appended(shard, freed, nowMs)
    for (const pending of freed) this.#options.rerun(pending, nowMs)
  }

  #appended(shard: Shard, freed: Pending[], nowMs: number): void {
    this.#send(shard, nowMs)
    this.#commit(shard, freed, nowMs)
  }

  #send(shard: Shard, nowMs: number): void {
    shard.lead?.appended(nowMs)
    this.#active.add(shard)
  }

  #tryCommit(shard: Shard, nowMs: number): void {
    const freed: Pending[] = []
    this.#commit(shard, freed, nowMs)
    for (const pending of freed) this.#options.rerun(pending, nowMs)
  }

  /** Commits what everyone required has acknowledged, and answers it. `freed`: what is to be taken up again. */
  #commit(shard: Shard, freed: Pending[], nowMs: number): void {
    const { lead } = shard
    if (lead === null || !this.#options.hasLease(nowMs) || this.#settleUntilMs === Number.NEGATIVE_INFINITY) return
    if (lead.openGroups.length === 0) this.#commitTo(shard, lead.committable(), freed, nowMs)
    else this.#commitGroups(shard, freed, nowMs)
  }

  /** The same where operations commit together with others in other shards. What these held up there may follow, and so on. */
  #commitGroups(asked: Shard, freed: Pending[], nowMs: number): void {
    // A view is taken up shard by shard: one that has not been yet waits.
    const isCurrent = ({ index, config }: Shard) => this.#view?.shards[index]?.q === config.q
    const shards = [asked]
    for (const shard of shards)
      for (;;) {
        const { lead } = shard
        if (lead === null) break
        const seq = lead.committable()
        const [first] = lead.openGroups
        if (first === undefined || first.seq > seq || !first.group.canCommit(isCurrent)) {
          this.#commitTo(shard, Math.min(seq, (first?.seq ?? Number.POSITIVE_INFINITY) - 1), freed, nowMs)
          break
        }
        for (const part of first.group.parts) {
          part.shard.lead?.openGroups.shift()
          this.#commitTo(part.shard, part.seq, freed, nowMs)
          if (part.shard !== shard) shards.push(part.shard)
        }
      }
  }

  #commitTo(shard: Shard, seq: Seq, freed: Pending[], nowMs: number): void {
    if (seq <= shard.commit) return
    const done = shard.commitTo(seq)
    shard.lead?.committed(nowMs)
    for (const { op, waiters } of done)
      for (const pending of waiters)
        if (op.origin === null || op.result === null || pending.isInParts) freed.push(pending)
        else this.#options.answer(pending, op.result)
    this.#waiting.unpark(shard, freed)
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
      for (const shard of this.#active) this.#tryCommit(shard, nowMs)
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
    return this.#active.size === 0 && this.#waiting.isEmpty && this.#transfers.openCount === 0
  }

  tick(nowMs: number): void {
    if (this.#view?.stopped === true) return this.#waiting.tellWaiters(this.#active, this.#options.hasLease, nowMs)
    for (const shard of this.#active) {
      this.#tryCommit(shard, nowMs)
      if (shard.lead === null || (shard.lead.tick(nowMs) === "idle" && shard.log.length === 0))
        this.#active.delete(shard)
    }
    this.#waiting.tellWaiters(this.#active, this.#options.hasLease, nowMs)
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
    const open = [...this.#active].flatMap(({ log }) => log.filter(({ waiters }) => waiters.length > 0))
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
    const most = (measure: (shard: Shard) => number) => Math.max(0, ...shards.map(measure))
    return {
      parked: shards.reduce((sum, { parked }) => sum + parked.length, 0),
      early: this.#early.length,
      uncommitted: most(({ log }) => log.length),
      uncommittedBytes: most(({ logBytes }) => logBytes),
      pendingOfKey: most(({ mostPending }) => mostPending),
      dedupClients: most(({ dedup }) => dedup.size),
      resultsOfClient: most(({ dedup }) => dedup.mostResults),
      transferBytes: this.#transfers.mostUnderWayBytes,
    }
  }

  inspect(index: ShardId): ShardInspection | undefined {
    const shard = this.#table[index]
    if (shard === undefined) return undefined
    const entries = new Map<string, Pick<Entry, "value" | "version" | "expiresAtMs">>()
    let cursor: Cursor | undefined
    do
      cursor = this.#store.scan(shard.arc, cursor, Number.MAX_SAFE_INTEGER, (key, _position, entry) =>
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
        return found === undefined || found === "below" ? found : found.seq
      },
      isComplete: shard.filling === null || shard.filling.isComplete,
    }
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

/** Whether this primary holds the only copy, and nothing is open. */
function isAlone({ lead, log }: Shard): boolean {
  return lead !== null && lead.followers.size === 0 && log.length === 0
}

/** What a shard remembers of a write. */
type Standing =
  | { readonly kind: "new" }
  /** It was done, or is under way: then `open` has not committed yet. */
  | { readonly kind: "known"; readonly result: Result; readonly open: LogRecord | undefined }
  | { readonly kind: "refused"; readonly reply: Refusal }

/** That of nearly every write. */
const fresh: Standing = { kind: "new" }

function refused(reply: Refusal): Standing {
  return { kind: "refused", reply }
}

/** What the steps of a group write, and the first whose condition is not met, by their places. */
type Judged = { readonly writes: readonly (GroupWrite | undefined)[]; readonly unmetAt: number | undefined }

function resultOf(unmetAt: number | undefined, version: Seq): GroupResult {
  return unmetAt === undefined ? { kind: "group-done", version } : { kind: "group-unmet", step: unmetAt }
}

function placed<T>(all: readonly T[], place: number): T {
  return all[place] as T // places are those of the steps
}

function keyedWrites(keys: readonly HashedKey[], { writes }: Judged, places: readonly number[]) {
  return places.flatMap(place => {
    const write = writes[place]
    return write === undefined ? [] : [{ key: placed(keys, place), effect: write.effect }]
  })
}

/** Of a shard's data. Whoever is a member holds no orphan, and what a learner has is of no use to anybody. */
function isHolder(role: Role): boolean {
  return role === "primary" || role === "replica"
}

/** What is decoded from a frame is a window onto it: a copy is what may be kept. */
function ownedCopy(op: ReplicatedOp): ReplicatedOp {
  return { ...op, key: copyOf(op.key), effect: ownedEffect(op.effect) }
}
