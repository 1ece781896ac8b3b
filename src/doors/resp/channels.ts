/**
 * Who of this node's connections listens to what: channels by their names, and patterns of names. Hands on what is
 * published, written once for each version of the protocol however many take it. Knows no other node (`broadcast.ts`).
 */
import { assert } from "../../base/assert.ts"
import { globOf } from "./glob.ts"
import { bulk, ReplyWriter, type RespVersion } from "./reply.ts"

export type ChannelKind = "channel" | "pattern"

/** A message as it goes to one connection. Many share the bytes: nobody changes them. */
export type Delivery = { readonly parts: readonly Buffer[]; readonly bytes: number }

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
type Pattern = { readonly matches: (name: Name) => boolean; readonly listeners: Set<Listener> }

export class Channels {
  readonly #limits: ChannelLimits
  readonly #channels = new Map<Name, Set<Listener>>()
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

  /** Whether so many more subscriptions find room. */
  hasRoom(kind: ChannelKind, names: readonly Name[]): boolean {
    const { maxNameBytes, maxPatternSubscriptions, maxSubscriptions } = this.#limits
    if (this.subscriptions + names.length > maxSubscriptions) return false
    if (kind === "pattern" && this.#counts.pattern + names.length > maxPatternSubscriptions) return false
    return names.reduce((bytes, { length }) => bytes + length, this.#nameBytes) <= maxNameBytes
  }

  add(kind: ChannelKind, name: Name, listener: Listener): void {
    let listeners = kind === "channel" ? this.#channels.get(name) : this.#patterns.get(name)?.listeners
    if (listeners === undefined) {
      listeners = new Set()
      this.#nameBytes += name.length
      if (kind === "channel") this.#channels.set(name, listeners)
      else this.#patterns.set(name, { matches: globOf(name), listeners })
    }
    assert(!listeners.has(listener), "a connection subscribes to a name once")
    listeners.add(listener)
    this.#counts[kind] += 1
  }

  remove(kind: ChannelKind, name: Name, listener: Listener): void {
    const named: Map<Name, unknown> = kind === "channel" ? this.#channels : this.#patterns
    const listeners = kind === "channel" ? this.#channels.get(name) : this.#patterns.get(name)?.listeners
    const wasThere = listeners?.delete(listener)
    assert(wasThere === true, "only what was subscribed to is left")
    this.#counts[kind] -= 1
    if (listeners?.size !== 0) return
    named.delete(name)
    this.#nameBytes -= name.length
  }

  /** Returns to how many subscriptions it was handed: a connection that listens twice over gets it twice. */
  publish(channel: Uint8Array, payload: Uint8Array): number {
    if (this.subscriptions === 0) return 0
    const name = latin1Of(channel)
    let count = 0
    const listeners = this.#channels.get(name)
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
    return this.#channels.get(latin1Of(channel))?.size ?? 0
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
  return { parts: writer.take(), bytes }
}
