/**
 * Virtual time: a queue of things that will happen, taken out in order. Nothing here waits; an hour passes as fast as
 * its events can be run. Two things due at the same instant happen in the order in which they were arranged, so that
 * one seed gives one run.
 */
import { assert } from "../../src/base/assert.ts"

export type Millis = number

type Due = { readonly atMs: Millis; readonly order: number; readonly action: () => void }

export class Simulator {
  #nowMs: Millis = 0
  #arranged = 0
  #done = 0
  #stopped = false
  /** A binary heap: each item is due no later than the two at twice its index, plus one and plus two. */
  readonly #heap: Due[] = []
  readonly #mostSteps: number

  /** A run that takes more steps than `mostSteps` is an error: something calls itself without time going by. */
  constructor(options: { mostSteps: number } = { mostSteps: 50_000_000 }) {
    this.#mostSteps = options.mostSteps
  }

  get nowMs(): Millis {
    return this.#nowMs
  }

  /** Events run so far. */
  get steps(): number {
    return this.#done
  }

  after(delayMs: Millis, action: () => void): void {
    assert(delayMs >= 0, "nothing is arranged for the past")
    this.#push({ atMs: this.#nowMs + delayMs, order: this.#arranged++, action })
  }

  at(atMs: Millis, action: () => void): void {
    this.after(atMs - this.#nowMs, action)
  }

  /** Ends the run under way after the current event; used when a checker has seen enough. */
  stop(): void {
    this.#stopped = true
  }

  get isStopped(): boolean {
    return this.#stopped
  }

  /** Lets this much time pass. */
  run(forMs: Millis): void {
    const endMs = this.#nowMs + forMs
    while (!this.#stopped && this.#nextAtMs() <= endMs) this.#step()
    if (!this.#stopped) this.#nowMs = endMs
  }

  /**
   * Lets time pass until the condition holds, looked at after each event and no more often than every `everyMs`; says
   * whether it came to hold within the time given.
   */
  runUntil(condition: () => boolean, { withinMs, everyMs = 0 }: { withinMs: Millis; everyMs?: Millis }): boolean {
    const endMs = this.#nowMs + withinMs
    let lookAtMs = this.#nowMs
    if (condition()) return true
    while (!this.#stopped && this.#nextAtMs() <= endMs) {
      this.#step()
      if (this.#nowMs < lookAtMs) continue
      if (condition()) return true
      lookAtMs = this.#nowMs + everyMs
    }
    if (!this.#stopped) this.#nowMs = endMs
    return condition()
  }

  #nextAtMs(): Millis {
    return this.#heap[0]?.atMs ?? Number.POSITIVE_INFINITY
  }

  #step(): void {
    const due = this.#pop()
    this.#nowMs = due.atMs
    this.#done += 1
    assert(this.#done <= this.#mostSteps, "a run ends within its limit of steps")
    due.action()
  }

  #push(due: Due): void {
    const heap = this.#heap
    let index = heap.length
    heap.push(due)
    while (index > 0) {
      const above = (index - 1) >> 1
      const parent = heap[above] as Due // an index below the length
      if (isBefore(parent, due)) break
      heap[index] = parent
      index = above
    }
    heap[index] = due
  }

  #pop(): Due {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    assert(first !== undefined && last !== undefined, "there is something to take out")
    if (heap.length === 0) return first
    let index = 0
    for (;;) {
      let below = 2 * index + 1
      if (below >= heap.length) break
      let child = heap[below] as Due // an index below the length
      const right = heap[below + 1]
      if (right !== undefined && isBefore(right, child)) {
        child = right
        below += 1
      }
      if (isBefore(last, child)) break
      heap[index] = child
      index = below
    }
    heap[index] = last
    return first
  }
}

function isBefore(a: Due, b: Due): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
}
