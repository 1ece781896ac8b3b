/**
 * What an operator orders through this node: checked against the view that it has, then proposed like any other command.
 * An order decides nothing by itself, and is given again until a view shows it ("Orders" in `../README.md`).
 */
import type { AdminCommand, AdminOutcome, AdminRefusal, NodeId, View, ViewCommand } from "../../protocol/message.ts"
import { isActive } from "../ring.ts"
import { memberOf, orphans } from "./view.ts"

export type OrderGround = {
  /** Undefined: this node is no member of a cluster. */
  readonly view: View | undefined
  readonly propose: (commands: readonly ViewCommand[]) => void
  /** As far as this node can tell. */
  readonly hears: (id: NodeId) => boolean
  /** From here on this process counts as dead. */
  readonly died: (id: NodeId) => void
  readonly hasLease: boolean
  /** Goes on as a new generation. */
  readonly recover: (view: View) => void
  readonly recovered: (view: View) => View
}

export function obey(command: AdminCommand, ground: OrderGround): AdminOutcome {
  const { view } = ground
  if (view === undefined) return refused("not-a-member", "this node is no member of a cluster")
  switch (command.kind) {
    case "leave":
      return drain(command.id, view, ground)
    case "forget":
      return forget(command.id, view, ground)
    case "recover":
      return recover(command.how, view, ground)
    case "stop":
      return stop(command.how, view, ground)
  }
}

function drain(id: NodeId, view: View, { propose }: OrderGround): AdminOutcome {
  const member = memberOf(view, id)
  if (member === undefined) return refused("unknown-member", `no member has the id ${id}`)
  if (member.leaving) return { kind: "accepted" }
  // A witness holds nothing, and may go whoever is left.
  if (!member.witness && !view.members.some(other => other.id !== id && isActive(other)))
    return refused("last", `${member.name} is the last node that holds data, and nobody is left to take it`)
  propose([{ kind: "leave", id }])
  return { kind: "accepted" }
}

function forget(id: NodeId, view: View, { hears, died }: OrderGround): AdminOutcome {
  const member = memberOf(view, id)
  // The last holders of a shard are waited for when they are no members any more.
  const isAwaited = view.shards.some(({ orphan, inSync }) => orphan && inSync.includes(id))
  if (member === undefined && !isAwaited) return refused("unknown-member", `no member has the id ${id}`)
  if (hears(id)) return refused("alive", `${member?.name ?? id} was heard just now: it lives`)
  died(id)
  return { kind: "accepted" }
}

function stop(how: "complete" | "as-it-is", view: View, { propose }: OrderGround): AdminOutcome {
  const problem = how === "complete" ? whatIsUnderWay(view) : undefined
  if (problem !== undefined) return refused("not-complete", problem)
  propose([{ kind: "stop", how }])
  return { kind: "accepted" }
}

/** What a planned stop is better not decided before, in words. */
export function whatIsUnderWay({ members, shards }: View): string | undefined {
  const leaving = members.find(member => member.leaving)
  if (leaving !== undefined) return `${leaving.name} is leaving, and hands its data over`
  const orphaned = shards.filter(({ orphan }) => orphan).length
  if (orphaned > 0) return `${orphaned} shards have no holder, and wait for one of their last`
  const filling = shards.filter(({ learners }) => learners.length > 0).length
  return filling > 0 ? `copies of ${filling} shards are still being made` : undefined
}

function recover(how: "plan" | "force", view: View, ground: OrderGround): AdminOutcome {
  if (ground.hasLease)
    return refused("not-needed", "this node hears a majority of the voters: the cluster decides as ever")
  const next = ground.recovered(view)
  if (how === "plan") return plan(view, next)
  ground.recover(next)
  return { kind: "accepted" }
}

/** What it would mean to go on from `view` with `next`. */
export function plan(view: View, next: View): AdminOutcome {
  const shardsOrphaned = orphans(next).length
  const keeps = next.members.map(({ id }) => id)
  return {
    kind: "plan",
    generation: next.generation,
    keeps,
    drops: view.members.flatMap(({ id }) => (keeps.includes(id) ? [] : [id])),
    shardsKept: next.shards.length - shardsOrphaned,
    shardsOrphaned,
  }
}

export function refused(reason: AdminRefusal, detail: string): AdminOutcome {
  return { kind: "refused", reason, detail }
}
