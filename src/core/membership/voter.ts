/**
 * What a voter does for all: it tells the other voters who has fallen silent, and, where no voter of a lower rank is
 * heard, has the next view proposed. Whom it hears the detector says, what that view is to be the leader; how it is
 * decided and how leases stand it does not know ("Detection", "Consensus" in `../README.md`).
 */
import { assert } from "../../base/assert.ts"
import type { Config } from "../../config.ts"
import type { ControlMessage, Epoch, NodeId, View, ViewCommand } from "../../protocol/message.ts"
import type { NodeEvent } from "../ports.ts"
import type { Rules } from "../rules.ts"
import type { Consensus } from "./consensus.ts"
import type { Deaths } from "./deaths.ts"
import type { Detector } from "./detector.ts"
import type { Leader } from "./leader.ts"
import type { Standing } from "./standing.ts"
import { memberOf } from "./view.ts"

export type VoterOptions = {
  readonly self: NodeId
  readonly config: Config
  readonly rules: Rules
  readonly deaths: Deaths
  readonly detector: Detector
  readonly leader: Leader
  readonly consensus: Consensus
  /** How long any lease may last that was granted before now. */
  readonly fenceMs: () => number
  /** Whether the process may join, or was voted out too often lately. */
  readonly mayJoin: (id: NodeId, view: View, nowMs: number) => boolean
  readonly send: (to: NodeId, message: ControlMessage) => void
  readonly event: (event: NodeEvent) => void
}

/** Commands and suspicions go to so many of the first voters, so that the loss of one costs no extra time. */
export const leadersTold = 3

export class Voter {
  readonly #options: VoterOptions
  readonly #suspected = new Set<NodeId>()
  #reportAtMs = Number.NEGATIVE_INFINITY
  /** The last time that the voters that this node hears were no majority. */
  #canDecideSinceMs = Number.NEGATIVE_INFINITY

  constructor(options: VoterOptions) {
    this.#options = options
  }

  viewInstalled(view: View): void {
    for (const subject of this.#suspected) if (memberOf(view, subject) === undefined) this.#suspected.delete(subject)
  }

  /** Nobody listens where the member was: no need to wait for its silence. Fences are not shortened by it. */
  refused(peer: NodeId, nowMs: number): void {
    this.#options.detector.refused(peer)
    this.#reportAtMs = nowMs
  }

  tick(standing: Standing, nowMs: number): void {
    const { view, voters } = standing
    assert(view !== undefined, "a voter is a member")
    const { self, consensus, deaths, detector, rules } = this.#options
    this.#report(standing, view, nowMs)
    const rank = voters.indexOf(self)
    const leads = voters.slice(0, rank).every(voter => rules.ranksAct && !detector.hears(voter, nowMs))
    const heard = voters.filter(voter => voter === self || detector.hears(voter, nowMs))
    const canDecide = deaths.isQuorum(voters, voter => heard.includes(voter))
    if (!canDecide && rules.decidersSettle) this.#canDecideSinceMs = nowMs
    if (leads && canDecide && !consensus.isProposing && !consensus.hasOpenAcceptance) this.#lead(standing, view, nowMs)
    consensus.tick(nowMs, rank, rules.finishInstances ? "finish" : "wait")
  }

  /** Until when there is nothing to do here unless something is heard other than beats; `nowMs`: there is something. */
  restsUntilMs(nowMs: number): number {
    const { config, consensus, detector, leader } = this.#options
    if (this.#suspected.size > 0 || !consensus.isAtRest || !leader.isAtRest(nowMs)) return nowMs
    return Math.min(nowMs + config.restMs, detector.restsUntilMs(nowMs))
  }

  #lead({ voters, times }: Standing, view: View, nowMs: number): void {
    const { self, consensus, deaths, detector, leader, fenceMs, mayJoin, event } = this.#options
    const { failed, doubted } = detector.verdicts({ voters, self, nowMs })
    const commands = leader.due({
      view,
      nowMs,
      // Just back from where nobody could decide, it may hear some only with their next beat.
      failed: nowMs - this.#canDecideSinceMs < 2 * times.beatMs ? [] : failed,
      doubted,
      hears: id => id === self || detector.hears(id, nowMs),
      isDead: id => deaths.has(id),
      fenceMs: fenceMs(),
      mayJoin: id => mayJoin(id, view, nowMs),
      isReadyToVote: member => detector.hears(member.id, nowMs) && detector.epochOf(member.id) >= member.since,
    })
    if (commands === undefined) return
    event({ kind: "proposed", epoch: view.epoch + 1, commands: summary(commands) })
    consensus.propose(commands, nowMs)
  }

  #report(standing: Standing, view: View, nowMs: number): void {
    const { self, config, detector, event } = this.#options
    for (const subject of this.#suspected)
      if (detector.hears(subject, nowMs)) this.#withdraw(standing, view, subject, nowMs)
    if (nowMs < this.#reportAtMs) return
    const silent = detector.silent(nowMs)
    if (silent.length === 0) return
    this.#reportAtMs = nowMs + config.suspectRenewMs
    for (const subject of silent) {
      const member = memberOf(view, subject)
      if (member === undefined || subject === self) continue
      if (!this.#suspected.has(subject)) {
        this.#suspected.add(subject)
        const silentForMs = Math.max(0, detector.overdueMs(subject, nowMs)) + standing.times.suspectMs
        event({ kind: "suspected", subject, silentForMs })
      }
      this.#suspect(standing, { subject, since: member.since, epoch: view.epoch }, nowMs)
    }
  }

  #withdraw({ voters }: Standing, view: View, subject: NodeId, nowMs: number): void {
    const { self, detector, send } = this.#options
    this.#suspected.delete(subject)
    const member = memberOf(view, subject)
    if (member === undefined) return
    detector.withdraw(subject, member.since, self)
    for (const voter of this.#judges(voters, nowMs))
      if (voter !== self) send(voter, { kind: "unsuspect", subject, since: member.since })
  }

  #suspect(
    { voters }: Standing,
    suspicion: { readonly subject: NodeId; readonly since: Epoch; readonly epoch: Epoch },
    nowMs: number,
  ): void {
    const { self, detector, send } = this.#options
    detector.report(suspicion.subject, suspicion.since, self, nowMs)
    for (const voter of this.#judges(voters, nowMs))
      if (voter !== self && voter !== suspicion.subject) send(voter, { kind: "suspect", ...suspicion })
  }

  /** The first voters by rank that this voter hears. */
  #judges(voters: readonly NodeId[], nowMs: number): NodeId[] {
    const { self, detector } = this.#options
    return voters.filter(voter => voter === self || detector.hears(voter, nowMs)).slice(0, leadersTold)
  }
}

/** Commands for the log: kinds with their number, and whom they concern where that is few. */
function summary(commands: readonly ViewCommand[]): string[] {
  const counts = new Map<string, number>()
  for (const command of commands) {
    const who = command.kind === "join" ? ` ${command.member.id}` : "id" in command ? ` ${command.id}` : ""
    const label = `${command.kind}${who}`
    counts.set(label, (counts.get(label) ?? 0) + 1)
  }
  return [...counts].map(([label, count]) => (count === 1 ? label : `${label} x${count}`))
}
