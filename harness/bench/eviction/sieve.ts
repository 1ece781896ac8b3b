/**
 * SIEVE (Zhang and others, "SIEVE is Simpler than LRU", NSDI 2024): one queue, in which nothing moves. A hand goes from old
 * to new; it spares, once, what was asked for since it last came by, and takes the first that was not.
 */
import { assert } from "../../../src/base/assert.ts"
import { KeyQueue } from "./key-queue.ts"
import type { Policy, PolicyOptions } from "./policy.ts"

export class Sieve implements Policy {
  readonly #capacity: number
  readonly #sizes: Uint32Array
  readonly #queue: KeyQueue
  readonly #visited: Uint8Array
  /** Undefined: at the old end. */
  #hand: number | undefined

  constructor({ capacity, sizes }: PolicyOptions) {
    this.#capacity = capacity
    this.#sizes = sizes
    this.#queue = new KeyQueue(sizes)
    this.#visited = new Uint8Array(sizes.length)
  }

  request(key: number): boolean {
    if (this.#queue.has(key)) {
      this.#visited[key] = 1
      return true
    }
    const size = this.#sizes[key] ?? 0
    if (size > this.#capacity) return false
    while (this.#queue.size + size > this.#capacity) this.#evict()
    this.#queue.add(key)
    this.#visited[key] = 0
    return false
  }

  #evict(): void {
    let victim = this.#hand ?? this.#queue.oldest()
    while (victim !== undefined && this.#visited[victim] === 1) {
      this.#visited[victim] = 0
      victim = this.#queue.newerThan(victim) ?? this.#queue.oldest()
    }
    assert(victim !== undefined, "what is full holds something")
    this.#hand = this.#queue.newerThan(victim)
    this.#queue.remove(victim)
  }
}
