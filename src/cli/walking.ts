/** What the commands that go through all keys share: the client's walks, with failures in words. */
import type { Failed } from "../client/call.ts"
import type { Asking as Walk } from "../client/walk.ts"
import { UnexpectedAnswer, WalkFailure } from "../client/walk.ts"
import { exitCodes } from "./exit-codes.ts"
import { CommandFailure } from "./failure.ts"
import { commandFailure } from "./outcomes.ts"

export type Walking = {
  /** Connects when it is first called. */
  readonly walk: () => Promise<Walk>
  /** Whom the command asks, for messages. */
  readonly nodes: readonly string[]
}

/** `inWords`: what is said of a failure beside its reason. */
export async function walked<R>(
  { walk, nodes }: Walking,
  work: (walk: Walk) => Promise<R>,
  inWords: (failure: CommandFailure, failed: Failed) => CommandFailure = failure => failure,
): Promise<R> {
  const asking = await walk()
  try {
    return await work(asking)
  } catch (error) {
    if (error instanceof WalkFailure) throw inWords(commandFailure(error.failed, nodes), error.failed)
    if (error instanceof UnexpectedAnswer)
      throw new CommandFailure(exitCodes.internal, `${error.message}; is the node of another version?`)
    throw error
  }
}
