/**
 * What the operations of one key mean to a search: a handful of kinds of step on one register, with values as small
 * numbers. Reads and writes, met and unmet conditions, known and unknown outcomes all come down to these.
 *
 * Two models. Strict: the register is what was last written. Forgetful (a cache with a memory limit): any operation may
 * find the key absent, and that alone does not change the register; so a read tells the newest value or nothing, never
 * an older one.
 */
import type { Operation } from "./history.ts"
import { integerOf } from "./history.ts"

export type Memory = "strict" | "forgetful"

/** What a step asks of the register, and what it leaves there. */
export type Step =
  /** The register is exactly this. */
  | { readonly kind: "is"; readonly need: number }
  /** The register is anything else. */
  | { readonly kind: "is-not"; readonly need: number }
  /** Writes whatever was there: blind. */
  | { readonly kind: "write"; readonly result: number }
  /** Writes if the register is exactly this. */
  | { readonly kind: "swap"; readonly need: number; readonly result: number }
  /** Deletes what must be there. */
  | { readonly kind: "take" }
  /** Adds, and the sum is known. */
  | { readonly kind: "count"; readonly from: number; readonly result: number }
  /** Adds, and nobody heard the sum. */
  | { readonly kind: "add-unknown"; readonly by: number }

/** What an operation with an unknown outcome may do. */
export type UnknownStep = Extract<Step, { kind: "write" | "swap" | "add-unknown" }>

/** The values of one key, numbered as they appear. 0: absent. */
export class Values {
  readonly #numbers = new Map<string, number>()
  readonly #texts: (string | null)[] = [null]
  // Absent counts as 0 for whoever adds to it; NaN: not a whole number.
  readonly #integers: number[] = [0]

  get size(): number {
    return this.#texts.length
  }

  numberOf(value: string | null): number {
    if (value === null) return absent
    const known = this.#numbers.get(value)
    if (known !== undefined) return known
    const number = this.#texts.push(value) - 1
    this.#numbers.set(value, number)
    this.#integers.push(integerOf(value) ?? Number.NaN)
    return number
  }

  textOf(number: number): string | null {
    return this.#texts[number] ?? null
  }

  integerOf(number: number): number {
    return this.#integers[number] ?? Number.NaN
  }

  /** What adding leaves; undefined: an incr does nothing here but fail. */
  sum(number: number, by: number): number | undefined {
    const sum = this.integerOf(number) + by
    return Number.isSafeInteger(sum) ? this.numberOf(String(sum)) : undefined
  }
}

export const absent = 0

/** The step of an operation whose outcome is known; undefined: it says nothing. */
export function knownStep(operation: Operation, values: Values, memory: Memory): Step | undefined {
  if (memory === "strict") return strictStep(operation, values)
  // A delete that found nothing is a write here: what the key had been forgotten with is gone now for good.
  if (operation.op === "delete" && operation.found === false) return { kind: "write", result: absent }
  return forgetful(strictStep(operation, values))
}

/** What an operation may do once, if it does anything: one of the steps. Empty: it cannot change anything. */
export function unknownSteps(operation: Operation, values: Values, memory: Memory): UnknownStep[] {
  const step = unknownStep(operation, values)
  if (step === undefined) return []
  if (memory === "strict") return [step]
  // Having found the key absent, it counted from 0: a write like any other.
  if (step.kind === "add-unknown") return [step, { kind: "write", result: values.numberOf(String(step.by)) }]
  return step.kind === "swap" && step.need === absent ? [{ kind: "write", result: step.result }] : [step]
}

/** How much earlier than promised a value may expire: two clocks may disagree about how long a second is. */
const clockRateError = 0.01

/**
 * When a value that was written with a time to live may begin to be absent; undefined: never. From then on there may be
 * one deletion of it that nobody asked for, and need not come at all. So a value that is dropped too early is found, and so is
 * another one that is dropped in its place; one that stays too long is not.
 */
export function expiresAtTheEarliestNs(operation: Operation): number | undefined {
  if (!("ttlMs" in operation) || operation.ttlMs === undefined || operation.status === "fail") return undefined
  return operation.callNs + operation.ttlMs * 1_000_000 * (1 - clockRateError)
}

function strictStep(operation: Operation, values: Values): Step | undefined {
  const met = operation.status === "ok"
  switch (operation.op) {
    case "get":
      return met ? { kind: "is", need: values.numberOf(operation.value) } : undefined
    case "set":
      return met ? { kind: "write", result: values.numberOf(operation.value) } : undefined
    case "add":
      if (!met) return { kind: "is-not", need: absent }
      return { kind: "swap", need: absent, result: values.numberOf(operation.value) }
    case "cas": {
      const need = values.numberOf(operation.expected)
      return met ? { kind: "swap", need, result: values.numberOf(operation.value) } : { kind: "is-not", need }
    }
    case "delete":
      if (!met) return undefined
      if (operation.found === undefined) return { kind: "write", result: absent }
      return operation.found ? { kind: "take" } : { kind: "is", need: absent }
    case "incr": {
      const answered = integerOf(operation.value)
      if (!met || answered === undefined) return undefined
      return { kind: "count", from: answered - operation.by, result: values.numberOf(String(answered)) }
    }
  }
}

function unknownStep(operation: Operation, values: Values): UnknownStep | undefined {
  switch (operation.op) {
    case "get":
      return undefined
    case "delete":
      return { kind: "write", result: absent }
    case "set":
      return { kind: "write", result: values.numberOf(operation.value) }
    case "add":
      return { kind: "swap", need: absent, result: values.numberOf(operation.value) }
    case "cas":
      return { kind: "swap", need: values.numberOf(operation.expected), result: values.numberOf(operation.value) }
    case "incr":
      return operation.by === 0 ? undefined : { kind: "add-unknown", by: operation.by }
  }
}

/** The same step where the key may be found absent at any time; undefined: then it says nothing. */
function forgetful(step: Step | undefined): Step | undefined {
  if (step === undefined) return undefined
  switch (step.kind) {
    case "is":
      return step.need === absent ? undefined : step
    case "is-not":
      // An absent key differs from any value that was expected; only "it is there" still says something.
      return step.need === absent ? step : undefined
    case "swap":
      return step.need === absent ? { kind: "write", result: step.result } : step
    case "count":
      return step.from === 0 ? { kind: "write", result: step.result } : step
    default:
      return step
  }
}
