/** The oldest goes, whatever was asked for since. */
import { KeyQueue } from "./key-queue.ts"
import type { Policy, PolicyOptions } from "./policy.ts"

export class Fifo implements Policy {
  readonly #capacity: number
  readonly #sizes: Uint32Array
  readonly #queue: KeyQueue

  constructor({ capacity, sizes }: PolicyOptions) {
    this.#capacity = capacity
    this.#sizes = sizes
    this.#queue = new KeyQueue(sizes)
  }

  request(key: number): boolean {
    if (this.#queue.has(key)) return true
    if ((this.#sizes[key] ?? 0) > this.#capacity) return false
    this.#queue.add(key)
    this.#queue.shrinkTo(this.#capacity)
    return false
  }
}
