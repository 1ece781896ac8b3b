/**
 * Keeps this node's view, and the order in which everything happens that depends on it alone: a message or a tick goes to
 * the part that it concerns, and each new view is told to all of them. What they decide stands in their own files; this
 * one knows which phase the node is in, and nothing of keys ("Views", "Leases and fences", "Detection" in `../README.md`).
 */
import { assert } from "../../base/assert.ts"
import type { Prng } from "../../base/prng.ts"
import type { Config } from "../../config.ts"
import type {
  AdminCommand,
  AdminOutcome,
  ColdHint,
  Address,
  ControlMessage,
  FenceTimes,
  Member,
  MemberInfo,
  NodeId,
  ShardId,
  View,
  ViewCommand,
  ViewStep,
} from "../../protocol/message.ts"
import { type apply, changedShards, initialView, primariesLost, underReplicated } from "../layout.ts"
import type { NodeEvent, NodePorts } from "../ports.ts"
import type { Placement } from "../ring.ts"
import type { Rules } from "../rules.ts"
import { addressesTold, Admission } from "./admission.ts"
import { Beats } from "./beats.ts"
import { CatchingUp } from "./catching-up.ts"
import { ColdStart } from "./cold-start.ts"
import { Consensus, type Decision } from "./consensus.ts"
import { Deaths } from "./deaths.ts"
import { Detector } from "./detector.ts"
import { Fences } from "./fences.ts"
import { Flaps } from "./flaps.ts"
import { Joiner } from "./join.ts"
import { Leader } from "./leader.ts"
import { Lease } from "./lease.ts"
import { LeaseEnds } from "./lease-ends.ts"
import { LeaseWatch } from "./lease-watch.ts"
import { Leaving } from "./leaving.ts"
import { obey, refused } from "./orders.ts"
import { foreignGeneration, recoveredView } from "./recovery.ts"
import { Rehearsal } from "./rehearsal.ts"
import type { ResumeOptions } from "./resume.ts"
import { Resuming } from "./resuming.ts"
import { type Standing, standingUnder } from "./standing.ts"
import { Stopped } from "./stopped.ts"
import { memberOf, packView, unpackView } from "./view.ts"
import { leadersTold, Voter } from "./voter.ts"

export type Phase = "joining" | "member" | "leaving" | "left" | "stopped" | "resuming"

/** A view has replaced another. `gap`: views between them were skipped. */
export type ViewChange = {
  readonly before: View | undefined
  readonly after: View
  readonly gap: boolean
  readonly changed: readonly ShardId[]
}

export type MembershipOptions = {
  readonly config: Config
  readonly self: MemberInfo
  readonly seeds: readonly Address[]
  readonly newCluster: { readonly clusterId: string; readonly hashKey: readonly [number, number] }
  readonly wantedCopies: number | null
  /** What this process knows of a cluster of before; null: nothing, or it is to form a new one all the same. */
  readonly hint: ColdHint | null
  /** The view that stopped the cluster in which this node wrote down what it starts with; null: it starts with nothing. */
  readonly resume: Pick<ResumeOptions, "view" | "goesOn"> | null
  readonly rules: Rules
  readonly prng: Prng
  readonly ports: NodePorts
  readonly placement: Placement
  readonly apply: typeof apply
  readonly viewInstalled: (change: ViewChange, nowMs: number) => void
  /** When this node is to be called next; later than that, it cannot judge the silence of others. */
  readonly tickAtMs: () => number
  /** The shards may have lost their last fence. */
  readonly fencesCleared: (shards: readonly ShardId[]) => void
  /** A lease was gained: what waited for it may go on. */
  readonly leaseGained: () => void
}

/** A new member is given so many suspicion times until its first beat: it may still be starting. */
const graceFactor = 3
/** A restarted node says whom it waits for when they have had time to answer. */
const askedFirstMs = 2_000

export class Membership {
  readonly #options: MembershipOptions
  readonly #self: NodeId
  #standing: Standing
  #phase: Phase = "joining"
  /** A decided view is not what this node makes of its commands: it can follow no further. */
  #forked = false
  /** Peers that compute other views than this node does; what they say of views and leases does not count. */
  readonly #disputed = new Set<NodeId>()
  /** A leave was asked for, and is to go on once this node, removed meanwhile with the last copies, is a member again. */
  #leavesAgain = false

  readonly #consensus: Consensus
  readonly #deaths: Deaths
  readonly #detector: Detector
  readonly #leader: Leader
  readonly #voter: Voter
  readonly #catchingUp: CatchingUp
  readonly #rehearsal: Rehearsal

  readonly #lease: Lease
  readonly #beats: Beats
  readonly #leaseWatch: LeaseWatch
  readonly #leaseEnds: LeaseEnds
  #fences: Fences

  readonly #flaps: Flaps
  readonly #admission: Admission
  readonly #leaving: Leaving
  readonly #stopped: Stopped
  /** While this node and others that were stopped find together again. */
  #resuming: Resuming | null = null
  readonly #coldStart: ColdStart | null
  #joiner: Joiner
  /** Whom it said to wait for. */
  #awaited = ""

  #startedAtMs = 0
  #yieldAtMs = Number.NEGATIVE_INFINITY
  #tidyAtMs = Number.NEGATIVE_INFINITY

  constructor(options: MembershipOptions) {
    const { config, self, rules, prng, ports, hint } = options
    this.#options = options
    this.#self = self.id
    this.#standing = standingUnder(undefined, self.id, config)
    this.#deaths = new Deaths(self.id, rules)
    this.#lease = new Lease({ leaseMs: config.leaseMs, rules })
    this.#detector = new Detector({
      suspectMs: config.suspectMs,
      beatMs: config.beatMs,
      suspectCap: config.suspectCap,
      suspectExpiryMs: config.suspectExpiryMs,
      rules,
    })
    this.#leader = new Leader(config, rules)
    this.#flaps = new Flaps(config, rules)
    this.#fences = new Fences({ shardCount: config.shardCount, rules, onCleared: options.fencesCleared })
    this.#coldStart = hint === null ? null : new ColdStart({ hint, self, askEveryMs: config.joinRetryMs, rules })
    this.#joiner = this.#newJoiner(hint?.addresses ?? [])
    this.#leaseEnds = new LeaseEnds({ self: self.id, clockRateError: config.clockRateError, rules })

    const border = {
      self: self.id,
      standing: () => this.#standing,
      send: (to: NodeId, message: ControlMessage) => this.#send(to, message),
      event: (event: NodeEvent) => ports.event(event),
    }
    const propose = (commands: readonly ViewCommand[], nowMs: number) => this.propose(commands, nowMs)
    const { viewsKept, beatJitter, proposeRetryMs, parkWithoutLeaseMs, rehearseEveryMs, eviction } = config
    this.#catchingUp = new CatchingUp({ ...border, viewsKept, leaseEnds: this.#leaseEnds })
    this.#admission = new Admission({
      ...border,
      ...{ eviction, rules, flaps: this.#flaps, catchingUp: this.#catchingUp, propose },
      prng: prng.fork(),
      sendToAddress: (address, message) => ports.sendToAddress(address, message),
    })
    this.#consensus = new Consensus({
      self: self.id,
      prng: prng.fork(),
      rules,
      times: config,
      isQuorum: (voters, answered) => this.#deaths.isQuorum(voters, answered),
      send: border.send,
      apply: commands => this.#apply(commands),
      grantAges: (next, nowMs) => this.#beats.agesOfGrants(next, 2 * this.#fenceMs(), nowMs),
      fenceMs: () => this.#fenceMs(),
      decided: (decision, nowMs) => this.#decided(decision, nowMs),
      diverged: from => this.#dispute(from),
    })
    const deciding = { detector: this.#detector, consensus: this.#consensus, rules }
    this.#beats = new Beats({ ...border, ...deciding, beatJitter, prng, lease: this.#lease })
    this.#voter = new Voter({
      ...border,
      ...deciding,
      ...{ config, deaths: this.#deaths, leader: this.#leader },
      fenceMs: () => this.#fenceMs(),
      mayJoin: (id, view, nowMs) => this.#admission.waitMs(id, view, nowMs) === 0,
    })
    this.#leaseWatch = new LeaseWatch({ ...border, parkWithoutLeaseMs, gained: () => options.leaseGained() })
    this.#leaving = new Leaving({
      ...border,
      ...{ proposeRetryMs, catchingUp: this.#catchingUp, propose },
      left: who => this.#left(who),
    })
    this.#stopped = new Stopped({ self: self.id, rules, catchingUp: this.#catchingUp })
    this.#rehearsal = new Rehearsal({
      ...{ self: self.id, everyMs: rehearseEveryMs, prng },
      apply: commands => this.#apply(commands),
    })
  }

  get view(): View | undefined {
    return this.#standing.view
  }

  get phase(): Phase {
    return this.#phase
  }

  get isForked(): boolean {
    return this.#forked
  }

  get seeds(): readonly Address[] {
    return this.#joiner.addresses
  }

  hasLease(nowMs: number): boolean {
    return this.#lease.isValid(nowMs) && !this.#forked
  }

  isFenced(shard: ShardId, nowMs: number): boolean {
    return this.#options.rules.barrier && this.#fences.isOpen(shard, nowMs)
  }

  /** The shard's current primary has served, so that no earlier one can hold a lease. */
  unfence(shard: ShardId): void {
    this.#fences.lift(shard)
  }

  /** Forms a cluster of one, begins to ask the seeds, or waits for those that it was stopped with. */
  start(nowMs: number): void {
    this.#startedAtMs = nowMs
    if (this.#options.resume !== null) this.#beginResuming(this.#options.resume)
    else if (this.#joiner.addresses.length > 0) {
      this.#options.ports.event({ kind: "joining", asking: [...this.#joiner.addresses] })
      this.#ask(nowMs)
    } else this.#form(this.#options.wantedCopies ?? this.#options.hint?.copies ?? this.#options.config.copies, nowMs)
  }

  #form(copies: number, nowMs: number): void {
    const { config, self, newCluster } = this.#options
    const view = initialView({
      clusterId: newCluster.clusterId,
      generation: 1,
      copies,
      shardCount: config.shardCount,
      maxVoters: config.maxVoters,
      hashKey: newCluster.hashKey,
      member: self,
    })
    this.#options.ports.event({ kind: "cluster-formed", clusterId: view.clusterId })
    this.#leaseEnds.know(new Map())
    this.#installed(view, { how: "contiguous" }, nowMs)
  }

  /** Hands this node's shards to others and leaves; the `left` event says when that is done. */
  leave(nowMs: number): void {
    if (this.#phase === "left" || this.#phase === "leaving") return
    // There is nobody to hand anything to.
    if (this.#phase === "stopped" || this.#phase === "resuming") return
    if (this.view === undefined || this.#phase === "joining") return this.#left("others-remain")
    this.#phase = "leaving"
    this.#leaving.tick(nowMs)
  }

  #left(who: "last" | "others-remain"): void {
    this.#phase = "left"
    this.#options.ports.event({ kind: "left", last: who === "last" })
  }

  /** What an operator wants of the cluster. */
  obey(command: AdminCommand, nowMs: number): AdminOutcome {
    if (this.#resuming !== null) return this.#resuming.obey(command, nowMs)
    if (this.#phase === "stopped")
      return command.kind === "stop" ? { kind: "accepted" } : refused("stopped", "the cluster has been stopped")
    const { view, isMember, isVoter } = this.#standing
    const hears = (id: NodeId) => id === this.#self || (isVoter && this.#detector.hears(id, nowMs))
    return obey(command, {
      view: isMember ? view : undefined,
      propose: commands => this.propose(commands, nowMs),
      hears,
      died: id => this.peerDied(id, nowMs),
      hasLease: this.hasLease(nowMs),
      // With everybody whom this node hears, and nobody else. Who is not heard and lives may join again.
      recovered: current => this.#withNobodyBut(new Set(current.members.map(({ id }) => id).filter(hears)), current),
      recover: next => this.#recover(next, nowMs),
    })
  }

  #withNobodyBut(survivors: ReadonlySet<NodeId>, view: View): View {
    const { apply, placement, prng } = this.#options
    return recoveredView(view, survivors, {
      chance: prng.uint32(),
      apply: (before, commands) => apply(before, commands, placement),
    })
  }

  #recover(next: View, nowMs: number): void {
    this.#options.ports.event({ kind: "recovered", generation: next.generation, members: next.members.length })
    this.#jump(next, "gap", nowMs)
    for (const { id } of next.members)
      if (id !== this.#self) this.#send(id, { kind: "view-snapshot", view: packView(next) })
  }

  /** Has commands put into a view; to be repeated until a view shows them. */
  propose(commands: readonly ViewCommand[], nowMs: number): void {
    for (const voter of this.#leadersTold(nowMs)) {
      if (voter === this.#self) this.#leader.receive(commands, nowMs)
      else this.#send(voter, { kind: "propose", commands })
    }
  }

  /** A peer has shown a newer view, or one is missing here. */
  pull(from: NodeId, nowMs: number): void {
    this.#catchingUp.pull(from, nowMs)
  }

  /** A primary here cannot reach a replica that it needs; if the voters hear both, one of the two must go. */
  reportLink(peer: NodeId, nowMs: number): void {
    const [member, self] = this.view === undefined ? [] : [memberOf(this.view, peer), memberOf(this.view, this.#self)]
    if (member === undefined || self === undefined) return
    for (const voter of this.#leadersTold(nowMs))
      if (voter === this.#self) this.#leader.linkDown({ from: self, to: member, nowMs })
      else this.#send(voter, { kind: "link-down", peer, since: member.since })
  }

  /** The first voters by rank, those first that granted a beat of this node lately. */
  #leadersTold(nowMs: number): NodeId[] {
    const { voters, times } = this.#standing
    const isHeard = (voter: NodeId) =>
      voter === this.#self || nowMs - this.#lease.heardGrantAtMs(voter) < times.suspectMs + times.beatMs
    const heard = voters.filter(isHeard)
    return (heard.length > 0 ? heard : voters).slice(0, leadersTold)
  }

  clockJumped(): void {
    this.#lease.clockJumped()
  }

  /** Nobody listens where the peer was. */
  peerRefused(peer: NodeId, nowMs: number): void {
    const { view, isVoter } = this.#standing
    if (view !== undefined && memberOf(view, peer) !== undefined && isVoter) this.#voter.refused(peer, nowMs)
  }

  /** This process is gone for good, not merely silent. */
  peerDied(peer: NodeId, nowMs: number): void {
    // It has ended as it should, and the same member starts again.
    if (this.view?.stopped === true) return
    if (!this.#deaths.add(peer)) return
    this.#options.ports.event({ kind: "death-known", peer })
    this.peerRefused(peer, nowMs)
  }

  /** All that this node holds is written down. */
  snapshotWritten(nowMs: number): void {
    assert(this.#phase === "stopped", "it is written down after the stop")
    this.#stopped.written(nowMs)
  }

  /** What it started from is in memory. */
  loaded(nowMs: number): void {
    this.#resuming?.resume.loaded(nowMs)
  }

  /** What it started from will not be used again. */
  snapshotClaimed(nowMs: number): void {
    this.#resuming?.resume.claimed(nowMs)
  }

  /** Of a node that resumes: where those are that it waits for. */
  awaited(nowMs: number): Address[] {
    return this.#resuming?.awaited(nowMs) ?? []
  }

  // ------------------------------------------------------------------------------------------------ messages and ticks

  receive(from: NodeId, message: ControlMessage, nowMs: number): void {
    if (isAboutViews(message) && (this.#forked || this.#disputed.has(from))) return
    if (this.#resuming !== null && !this.#resuming.takes(from, message, nowMs)) return
    if (this.#phase === "stopped" && !this.#stopped.takes(from, message, this.#standing, nowMs)) return
    const { view } = this.#standing
    switch (message.kind) {
      case "beat":
        return this.#beat(from, message, nowMs)
      case "beat-ack":
        this.#lease.granted(from, message.n, nowMs)
        if (message.epoch > (view?.epoch ?? 0)) this.pull(from, nowMs)
        return this.#lookAtLease(nowMs)
      case "released":
        this.#fences.released(from, message.epoch)
        return this.#leaving.heard(from, message.epoch)
      case "yield":
        if (view !== undefined && view.epoch >= message.epoch)
          return this.#send(from, { kind: "released", epoch: view.epoch })
        return this.pull(from, nowMs)
      case "suspect":
        return this.#detector.report(message.subject, message.since, from, nowMs)
      case "unsuspect":
        return this.#detector.withdraw(message.subject, message.since, from)
      case "link-down": {
        const reporter = view && memberOf(view, from)
        const to = { id: message.peer, since: message.since }
        if (reporter !== undefined) this.#leader.linkDown({ from: reporter, to, nowMs })
        return
      }
      case "join-request":
        return this.#joinRequest(from, message, nowMs)
      case "try-also":
        return this.#joiner.learn(message.addresses)
      case "join-refused":
        if (this.#phase === "joining")
          this.#options.ports.event({ kind: "join-refused", reason: message.reason, detail: message.detail, from })
        return
      case "waiting":
        this.#coldStart?.heard(message, nowMs)
        return this.#joiner.learn(this.#coldStart?.addresses ?? [])
      case "resuming":
        return this.#toldOfResuming(from, message, nowMs)
      case "claim":
        return // of a node that resumes
      case "dial-back":
        return this.#send(from, { kind: "dial-back-ok", nonce: message.nonce, id: this.#self })
      case "dial-back-ok":
        return this.#admission.dialBackAnswered(message.nonce, message.id, nowMs)
      case "propose":
        return this.#leader.receive(message.commands, nowMs)
      case "prepare":
      case "accept":
        if (this.#catchingUp.isElsewhere(from, message.epoch, nowMs)) return
        return message.kind === "prepare"
          ? this.#consensus.prepare(from, message, nowMs)
          : this.#consensus.accept(from, message, nowMs)
      case "promise":
        return this.#consensus.promise(from, message, nowMs)
      case "accepted":
        // One for the view that has just been decided comes from a voter that counts, too.
        if (message.epoch === view?.epoch || this.#catchingUp.isElsewhere(from, message.epoch, nowMs)) return
        return this.#consensus.accepted(from, message, nowMs)
      case "nack":
        return this.#consensus.nack(from, message)
      case "view-pull":
        return this.#catchingUp.give(from, message.have, nowMs)
      case "view-delta":
        return this.#delta(from, message.steps, message.fence, nowMs)
      case "view-snapshot": {
        const unpacked = unpackView(message.view)
        if (typeof unpacked !== "string") return this.#snapshot(unpacked, nowMs)
        return this.#options.ports.event({ kind: "snapshot-refused", from, problem: unpacked })
      }
    }
  }

  tick(nowMs: number): void {
    const { config, ports } = this.#options
    const lateMs = nowMs - this.#options.tickAtMs()
    if (lateMs > config.lateTickMs) {
      this.#detector.ownLateness(lateMs, nowMs, config.selfDistrustMs)
      ports.event({ kind: "self-distrust", lateByMs: lateMs })
    }
    this.#fences.expire(nowMs)
    if (this.#phase === "left") return
    if (this.#resuming !== null) this.#resuming.tick(nowMs)
    else if (this.#phase === "stopped") this.#stoppedTick(nowMs)
    else if (this.#standing.isMember) this.#memberTick(nowMs)
    if (this.#phase === "joining" || this.#isLost(nowMs)) this.#ask(nowMs)
    if (this.view === undefined) this.#coldStartTick(nowMs)
    if (this.#leaving.isDecided || this.#phase === "leaving") this.#leaving.tick(nowMs)
    this.#lookAtLease(nowMs)
    this.#leaseWatch.tellMinority(this.#standing.voters.length, nowMs)
    if (nowMs >= this.#tidyAtMs) this.#tidy(nowMs)
  }

  /**
   * Until when nothing is to be done here unless something is heard other than beats; `nowMs`: there is something. For what is not
   * named here the next tick is soon enough: a member rests for one beat at most.
   */
  restsUntilMs(nowMs: number): number {
    const isOrdinary = this.#phase === "member" && this.#resuming === null && !this.#forked && this.#leaseWatch.has
    if (!isOrdinary || this.#fences.openCount > 0) return nowMs
    // A lease that ends is watched closely: others remember when it was last seen.
    const watchAtMs = this.#lease.validUntilMs - this.#options.config.tickMs
    const untilMs = Math.min(this.#beats.dueAtMs, this.#rehearsal.dueAtMs, watchAtMs)
    return this.#standing.isVoter ? Math.min(untilMs, this.#voter.restsUntilMs(nowMs)) : untilMs
  }

  #stoppedTick(nowMs: number): void {
    this.#beats.tick(nowMs)
    if (this.#stopped.isDone(this.#standing, nowMs)) this.#options.ports.event({ kind: "may-end" })
  }

  #memberTick(nowMs: number): void {
    // Who can follow no further falls silent, so that others take over what it led.
    if (!this.#forked) this.#beats.tick(nowMs)
    if (this.#standing.isVoter && !this.#forked) this.#voter.tick(this.#standing, nowMs)
    this.#askForRelease(nowMs)
    if (this.view !== undefined) this.#rehearsal.tick(this.view, nowMs)
  }

  #beat(from: NodeId, beat: Extract<ControlMessage, { kind: "beat" }>, nowMs: number): void {
    const { view } = this.#standing
    if (view === undefined) return
    const isLate = nowMs - this.#options.tickAtMs() > this.#options.config.lateTickMs
    this.#detector.beat(from, beat.epoch, beat.acked, nowMs, isLate ? "late" : "punctual")
    this.#fences.released(from, beat.epoch)
    const { laggardsLearn } = this.#options.rules
    if (beat.epoch > view.epoch && laggardsLearn) this.pull(from, nowMs)
    if (beat.epoch === view.epoch && beat.viewHash !== view.hash) return this.#dispute(from)
    if (beat.epoch < view.epoch && laggardsLearn) this.#catchingUp.lags(from, beat.epoch, nowMs)
    else this.#catchingUp.lagsNoMore(from)
    if (memberOf(view, from) !== undefined) this.#beats.grant(from, beat, nowMs)
  }

  /** The longest that a lease granted lately may last, on any clock. */
  #fenceMs(): number {
    return this.#leaseEnds.longestMs(this.#standing.times.leaseMs)
  }

  #lookAtLease(nowMs: number): void {
    this.#leaseWatch.look(this.#lease.isValid(nowMs), this.#standing, nowMs)
  }

  /** Asks the predecessors of shards that wait here to show that they know the view. */
  #askForRelease(nowMs: number): void {
    const { view } = this.#standing
    if (view === undefined || this.#fences.openCount === 0 || nowMs < this.#yieldAtMs) return
    this.#yieldAtMs = nowMs + this.#options.config.yieldMs
    for (const [who, epoch] of this.#fences.awaited(shard => view.shards[shard]?.primary === this.#self))
      this.#send(who, { kind: "yield", epoch })
  }

  #tidy(nowMs: number): void {
    const keepMs = 4 * this.#fenceMs()
    this.#tidyAtMs = nowMs + keepMs
    this.#lease.forgetOld(nowMs, keepMs)
    this.#flaps.tidy(nowMs)
    this.#catchingUp.tidy(nowMs, keepMs)
    this.#admission.tidy(nowMs)
  }

  #send(to: NodeId, message: ControlMessage): void {
    assert(to !== this.#self, "nothing is sent to oneself")
    this.#options.ports.send(to, message)
  }

  // ------------------------------------------------------------------------------------------------ the next view

  #apply(commands: readonly ViewCommand[]): View {
    assert(this.view !== undefined, "a view follows a view")
    return this.#options.apply(this.view, commands, this.#options.placement, this.#options.rules)
  }

  #decided(decision: Decision, nowMs: number): void {
    const before = this.view
    assert(before !== undefined, "a voter has a view")
    this.#leaseEnds.know(decision.fenceUntilMs)
    // Told before this node's own beats show the view, which would make others ask for it.
    if (decision.proposedHere) this.#catchingUp.announce(before, decision, nowMs)
    this.#advance(decision.step, decision.view, nowMs)
  }

  #delta(from: NodeId, steps: readonly ViewStep[], fence: FenceTimes | null, nowMs: number): void {
    for (const [index, step] of steps.entries()) {
      const { view } = this.#standing
      if (view === undefined || step.epoch > view.epoch + 1) return this.pull(from, nowMs)
      if (step.epoch <= view.epoch) continue
      const next = this.#apply(step.commands)
      if (next.hash !== step.hash) return this.#fork(from)
      const isLast = index === steps.length - 1
      this.#leaseEnds.know(
        isLast && fence !== null ? new Map(fence.map(([who, leftMs]) => [who, nowMs + leftMs])) : null,
      )
      this.#advance(step, next, nowMs, isLast ? "beat" : "quiet")
    }
  }

  #snapshot(view: View, nowMs: number): void {
    const before = this.view
    if (before !== undefined && (view.clusterId !== before.clusterId || view.generation !== before.generation))
      return this.#foreignSnapshot(before, view, nowMs)
    if (before !== undefined && view.epoch <= before.epoch) return
    // A joiner has no use for a view that does not name it; one that was a member must learn what became of it.
    if (before === undefined && memberOf(view, this.#self) === undefined) return
    this.#jump(view, before !== undefined && view.epoch === before.epoch + 1 ? "contiguous" : "gap", nowMs)
  }

  #foreignSnapshot(before: View, view: View, nowMs: number): void {
    const mayKeep = this.#options.rules.leaseKeepsGeneration && this.hasLease(nowMs)
    const verdict = foreignGeneration(before, view, mayKeep ? "has-a-lease" : "without-lease")
    if (verdict === "follow") this.#jump(view, "gap", nowMs)
    // What it would have to forget may be what nobody else has: that is for a person to decide.
    else if (verdict === "left-behind")
      this.#options.ports.event({ kind: "left-behind", generation: view.generation, epoch: before.epoch })
  }

  #advance(step: ViewStep, next: View, nowMs: number, beats: "beat" | "quiet" = "beat"): void {
    const before = this.view
    assert(before !== undefined && next.epoch === before.epoch + 1, "views are installed one after another")
    this.#catchingUp.stepped(step)
    this.#installed(next, { how: "contiguous", beats }, nowMs)
  }

  /** Goes over to a view that is known only as a whole: how the leases of those replaced stand is not. */
  #jump(view: View, how: "contiguous" | "gap", nowMs: number): void {
    this.#leaseEnds.know(null)
    this.#catchingUp.jumped()
    this.#installed(view, { how }, nowMs)
  }

  /** `gap`: views were skipped. `quiet`: another view follows at once, and one of several is no news to anybody. */
  #installed(
    after: View,
    { how, beats = "beat" }: { readonly how: "contiguous" | "gap"; readonly beats?: "beat" | "quiet" },
    nowMs: number,
  ): void {
    const last = this.#standing
    const before = last.view
    const changed = before === undefined ? after.shards.map((_, shard) => shard) : changedShards(before, after)
    // The processes of before a stop may have left leases that nobody here remembers.
    const leases = before?.stopped === true && !after.stopped ? "gap" : how
    const next = standingUnder(after, this.#self, this.#options.config)
    this.#standing = next
    this.#openFences(last, after, leases, nowMs)
    this.#tellParts(last, after, changed, nowMs)

    const joined = after.members.filter(({ id }) => before === undefined || memberOf(before, id) === undefined)
    const gone = (before?.members ?? []).filter(({ id }) => memberOf(after, id) === undefined)
    // What a snapshot skipped may have been a leave.
    for (const { id } of gone) this.#disputed.delete(id)
    if (leases !== "gap") for (const { id, leaving } of gone) if (!leaving) this.#flaps.removed(id, nowMs)
    this.#options.ports.event({
      kind: "view-installed",
      epoch: after.epoch,
      membersEpoch: after.membersEpoch,
      members: after.members.length,
      joined: joined.map(({ id }) => id),
      gone: gone.map(({ id }) => id),
      gap: how === "gap",
      underReplicated: underReplicated(after, this.#options.placement),
    })
    this.#enterPhase(after, gone, nowMs)
    this.#options.viewInstalled({ before, after, gap: how === "gap", changed }, nowMs)
    if (before !== undefined) this.#release(before, after)
    if (last.isMember && !next.isMember) this.#removed(after, nowMs)
    if (next.isMember && beats === "beat") this.#beats.beat(nowMs)
    this.#lookAtLease(nowMs)
  }

  /** Adds what a new primary must wait for, in this view and in those that follow while the fences last. */
  #openFences(last: Standing, after: View, how: "contiguous" | "gap", nowMs: number): void {
    const { rules, fencesCleared } = this.#options
    // Until a view is installed there are those for a cluster that this node would form, of as many shards as it was told.
    if (this.#fences.shardCount !== after.shards.length)
      this.#fences = new Fences({ shardCount: after.shards.length, rules, onCleared: fencesCleared })
    for (const fence of this.#leaseEnds.viewInstalled(last, this.#standing, how, nowMs)) this.#fences.add(fence)
  }

  #tellParts(last: Standing, after: View, changed: readonly ShardId[], nowMs: number): void {
    const { voters, times, isVoter } = this.#standing
    this.#lease.viewChanged(voters, times.leaseMs)
    this.#consensus.viewInstalled(after, voters)
    this.#leader.viewInstalled(after, changed, nowMs)
    if (isVoter)
      this.#detector.viewChanged({
        members: after.members.map(({ id }) => id).filter(id => id !== this.#self),
        nowMs,
        graceMs: graceFactor * times.suspectMs,
        suspectMs: times.suspectMs,
        beatMs: times.beatMs,
        known: last.isVoter ? "kept" : "restarted",
      })
    this.#voter.viewInstalled(after)
    if (last.view?.members !== after.members) this.#rehearsal.membersChanged(nowMs)
  }

  #enterPhase(after: View, gone: readonly Member[], nowMs: number): void {
    const { ports } = this.#options
    const self = memberOf(after, this.#self)
    if (self !== undefined && this.#phase === "joining") {
      this.#phase = "member"
      this.#leaseWatch.joined(nowMs)
      ports.event({ kind: "joined", epoch: after.epoch, members: after.members.length })
      if (this.#leavesAgain) this.#phase = "leaving"
      this.#leavesAgain = false
    }
    if (this.#resuming !== null) {
      this.#resuming = null
      this.#phase = "member" // or it finds itself removed
      this.#leaseWatch.joined(nowMs)
      const members = after.members.length
      ports.event({ kind: "resumed", epoch: after.epoch, members, gone: gone.map(({ id }) => id) })
    }
    if (self !== undefined && after.stopped) this.#phase = "stopped"
    // Somebody else ordered it: from here on it is as if this node had wanted to.
    if (this.#phase === "member" && self?.leaving === true) this.#phase = "leaving"
  }

  /** Tells those that take over from this node that it knows. */
  #release(before: View, after: View): void {
    const successors = new Set<NodeId>()
    for (const shard of primariesLost(before, after).get(this.#self) ?? []) {
      const primary = after.shards[shard]?.primary
      if (primary !== null && primary !== undefined) successors.add(primary)
    }
    for (const id of successors) this.#send(id, { kind: "released", epoch: after.epoch })
  }

  #removed(view: View, nowMs: number): void {
    const orphansHeld = view.shards.filter(({ orphan, inSync }) => orphan && inSync.includes(this.#self)).length
    if (this.#phase === "leaving") {
      if (orphansHeld === 0) return this.#leaving.decided(nowMs)
      this.#leavesAgain = true // it was removed by mistake, and holds what nobody else has
    } else if (this.#phase !== "member") return
    this.#phase = "joining"
    this.#options.ports.event({ kind: "removed", epoch: view.epoch, orphansHeld })
    this.#joiner = this.#newJoiner(view.members.map(({ addr }) => addr))
    this.#ask(nowMs)
  }

  /**
   * One of the two is of another build, or broken. It is not for either to know which: each treats the other as silent, and
   * a majority that agrees votes the odd one out.
   */
  #dispute(peer: NodeId): void {
    if (peer === this.#self || this.#disputed.has(peer)) return
    this.#disputed.add(peer)
    this.#options.ports.event({ kind: "disputed", epoch: this.view?.epoch ?? 0, peer })
  }

  #fork(from: NodeId): void {
    if (this.#forked) return
    this.#forked = true
    this.#options.ports.event({ kind: "forked", epoch: this.view?.epoch ?? 0, peer: from })
  }

  // ------------------------------------------------------------------------------------------------ finding a cluster

  #newJoiner(addresses: readonly Address[]): Joiner {
    const { self, seeds } = this.#options
    const joiner = new Joiner({ seeds, own: [self.addr, self.clientAddr] })
    joiner.learn(addresses)
    return joiner
  }

  #ask(nowMs: number): void {
    const { config, ports, self, wantedCopies } = this.#options
    for (const address of this.#joiner.due(nowMs, config.joinRetryMs))
      ports.sendToAddress(address, {
        kind: "join-request",
        member: self,
        copies: wantedCopies,
        clusterId: this.view?.clusterId ?? "",
        have: this.view?.epoch ?? 0,
        eviction: self.witness ? null : config.eviction,
      })
  }

  /**
   * A member without a lease for long may have been forgotten: all voters that it knows may be gone. It asks like a
   * joiner, and is told the view, or admitted again; one that wants to leave goes then.
   */
  #isLost(nowMs: number): boolean {
    const wantsToLeave = this.#phase === "leaving" && !this.#leaving.isDecided
    if (this.#phase !== "member" && !wantsToLeave) return false
    const { view, times } = this.#standing
    if (!this.#leaseWatch.isForgotten(this.#lease.isValid(nowMs), times.suspectMs, nowMs)) return false
    this.#joiner.learn(view?.members.map(({ addr }) => addr) ?? [])
    return true
  }

  #joinRequest(from: NodeId, request: Extract<ControlMessage, { kind: "join-request" }>, nowMs: number): void {
    const { view, isMember } = this.#standing
    if (view !== undefined && isMember) return this.#admission.asked(from, request, view, nowMs)
    this.#send(from, { kind: "try-also", addresses: this.#joiner.addresses.slice(0, addressesTold) })
    const { hint, self } = this.#options
    if (view === undefined) this.#send(from, { kind: "waiting", addr: self.addr, witness: self.witness, hint })
  }

  /** Restarted, and in no cluster: are all the others of before back as well? */
  #coldStartTick(nowMs: number): void {
    const verdict = this.#coldStart?.verdict(nowMs)
    if (verdict?.kind === "form") this.#form(verdict.copies, nowMs)
    else if (verdict?.kind === "wait") this.#sayAwaited(verdict.missing, "form", nowMs)
  }

  #sayAwaited(missing: readonly Address[], to: "form" | "resume", nowMs: number): void {
    const awaited = missing.join()
    if (awaited === this.#awaited || nowMs - this.#startedAtMs < askedFirstMs) return
    this.#awaited = awaited
    if (missing.length > 0) this.#options.ports.event({ kind: "awaiting", missing: [...missing], to })
  }

  #beginResuming({ view, goesOn }: Pick<ResumeOptions, "view" | "goesOn">): void {
    const { config, ports, rules, self, seeds } = this.#options
    assert(view.stopped && memberOf(view, this.#self) !== undefined, "a member resumes from its stop")
    this.#phase = "resuming"
    this.#standing = standingUnder(view, this.#self, config)
    this.#resuming = new Resuming({
      ...{ self, view, goesOn, seeds, config, rules },
      consensus: this.#consensus,
      catchingUp: this.#catchingUp,
      addresses: () => this.#joiner.addresses,
      send: (to, message) => this.#send(to, message),
      sendToAddress: (address, message) => ports.sendToAddress(address, message),
      claimSnapshot: () => ports.claimSnapshot(),
      awaits: (missing, atMs) => this.#sayAwaited(missing, "resume", atMs),
      withNobodyBut: survivors => this.#withNobodyBut(survivors, view),
      recover: (next, atMs) => this.#recover(next, atMs),
      tooLate: (generation, epoch) => {
        this.#phase = "left"
        ports.event({ kind: "resume-refused", stoppedEpoch: view.epoch, generation, epoch })
      },
    })
    this.#consensus.viewInstalled(view, this.#standing.voters)
    this.#joiner.learn(view.members.map(({ addr }) => addr))
    ports.event({ kind: "resuming", epoch: view.epoch, members: view.members.length })
  }

  /** A process was started with what it wrote down at a stop. */
  #toldOfResuming(from: NodeId, message: Extract<ControlMessage, { kind: "resuming" }>, nowMs: number): void {
    const { view } = this.#standing
    if (view === undefined) return
    const { generation, epoch } = message
    if (generation === view.generation && epoch === view.epoch) this.#resuming?.resume.heard(from, message, nowMs)
    else if (generation === view.generation ? epoch < view.epoch : generation < view.generation)
      this.#send(from, { kind: "view-snapshot", view: packView(view) })
    // This node has missed the stop, or is itself one that comes too late.
    else if (generation === view.generation) this.pull(from, nowMs)
  }
}

function isAboutViews({ kind }: ControlMessage): boolean {
  switch (kind) {
    case "beat":
    case "beat-ack":
    case "suspect":
    case "prepare":
    case "promise":
    case "accept":
    case "accepted":
    case "nack":
    case "view-delta":
      return true
    default:
      return false
  }
}
