/**
 * Decides the next view: one instance of single-decree Paxos per epoch, whose acceptors are the voters of the view
 * before (Lamport, Paxos Made Simple, 2001; the reconfiguration is that of Vertical Paxos). State lives in memory, which
 * is safe because a restarted process is another node and votes only once a later view makes it a voter ("Consensus").
 *
 * Besides the decision it delivers how long the leases of replaced primaries may still last, from the ages that the
 * acceptors report with their acceptance ("Leases and fences").
 */
import { assert } from "../../base/assert.ts"
import type { Prng } from "../../base/prng.ts"
import type { Rules } from "../rules.ts"
import type {
  Ballot,
  ControlMessage,
  Epoch,
  FenceTimes,
  NodeId,
  View,
  ViewCommand,
  ViewStep,
} from "../../protocol/message.ts"

type Message<Kind extends ControlMessage["kind"]> = Extract<ControlMessage, { kind: Kind }>

export type Decision = {
  readonly step: ViewStep
  readonly view: View
  /** For each primary that loses a shard: when, on this node's clock, its lease has certainly ended. */
  readonly fenceUntilMs: ReadonlyMap<NodeId, number>
  /** Whether this node proposed the value, and hence tells everyone. */
  readonly proposedHere: boolean
}

export type ConsensusOptions = {
  readonly self: NodeId
  readonly prng: Prng
  readonly rules: Pick<Rules, "promiseBinds" | "adoptAccepted" | "youngestGrant">
  readonly times: {
    readonly paxosRetryMs: number
    readonly paxosRetryMaxMs: number
    readonly finishAcceptedMs: number
    readonly finishPromisedMs: number
  }
  readonly send: (to: NodeId, message: ControlMessage) => void
  /** Whether these of the voters decide. */
  readonly isQuorum: (voters: readonly NodeId[], answered: (voter: NodeId) => boolean) => boolean
  /** What the commands lead to from the current view. */
  readonly apply: (commands: readonly ViewCommand[]) => View
  /** For each primary that loses a shard in `next`: how long ago this node last granted to it. */
  readonly grantAges: (next: View, nowMs: number) => FenceTimes
  /** How long after its last grant a lease may last, measured on any clock: T(1 + rho). */
  readonly fenceMs: () => number
  readonly decided: (decision: Decision, nowMs: number) => void
  /** Another node computes another view from the same commands. */
  readonly diverged: (from: NodeId) => void
}

type Accepted = {
  readonly ballot: Ballot
  readonly commands: readonly ViewCommand[]
  readonly hash: number
  readonly next: View
  readonly atMs: number
}
type Value = { readonly commands: readonly ViewCommand[]; readonly hash: number; readonly next: View }

type Proposal = {
  readonly ballot: Ballot
  readonly commands: readonly ViewCommand[]
  readonly promises: Map<NodeId, Message<"promise">["accepted"]>
  phase: "prepare" | "accept"
  readonly retryAtMs: number
}

export class Consensus {
  readonly #options: ConsensusOptions
  #voters: readonly NodeId[] = []
  #epoch: Epoch = 0
  #promised: Ballot | null = null
  #promisedAtMs = 0
  #accepted: Accepted | null = null
  #proposal: Proposal | null = null
  #highestRound = 0
  /** Own proposals of this instance that found no majority in time. */
  #failures = 0
  /** By ballot: the value, where this node has it, and who accepted it when, with which ages. */
  readonly #values = new Map<string, Value>()
  readonly #acceptances = new Map<string, Map<NodeId, { atMs: number; ages: FenceTimes }>>()

  constructor(options: ConsensusOptions) {
    this.#options = options
  }

  /** Starts the instance that follows `view`; whatever was open is over. */
  viewInstalled(view: View, voters: readonly NodeId[]): void {
    this.#voters = voters
    this.#epoch = view.epoch
    this.#promised = null
    this.#accepted = null
    this.#proposal = null
    this.#highestRound = 0
    this.#failures = 0
    this.#values.clear()
    this.#acceptances.clear()
  }

  /** A value is accepted here whose outcome is not known: grants to the current epoch are closed. */
  get hasOpenAcceptance(): boolean {
    return this.#accepted !== null
  }

  get isProposing(): boolean {
    return this.#proposal !== null
  }

  /** Whether nothing here comes due by time. */
  get isAtRest(): boolean {
    return this.#proposal === null && this.#accepted === null && this.#promised === null
  }

  /** Proposes `commands` for the next epoch. Does nothing while an own proposal is open. */
  propose(commands: readonly ViewCommand[], nowMs: number): void {
    if (this.#proposal === null && this.#votes) this.#prepare(commands, nowMs)
  }

  /**
   * Gives up an own proposal that found no majority in time, so that the next is computed from what is true then (a
   * retried removal would hit members that are long back), and finishes an instance that was left open: a voter with an open
   * acceptance grants nothing, so somebody must end it. The rank spreads the voters' attempts over time.
   */
  tick(nowMs: number, rank: number, finish: "finish" | "wait"): void {
    if (this.#proposal !== null) {
      if (nowMs < this.#proposal.retryAtMs) return
      this.#proposal = null
      this.#failures += 1
    }
    if (finish === "wait" || !this.#votes) return
    const { finishAcceptedMs, finishPromisedMs } = this.#options.times
    const turnMs = rank * 100
    const acceptanceLeft = this.#accepted !== null && nowMs - this.#accepted.atMs > finishAcceptedMs + turnMs
    const promiseLeft = this.#promised !== null && nowMs - this.#promisedAtMs > finishPromisedMs + turnMs
    if (acceptanceLeft || promiseLeft) this.#prepare([], nowMs)
  }

  prepare(from: NodeId, message: Message<"prepare">, nowMs: number): void {
    if (!this.#isCurrent(message.epoch)) return
    if (this.#isBound(message.ballot)) return this.#nack(from, message.ballot)
    this.#promise(message.ballot, nowMs)
    const accepted = this.#accepted
    this.#send(
      from,
      {
        kind: "promise",
        epoch: message.epoch,
        ballot: message.ballot,
        accepted:
          accepted === null ? null : { ballot: accepted.ballot, commands: accepted.commands, hash: accepted.hash },
      },
      nowMs,
    )
  }

  promise(from: NodeId, message: Message<"promise">, nowMs: number): void {
    const proposal = this.#proposal
    if (proposal === null || proposal.phase !== "prepare" || !isEqual(message.ballot, proposal.ballot)) return
    if (!this.#isCurrent(message.epoch) || !this.#voters.includes(from)) return
    proposal.promises.set(from, message.accepted)
    if (!this.#options.isQuorum(this.#voters, voter => proposal.promises.has(voter))) return
    let highest: Message<"promise">["accepted"] = null
    let acceptor = from
    for (const [voter, accepted] of proposal.promises)
      if (accepted !== null && (highest === null || isLess(highest.ballot, accepted.ballot))) {
        highest = accepted
        acceptor = voter
      }
    if (!this.#options.rules.adoptAccepted) highest = null
    const commands = highest?.commands ?? proposal.commands
    const next = this.#options.apply(commands)
    if (highest !== null && highest.hash !== next.hash) {
      this.#options.diverged(acceptor)
      return
    }
    proposal.phase = "accept"
    this.#values.set(keyOf(proposal.ballot), { commands, hash: next.hash, next })
    const accept: Message<"accept"> = {
      kind: "accept",
      epoch: message.epoch,
      ballot: proposal.ballot,
      commands,
      hash: next.hash,
    }
    for (const voter of this.#voters) this.#send(voter, accept, nowMs)
  }

  accept(from: NodeId, message: Message<"accept">, nowMs: number): void {
    if (!this.#isCurrent(message.epoch)) return
    if (this.#isBound(message.ballot)) return this.#nack(from, message.ballot)
    const key = keyOf(message.ballot)
    const next = this.#values.get(key)?.next ?? this.#options.apply(message.commands)
    if (next.hash !== message.hash) {
      this.#options.diverged(from)
      return
    }
    this.#promise(message.ballot, nowMs)
    // From here on this voter grants nothing to the current epoch; only then is it asked how old its last grants are.
    this.#accepted = { ballot: message.ballot, commands: message.commands, hash: message.hash, next, atMs: nowMs }
    this.#values.set(key, { commands: message.commands, hash: message.hash, next })
    const ages = this.#options.grantAges(next, nowMs)
    const accepted: Message<"accepted"> = { kind: "accepted", epoch: message.epoch, ballot: message.ballot, ages }
    const epoch = this.#epoch
    for (const voter of this.#voters) {
      // Counting its own acceptance may decide, which ends this instance.
      if (this.#epoch === epoch || voter !== this.#options.self) this.#send(voter, accepted, nowMs)
    }
    this.#count(key, nowMs)
  }

  accepted(from: NodeId, message: Message<"accepted">, nowMs: number): void {
    if (!this.#isCurrent(message.epoch) || !this.#voters.includes(from)) return
    const key = keyOf(message.ballot)
    let acceptances = this.#acceptances.get(key)
    if (acceptances === undefined) {
      acceptances = new Map()
      this.#acceptances.set(key, acceptances)
    }
    if (!acceptances.has(from)) acceptances.set(from, { atMs: nowMs, ages: message.ages })
    this.#count(key, nowMs)
  }

  nack(from: NodeId, message: Message<"nack">): void {
    if (!this.#isCurrent(message.epoch) || !this.#voters.includes(from)) return
    this.#highestRound = Math.max(this.#highestRound, message.promised.round)
  }

  get #votes(): boolean {
    return this.#voters.includes(this.#options.self)
  }

  #isCurrent(epoch: Epoch): boolean {
    return epoch === this.#epoch + 1 && this.#votes
  }

  #prepare(commands: readonly ViewCommand[], nowMs: number): void {
    const { self, prng, times } = this.#options
    const ballot: Ballot = { round: this.#highestRound + 1, proposer: self }
    this.#highestRound = ballot.round
    const spreadMs = Math.min(times.paxosRetryMaxMs, times.paxosRetryMs * 2 ** Math.min(this.#failures, 8))
    this.#proposal = {
      ballot,
      commands,
      promises: new Map(),
      phase: "prepare",
      // Random, so that two proposers that stopped each other do not do so again.
      retryAtMs: nowMs + spreadMs + prng.between(0, 2 * times.paxosRetryMs),
    }
    const prepare: Message<"prepare"> = { kind: "prepare", epoch: this.#epoch + 1, ballot }
    for (const voter of this.#voters) this.#send(voter, prepare, nowMs)
  }

  /** A higher ballot was promised. */
  #isBound(ballot: Ballot): boolean {
    return this.#promised !== null && isLess(ballot, this.#promised) && this.#options.rules.promiseBinds
  }

  #promise(ballot: Ballot, nowMs: number): void {
    assert(!this.#isBound(ballot), "a promise is never lowered")
    if (this.#promised === null || isLess(this.#promised, ballot)) this.#promisedAtMs = nowMs
    this.#promised = ballot
    this.#highestRound = Math.max(this.#highestRound, ballot.round)
  }

  #nack(to: NodeId, ballot: Ballot): void {
    const promised = this.#promised
    assert(promised !== null, "only a promise is a reason to refuse")
    if (to !== this.#options.self) this.#options.send(to, { kind: "nack", epoch: this.#epoch + 1, ballot, promised })
  }

  #count(key: string, nowMs: number): void {
    const value = this.#values.get(key)
    const acceptances = this.#acceptances.get(key)
    if (value === undefined || acceptances === undefined) return
    if (!this.#options.isQuorum(this.#voters, voter => acceptances.has(voter))) return
    const fenceMs = this.#options.fenceMs()
    const fenceUntilMs = new Map<NodeId, number>()
    for (const { atMs, ages } of acceptances.values())
      for (const [primary, ageMs] of ages) {
        const untilMs = atMs - ageMs + fenceMs
        const otherMs = fenceUntilMs.get(primary) ?? untilMs
        const { youngestGrant } = this.#options.rules
        fenceUntilMs.set(primary, youngestGrant ? Math.max(otherMs, untilMs) : Math.min(otherMs, untilMs))
      }
    const proposedHere = this.#proposal !== null && keyOf(this.#proposal.ballot) === key
    const step: ViewStep = { epoch: this.#epoch + 1, commands: value.commands, hash: value.hash }
    this.#options.decided({ step, view: value.next, fenceUntilMs, proposedHere }, nowMs)
    assert(this.#epoch === step.epoch, "a decision is installed at once")
  }

  /** Messages to this node itself take effect at once. */
  #send(to: NodeId, message: ControlMessage, nowMs: number): void {
    const { self } = this.#options
    if (to !== self) return this.#options.send(to, message)
    switch (message.kind) {
      case "prepare":
        return this.prepare(self, message, nowMs)
      case "promise":
        return this.promise(self, message, nowMs)
      case "accept":
        return this.accept(self, message, nowMs)
      case "accepted":
        return this.accepted(self, message, nowMs)
      default:
        assert(false, `${message.kind} is not sent to oneself`)
    }
  }
}

function isLess(a: Ballot, b: Ballot): boolean {
  return a.round !== b.round ? a.round < b.round : a.proposer < b.proposer
}

function isEqual(a: Ballot, b: Ballot): boolean {
  return a.round === b.round && a.proposer === b.proposer
}

function keyOf(ballot: Ballot): string {
  return `${ballot.round}:${ballot.proposer}`
}
