/**
 * W-TinyLFU (Einziger, Friedman and Manes, "TinyLFU: a highly efficient cache admission policy", 2017): newcomers pass
 * through a small LRU, the window; what falls out of it takes the place of the main cache's next victim only if it was
 * asked for more often of late, by an aging sketch. The main cache is a segmented LRU. The window is 1 %, as in the paper;
 * it does not adapt itself, as that of the Caffeine library does.
 */
import { FrequencySketch } from "./frequency-sketch.ts"
import { KeyQueue } from "./key-queue.ts"
import type { Policy, PolicyOptions } from "./policy.ts"

const windowShare = 0.01
/** Of the main cache: entries that were used again since they came into it. */
const protectedShare = 0.8

export class WTinyLfu implements Policy {
  readonly #sizes: Uint32Array
  readonly #sketch: FrequencySketch
  readonly #window: KeyQueue
  readonly #probation: KeyQueue
  readonly #protected: KeyQueue
  readonly #windowCapacity: number
  readonly #mainCapacity: number

  constructor({ capacity, sizes }: PolicyOptions) {
    this.#sizes = sizes
    this.#window = new KeyQueue(sizes)
    this.#probation = new KeyQueue(sizes)
    this.#protected = new KeyQueue(sizes)
    this.#windowCapacity = Math.max(1, windowShare * capacity)
    this.#mainCapacity = capacity - this.#windowCapacity
    const meanSize = sizes.reduce((sum, size) => sum + size, 0) / sizes.length
    this.#sketch = new FrequencySketch(Math.ceil(capacity / meanSize))
  }

  request(key: number): boolean {
    this.#sketch.count(key)
    if (this.#window.has(key)) renew(this.#window, key)
    else if (this.#protected.has(key)) renew(this.#protected, key)
    else if (this.#probation.has(key)) this.#protect(key)
    else {
      this.#window.add(key)
      this.#shrinkWindow()
      return false
    }
    return true
  }

  #protect(key: number): void {
    this.#probation.remove(key)
    this.#protected.add(key)
    for (let oldest = this.#protected.oldest(); oldest !== undefined; oldest = this.#protected.oldest()) {
      if (this.#protected.size <= protectedShare * this.#mainCapacity) return
      this.#protected.remove(oldest)
      this.#probation.add(oldest)
    }
  }

  #shrinkWindow(): void {
    for (let candidate = this.#window.oldest(); candidate !== undefined; candidate = this.#window.oldest()) {
      if (this.#window.size <= this.#windowCapacity) return
      this.#window.remove(candidate)
      if (this.#makeRoomFor(candidate)) this.#probation.add(candidate)
    }
  }

  /** Whether there is room now; not if a victim was asked for as often. */
  #makeRoomFor(candidate: number): boolean {
    const size = this.#sizes[candidate] ?? 0
    if (size > this.#mainCapacity) return false
    const frequency = this.#sketch.frequency(candidate)
    while (this.#probation.size + this.#protected.size + size > this.#mainCapacity) {
      const queue = this.#probation.size > 0 ? this.#probation : this.#protected
      const victim = queue.oldest()
      if (victim === undefined || this.#sketch.frequency(victim) >= frequency) return false
      queue.remove(victim)
    }
    return true
  }
}

function renew(queue: KeyQueue, key: number): void {
  queue.remove(key)
  queue.add(key)
}
