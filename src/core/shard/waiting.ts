/**
 * Operations that wait on this node: those parked beside a shard that may not answer now, and those whose effect is in a
 * log that does not commit. Each ends in time, with an answer that says what its fate is; how many are parked is bounded.
 * Does not know why a shard does not serve, and executes nothing ("Data path" in `../README.md`).
 */
import type { Reply } from "../../protocol/message.ts"
import type { Pending } from "../requests.ts"
import type { Shard } from "./shard.ts"

export type ShardState = "serving" | "waiting" | "no-lease"

export type WaitingOptions = {
  readonly maxParked: number
  /** Nobody waits longer for a lease. */
  readonly parkWithoutLeaseMs: number
  readonly answer: (pending: Pending, reply: Reply) => void
}

/** How often the operations that do not commit are looked through for those who wait for them. */
const waitersEveryMs = 50
/** How long a client is asked to wait when something is full for a moment. */
export const busyRetryMs = 20

export class Waiting {
  readonly #options: WaitingOptions
  readonly #withParked = new Set<Shard>()
  #parkedCount = 0
  /** The last time that this node had a lease, or had nothing to commit with one; when waiters are looked at next. */
  #leasedAtMs = Number.NEGATIVE_INFINITY
  #waitersAtMs = Number.NEGATIVE_INFINITY

  /** Whether nothing is parked. */
  get isEmpty(): boolean {
    return this.#parkedCount === 0
  }

  constructor(options: WaitingOptions) {
    this.#options = options
  }

  park(shard: Shard, pending: Pending, nowMs: number): void {
    if (this.#parkedCount >= this.#options.maxParked)
      return this.#options.answer(pending, { kind: "busy", retryAfterMs: busyRetryMs })
    pending.parkedAtMs ??= nowMs
    shard.parked.push(pending)
    this.#withParked.add(shard)
    this.#parkedCount += 1
  }

  unpark(shard: Shard, freed: Pending[]): void {
    if (shard.parked.length === 0) return
    this.#parkedCount -= shard.parked.length
    for (const pending of shard.parked) freed.push(pending)
    shard.parked = []
    this.#withParked.delete(shard)
  }

  unparkAll(freed: Pending[]): void {
    for (const shard of this.#withParked) this.unpark(shard, freed)
  }

  /** Answers those who have been parked for too long, and frees those who waited for nothing. */
  expire(stateOf: (shard: Shard) => ShardState, freed: Pending[], nowMs: number): void {
    for (const shard of this.#withParked) {
      const state = stateOf(shard)
      // What it waited for may have come and gone between two looks: a lease lost and regained tells nobody.
      if (state === "serving") this.unpark(shard, freed)
      else this.#expireOf(shard, state, nowMs)
    }
  }

  #expireOf(shard: Shard, state: "waiting" | "no-lease", nowMs: number): void {
    const { answer, parkWithoutLeaseMs } = this.#options
    const kept: Pending[] = []
    for (const pending of shard.parked) {
      if (state === "no-lease" && nowMs - (pending.parkedAtMs ?? nowMs) > parkWithoutLeaseMs)
        answer(pending, { kind: "unavailable", reason: "minority" })
      else if (nowMs >= pending.deadlineAtMs) answer(pending, { kind: "busy", retryAfterMs: busyRetryMs })
      else kept.push(pending)
    }
    this.#parkedCount -= shard.parked.length - kept.length
    shard.parked = kept
    if (kept.length === 0) this.#withParked.delete(shard)
  }

  /**
   * Operations that are in the log and do not commit: whoever waits for one is told that its fate is open, at its deadline, or as
   * soon as this node has been without a lease for as long as a parked operation may be. The operation stays where it is.
   */
  tellWaiters(active: ReadonlySet<Shard>, hasLease: (nowMs: number) => boolean, nowMs: number): void {
    const { answer, parkWithoutLeaseMs } = this.#options
    if (active.size === 0 || hasLease(nowMs)) this.#leasedAtMs = nowMs
    const isWithoutLease = nowMs - this.#leasedAtMs > parkWithoutLeaseMs
    if (nowMs < this.#waitersAtMs) return
    this.#waitersAtMs = nowMs + waitersEveryMs
    for (const { log } of active)
      for (const { waiters } of log) {
        if (waiters.length === 0) continue
        const kept = waiters.filter(pending => !isWithoutLease && nowMs < pending.deadlineAtMs)
        if (kept.length === waiters.length) continue
        for (const pending of waiters)
          if (!kept.includes(pending))
            answer(
              pending,
              nowMs < pending.deadlineAtMs ? { kind: "retry", afterMs: busyRetryMs } : { kind: "timeout" },
            )
        waiters.splice(0, waiters.length, ...kept)
      }
  }
}
