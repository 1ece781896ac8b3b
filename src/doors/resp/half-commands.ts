/**
 * Connections that have begun a command and not ended it: memory that nobody can use yet, and a connection that others may want.
 * Says which have taken too long. Told the time; knows nothing of sockets.
 */
export type HalfCommandLimits = {
  /** A command may take so long to arrive, and one more millisecond for each so many bytes of it. */
  readonly halfCommandMs: number
  readonly slowestBytesPerMs: number
  /** Between two looks. Beyond, it was this process that did not run: what arrived meanwhile lies unread. */
  readonly longestLookMs: number
}

export class HalfCommands<Holder extends { readonly heldBytes: number }> {
  readonly #limits: HalfCommandLimits
  readonly #since = new Map<Holder, number>()
  /** Of use only while there is something to look at. */
  #lookedAtMs = 0

  constructor(limits: HalfCommandLimits) {
    this.#limits = limits
  }

  get isAtRest(): boolean {
    return this.#since.size === 0
  }

  /** It holds half a command that was begun now, whatever it held before. */
  begun(holder: Holder, nowMs: number): void {
    if (this.isAtRest) this.#lookedAtMs = nowMs
    this.#since.set(holder, nowMs)
  }

  /** It holds none, or is not read: then it is not its fault. */
  ended(holder: Holder): void {
    this.#since.delete(holder)
  }

  /** Those that have taken too long. They are to be ended, and are not named again. To be called often. */
  overdue(nowMs: number): Holder[] {
    const { halfCommandMs, longestLookMs, slowestBytesPerMs } = this.#limits
    const awayMs = nowMs - this.#lookedAtMs
    this.#lookedAtMs = nowMs
    if (awayMs > longestLookMs) {
      for (const holder of this.#since.keys()) this.#since.set(holder, nowMs)
      return []
    }
    const overdue: Holder[] = []
    for (const [holder, sinceMs] of this.#since) {
      if (nowMs - sinceMs <= halfCommandMs + holder.heldBytes / slowestBytesPerMs) continue
      overdue.push(holder)
      this.#since.delete(holder)
    }
    return overdue
  }
}
