/**
 * Who was voted out again and again, and how long it stays out. Each time it comes back its shards move twice: a process
 * behind a link that comes and goes would keep a cluster copying for nothing ("Detection" in `../README.md`).
 */
import { maxMembers } from "../../protocol/limits.ts"
import type { NodeId } from "../../protocol/message.ts"
import type { Rules } from "../rules.ts"

/** The first times are forgiven. */
const forgiven = 2

export type FlapsOptions = {
  /** After the third removal a process stays out for so long, after each further one for twice as long, up to the most. */
  readonly flapWaitMs: number
  readonly flapWaitMaxMs: number
  /** Removals count together when each comes within this time of when the process might come back. */
  readonly flapWindowMs: number
}

type Flap = { readonly count: number; readonly atMs: number }

export class Flaps {
  readonly #options: FlapsOptions
  readonly #rules: Pick<Rules, "flapsWait">
  readonly #flaps = new Map<NodeId, Flap>()

  constructor(options: FlapsOptions, rules: Pick<Rules, "flapsWait">) {
    this.#options = options
    this.#rules = rules
  }

  /** It was voted out, without having asked to leave. */
  removed(id: NodeId, nowMs: number): void {
    const known = this.#flaps.get(id)
    const isCounted = known !== undefined && nowMs < this.#forgottenAtMs(known)
    if (known === undefined && this.#flaps.size >= maxMembers) return
    this.#flaps.set(id, { count: isCounted ? known.count + 1 : 1, atMs: nowMs })
  }

  /** How long it must wait before it may join again; 0: not at all. */
  waitMs(id: NodeId, nowMs: number): number {
    const known = this.#flaps.get(id)
    if (known === undefined || !this.#rules.flapsWait) return 0
    return Math.max(0, known.atMs + this.#outMs(known) - nowMs)
  }

  tidy(nowMs: number): void {
    for (const [id, known] of this.#flaps) if (nowMs >= this.#forgottenAtMs(known)) this.#flaps.delete(id)
  }

  #outMs({ count }: Flap): number {
    const { flapWaitMs, flapWaitMaxMs } = this.#options
    return count <= forgiven ? 0 : Math.min(flapWaitMaxMs, flapWaitMs * 2 ** (count - forgiven - 1))
  }

  #forgottenAtMs(known: Flap): number {
    return known.atMs + this.#outMs(known) + this.#options.flapWindowMs
  }
}
