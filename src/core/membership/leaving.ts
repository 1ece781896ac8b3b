/**
 * How a member goes: it asks to leave until a view shows it, waits while its shards are handed over, and, once it is
 * removed, until those who remain know. Hands nothing over itself: that follows from the views ("Views" in `../README.md`).
 */
import type { ControlMessage, Epoch, NodeId, ViewCommand } from "../../protocol/message.ts"
import type { NodeEvent } from "../ports.ts"
import type { CatchingUp } from "./catching-up.ts"
import type { Standing } from "./standing.ts"
import { memberOf } from "./view.ts"

export type LeavingOptions = {
  readonly self: NodeId
  readonly proposeRetryMs: number
  readonly standing: () => Standing
  readonly catchingUp: CatchingUp
  readonly propose: (commands: readonly ViewCommand[], nowMs: number) => void
  /** It may go now. */
  readonly left: (who: "last" | "others-remain") => void
  readonly send: (to: NodeId, message: ControlMessage) => void
  readonly event: (event: NodeEvent) => void
}

/** A node whose leave was decided waits at most so long for those who remain to know it. */
const farewellMs = 2_000

type Farewell = { readonly untilMs: number; nextAtMs: number; readonly heard: Set<NodeId> }

export class Leaving {
  readonly #options: LeavingOptions
  #nextAtMs = Number.NEGATIVE_INFINITY
  /** This node's leave was decided: who has shown that it knows, and until when it waits for that. */
  #farewell: Farewell | null = null

  constructor(options: LeavingOptions) {
    this.#options = options
  }

  get isDecided(): boolean {
    return this.#farewell !== null
  }

  tick(nowMs: number): void {
    if (this.#farewell === null) this.#askToLeave(nowMs)
    else this.#bidFarewell(this.#farewell, nowMs)
  }

  #askToLeave(nowMs: number): void {
    const { self, proposeRetryMs, standing, propose, left, event } = this.#options
    const { view } = standing()
    if (view === undefined || nowMs < this.#nextAtMs) return
    this.#nextAtMs = nowMs + 2 * proposeRetryMs
    const member = memberOf(view, self)
    if (member === undefined) return
    if (view.members.every(({ id, witness }) => id === self || witness)) return left("last")
    if (!member.leaving) propose([{ kind: "leave", id: self }], nowMs)
    const shardsLeft = view.shards.filter(({ inSync }) => inSync.includes(self)).length
    event({ kind: "leave-progress", shardsLeft })
  }

  /**
   * This node may be the only one to know the view that removed it, where it was a voter of the one before: it goes when
   * a majority of those who decide from now on have it.
   */
  decided(nowMs: number): void {
    this.#farewell = { untilMs: nowMs + farewellMs, nextAtMs: nowMs, heard: new Set() }
    this.#bidFarewell(this.#farewell, nowMs)
  }

  #bidFarewell(farewell: Farewell, nowMs: number): void {
    const { proposeRetryMs, standing, catchingUp, send } = this.#options
    const { view, voters } = standing()
    if (view === undefined) return
    if (nowMs >= farewell.untilMs) return this.#end()
    if (nowMs < farewell.nextAtMs) return
    farewell.nextAtMs = nowMs + proposeRetryMs
    for (const voter of voters) {
      if (farewell.heard.has(voter)) continue
      catchingUp.give(voter, view.epoch - 1, nowMs)
      send(voter, { kind: "yield", epoch: view.epoch })
    }
  }

  /** `from` has shown that it knows the view of `epoch`. */
  heard(from: NodeId, epoch: Epoch): void {
    const farewell = this.#farewell
    const { view, voters } = this.#options.standing()
    if (farewell === null || epoch < (view?.epoch ?? 0) || !voters.includes(from)) return
    farewell.heard.add(from)
    if (farewell.heard.size > voters.length / 2) this.#end()
  }

  #end(): void {
    this.#farewell = null
    this.#options.left("others-remain")
  }
}
