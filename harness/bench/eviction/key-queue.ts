/** An ordered set of sized keys, oldest first, in which everything takes the same time: what most policies are made of. */
import { assert } from "../../../src/base/assert.ts"

const absent = -1

export class KeyQueue {
  readonly #sizes: Uint32Array
  /** Neighbours by key. The place after the last key stands for both ends, so that no link is ever missing. */
  readonly #older: Int32Array
  readonly #newer: Int32Array
  readonly #ends: number
  #size = 0

  constructor(sizes: Uint32Array) {
    this.#sizes = sizes
    this.#ends = sizes.length
    this.#older = new Int32Array(sizes.length + 1).fill(absent)
    this.#newer = new Int32Array(sizes.length + 1).fill(absent)
    this.#older[this.#ends] = this.#ends
    this.#newer[this.#ends] = this.#ends
  }

  /** Of all that are in it together. */
  get size(): number {
    return this.#size
  }

  has(key: number): boolean {
    return this.#newer[key] !== absent
  }

  oldest(): number | undefined {
    return this.#keyAt(this.#newer[this.#ends])
  }

  /** The one that came right after this one. */
  newerThan(key: number): number | undefined {
    assert(this.has(key), "only what is in the queue has neighbours")
    return this.#keyAt(this.#newer[key])
  }

  add(key: number): void {
    assert(!this.has(key), "a key is in the queue once")
    const newest = this.#older[this.#ends] as number // the ends are always linked
    this.#link(newest, key)
    this.#link(key, this.#ends)
    this.#size += this.#sizes[key] ?? 0
  }

  remove(key: number): void {
    assert(this.has(key), "only what is in the queue can leave it")
    this.#link(this.#older[key] as number, this.#newer[key] as number) // it is in the queue
    this.#newer[key] = absent
    this.#size -= this.#sizes[key] ?? 0
  }

  /** The oldest leave until the rest is no larger. */
  shrinkTo(size: number): void {
    for (let oldest = this.oldest(); oldest !== undefined && this.#size > size; oldest = this.oldest())
      this.remove(oldest)
  }

  #link(older: number, newer: number): void {
    this.#newer[older] = newer
    this.#older[newer] = older
  }

  #keyAt(place: number | undefined): number | undefined {
    return place === this.#ends ? undefined : place
  }
}
