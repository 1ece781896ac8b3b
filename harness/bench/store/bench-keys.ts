/** Keys by number, made anew each time: a list of twenty million would be a store of its own. */
import { mix32 } from "../../../src/base/hash.ts"

export class BenchKeys {
  readonly #bytes: Uint8Array
  readonly #words: Uint32Array

  /** A multiple of four bytes, at least eight. */
  constructor(keyBytes: number) {
    this.#words = new Uint32Array(keyBytes / 4)
    this.#bytes = new Uint8Array(this.#words.buffer)
  }

  /** The same bytes each time, with another key in them. Different for different whole numbers below 2^32. */
  key(index: number): Uint8Array {
    // All of it differs from key to key, as in keys that are hashes or random ids.
    this.#words[0] = index
    for (let word = 1; word < this.#words.length; word++) this.#words[word] = mix32(index + word)
    return this.#bytes
  }
}
