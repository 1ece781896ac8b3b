import { deepEqual, equal, notEqual, ok } from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import type { Member, NodeId, ShardConfig, View, ViewCommand } from "../protocol/message.ts"
import {
  apply,
  changedShards,
  effectiveCommands,
  isEffective,
  maxResets,
  primariesLost,
  seqBaseStep,
  underReplicated,
} from "./layout.ts"
import { stepProblem, viewProblem } from "./membership/view-problem.ts"
import { Placement } from "./ring.ts"
import { allRules } from "./rules.ts"
import { commandsOf, dueReadys, firstView, history, processAt, viewsOf } from "./testing/random-views.ts"
import { viewHash } from "./view-hash.ts"

// ---------------------------------------------------------------------------------------------------- one shard

// A cluster of single letters with one shard, at epoch 9. A row says who holds the shard, what is decided, and who holds
// it then: "ab" is in sync with a as the primary, "+c" a learner, "orphan" nobody with the last holders behind it.

const letters = "abcdefg"

function letterMember(id: NodeId): Member {
  const at = { name: id, addr: id, clientAddr: id, zone: "", witness: false, protoMin: 1, protoMax: 1 }
  return { id, ...at, since: 1, voter: id === "z", leaving: false }
}

/** `z` is a witness that votes, so that any other member may be removed. */
function oneShardView(config: ShardConfig, members: string): View {
  const view = {
    clusterId: "c",
    generation: 1,
    baseEpoch: 0,
    epoch: 9,
    membersEpoch: 1,
    copies: 2,
    maxVoters: 3,
    hashKey: [1, 2] as const,
    proto: 1,
    layoutVersion: 1,
    stopped: false,
    members: [...[...members].map(letterMember), { ...letterMember("z"), witness: true }],
    shards: [config],
  }
  return { ...view, hash: viewHash(view) }
}

function parseConfig(text: string): ShardConfig {
  const [state = "", ...learners] = text.replace("orphan ", "").split(" +")
  const orphan = text.startsWith("orphan")
  return {
    q: 5,
    primary: orphan ? null : (state[0] ?? null),
    primarySince: 4,
    inSync: [...state],
    learners: learners.map(id => ({ id, since: 3 })),
    orphan,
    resetAt: 0,
    seqBase: 0,
  }
}

function printConfig({ orphan, inSync, learners }: ShardConfig): string {
  return [orphan ? "orphan " : "", inSync.join(""), ...learners.map(({ id }) => ` +${id}`)].join("")
}

const ready = (node: NodeId): ViewCommand => ({ kind: "ready", shard: 0, q: 5, node, since: 3 })
const remove = (id: NodeId): ViewCommand => ({ kind: "remove", id, since: 1 })
const join = (id: NodeId): ViewCommand => ({ kind: "join", member: letterMember(id) })
const leave = (id: NodeId): ViewCommand => ({ kind: "leave", id })
const reset: ViewCommand = { kind: "reset", shard: 0, q: 5 }

type Row = { held: string; by: string; commands: ViewCommand[]; target: string; then: string; because: string }

const rows: Row[] = [
  { held: "ab", by: "abc", commands: [remove("a")], target: "cb", then: "b +c", because: "a backup takes over" },
  { held: "ab", by: "abc", commands: [remove("b")], target: "ac", then: "a +c", because: "a lost copy is made anew" },
  { held: "ab", by: "ab", commands: [remove("b")], target: "a", then: "a", because: "nobody is left to copy to" },
  {
    held: "abc",
    by: "abcd",
    commands: [remove("a")],
    target: "dc",
    then: "cb +d",
    because: "the target's order chooses",
  },
  { held: "ab", by: "ab", commands: [join("c")], target: "ca", then: "ab +c", because: "a joiner is filled first" },
  {
    held: "ab +c",
    by: "abc",
    commands: [ready("c")],
    target: "ca",
    then: "ca",
    because: "a filled one takes its place",
  },
  {
    held: "ab +c",
    by: "abc",
    commands: [ready("c")],
    target: "bc",
    then: "bc",
    because: "a planned move needs no fill",
  },
  {
    held: "a +b +c",
    by: "abc",
    commands: [ready("b")],
    target: "bc",
    then: "ba +c",
    because: "extras stay until all are there",
  },
  {
    held: "a +b +c",
    by: "abc",
    commands: [ready("b"), ready("c")],
    target: "bc",
    then: "bc",
    because: "two may be filled at once",
  },
  {
    held: "a +b",
    by: "ab",
    commands: [ready("b"), remove("a")],
    target: "b",
    then: "b",
    because: "just filled, it saves the shard",
  },
  {
    held: "a +b",
    by: "ab",
    commands: [remove("a"), ready("b")],
    target: "b",
    then: "b",
    because: "in whatever order they stand",
  },
  {
    held: "a +b",
    by: "abc",
    commands: [ready("b"), remove("b")],
    target: "ac",
    then: "a +c",
    because: "a filled one may be gone",
  },
  { held: "a +b", by: "ab", commands: [remove("a")], target: "b", then: "orphan a", because: "a learner never leads" },
  {
    held: "ab",
    by: "abc",
    commands: [remove("a"), remove("b")],
    target: "c",
    then: "orphan ab",
    because: "all holders are gone",
  },
  {
    held: "a +b",
    by: "abc",
    commands: [ready("b"), remove("a"), remove("b")],
    target: "c",
    then: "orphan ab",
    because: "both hold it",
  },
  {
    held: "orphan ab",
    by: "c",
    commands: [join("b")],
    target: "cb",
    then: "b +c",
    because: "a last holder brings it back",
  },
  { held: "orphan ab", by: "c", commands: [join("a"), join("b")], target: "bc", then: "ba +c", because: "so do both" },
  { held: "orphan ab", by: "c", commands: [join("d")], target: "cd", then: "orphan ab", because: "others do not" },
  { held: "orphan ab", by: "cd", commands: [reset], target: "cd", then: "c +d", because: "given up, it begins empty" },
  {
    held: "orphan ab",
    by: "c",
    commands: [reset, join("b")],
    target: "cb",
    then: "b +c",
    because: "a holder wins over a reset",
  },
  { held: "ab", by: "ab", commands: [reset], target: "ab", then: "ab", because: "only an orphan is reset" },
  {
    held: "ab",
    by: "abc",
    commands: [leave("a")],
    target: "bc",
    then: "ba +c",
    because: "who leaves is a replica until then",
  },
  { held: "ab", by: "ab", commands: [leave("a")], target: "b", then: "b", because: "and no longer" },
  { held: "a", by: "ab", commands: [leave("a")], target: "b", then: "a +b", because: "and leads while it must" },
  { held: "ab +c", by: "abc", commands: [], target: "cd", then: "ab +c", because: "what nothing touches stays" },
]

for (const { held, by, commands, target, then, because } of rows) {
  const decided = commands.map(command => Object.values(command).slice(0, 2).join(" ")).join(", ")
  test(`${held} of ${by}, ${decided || "nothing"}, target ${target}: ${then}: ${because}`, () => {
    const view = oneShardView(parseConfig(held), by)
    const next = apply(view, commands, { targets: () => [[...target]] })
    equal(printConfig(theShard(next)), then)
    equal(viewProblem(next), undefined)
    equal(stepProblem(view, next), undefined)
    equal(theShard(next) === theShard(view), held === then)
  })
}

function theShard(view: View): ShardConfig {
  const config = view.shards[0]
  ok(config)
  return config
}

function idsOf(view: View): NodeId[] {
  return view.members.map(({ id }) => id)
}

test("a change of the primary renews primarySince; a change of the others renews q alone", () => {
  const view = oneShardView(parseConfig("ab"), "abc")
  const lostPrimary = theShard(apply(view, [remove("a")], { targets: () => [["b", "c"]] }))
  deepEqual([lostPrimary.q, lostPrimary.primarySince], [10, 10])
  const lostBackup = theShard(apply(view, [remove("b")], { targets: () => [["a", "c"]] }))
  deepEqual([lostBackup.q, lostBackup.primarySince], [10, 4])
  deepEqual(lostBackup.learners, [{ id: "c", since: 10 }])
})

test("a learner that stays one keeps its since, so that its transfer goes on", () => {
  const view = oneShardView(parseConfig("ab +c"), "abcd")
  const next = theShard(apply(view, [remove("b")], { targets: () => [["c", "d"]] }))
  deepEqual(next.learners, [
    { id: "c", since: 3 },
    { id: "d", since: 10 },
  ])
})

test("a reset raises the sequence numbers beyond what was lost, at most 255 times", () => {
  const target = { targets: () => [["c"]] }
  const lost = { ...parseConfig("orphan ab"), resetAt: 2, seqBase: 3 * seqBaseStep }
  const next = theShard(apply(oneShardView(lost, "c"), [reset], target))
  deepEqual([next.seqBase, next.resetAt, next.primarySince, next.q], [4 * seqBaseStep, 10, 10, 10])

  const worn = { ...lost, seqBase: maxResets * seqBaseStep }
  equal(theShard(apply(oneShardView(worn, "c"), [reset], target)), worn)
})

const stale: { command: ViewCommand; because: string }[] = [
  { command: { kind: "ready", shard: 0, q: 4, node: "c", since: 3 }, because: "of an earlier config" },
  { command: { kind: "ready", shard: 0, q: 5, node: "c", since: 2 }, because: "of an earlier assignment" },
  { command: { kind: "ready", shard: 0, q: 5, node: "b", since: 3 }, because: "of a replica in sync" },
  { command: { kind: "ready", shard: 7, q: 5, node: "c", since: 3 }, because: "of a shard that is none" },
  { command: { kind: "ready", shard: 0.5, q: 5, node: "c", since: 3 }, because: "of half a shard" },
  { command: { kind: "remove", id: "b", since: 8 }, because: "of another membership" },
  { command: { kind: "remove", id: "x", since: 1 }, because: "of a stranger" },
  { command: { kind: "join", member: letterMember("b") }, because: "of a member" },
  { command: { kind: "join", member: { ...letterMember("x"), addr: "b" } }, because: "at the address of a member" },
  {
    command: { kind: "join", member: { ...letterMember("x"), protoMin: 2, protoMax: 3 } },
    because: "of one that speaks otherwise",
  },
  { command: { kind: "leave", id: "x" }, because: "of a stranger" },
  { command: { kind: "voter", id: "b", since: 8 }, because: "of another membership" },
  { command: { kind: "voter", id: "z", since: 1 }, because: "of a voter" },
  { command: { kind: "set-proto", proto: 2 }, because: "that not all speak" },
  { command: { kind: "set-proto", proto: 0 }, because: "that is older" },
  { command: { kind: "set-layout", version: 2 }, because: "that this build does not know" },
]

for (const { command, because } of stale) {
  test(`a ${command.kind} ${because} does nothing`, () => {
    const view = oneShardView(parseConfig("ab +c"), "abc")
    equal(isEffective(view, command), false)
    const next = apply(view, [command], { targets: () => [["c", "d"]] })
    equal(next.members, view.members)
    equal(next.shards, view.shards)
    deepEqual([next.epoch, next.membersEpoch, next.proto, next.layoutVersion], [10, 1, 1, 1])
  })
}

test("a restarted process takes the address of the one that the same view removes", () => {
  const view = oneShardView(parseConfig("ab"), "abc")
  const successor = { ...letterMember("x"), addr: "a" }
  const next = apply(view, [{ kind: "join", member: successor }, remove("a")], { targets: () => [["x", "b"]] })
  equal(printConfig(theShard(next)), "b +x")
  deepEqual(idsOf(next), ["b", "c", "z", "x"])
})

test("a late duplicate of a member's Join does not bring it back in the view that removes it", () => {
  const view = oneShardView(parseConfig("ab"), "ab")
  const next = apply(view, [join("a"), remove("a")], { targets: () => [["b"]] })
  deepEqual(idsOf(next), ["b", "z"])
})

test("a voter takes the place of one that is removed with it, which alone it could not", () => {
  const members = "abcd"
  const view = oneShardView(parseConfig("ab"), members)
  const full = { ...view, members: view.members.map(member => ({ ...member, voter: "abz".includes(member.id) })) }
  const vote: ViewCommand = { kind: "voter", id: "c", since: 1 }
  equal(isEffective(full, vote), false)
  deepEqual(effectiveCommands(full, [vote, remove("b")]), [remove("b"), vote])
})

test("with no active member left the shards stay where they are, and orphans are not reset", () => {
  const view = oneShardView(parseConfig("ab"), "ab")
  const leaving = apply(view, [leave("a")], { targets: () => [["b"]] })
  const next = apply(leaving, [remove("b")], new Placement())
  equal(printConfig(theShard(next)), "orphan b")
  const giveUp: ViewCommand = { kind: "reset", shard: 0, q: theShard(next).q }
  equal(isEffective(next, giveUp), false)
  equal(theShard(apply(next, [giveUp], new Placement())), theShard(next))
})

// ---------------------------------------------------------------------------------------------------- rules broken

test("without the rule a learner leads a shard whose holders are gone: data is lost in silence", () => {
  const view = oneShardView(parseConfig("a +b"), "ab")
  const next = apply(view, [remove("a")], { targets: () => [["b"]] }, { ...allRules, learnersWait: false })
  equal(printConfig(theShard(next)), "b")
})

test("without the rule a new primary goes unnoticed by who skipped its view", () => {
  const view = oneShardView(parseConfig("ab"), "ab")
  const next = apply(view, [remove("a")], { targets: () => [["b"]] }, { ...allRules, primarySince: false })
  equal(theShard(next).primarySince, 4)
})

// ---------------------------------------------------------------------------------------------------- any history

test("every view keeps the invariants, every step the rules of steps, and its hash is that of its content", () => {
  fc.assert(
    fc.property(history, past => {
      const views = viewsOf(past)
      for (const [i, view] of views.entries()) {
        equal(viewProblem(view), undefined)
        // A copy shares no object with the view, hence no remembered hash.
        equal(viewHash(structuredClone(view)), view.hash)
        const before = views[i - 1]
        if (before !== undefined) equal(stepProblem(before, view), undefined)
      }
    }),
    { numRuns: 300 },
  )
})

test("the hash of a view depends on which shard has which config", () => {
  const view = oneShardView(parseConfig("ab"), "abc")
  const [one, other] = [parseConfig("ab"), parseConfig("ba")]
  notEqual(viewHash({ ...view, shards: [one, other] }), viewHash({ ...view, shards: [other, one] }))
})

test("a shard loses its last holder only by the removal of all, and is led by one that holds everything", () => {
  fc.assert(
    fc.property(history, past => {
      const placement = new Placement()
      let view = firstView(past)
      for (const batch of past.batches) {
        const commands = effectiveCommands(view, commandsOf(view, batch))
        const next = apply(view, commands, placement)
        for (const [shard, config] of next.shards.entries()) checkHolders(view, next, shard, config, commands)
        view = next
      }
    }),
    { numRuns: 300 },
  )
})

function checkHolders(view: View, next: View, shard: number, config: ShardConfig, commands: ViewCommand[]): void {
  const before = view.shards[shard]
  ok(before)
  const filled = commands.flatMap(command =>
    command.kind === "ready" && command.shard === shard ? [command.node] : [],
  )
  const complete = new Set([...before.inSync, ...filled])
  const present = next.members.filter(({ id }) => complete.has(id))
  equal(config.orphan, present.length === 0 && config.resetAt !== next.epoch)
  if (config.orphan) return deepEqual(new Set(config.inSync), complete)
  if (config.resetAt === next.epoch) return equal(present.length, 0)
  ok(config.inSync.every(id => complete.has(id)))
}

test("all nodes compute the same view, in whatever order the kinds of commands stand in the batch", () => {
  fc.assert(
    fc.property(history, fc.nat(9), (past, turn) => {
      const views = viewsOf(past)
      const kinds = ["ready", "join", "set-proto", "reset", "leave", "voter", "set-layout", "remove", "resume", "stop"]
      const rank = ({ kind }: ViewCommand) => (kinds.indexOf(kind) + turn) % kinds.length
      for (const [i, batch] of past.batches.entries()) {
        const [view, next] = [views[i], views[i + 1]]
        ok(view)
        const turned = commandsOf(view, batch).sort((a, b) => rank(a) - rank(b))
        deepEqual(apply(structuredClone(view), turned, new Placement()), next)
      }
    }),
  )
})

test("a command is effective exactly when it changes the view that it would lead to", () => {
  fc.assert(
    fc.property(history, past => {
      const placement = new Placement()
      const views = viewsOf(past)
      for (const [i, batch] of past.batches.entries()) {
        const view = views[i]
        ok(view)
        const idle = apply(view, [], placement)
        for (const command of commandsOf(view, batch))
          equal(isEffective(view, command), apply(view, [command], placement).hash !== idle.hash, command.kind)
      }
    }),
  )
})

test("shards that no command names are where they would be had all been looked at", () => {
  fc.assert(
    fc.property(history, past => {
      const view = viewsOf(past).at(-1)
      ok(view)
      fc.pre(!view.stopped)
      // A witness holds nothing, yet its Join makes `apply` look at every shard.
      const witness = { ...processAt(7, 0), id: "ffffffffffffffff", addr: "elsewhere", protoMax: 9 }
      const next = apply(view, [{ kind: "join", member: witness }], new Placement())
      notEqual(next.members, view.members)
      equal(next.shards, view.shards)
    }),
  )
})

test("when nothing else happens and every learner is filled, one more view brings each shard to its target", () => {
  fc.assert(
    fc.property(history, past => {
      const placement = new Placement()
      const last = viewsOf(past).at(-1)
      ok(last)
      const view = last.stopped ? apply(last, [{ kind: "resume" }], placement) : last
      const settled = apply(view, dueReadys(view), placement)
      const targets = placement.targets(settled)
      deepEqual(dueReadys(settled), [])
      const orphans = settled.shards.filter(config => config.orphan).length
      equal(underReplicated(settled, placement), orphans)
      for (const [shard, { orphan, inSync, primary }] of settled.shards.entries())
        if (!orphan && targets[shard]?.length !== 0) {
          equal(primary, targets[shard]?.[0])
          deepEqual(new Set(inSync), new Set(targets[shard]))
        }
    }),
    { numRuns: 300 },
  )
})

const restarted = [{ kind: "resume" }] as const

test("a stop takes effect alone: not in one view with who comes or goes, and not while a copy is being made", () => {
  const view = oneShardView(parseConfig("ab"), "abc")
  const complete = { kind: "stop", how: "complete" } as const
  const targets = { targets: () => [["a", "b"]] }
  equal(apply(view, [complete], targets).stopped, true)
  equal(apply(view, [complete, remove("c")], targets).stopped, false)
  const filling = oneShardView(parseConfig("a +b"), "abc")
  equal(apply(filling, [complete], targets).stopped, false)
  equal(apply(filling, [{ kind: "stop", how: "as-it-is" }], targets).stopped, true)
  const leaving = { ...view, members: view.members.map(member => ({ ...member, leaving: member.id === "c" })) }
  equal(apply(leaving, [complete], targets).stopped, false)
})

test("a stopped view stays as it is, but for those that are removed when it resumes", () => {
  const targets = { targets: () => [["a", "b"]] }
  const stopped = apply(oneShardView(parseConfig("ab"), "abc"), [{ kind: "stop", how: "complete" }], targets)
  const ignored = apply(stopped, [remove("a"), { kind: "leave", id: "b" }], targets)
  deepEqual([ignored.members, ignored.shards, ignored.stopped], [stopped.members, stopped.shards, true])
  const resumed = apply(stopped, [remove("a"), ...restarted], { targets: () => [["b", "c"]] })
  equal(resumed.stopped, false)
  deepEqual([theShard(resumed).primary, theShard(resumed).inSync], ["b", ["b"]])
})

test("when it resumes, each primary begins anew, also where nothing else changes", () => {
  const targets = { targets: () => [["a", "b"]] }
  const view = oneShardView(parseConfig("ab"), "abc")
  const resumed = apply({ ...view, stopped: true }, restarted, targets)
  deepEqual([theShard(resumed).q, theShard(resumed).primarySince], [10, 10])
  deepEqual(changedShards({ ...view, stopped: true }, resumed), [0])
  const orphan = oneShardView(parseConfig("orphan x"), "abc")
  equal(theShard(apply({ ...orphan, stopped: true }, restarted, targets)).orphan, true)
})

test("only a stopped cluster resumes", () => {
  const view = oneShardView(parseConfig("ab"), "abc")
  deepEqual(effectiveCommands(view, restarted), [])
})

test("two members never have one address", () => {
  fc.assert(
    fc.property(history, past => {
      for (const { members } of viewsOf(past)) equal(new Set(members.map(({ addr }) => addr)).size, members.length)
    }),
  )
})

// ---------------------------------------------------------------------------------------------------- differences

test("primariesLost names each former primary with its shards, and no orphan's", () => {
  fc.assert(
    fc.property(history, past => {
      const views = viewsOf(past)
      for (const [i, after] of views.entries()) {
        const before = views[i - 1]
        if (before === undefined) continue
        const lost = primariesLost(before, after)
        for (const [shard, { primary }] of before.shards.entries()) {
          const isLost = primary !== null && primary !== after.shards[shard]?.primary
          equal(primary !== null && lost.get(primary)?.includes(shard) === true, isLost)
        }
        const differing = [...after.shards.keys()].filter(shard => after.shards[shard] !== before.shards[shard])
        deepEqual(changedShards(before, after), differing)
      }
    }),
  )
})

test("underReplicated counts shards short of a copy, and orphans", () => {
  const placement = { targets: () => [["a", "b"]] }
  const cases = { ab: 0, a: 1, "a +b": 1, cab: 0, "orphan de": 1 }
  for (const [held, count] of Object.entries(cases))
    equal(underReplicated(oneShardView(parseConfig(held), letters.slice(0, 3)), placement), count, held)
})

test("completions of one shard give one view, in whatever order they are listed", () => {
  const placement = new Placement()
  const joins = [1, 2, 3].map(place => ({ kind: "join", member: processAt(place, 0) }) as const)
  const view = apply(firstView({ copies: 3, maxVoters: 7 }), joins, placement)
  const ready = dueReadys(view)
  ok(ready.length > view.shards.length, "some shard has two learners")
  equal(apply(view, ready, placement).hash, apply(view, [...ready].reverse(), placement).hash)
})
