/**
 * Brings up a cluster the way people do, all ways at once: a first node, some one after another, each through a member
 * chosen by chance, and the rest in the same moment, each through any node started before it, also one that is itself
 * still joining.
 */
import type { Prng } from "../../src/base/prng.ts"
import type { Fleet } from "./fleet.ts"

/** The first and those that follow it singly. */
const oneByOne = 5
/** From the last start to one list on every node. */
const agreeWithinMs = 60_000

/** Settles when every node reports the same members. The answer: how long that took, from the first process on. */
export async function startCluster(
  fleet: Fleet,
  options: { readonly nodeCount: number; readonly prng: Prng; readonly nowMs: () => number },
): Promise<number> {
  const { nodeCount, prng, nowMs } = options
  const startedAtMs = nowMs()
  await fleet.joined(fleet.startNew([]))
  while (fleet.nodes.length < Math.min(oneByOne, nodeCount))
    await fleet.joined(fleet.startNew([prng.pick(fleet.nodes)]))
  while (fleet.nodes.length < nodeCount) fleet.startNew([prng.pick(fleet.nodes)])
  await fleet.agreed(agreeWithinMs)
  return nowMs() - startedAtMs
}
