/**
 * Who does how much in one turn of the event loop. Whatever is asked of a node, timers and the beats of others must never be far
 * behind, or the others take a node that has much to do for a dead one. So what comes in may be worked on for a few milliseconds in
 * each turn; what is left waits, its connection is not read meanwhile, and the next turns go round among all that wait, a little for
 * each: a connection that asks for much makes itself wait, and others hardly. Knows nothing of what the work is.
 */

/** Whoever has work that waits. */
export type Waiter = {
  /** Does some of it, as long as it may go on. "later": it will say when it can do more. */
  work(mayGoOn: () => boolean): "more" | "later"
}

export type TurnsOptions = {
  /** What is worked on in one turn, and by one of those that wait at a time. */
  readonly turnMs: number
  readonly shareMs: number
  readonly nowMs: () => number
  /** Runs a step and decides what an exception in it means. */
  readonly guarded: (step: () => void) => void
}

export class Turns {
  readonly #options: TurnsOptions
  /** In the order in which they are due. */
  readonly #waiting = new Set<Waiter>()
  /** Until when work may begin in this turn; undefined: nothing has begun in it. */
  #untilMs: number | undefined
  #isNextDue = false
  #shareUntilMs = 0
  readonly #mayGoOn = () => this.#options.nowMs() < this.#shareUntilMs

  constructor(options: TurnsOptions) {
    this.#options = options
  }

  /** Whether what has just come in may be worked on at once: nobody waits, and the turn has time left. */
  mayBegin(): boolean {
    return this.#waiting.size === 0 && this.hasTime()
  }

  /** Whether this turn has time left for what arrives in it. */
  hasTime(): boolean {
    const nowMs = this.#options.nowMs()
    if (this.#untilMs === undefined) {
      this.#untilMs = nowMs + this.#options.turnMs
      this.#nextLater()
    }
    return nowMs < this.#untilMs
  }

  /** Comes behind all others that wait, if it does not wait yet. */
  wait(waiter: Waiter): void {
    this.#waiting.add(waiter)
    this.#nextLater()
  }

  leave(waiter: Waiter): void {
    this.#waiting.delete(waiter)
  }

  /** After every socket that was readable has been read; timers come between two of these. */
  #nextLater(): void {
    if (this.#isNextDue) return
    this.#isNextDue = true
    setImmediate(() => this.#next())
  }

  #next(): void {
    const { guarded, nowMs, shareMs, turnMs } = this.#options
    this.#isNextDue = false
    this.#untilMs = undefined
    if (this.#waiting.size === 0) return
    const endsAtMs = nowMs() + turnMs
    // Whoever is not done is added at the end of what is gone through here.
    for (const waiter of this.#waiting) {
      const atMs = nowMs()
      if (atMs >= endsAtMs) break
      this.#shareUntilMs = Math.min(endsAtMs, atMs + shareMs)
      this.#waiting.delete(waiter)
      guarded(() => {
        if (waiter.work(this.#mayGoOn) === "more") this.#waiting.add(waiter)
      })
    }
    if (this.#waiting.size > 0) this.#nextLater()
  }
}
