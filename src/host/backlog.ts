/**
 * What came over one connection and has not been taken up: taken at once while the turn has time and the other end reads what it is
 * answered, else in shares, in its order, while the connection is not read (`turns.ts`). So it holds what had been read already, and
 * the rest waits in the buffers of the system, and then at the sender.
 *
 * Waiting for long helps nobody: whoever asked has given up by then, and asked again, and what is done for nobody is not done for
 * others. When what comes is too old already, the connection is read as fast as it can be, and all but the last of it is refused, which costs
 * next to nothing, until what comes is fresh again.
 */
import type { Turns, Waiter } from "./turns.ts"

export type BacklogOptions<M> = {
  readonly turns: Pick<Turns, "mayBegin" | "hasTime" | "wait" | "leave">
  readonly take: (message: M) => void
  /** Says that it was not taken up for want of time. */
  readonly refuse: (message: M) => void
  /** Whether the other end keeps up with what it is answered; `goOn` is to be called when it does again. */
  readonly mayAnswer: () => boolean
  readonly pause: () => void
  readonly resume: () => void
  readonly nowMs: () => number
  /** How old what comes is when it is read, as far as is known. */
  readonly lagMs: () => number
  readonly patienceMs: number
}

/** The clock is read before every so many messages: of the dearest, pages of a listing, these take 20 ms; of the cheapest, 10 us. */
const messagesPerLook = 4
/** What is kept when the rest is refused: for the shares that follow. */
const keptMessages = 4

export class Backlog<M> implements Waiter {
  readonly #options: BacklogOptions<M>
  #messages: M[] = []
  #next = 0
  /** When the first of them came. */
  #sinceMs = 0
  #input: "flowing" | "paused" = "flowing"
  #isBehind = false
  #unreadSinceMs: number | undefined

  constructor(options: BacklogOptions<M>) {
    this.#options = options
  }

  get length(): number {
    return this.#messages.length - this.#next
  }

  /** Since when something waits for nothing but that the other end reads its answers; undefined: nothing does. */
  get unreadSinceMs(): number | undefined {
    return this.#unreadSinceMs
  }

  add(messages: readonly M[]): void {
    const { nowMs, take, turns } = this.#options
    let taken = 0
    if (this.length === 0)
      for (const message of messages) {
        if (!this.#mayAnswer() || (taken % messagesPerLook === 0 && !turns.mayBegin())) break
        take(message)
        taken += 1
      }
    if (taken === messages.length) return
    const isFirst = this.length === 0
    for (const message of taken === 0 ? messages : messages.slice(taken)) this.#messages.push(message)
    if (isFirst) this.#sinceMs = nowMs()
    const mayAnswer = this.#mayAnswer()
    if (this.#isBehind && mayAnswer) this.#refuseOldest()
    else this.#pause()
    if (isFirst && mayAnswer) turns.wait(this)
  }

  /** The other end has read what it was answered. */
  goOn(): void {
    if (this.length > 0) this.#options.turns.wait(this)
  }

  work(mayGoOn: () => boolean): "more" | "later" {
    const { lagMs, nowMs, patienceMs, take } = this.#options
    while (this.length > 0) {
      if (!this.#mayAnswer()) {
        this.#pause()
        return "later"
      }
      take(this.#shift())
      if (!mayGoOn()) break
    }
    this.#isBehind = Math.max(lagMs(), this.length === 0 ? 0 : nowMs() - this.#sinceMs) > patienceMs
    if (this.#isBehind) this.#refuseOldest()
    if (this.length === 0) this.#clear()
    if (this.#isBehind || this.length === 0) this.#resume()
    return this.length > 0 ? "more" : "later"
  }

  /** Nothing of it is wanted any more. */
  close(): void {
    this.#clear()
    this.#options.turns.leave(this)
  }

  #mayAnswer(): boolean {
    const { mayAnswer, nowMs } = this.#options
    this.#unreadSinceMs = mayAnswer() ? undefined : (this.#unreadSinceMs ?? nowMs())
    return this.#unreadSinceMs === undefined
  }

  /** Whoever asked that has waited longest. */
  #refuseOldest(): void {
    const { nowMs, refuse, turns } = this.#options
    for (let count = 1; this.length > keptMessages; count++) {
      refuse(this.#shift())
      if (count % messagesPerLook === 0 && !turns.hasTime()) return this.#pause()
    }
    this.#sinceMs = nowMs()
  }

  #pause(): void {
    if (this.#input === "paused") return
    this.#input = "paused"
    this.#options.pause()
  }

  #resume(): void {
    if (this.#input === "flowing") return
    this.#input = "flowing"
    this.#options.resume()
  }

  #shift(): M {
    if (this.#next > 1_024) {
      this.#messages = this.#messages.slice(this.#next)
      this.#next = 0
    }
    return this.#messages[this.#next++] as M // an index below the length
  }

  #clear(): void {
    this.#unreadSinceMs = undefined
    this.#messages = []
    this.#next = 0
  }
}
