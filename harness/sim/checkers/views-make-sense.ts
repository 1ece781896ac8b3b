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
      const problem = viewProblem(view) ?? (former && stepProblem(sharing(former, view), view)) ?? addressProblem(view)
      if (problem !== undefined) cluster.violate(promise, `epoch ${view.epoch}: ${problem}`)
    },
  }
}

/**
 * `before` with the very objects of `after` where they are equal: a step made by the rules keeps what it does not change,
 * and is judged by that, but these two may have come to different nodes, one of them in a snapshot.
 */
function sharing(before: View, after: View): View {
  return {
    ...before,
    members: isEqual(before.members, after.members) ? after.members : before.members,
    shards: before.shards.map((shard, i) => {
      const other = after.shards[i]
      return other !== undefined && isEqual(shard, other) ? other : shard
    }),
  }
}

/** By content, whatever the order in which fields were written. */
function isEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false
  const [fields, others] = [Object.entries(a), new Map(Object.entries(b))]
  return fields.length === others.size && fields.every(([name, value]) => isEqual(value, others.get(name)))
}

function addressProblem(view: View): string | undefined {
  const addresses = new Set(view.members.map(({ addr }) => addr))
  return addresses.size === view.members.length ? undefined : "two members have the same address"
}
