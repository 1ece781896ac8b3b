/**
 * A voter's judgement of who is silent, and the leader's count of such judgements. A member is heard while its beats
 * arrive and it confirms this voter's grants: one that sends but does not hear cannot serve, and counts as silent
 * ("Detection"). Knows no clock and sends nothing.
 */
import type { Epoch, NodeId } from "../../protocol/message.ts"
import type { Rules } from "../rules.ts"

type DetectorRules = Pick<Rules, "confirmationsCount" | "reportsNeedMajority" | "selfDistrust">

type Heard = {
  atMs: number
  /** Epoch that its last beat showed. */
  epoch: Epoch
  /** Gaps between beats, smoothed: mean and mean deviation squared. */
  meanGapMs: number
  gapVariance: number
  /** From here on it counts as warmed up. */
  readonly warmAtMs: number
  /** Nobody listened where it was dialed, and it has not beaten since. */
  isRefused: boolean
  /** The first grant that no beat has confirmed. */
  unconfirmed: { n: number; atMs: number } | null
}

/** A member that has just joined is slow for so long (its code is cold, its copies are on the way) ... */
const warmUpMs = 5_000
/** ... and is allowed so many suspicion times meanwhile. */
const coldFactor = 2.5
/** Weight of a new gap, as 1 / smoothing: slow enough that one quiet second does not erase a busy minute. */
const smoothing = 16

export class Detector {
  readonly #heard = new Map<NodeId, Heard>()
  /** Who reports whom, and until when that counts. */
  readonly #reports = new Map<NodeId, { since: Epoch; untilMs: Map<NodeId, number> }>()
  readonly #options: { readonly suspectCap: number; readonly suspectExpiryMs: number; readonly rules: DetectorRules }
  #suspectMs: number
  #beatMs: number
  #distrustUntilMs = Number.NEGATIVE_INFINITY

  constructor(options: {
    suspectMs: number
    beatMs: number
    suspectCap: number
    suspectExpiryMs: number
    rules: DetectorRules
  }) {
    this.#options = options
    this.#suspectMs = options.suspectMs
    this.#beatMs = options.beatMs
  }

  /**
   * Members that are new here are given until `graceMs` from now before their first beat; `known` restarts the clocks of
   * all (this node has just become a voter, so that nobody beat to it before).
   */
  viewChanged(options: {
    members: readonly NodeId[]
    nowMs: number
    graceMs: number
    suspectMs: number
    beatMs: number
    known: "kept" | "restarted"
  }): void {
    const { members, nowMs, graceMs } = options
    this.#suspectMs = options.suspectMs
    this.#beatMs = options.beatMs
    const present = new Set(members)
    for (const id of this.#heard.keys()) if (!present.has(id)) this.#heard.delete(id)
    for (const id of this.#reports.keys()) if (!present.has(id)) this.#reports.delete(id)
    for (const id of members) {
      const heard = this.#heard.get(id)
      if (heard === undefined || options.known === "restarted")
        this.#heard.set(id, {
          atMs: nowMs + graceMs,
          epoch: heard?.epoch ?? 0,
          meanGapMs: this.#beatMs,
          gapVariance: 0,
          warmAtMs: heard === undefined && options.known === "kept" ? nowMs + warmUpMs : nowMs,
          unconfirmed: null,
          isRefused: false,
        })
    }
  }

  /** `voter` "late": this node itself has just been late, so that the gap says nothing of the member. */
  beat(from: NodeId, epoch: Epoch, acked: number, nowMs: number, voter: "late" | "punctual" = "punctual"): void {
    const heard = this.#heard.get(from)
    if (heard === undefined) return
    const gapMs = nowMs - heard.atMs
    // Only whole intervals tell of lateness; a beat sent early, after a view, would make the member look prompt.
    if (gapMs > this.#beatMs / 2 && voter === "punctual") {
      const off = Math.min(gapMs, this.#options.suspectCap * this.#suspectMs) - heard.meanGapMs
      heard.meanGapMs += off / smoothing
      heard.gapVariance += (off * off - heard.gapVariance) / smoothing
    }
    heard.atMs = nowMs
    heard.isRefused = false
    heard.epoch = Math.max(heard.epoch, epoch)
    if (heard.unconfirmed !== null && acked >= heard.unconfirmed.n) heard.unconfirmed = null
  }

  granted(to: NodeId, n: number, nowMs: number): void {
    const heard = this.#heard.get(to)
    if (heard !== undefined && heard.unconfirmed === null && this.#options.rules.confirmationsCount)
      heard.unconfirmed = { n, atMs: nowMs }
  }

  /** Nobody listens where the member was: it counts as silent until it beats again. */
  refused(id: NodeId): void {
    const heard = this.#heard.get(id)
    if (heard !== undefined) heard.isRefused = true
  }

  /** This node itself was late: what it did not hear meanwhile is no fault of others. */
  ownLateness(lateMs: number, nowMs: number, distrustMs: number): void {
    if (!this.#options.rules.selfDistrust) return
    for (const heard of this.#heard.values()) {
      heard.atMs = later(heard.atMs, lateMs, nowMs)
      if (heard.unconfirmed !== null) heard.unconfirmed.atMs = later(heard.unconfirmed.atMs, lateMs, nowMs)
    }
    this.#distrustUntilMs = nowMs + distrustMs
  }

  /** How long `id` has been silent beyond what it is allowed; 0 or less: it is heard. Infinity: unknown here. */
  overdueMs(id: NodeId, nowMs: number): number {
    const heard = this.#heard.get(id)
    if (heard === undefined || heard.isRefused) return Number.POSITIVE_INFINITY
    const allowedMs = this.#allowedMs(heard, nowMs)
    const silentMs = nowMs - heard.atMs
    const unconfirmedMs = heard.unconfirmed === null ? 0 : nowMs - heard.unconfirmed.atMs
    return Math.max(silentMs, unconfirmedMs) - allowedMs
  }

  hears(id: NodeId, nowMs: number): boolean {
    return this.overdueMs(id, nowMs) <= 0
  }

  /** The epoch that the last beat of `id` showed. */
  epochOf(id: NodeId): Epoch {
    return this.#heard.get(id)?.epoch ?? 0
  }

  /** Members to report as silent. */
  silent(nowMs: number): NodeId[] {
    if (nowMs < this.#distrustUntilMs) return []
    const out: NodeId[] = []
    for (const id of this.#heard.keys()) if (!this.hears(id, nowMs)) out.push(id)
    return out
  }

  /** When somebody will be silent who is not heard by then; `nowMs`: somebody is, or is said to be. */
  restsUntilMs(nowMs: number): number {
    if (this.#reports.size > 0 || nowMs < this.#distrustUntilMs) return nowMs
    let untilMs = Number.POSITIVE_INFINITY
    // Not overdue by a hair: that moment is one too early.
    for (const id of this.#heard.keys()) untilMs = Math.min(untilMs, nowMs - this.overdueMs(id, nowMs) + 0.1)
    return Math.max(untilMs, nowMs)
  }

  report(subject: NodeId, since: Epoch, reporter: NodeId, nowMs: number): void {
    if (!this.#heard.has(subject)) return
    let reports = this.#reports.get(subject)
    if (reports === undefined || reports.since !== since) {
      reports = { since, untilMs: new Map() }
      this.#reports.set(subject, reports)
    }
    reports.untilMs.set(reporter, nowMs + this.#options.suspectExpiryMs)
  }

  withdraw(subject: NodeId, since: Epoch, reporter: NodeId): void {
    const reports = this.#reports.get(subject)
    if (reports?.since === since) reports.untilMs.delete(reporter)
  }

  /**
   * Members that a majority of `voters` (those that this node hears itself, the subject left out) report, and members
   * that some report, but too few. Voters that are not heard are not counted: they cannot report, and counting them
   * would let a lost majority of voters shield each other.
   */
  verdicts(options: { voters: readonly NodeId[]; self: NodeId; nowMs: number }): {
    failed: { id: NodeId; since: Epoch }[]
    doubted: NodeId[]
  } {
    const { voters, self, nowMs } = options
    const failed: { id: NodeId; since: Epoch }[] = []
    const doubted: NodeId[] = []
    for (const [subject, { since, untilMs }] of this.#reports) {
      for (const [reporter, endMs] of untilMs) if (endMs <= nowMs) untilMs.delete(reporter)
      if (untilMs.size === 0) {
        this.#reports.delete(subject)
        continue
      }
      const counted = voters.filter(voter => voter !== subject && (voter === self || this.hears(voter, nowMs)))
      // What this voter says itself holds only as long as it is true.
      const reports = (voter: NodeId) => untilMs.has(voter) && (voter !== self || !this.hears(subject, nowMs))
      const reporting = counted.filter(reports).length
      if (reporting > counted.length / 2 || !this.#options.rules.reportsNeedMajority)
        failed.push({ id: subject, since })
      else doubted.push(subject)
    }
    return { failed, doubted }
  }

  #allowedMs(heard: Heard, nowMs: number): number {
    const adaptedMs = heard.meanGapMs + 4 * Math.sqrt(heard.gapVariance)
    const leastMs = nowMs < heard.warmAtMs ? coldFactor * this.#suspectMs : this.#suspectMs
    return Math.min(Math.max(leastMs, adaptedMs), this.#options.suspectCap * this.#suspectMs)
  }
}

/** Moved by so much, but not into the future: what was read after the pause, before it was noticed, stays. */
function later(atMs: number, byMs: number, nowMs: number): number {
  return Math.max(atMs, Math.min(atMs + byMs, nowMs))
}
