/**
 * Who of this node's connections listens to what: channels by their names, and patterns of names. Hands on what is
 * published, written once for each version of the protocol however many take it. Knows no other node (`broadcast.ts`).
 */
import { assert } from "../../base/assert.ts"
import { globOf } from "./glob.ts"
import { bulk, ReplyWriter, type RespVersion } from "./reply.ts"
import type { SharedBytes } from "./shared.ts"

export type ChannelKind = "channel" | "pattern"

/** A message as it goes to one connection. Many share the bytes: nobody changes them, and `Memory` counts them once. */
export type Delivery = SharedBytes & { readonly parts: readonly Buffer[] }

export type Listener = {
  /** How the connection speaks now. */
  readonly version: RespVersion
  deliver(delivery: Delivery): void
}

export type ChannelLimits = {
  /** Subscriptions of all connections, and of these the ones to patterns: each is compared with every name published to. */
  readonly maxSubscriptions: number
  readonly maxPatternSubscriptions: number
  /** Bytes of all names that are listened to. */
  readonly maxNameBytes: number
}

/** Names are text of one character a byte (latin1): so they are keys of maps, whatever bytes they are. */
type Name = string
/** With the one string of its name that all who listen keep. */
type Topic = { readonly name: Name; readonly listeners: Set<Listener> }
type Pattern = Topic & { readonly matches: (name: Name) => boolean }

export class Channels {
  readonly #limits: ChannelLimits
  readonly #channels = new Map<Name, Topic>()
  readonly #patterns = new Map<Name, Pattern>()
  readonly #counts = { channel: 0, pattern: 0 }
  #nameBytes = 0
  #delivered = 0

  constructor(limits: ChannelLimits) {
    this.#limits = limits
  }

  get subscriptions(): number {
    return this.#counts.channel + this.#counts.pattern
  }

  /** Messages handed to connections of this node since the start. */
  get delivered(): number {
    return this.#delivered
  }

  get channelCount(): number {
    return this.#channels.size
  }

  get patternCount(): number {
    return this.#patterns.size
  }

  /** The bound of this node at which so many more subscriptions find no room, in words; undefined: they find room. */
  boundMetBy(kind: ChannelKind, names: readonly Name[]): string | undefined {
    const { maxNameBytes, maxPatternSubscriptions, maxSubscriptions } = this.#limits
    if (this.subscriptions + names.length > maxSubscriptions) return `${maxSubscriptions} subscriptions`
    if (kind === "pattern" && this.#counts.pattern + names.length > maxPatternSubscriptions)
      return `${maxPatternSubscriptions} subscriptions to patterns`
    const nameBytes = names.reduce((bytes, { length }) => bytes + length, this.#nameBytes)
    return nameBytes > maxNameBytes ? `${maxNameBytes} bytes of names` : undefined
  }

  /** Returns the name as it is kept here, so that each is in memory once however many listen. */
  add(kind: ChannelKind, name: Name, listener: Listener): Name {
    let topic = this.#topic(kind, name)
    if (topic === undefined) {
      topic = { name, listeners: new Set() }
      this.#nameBytes += name.length
      if (kind === "channel") this.#channels.set(name, topic)
      else this.#patterns.set(name, { ...topic, matches: globOf(name) })
    }
    assert(!topic.listeners.has(listener), "a connection subscribes to a name once")
    topic.listeners.add(listener)
    this.#counts[kind] += 1
    return topic.name
  }

  remove(kind: ChannelKind, name: Name, listener: Listener): void {
    const listeners = this.#topic(kind, name)?.listeners
    const wasThere = listeners?.delete(listener)
    assert(wasThere === true, "only what was subscribed to is left")
    this.#counts[kind] -= 1
    if (listeners?.size !== 0) return
    const named = kind === "channel" ? this.#channels : this.#patterns
    named.delete(name)
    this.#nameBytes -= name.length
  }

  #topic(kind: ChannelKind, name: Name): Topic | undefined {
    return kind === "channel" ? this.#channels.get(name) : this.#patterns.get(name)
  }

  /** Returns to how many subscriptions it was handed: a connection that listens twice over gets it twice. */
  publish(channel: Uint8Array, payload: Uint8Array): number {
    if (this.subscriptions === 0) return 0
    const name = latin1Of(channel)
    let count = 0
    const listeners = this.#channels.get(name)?.listeners
    if (listeners !== undefined) count += handTo(listeners, [messageWord, channel, payload])
    for (const [pattern, { matches, listeners }] of this.#patterns)
      if (matches(name))
        count += handTo(listeners, [patternMessageWord, Buffer.from(pattern, "latin1"), channel, payload])
    this.#delivered += count
    return count
  }

  /** Channels that somebody listens to by name. */
  names(matches: (name: Name) => boolean): Name[] {
    return [...this.#channels.keys()].filter(matches)
  }

  patterns(): Name[] {
    return [...this.#patterns.keys()]
  }

  /** How many listen to a channel by its name. */
  listenersOf(channel: Uint8Array): number {
    return this.#channels.get(latin1Of(channel))?.listeners.size ?? 0
  }
}

export function latin1Of(bytes: Uint8Array): Name {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1")
}

const messageWord = Buffer.from("message")
const patternMessageWord = Buffer.from("pmessage")
const writer = new ReplyWriter()

function handTo(listeners: ReadonlySet<Listener>, words: readonly Uint8Array[]): number {
  const written: Partial<Record<RespVersion, Delivery>> = {}
  let count = 0
  // One that is too slow leaves while it is handed the message; a set may be walked meanwhile.
  for (const listener of listeners) {
    const delivery = written[listener.version] ?? writtenFor(listener.version, words)
    written[listener.version] = delivery
    listener.deliver(delivery)
    count += 1
  }
  return count
}

function writtenFor(version: RespVersion, words: readonly Uint8Array[]): Delivery {
  writer.version = version
  writer.write({ kind: "push", items: words.map(bulk) })
  const bytes = writer.waitingBytes
  return { parts: writer.take(), bytes, holders: 0 }
}
