/** Carries steps out, one after another, with promises. */
import { unreachable } from "../base/assert.ts"
import type { CallOutcome } from "./call.ts"
import type { Answer, Loaded, Question, Step, Steps } from "./steps.ts"
import type { StoredValue } from "./values.ts"

export type World = {
  readonly ask: (question: Question) => CallOutcome | Promise<CallOutcome>
  readonly wait: (ms: number) => Promise<void>
  /** Does not reject. */
  readonly load: () => Promise<Loaded>
  readonly tell: (value: StoredValue) => void
}

/** Of steps that only ask. */
export function asking(ask: World["ask"]): World {
  const never = () => {
    throw new Error("these steps only ask")
  }
  return { ask, wait: never, load: never, tell: never }
}

export async function follow<R>(steps: Steps<R>, world: World): Promise<R> {
  for (let answer: Answer; ; ) {
    const step = steps.next(answer)
    if (step.done === true) return step.value
    answer = await answered(step.value, world)
  }
}

async function answered(step: Step, { ask, wait, load, tell }: World): Promise<Answer> {
  switch (step.kind) {
    case "ask":
      return Promise.all(step.questions.map(ask))
    case "wait":
      await wait(step.ms)
      return undefined
    case "load":
      return load()
    case "tell":
      tell(step.value)
      return undefined
    default:
      return unreachable(step)
  }
}
