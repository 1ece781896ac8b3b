/**
 * Keeps this node's view, and everything that depends on it alone: takes part in deciding the next one, passes views on,
 * beats, grants and holds leases, fences what changed hands, joins and leaves. The shards are told of each view and ask
 * for the lease and the fences; this file knows nothing of keys ("Views", "Leases and fences", "Detection").
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
  Epoch,
  FenceTimes,
  JoinRefusal,
  Member,
  MemberInfo,
  NodeId,
  ShardId,
  View,
  ViewCommand,
  ViewStep,
} from "../../protocol/message.ts"
import { type apply, changedShards, initialView, primariesLost, underReplicated } from "../layout.ts"
import type { NodePorts } from "../ports.ts"
import type { Placement } from "../ring.ts"
import type { Rules } from "../rules.ts"
import { ColdStart } from "./cold-start.ts"
import { Consensus, type Decision } from "./consensus.ts"
import { Deaths } from "./deaths.ts"
import { Detector } from "./detector.ts"
import { Flaps } from "./flaps.ts"
import { Fences } from "./fences.ts"
import { Doorkeeper, Joiner } from "./join.ts"
import { Leader } from "./leader.ts"
import { Lease } from "./lease.ts"
import { obey, plan, refused } from "./orders.ts"
import { foreignGeneration, recoveredView } from "./recovery.ts"
import { Resume, type ResumeOptions } from "./resume.ts"
import { type Times, timesFor } from "./times.ts"
import { memberOf, packView, unpackView, votersOf } from "./view.ts"

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
  /** The shards may have lost their last fence. */
  readonly fencesCleared: (shards: readonly ShardId[]) => void
  /** A lease was gained: what waited for it may go on. */
  readonly leaseGained: () => void
}

/** Commands and suspicions go to so many of the first voters, so that the loss of one costs no extra time. */
const leadersTold = 3
/** A view is asked of one peer at most so often. */
const pullEveryMs = 30
/** A new member is given so many suspicion times until its first beat: it may still be starting. */
const graceFactor = 3
/** A member without a lease for so many suspicion times asks around like a joiner. */
const lostFactor = 5
/** With so many members at most, a node rehearses the loss of each of the others. */
const rehearsedMembers = 24
/** A node whose leave was decided waits at most so long for those who remain to know it. */
const farewellMs = 2_000
/** A restarted node says whom it waits for when they have had time to answer. */
const askedFirstMs = 2_000
/** A node that has written down what it holds stays at most so long for those who do not know of the stop. */
const lingerMs = 10_000
/** How many addresses a joiner is told besides. */
const addressesTold = 16

export class Membership {
  readonly #options: MembershipOptions
  readonly #self: NodeId
  #view: View | undefined
  #voters: readonly NodeId[] = []
  #phase: Phase = "joining"
  #times: Times
  /** Lease times of views applied lately: a fence must outlast the longest. */
  #leaseTimes: { leaseMs: number; atMs: number }[] = []
  /** The last views as differences, contiguous, ending with the current one. */
  #steps: ViewStep[] = []
  /** Until when the leases of those replaced by the current view last; null: it came without that. */
  #fenceUntilMs: ReadonlyMap<NodeId, number> | null = null
  #voterFenceUntilMs = Number.NEGATIVE_INFINITY
  /** A decided view is not what this node makes of its commands: it can follow no further. */
  #forked = false
  /** Peers that compute other views than this node does; what they say of views and leases does not count. */
  readonly #disputed = new Set<NodeId>()
  #hadLease = false
  /** Since when this member is without a lease, and whether that was told. */
  #leaseless: { readonly sinceMs: number; isTold: boolean } | null = null
  #leasedAtMs = 0
  /** The last time that the voters that this node hears were no majority. */
  #canDecideSinceMs = Number.NEGATIVE_INFINITY
  /** A leave was asked for, and is to go on once this node, removed meanwhile with the last copies, is a member again. */
  #leavesAgain = false
  /** Members that show an older view: since when, and which epoch they were last sent. */
  readonly #lagging = new Map<NodeId, { readonly sinceMs: number; sentEpoch: Epoch; sentAtMs: number }>()

  readonly #deaths: Deaths
  readonly #lease: Lease
  readonly #detector: Detector
  readonly #consensus: Consensus
  readonly #leader: Leader
  readonly #doorkeeper: Doorkeeper
  readonly #flaps: Flaps
  #fences: Fences
  #joiner: Joiner
  readonly #coldStart: ColdStart | null
  /** While this node and others that were stopped find together again. */
  #resume: Resume | null = null
  /** Whom it tells: at a seed there may be somebody who knows where the cluster has gone. */
  #resumeAddresses = new Set<Address>()
  #isClaiming = false
  #claimAtMs = Number.NEGATIVE_INFINITY
  /** In a stopped view: which members have shown that they know it, and since when all is written down here. */
  readonly #knowStop = new Set<NodeId>()
  #writtenAtMs = Number.POSITIVE_INFINITY
  /** Whom it said to wait for. */
  #awaited = ""
  #startedAtMs = 0

  #beatAtMs = Number.NEGATIVE_INFINITY
  #tickedAtMs: number | null = null
  #reportAtMs = Number.NEGATIVE_INFINITY
  #leaveAtMs = Number.NEGATIVE_INFINITY
  #yieldAtMs = Number.NEGATIVE_INFINITY
  #tidyAtMs = Number.NEGATIVE_INFINITY
  /** This node's leave was decided: who has shown that it knows, and until when it waits for that. */
  #farewell: { readonly untilMs: number; nextAtMs: number; readonly heard: Set<NodeId> } | null = null
  /** How many removals have been rehearsed since the members last changed, and when the next one is due. */
  #rehearsed = 0
  #rehearseAtMs = Number.POSITIVE_INFINITY
  readonly #suspected = new Set<NodeId>()
  readonly #pulledAtMs = new Map<NodeId, number>()

  constructor(options: MembershipOptions) {
    const { config, self, rules, prng, seeds } = options
    this.#options = options
    this.#self = self.id
    this.#times = timesFor(config, 1)
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
    this.#doorkeeper = new Doorkeeper(prng.fork())
    this.#flaps = new Flaps(config, rules)
    this.#fences = new Fences({ shardCount: config.shardCount, rules, onCleared: options.fencesCleared })
    this.#joiner = new Joiner({ seeds, own: [self.addr, self.clientAddr] })
    const { hint } = options
    this.#coldStart = hint === null ? null : new ColdStart({ hint, self, askEveryMs: config.joinRetryMs, rules })
    this.#joiner.learn(hint?.addresses ?? [])
    this.#consensus = new Consensus({
      self: self.id,
      prng: prng.fork(),
      rules,
      times: config,
      isQuorum: (voters, answered) => this.#deaths.isQuorum(voters, answered),
      send: (to, message) => this.#send(to, message),
      apply: commands => this.#apply(commands),
      grantAges: (next, nowMs) => this.#grantAges(next, nowMs),
      fenceMs: () => this.#fenceMs(),
      decided: (decision, nowMs) => this.#decided(decision, nowMs),
      diverged: from => this.#dispute(from),
    })
  }

  get view(): View | undefined {
    return this.#view
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

  /** Forms a cluster of one, or begins to ask the seeds. */
  start(nowMs: number): void {
    this.#tickedAtMs = nowMs
    this.#startedAtMs = nowMs
    if (this.#options.resume !== null) this.#beginResuming(this.#options.resume, nowMs)
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
    this.#fenceUntilMs = new Map()
    this.#installed(undefined, view, allShards(view), nowMs, "contiguous")
  }

  /** Hands this node's shards to others and leaves; the `left` event says when that is done. */
  leave(nowMs: number): void {
    if (this.#phase === "left" || this.#phase === "leaving") return
    // There is nobody to hand anything to.
    if (this.#phase === "stopped" || this.#phase === "resuming") return
    if (this.#view === undefined || this.#phase === "joining") return this.#left("others-remain")
    this.#phase = "leaving"
    this.#leaveTick(nowMs)
  }

  /** What an operator wants of the cluster. */
  obey(command: AdminCommand, nowMs: number): AdminOutcome {
    if (this.#resume !== null) return this.#obeyResuming(this.#resume, command, nowMs)
    if (this.#phase === "stopped")
      return command.kind === "stop" ? { kind: "accepted" } : refused("stopped", "the cluster has been stopped")
    const view = this.#isMember ? this.#view : undefined
    return obey(command, {
      view,
      propose: commands => this.propose(commands, nowMs),
      hears: id => id === this.#self || (this.#isVoter && this.#detector.hears(id, nowMs)),
      died: id => this.peerDied(id, nowMs),
      hasLease: this.hasLease(nowMs),
      recovered: current => this.#recovered(current, nowMs),
      recover: next => this.#recover(next, nowMs),
    })
  }

  /** With everybody whom this node hears, and nobody else. Who is not heard and lives may join again. */
  #recovered(view: View, nowMs: number): View {
    const hears = (id: NodeId) => id === this.#self || (this.#isVoter && this.#detector.hears(id, nowMs))
    return this.#withNobodyBut(new Set(view.members.flatMap(({ id }) => (hears(id) ? [id] : []))), view)
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
    this.#follow(next, nowMs)
    for (const { id } of next.members)
      if (id !== this.#self) this.#send(id, { kind: "view-snapshot", view: packView(next) })
  }

  /** Goes over to a view that did not come of the present one by a decision: how leases stand is not known. */
  #follow(view: View, nowMs: number): void {
    const before = this.#view
    this.#fenceUntilMs = null
    this.#steps = []
    this.#installed(before, view, before === undefined ? allShards(view) : changedShards(before, view), nowMs, "gap")
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
    if (nowMs - (this.#pulledAtMs.get(from) ?? Number.NEGATIVE_INFINITY) < pullEveryMs) return
    this.#pulledAtMs.set(from, nowMs)
    this.#send(from, { kind: "view-pull", have: this.#view?.epoch ?? 0 })
  }

  /** A primary here cannot reach a replica that it needs; if the voters hear both, one of the two must go. */
  reportLink(peer: NodeId, nowMs: number): void {
    const member = this.#view && memberOf(this.#view, peer)
    if (member === undefined) return
    for (const voter of this.#leadersTold(nowMs))
      if (voter === this.#self) this.#leader.linkDown({ from: this.#self, to: peer, nowMs })
      else this.#send(voter, { kind: "link-down", peer, since: member.since })
  }

  clockJumped(): void {
    this.#lease.clockJumped()
  }

  peerRefused(peer: NodeId, nowMs: number): void {
    // Nobody listens where the member was: no need to wait for its silence. Fences are not shortened by it.
    const member = this.#view && memberOf(this.#view, peer)
    if (member === undefined || !this.#isVoter) return
    this.#detector.refused(peer)
    this.#reportAtMs = nowMs
  }

  /** This process is gone for good, not merely silent. */
  peerDied(peer: NodeId, nowMs: number): void {
    // It has ended as it should, and the same member starts again.
    if (this.#view?.stopped === true) return
    if (!this.#deaths.add(peer)) return
    this.#options.ports.event({ kind: "death-known", peer })
    this.peerRefused(peer, nowMs)
  }

  receive(from: NodeId, message: ControlMessage, nowMs: number): void {
    if (isAboutViews(message) && (this.#forked || this.#disputed.has(from))) return
    if (this.#resume !== null && !this.#isForResuming(this.#resume, from, message, nowMs)) return
    if (this.#phase === "stopped" && !this.#isForStopped(from, message, nowMs)) return
    switch (message.kind) {
      case "beat":
        return this.#beat(from, message, nowMs)
      case "beat-ack":
        this.#lease.granted(from, message.n, nowMs)
        if (message.epoch > (this.#view?.epoch ?? 0)) this.pull(from, nowMs)
        return this.#leaseChanged(nowMs)
      case "released":
        this.#fences.released(from, message.epoch)
        return this.#farewellHeard(from, message.epoch)
      case "yield":
        if (this.#view !== undefined && this.#view.epoch >= message.epoch)
          return this.#send(from, { kind: "released", epoch: this.#view.epoch })
        return this.pull(from, nowMs)
      case "suspect":
        return this.#detector.report(message.subject, message.since, from, nowMs)
      case "unsuspect":
        return this.#detector.withdraw(message.subject, message.since, from)
      case "link-down":
        return this.#leader.linkDown({ from, to: message.peer, nowMs })
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
        return this.#dialBackAnswered(message.nonce, message.id, nowMs)
      case "propose":
        return this.#leader.receive(message.commands, nowMs)
      case "prepare":
      case "accept":
        if (this.#bringUpToDate(from, message.epoch, nowMs)) return
        return message.kind === "prepare"
          ? this.#consensus.prepare(from, message, nowMs)
          : this.#consensus.accept(from, message, nowMs)
      case "promise":
        return this.#consensus.promise(from, message, nowMs)
      case "accepted":
        // One for the view that has just been decided comes from a voter that counts, too.
        if (message.epoch === this.#view?.epoch || this.#bringUpToDate(from, message.epoch, nowMs)) return
        return this.#consensus.accepted(from, message, nowMs)
      case "nack":
        return this.#consensus.nack(from, message)
      case "view-pull":
        return this.#sendView(from, message.have, nowMs)
      case "view-delta":
        return this.#delta(from, message.steps, message.fence, nowMs)
      case "view-snapshot": {
        const view = unpackView(message.view)
        if (typeof view !== "string") return this.#snapshot(view, nowMs)
        return this.#options.ports.event({ kind: "snapshot-refused", from, problem: view })
      }
    }
  }

  tick(nowMs: number): void {
    const { config, ports } = this.#options
    const lateMs = nowMs - (this.#tickedAtMs ?? nowMs) - config.tickMs
    this.#tickedAtMs = nowMs
    if (lateMs > config.lateTickMs) {
      this.#detector.ownLateness(lateMs, nowMs, config.selfDistrustMs)
      ports.event({ kind: "self-distrust", lateByMs: lateMs })
    }
    this.#fences.expire(nowMs)
    if (this.#phase === "left") return
    if (this.#resume !== null) this.#resumingTick(this.#resume, nowMs)
    else if (this.#phase === "stopped") this.#stoppedTick(nowMs)
    else if (this.#isMember) {
      // Who can follow no further falls silent, so that others take over what it led.
      if (nowMs >= this.#beatAtMs && !this.#forked) this.#sendBeats(nowMs)
      if (this.#isVoter && !this.#forked) this.#voterTick(nowMs)
      this.#askForRelease(nowMs)
      if (nowMs >= this.#rehearseAtMs) this.#rehearse(nowMs)
    }
    if (this.#phase === "joining" || this.#isLost(nowMs)) this.#ask(nowMs)
    if (this.#view === undefined) this.#coldStartTick(nowMs)
    if (this.#farewell !== null) this.#farewellTick(nowMs)
    else if (this.#phase === "leaving") this.#leaveTick(nowMs)
    this.#leaseChanged(nowMs)
    this.#tellMinority(nowMs)
    if (nowMs >= this.#tidyAtMs) this.#tidy(nowMs)
  }

  // ------------------------------------------------------------------------------------------------ who is who

  get #isMember(): boolean {
    return this.#view !== undefined && memberOf(this.#view, this.#self) !== undefined
  }

  get #isVoter(): boolean {
    return this.#voters.includes(this.#self)
  }

  /** The first voters by rank, those first that granted a beat of this node lately. */
  #leadersTold(nowMs: number): NodeId[] {
    const recentMs = this.#times.suspectMs
    const isHeard = (voter: NodeId) =>
      voter === this.#self || nowMs - this.#lease.heardGrantAtMs(voter) < recentMs + this.#times.beatMs
    const heard = this.#voters.filter(isHeard)
    return (heard.length > 0 ? heard : this.#voters).slice(0, leadersTold)
  }

  /** The longest that a lease granted lately may last, on any clock. */
  #fenceMs(): number {
    const held = this.#options.rules.longLeasesCount ? this.#leaseTimes : []
    const longest = held.reduce((most, { leaseMs }) => Math.max(most, leaseMs), this.#times.leaseMs)
    const wholeMs = longest * (1 + this.#options.config.clockRateError)
    return this.#options.rules.barrierWhole ? wholeMs : wholeMs / 5
  }

  // ------------------------------------------------------------------------------------------------ beats and leases

  #sendBeats(nowMs: number): void {
    const view = this.#view
    assert(view !== undefined, "only a member beats")
    const jitter = this.#options.config.beatJitter
    this.#beatAtMs = nowMs + this.#times.beatMs * this.#options.prng.between(1 - jitter, 1 + jitter)
    const n = this.#lease.nextBeat(nowMs)
    for (const voter of this.#voters) {
      if (voter !== this.#self)
        this.#send(voter, {
          kind: "beat",
          n,
          epoch: view.epoch,
          viewHash: view.hash,
          acked: this.#lease.grantedBy(voter),
        })
      else if (this.#mayGrant(view.epoch)) {
        this.#lease.give(this.#self, nowMs)
        this.#lease.granted(this.#self, n, nowMs)
      }
    }
  }

  #beat(from: NodeId, beat: Extract<ControlMessage, { kind: "beat" }>, nowMs: number): void {
    const view = this.#view
    if (view === undefined) return
    const { tickMs, lateTickMs } = this.#options.config
    const isLate = nowMs - (this.#tickedAtMs ?? nowMs) > tickMs + lateTickMs
    this.#detector.beat(from, beat.epoch, beat.acked, nowMs, isLate ? "late" : "punctual")
    this.#fences.released(from, beat.epoch)
    const { laggardsLearn } = this.#options.rules
    if (beat.epoch > view.epoch && laggardsLearn) this.pull(from, nowMs)
    if (beat.epoch === view.epoch && beat.viewHash !== view.hash) return this.#dispute(from)
    if (beat.epoch < view.epoch && laggardsLearn) this.#helpLagging(from, beat.epoch, nowMs)
    else this.#lagging.delete(from)
    if (memberOf(view, from) === undefined) return
    if (this.#isVoter && this.#mayGrant(beat.epoch)) {
      this.#lease.give(from, nowMs) // before the grant is sent, so that it is never younger than its holder believes
      this.#detector.granted(from, beat.n, nowMs)
      this.#send(from, { kind: "beat-ack", n: beat.n, epoch: view.epoch })
    }
  }

  /**
   * Whoever decided a view has told everyone, so a member that shows an older one is mostly about to learn it. The
   * first voter helps after half a beat, the next ones each a beat later, and nobody sends the same view at every beat.
   */
  #helpLagging(id: NodeId, have: Epoch, nowMs: number): void {
    const view = this.#view
    if (view === undefined) return
    const { beatMs, suspectMs } = this.#times
    const known = this.#lagging.get(id)
    if (known === undefined) {
      this.#lagging.set(id, { sinceMs: nowMs, sentEpoch: 0, sentAtMs: nowMs })
      return
    }
    const rank = Math.max(0, this.#voters.indexOf(this.#self))
    if (nowMs - known.sinceMs < beatMs * (rank + 0.5)) return
    if (known.sentEpoch === view.epoch && nowMs - known.sentAtMs < suspectMs) return
    known.sentEpoch = view.epoch
    known.sentAtMs = nowMs
    this.#sendView(id, have, nowMs)
  }

  /** A voter that has accepted the next view grants nothing to the current one, else a replaced primary lives on. */
  #mayGrant(epoch: Epoch): boolean {
    const { rules } = this.#options
    const current = this.#view?.epoch ?? 0
    const horizon = rules.acceptRaisesHorizon && this.#consensus.hasOpenAcceptance ? current + 1 : current
    return epoch >= horizon || !rules.grantHorizon
  }

  #grantAges(next: View, nowMs: number): FenceTimes {
    const view = this.#view
    assert(view !== undefined, "only a member accepts")
    const ages: [NodeId, number][] = []
    for (const primary of primariesLost(view, next).keys()) {
      const ageMs = this.#lease.ageOfGrant(primary, nowMs, 2 * this.#fenceMs())
      if (ageMs !== undefined) ages.push([primary, ageMs])
    }
    return ages
  }

  #leaseChanged(nowMs: number): void {
    const { ports } = this.#options
    const has = this.#isMember && this.#lease.isValid(nowMs)
    // Where all is stopped there is nothing to have a lease for.
    if (!has && this.#isMember && this.#view?.stopped === false) this.#leaseless ??= { sinceMs: nowMs, isTold: false }
    else if (this.#leaseless !== null) {
      if (this.#leaseless.isTold && has)
        ports.event({ kind: "majority-again", afterMs: Math.round(nowMs - this.#leaseless.sinceMs) })
      this.#leaseless = null
    }
    if (has === this.#hadLease) return
    this.#hadLease = has
    ports.event({ kind: has ? "lease-gained" : "lease-lost" })
    if (has) this.#options.leaseGained()
  }

  /** People are told when operations begin to be refused, not of every moment without a lease. */
  #tellMinority(nowMs: number): void {
    const leaseless = this.#leaseless
    if (leaseless === null || leaseless.isTold) return
    if (nowMs - leaseless.sinceMs <= this.#options.config.parkWithoutLeaseMs) return
    leaseless.isTold = true
    this.#options.ports.event({ kind: "minority", voters: this.#voters.length })
  }

  /** Asks the predecessors of shards that wait here to show that they know the view. */
  #askForRelease(nowMs: number): void {
    const view = this.#view
    if (view === undefined || this.#fences.openCount === 0 || nowMs < this.#yieldAtMs) return
    this.#yieldAtMs = nowMs + this.#options.config.yieldMs
    for (const [who, epoch] of this.#fences.awaited(shard => view.shards[shard]?.primary === this.#self))
      this.#send(who, { kind: "yield", epoch })
  }

  // ------------------------------------------------------------------------------------------------ voters' duties

  #voterTick(nowMs: number): void {
    const view = this.#view
    assert(view !== undefined, "a voter is a member")
    this.#report(view, nowMs)
    const rank = this.#voters.indexOf(this.#self)
    const { rules } = this.#options
    const leads = this.#voters.slice(0, rank).every(voter => rules.ranksAct && !this.#detector.hears(voter, nowMs))
    const heard = this.#voters.filter(voter => voter === this.#self || this.#detector.hears(voter, nowMs))
    const canDecide = this.#deaths.isQuorum(this.#voters, voter => heard.includes(voter))
    if (!canDecide && rules.decidersSettle) this.#canDecideSinceMs = nowMs
    if (leads && canDecide && !this.#consensus.isProposing && !this.#consensus.hasOpenAcceptance) {
      const { failed, doubted } = this.#detector.verdicts({ voters: this.#voters, self: this.#self, nowMs })
      const commands = this.#leader.due({
        view,
        nowMs,
        // Just back from where nobody could decide, it may hear some only with their next beat.
        failed: nowMs - this.#canDecideSinceMs < 2 * this.#times.beatMs ? [] : failed,
        doubted,
        hears: id => id === this.#self || this.#detector.hears(id, nowMs),
        isDead: id => this.#deaths.has(id),
        fenceMs: this.#fenceMs(),
        mayJoin: id => this.#flapWaitMs(id, view, nowMs) === 0,
        isReadyToVote: member =>
          this.#detector.hears(member.id, nowMs) && this.#detector.epochOf(member.id) >= member.since,
      })
      if (commands !== undefined) {
        this.#options.ports.event({ kind: "proposed", epoch: view.epoch + 1, commands: summary(commands) })
        this.#consensus.propose(commands, nowMs)
      }
    }
    this.#consensus.tick(nowMs, rank, this.#options.rules.finishInstances ? "finish" : "wait")
  }

  #report(view: View, nowMs: number): void {
    for (const subject of this.#suspected)
      if (this.#detector.hears(subject, nowMs)) this.#withdraw(view, subject, nowMs)
    if (nowMs < this.#reportAtMs) return
    const silent = this.#detector.silent(nowMs)
    if (silent.length === 0) return
    this.#reportAtMs = nowMs + this.#options.config.suspectRenewMs
    for (const subject of silent) {
      const member = memberOf(view, subject)
      if (member === undefined || subject === this.#self) continue
      if (!this.#suspected.has(subject)) {
        this.#suspected.add(subject)
        const silentForMs = Math.max(0, this.#detector.overdueMs(subject, nowMs)) + this.#times.suspectMs
        this.#options.ports.event({ kind: "suspected", subject, silentForMs })
      }
      this.#tellSuspicion(subject, member.since, nowMs)
    }
  }

  #withdraw(view: View, subject: NodeId, nowMs: number): void {
    this.#suspected.delete(subject)
    const member = memberOf(view, subject)
    if (member === undefined) return
    this.#detector.withdraw(subject, member.since, this.#self)
    for (const voter of this.#judges(nowMs))
      if (voter !== this.#self) this.#send(voter, { kind: "unsuspect", subject, since: member.since })
  }

  #tellSuspicion(subject: NodeId, since: Epoch, nowMs: number): void {
    this.#detector.report(subject, since, this.#self, nowMs)
    for (const voter of this.#judges(nowMs))
      if (voter !== this.#self && voter !== subject)
        this.#send(voter, { kind: "suspect", subject, since, epoch: this.#view?.epoch ?? 0 })
  }

  /** The first voters by rank that this voter hears. */
  #judges(nowMs: number): NodeId[] {
    return this.#voters
      .filter(voter => voter === this.#self || this.#detector.hears(voter, nowMs))
      .slice(0, leadersTold)
  }

  // ------------------------------------------------------------------------------------------------ views

  #apply(commands: readonly ViewCommand[]): View {
    assert(this.#view !== undefined, "a view follows a view")
    return this.#options.apply(this.#view, commands, this.#options.placement, this.#options.rules)
  }

  #decided(decision: Decision, nowMs: number): void {
    const before = this.#view
    assert(before !== undefined, "a voter has a view")
    this.#fenceUntilMs = decision.fenceUntilMs
    // Told before this node's own beats show the view, which would make others ask for it.
    if (decision.proposedHere) this.#announce(before, decision, nowMs)
    this.#advance(decision.step, decision.view, nowMs)
  }

  #announce(before: View, { step, view }: Decision, nowMs: number): void {
    const delta: ControlMessage = { kind: "view-delta", steps: [step], fence: this.#fenceTimes(nowMs) }
    for (const { id } of view.members) {
      if (id === this.#self) continue
      const isNew = memberOf(before, id) === undefined
      this.#send(id, isNew ? { kind: "view-snapshot", view: packView(view) } : delta)
    }
    for (const { id } of before.members)
      if (id !== this.#self && memberOf(view, id) === undefined) this.#send(id, delta)
  }

  #delta(from: NodeId, steps: readonly ViewStep[], fence: FenceTimes | null, nowMs: number): void {
    for (const [index, step] of steps.entries()) {
      const view = this.#view
      if (view === undefined || step.epoch > view.epoch + 1) return this.pull(from, nowMs)
      if (step.epoch <= view.epoch) continue
      const next = this.#apply(step.commands)
      if (next.hash !== step.hash) return this.#fork(from)
      const isLast = index === steps.length - 1
      this.#fenceUntilMs =
        isLast && fence !== null ? new Map(fence.map(([who, leftMs]) => [who, nowMs + leftMs])) : null
      this.#advance(step, next, nowMs, isLast ? "beat" : "quiet")
    }
  }

  #snapshot(view: View, nowMs: number): void {
    const before = this.#view
    if (before !== undefined && (view.clusterId !== before.clusterId || view.generation !== before.generation))
      return this.#foreignSnapshot(before, view, nowMs)
    if (before !== undefined && view.epoch <= before.epoch) return
    // A joiner has no use for a view that does not name it; one that was a member must learn what became of it.
    if (before === undefined && memberOf(view, this.#self) === undefined) return
    if (before !== undefined && view.epoch === before.epoch + 1) {
      // Nothing was skipped, but how the leases of those replaced stand is not known.
      this.#fenceUntilMs = null
      this.#steps = []
      return this.#installed(before, view, changedShards(before, view), nowMs, "contiguous")
    }
    this.#follow(view, nowMs)
  }

  #foreignSnapshot(before: View, view: View, nowMs: number): void {
    const mayKeep = this.#options.rules.leaseKeepsGeneration && this.hasLease(nowMs)
    const verdict = foreignGeneration(before, view, mayKeep ? "has-a-lease" : "without-lease")
    if (verdict === "follow") this.#follow(view, nowMs)
    // What it would have to forget may be what nobody else has: that is for a person to decide.
    else if (verdict === "left-behind")
      this.#options.ports.event({ kind: "left-behind", generation: view.generation, epoch: before.epoch })
  }

  #advance(step: ViewStep, next: View, nowMs: number, beats: "beat" | "quiet" = "beat"): void {
    const before = this.#view
    assert(before !== undefined && next.epoch === before.epoch + 1, "views are installed one after another")
    this.#steps.push(step)
    if (this.#steps.length > this.#options.config.viewsKept) this.#steps.shift()
    this.#installed(before, next, changedShards(before, next), nowMs, "contiguous", beats)
  }

  #installed(
    before: View | undefined,
    after: View,
    changed: readonly ShardId[],
    nowMs: number,
    how: "contiguous" | "gap",
    beats: "beat" | "quiet" = "beat",
  ): void {
    const { config, ports } = this.#options
    const resumes = before?.stopped === true && !after.stopped
    // The processes of before the stop may have left leases that nobody here remembers.
    const leases = resumes ? "gap" : how
    const votersBefore = this.#voters
    const wasMember = before !== undefined && memberOf(before, this.#self) !== undefined
    const isMember = memberOf(after, this.#self) !== undefined
    this.#view = after
    this.#voters = votersOf(after)
    // What was granted until this moment was granted for the lease time of the view before.
    if (before !== undefined) this.#leaseTimes.push({ leaseMs: this.#times.leaseMs, atMs: nowMs })
    this.#times = timesFor(config, after.members.length)
    this.#leaseTimes = this.#leaseTimes.filter(({ leaseMs, atMs }) => nowMs - atMs < 2 * leaseMs * 1.1)
    this.#leaseTimes.push({ leaseMs: this.#times.leaseMs, atMs: nowMs })
    this.#fence(before, after, votersBefore, nowMs, leases)
    this.#lease.viewChanged(this.#voters, this.#times.leaseMs)
    this.#consensus.viewInstalled(after, this.#voters)
    this.#leader.viewInstalled(after, changed, nowMs)
    if (this.#isVoter)
      this.#detector.viewChanged({
        members: after.members.map(({ id }) => id).filter(id => id !== this.#self),
        nowMs,
        graceMs: graceFactor * this.#times.suspectMs,
        suspectMs: this.#times.suspectMs,
        beatMs: this.#times.beatMs,
        known: votersBefore.includes(this.#self) ? "kept" : "restarted",
      })
    for (const subject of this.#suspected) if (memberOf(after, subject) === undefined) this.#suspected.delete(subject)

    if (before?.members !== after.members) {
      this.#rehearsed = 0
      this.#rehearseAtMs = nowMs + 4 * this.#options.config.rehearseEveryMs * this.#options.prng.between(0.5, 1.5)
    }
    const joined = after.members.filter(({ id }) => before === undefined || memberOf(before, id) === undefined)
    const gone = (before?.members ?? []).filter(({ id }) => memberOf(after, id) === undefined)
    // What a snapshot skipped may have been a leave.
    for (const { id } of gone) this.#disputed.delete(id)
    if (leases !== "gap") for (const { id, leaving } of gone) if (!leaving) this.#flaps.removed(id, nowMs)
    ports.event({
      kind: "view-installed",
      epoch: after.epoch,
      membersEpoch: after.membersEpoch,
      members: after.members.length,
      joined: joined.map(({ id }) => id),
      gone: gone.map(({ id }) => id),
      gap: how === "gap",
      underReplicated: underReplicated(after, this.#options.placement),
    })
    if (isMember && this.#phase === "joining") {
      this.#phase = "member"
      this.#leasedAtMs = nowMs
      ports.event({ kind: "joined", epoch: after.epoch, members: after.members.length })
      if (this.#leavesAgain) this.#phase = "leaving"
      this.#leavesAgain = false
    }
    if (this.#resume !== null) this.#hasResumed(after, gone, nowMs)
    if (isMember && after.stopped) this.#phase = "stopped"
    // Somebody else ordered it: from here on it is as if this node had wanted to.
    if (this.#phase === "member" && memberOf(after, this.#self)?.leaving === true) this.#phase = "leaving"
    this.#options.viewInstalled({ before, after, gap: how === "gap", changed }, nowMs)
    if (before !== undefined) this.#release(before, after)
    if (wasMember && !isMember) this.#removed(after, nowMs)
    // One of several steps to the newest view is no news to anybody.
    if (isMember && beats === "beat") this.#sendBeats(nowMs)
    this.#leaseChanged(nowMs)
  }

  /** Adds what a new primary must wait for, in this view and in those that follow while the fences last. */
  #fence(
    before: View | undefined,
    after: View,
    votersBefore: readonly NodeId[],
    nowMs: number,
    how: "contiguous" | "gap",
  ): void {
    const { rules } = this.#options
    if (before === undefined || before.shards.length !== after.shards.length)
      this.#fences = new Fences({
        shardCount: after.shards.length,
        rules,
        onCleared: this.#options.fencesCleared,
      })
    const wholeMs = nowMs + this.#fenceMs()
    if (how === "gap") {
      const lastEpoch = before?.epoch ?? 0
      if (rules.gapFence) {
        const unknown: ShardId[] = []
        const isOther = before?.generation !== after.generation
        for (const [shard, { primary, primarySince }] of after.shards.entries())
          if (isOther || primary === null || primarySince > lastEpoch) unknown.push(shard)
        this.#fences.add({ who: null, epoch: after.epoch, untilMs: wholeMs, shards: unknown })
        this.#voterFenceUntilMs = wholeMs
      }
      return
    }
    if (before === undefined) return
    for (const [who, shards] of primariesLost(before, after)) {
      if (who === this.#self) continue
      const knownMs = this.#fenceUntilMs === null ? wholeMs : (this.#fenceUntilMs.get(who) ?? nowMs)
      // The leases of an earlier view rest on other voters than those that reported their grants now.
      const untilMs = rules.voterFence ? Math.max(knownMs, this.#voterFenceUntilMs) : knownMs
      const kept = rules.fencesEverywhere ? shards : shards.filter(shard => after.shards[shard]?.primary === this.#self)
      if (untilMs > nowMs) this.#fences.add({ who, epoch: after.epoch, untilMs, shards: kept })
    }
    if (!sameIds(votersBefore, this.#voters)) this.#voterFenceUntilMs = wholeMs
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
      if (orphansHeld === 0) return this.#bidFarewell(nowMs)
      this.#leavesAgain = true // it was removed by mistake, and holds what nobody else has
    } else if (this.#phase !== "member") return
    this.#phase = "joining"
    this.#options.ports.event({ kind: "removed", epoch: view.epoch, orphansHeld })
    const { self } = this.#options
    this.#joiner = new Joiner({ seeds: this.#options.seeds, own: [self.addr, self.clientAddr] })
    this.#joiner.learn(view.members.map(({ addr }) => addr))
    this.#ask(nowMs)
  }

  /** Sends what leads from `have` to the current view: the steps, where they are kept, else the whole view. */
  #sendView(to: NodeId, have: Epoch, nowMs: number): void {
    const view = this.#view
    if (view === undefined || have >= view.epoch) return
    const oldest = this.#steps[0]?.epoch
    if (oldest === undefined || have + 1 < oldest || have === 0)
      return this.#send(to, { kind: "view-snapshot", view: packView(view) })
    const steps = this.#steps.slice(have + 1 - oldest)
    this.#send(to, { kind: "view-delta", steps, fence: this.#fenceTimes(nowMs) })
  }

  #fenceTimes(nowMs: number): FenceTimes | null {
    if (this.#fenceUntilMs === null) return null
    const times: [NodeId, number][] = []
    for (const [who, untilMs] of this.#fenceUntilMs) if (untilMs > nowMs) times.push([who, untilMs - nowMs])
    return times
  }

  /** Whether the instance of `epoch` is not the one that this node is in: whoever lags is helped. */
  #bringUpToDate(from: NodeId, epoch: Epoch, nowMs: number): boolean {
    const current = this.#view?.epoch ?? 0
    if (epoch === current + 1) return false
    if (epoch <= current) this.#sendView(from, epoch - 1, nowMs)
    else this.pull(from, nowMs)
    return true
  }

  /**
   * One of the two is of another build, or broken. It is not for either to know which: each treats the other as silent, and
   * a majority that agrees votes the odd one out.
   */
  #dispute(peer: NodeId): void {
    if (peer === this.#self || this.#disputed.has(peer)) return
    this.#disputed.add(peer)
    this.#options.ports.event({ kind: "disputed", epoch: this.#view?.epoch ?? 0, peer })
  }

  #fork(from: NodeId): void {
    if (this.#forked) return
    this.#forked = true
    this.#options.ports.event({ kind: "forked", epoch: this.#view?.epoch ?? 0, peer: from })
  }

  /**
   * Computes what the view would be without some other member, for nothing but the computing: when that member fails, all
   * nodes do this at the same moment, while its shards wait. Code that has run is fast, and its result is remembered.
   */
  #rehearse(nowMs: number): void {
    const view = this.#view
    if (view === undefined) return
    const others = view.members.filter(({ id }) => id !== this.#self)
    const member = others[this.#rehearsed]
    this.#rehearsed += 1
    const isDone = member === undefined || others.length >= rehearsedMembers
    this.#rehearseAtMs = isDone ? Number.POSITIVE_INFINITY : nowMs + this.#options.config.rehearseEveryMs
    if (member !== undefined && !isDone) this.#apply([{ kind: "remove", id: member.id, since: member.since }])
  }

  // ------------------------------------------------------------------------------------------------ joining and leaving

  #ask(nowMs: number): void {
    const { config, ports, self, wantedCopies } = this.#options
    for (const address of this.#joiner.due(nowMs, config.joinRetryMs))
      ports.sendToAddress(address, {
        kind: "join-request",
        member: self,
        copies: wantedCopies,
        clusterId: this.#view?.clusterId ?? "",
        have: this.#view?.epoch ?? 0,
        eviction: self.witness ? null : config.eviction,
      })
  }

  /** Restarted, and in no cluster: are all the others of before back as well? */
  #coldStartTick(nowMs: number): void {
    const coldStart = this.#coldStart
    if (coldStart === null) return
    const verdict = coldStart.verdict(nowMs)
    if (verdict.kind === "form") return this.#form(verdict.copies, nowMs)
    this.#sayAwaited(verdict.missing, "form", nowMs)
  }

  #sayAwaited(missing: readonly Address[], to: "form" | "resume", nowMs: number): void {
    const awaited = missing.join()
    if (awaited === this.#awaited || nowMs - this.#startedAtMs < askedFirstMs) return
    this.#awaited = awaited
    if (missing.length > 0) this.#options.ports.event({ kind: "awaiting", missing: [...missing], to })
  }

  /**
   * A member without a lease for long may have been forgotten: all voters that it knows may be gone. It asks like a
   * joiner, and is told the view, or admitted again.
   */
  #isLost(nowMs: number): boolean {
    if (this.#phase !== "member") return false
    if (this.#lease.isValid(nowMs)) this.#leasedAtMs = nowMs
    if (nowMs - this.#leasedAtMs < lostFactor * this.#times.suspectMs) return false
    this.#joiner.learn(this.#view?.members.map(({ addr }) => addr) ?? [])
    return true
  }

  #joinRequest(from: NodeId, request: Extract<ControlMessage, { kind: "join-request" }>, nowMs: number): void {
    const view = this.#view
    const { ports } = this.#options
    if (view === undefined || !this.#isMember)
      this.#send(from, { kind: "try-also", addresses: this.#joiner.addresses.slice(0, addressesTold) })
    if (view === undefined) {
      const { hint, self } = this.#options
      return this.#send(from, { kind: "waiting", addr: self.addr, witness: self.witness, hint })
    }
    if (!this.#isMember) return
    const { eviction } = this.#options.config
    const refusal =
      this.#doorkeeper.refusal(request, view, eviction) ?? this.#flapRefusal(request.member.id, view, nowMs)
    if (refusal !== undefined) return this.#send(from, { kind: "join-refused", ...refusal })
    if (memberOf(view, request.member.id) !== undefined) return this.#sendView(from, request.have, nowMs)
    const told = view.members.filter(({ id }) => id !== this.#self).sort((a, b) => Number(b.voter) - Number(a.voter))
    this.#send(from, { kind: "try-also", addresses: told.slice(0, addressesTold).map(({ addr }) => addr) })
    if (!this.#options.rules.dialBack) this.propose([{ kind: "join", member: request.member }], nowMs)
    const nonce = this.#doorkeeper.dialBack(request.member, nowMs)
    ports.sendToAddress(request.member.addr, { kind: "dial-back", nonce, id: request.member.id })
  }

  /** Whoever alone holds something is always welcome. */
  #flapWaitMs(id: NodeId, view: View, nowMs: number): number {
    const waitMs = this.#flaps.waitMs(id, nowMs)
    return waitMs > 0 && view.shards.some(({ orphan, inSync }) => orphan && inSync.includes(id)) ? 0 : waitMs
  }

  #flapRefusal(id: NodeId, view: View, nowMs: number): { reason: JoinRefusal; detail: string } | undefined {
    const waitMs = this.#flapWaitMs(id, view, nowMs)
    if (waitMs === 0) return undefined
    const seconds = Math.ceil(waitMs / 1_000)
    return { reason: "flapping", detail: `the others lost it again and again; it may come back in ${seconds} s` }
  }

  #dialBackAnswered(nonce: number, id: NodeId, nowMs: number): void {
    const verdict = this.#doorkeeper.answered(nonce, id)
    if (verdict?.kind === "admit") return this.propose([{ kind: "join", member: verdict.member }], nowMs)
    if (verdict?.kind === "taken")
      this.#send(verdict.member.id, {
        kind: "join-refused",
        reason: "address-taken",
        detail: `another process answers at ${verdict.member.addr}: two nodes advertise the same address`,
      })
  }

  #leaveTick(nowMs: number): void {
    const view = this.#view
    if (view === undefined || nowMs < this.#leaveAtMs) return
    this.#leaveAtMs = nowMs + 2 * this.#options.config.proposeRetryMs
    const member = memberOf(view, this.#self)
    if (member === undefined) return
    if (view.members.every(({ id, witness }) => id === this.#self || witness)) return this.#left("last")
    if (!member.leaving) this.propose([{ kind: "leave", id: this.#self }], nowMs)
    const shardsLeft = view.shards.filter(({ inSync }) => inSync.includes(this.#self)).length
    this.#options.ports.event({ kind: "leave-progress", shardsLeft })
  }

  /**
   * This node may be the only one to know the view that removed it, where it was a voter of the one before: it goes when
   * a majority of those who decide from now on have it.
   */
  #bidFarewell(nowMs: number): void {
    this.#farewell = { untilMs: nowMs + farewellMs, nextAtMs: nowMs, heard: new Set() }
    this.#farewellTick(nowMs)
  }

  #farewellTick(nowMs: number): void {
    const view = this.#view
    const farewell = this.#farewell
    if (view === undefined || farewell === null) return
    if (nowMs >= farewell.untilMs) return this.#left("others-remain")
    if (nowMs < farewell.nextAtMs) return
    farewell.nextAtMs = nowMs + this.#options.config.proposeRetryMs
    for (const voter of this.#voters) {
      if (farewell.heard.has(voter)) continue
      this.#sendView(voter, view.epoch - 1, nowMs)
      this.#send(voter, { kind: "yield", epoch: view.epoch })
    }
  }

  #farewellHeard(from: NodeId, epoch: Epoch): void {
    const farewell = this.#farewell
    if (farewell === null || epoch < (this.#view?.epoch ?? 0) || !this.#voters.includes(from)) return
    farewell.heard.add(from)
    if (farewell.heard.size > this.#voters.length / 2) this.#left("others-remain")
  }

  #left(who: "last" | "others-remain"): void {
    this.#phase = "left"
    this.#farewell = null
    this.#options.ports.event({ kind: "left", last: who === "last" })
  }

  // ------------------------------------------------------------------------------------------------ stopping, resuming

  /** All that this node holds is written down. */
  snapshotWritten(nowMs: number): void {
    assert(this.#phase === "stopped", "it is written down after the stop")
    this.#writtenAtMs = nowMs
  }

  /** What it started from is in memory. */
  loaded(nowMs: number): void {
    this.#resume?.loaded(nowMs)
  }

  /** What it started from will not be used again. */
  snapshotClaimed(nowMs: number): void {
    this.#resume?.claimed(nowMs)
  }

  /** Of a node that resumes: where those are that it waits for. */
  awaited(nowMs: number): Address[] {
    const verdict = this.#resume?.verdict(nowMs)
    return verdict?.kind === "wait" ? verdict.missing.map(({ addr }) => addr) : []
  }

  /** Whether a node that has been stopped takes this like any other: it helps those who do not know of the stop. */
  #isForStopped(from: NodeId, message: ControlMessage, nowMs: number): boolean {
    const view = this.#view
    assert(view !== undefined, "a stopped node has a view")
    switch (message.kind) {
      case "beat":
        if (message.epoch >= view.epoch) this.#knowStop.add(from)
        return true
      case "prepare":
      case "accept":
      case "accepted":
        // What follows is decided by those who have started again. What was promised here, nobody would remember then.
        return message.epoch <= view.epoch || !this.#options.rules.stopAbstains
      case "promise":
      case "nack":
        return !this.#options.rules.stopAbstains
      case "join-request":
        if (memberOf(view, message.member.id) !== undefined) this.#sendView(from, message.have, nowMs)
        return false
      case "beat-ack":
      case "yield":
      case "view-pull":
        return true
      default:
        return false
    }
  }

  #stoppedTick(nowMs: number): void {
    if (nowMs >= this.#beatAtMs) this.#sendBeats(nowMs)
    if (nowMs < this.#writtenAtMs) return
    const others = this.#view?.members.filter(({ id }) => id !== this.#self) ?? []
    // Only voters can tell those who missed it; every member beats to them.
    const isDone = !this.#isVoter || others.every(({ id }) => this.#knowStop.has(id))
    if (!isDone && nowMs - this.#writtenAtMs < lingerMs) return
    this.#writtenAtMs = Number.POSITIVE_INFINITY
    this.#options.ports.event({ kind: "may-end" })
  }

  #beginResuming({ view, goesOn }: Pick<ResumeOptions, "view" | "goesOn">, nowMs: number): void {
    const { config, ports, rules } = this.#options
    assert(view.stopped && memberOf(view, this.#self) !== undefined, "a member resumes from its stop")
    this.#phase = "resuming"
    this.#view = view
    this.#voters = votersOf(view)
    this.#times = timesFor(config, view.members.length)
    // Everybody tells everybody: as often as beats allow, where there are many.
    const announceEveryMs = Math.max(config.joinRetryMs, this.#times.beatMs)
    this.#resume = new Resume({ self: this.#self, view, goesOn, announceEveryMs, rules })
    this.#consensus.viewInstalled(view, this.#voters)
    this.#joiner.learn(view.members.map(({ addr }) => addr))
    const { addr, clientAddr } = this.#options.self
    this.#resumeAddresses = new Set([...view.members.map(member => member.addr), ...this.#options.seeds])
    for (const own of [addr, clientAddr]) this.#resumeAddresses.delete(own)
    ports.event({ kind: "resuming", epoch: view.epoch, members: view.members.length })
  }

  #resumingTick(resume: Resume, nowMs: number): void {
    const view = this.#view
    assert(view !== undefined, "whoever resumes has the view of the stop")
    const { config, ports } = this.#options
    const said = resume.announcement(nowMs)
    if (said !== undefined) {
      const { generation, epoch } = view
      for (const address of this.#resumeAddresses)
        ports.sendToAddress(address, { kind: "resuming", generation, epoch, ...said })
    }
    this.#consensus.tick(nowMs, 0, "wait")
    const verdict = resume.verdict(nowMs)
    switch (verdict.kind) {
      case "wait":
        return this.#sayAwaited(
          verdict.missing.map(({ addr }) => addr),
          "resume",
          nowMs,
        )
      case "follow":
        return
      case "claim":
        if (nowMs < this.#claimAtMs) return
        this.#claimAtMs = nowMs + config.proposeRetryMs
        for (const id of verdict.of)
          if (id === this.#self) this.#claim(resume, nowMs)
          else this.#send(id, { kind: "claim", epoch: view.epoch })
        return
      case "go-on": {
        const removals: ViewCommand[] = verdict.without.map(({ id, since }) => ({ kind: "remove", id, since }))
        if (verdict.how === "by-decision") return this.#consensus.propose([...removals, { kind: "resume" }], nowMs)
        const here = view.members.filter(member => !verdict.without.includes(member)).map(({ id }) => id)
        return this.#recover(this.#withNobodyBut(new Set(here), view), nowMs)
      }
    }
  }

  #claim(resume: Resume, nowMs: number): void {
    if (resume.state !== "waiting" || this.#isClaiming) return
    this.#isClaiming = true
    if (this.#options.rules.resumeClaims) this.#options.ports.claimSnapshot()
    else resume.claimed(nowMs)
  }

  /** Whether a node that resumes takes this like any other. Without a claim it does nothing that it could do twice. */
  #isForResuming(resume: Resume, from: NodeId, message: ControlMessage, nowMs: number): boolean {
    const view = this.#view
    assert(view !== undefined, "whoever resumes has the view of the stop")
    if (this.#phase === "left") return false // it comes too late, and another node begins in its place
    const isClaimed = resume.state === "claimed"
    switch (message.kind) {
      case "claim":
        if (message.epoch === view.epoch) this.#claim(resume, nowMs)
        return false
      case "join-request":
        if (memberOf(view, message.member.id) !== undefined) this.#sendView(from, message.have, nowMs)
        else {
          resume.replaced(message.member.addr, nowMs)
          this.#send(from, { kind: "try-also", addresses: this.#joiner.addresses.slice(0, addressesTold) })
        }
        return false
      case "beat":
        if (message.epoch > view.epoch) this.pull(from, nowMs)
        else if (message.epoch < view.epoch) this.#helpLagging(from, message.epoch, nowMs)
        return false
      case "prepare":
      case "promise":
      case "accept":
      case "accepted":
      case "nack":
        return isClaimed
      case "view-delta":
        return isClaimed || this.#isInTime(view, view.generation, message.steps.at(-1)?.epoch ?? 0)
      case "view-snapshot": {
        const { clusterId, generation, epoch } = message.view
        return clusterId === view.clusterId && (isClaimed || this.#isInTime(view, generation, epoch))
      }
      case "resuming":
      case "dial-back":
      case "view-pull":
      case "try-also":
        return true
      default:
        return false
    }
  }

  /**
   * Whether a node that has claimed nothing may follow to a later view. It may not: whoever resumed waited for what this node
   * started from to be claimed, so it was done without this process, or by another that started from the same.
   */
  #isInTime(view: View, generation: number, epoch: Epoch): boolean {
    const isLater = generation === view.generation ? epoch > view.epoch : generation > view.generation
    if (!isLater || !this.#options.rules.resumeInTime) return isLater
    this.#phase = "left"
    this.#options.ports.event({ kind: "resume-refused", stoppedEpoch: view.epoch, generation, epoch })
    return false
  }

  /** A process was started with what it wrote down at a stop. */
  #toldOfResuming(from: NodeId, message: Extract<ControlMessage, { kind: "resuming" }>, nowMs: number): void {
    const view = this.#view
    if (view === undefined) return
    const { generation, epoch } = message
    if (generation === view.generation && epoch === view.epoch) this.#resume?.heard(from, message, nowMs)
    else if (generation === view.generation ? epoch < view.epoch : generation < view.generation)
      this.#send(from, { kind: "view-snapshot", view: packView(view) })
    // This node has missed the stop, or is itself one that comes too late.
    else if (generation === view.generation) this.pull(from, nowMs)
  }

  #obeyResuming(resume: Resume, command: AdminCommand, nowMs: number): AdminOutcome {
    const view = this.#view
    assert(view !== undefined, "whoever resumes has the view of the stop")
    if (command.kind !== "recover")
      return refused("stopped", "the cluster has been stopped, and waits for all of its members to start again")
    const here = view.members.flatMap(({ id }) => (resume.isHere(id, nowMs) ? [id] : []))
    if (command.how === "plan") return plan(view, this.#withNobodyBut(new Set(here), view))
    resume.goOn(nowMs)
    return { kind: "accepted" }
  }

  #hasResumed(after: View, gone: readonly Member[], nowMs: number): void {
    this.#resume = null
    this.#phase = "member" // or it finds itself removed
    this.#leasedAtMs = nowMs
    this.#options.ports.event({
      kind: "resumed",
      epoch: after.epoch,
      members: after.members.length,
      gone: gone.map(({ id }) => id),
    })
  }

  // ------------------------------------------------------------------------------------------------ the rest

  #tidy(nowMs: number): void {
    const keepMs = 4 * this.#fenceMs()
    this.#tidyAtMs = nowMs + keepMs
    this.#lease.forgetOld(nowMs, keepMs)
    this.#flaps.tidy(nowMs)
    for (const [peer, atMs] of this.#pulledAtMs) if (nowMs - atMs > keepMs) this.#pulledAtMs.delete(peer)
    for (const [peer, { sentAtMs }] of this.#lagging) if (nowMs - sentAtMs > 2 * keepMs) this.#lagging.delete(peer)
    for (const member of this.#doorkeeper.expire(nowMs))
      this.#send(member.id, {
        kind: "join-refused",
        reason: "no-dial-back",
        detail: `nobody answers at ${member.addr}, the address that it advertises: is it reachable from here?`,
      })
  }

  #send(to: NodeId, message: ControlMessage): void {
    assert(to !== this.#self, "nothing is sent to oneself")
    this.#options.ports.send(to, message)
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

function sameIds(a: readonly NodeId[], b: readonly NodeId[]): boolean {
  return a.length === b.length && a.every((id, index) => id === b[index])
}

function allShards(view: View): ShardId[] {
  return view.shards.map((_, shard) => shard)
}

/** Commands for the log: kinds with their number, and whom they concern where that is few. */
function summary(commands: readonly ViewCommand[]): string[] {
  const counts = new Map<string, number>()
  for (const command of commands) {
    const who = command.kind === "join" ? ` ${command.member.id}` : "id" in command ? ` ${command.id}` : ""
    const label = `${command.kind}${who}`
    counts.set(label, (counts.get(label) ?? 0) + 1)
  }
  return [...counts].map(([label, count]) => (count === 1 ? label : `${label} x${count}`))
}
