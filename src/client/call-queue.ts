/**
 * Calls that wait their turn, first in, first out, bounded in number and in bytes. Calls that settle while they wait
 * stay in the array until they reach its head or until they are the most of it, so that ending one costs nothing.
 */
import type { Call } from "./call.ts"

export class CallQueue {
  readonly #maxCalls: number
  readonly #maxBytes: number
  #calls: Call[] = []
  #head = 0
  #count = 0
  #bytes = 0

  constructor(options: { maxCalls: number; maxBytes: number }) {
    this.#maxCalls = options.maxCalls
    this.#maxBytes = options.maxBytes
  }

  get count(): number {
    return this.#count
  }

  /** False: the queue is full and the call was not taken. One call alone is always taken, whatever it weighs. */
  add(call: Call): boolean {
    const isTooMuch = this.#count >= this.#maxCalls || this.#bytes + call.bytes > this.#maxBytes
    if (isTooMuch && this.#count > 0) return false
    this.#calls.push(call)
    this.#count++
    this.#bytes += call.bytes
    return true
  }

  first(): Call | undefined {
    while (this.#calls[this.#head]?.state.kind === "settled") this.#head++
    return this.#calls[this.#head]
  }

  /** The first leaves the queue to be sent. */
  shift(): void {
    const call = this.first()
    if (call === undefined) return
    this.#head++
    this.#left(call)
  }

  /** A queued call has settled. */
  settled(call: Call): void {
    this.#left(call)
  }

  /** A copy: what is done with a call may settle others. */
  waiting(): Call[] {
    return this.#calls.slice(this.#head).filter(call => call.state.kind === "queued")
  }

  #left(call: Call): void {
    this.#count--
    this.#bytes -= call.bytes
    if (this.#calls.length <= 64 + 2 * this.#count) return
    this.#calls = this.waiting()
    this.#head = 0
  }
}
