/**
 * The calls that have a number and no outcome, by their number. Numbers are given out in order and never go far ahead of
 * the oldest that is open, so that a ring of slots holds them. A `Map` would do and costs a third of a client's time: each
 * time it makes room, the engine leaves the old table pointing at the new one, and once one of them has grown old every
 * later one, with the calls in it, outlives the collections of young objects.
 */
import { assert } from "../base/assert.ts"
import { maxOperationsAhead } from "../protocol/limits.ts"
import type { Call } from "./call.ts"

const firstSlots = 64

export class OpenCalls {
  #slots: (Call | undefined)[] = new Array<Call | undefined>(firstSlots).fill(undefined)
  #oldest = 1
  #next = 1
  #count = 0
  #bytes = 0

  /** The lowest number that is open, or the next one: all operations below are finished. */
  get oldest(): number {
    return this.#oldest
  }

  get count(): number {
    return this.#count
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Whether the next number would be too far ahead of the oldest that is open. */
  get isFull(): boolean {
    return this.#next - this.#oldest >= maxOperationsAhead
  }

  /** Numbers the call. */
  add(call: Call): void {
    assert(!this.isFull, "numbers do not go further ahead than nodes accept")
    if (this.#next - this.#oldest === this.#slots.length) this.#grow()
    call.n = this.#next++
    this.#slots[this.#slotOf(call.n)] = call
    this.#count++
    this.#bytes += call.bytes
  }

  get(n: number): Call | undefined {
    return n >= this.#oldest && n < this.#next ? this.#slots[this.#slotOf(n)] : undefined
  }

  /** It has its outcome. */
  remove(call: Call): void {
    const slot = this.#slotOf(call.n)
    assert(this.#slots[slot] === call, "a call ends once")
    this.#slots[slot] = undefined
    this.#count--
    this.#bytes -= call.bytes
    while (this.#oldest < this.#next && this.#slots[this.#slotOf(this.#oldest)] === undefined) this.#oldest++
  }

  /** In the order of their numbers. Calls may end, and others begin, meanwhile. */
  *all(): Generator<Call> {
    for (let n = this.#oldest; n < this.#next; n++) {
      const call = this.get(n)
      if (call !== undefined) yield call
    }
  }

  #grow(): void {
    const before = this.#slots
    this.#slots = new Array<Call | undefined>(2 * before.length).fill(undefined)
    for (let n = this.#oldest; n < this.#next; n++) this.#slots[this.#slotOf(n)] = before[n & (before.length - 1)]
  }

  #slotOf(n: number): number {
    return n & (this.#slots.length - 1)
  }
}
