/**
 * A majority of the voters is gone, and an operator vouches that it will not come back: those that are left go on as a new
 * generation of the cluster. What it holds is what they hold ("Recovery" in `../README.md`).
 */
import type { NodeId, View, ViewCommand } from "../../protocol/message.ts"
import { viewHash } from "../view-hash.ts"

/** Generations count by this much; what is below is chance, so that two made at once are two. */
const step = 0x10_0000

/** The view that follows when nobody but `survivors` is left. `chance`: any 32-bit integer. */
export function recoveredView(
  view: View,
  survivors: ReadonlySet<NodeId>,
  options: { readonly chance: number; readonly apply: (view: View, commands: readonly ViewCommand[]) => View },
): View {
  const gone = view.members.filter(({ id }) => !survivors.has(id))
  const commands: ViewCommand[] = gone.map(({ id, since }) => ({ kind: "remove", id, since }))
  if (view.stopped) commands.push({ kind: "resume" })
  const next = options.apply(view, commands)
  const generation = (Math.floor(view.generation / step) + 1) * step + (options.chance % step)
  const renamed = { ...next, generation, baseEpoch: view.epoch, membersEpoch: next.epoch }
  return { ...renamed, hash: viewHash(renamed) }
}

/** What to make of a view of another generation: follow it, or not; "left-behind": it began without what is known here. */
export function foreignGeneration(
  known: View,
  other: View,
  here: "has-a-lease" | "without-lease",
): "follow" | "ignore" | "left-behind" {
  if (other.clusterId !== known.clusterId || other.generation <= known.generation) return "ignore"
  // Whoever has a lease belongs to a majority that lives.
  if (here === "has-a-lease") return "ignore"
  return known.epoch <= other.baseEpoch ? "follow" : "left-behind"
}
