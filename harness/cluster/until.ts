/** Waiting for a condition of the real world, with a deadline. The one place of the harness where it sleeps. */
import { setTimeout as sleep } from "node:timers/promises"
import { CouldNotRun } from "./could-not-run.ts"

export class DeadlineError extends CouldNotRun {
  override name = "DeadlineError"
}

export type UntilOptions = {
  readonly withinMs: number
  /** Completes the sentence "waited 5 s in vain for ...". A function is asked at the end, when most is known. */
  readonly what: string | (() => string)
  readonly everyMs?: number
  readonly signal?: AbortSignal
}

/** Asks again and again; the answer is the first that is neither false nor undefined. */
export async function until<T>(
  condition: () => T | undefined | false | Promise<T | undefined | false>,
  options: UntilOptions,
): Promise<T> {
  const { withinMs, what, everyMs = 20, signal } = options
  const giveUpAtMs = performance.now() + withinMs
  for (;;) {
    signal?.throwIfAborted()
    const answer = await condition()
    if (answer !== undefined && answer !== false) return answer
    if (performance.now() >= giveUpAtMs) {
      const subject = typeof what === "string" ? what : what()
      throw new DeadlineError(`waited ${(withinMs / 1_000).toFixed(1)} s in vain for ${subject}`)
    }
    await sleep(everyMs, undefined, signal ? { signal } : {})
  }
}
