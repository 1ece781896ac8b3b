/**
 * Time as the host sees it: a clock that only goes forward, and two ways in which it may deceive. The machine may have
 * slept, with the clock standing still while those of others ran on; or this process may have been stopped, with the
 * clock running on while what arrived lay unread.
 */
import { openSync, readSync } from "node:fs"

export function monotonicMs(): number {
  return performance.now()
}

/** A machine that slept less than this lost no lease by it: fences allow for more. */
const noticedMs = 50
/** How far the wall clock may run ahead of ours before the kernel is asked, which costs a system call. */
const suspiciousMs = 20
/** ... and how often it is asked anyway, should the wall clock have slept as well. */
const askEveryMs = 1_000

/**
 * Notices that the machine slept, by a clock that counts on in sleep. The wall clock, which costs nothing to read but
 * may be set by anybody, says when to look; the kernel's time since boot decides.
 */
export class MachineSleepWatch {
  readonly #bootMs: () => number | undefined
  readonly #wallMs: () => number
  readonly #nowMs: () => number
  /** What the other clocks were ahead of ours when they were last compared. */
  #bootAheadMs: number | undefined
  #wallAheadMs: number
  #askedAtMs: number

  constructor(options: { bootMs: () => number | undefined; wallMs: () => number; nowMs: () => number }) {
    this.#bootMs = options.bootMs
    this.#wallMs = options.wallMs
    this.#nowMs = options.nowMs
    this.#askedAtMs = options.nowMs()
    this.#bootAheadMs = this.#readBootAhead()
    this.#wallAheadMs = options.wallMs() - options.nowMs()
  }

  /** False where the system has no such clock: there, a machine that sleeps can serve a stale value when it wakes. */
  get isAvailable(): boolean {
    return this.#bootAheadMs !== undefined
  }

  /** For how long the machine slept since the last look, as far as that matters; 0: it did not. */
  sleptMs(): number {
    if (this.#bootAheadMs === undefined) return 0
    const nowMs = this.#nowMs()
    const wallAheadMs = this.#wallMs() - nowMs
    const isSuspicious = Math.abs(wallAheadMs - this.#wallAheadMs) > suspiciousMs
    if (!isSuspicious && nowMs - this.#askedAtMs < askEveryMs) return 0
    this.#askedAtMs = nowMs
    this.#wallAheadMs = wallAheadMs
    const bootAheadMs = this.#readBootAhead()
    if (bootAheadMs === undefined || bootAheadMs - this.#bootAheadMs <= noticedMs) return 0
    const sleptMs = bootAheadMs - this.#bootAheadMs
    this.#bootAheadMs = bootAheadMs
    return sleptMs
  }

  #readBootAhead(): number | undefined {
    const bootMs = this.#bootMs()
    return bootMs === undefined ? undefined : bootMs - this.#nowMs()
  }
}

/** Notices that this process did not run for longer than `limitMs`. */
export class PauseWatch {
  readonly #limitMs: number
  #seenAtMs: number

  constructor(options: { limitMs: number; nowMs: number }) {
    this.#limitMs = options.limitMs
    this.#seenAtMs = options.nowMs
  }

  /** To be called often. Says how long the process was away, once; 0: it was not. */
  pausedMs(nowMs: number): number {
    const awayMs = nowMs - this.#seenAtMs
    this.#seenAtMs = nowMs
    return awayMs > this.#limitMs ? awayMs : 0
  }
}

/** Reads the time since boot, sleep included, which Linux alone shows in a file; elsewhere it is undefined. */
export function bootClock(): () => number | undefined {
  const file = openUptime()
  if (file === undefined) return () => undefined
  const text = Buffer.alloc(64)
  return () => {
    try {
      const length = readSync(file, text, 0, text.length, 0)
      const seconds = Number.parseFloat(text.toString("latin1", 0, length))
      return Number.isFinite(seconds) ? seconds * 1_000 : undefined
    } catch {
      // A system that lets us open this file and not read it: as good as one that has none.
      return undefined
    }
  }
}

function openUptime(): number | undefined {
  if (process.platform !== "linux") return undefined
  try {
    return openSync("/proc/uptime", "r")
  } catch {
    return undefined // a container that hides it
  }
}
