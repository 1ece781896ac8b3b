/**
 * Somebody who asks a node from within its own process, as a door for another protocol does: at once where the node can
 * answer in the same step, through its own calls otherwise. When the process dies, what was under way is of unknown fate,
 * and the asker goes to another node.
 */
import { assert } from "../../src/base/assert.ts"
import type { Prng } from "../../src/base/prng.ts"
import type { OwnOutcome } from "../../src/core/own-calls.ts"
import type { SimulatedClient } from "./client.ts"
import { bytesOf, noted, type Question } from "./client.ts"
import type { SimulatedProcess } from "./process.ts"
import type { Recorder } from "./recorder.ts"
import type { Millis, Simulator } from "./simulator.ts"
import { brief, type Trace } from "./trace.ts"

/** Who can be set to work: a client outside, or one within a node. */
export type Asker = Pick<SimulatedClient, "ask" | "open">

/** A clock that runs slow lets a call last a little longer than was asked for. */
const graceMs = 500

export class ResidentClient implements Asker {
  readonly number: number
  readonly name: string
  readonly #simulator: Simulator
  readonly #recorder: Recorder
  readonly #trace: Trace
  readonly #prng: Prng
  readonly #alive: () => readonly SimulatedProcess[]
  #at: SimulatedProcess | undefined
  #open = 0

  constructor(options: {
    number: number
    simulator: Simulator
    recorder: Recorder
    trace: Trace
    prng: Prng
    alive: () => readonly SimulatedProcess[]
  }) {
    this.number = options.number
    this.name = `r${options.number}`
    this.#simulator = options.simulator
    this.#recorder = options.recorder
    this.#trace = options.trace
    this.#prng = options.prng
    this.#alive = options.alive
  }

  get open(): number {
    return this.#open
  }

  ask(question: Question, options: { timeoutMs?: Millis; lane?: number }, done: (outcome: OwnOutcome) => void): void {
    const { key, operation, meaning } = question
    const timeoutMs = options.timeoutMs ?? 5_000
    const process = this.number * 100 + (options.lane ?? 0)
    const record = meaning === null ? undefined : noted(this.#recorder, process, key, meaning)
    const at = this.#place()
    this.#open += 1
    this.#trace.note(this.name, "asks", () => `${key} ${brief(operation)}`)
    let state: "open" | "told" | "left" = "open"
    const tell = (outcome: OwnOutcome) => {
      assert(state !== "told", "a call ends once")
      if (state === "left") return
      state = "told"
      this.#open -= 1
      this.#trace.note(this.name, "is told", () => `${key} ${operation.op}: ${brief(outcome)}`)
      record?.end(outcome)
      done(outcome)
    }
    // All processes may have left: then nobody is reached, and the asker tries again no sooner than one who waited.
    if (at === undefined) {
      this.#simulator.after(timeoutMs, () => tell({ kind: "failed", code: "timeout", mayHaveHappened: "no" }))
      return
    }
    at.call({ key: bytesOf(key), operation, timeoutMs }, tell)
    // Its process may be dead, or stand still: then whoever asked goes away, and never learns what came of it.
    const goAway = () => {
      if (state !== "open") return
      if (at.state === "running" && at.inboxLength === 0) return this.#simulator.after(graceMs, goAway)
      state = "left"
      this.#open -= 1
      done({ kind: "failed", code: "closed", mayHaveHappened: "unknown" })
    }
    this.#simulator.after(timeoutMs + graceMs, goAway)
  }

  #place(): SimulatedProcess | undefined {
    if (this.#at?.isAlive === true) return this.#at
    const alive = this.#alive()
    this.#at = alive.length > 0 ? this.#prng.pick(alive) : undefined
    return this.#at
  }
}
