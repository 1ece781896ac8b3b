/**
 * How long does a request to a key range wait? One key for each range is asked for, again and again from the instant of
 * the fault on; the longest that any of them waited for its answer is the failover time that users of the cache feel.
 */
import { setTimeout as sleep } from "node:timers/promises"
import type { NodeId } from "../../src/protocol/message.ts"
import { primaryOf, type Routes, shardOfKey } from "../../src/client/routes.ts"

/** Whether a read of this key was answered in time; a miss is an answer. Never rejects. */
export type Ask = (key: string, withinMs: number) => Promise<boolean>

export type ProberOptions = {
  readonly ask: Ask
  readonly keys: readonly string[]
  /** once: until each key was answered. throughout: over and over until `stop`, as long as something moves. */
  readonly mode: "once" | "throughout"
  readonly nowMs: () => number
  /** Aborted: nobody waits for anything any more. */
  readonly signal?: AbortSignal
}

/**
 * Patience with one call. The client itself asks again while it lasts, and at once when a new view names another
 * primary; calls that are much shorter would make two hundred keys a load of their own.
 */
const attemptMs = 1_000
const betweenMs = 20
/** An operation that takes long is no lost one. */
const patienceMs = 10_000
/** In `throughout`, each key is asked for so often. */
const againMs = 200

export class Prober {
  readonly #options: ProberOptions
  readonly #probes: Promise<void>[]
  #state: "running" | "stopping" = "running"
  /** Whoever waits then is waited for until this time. */
  #patientUntilMs = Number.NEGATIVE_INFINITY
  #longestMs = 0
  #unanswered = 0

  /** Begins at once. */
  constructor(options: ProberOptions) {
    this.#options = options
    this.#probes = options.keys.map(key => this.#probe(key))
  }

  /** Settles when every key was answered, within the time given; only for `once`. */
  async answered(withinMs: number): Promise<void> {
    const timer = setTimeout(() => this.#stop(), withinMs)
    await Promise.all(this.#probes)
    clearTimeout(timer)
  }

  /** The longest wait; null: some key was never answered, not even a while after this was asked for. */
  async stop(): Promise<number | null> {
    if (this.#state === "running") this.#patientUntilMs = this.#options.nowMs() + patienceMs
    this.#stop()
    await Promise.all(this.#probes)
    return this.#unanswered > 0 ? null : this.#longestMs
  }

  #stop(): void {
    this.#state = "stopping"
  }

  async #probe(key: string): Promise<void> {
    const { ask, mode, nowMs } = this.#options
    do {
      const askedAtMs = nowMs()
      while (!(await ask(key, attemptMs))) {
        const isOver = nowMs() > this.#patientUntilMs || this.#options.signal?.aborted === true
        if (this.#state === "stopping" && isOver) {
          this.#unanswered++
          return
        }
        await sleep(betweenMs)
      }
      this.#longestMs = Math.max(this.#longestMs, nowMs() - askedAtMs)
      if (mode === "throughout" && this.#state === "running") await sleep(againMs)
    } while (mode === "throughout" && this.#state === "running")
  }
}

/** One key for every shard. Random keys until none is missing: about eight times as many as there are shards. */
export function keyOfEachShard(routes: Routes): string[] {
  const encoder = new TextEncoder()
  const keys: (string | undefined)[] = new Array(routes.primaries.length).fill(undefined)
  let missing = keys.length
  for (let i = 0; missing > 0; i++) {
    const key = `probe:${i}`
    const shard = shardOfKey(routes, encoder.encode(key))
    if (keys[shard] !== undefined) continue
    keys[shard] = key
    missing--
  }
  return keys.filter(key => key !== undefined)
}

/** Those of `keyOfEachShard` whose shard is led by this member. */
export function keysLedBy(routes: Routes, keys: readonly string[], id: NodeId): string[] {
  return keys.filter((_, shard) => primaryOf(routes, shard)?.id === id)
}
