/**
 * About how often keys were counted of late, in fixed memory: a count-min sketch (Cormode and Muthukrishnan, 2005) of
 * counters up to 15, all of which are halved after ten counts for each entry of the cache.
 */
import { mix32 } from "../../../src/base/hash.ts"

const rows = 4
const highest = 15
const countsPerEntry = 10

export class FrequencySketch {
  readonly #width: number
  readonly #counters: Uint8Array
  readonly #halveAfter: number
  #counted = 0

  constructor(entries: number) {
    this.#width = 2 ** Math.ceil(Math.log2(Math.max(64, entries)))
    this.#counters = new Uint8Array(rows * this.#width)
    this.#halveAfter = countsPerEntry * Math.max(1, entries)
  }

  count(key: number): void {
    for (let row = 0; row < rows; row++) {
      const place = this.#placeOf(key, row)
      const counter = this.#counters[place] as number // within its row
      if (counter < highest) this.#counters[place] = counter + 1
    }
    this.#counted += 1
    if (this.#counted < this.#halveAfter) return
    this.#counted = 0
    for (let place = 0; place < this.#counters.length; place++)
      this.#counters[place] = (this.#counters[place] as number) >>> 1 // within bounds
  }

  /** Never too low but for the halving; too high where keys share all their counters. */
  frequency(key: number): number {
    let least = highest
    for (let row = 0; row < rows; row++) least = Math.min(least, this.#counters[this.#placeOf(key, row)] as number) // within its row
    return least
  }

  #placeOf(key: number, row: number): number {
    return row * this.#width + (mix32(key ^ Math.imul(row + 1, 0x9e3779b9)) & (this.#width - 1))
  }
}
