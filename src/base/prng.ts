/**
 * Chance, from a seed: sfc32 (Chris Doty-Humphrey, PractRand). Not for secrets. The same seed gives the same numbers
 * on every machine, which is what replaying a simulation rests on.
 */
export class Prng {
  #a: number
  #b: number
  #c: number
  #counter = 1

  /** Any 32-bit integer; neighbouring seeds give unrelated sequences. */
  constructor(seed: number) {
    this.#a = seed >>> 0
    this.#b = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) >>> 0
    this.#c = Math.imul(seed ^ 0xc2b2ae35, 0x27d4eb2f) >>> 0
    for (let i = 0; i < 12; i++) this.uint32()
  }

  uint32(): number {
    const out = (this.#a + this.#b + this.#counter) >>> 0
    this.#counter = (this.#counter + 1) >>> 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) >>> 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + out) >>> 0
    return out
  }

  /** In [0, 1). */
  fraction(): number {
    return this.uint32() / 4_294_967_296
  }

  /** An integer in [0, below). */
  below(below: number): number {
    return Math.floor(this.fraction() * below)
  }

  /** A number in [from, to). */
  between(from: number, to: number): number {
    return from + this.fraction() * (to - from)
  }

  chance(probability: number): boolean {
    return this.fraction() < probability
  }

  pick<T>(items: readonly T[]): T {
    if (items.length === 0) throw new RangeError("nothing to pick from")
    return items[this.below(items.length)] as T // the index is within bounds
  }

  /** A new array in random order. */
  shuffled<T>(items: readonly T[]): T[] {
    const out = [...items]
    for (let i = out.length - 1; i > 0; i--) {
      const j = this.below(i + 1)
      ;[out[i], out[j]] = [out[j] as T, out[i] as T] // both indexes are within bounds
    }
    return out
  }

  /** 64 random bits as 16 hex digits. */
  hex64(): string {
    return this.uint32().toString(16).padStart(8, "0") + this.uint32().toString(16).padStart(8, "0")
  }

  /** An independent generator, so that one part's draws do not shift another's. */
  fork(): Prng {
    return new Prng(this.uint32())
  }
}
