/**
 * Whatever waits at a node, may have to be undone, or is remembered of clients has a bound, which its config names. Looked at every now
 * and then, and not only at rest: what grows without end does so while something is wrong.
 */
import { maxOperationsAhead } from "../../../src/protocol/limits.ts"
import type { Checker, MakeChecker } from "../checker.ts"

/**
 * What a bound is looked at before, and one step may still add: an expiry and a write, the operations of a group, what a primary
 * takes over.
 */
const oneStep = 64
const oneStepBytes = 256 * 1024

export const queuesAreBounded: MakeChecker = cluster => {
  const { config } = cluster
  const bounds = {
    parked: config.maxParked,
    forwards: config.maxParked,
    early: 1_024,
    uncommitted: config.maxUncommitted + oneStep,
    uncommittedBytes: config.maxUncommittedBytes + oneStepBytes,
    pendingOfKey: config.maxPendingPerKey + oneStep,
    dedupClients: config.maxDedupClients + oneStep,
    // What is finished is forgotten when an operation that says so commits.
    resultsOfClient: maxOperationsAhead + config.maxUncommitted + oneStep,
    transferBytes: config.transferBytesPerPeer + oneStepBytes,
  }
  const look = () => {
    for (const process of cluster.alive()) {
      const { held } = process.node
      for (const [what, most] of Object.entries(bounds)) {
        const count = held[what as keyof typeof bounds] // a key of it
        if (count > most)
          cluster.violate(
            "queues are bounded",
            `${cluster.nameOf(process.id)} keeps ${count} ${what}, and ${most} at most`,
          )
      }
    }
  }
  const checker: Checker = { glance: look, atRest: look }
  return checker
}
