import { equal, match, ok } from "node:assert/strict"
import { test } from "node:test"
import type { ShardConfig, View } from "../../protocol/message.ts"
import { apply, seqBaseStep } from "../layout.ts"
import { Placement } from "../ring.ts"
import { dueReadys, firstView, processAt } from "../testing/random-views.ts"
import { viewHash } from "../view-hash.ts"
import { stepProblem, viewProblem } from "./view-problem.ts"

const placement = new Placement()
const alone = firstView({ copies: 2, maxVoters: 3 })
const joined = apply(alone, [{ kind: "join", member: processAt(1, 0) }], placement)
const settled = apply(joined, dueReadys(joined), placement)

/** The view with something changed in it, and the hash that belongs to that. */
function forge(view: View, change: Partial<View>): View {
  const forged = { ...view, ...change }
  return { ...forged, hash: viewHash(forged) }
}

function forgeShard(view: View, change: Partial<ShardConfig>): View {
  const [config, ...others] = view.shards
  ok(config)
  return forge(view, { shards: [{ ...config, ...change }, ...others] })
}

function withMember(change: Partial<View["members"][number]>): View {
  const [first, ...others] = settled.members
  ok(first)
  return forge(settled, { members: [{ ...first, ...change }, ...others] })
}

const [a = "", b = ""] = settled.members.map(({ id }) => id)

const wrong: { view: View; problem: RegExp }[] = [
  { view: { ...settled, hash: 1 }, problem: /hash/ },
  { view: forge(settled, { epoch: 0 }), problem: /epochs count/ },
  { view: forge(settled, { membersEpoch: 9 }), problem: /future/ },
  { view: forge(settled, { copies: 8 }), problem: /copies/ },
  { view: forge(settled, { maxVoters: 0 }), problem: /voters/ },
  { view: forge(settled, { hashKey: [-1, 0] }), problem: /hashKey/ },
  { view: forge(settled, { proto: 2 }), problem: /protocol/ },
  { view: forge(settled, { shards: [] }), problem: /shards/ },
  { view: withMember({ since: 9 }), problem: /member .* of the future/ },
  { view: forge(settled, { members: settled.members.toReversed() }), problem: /ordered/ },
  { view: withMember({ voter: false }), problem: /nobody votes/ },
  { view: withMember({ addr: processAt(1, 0).addr }), problem: /address/ },
  { view: withMember({ witness: true }), problem: /witness/ },
  { view: forgeShard(settled, { q: 9 }), problem: /q lies/ },
  { view: forgeShard(settled, { primarySince: 9 }), problem: /primarySince/ },
  { view: forgeShard(settled, { resetAt: 9 }), problem: /reset renews/ },
  { view: forgeShard(settled, { seqBase: seqBaseStep }), problem: /counts the resets/ },
  { view: forgeShard(settled, { seqBase: 5 }), problem: /counts the resets/ },
  { view: forgeShard(settled, { inSync: [] }), problem: /nobody holds/ },
  { view: forgeShard(settled, { inSync: [a, a], primary: a }), problem: /twice/ },
  { view: forgeShard(settled, { inSync: ["x"], primary: "x" }), problem: /no member/ },
  { view: forgeShard(settled, { inSync: [a, b], primary: b }), problem: /first in sync/ },
  { view: forgeShard(settled, { inSync: [a, b], primary: null }), problem: /first in sync/ },
  { view: forgeShard(settled, { orphan: true, primary: null }), problem: /is a member/ },
  { view: forgeShard(settled, { orphan: true }), problem: /neither primary/ },
]

for (const { view, problem } of wrong) {
  test(`viewProblem finds: ${problem.source}`, () => match(viewProblem(view) ?? "", problem))
}

test("viewProblem has nothing against a view that was decided", () => {
  for (const view of [alone, joined, settled]) equal(viewProblem(view), undefined)
})

const { epoch } = settled
const [held] = joined.shards
ok(held)
const [learner] = held.learners
ok(learner)

const missteps: { after: View; problem: RegExp }[] = [
  { after: forge(settled, { epoch: epoch + 1 }), problem: /one after another/ },
  { after: forge(settled, { shards: settled.shards.slice(1) }), problem: /number of shards/ },
  { after: forge(settled, { members: [...settled.members] }), problem: /membersEpoch/ },
  { after: forgeShard(settled, { q: epoch - 1 }), problem: /renews q/ },
  { after: forgeShard(settled, { primary: "x" }), problem: /last change of primary/ },
  { after: forgeShard(settled, { primary: held.primary, primarySince: epoch }), problem: /last change of primary/ },
  { after: forgeShard(settled, { resetAt: epoch, primarySince: epoch }), problem: /only an orphan/ },
  { after: forgeShard(joined, { q: epoch, seqBase: 5 }), problem: /go together/ },
  {
    after: forgeShard(joined, { q: epoch, orphan: true, primary: null, primarySince: epoch }),
    problem: /is no orphan/,
  },
  { after: forgeShard(joined, { q: epoch, inSync: ["x"] }), problem: /never filled/ },
  { after: forgeShard(joined, { q: epoch, learners: [{ ...learner, since: epoch }] }), problem: /keeps its since/ },
]

for (const { after, problem } of missteps) {
  test(`stepProblem finds: ${problem.source}`, () => {
    const inOrder = problem.source === "one after another" ? after : { ...after, epoch }
    match(stepProblem(joined, inOrder) ?? "", problem)
  })
}

test("stepProblem has nothing against the steps that were decided", () => {
  equal(stepProblem(alone, joined), undefined)
  equal(stepProblem(joined, settled), undefined)
})
