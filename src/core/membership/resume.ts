/**
 * The members of a stopped cluster find together again: each was started with what it wrote down at the stop, and says so
 * to the others until all of them are back. Then whoever is first among them has everybody take out of use what it
 * started from, and the next view can be decided ("Planned stop" in `../README.md`). Knows no clock and sends nothing.
 */
import { assert } from "../../base/assert.ts"
import type { Address, Member, NodeId, ResumeState, View } from "../../protocol/message.ts"
import type { Rules } from "../rules.ts"
import { majorityOf } from "./view.ts"

export type ResumeOptions = {
  readonly self: NodeId
  /** The stopped view. */
  readonly view: View
  /** "with-those-here": a person has said that nobody else comes. */
  readonly goesOn: "when-all-are-back" | "with-those-here"
  /** How often each says to the others that it is back. */
  readonly announceEveryMs: number
  readonly rules: Pick<Rules, "resumeWaits">
}

export type ResumeVerdict =
  | { readonly kind: "wait"; readonly missing: readonly Member[] }
  /** These have not taken out of use yet what they started from. */
  | { readonly kind: "claim"; readonly of: readonly NodeId[] }
  /** The next view is to be made, without these. "as-a-generation": those who are back cannot decide it. */
  | { readonly kind: "go-on"; readonly how: "by-decision" | "as-a-generation"; readonly without: readonly Member[] }
  /** Another member that is back sees to it. */
  | { readonly kind: "follow" }

/** Whoever said nothing for so many announcements is gone again. */
const freshAnnouncements = 5
/** A person's word counts when those who are there have had time to say so. */
const heardFirstMs = 5_000
/** How long a process at a member's address, which is not that member, counts as there. */
const replacementMs = 10_000

type Presence = { readonly state: ResumeState; readonly goesOn: boolean; readonly atMs: number }

export class Resume {
  readonly #options: ResumeOptions
  readonly #others = new Map<NodeId, Presence>()
  /** When a process with another id was last heard of at a member's address. */
  readonly #replacedAtMs = new Map<Address, number>()
  #state: ResumeState = "loading"
  #loadedAtMs = Number.POSITIVE_INFINITY
  #goesOnAtMs = Number.POSITIVE_INFINITY
  #announceAtMs = Number.NEGATIVE_INFINITY

  constructor(options: ResumeOptions) {
    this.#options = options
  }

  get state(): ResumeState {
    return this.#state
  }

  /** Everything that was written down is in memory again. */
  loaded(nowMs: number): void {
    assert(this.#state === "loading", "it is loaded once")
    this.#state = "waiting"
    this.#loadedAtMs = nowMs
    if (this.#options.goesOn === "with-those-here") this.#goesOnAtMs = nowMs + heardFirstMs
    this.#announceAtMs = nowMs
  }

  /** What it started from cannot be used again. */
  claimed(nowMs: number): void {
    assert(this.#state === "waiting", "what is loaded is claimed once")
    this.#state = "claimed"
    this.#announceAtMs = nowMs
  }

  /** A person says now that nobody else comes. */
  goOn(nowMs: number): void {
    this.#goesOnAtMs = Math.min(this.#goesOnAtMs, nowMs)
  }

  heard(from: NodeId, { state, goesOn }: { state: ResumeState; goesOn: boolean }, nowMs: number): void {
    const { members } = this.#options.view
    if (members.some(({ id }) => id === from)) this.#others.set(from, { state, goesOn, atMs: nowMs })
  }

  /** A process that is no member asks to join from this address. */
  replaced(address: Address, nowMs: number): void {
    if (this.#options.view.members.some(({ addr }) => addr === address)) this.#replacedAtMs.set(address, nowMs)
  }

  /** Whether it is time to say again that this node is back, and what it says. */
  announcement(nowMs: number): { readonly state: ResumeState; readonly goesOn: boolean } | undefined {
    if (nowMs < this.#announceAtMs) return undefined
    this.#announceAtMs = nowMs + this.#options.announceEveryMs
    return { state: this.#state, goesOn: nowMs >= this.#goesOnAtMs }
  }

  isHere(id: NodeId, nowMs: number): boolean {
    if (id === this.#options.self) return true
    const presence = this.#others.get(id)
    return presence !== undefined && nowMs - presence.atMs <= freshAnnouncements * this.#options.announceEveryMs
  }

  verdict(nowMs: number): ResumeVerdict {
    const { self, view } = this.#options
    const here = view.members.filter(({ id }) => this.isHere(id, nowMs))
    const missing = view.members.filter(({ id }) => !this.isHere(id, nowMs))
    const isLoading = here.some(({ id }) => this.#stateOf(id) === "loading")
    const voters = view.members.filter(({ voter }) => voter)
    const canDecide = here.filter(({ voter }) => voter).length >= majorityOf(voters.length)
    const mayGoOn =
      missing.length === 0 ||
      this.#isOrdered(here, nowMs) ||
      (canDecide && this.#losesNothing(missing, here, nowMs)) ||
      (canDecide && !this.#options.rules.resumeWaits)
    if (isLoading || !mayGoOn) return { kind: "wait", missing }
    // Members are in the order of their ranks. Whoever cannot vote leads only where nobody can decide.
    const first = here.find(({ voter }) => voter) ?? here[0]
    if (first?.id !== self) return { kind: "follow" }
    const unclaimed = here.flatMap(({ id }) => (this.#stateOf(id) === "claimed" ? [] : [id]))
    if (unclaimed.length > 0) return { kind: "claim", of: unclaimed }
    return { kind: "go-on", how: canDecide ? "by-decision" : "as-a-generation", without: missing }
  }

  #stateOf(id: NodeId): ResumeState {
    return id === this.#options.self ? this.#state : (this.#others.get(id)?.state ?? "loading")
  }

  /** Said to this node, or to another that is here; then this one may be the last to come, and has yet to hear the rest. */
  #isOrdered(here: readonly Member[], nowMs: number): boolean {
    if (nowMs >= this.#goesOnAtMs) return true
    return nowMs - this.#loadedAtMs >= heardFirstMs && here.some(({ id }) => this.#others.get(id)?.goesOn === true)
  }

  /**
   * Each of those who are missing was started without what it wrote down, or never wrote it, since another process is where
   * it was; and of all that they held, somebody who is back has a copy.
   */
  #losesNothing(missing: readonly Member[], here: readonly Member[], nowMs: number): boolean {
    // Somebody else's copy may be on its way: they get as long as it takes to hear everybody.
    if (nowMs - this.#loadedAtMs < freshAnnouncements * this.#options.announceEveryMs) return false
    const isReplaced = ({ addr }: Member) =>
      nowMs - (this.#replacedAtMs.get(addr) ?? Number.NEGATIVE_INFINITY) < replacementMs
    if (!missing.every(isReplaced)) return false
    const ids = new Set(here.map(({ id }) => id))
    return this.#options.view.shards.every(({ orphan, inSync }) => orphan || inSync.some(id => ids.has(id)))
  }
}
