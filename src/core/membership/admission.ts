/**
 * Who may become a member: what this node answers to those who ask, and whose join it proposes. A process that nobody can
 * dial, or that the others lost again and again, would only cost views ("Views", "Detection" in `../README.md`). Knows
 * nothing of how a view is decided.
 */
import type { Prng } from "../../base/prng.ts"
import type {
  Address,
  ControlMessage,
  Eviction,
  JoinRefusal,
  NodeId,
  View,
  ViewCommand,
} from "../../protocol/message.ts"
import type { Rules } from "../rules.ts"
import type { CatchingUp } from "./catching-up.ts"
import type { Flaps } from "./flaps.ts"
import { Doorkeeper } from "./join.ts"
import { memberOf } from "./view.ts"

export type AdmissionOptions = {
  readonly self: NodeId
  readonly eviction: Eviction
  readonly prng: Prng
  readonly rules: Pick<Rules, "dialBack">
  readonly flaps: Flaps
  readonly catchingUp: CatchingUp
  readonly propose: (commands: readonly ViewCommand[], nowMs: number) => void
  readonly send: (to: NodeId, message: ControlMessage) => void
  readonly sendToAddress: (address: Address, message: ControlMessage) => void
}

/** How many addresses a joiner is told besides. */
export const addressesTold = 16

export class Admission {
  readonly #options: AdmissionOptions
  readonly #doorkeeper: Doorkeeper

  constructor(options: AdmissionOptions) {
    this.#options = options
    this.#doorkeeper = new Doorkeeper(options.prng)
  }

  /** Somebody asks a member to be let in, or whether it is. */
  asked(from: NodeId, request: Extract<ControlMessage, { kind: "join-request" }>, view: View, nowMs: number): void {
    const { self, eviction, rules, catchingUp, propose, send, sendToAddress } = this.#options
    const { member } = request
    const refusal = this.#doorkeeper.refusal(request, view, eviction) ?? this.#flapRefusal(member.id, view, nowMs)
    if (refusal !== undefined) return send(from, { kind: "join-refused", ...refusal })
    if (memberOf(view, member.id) !== undefined) return catchingUp.give(from, request.have, nowMs)
    const told = view.members.filter(({ id }) => id !== self).sort((a, b) => Number(b.voter) - Number(a.voter))
    send(from, { kind: "try-also", addresses: told.slice(0, addressesTold).map(({ addr }) => addr) })
    if (!rules.dialBack) propose([{ kind: "join", member }], nowMs)
    const nonce = this.#doorkeeper.dialBack(member, nowMs)
    sendToAddress(member.addr, { kind: "dial-back", nonce, id: member.id })
  }

  dialBackAnswered(nonce: number, id: NodeId, nowMs: number): void {
    const verdict = this.#doorkeeper.answered(nonce, id)
    if (verdict?.kind === "admit") return this.#options.propose([{ kind: "join", member: verdict.member }], nowMs)
    if (verdict?.kind === "taken")
      this.#options.send(verdict.member.id, {
        kind: "join-refused",
        reason: "address-taken",
        detail: `another process answers at ${verdict.member.addr}: two nodes advertise the same address`,
      })
  }

  /** How long the others want to be left alone by it. Whoever alone holds something is always welcome. */
  waitMs(id: NodeId, view: View, nowMs: number): number {
    const waitMs = this.#options.flaps.waitMs(id, nowMs)
    return waitMs > 0 && view.shards.some(({ orphan, inSync }) => orphan && inSync.includes(id)) ? 0 : waitMs
  }

  #flapRefusal(id: NodeId, view: View, nowMs: number): { reason: JoinRefusal; detail: string } | undefined {
    const waitMs = this.waitMs(id, view, nowMs)
    if (waitMs === 0) return undefined
    const seconds = Math.ceil(waitMs / 1_000)
    return { reason: "flapping", detail: `the others lost it again and again; it may come back in ${seconds} s` }
  }

  /** Tells those who could not be reached where they say they are. */
  tidy(nowMs: number): void {
    for (const member of this.#doorkeeper.expire(nowMs))
      this.#options.send(member.id, {
        kind: "join-refused",
        reason: "no-dial-back",
        detail: `nobody answers at ${member.addr}, the address that it advertises: is it reachable from here?`,
      })
  }
}
