/**
 * What comes of having the lease or not: who waits for it goes on, people are told when operations are refused for want
 * of it, and a member that lacks it for long may have been forgotten. Whether it is held, the caller says.
 */
import type { NodeEvent } from "../ports.ts"
import type { Standing } from "./standing.ts"

export type LeaseWatchOptions = {
  /** Operations wait for a lease at most so long. */
  readonly parkWithoutLeaseMs: number
  readonly gained: () => void
  readonly event: (event: NodeEvent) => void
}

/** A member without a lease for so many suspicion times asks around like a joiner. */
const lostFactor = 5

export class LeaseWatch {
  readonly #options: LeaseWatchOptions
  #has = false
  /** Since when this member is without a lease, and whether that was told. */
  #lacking: { readonly sinceMs: number; isTold: boolean } | null = null
  /** The last time that it had one, or had just become a member. */
  #hadAtMs = 0

  constructor(options: LeaseWatchOptions) {
    this.#options = options
  }

  /** Whether there was a lease at the last look. */
  get has(): boolean {
    return this.#has
  }

  /** It cannot have one before it has beaten. */
  joined(nowMs: number): void {
    this.#hadAtMs = nowMs
  }

  /** `isValid`: by the voters' grants. */
  look(isValid: boolean, { view, isMember }: Standing, nowMs: number): void {
    const { gained, event } = this.#options
    const has = isMember && isValid
    // Where all is stopped there is nothing to have a lease for.
    if (!has && isMember && view?.stopped === false) this.#lacking ??= { sinceMs: nowMs, isTold: false }
    else if (this.#lacking !== null) {
      if (this.#lacking.isTold && has)
        event({ kind: "majority-again", afterMs: Math.round(nowMs - this.#lacking.sinceMs) })
      this.#lacking = null
    }
    if (has === this.#has) return
    this.#has = has
    event({ kind: has ? "lease-gained" : "lease-lost" })
    if (has) gained()
  }

  /** People are told when operations begin to be refused, not of every moment without a lease. */
  tellMinority(voters: number, nowMs: number): void {
    const lacking = this.#lacking
    if (lacking === null || lacking.isTold) return
    if (nowMs - lacking.sinceMs <= this.#options.parkWithoutLeaseMs) return
    lacking.isTold = true
    this.#options.event({ kind: "minority", voters })
  }

  /** Whether all voters that this member knows may be gone. */
  isForgotten(isValid: boolean, suspectMs: number, nowMs: number): boolean {
    if (isValid) this.#hadAtMs = nowMs
    return nowMs - this.#hadAtMs >= lostFactor * suspectMs
  }
}
