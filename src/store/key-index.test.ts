import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { Prng } from "../base/prng.ts"
import { KeyIndex } from "./key-index.ts"

/** All slots, in the order of the tables. */
function slotsOf(index: KeyIndex): { position: number; place: number }[] {
  const slots: { position: number; place: number }[] = []
  for (let partition = 0; partition < index.partitionCount; partition++) {
    let at = index.seek(partition * 2 ** index.shift)
    const { table } = index
    for (; at < index.endOf(partition); at += 2)
      if (table[at + 1] !== 0) slots.push({ position: table[at] as number, place: table[at + 1] as number })
  }
  return slots
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
    const index = new KeyIndex(4)
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
    equal(index.memoryBytes, new KeyIndex(4).memoryBytes)
  })
}

test("what is not there is not found, and inserting where it would be needs no search by others", () => {
  const index = new KeyIndex(4)
  for (let n = 1; n <= 200; n++) index.insert(n * 1_000_000, n)
  for (let n = 0; n < 200; n++) {
    const at = index.seek(n * 1_000_000 + 7)
    ok(index.table[at + 1] === 0 || (index.table[at] as number) > n * 1_000_000 + 7)
  }
})

test("after `prepare` an insertion takes no memory", () => {
  const prng = new Prng(2)
  const index = new KeyIndex(2)
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
