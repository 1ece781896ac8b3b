/** What was not asked for the longest goes. */
import { KeyQueue } from "./key-queue.ts"
import type { Policy, PolicyOptions } from "./policy.ts"

export class Lru implements Policy {
  readonly #capacity: number
  readonly #sizes: Uint32Array
  readonly #queue: KeyQueue

  constructor({ capacity, sizes }: PolicyOptions) {
    this.#capacity = capacity
    this.#sizes = sizes
    this.#queue = new KeyQueue(sizes)
  }

  request(key: number): boolean {
    if ((this.#sizes[key] ?? 0) > this.#capacity) return false
    const hit = this.#queue.has(key)
    if (hit) this.#queue.remove(key)
    this.#queue.add(key)
    this.#queue.shrinkTo(this.#capacity)
    return hit
  }
}
