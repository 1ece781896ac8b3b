/**
 * The load: processes that each have one operation at a time, as fast as they are answered or at a fixed rate for all of
 * them together. At a fixed rate an operation that finds every process waiting is not asked at all, so that a cluster
 * that stands still is not punished with a flood when it wakes.
 */
import type { Action } from "../checker/history.ts"
import type { Intent, OperationChooser } from "./operations.ts"
import type { Ending, Recorder } from "./recorder.ts"

/** A way to the cluster. Never rejects: what cannot be done is an ending. */
export interface CacheAccess {
  perform(intent: Intent): Promise<Answer>
}

export type Answer = {
  readonly ending: Ending
  /** What a `get` or an `incr` answered; null: a miss, or nothing. */
  readonly value: string | null
  /** Of a `delete` that was answered: whether there was something to delete. */
  readonly found?: boolean
}

export type WorkloadOptions = {
  readonly chooser: OperationChooser
  readonly recorder: Recorder
  /** Processes share them in turn. */
  readonly accesses: readonly CacheAccess[]
  readonly processCount: number
  /** Operations a second; undefined: no pause between them. */
  readonly rate: number | undefined
  /** Nanoseconds since the start of the run. */
  readonly nowNs: () => number
}

/** How often the operations that have become due are given out; finer costs more wake-ups than it evens out. */
const paceMs = 5

export class Workload {
  readonly #options: WorkloadOptions
  readonly #idle: (() => void)[] = []
  readonly #processes: Promise<void>[]
  #state: "running" | "stopping" = "running"
  #pacer: NodeJS.Timeout | undefined
  #pacedUntilNs: number
  #due = 0

  /** Begins at once. */
  constructor(options: WorkloadOptions) {
    this.#options = options
    this.#pacedUntilNs = options.nowNs()
    if (options.rate !== undefined) this.#pacer = setInterval(() => this.#giveOut(), paceMs)
    this.#processes = Array.from({ length: options.processCount }, (_, process) => this.#run(process))
  }

  /** Settles when the last operation under way has ended. */
  async stop(): Promise<void> {
    this.#state = "stopping"
    clearInterval(this.#pacer)
    for (const wake of this.#idle.splice(0)) wake()
    await Promise.all(this.#processes)
  }

  async #run(process: number): Promise<void> {
    const { chooser, accesses, recorder, nowNs } = this.#options
    const access = accesses[process % accesses.length]
    if (!access) throw new RangeError("a load needs a way to the cluster")
    for (;;) {
      await this.#turn()
      if (this.#state === "stopping") return
      const intent = chooser.next()
      const callNs = nowNs()
      const answer = await access.perform(intent)
      const returnNs = nowNs()
      recorder.record({
        process,
        key: intent.key,
        action: actionOf(intent, answer),
        callNs,
        returnNs,
        ending: answer.ending,
      })
      const seen = seenValue(intent, answer)
      if (seen !== undefined) chooser.saw(intent.key, seen)
    }
  }

  async #turn(): Promise<void> {
    if (this.#options.rate === undefined || this.#state === "stopping") return
    if (this.#due >= 1) {
      this.#due--
      return
    }
    await new Promise<void>(resolve => this.#idle.push(resolve))
  }

  #giveOut(): void {
    const { rate = 0, nowNs, processCount } = this.#options
    const now = nowNs()
    this.#due = Math.min(processCount, this.#due + ((now - this.#pacedUntilNs) / 1e9) * rate)
    this.#pacedUntilNs = now
    while (this.#due >= 1 && this.#idle.length > 0) {
      this.#due--
      this.#idle.shift()?.()
    }
  }
}

function actionOf(intent: Intent, { value, found }: Answer): Action {
  switch (intent.op) {
    case "get":
      return { op: "get", value }
    case "incr":
      return { op: "incr", by: intent.by, value }
    case "delete":
      return found === undefined ? { op: "delete" } : { op: "delete", found }
    case "cas":
      return { op: "cas", expected: intent.expected, value: intent.value }
    case "set":
    case "add":
      return { op: intent.op, value: intent.value }
  }
}

/** What the key held when the answer was given; undefined: the answer does not tell. */
function seenValue(intent: Intent, { ending, value }: Answer): string | null | undefined {
  if (ending.kind !== "done") return undefined
  if (intent.op === "get" || intent.op === "incr") return value
  return intent.op === "delete" ? null : intent.value
}
