import { deepEqual, equal, match, ok } from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import type { PackedView, View } from "../../protocol/message.ts"
import { firstView, history, viewsOf } from "../testing/random-views.ts"
import { viewHash } from "../view-hash.ts"
import {
  clientView,
  clientViewDelta,
  crowded,
  holds,
  majorityOf,
  memberOf,
  noPrimary,
  packView,
  roleIn,
  shardCounts,
  unpackView,
  votersOf,
} from "./view.ts"

function lastView(past: Parameters<typeof viewsOf>[0]): View {
  const view = viewsOf(past).at(-1)
  ok(view)
  return view
}

// ---------------------------------------------------------------------------------------------------- between nodes

test("a view that was packed and unpacked is the same view", () => {
  fc.assert(
    fc.property(history, past => {
      const view = lastView(past)
      const { shards, ...rest } = view
      const packed = packView(view)
      const { ids, cells, ...kept } = packed
      deepEqual(kept, rest)
      deepEqual(unpackView(structuredClone(packed)), view)
    }),
    { numRuns: 200 },
  )
})

test("a shard at rest takes five numbers, most of them of one byte", () => {
  const view = firstView({ copies: 2, maxVoters: 3 })
  equal(packView(view).cells.length, 1 + 4 * view.shards.length) // with one holder: four
})

test("a packed view in which any one number differs is refused in words, or not different", () => {
  fc.assert(
    fc.property(
      history,
      fc.nat(),
      fc.oneof(fc.nat(40), fc.constantFrom(-1, 0.5, 2 ** 32, 2 ** 53, NaN)),
      (past, at, put) => {
        const view = lastView(past)
        const packed = packView(view)
        const cells = packed.cells.with(at % packed.cells.length, put)
        const unpacked = unpackView({ ...packed, cells })
        if (typeof unpacked !== "string") deepEqual(unpacked, view)
      },
    ),
    { numRuns: 500 },
  )
})

const sound = packView(lastView({ copies: 2, maxVoters: 3, batches: [[[40, 1, 0]], [[40, 2, 0]], [[10, 0, 0]]] }))

const broken: { packed: PackedView; problem: RegExp; because: string }[] = [
  { packed: { ...sound, cells: [] }, problem: /missing/, because: "no cells" },
  { packed: { ...sound, cells: [2 ** 30] }, problem: /above/, because: "more shards than there may be" },
  { packed: { ...sound, cells: sound.cells.slice(0, -1) }, problem: /missing/, because: "one cell too few" },
  { packed: { ...sound, cells: [...sound.cells, 0] }, problem: /left over/, because: "one cell too many" },
  { packed: { ...sound, ids: sound.ids.slice(1) }, problem: /begins otherwise/, because: "ids are not the members" },
  { packed: { ...sound, ids: [...sound.ids, ...sound.ids] }, problem: /twice/, because: "an id is repeated" },
  { packed: { ...sound, members: [], ids: [] }, problem: /./, because: "nobody is there" },
  { packed: { ...sound, epoch: sound.epoch + 1 }, problem: /hash/, because: "it claims another epoch" },
  { packed: { ...sound, epoch: 0 }, problem: /./, because: "it claims no epoch" },
  { packed: { ...sound, epoch: NaN }, problem: /./, because: "its epoch is no number" },
  { packed: { ...sound, hash: sound.hash + 1 }, problem: /hash/, because: "its hash is another's" },
  {
    packed: { ...sound, members: sound.members.toReversed(), ids: sound.ids.toReversed() },
    problem: /ordered/,
    because: "members out of order",
  },
  {
    packed: { ...sound, members: sound.members.map(member => ({ ...member, addr: "one" })) },
    problem: /address/,
    because: "two at one address",
  },
  {
    packed: { ...sound, members: sound.members.map(member => ({ ...member, voter: false })) },
    problem: /votes/,
    because: "nobody votes",
  },
]

for (const { packed, problem, because } of broken) {
  test(`unpackView refuses a view in which ${because}`, () => {
    const unpacked = unpackView(packed)
    ok(typeof unpacked === "string", "refused")
    match(unpacked, problem)
  })
}

test("a view with the right hash is refused all the same when its content contradicts itself", () => {
  const view = firstView({ copies: 2, maxVoters: 3 })
  const [config] = view.shards
  ok(config)
  const contradictions = {
    "is no member": { ...config, inSync: ["ff", ...config.inSync], primary: "ff" },
    "holder of an orphan": { ...config, orphan: true, primary: null },
    "seqBase counts": { ...config, resetAt: 1 },
    "named twice": { ...config, learners: [{ id: config.inSync[0] ?? "", since: 1 }] },
  }
  for (const [problem, shard] of Object.entries(contradictions)) {
    const forged = { ...view, epoch: 5, shards: [shard, ...view.shards.slice(1)] }
    const unpacked = unpackView(packView({ ...forged, hash: viewHash(forged) }))
    ok(typeof unpacked === "string" && unpacked.includes(problem), `${problem}: ${JSON.stringify(unpacked)}`)
  }
})

// ---------------------------------------------------------------------------------------------------- to clients

test("a client that applies a delta knows the primaries that a whole view would have told it", () => {
  fc.assert(
    fc.property(history, past => {
      const views = viewsOf(past)
      for (const [i, after] of views.entries()) {
        const before = views[i - 1]
        if (before === undefined) continue
        const delta = clientViewDelta(before, after)
        equal(delta === undefined, before.membersEpoch !== after.membersEpoch)
        if (delta === undefined) continue
        const primaries = [...clientView(before, "self").primaries]
        for (let at = 0; at < delta.changes.length; at += 2)
          primaries[delta.changes[at] ?? 0] = delta.changes[at + 1] ?? 0
        deepEqual(primaries, clientView(after, "self").primaries)
        deepEqual([delta.from, delta.epoch], [before.epoch, after.epoch])
      }
    }),
  )
})

test("a client learns of each shard the primary's place in the list of members, or that there is none", () => {
  fc.assert(
    fc.property(history, past => {
      const view = lastView(past)
      const { members, primaries } = clientView(view, "self")
      for (const [shard, { primary }] of view.shards.entries())
        equal(primary, primaries[shard] === noPrimary ? null : members[primaries[shard] ?? -1]?.id)
    }),
  )
})

// ---------------------------------------------------------------------------------------------------- questions

const majorities = [
  { count: 1, majority: 1 },
  { count: 2, majority: 2 },
  { count: 3, majority: 2 },
  { count: 4, majority: 3 },
  { count: 7, majority: 4 },
]

for (const { count, majority } of majorities)
  test(`the majority of ${count} is ${majority}`, () => equal(majorityOf(count), majority))

test("what is asked of a view is what its members and shards say", () => {
  fc.assert(
    fc.property(history, past => {
      const view = lastView(past)
      equal(memberOf(view, "nobody"), undefined)
      deepEqual(
        votersOf(view),
        view.members.filter(({ voter }) => voter).map(({ id }) => id),
      )
      const counts = shardCounts(view)
      for (const member of view.members) {
        equal(memberOf(view, member.id), member)
        const roles = view.shards.map(config => roleIn(config, member.id))
        const primaries = roles.filter(role => role === "primary").length
        const replicas = primaries + roles.filter(role => role === "backup").length
        deepEqual(counts.get(member.id), { primaries, replicas })
        equal(holds(view, member.id), replicas > 0)
        equal(roles.includes("orphan-holder"), false)
      }
    }),
  )
})

const crowding = [
  { zones: "xxyy", inSync: [0, 2], count: 0, because: "each zone has one" },
  { zones: "xxyy", inSync: [0, 1], count: 1, because: "both are in x, and y has none" },
  { zones: "xxxx", inSync: [0, 1], count: 0, because: "there is no other zone" },
  { zones: "xxyy", inSync: [0, 1, 2], count: 0, because: "a third copy has no third zone to go to" },
  { zones: "xxyz", inSync: [0, 1, 2], count: 1, because: "z could have taken the third" },
  { zones: "xyyy", inSync: [1], count: 0, because: "one copy is in one zone" },
]

for (const { zones, inSync, count, because } of crowding)
  test(`crowded: ${count} of one shard whose copies are at ${inSync} in zones ${zones}, because ${because}`, () => {
    const view = firstView({ copies: 2, maxVoters: 3 })
    const [shard] = view.shards
    const [member] = view.members
    ok(shard && member)
    const members = [...zones].map((zone, i) => ({ ...member, id: `${i}`, zone }))
    equal(crowded({ ...view, members, shards: [{ ...shard, inSync: inSync.map(String) }] }), count)
  })
