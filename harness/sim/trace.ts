/**
 * What happened, in order: always as one number, so that two runs can be compared, and as lines for who wants to read
 * them.
 */
import type { Simulator } from "./simulator.ts"

export class Trace {
  readonly #simulator: Simulator
  readonly #print: ((line: string) => void) | undefined
  #hash = 0x811c9dc5
  readonly #hashedWords = new Map<string, number>()

  constructor(options: { simulator: Simulator; print?: ((line: string) => void) | undefined }) {
    this.#simulator = options.simulator
    this.#print = options.print
  }

  get hash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, "0")
  }

  /** `details` is asked for only where somebody reads. */
  note(who: string, what: string, details?: () => string): void {
    this.#mix(Math.round(this.#simulator.nowMs * 1_000))
    this.#mix(this.#hashOf(who))
    this.#mix(this.#hashOf(what))
    if (this.#print === undefined) return
    const time = this.#simulator.nowMs.toFixed(2).padStart(10)
    this.#print(`${time} ${who.padEnd(9)} ${what}${details === undefined ? "" : ` ${details()}`}`)
  }

  #mix(word: number): void {
    this.#hash = Math.imul(this.#hash ^ word, 0x01000193)
    this.#hash ^= this.#hash >>> 15
  }

  #hashOf(word: string): number {
    let hash = this.#hashedWords.get(word)
    if (hash === undefined) {
      hash = 0x811c9dc5
      for (let i = 0; i < word.length; i++) hash = Math.imul(hash ^ word.charCodeAt(i), 0x01000193)
      this.#hashedWords.set(word, hash)
    }
    return hash
  }
}

/** A value as one short line: bytes as text, ids by their beginning. */
export function brief(value: unknown): string {
  const text = JSON.stringify(value, (_key, part: unknown) => {
    if (part instanceof Uint8Array) return new TextDecoder().decode(part)
    return typeof part === "string" && /^[0-9a-f]{16}$/.test(part) ? part.slice(0, 4) : part
  })
  return text.length > 400 ? `${text.slice(0, 400)}...` : text
}
