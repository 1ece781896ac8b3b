/**
 * Asks the doors of all other members something, and collects their answers: for messages that are to reach every
 * subscriber, and for questions about subscribers. At most once: nothing is repeated. Every ask ends within a deadline,
 * with the answers that came. Told the time and what arrived, it hands out messages; it knows no sockets and no channels.
 *
 * What one member has not answered is bounded. When that much is under way, further asks wait in their order, so that
 * nobody's messages overtake each other and a link is not flooded. A member that let a deadline pass is sent what fits, and is
 * not waited for until it answers again: one that has died, or is paused, costs one deadline and not one for each message.
 */
import { assert } from "../../base/assert.ts"
import type { ChannelAnswer, ChannelMessage, ChannelQuestion, NodeId } from "../../protocol/message.ts"

export type BroadcastOptions = {
  /** The other members whose doors understand. */
  readonly members: () => readonly NodeId[]
  readonly send: (to: NodeId, message: ChannelMessage) => void
  readonly nowMs: () => number
  readonly limits: BroadcastLimits
}

export type BroadcastLimits = {
  /** An ask ends so long after it was sent. */
  readonly deadlineMs: number
  /** What one member has not answered is forgotten after so long: its answer was lost. */
  readonly forgetMs: number
  /** Of what one member has not answered. */
  readonly windowBytes: number
  readonly windowCount: number
  /** Of asks that wait for a place there. Beyond: refused. */
  readonly maxWaiting: number
  readonly maxWaitingBytes: number
}

type Ask = {
  readonly question: ChannelQuestion
  readonly bytes: number
  readonly answers: ChannelAnswer[]
  readonly done: (answers: readonly ChannelAnswer[]) => void
  awaited: number
}

/** What a member was sent and has not answered. `ask` undefined: nobody waits for it any more. */
type Unanswered = { ask: Ask | undefined; readonly bytes: number; readonly sentAtMs: number }

type Peer = {
  /** By their numbers, hence in the order in which they were sent. */
  readonly unanswered: Map<number, Unanswered>
  bytes: number
  standing: "answers" | "silent"
}

export class Broadcast {
  readonly #options: BroadcastOptions
  readonly #peers = new Map<NodeId, Peer>()
  /** Those before `#first` are gone; they are cut off together, since what waits may be long. */
  #waiting: Ask[] = []
  #first = 0
  #waitingBytes = 0
  #lastN = 0
  readonly counts = { unanswered: 0, skipped: 0 }

  constructor(options: BroadcastOptions) {
    this.#options = options
  }

  /** Whether nothing is under way: else `tick` is to be called now and then. */
  get isAtRest(): boolean {
    if (this.#waitingCount > 0) return false
    for (const { unanswered } of this.#peers.values()) if (unanswered.size > 0) return false
    return true
  }

  /** Of each member, what it was sent and has not answered. For tests. */
  get underWay(): readonly { readonly bytes: number; readonly count: number }[] {
    return [...this.#peers.values()].map(({ bytes, unanswered }) => ({ bytes, count: unanswered.size }))
  }

  hasRoom(question: ChannelQuestion): boolean {
    const { maxWaiting, maxWaitingBytes } = this.#options.limits
    if (this.#waitingCount === 0) return true
    return this.#waitingCount < maxWaiting && this.#waitingBytes + bytesOf(question) <= maxWaitingBytes
  }

  /** `done` is called once, at once where there is nobody to ask. Only when there is room. */
  ask(question: ChannelQuestion, done: (answers: readonly ChannelAnswer[]) => void): void {
    assert(this.hasRoom(question), "whoever asks has looked whether there is room")
    const ask: Ask = { question, bytes: bytesOf(question), answers: [], done, awaited: 0 }
    this.#waiting.push(ask)
    this.#waitingBytes += ask.bytes
    this.#advance()
  }

  told(from: NodeId, n: number, answer: ChannelAnswer): void {
    const peer = this.#peers.get(from)
    const unanswered = peer?.unanswered.get(n)
    if (peer === undefined || unanswered === undefined) return
    peer.standing = "answers"
    unanswered.ask?.answers.push(answer)
    this.#settle(peer, n, unanswered)
    this.#advance()
  }

  /** What this member has not answered is lost, or its answer is. */
  lost(from: NodeId): void {
    const peer = this.#peers.get(from)
    if (peer === undefined) return
    for (const [n, unanswered] of peer.unanswered) {
      if (unanswered.ask !== undefined) this.counts.unanswered += 1
      this.#settle(peer, n, unanswered)
    }
    this.#advance()
  }

  tick(): void {
    const { deadlineMs, forgetMs } = this.#options.limits
    const nowMs = this.#options.nowMs()
    const members = new Set(this.#options.members())
    for (const [id, peer] of this.#peers) {
      if (!members.has(id)) {
        this.lost(id)
        this.#peers.delete(id)
        continue
      }
      for (const [n, unanswered] of peer.unanswered) {
        const waitedMs = nowMs - unanswered.sentAtMs
        // In the order of time: those behind it were sent later.
        if (waitedMs < deadlineMs) break
        if (unanswered.ask !== undefined) {
          peer.standing = "silent"
          this.counts.unanswered += 1
          const { ask } = unanswered
          unanswered.ask = undefined
          this.#lessAwaited(ask)
        }
        if (waitedMs >= forgetMs) this.#settle(peer, n, unanswered)
      }
    }
    this.#advance()
  }

  get #waitingCount(): number {
    return this.#waiting.length - this.#first
  }

  /** Sends what has waited, as far as there is room. */
  #advance(): void {
    if (this.#waitingCount === 0) return
    const members = this.#options.members()
    while (this.#waitingCount > 0 && !members.some(id => this.#mustWaitFor(id))) {
      const ask = this.#waiting[this.#first++]
      assert(ask !== undefined, "there is as much as waits")
      this.#waitingBytes -= ask.bytes
      this.#send(ask, members)
    }
    if (this.#first < this.#waiting.length / 2) return
    this.#waiting = this.#waiting.slice(this.#first)
    this.#first = 0
  }

  #mustWaitFor(id: NodeId): boolean {
    const peer = this.#peers.get(id)
    return peer !== undefined && peer.standing === "answers" && this.#isFull(peer)
  }

  #isFull({ bytes, unanswered }: Peer): boolean {
    const { windowBytes, windowCount } = this.#options.limits
    return bytes >= windowBytes || unanswered.size >= windowCount
  }

  #send(ask: Ask, members: readonly NodeId[]): void {
    const { nowMs, send } = this.#options
    const { bytes, question } = ask
    const n = ++this.#lastN
    for (const id of members) {
      const peer = this.#peerOf(id)
      const isAwaited = peer.standing === "answers"
      if (this.#isFull(peer)) {
        assert(!isAwaited, "nothing is sent before there is room at those that answer")
        this.counts.skipped += 1
        continue
      }
      peer.unanswered.set(n, { ask: isAwaited ? ask : undefined, bytes, sentAtMs: nowMs() })
      peer.bytes += bytes
      if (isAwaited) ask.awaited += 1
      send(id, { kind: "channel-ask", n, question })
    }
    if (ask.awaited === 0) ask.done(ask.answers)
  }

  #peerOf(id: NodeId): Peer {
    let peer = this.#peers.get(id)
    if (peer === undefined) {
      peer = { unanswered: new Map(), bytes: 0, standing: "answers" }
      this.#peers.set(id, peer)
    }
    return peer
  }

  #settle(peer: Peer, n: number, { ask, bytes }: Unanswered): void {
    peer.unanswered.delete(n)
    peer.bytes -= bytes
    if (ask !== undefined) this.#lessAwaited(ask)
  }

  #lessAwaited(ask: Ask): void {
    assert(ask.awaited > 0, "a member is waited for once for each ask")
    ask.awaited -= 1
    if (ask.awaited === 0) ask.done(ask.answers)
  }
}

/** With what a message takes beside its contents, as far as it matters to a bound. */
const overheadBytes = 64

function bytesOf(question: ChannelQuestion): number {
  switch (question.about) {
    case "publish":
      return overheadBytes + question.channel.length + question.payload.length
    case "channels":
      return overheadBytes + (question.pattern?.length ?? 0)
    case "patterns":
      return overheadBytes
    case "subscribers":
      return question.channels.reduce((bytes, { length }) => bytes + length, overheadBytes)
  }
}
