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
  /** What is known of it was measured while the other end let itself be waited for. */
  readonly forgetLag: () => void
  readonly patienceMs: number
  readonly held?: Held
}

/** The clock is read before every so many messages: of the dearest, pages of a listing, these take 20 ms; of the cheapest, 10 us. */
const messagesPerLook = 4
/** What is kept when the rest is refused: for the shares that follow. */
const keptMessages = 4

/** `bytes`: what can be forgotten when this has been taken up. */
type Waiting<M> = { readonly message: M; readonly cameAtMs: number; readonly bytes: number }

/** `bytes`: of what they lie in, which is kept until the last of them has been taken up. */
export type Arrival = { readonly bytes: number; readonly otherwise: "wait" | "refuse" }

/** Bytes that wait, of several backlogs together. */
export class Held {
  bytes = 0
}

export class Backlog<M> implements Waiter {
  readonly #options: BacklogOptions<M>
  #waiting: Waiting<M>[] = []
  #next = 0
  #bytes = 0
  /** Waiting counts from here: what was before is the other end's doing, or has been made up for. */
  #countsFromMs = Number.NEGATIVE_INFINITY
  #input: "flowing" | "paused" = "flowing"
  #isBehind = false
  #unreadSinceMs: number | undefined

  constructor(options: BacklogOptions<M>) {
    this.#options = options
  }

  get length(): number {
    return this.#waiting.length - this.#next
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Since when something waits for nothing but that the other end reads its answers; undefined: nothing does. */
  get unreadSinceMs(): number | undefined {
    return this.#unreadSinceMs
  }

  /** What cannot be taken up at once waits, or is refused. */
  add(messages: readonly M[], { bytes, otherwise }: Arrival): void {
    const { nowMs, take, turns } = this.#options
    let taken = 0
    if (this.length === 0)
      for (const message of messages) {
        if (!this.#mayAnswer() || (taken % messagesPerLook === 0 && !turns.mayBegin())) break
        take(message)
        taken += 1
      }
    if (taken === messages.length) return
    const rest = taken === 0 ? messages : messages.slice(taken)
    if (otherwise === "refuse") return this.#refuse(rest)
    // It was found long ago, perhaps, and nothing has come since.
    if (this.#isBehind) this.#isBehind = this.#isLate()
    const isFirst = this.length === 0
    const cameAtMs = nowMs()
    const last = rest.length - 1
    for (const [i, message] of rest.entries()) this.#waiting.push({ message, cameAtMs, bytes: i === last ? bytes : 0 })
    this.#hold(bytes)
    const mayAnswer = this.#mayAnswer()
    if (this.#isBehind && mayAnswer) this.#refuseOldest()
    else this.#pause()
    if (isFirst && mayAnswer) turns.wait(this)
  }

  /** The other end has read what it was answered. */
  goOn(): void {
    const { forgetLag, nowMs, turns } = this.#options
    if (this.length === 0) return
    if (this.#unreadSinceMs !== undefined) {
      this.#countsFromMs = nowMs()
      forgetLag()
    }
    turns.wait(this)
  }

  work(mayGoOn: () => boolean): "more" | "later" {
    const { take } = this.#options
    while (this.length > 0) {
      if (!this.#mayAnswer()) return this.#unread()
      take(this.#shift())
      if (!mayGoOn()) break
    }
    this.#isBehind = this.#isLate()
    if (this.#isBehind) this.#refuseOldest()
    if (this.length === 0) this.#clear()
    else if (!this.#mayAnswer()) return this.#unread()
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

  /** `goOn` will say when. */
  #unread(): "later" {
    this.#pause()
    return "later"
  }

  #isLate(): boolean {
    const { lagMs, nowMs, patienceMs } = this.#options
    const oldest = this.#waiting[this.#next]
    const waitedMs = oldest === undefined ? 0 : nowMs() - Math.max(oldest.cameAtMs, this.#countsFromMs)
    return Math.max(lagMs(), waitedMs) > patienceMs
  }

  /** Whoever asked that has waited longest. A refusal is an answer, too: it may be one too many for who does not read. */
  #refuseOldest(): void {
    const { nowMs, refuse, turns } = this.#options
    for (let count = 1; this.length > keptMessages; count++) {
      if (!this.#mayAnswer()) return this.#pause()
      refuse(this.#shift())
      if (count % messagesPerLook === 0 && !turns.hasTime()) return this.#pause()
    }
    this.#countsFromMs = nowMs()
  }

  /** Who does not read its answers is not told. */
  #refuse(messages: readonly M[]): void {
    for (const message of messages) if (this.#options.mayAnswer()) this.#options.refuse(message)
  }

  #hold(bytes: number): void {
    const { held } = this.#options
    this.#bytes += bytes
    if (held !== undefined) held.bytes += bytes
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
      this.#waiting = this.#waiting.slice(this.#next)
      this.#next = 0
    }
    const { message, bytes } = this.#waiting[this.#next++] as Waiting<M> // an index below the length
    this.#hold(-bytes)
    return message
  }

  #clear(): void {
    this.#unreadSinceMs = undefined
    this.#hold(-this.#bytes)
    this.#waiting = []
    this.#next = 0
  }
}
