/**
 * A node of a stopped cluster, until its process ends: it decides nothing more, helps those who do not know of the stop,
 * and says when it is not needed any longer. How data is written down it does not know ("Planned stop" in `../README.md`).
 */
import { assert } from "../../base/assert.ts"
import type { ControlMessage, NodeId } from "../../protocol/message.ts"
import type { Rules } from "../rules.ts"
import type { CatchingUp } from "./catching-up.ts"
import type { Standing } from "./standing.ts"
import { memberOf } from "./view.ts"

export type StoppedOptions = {
  readonly self: NodeId
  readonly rules: Pick<Rules, "stopAbstains">
  readonly catchingUp: CatchingUp
}

/** A node that has written down what it holds stays at most so long for those who do not know of the stop. */
const lingerMs = 10_000

export class Stopped {
  readonly #options: StoppedOptions
  /** Which members have shown that they know the stop, and since when all is written down here. */
  readonly #knowing = new Set<NodeId>()
  #writtenAtMs = Number.POSITIVE_INFINITY

  constructor(options: StoppedOptions) {
    this.#options = options
  }

  /** All that this node holds is written down. */
  written(nowMs: number): void {
    this.#writtenAtMs = nowMs
  }

  /** Whether a message is taken like any other. */
  takes(from: NodeId, message: ControlMessage, { view }: Standing, nowMs: number): boolean {
    assert(view !== undefined, "a stopped node has a view")
    const { rules, catchingUp } = this.#options
    switch (message.kind) {
      case "beat":
        if (message.epoch >= view.epoch) this.#knowing.add(from)
        return true
      case "prepare":
      case "accept":
      case "accepted":
        // What follows is decided by those who have started again. What was promised here, nobody would remember then.
        return message.epoch <= view.epoch || !rules.stopAbstains
      case "promise":
      case "nack":
        return !rules.stopAbstains
      case "join-request":
        if (memberOf(view, message.member.id) !== undefined) catchingUp.give(from, message.have, nowMs)
        return false
      case "beat-ack":
      case "yield":
      case "view-pull":
        return true
      default:
        return false
    }
  }

  /** True once: the process may end. */
  isDone({ view, isVoter }: Standing, nowMs: number): boolean {
    if (nowMs < this.#writtenAtMs) return false
    const others = view?.members.filter(({ id }) => id !== this.#options.self) ?? []
    // Only voters can tell those who missed it; every member beats to them.
    const isKnown = !isVoter || others.every(({ id }) => this.#knowing.has(id))
    if (!isKnown && nowMs - this.#writtenAtMs < lingerMs) return false
    this.#writtenAtMs = Number.POSITIVE_INFINITY
    return true
  }
}
