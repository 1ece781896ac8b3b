/**
 * Clients that agree on who loads a key, and that tag what they store: the real steps of the client, in virtual time. Says
 * who was loading when, and whether two did at once that should not have.
 */
import { unreachable } from "../../src/base/assert.ts"
import type { CallOutcome } from "../../src/client/session.ts"
import { type Loading, loading } from "../../src/client/loading.ts"
import type { Answer, Loaded, Question, Steps } from "../../src/client/steps.ts"
import { leaseFlag } from "../../src/protocol/limits.ts"
import { bytesOf, type SimulatedClient } from "./client.ts"
import type { SimulatedCluster } from "./cluster.ts"
import { type Meaning, textOf } from "./recorder.ts"
import type { Millis } from "./simulator.ts"

export type LoadTimes = {
  readonly ttlMs: Millis
  readonly staleForMs: Millis
  readonly leaseMs: Millis
  readonly patienceMs: Millis
}

/** One call of somebody's loader. */
type Load = { readonly key: string; readonly leaseAskedAtMs: Millis; readonly beganAtMs: Millis; endedAtMs: Millis }

/** What a load makes of it: a value, or nothing. */
export type Loader = { readonly takesMs: Millis; readonly ends: "well" | "badly" }

export class Loads {
  readonly #cluster: SimulatedCluster
  readonly #times: LoadTimes
  readonly all: Load[] = []

  constructor(cluster: SimulatedCluster, times: LoadTimes) {
    this.#cluster = cluster
    this.#times = times
  }

  /** Of this key: at most so many loads were under way at one time. */
  mostAtOnce(key: string): number {
    const loads = this.all.filter(load => load.key === key)
    return Math.max(
      0,
      ...loads.map(({ beganAtMs: at }) => loads.filter(l => l.beganAtMs <= at && l.endedAtMs > at).length),
    )
  }

  /** What `getOrSet` does. `told`: what its caller has, as soon as it has it; undefined: nothing. */
  getOrLoad(
    client: SimulatedClient,
    key: string,
    loader: Loader,
    told: (value: string | undefined, loaded: Loading | undefined) => void,
  ): void {
    const { simulator } = this.#cluster
    const steps = loading({
      ...{ key: bytesOf(key), tags: [], ...this.#times },
      ...{ prng: this.#cluster.prng.fork(), now: () => simulator.nowMs },
    })
    let leaseAskedAtMs = 0
    let made: string | undefined
    followIn(this.#cluster, client, steps, {
      meaningOf,
      asked: ({ key: leaseKey, operation }) => {
        // The one that keeps others away: beside the key, where a stale value may be in its place.
        const isBeside = textOf(leaseKey) !== key
        if (operation.op !== "set" || (operation.flags & leaseFlag) === 0) return
        if (isBeside === this.#times.staleForMs > 0) leaseAskedAtMs = simulator.nowMs
      },
      load: loaded => {
        this.#began(key, leaseAskedAtMs, loader.takesMs)
        made = `${key}.${this.all.length}`
        const value = { bytes: bytesOf(made), flags: 0 }
        const outcome: Loaded = loader.ends === "well" ? { kind: "loaded", value } : { kind: "failed" }
        simulator.after(loader.takesMs, () => loaded(outcome))
      },
      tell: value => told(value, undefined),
      done: loaded => {
        if (loaded.kind === "found") told(textOf(loaded.value.bytes), loaded)
        else if (loaded.kind !== "told") told(loaded.kind === "loaded" ? made : undefined, loaded)
      },
    })
  }

  /** Nobody else loads the key, unless the lease of who does has run out. */
  #began(key: string, leaseAskedAtMs: Millis, takesMs: Millis): void {
    const { nowMs } = this.#cluster.simulator
    const leastMs = this.#times.leaseMs * (1 - 2 * this.#cluster.config.clockRateError)
    for (const other of this.all)
      if (other.key === key && other.endedAtMs > nowMs && nowMs < other.leaseAskedAtMs + leastMs)
        this.#cluster.violate("one loads at a time", `${key} is being loaded, and its lease is good for a while`)
    this.all.push({ key, leaseAskedAtMs, beganAtMs: nowMs, endedAtMs: nowMs + takesMs })
  }
}

/** A lease, and what gives it back, changes nothing that others see. */
function meaningOf({ operation }: Question): Meaning | null {
  if (operation.op === "get") return { op: "get" }
  if (operation.op !== "set" || (operation.flags & leaseFlag) !== 0) return null
  const { ttlMs, value } = operation
  return { op: "set", value: textOf(value), ...(typeof ttlMs === "number" ? { ttlMs } : {}) }
}

export type SimulatedWorld<R> = {
  readonly meaningOf: (question: Question) => Meaning | null
  readonly asked?: (question: Question) => void
  readonly load?: (loaded: (outcome: Loaded) => void) => void
  readonly tell?: (value: string) => void
  readonly done: (result: R) => void
}

const timeoutMs = 2_000

/** Carries out steps as one client, one after another. */
export function followIn<R>(
  cluster: SimulatedCluster,
  client: SimulatedClient,
  steps: Steps<R>,
  world: SimulatedWorld<R>,
): void {
  const next = (answer: Answer): void => {
    const { done, value: step } = steps.next(answer)
    if (done === true) return world.done(step)
    switch (step.kind) {
      case "ask":
        return askAll(client, step.questions, world, next)
      case "wait":
        return cluster.simulator.after(step.ms, () => next(undefined))
      case "load":
        return world.load?.(next)
      case "tell":
        world.tell?.(textOf(step.value.bytes))
        return next(undefined)
      default:
        return unreachable(step)
    }
  }
  next(undefined)
}

function askAll<R>(
  client: SimulatedClient,
  questions: readonly Question[],
  { asked, meaningOf }: SimulatedWorld<R>,
  next: (outcomes: readonly CallOutcome[]) => void,
): void {
  const outcomes = new Array<CallOutcome>(questions.length)
  let missing = questions.length
  for (const [i, question] of questions.entries()) {
    asked?.(question)
    const { key, operation } = question
    client.ask({ key: textOf(key), operation, meaning: meaningOf(question) }, { timeoutMs, lane: 80 + i }, outcome => {
      outcomes[i] = outcome
      missing -= 1
      if (missing === 0) next(outcomes)
    })
  }
}
