/**
 * Computes what the view would be without some other member, for nothing but the computing: when that member fails, all
 * nodes do this at the same moment, while its shards wait. Code that has run is fast, and its result is remembered.
 */
import type { Prng } from "../../base/prng.ts"
import type { NodeId, View, ViewCommand } from "../../protocol/message.ts"

export type RehearsalOptions = {
  readonly self: NodeId
  readonly everyMs: number
  readonly prng: Prng
  readonly apply: (commands: readonly ViewCommand[]) => View
}

/** With so many members at most, a node rehearses the loss of each of the others. */
const rehearsedMembers = 24

export class Rehearsal {
  readonly #options: RehearsalOptions
  /** How many removals have been rehearsed since the members last changed, and when the next one is due. */
  #done = 0
  #nextAtMs = Number.POSITIVE_INFINITY

  constructor(options: RehearsalOptions) {
    this.#options = options
  }

  membersChanged(nowMs: number): void {
    const { everyMs, prng } = this.#options
    this.#done = 0
    this.#nextAtMs = nowMs + 4 * everyMs * prng.between(0.5, 1.5)
  }

  get dueAtMs(): number {
    return this.#nextAtMs
  }

  tick(view: View, nowMs: number): void {
    if (nowMs < this.#nextAtMs) return
    const { self, everyMs, apply } = this.#options
    const others = view.members.filter(({ id }) => id !== self)
    const member = others[this.#done]
    this.#done += 1
    const isDone = member === undefined || others.length >= rehearsedMembers
    this.#nextAtMs = isDone ? Number.POSITIVE_INFINITY : nowMs + everyMs
    if (member !== undefined && !isDone) apply([{ kind: "remove", id: member.id, since: member.since }])
  }
}
