/**
 * Keeps what happens over and over from filling the log: a stranger that knocks every second is news once a minute, with
 * the number of times that went unsaid.
 */
export class Repeats {
  readonly #quietMs: number
  readonly #maxKeys: number
  /** In the order in which they were last said. */
  readonly #said = new Map<string, { atMs: number; unsaid: number }>()

  constructor(options: { quietMs: number; maxKeys: number }) {
    this.#quietMs = options.quietMs
    this.#maxKeys = options.maxKeys
  }

  /** "quiet": not now. Otherwise how many times it has happened unsaid. */
  met(key: string, nowMs: number): "quiet" | number {
    const last = this.#said.get(key)
    if (last !== undefined && nowMs - last.atMs < this.#quietMs) {
      last.unsaid += 1
      return "quiet"
    }
    this.#said.delete(key)
    this.#said.set(key, { atMs: nowMs, unsaid: 0 })
    const [oldest] = this.#said.keys()
    if (this.#said.size > this.#maxKeys && oldest !== undefined) this.#said.delete(oldest)
    return last?.unsaid ?? 0
  }
}
