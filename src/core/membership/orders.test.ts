/** Orders meet a view; what is possible is proposed, what is not is refused with a reason. */
import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import type { AdminCommand, AdminOutcome, Member, View, ViewCommand } from "../../protocol/message.ts"
import { firstView } from "../testing/random-views.ts"
import { obey } from "./orders.ts"

function viewOf(...members: Partial<Member>[]): View {
  const view = firstView({ copies: 2, maxVoters: 3 })
  const [first] = view.members
  ok(first)
  return { ...view, members: members.map((member, i) => ({ ...first, id: `${i}`, ...member })) }
}

function order(command: AdminCommand, view: View | undefined): { outcome: AdminOutcome; proposed: ViewCommand[] } {
  const proposed: ViewCommand[] = []
  const outcome = obey(command, { view, propose: commands => proposed.push(...commands) })
  return { outcome, proposed }
}

const leave: AdminCommand = { kind: "leave", id: "1" }

test("leave: a member is told to go, through the cluster", () => {
  deepEqual(order(leave, viewOf({}, {})), { outcome: { kind: "accepted" }, proposed: [leave] })
})

test("leave: one that leaves already is not told again", () => {
  deepEqual(order(leave, viewOf({}, { leaving: true })), { outcome: { kind: "accepted" }, proposed: [] })
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
