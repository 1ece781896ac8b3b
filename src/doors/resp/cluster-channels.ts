/**
 * Channels as the whole cluster has them: what is published here goes to this node's connections and to every other
 * member's door, and what those ask is answered. At most once, in the order in which one connection published.
 */
import type { ChannelAnswer, ChannelMessage, ChannelQuestion, NodeId } from "../../protocol/message.ts"
import { maxChannelBytes, maxChannelNamesBytes, maxListItems, maxValueBytes } from "../../protocol/limits.ts"
import { after, type Soon } from "../soon.ts"
import { Broadcast, type BroadcastLimits } from "./broadcast.ts"
import { type ChannelLimits, Channels, latin1Of } from "./channels.ts"
import { globOf } from "./glob.ts"
import { CommandError } from "./refusals.ts"

export type ClusterChannelsOptions = {
  readonly members: () => readonly NodeId[]
  readonly send: (to: NodeId, message: ChannelMessage) => void
  readonly nowMs: () => number
  readonly limits: BroadcastLimits & ChannelLimits
  /** Something is under way: `tick` is to be called until it returns "at-rest". */
  readonly busy: () => void
}

export class ClusterChannels {
  /** Of this node. */
  readonly here: Channels
  readonly #options: ClusterChannelsOptions
  readonly #broadcast: Broadcast
  #published = 0

  constructor(options: ClusterChannelsOptions) {
    this.#options = options
    this.here = new Channels(options.limits)
    this.#broadcast = new Broadcast(options)
  }

  figures() {
    const { subscriptions, delivered } = this.here
    const { unanswered, skipped } = this.#broadcast.counts
    return { subscriptions, published: this.#published, delivered, unanswered, skipped }
  }

  tick(): "busy" | "at-rest" {
    this.#broadcast.tick()
    return this.#broadcast.isAtRest ? "at-rest" : "busy"
  }

  receive(from: NodeId, message: ChannelMessage): void {
    if (message.kind === "channel-told") return this.#broadcast.told(from, message.n, message.answer)
    this.#options.send(from, { kind: "channel-told", n: message.n, answer: this.#answer(message.question) })
  }

  linkLost(peer: NodeId): void {
    this.#broadcast.lost(peer)
  }

  /** To how many subscriptions it was handed, as far as is known in time. */
  publish(channel: Buffer, payload: Buffer): Soon<number> {
    checkName(channel)
    if (payload.length > maxValueBytes)
      throw new CommandError(`ERR string exceeds maximum allowed size (${maxValueBytes} bytes)`)
    const question: ChannelQuestion = { about: "publish", channel, payload }
    this.#checkRoom(question)
    this.#published += 1
    const own = this.here.publish(channel, payload)
    return after(this.#ask(question), answers => {
      let count = own
      for (const answer of answers) if (answer.about === "publish") count += answer.count
      return count
    })
  }

  /** Names that somebody in the cluster listens to. `pattern` undefined: all. */
  channels(pattern: Buffer | undefined): Soon<readonly string[]> {
    if (pattern !== undefined) checkName(pattern)
    return this.#names(
      { about: "channels", pattern: pattern ?? null },
      "too many names for one answer: ask for fewer by a pattern",
    )
  }

  patterns(): Soon<readonly string[]> {
    return this.#names({ about: "patterns" }, "too many patterns to count: their names are too long together")
  }

  /** How many listen to each of these by name. */
  subscribers(channels: readonly Buffer[]): Soon<readonly number[]> {
    channels.forEach(checkName)
    const bytes = channels.reduce((sum, { length }) => sum + length, 0)
    if (channels.length > maxListItems || bytes > maxChannelNamesBytes)
      throw new CommandError("ERR too many channels for one command")
    const question: ChannelQuestion = { about: "subscribers", channels }
    this.#checkRoom(question)
    return after(this.#ask(question), answers => {
      const counts = channels.map(channel => this.here.listenersOf(channel))
      for (const answer of answers)
        if (answer.about === "subscribers") answer.counts.forEach((count, i) => (counts[i] = (counts[i] ?? 0) + count))
      return counts.slice(0, channels.length)
    })
  }

  #names(
    question: Extract<ChannelQuestion, { about: "channels" | "patterns" }>,
    tooMany: string,
  ): Soon<readonly string[]> {
    this.#checkRoom(question)
    return after(this.#ask(question), answers => {
      const names = new Set<string>()
      for (const answer of [this.#answer(question), ...answers]) {
        if (answer.about !== "names") continue
        if (!answer.isAll) throw new CommandError(`ERR ${tooMany}`)
        for (const name of answer.names) names.add(latin1Of(name))
      }
      return [...names]
    })
  }

  #checkRoom(question: ChannelQuestion): void {
    if (!this.#broadcast.hasRoom(question))
      throw new CommandError("BUSY too much that was published waits for other nodes, try again")
  }

  #ask(question: ChannelQuestion): Soon<readonly ChannelAnswer[]> {
    if (this.#options.members().length === 0 && this.#broadcast.isAtRest) return noAnswers
    return new Promise(resolve => {
      this.#broadcast.ask(question, resolve)
      if (!this.#broadcast.isAtRest) this.#options.busy()
    })
  }

  /** Of this node. */
  #answer(question: ChannelQuestion): ChannelAnswer {
    switch (question.about) {
      case "publish":
        return { about: "publish", count: this.here.publish(question.channel, question.payload) }
      case "channels":
        return namesAnswer(this.here.names(question.pattern === null ? () => true : globOf(latin1Of(question.pattern))))
      case "patterns":
        return namesAnswer(this.here.patterns())
      case "subscribers":
        return { about: "subscribers", counts: question.channels.map(channel => this.here.listenersOf(channel)) }
    }
  }
}

const noAnswers: readonly ChannelAnswer[] = []

function checkName(name: Buffer): void {
  if (name.length > maxChannelBytes)
    throw new CommandError(`ERR name of a channel exceeds maximum allowed size (${maxChannelBytes} bytes)`)
}

/** As many as one message holds. */
function namesAnswer(all: readonly string[]): ChannelAnswer {
  const names: Buffer[] = []
  let bytes = 0
  for (const name of all) {
    bytes += name.length
    if (bytes > maxChannelNamesBytes || names.length === maxListItems) break
    names.push(Buffer.from(name, "latin1"))
  }
  return { about: "names", names, isAll: names.length === all.length }
}
