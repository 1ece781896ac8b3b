/**
 * The clock of one machine: it began somewhere else than the others and runs a little fast or slow. It never stops for
 * a paused process, only for a suspended machine, and then nobody on that machine can tell.
 */
import type { Prng } from "../../src/base/prng.ts"
import type { Simulator } from "./simulator.ts"

export class MachineClock {
  readonly #simulator: Simulator
  readonly #offsetMs: number
  readonly #rate: number
  #suspendedMs = 0
  #suspendedAtMs: number | undefined

  constructor(options: { simulator: Simulator; offsetMs: number; rate: number }) {
    this.#simulator = options.simulator
    this.#offsetMs = options.offsetMs
    this.#rate = options.rate
  }

  /** A clock whose rate differs by at most `rateError` from any other made with the same error. */
  static random(simulator: Simulator, prng: Prng, rateError: number): MachineClock {
    // Half of the machines stand at one end or the other: what goes wrong by drift does so there. The hundredth taken
    // off keeps the quotient of the two ends, not only their difference, within the error.
    const end = (rateError / 2) * 0.99
    const error = prng.pick([-end, end, prng.between(-end, end), 0])
    return new MachineClock({ simulator, offsetMs: prng.between(1, 1e7), rate: 1 + error })
  }

  nowMs(): number {
    const realMs = (this.#suspendedAtMs ?? this.#simulator.nowMs) - this.#suspendedMs
    return this.#offsetMs + realMs * this.#rate
  }

  /** How long it takes until this clock shows `atMs`, if it is not suspended meanwhile; 0: it is past that. */
  realMsUntil(atMs: number): number {
    return Math.max(0, (atMs - this.nowMs()) / this.#rate)
  }

  get isSuspended(): boolean {
    return this.#suspendedAtMs !== undefined
  }

  suspend(): void {
    this.#suspendedAtMs ??= this.#simulator.nowMs
  }

  wake(): void {
    if (this.#suspendedAtMs === undefined) return
    this.#suspendedMs += this.#simulator.nowMs - this.#suspendedAtMs
    this.#suspendedAtMs = undefined
  }
}
