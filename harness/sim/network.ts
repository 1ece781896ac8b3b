/**
 * The addresses somebody listens at, and the connections between machines. Dialing takes a round trip and ends in a
 * connection, a refusal, or silence.
 */
import { assert } from "../../src/base/assert.ts"
import type { Prng } from "../../src/base/prng.ts"
import type { Address } from "../../src/protocol/message.ts"
import type { Millis, Simulator } from "./simulator.ts"
import { Stream, type StreamSettings } from "./stream.ts"
import type { Host, Lane, Weather } from "./weather.ts"

/** A process that takes connections at an address. `Greeting`: what each end tells the other before anything else. */
export type Listener<Message, Greeting> = {
  readonly greeting: Greeting
  /** A paused process takes no connection; its kernel lets the caller wait. */
  canAccept(): boolean
  /** Attaches the near end of a connection just made. */
  accept(caller: Greeting, stream: Stream<Message>): void
}

export type Dial<Message, Greeting> = {
  readonly greeting: Greeting
  readonly lane: Lane
  /** Asked when the other end answered: whether the connection is still needed. */
  isWanted(answer: Greeting): boolean
  /** Attaches the near end. */
  opened(answer: Greeting, stream: Stream<Message>): void
  failed(why: "refused" | "silence"): void
}

/** In a stream, the one who dialed. */
export const dialer = 0
/** In a stream, the one who listened. */
export const acceptor = 1

export class Network<Message, Greeting> {
  readonly simulator: Simulator
  readonly weather: Weather
  readonly #prng: Prng
  readonly #settings: StreamSettings
  readonly #dialTimeoutMs: Millis
  readonly #streams = new Set<Stream<Message>>()
  readonly #listeners = new Map<Address, Listener<Message, Greeting>>()

  constructor(options: {
    simulator: Simulator
    weather: Weather
    prng: Prng
    settings: StreamSettings
    dialTimeoutMs: Millis
  }) {
    this.simulator = options.simulator
    this.weather = options.weather
    this.#prng = options.prng
    this.#settings = options.settings
    this.#dialTimeoutMs = options.dialTimeoutMs
    this.weather.watch({
      weatherChanged: () => {
        for (const stream of [...this.#streams]) stream.weatherChanged()
      },
      broken: (a, b) => {
        for (const stream of [...this.#streams]) {
          const [from, to] = stream.hosts
          if ((from === a && to === b) || (from === b && to === a)) stream.reset()
        }
      },
    })
  }

  listen(address: Address, listener: Listener<Message, Greeting>): void {
    assert(!this.#listeners.has(address), "one process listens at an address")
    this.#listeners.set(address, listener)
  }

  unlisten(address: Address): void {
    this.#listeners.delete(address)
  }

  dial(from: Host, address: Address, dial: Dial<Message, Greeting>): void {
    const to = this.weather.hostAt(address)
    const untilMs = this.simulator.nowMs + this.#dialTimeoutMs
    const attempt = () => {
      const listener = this.#listeners.get(address)
      const isCut = this.weather.isCut(from, to) || this.weather.isCut(to, from)
      if (isCut || this.weather.isDown(to) || listener?.canAccept() === false) {
        if (this.simulator.nowMs >= untilMs) dial.failed("silence")
        else this.simulator.after(this.#prng.between(20, 200), attempt)
      } else if (listener === undefined) dial.failed("refused")
      else if (dial.isWanted(listener.greeting)) {
        const stream = this.#connect(from, to, dial.lane)
        listener.accept(dial.greeting, stream)
        dial.opened(listener.greeting, stream)
      }
    }
    this.simulator.after(this.weather.delayMs(from, to) + this.weather.delayMs(to, from), attempt)
  }

  #connect(from: Host, to: Host, lane: Lane): Stream<Message> {
    const stream = new Stream<Message>({
      simulator: this.simulator,
      weather: this.weather,
      prng: this.#prng,
      settings: this.#settings,
      hosts: [from, to],
      lane,
      onOver: () => this.#streams.delete(stream),
    })
    this.#streams.add(stream)
    return stream
  }
}
