/**
 * This node's beats to the voters, and what it grants as a voter to those who beat: their leases rest on it. Until when a
 * lease lasts `lease.ts` knows; what silence means, and who replaces whom, is not known here ("Leases and fences" in
 * `../README.md`).
 */
import { assert } from "../../base/assert.ts"
import type { Prng } from "../../base/prng.ts"
import type { ControlMessage, Epoch, FenceTimes, NodeId, View } from "../../protocol/message.ts"
import { primariesLost } from "../layout.ts"
import type { Rules } from "../rules.ts"
import type { Consensus } from "./consensus.ts"
import type { Detector } from "./detector.ts"
import type { Lease } from "./lease.ts"
import type { Standing } from "./standing.ts"

export type BeatsOptions = {
  readonly self: NodeId
  readonly beatJitter: number
  readonly prng: Prng
  readonly rules: Pick<Rules, "acceptRaisesHorizon" | "grantHorizon">
  readonly standing: () => Standing
  readonly lease: Lease
  readonly detector: Detector
  readonly consensus: Pick<Consensus, "hasOpenAcceptance">
  readonly send: (to: NodeId, message: ControlMessage) => void
}

export class Beats {
  readonly #options: BeatsOptions
  #nextAtMs = Number.NEGATIVE_INFINITY

  constructor(options: BeatsOptions) {
    this.#options = options
  }

  get dueAtMs(): number {
    return this.#nextAtMs
  }

  tick(nowMs: number): void {
    if (nowMs >= this.#nextAtMs) this.beat(nowMs)
  }

  beat(nowMs: number): void {
    const { self, beatJitter, prng, standing, lease, send } = this.#options
    const { view, voters, times } = standing()
    assert(view !== undefined, "only a member beats")
    this.#nextAtMs = nowMs + times.beatMs * prng.between(1 - beatJitter, 1 + beatJitter)
    const n = lease.nextBeat(nowMs)
    for (const voter of voters) {
      if (voter !== self)
        send(voter, { kind: "beat", n, epoch: view.epoch, viewHash: view.hash, acked: lease.grantedBy(voter) })
      else if (this.#mayGrant(view.epoch)) {
        lease.give(self, nowMs)
        lease.granted(self, n, nowMs)
      }
    }
  }

  /** A member has beaten, and has shown the view of `epoch` by it. */
  grant(to: NodeId, { n, epoch }: { readonly n: number; readonly epoch: Epoch }, nowMs: number): void {
    const { standing, lease, detector, send } = this.#options
    const { view, isVoter } = standing()
    assert(view !== undefined, "only a member grants")
    if (!isVoter || !this.#mayGrant(epoch)) return
    lease.give(to, nowMs) // before the grant is sent, so that it is never younger than its holder believes
    detector.granted(to, n, nowMs)
    send(to, { kind: "beat-ack", n, epoch: view.epoch })
  }

  /** A voter that has accepted the next view grants nothing to the current one, else a replaced primary lives on. */
  #mayGrant(epoch: Epoch): boolean {
    const { rules, standing, consensus } = this.#options
    const current = standing().view?.epoch ?? 0
    const horizon = rules.acceptRaisesHorizon && consensus.hasOpenAcceptance ? current + 1 : current
    return epoch >= horizon || !rules.grantHorizon
  }

  /** How old this voter's last grants are to the primaries that `next` replaces, where they matter still. */
  agesOfGrants(next: View, horizonMs: number, nowMs: number): FenceTimes {
    const { view } = this.#options.standing()
    assert(view !== undefined, "only a member accepts")
    const ages: [NodeId, number][] = []
    for (const primary of primariesLost(view, next).keys()) {
      const ageMs = this.#options.lease.ageOfGrant(primary, nowMs, horizonMs)
      if (ageMs !== undefined) ages.push([primary, ageMs])
    }
    return ages
  }
}
