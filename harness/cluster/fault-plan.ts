/** Which fault comes next. Pure: what happened so far goes in. */
import { unreachable } from "../../src/base/assert.ts"

/** What a run does unless it is told otherwise. */
export const usualFaultKinds = ["crash", "pause", "leave", "join", "restart"] as const
/** leader-crash: of the oldest voter. freeze: ten seconds. flap: three short pauses. join-burst: three at once. */
export const faultKinds = [...usualFaultKinds, "leader-crash", "freeze", "flap", "join-burst"] as const
export type FaultKind = (typeof faultKinds)[number]

/** With fewer, one node's absence leaves no majority beside the fault itself. */
export const fewestNodesForFaults = 3

/**
 * The kind that happened least often so far, the first asked for among equals, so that a short run has seen all of
 * them. Undefined: none may happen.
 */
export function nextFault(
  kinds: readonly FaultKind[],
  done: readonly FaultKind[],
  nodeCount: { readonly atStart: number; readonly now: number },
): FaultKind | undefined {
  const count = (kind: FaultKind) => done.filter(other => other === kind).length
  return kinds
    .filter(kind => {
      const after = nodeCount.now + nodeChange(kind)
      return after >= fewestNodes(nodeCount.atStart) && (nodeChange(kind) <= 0 || after <= mostNodes(nodeCount.atStart))
    })
    .toSorted((a, b) => count(a) - count(b))[0]
}

/** How many nodes there are more afterwards. */
export function nodeChange(kind: FaultKind): number {
  switch (kind) {
    case "crash":
    case "leader-crash":
    case "leave":
      return -1
    case "join":
      return 1
    case "join-burst":
      return burst
    case "pause":
    case "freeze":
    case "flap":
    case "restart":
      return 0
    default:
      return unreachable(kind)
  }
}

/** How many nodes a burst of joins starts. */
export const burst = 3

/** Nor one that grows without end. */
function mostNodes(atStart: number): number {
  return Math.ceil(atStart * 1.5) + burst
}

/** A cluster that shrinks without end would be another experiment than the one that was asked for. */
function fewestNodes(atStart: number): number {
  return Math.max(fewestNodesForFaults, Math.ceil(atStart * 0.6))
}
