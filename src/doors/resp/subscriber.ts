/**
 * One connection as a listener: what it is subscribed to, and what was published to it and has not left yet. Whoever reads
 * more slowly than others publish is cut off, as by Redis' `client-output-buffer-limit`: the messages are not kept for it.
 */
import { maxChannelBytes } from "../../protocol/limits.ts"
import type { Arguments, ClientState } from "./command.ts"
import { type ChannelKind, type Channels, type Delivery, latin1Of, type Listener } from "./channels.ts"
import { CommandError } from "./refusals.ts"
import { bulk, integer, nil, type Reply, type RespVersion } from "./reply.ts"
import type { Memory } from "./shared.ts"

export type SubscriberLimits = {
  /** Channels and patterns of one connection. */
  readonly maxSubscriptions: number
  /** Bytes that it has not taken. Beyond the first it is cut off at once, beyond the second when that lasts. */
  readonly maxUnreadBytes: number
  readonly longUnreadBytes: number
  readonly longUnreadMs: number
  /** When all connections together keep too much: of what it has not taken, and of half a command. */
  readonly crowdedBytes: number
}

export type SubscriberOptions = {
  readonly client: ClientState
  readonly channels: Channels
  readonly limits: SubscriberLimits
  readonly memory: Pick<Memory, "isCrowded" | "hold" | "release">
  readonly nowMs: () => number
  /** Bytes of its socket that the operating system has not taken. */
  readonly unsentBytes: () => number
  /** There is something to take: `take` is to be called at the end of this turn. */
  readonly due: () => void
  readonly tooSlow: () => void
}

export class Subscriber implements Listener {
  readonly #options: SubscriberOptions
  readonly #names: Readonly<Record<ChannelKind, Set<string>>> = { channel: new Set(), pattern: new Set() }
  #waiting: Delivery[] = []
  #waitingBytes = 0
  /** Since when it has been behind by more than what may last. */
  #behindSinceMs: number | undefined

  constructor(options: SubscriberOptions) {
    this.#options = options
  }

  get version(): RespVersion {
    return this.#options.client.version
  }

  get count(): number {
    return this.#names.channel.size + this.#names.pattern.size
  }

  get waitingBytes(): number {
    return this.#waitingBytes
  }

  /** To all of them, or, where they are too long or too many, to none. */
  subscribe(kind: ChannelKind, words: Arguments): Reply {
    const { channels, limits } = this.#options
    const names = this.#names[kind]
    if (words.some(({ length }) => length > maxChannelBytes))
      throw new CommandError(`ERR name of a channel exceeds maximum allowed size (${maxChannelBytes} bytes)`)
    const added = [...new Set(words.map(latin1Of))].filter(name => !names.has(name))
    const { maxSubscriptions } = limits
    if (this.count + added.length > maxSubscriptions)
      throw new CommandError(`ERR a connection has at most ${maxSubscriptions} subscriptions here`)
    const bound = channels.boundMetBy(kind, added)
    if (bound !== undefined) throw new CommandError(`ERR this node has at most ${bound}, try another`)
    return this.#each(kind, "subscribe", words, name => {
      if (names.has(name)) return
      names.add(channels.add(kind, name, this))
    })
  }

  /** From all of that kind, where none is named. */
  unsubscribe(kind: ChannelKind, words: Arguments): Reply {
    const names = this.#names[kind]
    const left = words.length > 0 ? words : [...names].map(name => Buffer.from(name, "latin1"))
    if (left.length === 0) return push([bulk(wordOf(kind, "unsubscribe")), nil, integer(this.count)])
    return this.#each(kind, "unsubscribe", left, name => {
      if (names.delete(name)) this.#options.channels.remove(kind, name, this)
    })
  }

  leave(): void {
    for (const kind of ["channel", "pattern"] as const) {
      for (const name of this.#names[kind]) this.#options.channels.remove(kind, name, this)
      this.#names[kind].clear()
    }
    this.#tell()
  }

  deliver(delivery: Delivery): void {
    const { due, limits, memory, nowMs, tooSlow, unsentBytes } = this.#options
    const { crowdedBytes, longUnreadBytes, longUnreadMs, maxUnreadBytes } = limits
    const wasUnreadBytes = unsentBytes() + this.#waitingBytes
    const unreadBytes = wasUnreadBytes + delivery.bytes
    if (unreadBytes <= longUnreadBytes) this.#behindSinceMs = undefined
    else this.#behindSinceMs ??= nowMs()
    const isLong = this.#behindSinceMs !== undefined && nowMs() - this.#behindSinceMs > longUnreadMs
    // Whoever has taken everything keeps up, however long this one is.
    const isInTheWay = memory.isCrowded && wasUnreadBytes > crowdedBytes
    if (unreadBytes > maxUnreadBytes || isLong || isInTheWay) {
      this.leave()
      for (const kept of this.take()) memory.release(kept)
      return tooSlow()
    }
    if (this.#waiting.length === 0) due()
    memory.hold(delivery)
    this.#waiting.push(delivery)
    this.#waitingBytes += delivery.bytes
  }

  /** What was published since the last time. Whoever takes it releases it. */
  take(): readonly Delivery[] {
    const waiting = this.#waiting
    this.#waiting = []
    this.#waitingBytes = 0
    return waiting
  }

  /** One answer for each name, with how many subscriptions there are by then. */
  #each(kind: ChannelKind, verb: "subscribe" | "unsubscribe", words: Arguments, change: (name: string) => void): Reply {
    const word = bulk(wordOf(kind, verb))
    const replies = words.map(name => {
      change(latin1Of(name))
      return push([word, bulk(name), integer(this.count)])
    })
    this.#tell()
    return { kind: "several", replies }
  }

  #tell(): void {
    const { client } = this.#options
    client.channels = this.#names.channel.size
    client.patterns = this.#names.pattern.size
  }
}

function wordOf(kind: ChannelKind, verb: "subscribe" | "unsubscribe"): string {
  return kind === "channel" ? verb : `p${verb}`
}

function push(items: readonly Reply[]): Reply {
  return { kind: "push", items }
}
