/**
 * S3-FIFO (Yang and others, "FIFO queues are all you need for cache eviction", SOSP 2023), entry by entry as in the paper:
 * newcomers pass through a small queue, a tenth of the cache, and those that were asked for more than once on the way go on
 * to the main one. Whoever left the small queue is remembered for a while, and goes to the main one when it comes back.
 */
import { KeyQueue } from "./key-queue.ts"
import type { Policy, PolicyOptions } from "./policy.ts"

const smallShare = 0.1
const mostUses = 3
/** So many uses in the small queue show that it is wanted. */
const usesToStay = 2

export class S3Fifo implements Policy {
  readonly #capacity: number
  readonly #sizes: Uint32Array
  readonly #small: KeyQueue
  readonly #main: KeyQueue
  readonly #ghosts: KeyQueue
  readonly #uses: Uint8Array

  constructor({ capacity, sizes }: PolicyOptions) {
    this.#capacity = capacity
    this.#sizes = sizes
    this.#small = new KeyQueue(sizes)
    this.#main = new KeyQueue(sizes)
    this.#ghosts = new KeyQueue(sizes)
    this.#uses = new Uint8Array(sizes.length)
  }

  request(key: number): boolean {
    if (this.#small.has(key) || this.#main.has(key)) {
      this.#uses[key] = Math.min(mostUses, this.#usesOf(key) + 1)
      return true
    }
    const size = this.#sizes[key] ?? 0
    if (size > this.#capacity) return false
    while (this.#small.size + this.#main.size + size > this.#capacity) this.#evict()
    this.#uses[key] = 0
    if (this.#ghosts.has(key)) {
      this.#ghosts.remove(key)
      this.#main.add(key)
    } else this.#small.add(key)
    return false
  }

  #evict(): void {
    if (this.#small.size >= smallShare * this.#capacity || this.#main.size === 0) this.#evictFromSmall()
    else this.#evictFromMain()
  }

  /** Until one is gone, or all have moved on. */
  #evictFromSmall(): void {
    for (let key = this.#small.oldest(); key !== undefined; key = this.#small.oldest()) {
      this.#small.remove(key)
      if (this.#usesOf(key) < usesToStay) {
        this.#remember(key)
        return
      }
      this.#uses[key] = 0
      this.#main.add(key)
      while (this.#main.size > (1 - smallShare) * this.#capacity) this.#evictFromMain()
    }
  }

  #evictFromMain(): void {
    for (let key = this.#main.oldest(); key !== undefined; key = this.#main.oldest()) {
      this.#main.remove(key)
      const uses = this.#usesOf(key)
      if (uses === 0) return
      this.#uses[key] = uses - 1
      this.#main.add(key)
    }
  }

  /** As many as the main queue may hold. */
  #remember(key: number): void {
    this.#ghosts.add(key)
    this.#ghosts.shrinkTo((1 - smallShare) * this.#capacity)
  }

  #usesOf(key: number): number {
    return this.#uses[key] as number // every key has a count
  }
}
