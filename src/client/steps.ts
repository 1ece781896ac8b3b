/**
 * What takes several questions, written in the order in which it happens, without waiting for anything itself: a generator
 * that hands out what is to be done next and is handed what came of it. So it reads like a story, and runs in the client,
 * in a door of a node, and in the simulator, each with its own way of waiting.
 */
import { assert } from "../base/assert.ts"
import type { Operation } from "../protocol/message.ts"
import type { CallOutcome } from "./call.ts"
import type { StoredValue } from "./values.ts"

export type Question = { readonly key: Uint8Array; readonly operation: Operation }

export type Loaded =
  /** Undefined: there is nothing to keep. */
  { readonly kind: "loaded"; readonly value: StoredValue | undefined } | { readonly kind: "failed" }

export type Step =
  /** All at once; answered with as many outcomes. */
  | { readonly kind: "ask"; readonly questions: readonly Question[] }
  /** Answered with nothing, after so long. */
  | { readonly kind: "wait"; readonly ms: number }
  /** Make the value, once; answered with `Loaded`. */
  | { readonly kind: "load" }
  /** The caller has its answer now, while the steps go on; answered with nothing. */
  | { readonly kind: "tell"; readonly value: StoredValue }

/** What a step was answered with: as its kind has it. */
export type Answer = readonly CallOutcome[] | Loaded | undefined
export type Steps<R> = Generator<Step, R, Answer>

export function* ask(questions: readonly Question[]): Steps<readonly CallOutcome[]> {
  if (questions.length === 0) return []
  const answer = yield { kind: "ask", questions }
  assert(Array.isArray(answer), "questions are answered with outcomes")
  return answer as readonly CallOutcome[] // what else is a list
}

export function* askOne(key: Uint8Array, operation: Operation): Steps<CallOutcome> {
  const [outcome] = yield* ask([{ key, operation }])
  assert(outcome !== undefined, "every question is answered")
  return outcome
}

export function* load(): Steps<Loaded> {
  const answer = yield { kind: "load" }
  assert(answer !== undefined && "kind" in answer, "loading ends in one of two ways")
  return answer
}
