/**
 * What the load asks for: random operations on random keys with values that are never written twice, all from a seed.
 * Every read can then be traced to the one write that it saw.
 */
import type { Prng } from "../../src/base/prng.ts"

/** What one process is about to ask. */
export type Intent = { readonly key: string } & (
  | { readonly op: "get" }
  | { readonly op: "set"; readonly value: string }
  | { readonly op: "add"; readonly value: string }
  | { readonly op: "delete" }
  | { readonly op: "cas"; readonly expected: string; readonly value: string }
  | { readonly op: "incr"; readonly by: number }
)

/** One key in so many is a counter: `incr` has no meaning on the others. */
const counterEvery = 8
/** Operations meet on few keys as well, or nothing about their order would be put to the test. */
const hotChance = 0.2
const hotEvery = 50
/** Of the random tail of a value. Long enough to differ in size, short enough for a history of a million lines. */
const longestTail = 64

export class OperationChooser {
  readonly #prng: Prng
  readonly #keys: readonly string[]
  /** What was last seen of a key: what a cas expects, so that some succeed. */
  readonly #seen = new Map<string, string>()
  readonly #prefix: string
  #values = 0

  /**
   * `prefix` of every value: tells apart what several choosers for the same keys write. `keyPrefix` of every key: tells
   * them from keys that others write.
   */
  constructor(options: { prng: Prng; keyCount: number; prefix?: string; keyPrefix?: string }) {
    this.#prng = options.prng
    this.#prefix = options.prefix ?? ""
    const { keyCount, keyPrefix = "" } = options
    this.#keys = Array.from({ length: keyCount }, (_, i) => `${keyPrefix}${isCounter(i) ? "counter" : "key"}:${i}`)
  }

  get keys(): readonly string[] {
    return this.#keys
  }

  next(): Intent {
    const index = this.#index()
    const key = this.#keys[index] ?? "key:0"
    const part = this.#prng.fraction()
    if (isCounter(index)) {
      if (part < 0.6) return { key, op: "incr", by: this.#prng.below(19) - 9 }
      return part < 0.95 ? { key, op: "get" } : { key, op: "delete" }
    }
    if (part < 0.5) return { key, op: "get" }
    if (part < 0.72) return { key, op: "set", value: this.#value() }
    if (part < 0.8) return { key, op: "delete" }
    const expected = this.#seen.get(key)
    if (part < 0.88 || expected === undefined) return { key, op: "add", value: this.#value() }
    return { key, op: "cas", expected, value: this.#value() }
  }

  /** Tells what a key was just seen to hold; null: nothing. */
  saw(key: string, value: string | null): void {
    if (value === null) this.#seen.delete(key)
    else this.#seen.set(key, value)
  }

  #index(): number {
    const { length } = this.#keys
    const isHot = this.#prng.chance(hotChance)
    return this.#prng.below(isHot ? Math.ceil(length / hotEvery) : length)
  }

  #value(): string {
    const words = this.#prng.below(longestTail / 16 + 1)
    const tail = Array.from({ length: words }, () => this.#prng.hex64()).join("")
    return `${this.#prefix}v${++this.#values}${tail && `-${tail}`}`
  }
}

function isCounter(index: number): boolean {
  return index % counterEvery === 0
}
