/**
 * Until when leases that others hold may last, and so which fences a view opens: what its new primaries have to wait for,
 * in this view and in those that follow. Knows what deciders said of the grants that they gave, and what to assume where
 * nobody said anything; holds no fence and grants no lease ("Leases and fences" in `../README.md`).
 */
import type { Epoch, FenceTimes, NodeId, ShardId } from "../../protocol/message.ts"
import { primariesLost } from "../layout.ts"
import type { Rules } from "../rules.ts"
import type { Standing } from "./standing.ts"

export type LeaseEndsOptions = {
  readonly self: NodeId
  readonly clockRateError: number
  readonly rules: Pick<Rules, "longLeasesCount" | "barrierWhole" | "gapFence" | "voterFence" | "fencesEverywhere">
}

/** `who` null: some primary that this node never heard of. */
export type NewFence = {
  readonly who: NodeId | null
  readonly epoch: Epoch
  readonly untilMs: number
  readonly shards: readonly ShardId[]
}

export class LeaseEnds {
  readonly #options: LeaseEndsOptions
  /** Lease times of views applied lately: a fence must outlast the longest. */
  #leaseTimes: { leaseMs: number; atMs: number }[] = []
  /** Until when the leases of those replaced by the current view last; null: it came without that. */
  #knownUntilMs: ReadonlyMap<NodeId, number> | null = null
  #votersUntilMs = Number.NEGATIVE_INFINITY

  constructor(options: LeaseEndsOptions) {
    this.#options = options
  }

  /** The longest that a lease granted lately may last, on any clock. `leaseMs`: of one granted now. */
  longestMs(leaseMs: number): number {
    const { rules, clockRateError } = this.#options
    const held = rules.longLeasesCount ? this.#leaseTimes : []
    const longest = held.reduce((most, lease) => Math.max(most, lease.leaseMs), leaseMs)
    const wholeMs = longest * (1 + clockRateError)
    return rules.barrierWhole ? wholeMs : wholeMs / 5
  }

  /** What the view to be installed next comes with. */
  know(untilMs: ReadonlyMap<NodeId, number> | null): void {
    this.#knownUntilMs = untilMs
  }

  /** What is known, for others: how much is left. */
  known(nowMs: number): FenceTimes | null {
    if (this.#knownUntilMs === null) return null
    const times: [NodeId, number][] = []
    for (const [who, untilMs] of this.#knownUntilMs) if (untilMs > nowMs) times.push([who, untilMs - nowMs])
    return times
  }

  /** "gap": views between the two were skipped, or who held leases before is known to nobody. */
  viewInstalled(last: Standing, next: Standing, how: "contiguous" | "gap", nowMs: number): NewFence[] {
    // What was granted until this moment was granted for the lease time of the view before.
    if (last.view !== undefined) this.#leaseTimes.push({ leaseMs: last.times.leaseMs, atMs: nowMs })
    this.#leaseTimes = this.#leaseTimes.filter(({ leaseMs, atMs }) => nowMs - atMs < 2 * leaseMs * 1.1)
    this.#leaseTimes.push({ leaseMs: next.times.leaseMs, atMs: nowMs })
    const wholeMs = nowMs + this.longestMs(next.times.leaseMs)
    return how === "gap" ? this.#afterGap(last, next, wholeMs) : this.#afterStep(last, next, wholeMs, nowMs)
  }

  #afterGap({ view: before }: Standing, { view: after }: Standing, wholeMs: number): NewFence[] {
    if (after === undefined || !this.#options.rules.gapFence) return []
    this.#votersUntilMs = wholeMs
    const lastEpoch = before?.epoch ?? 0
    const isOther = before?.generation !== after.generation
    const unknown: ShardId[] = []
    for (const [shard, { primary, primarySince }] of after.shards.entries())
      if (isOther || primary === null || primarySince > lastEpoch) unknown.push(shard)
    return [{ who: null, epoch: after.epoch, untilMs: wholeMs, shards: unknown }]
  }

  #afterStep(last: Standing, next: Standing, wholeMs: number, nowMs: number): NewFence[] {
    const { self, rules } = this.#options
    const { view: before } = last
    const { view: after } = next
    if (before === undefined || after === undefined) return []
    const fences: NewFence[] = []
    for (const [who, shards] of primariesLost(before, after)) {
      if (who === self) continue
      const knownMs = this.#knownUntilMs === null ? wholeMs : (this.#knownUntilMs.get(who) ?? nowMs)
      // The leases of an earlier view rest on other voters than those that reported their grants now.
      const untilMs = rules.voterFence ? Math.max(knownMs, this.#votersUntilMs) : knownMs
      const kept = rules.fencesEverywhere ? shards : shards.filter(shard => after.shards[shard]?.primary === self)
      if (untilMs > nowMs) fences.push({ who, epoch: after.epoch, untilMs, shards: kept })
    }
    if (!sameIds(last.voters, next.voters)) this.#votersUntilMs = wholeMs
    return fences
  }
}

function sameIds(a: readonly NodeId[], b: readonly NodeId[]): boolean {
  return a.length === b.length && a.every((id, index) => id === b[index])
}
