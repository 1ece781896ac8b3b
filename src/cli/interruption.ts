/** Ctrl-C for commands that have something to put in order, or to print, before they end. */
import { exitCodes } from "./exit-codes.ts"

/** The first signal aborts; a second one ends this process at once, and with it what it started. */
export function abortOnSignals(): { readonly signal: AbortSignal; end(): void } {
  const controller = new AbortController()
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const
  const interrupted = () => {
    if (controller.signal.aborted) process.exit(exitCodes.interrupted)
    controller.abort()
  }
  for (const signal of signals) process.on(signal, interrupted)
  return {
    signal: controller.signal,
    end: () => {
      for (const signal of signals) process.off(signal, interrupted)
    },
  }
}
