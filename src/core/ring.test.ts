import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import type { Member, NodeId } from "../protocol/message.ts"
import { ContentHash, hash64 } from "../base/hash.ts"
import { arcOf, newestLayout, Placement, positionOf, shardOf, shardOfKey, tagOf, type Targets } from "./ring.ts"

function member(index: number, of: Partial<Member> = {}): Member {
  return {
    // Ids in another order than addresses, so that a mix-up of the two shows.
    id: (((index + 1) * 7_919) % 65_537).toString(16).padStart(16, "0"),
    name: `n${index}`,
    addr: `10.0.0.${index}:7400`,
    clientAddr: `10.0.0.${index}:7401`,
    zone: "",
    witness: false,
    protoMin: 1,
    protoMax: 1,
    since: 1,
    voter: false,
    leaving: false,
    ...of,
  }
}

function membersOf(count: number, of: (index: number) => Partial<Member> = () => ({})): Member[] {
  return Array.from({ length: count }, (_, index) => member(index, of(index)))
}

function targetsOf(members: readonly Member[], copies = 2, shardCount = 4_096): Targets {
  return new Placement().targets({ members, copies, shards: { length: shardCount } })
}

function primariesBy(targets: Targets): Map<NodeId, number> {
  const counts = new Map<NodeId, number>()
  for (const [primary = ""] of targets) counts.set(primary, (counts.get(primary) ?? 0) + 1)
  return counts
}

// ---------------------------------------------------------------------------------------------------- positions

test("a key lies at the high word of its hash", () => {
  const key = new TextEncoder().encode("user:42")
  const out = new Uint32Array(2)
  hash64(key, [7, 8], out)
  equal(positionOf(key, { hashKey: [7, 8], shardCount: 1_024 }), out[1])
})

for (const [key, tag] of [
  ["user:42", undefined],
  ["{user:42}.name", "user:42"],
  ["name.{user:42}", "user:42"],
  ["a{b}{c}", "b"],
  ["a{{b}}c", "{b"],
  // As in Redis Cluster: nothing between the first two means no tag at all.
  ["a{}{b}", undefined],
  ["a{b", undefined],
  ["a}b{c}", "c"],
] as const)
  test(`the tag of ${key} is ${tag ?? "none"}`, () => {
    const found = tagOf(Buffer.from(key))
    equal(found && Buffer.from(found).toString(), tag)
  })

test("keys with one tag lie in the shard of the tag, each at a place of its own, all over its arc", () => {
  const hashKey = [5, 6] as const
  for (const shardCount of [1, 8, 1_000, 1_024, 65_536]) {
    const placement = { hashKey, shardCount }
    const names = Array.from({ length: 1_000 }, (_, i) => Buffer.from(`{cart:7}:${i}`))
    const shard = shardOfKey(Buffer.from("cart:7"), placement)
    ok(names.every(name => shardOfKey(name, placement) === shard))
    const { from, to } = arcOf(shard, shardCount)
    const places = names.map(name => positionOf(name, placement))
    // So that no table of the store is full in one place.
    for (let part = 0; part < 10; part++) {
      const [low, high] = [from + ((to - from) * part) / 10, from + ((to - from) * (part + 1)) / 10]
      const count = places.filter(place => place >= low && place < high).length
      ok(count > 60 && count < 150, `${count} of 1000 in a tenth of the arc`)
    }
  }
})

const positions = [
  { position: 0, shardCount: 4, shard: 0, because: "the ring begins with shard 0" },
  { position: 0x3fff_ffff, shardCount: 4, shard: 0, because: "an arc does not hold its end" },
  { position: 0x4000_0000, shardCount: 4, shard: 1, because: "an arc holds its beginning" },
  { position: 0xffff_ffff, shardCount: 4, shard: 3, because: "the last position is in the last shard" },
  { position: 0xffff_ffff, shardCount: 65_536, shard: 65_535, because: "the most shards there may be" },
  { position: 0x5555_5555, shardCount: 3, shard: 0, because: "a third of the ring is no whole number" },
  { position: 0x5555_5556, shardCount: 3, shard: 1, because: "and the next position is the next shard's" },
]

for (const { position, shardCount, shard, because } of positions) {
  test(`shardOf(${position}, ${shardCount}) is ${shard}: ${because}`, () => equal(shardOf(position, shardCount), shard))
}

test("the arcs of the shards cover the ring without gap, and shardOf agrees with them", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 65_536 }), fc.nat(), (shardCount, any) => {
      const shard = any % shardCount
      const { from, to } = arcOf(shard, shardCount)
      equal(shardOf(from, shardCount), shard)
      equal(shardOf(to - 1, shardCount), shard)
      equal(shard === 0 ? 0 : arcOf(shard - 1, shardCount).to, from)
      if (shard === shardCount - 1) equal(to, 2 ** 32)
    }),
  )
})

// ---------------------------------------------------------------------------------------------------- targets

test("all nodes agree on the targets, in whatever order they name the members", () => {
  fc.assert(
    fc.property(
      fc.shuffledSubarray(membersOf(12), { minLength: 1 }),
      fc.integer({ min: 1, max: 4 }),
      (some, copies) => {
        const inOrder = some.toSorted((a, b) => (a.addr < b.addr ? -1 : 1))
        deepEqual(targetsOf(some, copies, 64), targetsOf(inOrder, copies, 64))
      },
    ),
  )
})

test("a shard has as many different holders as copies are wanted, or as members are there", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 8 }), fc.integer({ min: 1, max: 7 }), (count, copies) => {
      for (const target of targetsOf(membersOf(count), copies, 64)) {
        equal(target.length, Math.min(count, copies))
        equal(new Set(target).size, target.length)
      }
    }),
  )
})

test("leaving members and witnesses are given nothing", () => {
  const members = membersOf(6, index => ({ leaving: index === 1, witness: index === 4 }))
  const targets = targetsOf(members, 3, 256)
  const named = new Set(targets.flat())
  deepEqual(named, new Set([0, 2, 3, 5].map(index => member(index).id)))
})

test("a restarted process, at the same address under a new id, is given what its predecessor had", () => {
  const before = membersOf(9)
  const after = before.with(4, member(4, { id: "ffffffffffffffff" }))
  const renamed = (id: NodeId) => (id === member(4).id ? "ffffffffffffffff" : id)
  deepEqual(
    targetsOf(before).map(target => target.map(renamed)),
    targetsOf(after),
  )
})

const clusterSizes = [3, 5, 10, 20, 40]

for (const count of clusterSizes) {
  test(`primaries are spread over ${count} members within half of the mean`, () => {
    const counts = primariesBy(targetsOf(membersOf(count)))
    const mean = 4_096 / count
    equal(counts.size, count)
    ok(Math.max(...counts.values()) < 1.5 * mean, `most: ${Math.max(...counts.values())} of ${mean}`)
    ok(Math.min(...counts.values()) > 0.5 * mean, `least: ${Math.min(...counts.values())} of ${mean}`)
  })

  test(`a joiner takes primaries from others and moves none between them: ${count} members`, () => {
    const all = membersOf(count + 1)
    const joiner = member(count).id
    const before = targetsOf(all.slice(0, count))
    const after = targetsOf(all)
    const moved = after.filter(([primary], shard) => primary !== before[shard]?.[0])
    ok(moved.length > 0)
    ok(moved.every(([primary]) => primary === joiner))
    ok(moved.length < (1.5 * 4_096) / (count + 1), `primaries moved: ${moved.length}`)
  })

  test(`a change of one member moves less than 2.5 times the least number of copies: ${count} members`, () => {
    const all = membersOf(count + 1)
    const [fewer, more] = [targetsOf(all.slice(0, count)), targetsOf(all)]
    const arrived = (from: Targets, to: Targets) =>
      to.flatMap((target, shard) => target.filter(id => !from[shard]?.includes(id))).length
    // A joiner must be given its fair share; of a member that goes, each copy must be made anew.
    const held = more.filter(target => target.includes(member(count).id)).length
    ok(arrived(fewer, more) < (2.5 * 2 * 4_096) / (count + 1), `by the join: ${arrived(fewer, more)}`)
    ok(arrived(more, fewer) < 2.5 * held, `by the leave: ${arrived(more, fewer)} of ${held}`)
  })
}

test("the shards of one primary are copied to two members, so that few pairs of crashes are fatal", () => {
  const targets = targetsOf(membersOf(20))
  const pairs = new Set<string>()
  for (const { id } of membersOf(20)) {
    const copies = new Set(targets.filter(([primary]) => primary === id).map(([, copy]) => copy))
    equal(copies.size, 2)
    for (const copy of copies) pairs.add([id, copy].toSorted().join())
  }
  ok(pairs.size <= 40, `${pairs.size} of 190 pairs share a shard`)
})

test("copies stand in different zones while there are enough, however near the members of the own zone are", () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom("a", "b", "c", "d"), { minLength: 1, maxLength: 12 }),
      fc.integer({ min: 1, max: 4 }),
      (zones, copies) => {
        const members = membersOf(zones.length, index => ({ zone: zones[index] ?? "" }))
        const zoneOf = new Map(members.map(({ id, zone }) => [id, zone]))
        const possible = Math.min(copies, new Set(zones).size)
        for (const target of targetsOf(members, copies, 64)) {
          equal(new Set(target.map(id => zoneOf.get(id))).size, possible)
          equal(target.length, Math.min(copies, members.length))
        }
      },
    ),
  )
})

// ---------------------------------------------------------------------------------------------------- memory

test("targets are computed once for a set of active members, whatever else changes in the view", () => {
  const placement = new Placement()
  const view = { members: membersOf(5), copies: 2, shards: { length: 64 } }
  const first = placement.targets(view)
  const withVoter = { ...view, members: [...membersOf(5, () => ({ voter: true })), member(5, { witness: true })] }
  equal(placement.targets(withVoter), first)
})

test("a placement that was asked for many clusters answers as a new one does", () => {
  const placement = new Placement()
  const anyMembers = fc.subarray(membersOf(6)).chain(some =>
    fc.array(fc.constantFrom("", "x"), { minLength: some.length, maxLength: some.length }).map(zones =>
      // Now in one zone, now in another: what is remembered of the same ids must not be taken for it.
      some.map((member, i) => ({ ...member, zone: zones[i] ?? "" })),
    ),
  )
  fc.assert(
    fc.property(anyMembers, fc.constantFrom(1, 2), fc.constantFrom(16, 64, 4_096), (members, copies, length) => {
      deepEqual(placement.targets({ members, copies, shards: { length } }), targetsOf(members, copies, length))
    }),
  )
})

test("the placement of this layout version is what it always was: nodes of all builds must agree", () => {
  const hash = new ContentHash()
  for (const target of targetsOf(
    membersOf(10, index => ({ zone: ["", "x", "y"][index % 3] ?? "" })),
    3,
  )) {
    for (const id of target) hash.text(id)
  }
  // When this fails, do not write the new number: a changed placement is a new layout version.
  deepEqual([newestLayout, hash.low, hash.high], [1, 868_971_407, 3_695_061_501])
})
