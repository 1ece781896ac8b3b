/**
 * Views for property tests, made as real ones are: by commands, one view after another. A command is chosen by three
 * numbers and the view that it meets, so that most commands do something and a failing run shrinks well.
 */
import fc from "fast-check"
import type { MemberInfo, NodeId, View, ViewCommand } from "../../protocol/message.ts"
import { apply, initialView } from "../layout.ts"
import { Placement } from "../ring.ts"

/** Which command, of whom or of what, and whether it is a stale one. */
export type Choice = readonly [kind: number, subject: number, variant: number]

export type Batch = readonly Choice[]

const batch: fc.Arbitrary<Batch> = fc.array(fc.tuple(fc.nat(99), fc.nat(999), fc.nat(99)), {
  maxLength: 5,
  size: "max",
})

export const history: fc.Arbitrary<{ readonly copies: number; readonly maxVoters: number; readonly batches: Batch[] }> =
  fc.record({
    copies: fc.integer({ min: 1, max: 3 }),
    maxVoters: fc.constantFrom(3, 5),
    batches: fc.array(batch, { maxLength: 30, size: "max" }),
  })

/** Few addresses, so that they are taken again; three processes at each, one of which comes back after its removal. */
export function processAt(place: number, incarnation: number): MemberInfo {
  return {
    id: ((place % 8) * 16 + (incarnation % 3)).toString(16).padStart(16, "0"),
    name: `n${place % 8}`,
    addr: `10.0.0.${place % 8}:7400`,
    clientAddr: `10.0.0.${place % 8}:7401`,
    zone: ["", "x", "y"][place % 3] ?? "",
    witness: place % 8 === 7,
    protoMin: 1,
    protoMax: 1 + (place % 2),
  }
}

export function firstView(of: { readonly copies: number; readonly maxVoters: number }): View {
  const { copies, maxVoters } = of
  const member = processAt(0, 0)
  return initialView({ clusterId: "c", generation: 1, copies, maxVoters, hashKey: [1, 2], shardCount: 8, member })
}

/** The views of a history, the first included. */
export function viewsOf(of: { copies: number; maxVoters: number; batches: readonly Batch[] }): [View, ...View[]] {
  const placement = new Placement()
  const views: [View, ...View[]] = [firstView(of)]
  let view = views[0]
  for (const batch of of.batches) {
    view = apply(view, commandsOf(view, batch), placement)
    views.push(view)
  }
  return views
}

export function commandsOf(view: View, batch: Batch): ViewCommand[] {
  return batch.map(choice => commandOf(view, choice))
}

function commandOf(view: View, [kind, subject, variant]: Choice): ViewCommand {
  const staleBy = variant >= 90 ? 1 : 0
  const member = view.members[subject % view.members.length]
  const id: NodeId = member?.id ?? ""
  const since = (member?.since ?? 0) - staleBy
  if (view.stopped && kind % 3 === 0) return { kind: "resume" }
  if (kind < 30) {
    const due = dueReadys(view)
    const ready = due[subject % Math.max(1, due.length)]
    if (ready !== undefined) return { ...ready, q: ready.q - staleBy, since: ready.since - (variant === 89 ? 1 : 0) }
  }
  if (kind < 55) return { kind: "join", member: processAt(subject, variant) }
  if (kind < 63) return { kind: "leave", id }
  if (kind < 78) return { kind: "remove", id, since }
  if (kind < 88) return { kind: "voter", id, since }
  if (kind === 88) return { kind: "stop", how: variant % 2 === 0 ? "complete" : "as-it-is" }
  if (kind < 97) {
    const orphans = [...view.shards.entries()].filter(([, config]) => config.orphan)
    const [shard, config] = orphans[subject % Math.max(1, orphans.length)] ?? [subject % 10, view.shards[subject % 10]]
    return { kind: "reset", shard, q: (config?.q ?? 0) - staleBy }
  }
  return kind < 99 ? { kind: "set-proto", proto: 1 + (variant % 3) } : { kind: "set-layout", version: variant % 3 }
}

/** What the primaries would ask for when all transfers are done. */
export function dueReadys(view: View): Extract<ViewCommand, { kind: "ready" }>[] {
  return view.shards.flatMap(({ q, learners }, shard) =>
    learners.map(({ id, since }) => ({ kind: "ready" as const, shard, q, node: id, since })),
  )
}
