/**
 * When the cluster is at rest nothing is half done: every node says the same of itself as the view does, leads what it
 * should, and has a lease.
 */
import type { MakeChecker } from "../checker.ts"

export const comesToRest: MakeChecker = cluster => ({
  atRest() {
    const promise = "the cluster comes to rest"
    const unfinished = cluster.unfinished()
    if (unfinished !== undefined) cluster.violate(promise, unfinished)
    for (const process of cluster.alive()) {
      const report = process.node.status()
      const name = cluster.nameOf(process.id)
      if (!report.hasLease) cluster.violate(promise, `${name} has no lease`)
      if (report.serving !== report.leading)
        cluster.violate(promise, `${name} leads ${report.leading} shards and serves ${report.serving}`)
      if (report.transfersOpen > 0) cluster.violate(promise, `${name} still fills ${report.transfersOpen} learners`)
    }
  },
})
