/**
 * What a node makes of the view that it has: whether it is a member, who votes, how often is beaten. Replaced as a whole
 * with each view, so that no part of it is of another one. Decides nothing.
 */
import type { Config } from "../../config.ts"
import type { NodeId, View } from "../../protocol/message.ts"
import { type Times, timesFor } from "./times.ts"
import { memberOf, votersOf } from "./view.ts"

export type Standing = {
  readonly view: View | undefined
  /** In the order of their ranks. */
  readonly voters: readonly NodeId[]
  readonly isMember: boolean
  readonly isVoter: boolean
  readonly times: Times
}

export function standingUnder(view: View | undefined, self: NodeId, config: Config): Standing {
  const voters = view === undefined ? [] : votersOf(view)
  return {
    view,
    voters,
    isMember: view !== undefined && memberOf(view, self) !== undefined,
    isVoter: voters.includes(self),
    times: timesFor(config, view?.members.length ?? 1),
  }
}
