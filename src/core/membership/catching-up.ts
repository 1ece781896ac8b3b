/**
 * Who lacks a view is given it, and this node asks for what it lacks itself. Keeps the last views as differences, since
 * most who lag do so by a step or two. Installs nothing, and does not know how a view comes about ("Views" in
 * `../README.md`).
 */
import type { ControlMessage, Epoch, NodeId, View, ViewStep } from "../../protocol/message.ts"
import type { Decision } from "./consensus.ts"
import type { LeaseEnds } from "./lease-ends.ts"
import type { Standing } from "./standing.ts"
import { memberOf, packView } from "./view.ts"

export type CatchingUpOptions = {
  readonly self: NodeId
  /** Differences kept. */
  readonly viewsKept: number
  readonly standing: () => Standing
  readonly leaseEnds: LeaseEnds
  readonly send: (to: NodeId, message: ControlMessage) => void
}

/** A view is asked of one peer at most so often. */
const pullEveryMs = 30

export class CatchingUp {
  readonly #options: CatchingUpOptions
  /** The last views as differences, contiguous, ending with the current one. */
  #steps: ViewStep[] = []
  /** Members that show an older view: since when, and which epoch they were last sent. */
  readonly #lagging = new Map<NodeId, { readonly sinceMs: number; sentEpoch: Epoch; sentAtMs: number }>()
  readonly #pulledAtMs = new Map<NodeId, number>()

  constructor(options: CatchingUpOptions) {
    this.#options = options
  }

  /** The next view follows the current one by this. */
  stepped(step: ViewStep): void {
    this.#steps.push(step)
    if (this.#steps.length > this.#options.viewsKept) this.#steps.shift()
  }

  /** The next view does not follow the current one by a step that is known here. */
  jumped(): void {
    this.#steps = []
  }

  /** A peer has shown a newer view, or one is missing here. */
  pull(from: NodeId, nowMs: number): void {
    if (nowMs - (this.#pulledAtMs.get(from) ?? Number.NEGATIVE_INFINITY) < pullEveryMs) return
    this.#pulledAtMs.set(from, nowMs)
    const { send, standing } = this.#options
    send(from, { kind: "view-pull", have: standing().view?.epoch ?? 0 })
  }

  /** Sends what leads from `have` to the current view: the steps, where they are kept, else the whole view. */
  give(to: NodeId, have: Epoch, nowMs: number): void {
    const { send, standing, leaseEnds } = this.#options
    const { view } = standing()
    if (view === undefined || have >= view.epoch) return
    const oldest = this.#steps[0]?.epoch
    if (oldest === undefined || have + 1 < oldest || have === 0)
      return send(to, { kind: "view-snapshot", view: packView(view) })
    const steps = this.#steps.slice(have + 1 - oldest)
    send(to, { kind: "view-delta", steps, fence: leaseEnds.known(nowMs) })
  }

  /** What was decided here, to all whom it concerns. */
  announce(before: View, { step, view }: Decision, nowMs: number): void {
    const { self, send, leaseEnds } = this.#options
    const delta: ControlMessage = { kind: "view-delta", steps: [step], fence: leaseEnds.known(nowMs) }
    for (const { id } of view.members) {
      if (id === self) continue
      const isNew = memberOf(before, id) === undefined
      send(id, isNew ? { kind: "view-snapshot", view: packView(view) } : delta)
    }
    for (const { id } of before.members) if (id !== self && memberOf(view, id) === undefined) send(id, delta)
  }

  /** Whether the instance of `epoch` is not the one that this node is in: whoever lags is helped. */
  isElsewhere(from: NodeId, epoch: Epoch, nowMs: number): boolean {
    const current = this.#options.standing().view?.epoch ?? 0
    if (epoch === current + 1) return false
    if (epoch <= current) this.give(from, epoch - 1, nowMs)
    else this.pull(from, nowMs)
    return true
  }

  /**
   * Whoever decided a view has told everyone, so a member that shows an older one is mostly about to learn it. The
   * first voter helps after half a beat, the next ones each a beat later, and nobody sends the same view at every beat.
   */
  lags(id: NodeId, have: Epoch, nowMs: number): void {
    const { view, voters, times } = this.#options.standing()
    if (view === undefined) return
    const known = this.#lagging.get(id)
    if (known === undefined) {
      this.#lagging.set(id, { sinceMs: nowMs, sentEpoch: 0, sentAtMs: nowMs })
      return
    }
    const rank = Math.max(0, voters.indexOf(this.#options.self))
    if (nowMs - known.sinceMs < times.beatMs * (rank + 0.5)) return
    if (known.sentEpoch === view.epoch && nowMs - known.sentAtMs < times.suspectMs) return
    known.sentEpoch = view.epoch
    known.sentAtMs = nowMs
    this.give(id, have, nowMs)
  }

  lagsNoMore(id: NodeId): void {
    this.#lagging.delete(id)
  }

  tidy(nowMs: number, keepMs: number): void {
    for (const [peer, atMs] of this.#pulledAtMs) if (nowMs - atMs > keepMs) this.#pulledAtMs.delete(peer)
    for (const [peer, { sentAtMs }] of this.#lagging) if (nowMs - sentAtMs > 2 * keepMs) this.#lagging.delete(peer)
  }
}
