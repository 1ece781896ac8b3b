/** Orders meet a view; what is possible is proposed, what is not is refused with a reason. */
import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import type { AdminCommand, AdminOutcome, Member, NodeId, View, ViewCommand } from "../../protocol/message.ts"
import { firstView } from "../testing/random-views.ts"
import { obey } from "./orders.ts"

function viewOf(...members: Partial<Member>[]): View {
  const view = firstView({ copies: 2, maxVoters: 3 })
  const [first] = view.members
  ok(first)
  return { ...view, members: members.map((member, i) => ({ ...first, id: `${i}`, ...member })) }
}

const recovered: number[] = []

type Obeyed = { readonly outcome: AdminOutcome; readonly proposed: ViewCommand[]; readonly died: NodeId[] }

/** Member 0 is heard. */
function order(command: AdminCommand, view: View | undefined, hasLease = true): Obeyed {
  const [proposed, died]: [ViewCommand[], NodeId[]] = [[], []]
  const outcome = obey(command, {
    view,
    propose: commands => proposed.push(...commands),
    hears: id => id === "0",
    died: id => died.push(id),
    hasLease,
    recovered: current => ({ ...current, generation: 2, members: current.members.slice(0, 1) }),
    recover: next => recovered.push(next.generation),
  })
  return { outcome, proposed, died }
}

const leave: AdminCommand = { kind: "leave", id: "1" }

test("leave: a member is told to go, through the cluster", () => {
  deepEqual(order(leave, viewOf({}, {})), { outcome: { kind: "accepted" }, proposed: [leave], died: [] })
})

test("leave: one that leaves already is not told again", () => {
  deepEqual(order(leave, viewOf({}, { leaving: true })), { outcome: { kind: "accepted" }, proposed: [], died: [] })
})

test("leave: a witness may go, whoever is left", () => {
  equal(order(leave, viewOf({ leaving: true }, { witness: true })).proposed.length, 1)
})

const refusals = [
  { view: undefined, reason: "not-a-member", because: "a joiner knows no cluster" },
  { view: viewOf({}), reason: "unknown-member", because: "nobody has that id" },
  { view: viewOf({ leaving: true }, {}), reason: "last", because: "the other one leaves as well" },
  { view: viewOf({ witness: true }, {}), reason: "last", because: "the other one holds no data" },
]
for (const { view, reason, because } of refusals)
  test(`leave is refused, "${reason}": ${because}`, () => {
    const { outcome, proposed } = order(leave, view)
    equal(outcome.kind === "refused" && outcome.reason, reason)
    deepEqual(proposed, [])
  })

test("forget: a member that is not heard counts as dead from here on", () => {
  const { outcome, proposed, died } = order({ kind: "forget", id: "1" }, viewOf({}, {}))
  deepEqual([outcome, proposed, died], [{ kind: "accepted" }, [], ["1"]])
})

test("forget: one that a shard without holders waits for, member or not", () => {
  const view = viewOf({})
  const shards = view.shards.map(shard => ({ ...shard, primary: null, orphan: true, inSync: ["9"] }))
  deepEqual(order({ kind: "forget", id: "9" }, { ...view, shards }).died, ["9"])
})

for (const { id, reason, because } of [
  { id: "0", reason: "alive", because: "it was heard" },
  { id: "9", reason: "unknown-member", because: "nobody has that id" },
])
  test(`forget is refused, "${reason}": ${because}`, () => {
    const { outcome, died } = order({ kind: "forget", id }, viewOf({}, {}))
    equal(outcome.kind === "refused" && outcome.reason, reason)
    deepEqual(died, [])
  })

test("stop: when all copies are there, and nobody is about to leave", () => {
  const stop: AdminCommand = { kind: "stop", how: "complete" }
  deepEqual(order(stop, viewOf({}, {})).proposed, [stop])
  const filling = viewOf({}, {}).shards.map(shard => ({ ...shard, learners: [{ id: "1", since: 1 }] }))
  const orphaned = viewOf({}, {}).shards.map(shard => ({ ...shard, orphan: true }))
  for (const [view, detail] of [
    [{ ...viewOf({}, {}), shards: filling }, /copies of 8 shards are still being made/],
    [{ ...viewOf({}, {}), shards: orphaned }, /8 shards have no holder/],
    [viewOf({}, { name: "n2", leaving: true }), /n2 is leaving/],
  ] as const) {
    const { outcome, proposed } = order(stop, view)
    ok(outcome.kind === "refused" && outcome.reason === "not-complete" && detail.test(outcome.detail))
    deepEqual(proposed, [])
    equal(order({ kind: "stop", how: "as-it-is" }, view).proposed.length, 1)
  }
})

test("recover: only where nothing can be decided any more; first what it would mean, then it is done", () => {
  const view = viewOf({}, {})
  const { outcome } = order({ kind: "recover", how: "plan" }, view)
  equal(outcome.kind === "refused" && outcome.reason, "not-needed")
  deepEqual(order({ kind: "recover", how: "plan" }, view, false).outcome, {
    ...{ kind: "plan", generation: 2, keeps: ["0"], drops: ["1"] },
    ...{ shardsKept: view.shards.length, shardsOrphaned: 0 },
  })
  deepEqual(recovered, [])
  deepEqual(order({ kind: "recover", how: "force" }, view, false).outcome, { kind: "accepted" })
  deepEqual(recovered, [2])
})
