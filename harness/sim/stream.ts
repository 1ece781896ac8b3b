/**
 * One connection between two machines, as TCP makes it: each direction delivers in order or not at all. A cut holds back
 * what is sent into it; a break discards what is under way, and each end learns of it in its own time. Between
 * connections there is no order.
 */
import { assert } from "../../src/base/assert.ts"
import type { Prng } from "../../src/base/prng.ts"
import type { Millis, Simulator } from "./simulator.ts"
import type { Host, Lane, Weather } from "./weather.ts"

/** What one end is told. */
export type StreamEnd<T> = {
  receive(message: T): void
  /** The connection is over; nothing more comes. Not told to the end that closed it. */
  closed(): void
}

export type Side = 0 | 1

type Frame<T> = { readonly sentAtMs: Millis; readonly messages: T[]; readonly onArrival: (() => void) | undefined }

type Direction<T> = {
  readonly from: Host
  readonly to: Host
  /** Under way, in order. An arrival delivers the first of them, whichever it was arranged for: so nothing overtakes. */
  readonly frames: Frame<T>[]
  lastArrivalMs: Millis
  /** Arrivals that ran into a cut. */
  stalled: number
}

export type StreamSettings = {
  /** Whether what one instant sends arrives at one instant, like one frame, or each message by itself. */
  readonly frames: "joined" | "single"
  /** What is said between nodes survives disorder; a client's connection is only ever a TCP connection. */
  readonly keepsOrder: boolean
  /** A connection through which nothing passes is given up after a time between these two. */
  readonly giveUpMs: readonly [Millis, Millis]
}

export class Stream<T> {
  readonly #simulator: Simulator
  readonly #weather: Weather
  readonly #prng: Prng
  readonly #settings: StreamSettings
  readonly #lane: Lane
  readonly #directions: readonly [Direction<T>, Direction<T>]
  readonly #ends: [StreamEnd<T> | undefined, StreamEnd<T> | undefined] = [undefined, undefined]
  readonly #onOver: () => void
  #state: "open" | "broken" = "open"
  /** Which end still believes in the connection. */
  readonly #alive: [boolean, boolean] = [true, true]
  /** Changes with every cut and healing, so that a deadline set during one cut means only that one. */
  #cutSerial = 0

  constructor(options: {
    simulator: Simulator
    weather: Weather
    prng: Prng
    settings: StreamSettings
    hosts: readonly [Host, Host]
    lane: Lane
    onOver: () => void
  }) {
    this.#simulator = options.simulator
    this.#weather = options.weather
    this.#prng = options.prng
    this.#settings = options.settings
    this.#lane = options.lane
    const [a, b] = options.hosts
    this.#directions = [direction(a, b), direction(b, a)]
    this.#onOver = options.onOver
  }

  get hosts(): readonly [Host, Host] {
    return [this.#directions[0].from, this.#directions[0].to]
  }

  get isOpen(): boolean {
    return this.#state === "open"
  }

  /** Whether this side may still send: it may believe so when the other end has long gone. */
  isOpenAt(side: Side): boolean {
    return this.#alive[side]
  }

  /** Says who is at this side; both are named in the instant in which the stream is made. */
  attach(side: Side, end: StreamEnd<T>): void {
    this.#ends[side] = end
  }

  send(side: Side, message: T): void {
    if (this.#state !== "open" || !this.#alive[side]) return
    if (this.#weather.isLost()) return
    const newest = this.#directions[side].frames.at(-1)
    if (this.#settings.frames === "joined" && newest?.sentAtMs === this.#simulator.nowMs) newest.messages.push(message)
    else this.#carry(side, [message])
  }

  /** The weather between the two hosts changed. */
  weatherChanged(): void {
    if (this.#state !== "open") return
    this.#cutSerial += 1
    const cutAtAll = this.#directions.some(({ from, to }) => this.#isCut(from, to))
    for (const side of [0, 1] as const) {
      const direction = this.#directions[side]
      if (this.#isCut(direction.from, direction.to)) continue
      for (; direction.stalled > 0; direction.stalled--) this.#arriveLater(side)
    }
    if (cutAtAll) this.#giveUpLater()
  }

  /** Breaks the connection: what is under way is lost, and both ends are told soon, not at the same time. */
  reset(): void {
    if (this.#state !== "open") return
    this.#state = "broken"
    this.#onOver()
    for (const side of [0, 1] as const) {
      if (this.#alive[side]) this.#simulator.after(this.#prng.between(0, noticeMs), () => this.#tell(side))
    }
  }

  /** This side lets go of the connection without reading what is left in it; what was under way is lost. */
  abandon(side: Side): void {
    this.#alive[side] = false
    this.reset()
  }

  /** One end closes: what it sent before still arrives, then the other end is told. */
  close(side: Side): void {
    if (this.#state !== "open" || !this.#alive[side]) return
    this.#alive[side] = false
    const direction = this.#directions[side]
    // A cut swallows the farewell; the other end notices by silence.
    if (this.#isCut(direction.from, direction.to)) {
      this.#giveUpLater()
      return
    }
    this.#carry(side, [], () => {
      this.#over()
      this.#tell(side === 0 ? 1 : 0)
    })
  }

  /**
   * The process at one end died; the kernel says so for it, unless its machine died too. What it had sent before may
   * still arrive, or be lost where the kernel resets the connection because something lay there unread.
   */
  die(side: Side): void {
    if (this.#state !== "open" || !this.#alive[side]) return
    const { from, to } = this.#directions[side]
    if (!this.#weather.isDown(from) && !this.#isCut(from, to) && this.#prng.chance(0.5)) {
      this.close(side)
      return
    }
    this.#alive[side] = false
    if (this.#weather.isDown(from) || this.#isCut(from, to)) {
      this.#giveUpLater()
      return
    }
    this.#over()
    const other: Side = side === 0 ? 1 : 0
    this.#simulator.after(this.#weather.delayMs(from, to), () => this.#tell(other))
  }

  #isCut(from: Host, to: Host): boolean {
    return this.#weather.isCut(from, to, this.#lane)
  }

  #carry(side: Side, messages: T[], onArrival?: () => void): void {
    const { frames } = this.#directions[side]
    // A sender does not pile up without end: it gives the connection up, and both ends learn of the loss.
    if (frames.length >= mostUnderWay) return this.reset()
    frames.push({ sentAtMs: this.#simulator.nowMs, messages, onArrival })
    this.#arriveLater(side)
  }

  #arriveLater(side: Side): void {
    const direction = this.#directions[side]
    const freeMs = this.#simulator.nowMs + this.#weather.delayMs(direction.from, direction.to)
    direction.lastArrivalMs = Math.max(direction.lastArrivalMs, freeMs)
    this.#simulator.at(direction.lastArrivalMs, () => this.#arrive(side))
  }

  #arrive(side: Side): void {
    if (this.#state !== "open") return
    const direction = this.#directions[side]
    if (this.#isCut(direction.from, direction.to)) {
      direction.stalled += 1
      return
    }
    const next = this.#settings.keepsOrder ? 0 : this.#weather.nextOf(direction.frames.length)
    const [frame] = direction.frames.splice(next, 1)
    assert(frame !== undefined, "each frame has one arrival")
    const to: Side = side === 0 ? 1 : 0
    for (const message of frame.messages) {
      // An end that died or closed while the first of them were handled gets no more.
      if (this.#state !== "open" || !this.#alive[to]) return
      this.#ends[to]?.receive(message)
    }
    frame.onArrival?.()
  }

  #giveUpLater(): void {
    const serial = this.#cutSerial
    for (const side of [0, 1] as const) {
      const [leastMs, mostMs] = this.#settings.giveUpMs
      this.#simulator.after(this.#prng.between(leastMs, mostMs), () => {
        if (this.#cutSerial !== serial || !this.#alive[side]) return
        this.#over()
        this.#tell(side)
      })
    }
  }

  #over(): void {
    if (this.#state !== "open") return
    this.#state = "broken"
    this.#onOver()
  }

  #tell(side: Side): void {
    if (!this.#alive[side]) return
    this.#alive[side] = false
    this.#ends[side]?.closed()
  }
}

function direction<T>(from: Host, to: Host): Direction<T> {
  return { from, to, frames: [], lastArrivalMs: 0, stalled: 0 }
}

/** Frames that one direction holds; beyond, the sender's buffer is full. */
const mostUnderWay = 400
/** Both ends notice a broken connection within so long. */
const noticeMs = 50
