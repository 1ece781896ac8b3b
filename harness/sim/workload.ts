/**
 * What clients do in a random run: few keys, so that they get in each other's way; every value written once, so that a
 * read says whose write it saw; bursts and lulls.
 */
import { assert } from "../../src/base/assert.ts"
import type { Prng } from "../../src/base/prng.ts"
import type { CallOutcome } from "../../src/client/session.ts"
import { type Part, type Question, questions, type SimulatedClient } from "./client.ts"
import type { SimulatedCluster } from "./cluster.ts"
import { textOf } from "./recorder.ts"
import type { Asker } from "./resident.ts"
import type { Millis } from "./simulator.ts"

export type WorkloadShape = {
  readonly keys: number
  readonly counters: number
  /** Keys whose entries expire. */
  readonly fleeting: number
  /** Sets of keys that are written together, and keys beside them that are written alone as well. */
  readonly groups: number
  /** Share of questions that change several keys in one step, wherever these lie. */
  readonly apart: number
  /** Keys written once at the beginning and hardly touched again: data that is there to be lost. */
  readonly cold: number
  /** Mean time between an answer and the next question of one client. */
  readonly thinkMs: Millis
  /** Share of questions that only read. */
  readonly reads: number
  /** Questions of one client under way at once. */
  readonly lanes: number
  readonly timeoutMs: Millis
}

export class Workload {
  readonly #cluster: SimulatedCluster
  readonly #shape: WorkloadShape
  readonly #prng: Prng
  readonly #keys: readonly string[]
  readonly #counters: readonly string[]
  readonly #fleeting: readonly string[]
  readonly #groups: readonly GroupOfKeys[]
  readonly #cold: readonly string[]
  readonly #hot: readonly string[]
  /** What clients last saw of a key: the stuff of conditions. */
  readonly #seen = new Map<string, string | null>()
  #written = 0
  #isOn = true
  #paceFactor = 1
  /** Questions that were answered, refused or given up, and those that got a result. */
  asked = 0
  answered = 0

  constructor(options: { cluster: SimulatedCluster; shape: WorkloadShape; prng: Prng }) {
    this.#cluster = options.cluster
    this.#shape = options.shape
    this.#prng = options.prng
    this.#keys = named("k", options.shape.keys)
    this.#counters = named("n", options.shape.counters)
    this.#fleeting = named("t", options.shape.fleeting)
    this.#cold = named("c", options.shape.cold)
    this.#groups = named("w", options.shape.groups).map(name => {
      // By their tag they lie in one shard.
      return { whole: [`{${name}}.1`, `{${name}}.2`], beside: `{${name}}.beside` }
    })
    for (const { whole } of this.#groups) this.#cluster.writesTogether(whole)
    this.#hot = [...this.#keys, ...this.#counters, ...this.#fleeting, ...this.#groups.map(({ beside }) => beside)]
  }

  get allKeys(): string[] {
    return [...this.#hot, ...this.#groups.flatMap(({ whole }) => whole), ...this.#cold]
  }

  isFleeting(key: string): boolean {
    return this.#fleeting.includes(key)
  }

  /** Writes the keys that the rest of the run leaves alone. */
  fill(client: SimulatedClient): void {
    for (const [lane, key] of this.#cold.entries())
      client.ask(questions.set(key, `${this.#cluster.seed}.${key}`), { timeoutMs: 5_000, lane }, () => {})
  }

  /** Sets a client to work until `stop`. */
  begin(client: Asker): void {
    for (let lane = 0; lane < this.#shape.lanes; lane++) this.#askLater(client, lane)
  }

  stop(): void {
    this.#isOn = false
  }

  /** Above 1: slower. */
  pace(factor: number): void {
    this.#paceFactor = factor
  }

  #askLater(client: Asker, lane: number): void {
    const thinkMs = -this.#shape.thinkMs * this.#paceFactor * Math.log(1 - this.#prng.fraction())
    this.#cluster.simulator.after(thinkMs, () => {
      if (!this.#isOn) return
      const question = this.#choose()
      client.ask(question, { timeoutMs: this.#shape.timeoutMs, lane }, outcome => {
        this.asked += 1
        if (outcome.kind !== "failed") this.answered += 1
        this.#learn(question, outcome)
        this.#askLater(client, lane)
      })
    })
  }

  #choose(): Question {
    const prng = this.#prng
    if (this.#shape.apart > 0 && prng.chance(this.#shape.apart)) return this.#chooseApart()
    if (this.#groups.length > 0 && prng.chance(0.2)) return this.#chooseGroup(prng.pick(this.#groups))
    const key = this.#cold.length > 0 && prng.chance(0.02) ? prng.pick(this.#cold) : prng.pick(this.#hot)
    if (prng.chance(this.#shape.reads)) return prng.chance(0.9) ? questions.get(key) : questions.ttl(key)
    if (key.startsWith("n")) return prng.chance(0.9) ? questions.incr(key, 1 + prng.below(3)) : questions.delete(key)
    if (key.startsWith("t")) return this.#chooseFleeting(key)
    const value = `${this.#cluster.seed}.${++this.#written}`
    switch (prng.below(6)) {
      case 0:
        return questions.delete(key)
      case 1:
        return questions.add(key, value)
      case 2:
      case 3:
        return questions.cas(key, this.#seen.get(key) ?? null, value)
      case 4:
        return prng.chance(0.8) ? questions.set(key, value) : questions.touch(key, null)
      default:
        return questions.set(key, value)
    }
  }

  #chooseFleeting(key: string): Question {
    const ttlMs = 50 + this.#prng.below(1_500)
    switch (this.#prng.below(4)) {
      case 0:
        return questions.delete(key)
      case 1: {
        const { recorder, config } = this.#cluster
        // The checker has no word for this: what it finds there may vanish earlier, or later, than it was written to.
        recorder.mayVanish(key, recorder.nowNs() + Math.floor(ttlMs * (1 - config.clockRateError) * 1e6))
        recorder.touched(key)
        return questions.touch(key, ttlMs)
      }
      default:
        return questions.set(key, `${this.#cluster.seed}.${++this.#written}`, { ttlMs })
    }
  }

  /** The two that are only ever written together hold the same, and so are expected to. */
  #chooseGroup({ whole, beside }: GroupOfKeys): Question {
    const prng = this.#prng
    if (prng.chance(this.#shape.reads / 2)) return questions.get(prng.pick(whole))
    const value = `${this.#cluster.seed}.${++this.#written}`
    const seen = this.#seen.get(whole[0]) ?? null
    const seenBeside = this.#seen.get(beside) ?? null
    const expected = prng.chance(0.6) ? { expected: seen } : {}
    const change = prng.chance(0.85) ? ({ change: "set", value } as const) : ({ change: "delete" } as const)
    const other: Part = prng.pick([
      { key: beside, change: "set", value },
      { key: beside, change: "set", value, expected: seenBeside },
      { key: beside, change: "none", expected: seenBeside },
      { key: beside, change: "delete" },
    ])
    return questions.group(
      prng.shuffled([{ key: whole[0], ...expected, ...change }, { key: whole[1], ...expected, ...change }, other]),
    )
  }

  /** Mostly of one primary: the others are refused. */
  #chooseApart(): Question {
    const prng = this.#prng
    const [first, ...others] = prng.shuffled(this.#keys)
    assert(first !== undefined, "there are keys")
    const { shards } = this.#cluster.newestView
    const primaryOf = (key: string) => shards[this.#cluster.shardOf(key)]?.primary
    const beside = others.filter(key => primaryOf(key) === primaryOf(first))
    const rest = beside.length > 0 && prng.chance(0.9) ? beside : others
    const parts = [first, ...rest.slice(0, 1 + prng.below(2))].map((key): Part => {
      const value = `${this.#cluster.seed}.${++this.#written}`
      const expected = this.#seen.get(key) ?? null
      return prng.pick([
        { key, change: "set", value },
        { key, change: "set", value, expected },
        { key, change: "none", expected },
        { key, change: "delete" },
      ])
    })
    return questions.group(parts)
  }

  #learn({ key, operation }: Question, outcome: CallOutcome): void {
    if (operation.op === "group" && outcome.kind === "group-done")
      for (const step of operation.steps)
        if (step.operation.op === "set") this.#seen.set(textOf(step.key), textOf(step.operation.value))
        else if (step.operation.op === "delete") this.#seen.set(textOf(step.key), null)
    if (outcome.kind === "value") this.#seen.set(key, textOf(outcome.value))
    else if (outcome.kind === "missing" || outcome.kind === "deleted") this.#seen.set(key, null)
    else if (outcome.kind === "stored" && operation.op === "set") this.#seen.set(key, textOf(operation.value))
  }
}

type GroupOfKeys = { readonly whole: readonly [string, string]; readonly beside: string }

function named(letter: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${letter}${i}`)
}
