/**
 * Each view is sound and follows from the one before: a primary is in-sync, a learner leads nothing, no two members have
 * one address, a shard is an orphan only when all of its in-sync replicas were removed.
 */
import { stepProblem, viewProblem } from "../../../src/core/membership/view-problem.ts"
import type { Epoch, View } from "../../../src/protocol/message.ts"
import type { MakeChecker } from "../checker.ts"

export const viewsMakeSense: MakeChecker = cluster => {
  const seen = new Map<Epoch, View>()
  const promise = "views make sense"
  return {
    event(process, event) {
      const view = process.node.view
      if (event.kind !== "view-installed" || view === undefined || seen.has(view.epoch)) return
      seen.set(view.epoch, view)
      const former = seen.get(view.epoch - 1)
      const problem = viewProblem(view) ?? (former && stepProblem(former, view)) ?? addressProblem(view)
      if (problem !== undefined) cluster.violate(promise, `epoch ${view.epoch}: ${problem}`)
    },
  }
}

function addressProblem(view: View): string | undefined {
  const addresses = new Set(view.members.map(({ addr }) => addr))
  return addresses.size === view.members.length ? undefined : "two members have the same address"
}
