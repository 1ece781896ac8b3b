/**
 * Both ends of a lease: what this node was granted, and what it granted. A node may serve while a majority of the voters
 * of its view granted beats that it sent within the lease time; a grant counts from when the beat left, so the granter
 * always remembers it as younger than the holder does ("Leases and fences"; after Gray and Cheriton, Leases, 1989).
 */
import type { NodeId } from "../../protocol/message.ts"
import type { Rules } from "../rules.ts"

type LeaseRules = Pick<Rules, "lease" | "leaseMajority" | "leaseFromSending" | "grantsAreNoted" | "sleepEndsLease">

/** Beats whose time of sending is remembered. At one beat per view change and interval this covers many lease times. */
const beatsRemembered = 256

export class Lease {
  #leaseMs: number
  #voters: readonly NodeId[] = []
  /** Number of the newest beat, and when each of the last ones was sent. */
  #n = 0
  readonly #sentAtMs = new Float64Array(beatsRemembered).fill(Number.NEGATIVE_INFINITY)
  /** Beats up to this one were sent before the clock jumped: a grant for them proves nothing. */
  #voidUpTo = 0
  readonly #grantedN = new Map<NodeId, number>()
  readonly #grantedSentAtMs = new Map<NodeId, number>()
  readonly #gaveAtMs = new Map<NodeId, number>()
  #untilMs = Number.NEGATIVE_INFINITY
  readonly #rules: LeaseRules

  constructor(options: { leaseMs: number; rules: LeaseRules }) {
    this.#leaseMs = options.leaseMs
    this.#rules = options.rules
  }

  /** Grants of earlier views count, where they come from voters of this one. */
  viewChanged(voters: readonly NodeId[], leaseMs: number): void {
    this.#voters = voters
    this.#leaseMs = leaseMs
    this.#recompute()
  }

  /** Takes the number of the next beat and notes when it leaves. */
  nextBeat(nowMs: number): number {
    this.#n += 1
    this.#sentAtMs[this.#n % beatsRemembered] = nowMs
    return this.#n
  }

  /** The newest of this node's beats that `voter` has granted; 0: none. */
  grantedBy(voter: NodeId): number {
    return this.#grantedN.get(voter) ?? 0
  }

  /** When `voter` last granted: the sending time of that beat. */
  heardGrantAtMs(voter: NodeId): number {
    return this.#grantedSentAtMs.get(voter) ?? Number.NEGATIVE_INFINITY
  }

  granted(voter: NodeId, n: number, nowMs: number): void {
    if (n > this.#n || n <= this.#voidUpTo || n <= this.#n - beatsRemembered) return
    if (n <= (this.#grantedN.get(voter) ?? 0)) return
    this.#grantedN.set(voter, n)
    const sentAtMs = this.#sentAtMs[n % beatsRemembered] as number // the index is within bounds
    this.#grantedSentAtMs.set(voter, this.#rules.leaseFromSending ? sentAtMs : nowMs)
    this.#recompute()
  }

  /** Without grants from now on. */
  get validUntilMs(): number {
    return this.#untilMs
  }

  isValid(nowMs: number): boolean {
    return nowMs < this.#untilMs || !this.#rules.lease
  }

  /** The machine slept while others' clocks ran: everything granted so far may have ended. */
  clockJumped(): void {
    if (!this.#rules.sleepEndsLease) return
    this.#voidUpTo = this.#n
    this.#grantedSentAtMs.clear()
    this.#recompute()
  }

  /** Notes a grant that is about to be sent. */
  give(to: NodeId, nowMs: number): void {
    if (this.#rules.grantsAreNoted) this.#gaveAtMs.set(to, nowMs)
  }

  /** How long ago this node last granted to `to`; undefined: never, or longer ago than `horizonMs`. */
  ageOfGrant(to: NodeId, nowMs: number, horizonMs: number): number | undefined {
    const gaveAtMs = this.#gaveAtMs.get(to)
    if (gaveAtMs === undefined || nowMs - gaveAtMs > horizonMs) return undefined
    return nowMs - gaveAtMs
  }

  /** Drops what is too old to matter, of processes that are gone. */
  forgetOld(nowMs: number, horizonMs: number): void {
    for (const [to, atMs] of this.#gaveAtMs) if (nowMs - atMs > horizonMs) this.#gaveAtMs.delete(to)
    for (const [voter, atMs] of this.#grantedSentAtMs)
      if (nowMs - atMs > horizonMs && !this.#voters.includes(voter)) {
        this.#grantedSentAtMs.delete(voter)
        this.#grantedN.delete(voter)
      }
  }

  #recompute(): void {
    const needed = this.#rules.leaseMajority ? Math.floor(this.#voters.length / 2) + 1 : 1
    const sent = this.#voters.map(voter => this.heardGrantAtMs(voter)).sort((a, b) => b - a)
    this.#untilMs = (sent[needed - 1] ?? Number.NEGATIVE_INFINITY) + this.#leaseMs
  }
}
