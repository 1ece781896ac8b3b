import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { type HashKey, hashKeyPosition } from "../base/hash.ts"
import { Prng } from "../base/prng.ts"
import { KeyIndex } from "./key-index.ts"

/** With tables so small that those of a few dozen entries are divided. */
function indexOf(partitionBits: number): KeyIndex {
  return new KeyIndex({ partitionBits, blockBytes: 4_096, tableEntries: 40 })
}

/** All slots, in the order of the tables. */
function slotsOf(index: KeyIndex): { position: number; place: number }[] {
  const slots: { position: number; place: number }[] = []
  for (const { table, from, end } of index.tables())
    for (let at = from; at < end; at += 2)
      if (table[at + 1] !== 0) slots.push({ position: table[at] as number, place: table[at + 1] as number })
  return slots
}

function probesIn(index: KeyIndex, positions: Iterable<number>): { mean: number; most: number } {
  let [count, sum, most] = [0, 0, 0]
  for (const position of positions) {
    const probes = index.probesOf(position)
    count += 1
    sum += probes
    most = Math.max(most, probes)
  }
  return { mean: sum / count, most }
}

function byPosition(a: { position: number; place: number }, b: { position: number; place: number }): number {
  return a.position - b.position || a.place - b.place
}

const mixes: readonly { readonly name: string; readonly position: (prng: Prng) => number }[] = [
  { name: "positions anywhere", position: prng => prng.uint32() },
  { name: "all in one partition", position: prng => prng.below(2 ** 20) },
  { name: "few positions, many at each", position: prng => prng.below(7) * 1_000_003 },
  { name: "at the end of a table", position: prng => 2 ** 31 - 1 - prng.below(3) },
  { name: "at the end of the ring", position: prng => 2 ** 32 - 1 - prng.below(2) },
]

for (const { name, position } of mixes) {
  test(`an index holds what a list holds, in order, through growth and shrinking: ${name}`, () => {
    const prng = new Prng(1)
    const index = indexOf(4)
    const list = new Map<number, number>()
    let lastPlace = 0
    // Grows to a few hundred, shrinks to nothing, and again.
    for (let step = 0; step < 6_000; step++) {
      const isGrowing = Math.floor(step / 1_500) % 2 === 0
      if (prng.chance(isGrowing ? 0.75 : 0.2)) {
        const at = position(prng)
        lastPlace += 1
        index.insert(at, lastPlace)
        list.set(lastPlace, at)
      } else if (list.size > 0) {
        const place = prng.pick([...list.keys()])
        const at = list.get(place) as number
        if (prng.chance(0.5)) {
          index.remove(at, place)
          list.delete(place)
        } else {
          lastPlace += 1
          index.move(at, place, lastPlace)
          list.delete(place)
          list.set(lastPlace, at)
        }
      }
      if (step % 50 !== 0) continue
      const slots = slotsOf(index)
      const expected = [...list].map(([place, at]) => ({ position: at, place }))
      deepEqual([...slots].sort(byPosition), expected.sort(byPosition))
      deepEqual(
        slots.map(slot => slot.position),
        expected.map(slot => slot.position),
        "slots are in order",
      )
      for (const slot of slots) {
        const at = index.slotOf(slot.position, slot.place)
        equal(index.table[at + 1], slot.place)
      }
      equal(index.count, list.size)
    }
    for (const [place, at] of list) index.remove(at, place)
    deepEqual(slotsOf(index), [])
    equal(index.tableMemoryBytes, 0)
  })
}

test("what is not there is not found, and inserting where it would be needs no search by others", () => {
  const index = indexOf(4)
  for (let n = 1; n <= 200; n++) index.insert(n * 1_000_000, n)
  for (let n = 0; n < 200; n++) {
    const at = index.seek(n * 1_000_000 + 7)
    ok(index.table[at + 1] === 0 || (index.table[at] as number) > n * 1_000_000 + 7)
  }
})

test("after `prepare` an insertion takes no memory", () => {
  const prng = new Prng(2)
  const index = indexOf(2)
  for (let n = 1; n < 3_000; n++) {
    const position = prng.chance(0.5) ? prng.uint32() : 2 ** 30 - 1
    const grows = index.mustGrow(position)
    const before = index.memoryBytes
    index.prepare(position)
    if (!grows) equal(index.memoryBytes, before)
    const prepared = index.memoryBytes
    index.insert(position, n)
    equal(index.memoryBytes, prepared)
  }
})

// ------------------------------------------------------------------------------------------------ positions that are not spread evenly

const tableEntries = 8_192
/** Few partitions, so that few bits of a position need to be alike. */
const fewPartitions = { partitionBits: 4, blockBytes: 2 ** 19, tableEntries }

/** Where numbered keys lie under a key of the hash. */
function positionsOf(numbers: Iterable<number>, hashKey: HashKey): Uint32Array {
  const bytes = new Uint8Array(8)
  const words = new Uint32Array(bytes.buffer)
  return Uint32Array.from(numbers, number => {
    words[0] = number
    return hashKeyPosition(bytes, hashKey)
  })
}

/** Numbers of keys whose positions, under this key of the hash, begin with six zeros: one of sixty-four tried. */
function chosenFor(hashKey: HashKey, count: number): Uint32Array {
  const bytes = new Uint8Array(8)
  const words = new Uint32Array(bytes.buffer)
  const chosen = new Uint32Array(count)
  for (let found = 0, number = 0; found < count; number++) {
    words[0] = number
    if (hashKeyPosition(bytes, hashKey) < 2 ** 26) chosen[found++] = number
  }
  return chosen
}

function filled(positions: Uint32Array, options = fewPartitions): KeyIndex {
  const index = new KeyIndex(options)
  for (const [n, position] of positions.entries()) index.insert(position, n + 1)
  return index
}

test("a million keys chosen by who knows the hash's key pile up in one partition, and still cost no more; by who does not, they are spread", () => {
  const known: HashKey = [0, 0]
  const secret: HashKey = [0x2545f491, 0x1b873593]
  const chosen = chosenFor(known, 1_000_000)
  const piled = positionsOf(chosen, known)
  const spread = positionsOf(chosen, secret)

  // A thousand of them, in a table that is not divided yet: the last of them is behind all others.
  const one = filled(piled.subarray(0, 1_000))
  ok(probesIn(one, piled.subarray(0, 1_000)).mean > 250)
  equal([...one.tables()].length, 1)

  const attacked = filled(piled)
  const usual = filled(spread)
  equal(attacked.countOf(0), 1_000_000)
  for (const [index, positions] of [
    [attacked, piled],
    [usual, spread],
  ] as const) {
    const { mean, most } = probesIn(index, positions)
    ok(mean < 6, `${mean} slots in the mean`)
    ok(most < 1_100, `${most} slots at most`)
    ok(
      [...index.tables()].every(({ count }) => count <= tableEntries),
      "no step lays out more than a table's entries",
    )
  }
  const fullest = Math.max(...Array.from({ length: usual.partitionCount }, (_, n) => usual.countOf(n)))
  ok(fullest < 1.02 * (1_000_000 / usual.partitionCount), `${fullest} in the fullest partition`)
})

const skews: readonly { readonly what: string; readonly position: (prng: Prng) => number }[] = [
  { what: "the high 12 bits in common", position: prng => 2 ** 31 + prng.below(2 ** 20) },
  { what: "the high 20 bits, of a few groups", position: prng => prng.below(5) * 0x1234_5000 + prng.below(2 ** 12) },
  { what: "all but the last four bits", position: prng => 0xfff_fff0 + prng.below(16) },
]
for (const { what, position } of skews)
  test(`a hundred thousand keys with ${what} are found, in order, and their tables become one again when they go`, () => {
    const prng = new Prng(4)
    const index = new KeyIndex({ partitionBits: 12, blockBytes: 2 ** 17, tableEntries: 1_024 })
    // So many that lie at one position cost what they are; the others are what this is about.
    const count = what.startsWith("all but") ? 3_000 : 100_000
    const positions = Array.from({ length: count }, () => position(prng))
    for (const [n, at] of positions.entries()) index.insert(at, n + 1)
    const slots = slotsOf(index)
    equal(slots.length, count)
    ok(slots.every((slot, n) => n === 0 || slot.position >= (slots[n - 1]?.position ?? 0)))
    if (count === 100_000) ok(probesIn(index, positions).mean < 20, `${probesIn(index, positions).mean} slots`)
    for (const [n, at] of positions.entries()) if (n >= 60) index.remove(at, n + 1)
    equal(index.count, 60)
    const tables = [...index.tables()].length
    ok(tables <= 60, `${tables} tables`)
    deepEqual(new Set(slotsOf(index).map(({ place }) => place)), new Set(Array.from({ length: 60 }, (_, n) => n + 1)))
  })
