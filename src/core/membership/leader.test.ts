import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import type { Member, MemberInfo, NodeId, View, ViewCommand } from "../../protocol/message.ts"
import { apply, initialView } from "../layout.ts"
import { Placement } from "../ring.ts"
import { allRules } from "../rules.ts"
import { Leader, type LinkEnd, type Situation } from "./leader.ts"

const placement = new Placement()
const idOf = (letter: string) => letter.charCodeAt(0).toString(16).padStart(16, "0")

function info(letter: string, options: { zone?: string; addr?: string } = {}): MemberInfo {
  const addr = options.addr ?? `${letter}:1`
  return {
    id: idOf(letter),
    name: letter,
    addr,
    clientAddr: addr,
    zone: options.zone ?? "",
    witness: false,
    protoMin: 1,
    protoMax: 1,
  }
}

function viewOf(members: MemberInfo[], maxVoters = 3): View {
  const [first, ...others] = members as [MemberInfo, ...MemberInfo[]]
  const founded = initialView({
    clusterId: "c",
    generation: 1,
    copies: 2,
    maxVoters,
    hashKey: [1, 2],
    shardCount: 8,
    member: first,
  })
  return others.length === 0
    ? founded
    : apply(
        founded,
        others.map(member => ({ kind: "join", member }) as const),
        placement,
      )
}

function leaderOf(): Leader {
  return new Leader({ batchMs: 30, batchMaxMs: 200, readyIntervalMs: 200, orphanResetMs: 60_000 }, allRules)
}

function situation(view: View, nowMs: number, rest: Partial<Situation> = {}): Situation {
  const nobody = { failed: [], doubted: [], isDead: () => false, isReadyToVote: () => false, mayJoin: () => true }
  return { view, nowMs, ...nobody, hears: () => true, fenceMs: 505, ...rest }
}

const kinds = (commands: readonly ViewCommand[] | undefined) => commands?.map(({ kind }) => kind)

test("commands wait a moment for others to join them, and longer while a member is doubted", () => {
  const leader = leaderOf()
  const view = viewOf([info("a")])
  leader.receive([{ kind: "join", member: info("b") }], 0)
  equal(leader.due(situation(view, 0)), undefined)
  leader.receive([{ kind: "join", member: info("c") }], 20)
  equal(leader.due(situation(view, 29)), undefined)
  deepEqual(kinds(leader.due(situation(view, 30))), ["join", "join"])
  leader.due(situation(view, 40, { doubted: ["x"] }))
  equal(leader.due(situation(view, 230, { doubted: ["x"] })), undefined)
  deepEqual(kinds(leader.due(situation(view, 240, { doubted: ["x"] }))), ["join", "join"])
})

test("a join whose address belongs to a member waits for that member's removal, and goes with it", () => {
  const leader = leaderOf()
  const view = viewOf([info("a"), info("b")])
  leader.receive([{ kind: "join", member: info("c", { addr: "b:1" }) }], 0)
  equal(leader.due(situation(view, 0)), undefined)
  equal(leader.due(situation(view, 500)), undefined, "its predecessor may still live")
  const failed = [{ id: idOf("b"), since: 2 }]
  leader.due(situation(view, 600, { failed }))
  const commands = leader.due(situation(view, 630, { failed }))
  deepEqual(kinds(commands), ["remove", "join"])
  const after = apply(view, commands ?? [], placement)
  deepEqual(
    after.members.map(({ name }) => name),
    ["a", "c"],
  )
})

test("the protocol version goes up when the last member speaks the new one, and not before", () => {
  const next = (letter: string) => ({ ...info(letter), protoMax: 2 })
  const mixed = viewOf([info("a"), next("b")])
  const leader = leaderOf()
  leader.due(situation(mixed, 0))
  equal(leader.due(situation(mixed, 1_000)), undefined)
  const since = mixed.members[0]?.since ?? 0
  const upgraded = apply(mixed, [{ kind: "remove", id: idOf("a"), since }], placement)
  leader.due(situation(upgraded, 2_000))
  deepEqual(leader.due(situation(upgraded, 3_000)), [{ kind: "set-proto", proto: 2 }])
})

test("a stop waits until nothing else is to be decided, and then goes alone; after it nothing is", () => {
  const leader = leaderOf()
  const view = viewOf([info("a")])
  leader.receive([{ kind: "stop", how: "as-it-is" }], 0)
  leader.receive([{ kind: "join", member: info("b") }], 0)
  leader.due(situation(view, 0))
  deepEqual(kinds(leader.due(situation(view, 30))), ["join"])
  const joined = viewOf([info("a"), info("b")])
  leader.viewInstalled(joined, [], 40)
  deepEqual(kinds(leader.due(situation(joined, 40))), ["stop"])
  const failed = [{ id: idOf("b"), since: 2 }]
  equal(leader.due(situation({ ...joined, stopped: true }, 5_000, { failed })), undefined)
})

test("completions alone make a view at most every 200 ms", () => {
  const leader = leaderOf()
  const view = viewOf([info("a"), info("b")])
  const learning = [...view.shards.entries()].filter(([, { learners }]) => learners.length > 0)
  const ready = learning.map(
    ([shard, { q, learners }]) =>
      ({ kind: "ready", shard, q, node: idOf("b"), since: learners[0]?.since ?? 0 }) as const,
  )
  leader.receive(ready.slice(0, 1), 0)
  deepEqual(kinds(leader.due(situation(view, 1_000))), ["ready"])
  leader.receive(ready, 1_010)
  equal(leader.due(situation(view, 1_199)), undefined)
  equal(leader.due(situation(view, 1_200))?.length, ready.length)
})

test("voters are appointed from those that are heard, oldest first, and spread over zones", () => {
  const leader = leaderOf()
  const view = viewOf(
    [info("a", { zone: "1" }), info("b", { zone: "1" }), info("c", { zone: "2" }), info("d", { zone: "2" })],
    3,
  )
  const isReadyToVote = (member: Member) => member.name !== "d"
  leader.due(situation(view, 0, { isReadyToVote }))
  const commands = leader.due(situation(view, 30, { isReadyToVote }))
  deepEqual(commands, [
    { kind: "voter", id: idOf("c"), since: 2 },
    { kind: "voter", id: idOf("b"), since: 2 },
  ])
})

test("what a view has overtaken is dropped, also where nobody leads", () => {
  const leader = leaderOf()
  const view = viewOf([info("a")])
  leader.receive([{ kind: "leave", id: idOf("z") }], 0)
  leader.viewInstalled(view, [], 2_000)
  equal(leader.due(situation(view, 2_100)), undefined)
})

/** A view in which some shards lost their only holder, a. */
function viewWithOrphans(): { lost: View; orphans: number[] } {
  const view = viewOf([info("a"), info("b")])
  const lost = apply(
    view,
    [
      { kind: "join", member: info("c") },
      { kind: "remove", id: idOf("a"), since: 1 },
    ],
    placement,
  )
  const orphans = [...lost.shards.entries()].filter(([, { orphan }]) => orphan).map(([shard]) => shard)
  equal(orphans.length > 0, true)
  return { lost, orphans }
}

test("a shard without holders is reset only when none of them was heard of for the whole time", () => {
  const leader = leaderOf()
  const { lost, orphans } = viewWithOrphans()
  leader.viewInstalled(lost, orphans, 10)
  equal(leader.due(situation(lost, 60_010)), undefined)
  leader.due(situation(lost, 60_011))
  deepEqual(new Set(kinds(leader.due(situation(lost, 60_041)))), new Set(["reset"]))
})

test("a shard whose holders are all dead for certain is reset when the last lease on it has ended", () => {
  const leader = leaderOf()
  const { lost, orphans } = viewWithOrphans()
  const isDead = (id: NodeId) => id === idOf("a")
  leader.viewInstalled(lost, orphans, 10)
  equal(leader.due(situation(lost, 615, { isDead })), undefined)
  leader.due(situation(lost, 616, { isDead }))
  deepEqual(new Set(kinds(leader.due(situation(lost, 646, { isDead })))), new Set(["reset"]))
})

test("a failed voter is replaced in the view that removes it", () => {
  const leader = leaderOf()
  let view = viewOf([info("a"), info("b"), info("c")], 2)
  view = apply(view, [{ kind: "voter", id: idOf("b"), since: 2 }], placement)
  const rest = { failed: [{ id: idOf("b"), since: 2 }], isReadyToVote: (member: Member) => member.name === "c" }
  leader.due(situation(view, 0, rest))
  const commands = leader.due(situation(view, 30, rest))
  deepEqual(kinds(commands), ["remove", "voter"])
  const after = apply(view, commands ?? [], placement)
  deepEqual(
    after.members.filter(({ voter }) => voter).map(({ name }) => name),
    ["a", "c"],
  )
})

test("no voter is removed while those that are heard would be no majority of the rest", () => {
  const leader = leaderOf()
  let view = viewOf(
    ["a", "b", "c", "d", "e"].map(letter => info(letter)),
    5,
  )
  view = apply(
    view,
    ["b", "c", "d", "e"].map(letter => ({ kind: "voter", id: idOf(letter), since: 2 }) as const),
    placement,
  )
  // Two have died and are not reported by enough yet; a third was slow for a moment.
  const hears = (id: string) => id === idOf("a") || id === idOf("b")
  const slow = { id: idOf("c"), since: 2 }
  leader.due(situation(view, 0, { hears, failed: [slow] }))
  equal(leader.due(situation(view, 300, { hears, failed: [slow] })), undefined)
  const failed = [slow, { id: idOf("d"), since: 2 }, { id: idOf("e"), since: 2 }]
  deepEqual(kinds(leader.due(situation(view, 400, { hears, failed }))), ["remove", "remove", "remove"])
})

/** `a` to `d`, of which `a` is the oldest; shard 0 is held as said, the others by `a`. */
function heldBy(...inSync: string[]): View {
  const view = viewOf(["a", "b", "c", "d"].map(letter => info(letter)))
  const ids = inSync.map(idOf)
  const shards = view.shards.map((shard, index) => ({
    ...shard,
    primary: index === 0 ? (ids[0] ?? null) : idOf("a"),
    inSync: index === 0 ? ids : [idOf("a"), idOf("b"), idOf("c"), idOf("d")],
    learners: [],
  }))
  return { ...view, shards }
}

const cutPairs: {
  links: [from: string, to: string][]
  holders: string[]
  deaf?: string
  failed?: string
  removed: string[]
  because: string
}[] = [
  { links: [["b", "c"]], holders: ["b", "c"], removed: ["c"], because: "the younger goes" },
  { links: [["c", "b"]], holders: ["c", "b"], removed: ["c"], because: "whoever complains" },
  { links: [["b", "c"]], holders: ["c"], removed: ["b"], because: "the elder, where the younger is a last holder" },
  { links: [["b", "c"]], holders: ["b", "c"], deaf: "c", removed: [], because: "one that is not heard is judged so" },
  { links: [["b", "z"]], holders: ["b"], removed: [], because: "one is no member any more" },
  {
    links: [
      ["b", "c"],
      ["b", "d"],
    ],
    holders: ["c", "d"],
    removed: ["c"],
    because: "one at a time: both would leave a shard without a holder",
  },
  {
    links: [["b", "c"]],
    holders: ["c", "d"],
    failed: "d",
    removed: ["d", "b"],
    because: "the younger is the last holder once another has failed",
  },
  { links: [["b", "c"]], holders: ["b", "d"], failed: "b", removed: ["b"], because: "one of the two goes anyway" },
]

function endOf(view: View, letter: string): LinkEnd {
  return view.members.find(({ id }) => id === idOf(letter)) ?? { id: idOf(letter), since: 2 }
}

for (const { links, holders, deaf, failed, removed, because } of cutPairs)
  test(`links ${links.map(pair => pair.join("-")).join(", ")} are down, ${holders.join(" and ")} hold: ${because}`, () => {
    const leader = leaderOf()
    const view = heldBy(...holders)
    for (const [from, to] of links) leader.linkDown({ from: endOf(view, from), to: endOf(view, to), nowMs: 0 })
    const rest = {
      hears: (id: string) => deaf === undefined || id !== idOf(deaf),
      failed: failed === undefined ? [] : [{ id: idOf(failed), since: 2 }],
    }
    leader.due(situation(view, 0, rest))
    const commands = leader.due(situation(view, 30, rest)) ?? []
    deepEqual(
      commands.map(command => (command.kind === "remove" ? command.id : command.kind)),
      removed.map(idOf),
    )
  })

test("of two last holders that do not reach each other, neither goes", () => {
  const leader = leaderOf()
  const view = heldBy("c")
  const both = { ...view, shards: view.shards.map((shard, i) => (i === 1 ? { ...shard, inSync: [idOf("b")] } : shard)) }
  leader.linkDown({ from: endOf(view, "b"), to: endOf(view, "c"), nowMs: 0 })
  leader.due(situation(both, 0))
  equal(leader.due(situation(both, 30)), undefined)
})

test("a link that nobody has complained of for a second is taken to work again", () => {
  const leader = leaderOf()
  const view = heldBy("b", "c")
  leader.linkDown({ from: endOf(view, "b"), to: endOf(view, "c"), nowMs: 0 })
  equal(leader.due(situation(view, 1_001)), undefined)
  equal(leader.due(situation(view, 1_031)), undefined)
})

test("a complaint of a link is none of a member that has been removed since, and is back", () => {
  for (const end of ["from", "to"] as const) {
    const leader = leaderOf()
    const view = heldBy("b", "c")
    const ends = { from: endOf(view, "b"), to: endOf(view, "c") }
    const before = { ...ends, [end]: { ...ends[end], since: ends[end].since - 1 } }
    leader.linkDown({ ...before, nowMs: 0 })
    leader.due(situation(view, 0))
    equal(leader.due(situation(view, 30)), undefined)
  }
})

test("a removal that must wait takes with it what depends on it, so that no view changes nothing", () => {
  const leader = leaderOf()
  let view = viewOf(
    ["a", "b", "c"].map(letter => info(letter)),
    3,
  )
  view = apply(
    view,
    ["b", "c"].map(letter => ({ kind: "voter", id: idOf(letter), since: 2 }) as const),
    placement,
  )
  // Nobody but this node is heard: with `b` removed, the rest would have no majority. Its successor must wait as well.
  const rest = { hears: (id: string) => id === idOf("a"), failed: [{ id: idOf("b"), since: 2 }] }
  leader.receive([{ kind: "join", member: info("e", { addr: "b:1" }) }], 0)
  leader.due(situation(view, 0, rest))
  equal(leader.due(situation(view, 30, rest)), undefined)
})
