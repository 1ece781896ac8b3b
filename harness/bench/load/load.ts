/**
 * A load whose speed is what is asked for. Closed: every caller asks again as soon as it is answered. Open: operations fall
 * due at a fixed rate whether or not those before are answered, and their latency counts from when they were due.
 */
import { LatencyHistogram } from "../../../src/base/histogram.ts"
import type { Prng } from "../../../src/base/prng.ts"
import type { KeyPicker } from "./distribution.ts"

export type LoadOperation = "get" | "set"

/** Undefined: answered. Otherwise the code of its failure. Never rejects. */
export type Perform = (operation: LoadOperation, keyIndex: number, client: number) => Promise<LoadAnswer>
export type LoadAnswer =
  | { readonly kind: "hit" | "miss" | "stored" }
  | { readonly kind: "failed"; readonly code: string }

export type LoadOptions = {
  readonly perform: Perform
  readonly pickKey: KeyPicker
  readonly prng: Prng
  /** Connections, and how many calls each has under way at most. */
  readonly clients: number
  readonly pipeline: number
  /** Of all operations, from 0 to 1. */
  readonly setShare: number
  /** Operations a second of all clients together; undefined: closed. */
  readonly rate: number | undefined
  readonly nowMs: () => number
}

export type OperationLoad = {
  readonly count: number
  readonly failed: number
  /** From when it was asked, or was due. Closed loads: corrected, see `LoadResult`. */
  readonly latency: LatencyHistogram
}

export type LoadResult = {
  readonly elapsedMs: number
  readonly get: OperationLoad
  readonly set: OperationLoad
  readonly all: OperationLoad
  readonly hits: number
  readonly failures: Readonly<Record<string, number>>
  /** Fell due, and were dropped because too many were waiting already: the rate was not reached. */
  readonly dropped: number
}

export type LoadWindow = { readonly perSecond: number; readonly p50Ms: number; readonly p99Ms: number }

const paceMs = 1
/** What an open load lets wait at most, in seconds of its rate. Beyond that it only measures its own queue. */
const backlogSeconds = 10

class Figures {
  count = 0
  failed = 0
  readonly latency = new LatencyHistogram()
}

export class Load {
  readonly #options: LoadOptions
  readonly #get = new Figures()
  readonly #set = new Figures()
  readonly #failures: Record<string, number> = {}
  readonly #startedAtMs: number
  readonly #callers: Promise<void>[]
  #window = new LatencyHistogram()
  #windowFromMs: number
  #hits = 0
  #state: "running" | "stopping" = "running"
  #pacer: NodeJS.Timeout | undefined
  /** Open loads: when the operations were due that nobody took yet, and who could take one. */
  readonly #due = new Queue()
  readonly #idle: (() => void)[] = []
  #dueSinceMs: number
  #fraction = 0
  #dropped = 0

  /** Begins at once. */
  constructor(options: LoadOptions) {
    this.#options = options
    this.#startedAtMs = this.#dueSinceMs = this.#windowFromMs = options.nowMs()
    if (options.rate !== undefined) this.#pacer = setInterval(() => this.#giveOut(), paceMs)
    const { clients, pipeline } = options
    this.#callers = Array.from({ length: clients * pipeline }, (_, caller) => this.#run(caller % clients))
  }

  /** Of what was answered since the last call; undefined: nothing was. */
  takeWindow(): LoadWindow | undefined {
    const nowMs = this.#options.nowMs()
    const window = this.#window
    const spanMs = nowMs - this.#windowFromMs
    this.#window = new LatencyHistogram()
    this.#windowFromMs = nowMs
    if (window.count === 0) return undefined
    const [p50Ms, p99Ms] = [window.percentileUs(50) / 1_000, window.percentileUs(99) / 1_000]
    return { perSecond: (window.count / spanMs) * 1_000, p50Ms, p99Ms }
  }

  /** Settles when the last operation under way has ended. */
  async stop(): Promise<LoadResult> {
    this.#state = "stopping"
    clearInterval(this.#pacer)
    const elapsedMs = this.#options.nowMs() - this.#startedAtMs
    for (const wake of this.#idle.splice(0)) wake()
    await Promise.all(this.#callers)
    const isOpen = this.#options.rate !== undefined
    const all = new Figures()
    for (const figures of [this.#get, this.#set]) {
      all.count += figures.count
      all.failed += figures.failed
      all.latency.merge(figures.latency)
    }
    const callers = this.#options.clients * this.#options.pipeline
    const betweenUs = all.count === 0 ? 0 : (elapsedMs * 1_000 * callers) / all.count
    // A caller that waits asks nothing meanwhile, and so hides how long that would have taken.
    const corrected = ({ count, failed, latency }: Figures) => ({
      ...{ count, failed },
      latency: isOpen ? latency : latency.corrected(betweenUs),
    })
    const [get, set] = [corrected(this.#get), corrected(this.#set)]
    return {
      ...{ elapsedMs, get, set, all: corrected(all), hits: this.#hits },
      failures: this.#failures,
      dropped: this.#dropped + this.#due.length,
    }
  }

  async #run(client: number): Promise<void> {
    const { perform, pickKey, prng, setShare, nowMs } = this.#options
    for (;;) {
      const fromMs = await this.#turn()
      if (fromMs === undefined) return
      const operation = prng.chance(setShare) ? "set" : "get"
      const answer = await perform(operation, pickKey(), client)
      const us = (nowMs() - fromMs) * 1_000
      const figures = operation === "get" ? this.#get : this.#set
      figures.count++
      // A failure's latency belongs to no distribution of answers; it is counted beside them.
      if (answer.kind === "failed") {
        figures.failed++
        this.#failures[answer.code] = (this.#failures[answer.code] ?? 0) + 1
        continue
      }
      if (answer.kind === "hit") this.#hits++
      figures.latency.record(us)
      this.#window.record(us)
    }
  }

  /** From when the next operation of a caller counts; undefined: there is none any more. */
  async #turn(): Promise<number | undefined> {
    if (this.#options.rate === undefined) return this.#state === "running" ? this.#options.nowMs() : undefined
    while (this.#state === "running") {
      const due = this.#due.take()
      if (due !== undefined) return due
      await new Promise<void>(resolve => this.#idle.push(resolve))
    }
    return undefined
  }

  #giveOut(): void {
    const { rate = 0, nowMs } = this.#options
    const now = nowMs()
    const exact = ((now - this.#dueSinceMs) / 1_000) * rate + this.#fraction
    const count = Math.floor(exact)
    this.#fraction = exact - count
    const room = Math.max(0, Math.ceil(rate * backlogSeconds) - this.#due.length)
    this.#dropped += Math.max(0, count - room)
    // Spread over the time since the last look: that is when they were due.
    const stepMs = (now - this.#dueSinceMs) / Math.max(1, count)
    for (let i = 0; i < Math.min(count, room); i++) this.#due.add(this.#dueSinceMs + (i + 1) * stepMs)
    this.#dueSinceMs = now
    for (const wake of this.#idle.splice(0, this.#due.length)) wake()
  }
}

/** First in, first out; taking does not move what stays. */
class Queue {
  #items: number[] = []
  #head = 0

  get length(): number {
    return this.#items.length - this.#head
  }

  add(item: number): void {
    this.#items.push(item)
  }

  take(): number | undefined {
    const item = this.#items[this.#head]
    if (item === undefined) return undefined
    this.#head++
    if (this.#head > 1_024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return item
  }
}
