/**
 * A node that was started with what it wrote down at a stop, until the next view: says that it is back, has what it
 * started from taken out of use, and does nothing before that which a second process could do as well. Who is back, and
 * what follows, `resume.ts` says; what follows is carried out by whoever decides and installs views ("Planned stop" in
 * `../README.md`).
 */
import type { Config } from "../../config.ts"
import type {
  Address,
  AdminCommand,
  AdminOutcome,
  ControlMessage,
  Epoch,
  MemberInfo,
  NodeId,
  View,
  ViewCommand,
} from "../../protocol/message.ts"
import type { Rules } from "../rules.ts"
import { addressesTold } from "./admission.ts"
import type { CatchingUp } from "./catching-up.ts"
import type { Consensus } from "./consensus.ts"
import { plan, refused } from "./orders.ts"
import { Resume, type ResumeOptions } from "./resume.ts"
import { timesFor } from "./times.ts"
import { memberOf } from "./view.ts"

export type ResumingOptions = Pick<ResumeOptions, "view" | "goesOn"> & {
  readonly self: MemberInfo
  readonly seeds: readonly Address[]
  readonly config: Config
  readonly rules: Rules
  readonly consensus: Consensus
  readonly catchingUp: CatchingUp
  /** Where there may be somebody to ask. */
  readonly addresses: () => readonly Address[]
  readonly send: (to: NodeId, message: ControlMessage) => void
  readonly sendToAddress: (address: Address, message: ControlMessage) => void
  readonly claimSnapshot: () => void
  readonly awaits: (missing: readonly Address[], nowMs: number) => void
  /** The view of a new generation, in which nobody but these is left. */
  readonly withNobodyBut: (survivors: ReadonlySet<NodeId>) => View
  readonly recover: (next: View, nowMs: number) => void
  /** The cluster resumed without this process, as this later view shows. */
  readonly tooLate: (generation: number, epoch: Epoch) => void
}

export class Resuming {
  readonly #options: ResumingOptions
  readonly resume: Resume
  /** Whom it tells: at a seed there may be somebody who knows where the cluster has gone. */
  readonly #told: ReadonlySet<Address>
  #isClaiming = false
  #claimAtMs = Number.NEGATIVE_INFINITY
  #isTooLate = false

  constructor(options: ResumingOptions) {
    this.#options = options
    const { self, view, goesOn, seeds, config, rules } = options
    // Everybody tells everybody: as often as beats allow, where there are many.
    const announceEveryMs = Math.max(config.joinRetryMs, timesFor(config, view.members.length).beatMs)
    this.resume = new Resume({ self: self.id, view, goesOn, announceEveryMs, rules })
    const told = new Set([...view.members.map(({ addr }) => addr), ...seeds])
    for (const own of [self.addr, self.clientAddr]) told.delete(own)
    this.#told = told
  }

  /** Where those are that it waits for. */
  awaited(nowMs: number): Address[] {
    const verdict = this.resume.verdict(nowMs)
    return verdict.kind === "wait" ? verdict.missing.map(({ addr }) => addr) : []
  }

  tick(nowMs: number): void {
    const { view, config, consensus, send, sendToAddress, awaits } = this.#options
    const said = this.resume.announcement(nowMs)
    if (said !== undefined) {
      const { generation, epoch } = view
      for (const address of this.#told) sendToAddress(address, { kind: "resuming", generation, epoch, ...said })
    }
    consensus.tick(nowMs, 0, "wait")
    const verdict = this.resume.verdict(nowMs)
    switch (verdict.kind) {
      case "wait":
        return awaits(
          verdict.missing.map(({ addr }) => addr),
          nowMs,
        )
      case "follow":
        return
      case "claim":
        if (nowMs < this.#claimAtMs) return
        this.#claimAtMs = nowMs + config.proposeRetryMs
        for (const id of verdict.of)
          if (id === this.#options.self.id) this.#claim(nowMs)
          else send(id, { kind: "claim", epoch: view.epoch })
        return
      case "go-on": {
        const removals: ViewCommand[] = verdict.without.map(({ id, since }) => ({ kind: "remove", id, since }))
        if (verdict.how === "by-decision") return consensus.propose([...removals, { kind: "resume" }], nowMs)
        const here = view.members.filter(member => !verdict.without.includes(member)).map(({ id }) => id)
        return this.#options.recover(this.#options.withNobodyBut(new Set(here)), nowMs)
      }
    }
  }

  #claim(nowMs: number): void {
    if (this.resume.state !== "waiting" || this.#isClaiming) return
    this.#isClaiming = true
    if (this.#options.rules.resumeClaims) this.#options.claimSnapshot()
    else this.resume.claimed(nowMs)
  }

  /** Whether a message is taken like any other. Without a claim this node does nothing that it could do twice. */
  takes(from: NodeId, message: ControlMessage, nowMs: number): boolean {
    if (this.#isTooLate) return false // another node begins in its place
    const { view, catchingUp } = this.#options
    const isClaimed = this.resume.state === "claimed"
    switch (message.kind) {
      case "claim":
        if (message.epoch === view.epoch) this.#claim(nowMs)
        return false
      case "join-request":
        this.#asked(from, message, nowMs)
        return false
      case "beat":
        if (message.epoch > view.epoch) catchingUp.pull(from, nowMs)
        else if (message.epoch < view.epoch) catchingUp.lags(from, message.epoch, nowMs)
        return false
      case "prepare":
      case "promise":
      case "accept":
      case "accepted":
      case "nack":
        return isClaimed
      case "view-delta":
        return isClaimed || this.#isInTime(view.generation, message.steps.at(-1)?.epoch ?? 0)
      case "view-snapshot": {
        const { clusterId, generation, epoch } = message.view
        return clusterId === view.clusterId && (isClaimed || this.#isInTime(generation, epoch))
      }
      case "resuming":
      case "dial-back":
      case "view-pull":
      case "try-also":
        return true
      default:
        return false
    }
  }

  #asked(from: NodeId, { member, have }: Extract<ControlMessage, { kind: "join-request" }>, nowMs: number): void {
    const { view, catchingUp, addresses, send } = this.#options
    if (memberOf(view, member.id) !== undefined) return catchingUp.give(from, have, nowMs)
    this.resume.replaced(member.addr, nowMs)
    send(from, { kind: "try-also", addresses: addresses().slice(0, addressesTold) })
  }

  /**
   * Whether a node that has claimed nothing may follow to a later view. It may not: whoever resumed waited for what this node
   * started from to be claimed, so it was done without this process, or by another that started from the same.
   */
  #isInTime(generation: number, epoch: Epoch): boolean {
    const { view, rules, tooLate } = this.#options
    const isLater = generation === view.generation ? epoch > view.epoch : generation > view.generation
    if (!isLater || !rules.resumeInTime) return isLater
    this.#isTooLate = true
    tooLate(generation, epoch)
    return false
  }

  obey(command: AdminCommand, nowMs: number): AdminOutcome {
    const { view, withNobodyBut } = this.#options
    if (command.kind !== "recover")
      return refused("stopped", "the cluster has been stopped, and waits for all of its members to start again")
    const here = view.members.flatMap(({ id }) => (this.resume.isHere(id, nowMs) ? [id] : []))
    if (command.how === "plan") return plan(view, withNobodyBut(new Set(here)))
    this.resume.goOn(nowMs)
    return { kind: "accepted" }
  }
}
