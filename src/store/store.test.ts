import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { ArenaStore, ownedAlone } from "./arena-store.ts"
import { recordBytes } from "./record.ts"
import type { Arc, Cursor, Entry, HashedKey, Store } from "./store.ts"
import { entryOverheadBytes, MapStore } from "./testing/map-store.ts"

const wholeRing: Arc = { from: 0, to: 2 ** 32 }

/** Tests say where a key lies; the cluster's hash has no part in it. */
function keyAt(position: number, name = `key ${position}`): HashedKey {
  return { bytes: new TextEncoder().encode(name), position }
}

function entry(text: string, options: { version?: number; expiresAtMs?: number } = {}): Entry {
  const { version = 1, expiresAtMs = Infinity } = options
  return { value: new TextEncoder().encode(text), flags: 0, version, expiresAtMs }
}

function scanned(store: Store, arc: Arc, budgetBytes: number, betweenSteps = () => {}): string[] {
  const seen: string[] = []
  let cursor: Cursor | undefined
  do {
    cursor = store.scan(arc, cursor, budgetBytes, key => seen.push(new TextDecoder().decode(key)))
    betweenSteps()
  } while (cursor !== undefined)
  return seen
}

const halfPartition = 2 ** 19
const arcs = [
  { arc: wholeRing, inside: 6, because: "the whole ring holds everything, its ends included" },
  { arc: { from: 0, to: 1 }, inside: 1, because: "the first position alone" },
  { arc: { from: 2 ** 32 - 1, to: 2 ** 32 }, inside: 1, because: "the last position alone" },
  { arc: { from: 0, to: 2 ** 20 }, inside: 2, because: "one partition, its end excluded" },
  { arc: { from: halfPartition, to: 2 ** 20 }, inside: 1, because: "half of a partition" },
  { arc: { from: halfPartition, to: 2 ** 20 + 1 }, inside: 2, because: "parts of two partitions" },
  { arc: { from: 2 ** 21, to: 2 ** 22 }, inside: 0, because: "partitions that hold nothing" },
] as const

/** What every store owes its owner: the one of a node, and the one that tests use in its place. */
const stores = [
  {
    name: "the arena",
    make: (): Store => new ArenaStore({ ...ownedAlone, maxBytes: 2 ** 26, eviction: "none" }),
    entryBytes: recordBytes,
  },
  {
    name: "the map",
    make: (): Store => new MapStore(),
    entryBytes: (keyBytes: number, valueBytes: number) => keyBytes + valueBytes + entryOverheadBytes,
  },
]

for (const { name, make, entryBytes } of stores) {
  test(`${name}: answers with what was set last, until it is deleted`, () => {
    const store = make()
    equal(store.get(keyAt(7)), undefined)
    store.set(keyAt(7), entry("old"))
    store.set(keyAt(7), entry("new", { version: 2 }))
    deepEqual(store.get(keyAt(7)), entry("new", { version: 2 }))
    equal(store.delete(keyAt(7)), true)
    equal(store.delete(keyAt(7)), false)
    equal(store.get(keyAt(7)), undefined)
  })

  test(`${name}: keys are bytes: not text, not the buffer that they came in`, () => {
    const store = make()
    const buffer = Uint8Array.of(0xff, 0x00, 0xfe)
    store.set({ bytes: buffer, position: 1 }, entry("a"))
    store.set({ bytes: Uint8Array.of(0xff, 0x00), position: 1 }, entry("b"))
    store.set({ bytes: new Uint8Array(0), position: 1 }, entry("empty"))
    store.set({ bytes: new Uint8Array(4_096).fill(0xc3), position: 1 }, entry("long"))
    buffer.fill(9)
    equal(store.entries, 4)
    deepEqual(store.get({ bytes: Uint8Array.of(0xff, 0x00, 0xfe), position: 1 }), entry("a"))
    deepEqual(store.get({ bytes: new Uint8Array(0), position: 1 }), entry("empty"))
    deepEqual(store.get({ bytes: new Uint8Array(4_096).fill(0xc3), position: 1 }), entry("long"))
    const keys: Uint8Array[] = []
    store.scan(wholeRing, undefined, Infinity, key => keys.push(key))
    ok(keys.some(key => Buffer.from(key).equals(Buffer.of(0xff, 0x00, 0xfe))))
  })

  test(`${name}: an expired entry is still answered: its owner decides`, () => {
    const store = make()
    store.set(keyAt(3), entry("gone soon", { expiresAtMs: 5 }))
    store.sweep(1_000, 10, () => {})
    deepEqual(store.get(keyAt(3)), entry("gone soon", { expiresAtMs: 5 }))
  })

  for (const { arc, inside, because } of arcs) {
    test(`${name}: an arc from ${arc.from} to ${arc.to} is scanned, counted and dropped alike: ${because}`, () => {
      const store = make()
      for (const position of [0, halfPartition, 2 ** 20, 2 ** 31, 2 ** 31 + 5, 2 ** 32 - 1])
        store.set(keyAt(position), entry("v"))
      const bytesBefore = store.bytes
      const { entries, bytes } = store.countArc(arc)
      equal(entries, inside)
      equal(scanned(store, arc, 1).length, inside)
      equal(store.dropArc(arc, 7), false)
      equal(store.entries, 6 - inside)
      equal(store.bytes, bytesBefore - bytes)
      deepEqual(store.countArc(arc), { entries: 0, bytes: 0 })
    })
  }

  test(`${name}: an arc is dropped in steps, from its beginning, none of more entries than it may`, () => {
    const store = make()
    // In one partition, then in many, then in another one.
    const positions = Array.from({ length: 90 }, (_, n) => (n < 30 ? n : n < 60 ? n * 2 ** 24 : 2 ** 31 + n))
    for (const position of positions) store.set(keyAt(position), entry("v"))
    const arc = { from: 3, to: 2 ** 31 + 80 }
    const inside = store.countArc(arc).entries
    let dropped = 0
    for (let isMore = true; isMore; ) {
      const before = store.entries
      isMore = store.dropArc(arc, 7)
      equal(before - store.entries, Math.min(7, inside - dropped))
      dropped += before - store.entries
      equal(store.countArc(arc).entries, inside - dropped)
    }
    equal(dropped, inside)
    equal(store.entries, positions.length - inside)
  })

  test(`${name}: a step of a scan visits at least one entry, and about as many bytes as it may`, () => {
    const store = make()
    for (let n = 0; n < 100; n++) store.set(keyAt(n), entry("x".repeat(100)))
    const each = store.bytes / 100
    let visited = 0
    ok(store.scan(wholeRing, undefined, 0, () => visited++))
    equal(visited, 1)
    visited = 0
    ok(store.scan(wholeRing, undefined, 10 * each, () => visited++))
    ok(visited >= 9 && visited <= 11, `${visited} entries for the bytes of ten`)
  })

  test(`${name}: a scan visits what is there all the time exactly once, whatever comes, goes and changes between its steps`, () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(200), fc.boolean())),
        fc.integer({ min: 1, max: 2_000 }),
        (changes, budget) => {
          const store = make()
          // Even ones stay, odd ones come and go; all in few partitions, so that a cursor often stands inside of one.
          const key = (n: number) => keyAt((n % 7) * 2 ** 19, `${n}`)
          for (let n = 0; n < 200; n++) store.set(key(n), entry("v"))
          let next = 0
          const seen = scanned(store, wholeRing, budget, () => {
            for (const [n, isSet] of changes.slice(next, next + 3)) {
              if (isSet || n % 2 === 0) store.set(key(n), entry("changed", { version: 2 }))
              else store.delete(key(n))
            }
            next += 3
          })
          for (let n = 0; n < 200; n += 2)
            equal(seen.filter(name => name === `${n}`).length, 1, `${n} was there all the time`)
        },
      ),
      { numRuns: 200 },
    )
  })

  test(`${name}: a scan goes by position, and never divides the entries of one`, () => {
    const store = make()
    for (const position of [2 ** 31, 5, 2 ** 20 + 1, 5, 2 ** 20])
      store.set(keyAt(position, `${position} a`), entry("v"))
    store.set(keyAt(5, "5 b"), entry("v"))
    const steps: number[][] = []
    let cursor: Cursor | undefined
    do {
      const step: number[] = []
      cursor = store.scan(wholeRing, cursor, 1, (_, position) => step.push(position))
      steps.push(step)
    } while (cursor !== undefined)
    deepEqual(steps.filter(step => step.length > 0), [[5, 5], [2 ** 20], [2 ** 20 + 1], [2 ** 31]]) // biome-ignore format: as read
  })

  test(`${name}: a scan goes on in another store that holds the same`, () => {
    const [one, other] = [make(), make()]
    for (let n = 0; n < 10; n++) one.set(keyAt(n), entry("v"))
    for (let n = 9; n >= 0; n--) other.set(keyAt(n), entry("v"))
    const seen: number[] = []
    const cursor = one.scan(wholeRing, undefined, 100, (_, position) => seen.push(position))
    equal(
      other.scan(wholeRing, cursor, Infinity, (_, position) => seen.push(position)),
      undefined,
    )
    deepEqual(seen, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  })

  test(`${name}: a scan may be given up and begun again, and outlives the drop of what it walks`, () => {
    const store = make()
    for (let n = 0; n < 10; n++) store.set(keyAt(n), entry("v"))
    const cursor = store.scan(wholeRing, undefined, 1, () => {})
    store.dropArc(wholeRing, Number.POSITIVE_INFINITY)
    store.set(keyAt(99), entry("v"))
    const rest: number[] = []
    equal(
      store.scan(wholeRing, cursor, Infinity, (_, position) => rest.push(position)),
      undefined,
    )
    deepEqual(rest, [99])
    deepEqual(scanned(store, wholeRing, 1), ["key 99"])
  })

  test(`${name}: deleting inside the visit is allowed`, () => {
    const store = make()
    for (let n = 0; n < 50; n++) store.set(keyAt(n), entry("v", { expiresAtMs: 1 }))
    for (let round = 0; round < 10; round++)
      store.sweep(2, 10, (key, position) => ok(store.delete({ bytes: Uint8Array.from(key), position })))
    equal(store.entries, 0)
    equal(store.bytes, 0)
  })

  test(`${name}: sweeps nominate every expired entry in the end, at most so many at a time, and no other`, () => {
    const store = make()
    for (let n = 0; n < 1_000; n++)
      store.set(keyAt(n * 2 ** 18), entry("v", { expiresAtMs: n % 2 === 0 ? 10 : 11, version: n }))
    const nominated = new Set<number>()
    for (let round = 0; round < 300; round++) {
      let now = 0
      store.sweep(10, 5, (_, position, version) => {
        now++
        equal(version % 2, 0)
        nominated.add(position)
      })
      ok(now <= 5)
    }
    equal(nominated.size, 500)
    equal(store.entries, 1_000)
  })

  test(`${name}: agrees with a list, in entries and in bytes, after any operations`, () => {
    // Few keys in few places, so that operations meet.
    const key = fc.tuple(fc.constantFrom(0, 2 ** 20, 2 ** 20 + 1, 2 ** 32 - 1), fc.constantFrom("", "a", "b", "é"))
    const arc = fc.constantFrom(wholeRing, { from: 0, to: 2 ** 20 }, { from: 2 ** 20 + 1, to: 2 ** 32 })
    const step = fc.oneof(
      fc.record({ do: fc.constant("set" as const), key, text: fc.string(), expires: fc.boolean() }),
      fc.record({ do: fc.constant("delete" as const), key }),
      fc.record({ do: fc.constant("drop" as const), arc }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), steps => {
        const store = make()
        let list: { key: HashedKey; name: string; entry: Entry }[] = []
        for (const now of steps) {
          if (now.do === "drop") {
            store.dropArc(now.arc, Number.POSITIVE_INFINITY)
            list = list.filter(({ key }) => key.position < now.arc.from || key.position >= now.arc.to)
            continue
          }
          const [position, text] = now.key
          const key = keyAt(position, `${position} ${text}`)
          const name = `${position} ${text}`
          const others = list.filter(held => held.name !== name)
          if (now.do === "delete") equal(store.delete(key), others.length < list.length)
          list = others
          if (now.do === "delete") continue
          const made = entry(now.text, { expiresAtMs: now.expires ? 5 : Infinity })
          store.set(key, made)
          list.push({ key, name, entry: made })
        }
        const bytesOf = (held: typeof list) =>
          held.reduce((sum, { key, entry }) => sum + entryBytes(key.bytes.length, entry.value.length), 0)
        equal(store.entries, list.length)
        equal(store.bytes, bytesOf(list))
        for (const held of list) deepEqual(store.get(held.key), held.entry)
        deepEqual(scanned(store, wholeRing, 1).sort(), list.map(({ name }) => name).sort())
        for (const arc of [{ from: 0, to: 2 ** 20 + 1 }, { from: 2 ** 20, to: 2 ** 21 }, wholeRing]) {
          const inside = list.filter(({ key }) => key.position >= arc.from && key.position < arc.to)
          deepEqual(store.countArc(arc), { entries: inside.length, bytes: bytesOf(inside) })
        }
        const expired = new Set<string>()
        for (let round = 0; round < 40; round++) store.sweep(5, 2, key => expired.add(new TextDecoder().decode(key)))
        deepEqual(
          [...expired].sort(),
          list
            .filter(({ entry }) => entry.expiresAtMs === 5)
            .map(({ name }) => name)
            .sort(),
        )
      }),
      { numRuns: 300 },
    )
  })
}
