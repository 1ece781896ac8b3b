/**
 * Work for the end of this event-loop turn. What one turn sends to one connection leaves in one frame, and what a
 * connection has to report reaches its owner outside of whatever step caused it.
 *
 * `setImmediate`, not `process.nextTick`: it runs when every socket that was readable in this turn has been read, so
 * that the answers to, and the copies of, several peers' requests ride together; and it adds no waiting, since the
 * event loop never sleeps before it.
 */
export class TurnEnd {
  /** Runs a step and decides what an exception in it means. For whatever the event loop calls. */
  readonly guarded: (step: () => void) => void
  #due = new Set<() => void>()

  constructor(guarded: (step: () => void) => void) {
    this.guarded = guarded
  }

  /** The same function is run once, however often it was handed in. */
  defer(step: () => void): void {
    if (this.#due.size === 0) setImmediate(() => this.#run())
    this.#due.add(step)
  }

  #run(): void {
    const due = this.#due
    this.#due = new Set()
    for (const step of due) this.guarded(step)
  }
}
