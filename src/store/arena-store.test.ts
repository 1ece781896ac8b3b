import { deepEqual, equal, ok, throws } from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { AssertionFailure } from "../base/assert.ts"
import { mix32 } from "../base/hash.ts"
import { Prng } from "../base/prng.ts"
import { ArenaStore, ownedAlone, type Shape, shapeFor } from "./arena-store.ts"
import type { Arc, Cursor, Entry, Eviction, HashedKey, StoreOwner } from "./store.ts"
import { hitRatio, zipf } from "./testing/hit-ratio.ts"
import { checkInvariants } from "./testing/invariants.ts"
import { type ModelOptions, randomStep, StoreModel } from "./testing/store-model.ts"

const tiny: Shape = { segmentBytes: 1_024, partitionBits: 4, tableEntries: 24 }
/** Larger segments, so that values of usual lengths are in no pieces. */
const small: Shape = { segmentBytes: 4_096, partitionBits: 4, tableEntries: 512 }
const wholeRing: Arc = { from: 0, to: 2 ** 32 }

function storeOf(options: {
  maxBytes?: number
  eviction?: Eviction
  shape?: Shape
  copiesShare?: number
  owner?: Partial<StoreOwner>
}): ArenaStore {
  const { maxBytes = 64 * 1_024, eviction = "none", shape = tiny, copiesShare = 0.5, owner } = options
  return new ArenaStore({ maxBytes, eviction, shape, copiesShare, owner: { ...ownedAlone.owner, ...owner } })
}

/** Positions as a hash would make them. */
function keyOf(n: number): HashedKey {
  return { bytes: new TextEncoder().encode(`key ${n}`), position: mix32(n) }
}

function keyAt(position: number, name = `key ${position}`): HashedKey {
  return { bytes: new TextEncoder().encode(name), position }
}

function entryOf(length: number, options: { version?: number; expiresAtMs?: number; fill?: number } = {}): Entry {
  const { version = 1, expiresAtMs = Number.POSITIVE_INFINITY, fill = length & 0xff } = options
  return { value: new Uint8Array(length).fill(fill), flags: 0, version, expiresAtMs }
}

function scanned(store: ArenaStore, arc: Arc = wholeRing, budget = 1): Uint8Array[] {
  const keys: Uint8Array[] = []
  let cursor: Cursor | undefined
  do cursor = store.scan(arc, cursor, budget, key => keys.push(key))
  while (cursor !== undefined)
  return keys
}

// ------------------------------------------------------------------------------------------------ beside a model

const kinds: readonly ModelOptions[] = [
  // Nothing is ever forgotten: everything is compared.
  { eviction: "none", segments: 60, keys: 200, longestKey: 4, keysPerPosition: 1, copiesShare: 0 },
  { eviction: "none", segments: 60, keys: 100, longestKey: 40, keysPerPosition: 20, copiesShare: 0 },
  // Little room for much: everything is forgotten sooner or later.
  { eviction: "s3fifo", segments: 16, keys: 1_000, longestKey: 40, keysPerPosition: 1, copiesShare: 0.3 },
  { eviction: "s3fifo", segments: 30, keys: 600, longestKey: 4, keysPerPosition: 3, copiesShare: 0.5 },
  { eviction: "lru", segments: 20, keys: 600, longestKey: 20, keysPerPosition: 1, copiesShare: 1 },
].map(({ segments, ...rest }) => ({ ...rest, shape: tiny, maxBytes: segments * 1_024 + 1_500 }) as ModelOptions)

for (const options of kinds)
  test(`beside a Map, every invariant looked at after every step: ${options.eviction}, ${options.keys} keys`, () => {
    fc.assert(
      fc.property(fc.integer(), seed => {
        const prng = new Prng(seed)
        const model = new StoreModel(options)
        const longest = prng.pick([40, 400])
        for (let step = 0; step < 300; step++) {
          model.step(randomStep(prng, options, longest))
          checkInvariants(model.store)
        }
        model.compareAll()
      }),
      { numRuns: 12 },
    )
  })

for (const options of kinds)
  test(`beside a Map, long: ${options.eviction}, ${options.keys} keys`, () => {
    fc.assert(
      fc.property(fc.integer(), seed => {
        const prng = new Prng(seed)
        const model = new StoreModel(options)
        const longest = prng.pick([40, 400])
        for (let step = 0; step < 6_000; step++) {
          model.step(randomStep(prng, options, longest))
          if (step % 300 === 0) checkInvariants(model.store)
        }
        model.compareAll()
        checkInvariants(model.store)
      }),
      { numRuns: 6 },
    )
  })

const tampering: readonly { readonly what: string; readonly tamper: (store: ArenaStore) => void }[] = [
  { what: "a lost count of live bytes", tamper: store => (store.parts.segments.liveBytes += 8) },
  { what: "a lost count of dead bytes", tamper: store => (store.parts.segments.deadBytes += 8) },
  { what: "a digest that was not kept up", tamper: store => store.parts.index.account(0, 0, 1) },
  { what: "a segment that nobody has", tamper: store => store.parts.segments.mapped++ },
  {
    what: "an entry that the index has lost",
    tamper: store => store.parts.index.remove(mix32(3), store.parts.entries.find(keyOf(3))),
  },
  {
    what: "an expiry that its segment does not know of",
    tamper: store => {
      const { segments, entries } = store.parts
      segments.soonestMs[segments.segmentOf(entries.find(keyOf(3)))] = Number.POSITIVE_INFINITY
    },
  },
]

for (const { what, tamper } of tampering)
  test(`the invariants notice ${what}`, () => {
    const store = storeOf({})
    for (let n = 0; n < 20; n++) store.set(keyOf(n), entryOf(50, { expiresAtMs: 1_000 }))
    checkInvariants(store)
    tamper(store)
    throws(() => checkInvariants(store))
  })

// ------------------------------------------------------------------------------------------------ entries

test("lengths from nothing to the largest, in one record or in pieces, come back as they were", () => {
  const store = storeOf({ maxBytes: 2 ** 20, shape: { segmentBytes: 4_096, partitionBits: 4, tableEntries: 512 } })
  const { largestRecord } = store.parts.entries
  equal(largestRecord, 1_016)
  const keyLengths = [0, 1, 2, 3, 4, 5, 7, 8, 60, 95, 96, 97, 150]
  const valueLengths = [0, 1, 2, 3, 4, 5, 7, 8, 9, 95, 96, 97, 128, 511, 512, 1_023, 1_024, 1_025, 4_096, 40_000]
  // One record exactly, and one byte more; one piece exactly, and one byte more.
  for (const around of [largestRecord - 24 - 4, 1_000, 2_000]) valueLengths.push(around - 1, around, around + 1)
  for (const keyLength of keyLengths)
    for (const valueLength of valueLengths) {
      const bytes = new Uint8Array(keyLength).map((_, i) => i * 7 + 1)
      const key = { bytes, position: 12_345 }
      const value = new Uint8Array(valueLength).map((_, i) => mix32(i + valueLength) & 0xff)
      const entry = { value, flags: 0xffff, version: 7, expiresAtMs: 99 }
      store.set(key, entry)
      deepEqual(store.get(key), entry)
      deepEqual(Buffer.from(scanned(store)[0] as Uint8Array), Buffer.from(bytes))
      const into = new Uint8Array(valueLength + 3)
      equal(store.getInto(key, into, 3)?.bytes, valueLength)
      ok(Buffer.from(into.subarray(3)).equals(value))
      equal(store.delete(key), true)
    }
  checkInvariants(store)
  equal(store.bytes, 0)
})

test("a key is as long as 65535 bytes, a value as long as 16 MiB less one, where segments are large", () => {
  const store = storeOf({ maxBytes: 2 ** 26, shape: shapeFor(2 ** 30) })
  const longKey = { bytes: new Uint8Array(65_535).fill(5), position: 1 }
  const longValue = entryOf(2 ** 24 - 1)
  store.set(longKey, longValue)
  ok(Buffer.from(store.get(longKey)?.value ?? []).equals(longValue.value))
  store.set(longKey, entryOf(3))
  equal(store.get(longKey)?.value.length, 3)
  checkInvariants(store)
  throws(() => store.set(keyOf(1), entryOf(2 ** 24)), AssertionFailure)
  throws(() => store.set({ bytes: new Uint8Array(65_536), position: 1 }, entryOf(1)), AssertionFailure)
})

test("values of 8 MiB with keys of 4 KiB fit whatever a node's limit", () => {
  for (const maxBytes of [2 ** 20, 2 ** 26, 2 ** 30, 2 ** 34]) {
    const store = new ArenaStore({ ...ownedAlone, maxBytes, eviction: "none" })
    ok(store.parts.entries.canHold(4_096, 8 * 1_024 * 1_024), `${maxBytes}`)
  }
})

test("versions, flags and expiry keep all their bits", () => {
  const store = storeOf({})
  for (const version of [0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 48 - 1])
    for (const expiresAtMs of [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 47, Number.POSITIVE_INFINITY])
      for (const flags of [0, 1, 0x8000, 0xffff]) {
        const entry = { value: new Uint8Array(3), flags, version, expiresAtMs }
        store.set(keyOf(1), entry)
        deepEqual(store.get(keyOf(1)), entry)
        equal(store.forget(keyOf(1), version === 0 ? 1 : version - 1), false)
      }
  throws(() => store.set(keyOf(1), entryOf(1, { version: 2 ** 48 })), AssertionFailure)
})

test("an expiry between two milliseconds is kept as the later one, one beyond all reckoning as very late", () => {
  const store = storeOf({})
  for (const { given, kept } of [
    { given: 10.2, kept: 11 },
    { given: -3, kept: 0 },
    { given: 2 ** 60, kept: 2 ** 48 - 2 },
  ]) {
    store.set(keyOf(1), entryOf(1, { expiresAtMs: given }))
    equal(store.get(keyOf(1))?.expiresAtMs, kept)
  }
})

test("what is handed out stays as it was, whatever becomes of its place", () => {
  const store = storeOf({ maxBytes: 18 * 1_024, eviction: "s3fifo" })
  const taken: { value: Uint8Array; copy: Buffer }[] = []
  for (let n = 0; n < 3_000; n++) {
    store.set(keyOf(n % 50), entryOf((n * 37) % 200, { fill: n & 0xff }))
    const value = store.get(keyOf((n * 7) % 50))?.value
    if (value !== undefined) taken.push({ value, copy: Buffer.from(value) })
  }
  ok(taken.length > 1_000)
  ok(taken.every(({ value, copy }) => copy.equals(value)))
})

test("an entry shrinks in its place and leaves a gap, of eight bytes too; where it no longer fits it moves", () => {
  const store = storeOf({})
  const { segments } = store.parts
  for (let n = 0; n < 10; n++) store.set(keyOf(n), entryOf(80))
  const used = segments.used[0]
  for (let length = 80; length >= 0; length--) {
    store.set(keyOf(4), entryOf(length))
    deepEqual(store.get(keyOf(4)), entryOf(length))
    checkInvariants(store)
  }
  equal(segments.used[0], used)
  for (let length = 0; length <= 90; length++) {
    store.set(keyOf(4), entryOf(length))
    deepEqual(store.get(keyOf(4)), entryOf(length))
    checkInvariants(store)
  }
  for (let n = 0; n < 10; n++) if (n !== 4) deepEqual(store.get(keyOf(n)), entryOf(80))
})

test("conditions see an entry that has expired as absent; a touch moves nothing", () => {
  const store = storeOf({})
  const key = keyOf(1)
  equal(store.setIf(key, entryOf(1), "present", 0), false)
  equal(store.setIf(key, entryOf(1, { version: 5, expiresAtMs: 10 }), "absent", 0), true)
  equal(store.setIf(key, entryOf(2), "absent", 9), false)
  equal(store.setIf(key, entryOf(2), { version: 4 }, 9), false)
  equal(store.setIf(key, entryOf(2), { version: 5 }, 10), false)
  equal(store.setIf(key, entryOf(2, { version: 6, expiresAtMs: 20 }), "absent", 10), true)
  equal(store.touch(key, 7, 30, 20), false)
  const { used } = store.parts.segments
  const before = used[0]
  equal(store.touch(key, 7, 30, 19), true)
  equal(used[0], before)
  deepEqual(store.get(key), entryOf(2, { version: 7, expiresAtMs: 30 }))
})

test("an increment counts from nothing, keeps the expiry, and refuses what is no number or too large for one", () => {
  const store = storeOf({})
  const key = keyOf(1)
  equal(store.increment(key, 5, 1, 0), 5)
  equal(store.increment(key, -12, 2, 0), -7)
  equal(new TextDecoder().decode(store.get(key)?.value), "-7")
  equal(store.touch(key, 3, 50, 0), true)
  equal(store.increment(key, 1, 4, 49), -6)
  equal(store.get(key)?.expiresAtMs, 50)
  equal(store.increment(key, 1, 5, 50), 1)
  equal(store.increment(key, Number.MAX_SAFE_INTEGER, 6, 50), "not-a-number")
  for (const text of ["", "-", "1.5", "1 ", "x", "999999999999999999999999"]) {
    store.set(key, { ...entryOf(0), value: new TextEncoder().encode(text) })
    equal(store.increment(key, 1, 7, 50), "not-a-number")
  }
})

test("nothing is written in the middle of a visit", () => {
  const store = storeOf({})
  store.set(keyOf(1), entryOf(1, { expiresAtMs: 1 }))
  for (const write of [
    () => store.set(keyOf(2), entryOf(1)),
    () => store.tidy(1),
    () => store.dropArc(wholeRing, 1),
    () => store.sweep(1, 1, () => {}),
  ]) {
    throws(() => store.scan(wholeRing, undefined, 1, write), AssertionFailure)
    throws(() => store.sweep(1, 1, write), AssertionFailure)
  }
  store.set(keyOf(2), entryOf(1))
})

// ------------------------------------------------------------------------------------------------ arcs

test("arcs that cover the ring visit every key once, in steps, whatever is evicted and moved between them", () => {
  const prng = new Prng(3)
  const store = storeOf({ maxBytes: 40 * 1_024, eviction: "s3fifo" })
  const cuts = [0, ...Array.from({ length: 9 }, () => prng.uint32()).sort((a, b) => a - b), 2 ** 32]
  for (let n = 0; n < 300; n++) store.set(keyOf(n), entryOf(30))
  const stayed = new Set(Array.from({ length: 300 }, (_, n) => n).filter(n => store.get(keyOf(n)) !== undefined))
  const seen = new Map<string, number>()
  for (let i = 0; i + 1 < cuts.length; i++) {
    const arc = { from: cuts[i] as number, to: cuts[i + 1] as number }
    if (arc.from === arc.to) continue
    let cursor: Cursor | undefined
    do {
      cursor = store.scan(arc, cursor, 200, key => {
        const name = new TextDecoder().decode(key)
        seen.set(name, (seen.get(name) ?? 0) + 1)
      })
      for (let n = 0; n < 10; n++) store.set(keyOf(1_000 + prng.below(2_000)), entryOf(prng.below(100)))
      for (const n of stayed) if (store.get(keyOf(n)) === undefined) stayed.delete(n)
    } while (cursor !== undefined)
  }
  ok(stayed.size > 100)
  ok(store.counts.evicted > 100)
  for (const n of stayed) equal(seen.get(`key ${n}`), 1)
  ok([...seen.values()].every(count => count === 1))
})

test("a digest is the same for the same keys and versions, whatever way they came and whatever the shape", () => {
  const prng = new Prng(4)
  const a = storeOf({ maxBytes: 256 * 1_024 })
  const b = storeOf({ maxBytes: 2 ** 20, shape: { segmentBytes: 4_096, partitionBits: 6, tableEntries: 512 } })
  const arcs = [
    wholeRing,
    { from: 0, to: 2 ** 28 },
    { from: 2 ** 28, to: 2 ** 31 },
    { from: 12_345, to: 2 ** 31 + 17 },
    { from: 2 ** 31 + 17, to: 2 ** 31 + 2 ** 20 },
  ]
  for (const n of prng.shuffled(Array.from({ length: 500 }, (_, n) => n))) {
    a.set(keyOf(n), entryOf(20, { version: 1 }))
    a.set(keyOf(n), entryOf(n % 50, { version: n + 2 ** 33 }))
  }
  for (let n = 0; n < 600; n++) b.set(keyOf(n), entryOf(10, { version: n < 500 ? 1 : 3 }))
  for (let n = 500; n < 600; n++) b.delete(keyOf(n))
  for (let n = 0; n < 500; n++) b.touch(keyOf(n), n + 2 ** 33, 5, 0)
  for (const arc of arcs) equal(a.digestArc(arc), b.digestArc(arc))
  b.touch(keyOf(77), 77 + 2 ** 33 + 1, 5, 0)
  for (const arc of arcs) {
    const isInside = mix32(77) >= arc.from && mix32(77) < arc.to
    equal(a.digestArc(arc) !== b.digestArc(arc), isInside)
  }
  // Two of one position and version do not cancel out.
  const c = storeOf({})
  c.set(keyAt(5, "a"), entryOf(1))
  c.set(keyAt(5, "b"), entryOf(1))
  ok(c.digestArc(wholeRing) !== storeOf({}).digestArc(wholeRing))
})

test("counting and comparing an arc of whole partitions looks at no entry", () => {
  const store = storeOf({})
  for (let n = 0; n < 100; n++) store.set(keyOf(n), entryOf(5))
  const { segments } = store.parts
  const whole = store.countArc(wholeRing)
  const digest = store.digestArc(wholeRing)
  // Without the segments there is nothing to look at.
  const words = segments.words.splice(0)
  deepEqual(store.countArc(wholeRing), whole)
  equal(store.digestArc(wholeRing), digest)
  segments.words.push(...words)
})

// ------------------------------------------------------------------------------------------------ expiry

test("a sweep nominates what has expired to the millisecond, carried along by moves and touches", () => {
  const store = storeOf({ maxBytes: 32 * 1_024, eviction: "s3fifo" })
  for (let n = 0; n < 60; n++) store.set(keyOf(n), entryOf(40, { expiresAtMs: 1_000 + n, version: n }))
  // Used, so that they move when others come; every third is touched as well.
  for (let round = 0; round < 300; round++) {
    for (let n = 0; n < 60; n++) store.get(keyOf(n))
    store.set(keyOf(1_000 + round), entryOf(100))
  }
  const expected = new Set<number>()
  for (let n = 0; n < 60; n++) {
    if (n % 3 === 0) store.touch(keyOf(n), n, 500 + n, 0)
    const entry = store.get(keyOf(n))
    if (entry !== undefined && entry.expiresAtMs <= 1_030) expected.add(n)
  }
  ok(expected.size > 30)
  ok(store.counts.evicted > 100)
  const nominated = new Set<number>()
  for (let round = 0; round < 200; round++) store.sweep(1_030, 7, (_, __, version) => nominated.add(version))
  deepEqual([...nominated].sort(), [...expected].sort())
})

test("a million entries that expire at once are gone within a hundred sweeps, each of bounded work", () => {
  const store = new ArenaStore({ ...ownedAlone, maxBytes: 2 ** 30, eviction: "none" })
  const count = 200_000
  const bytes = new Uint8Array(8)
  for (let n = 0; n < count; n++) {
    new DataView(bytes.buffer).setUint32(0, n)
    store.set({ bytes, position: mix32(n) }, entryOf(10, { expiresAtMs: 5 }))
  }
  store.sweep(4, 1_000, () => ok(false))
  let sweeps = 0
  for (; store.entries > 0; sweeps++) {
    let nominated = 0
    store.sweep(5, count / 100, (key, position) => {
      nominated += 1
      store.delete({ bytes: key, position })
    })
    ok(nominated <= count / 100)
    ok(sweeps <= 100)
  }
  checkInvariants(store)
})

test("a sweep looks at a bounded number of records where nothing has expired, and at none where nothing can", () => {
  const store = storeOf({ maxBytes: 2 ** 20 })
  for (let n = 0; n < 1_000; n++) store.set(keyOf(n), entryOf(40, { expiresAtMs: n === 500 ? 1 : 1_000 }))
  const { segments } = store.parts
  let nominated = 0
  for (let round = 0; round < 200; round++) store.sweep(1, 1, () => nominated++)
  ok(nominated >= 1)
  store.delete(keyOf(500))
  for (let round = 0; round < 200; round++) store.sweep(1, 1, () => ok(false))
  const { offset } = store.parts.sweep
  for (let round = 0; round < 10; round++) store.sweep(2, 1_000, () => ok(false))
  equal(store.parts.sweep.offset, offset)
  ok(segments.count > 10)
})

test("a segment that is emptied and used again while it is swept is swept from its beginning", () => {
  const store = storeOf({})
  for (let n = 0; n < 40; n++) store.set(keyOf(n), entryOf(40, { expiresAtMs: 1 }))
  store.sweep(1, 2, () => {})
  store.sweep(1, 2, () => {})
  const { segment, offset } = store.parts.sweep
  ok(offset > 8)
  for (let n = 0; n < 40; n++) store.delete(keyOf(n))
  checkInvariants(store)
  // Other lengths, so that no record begins where the sweep stood.
  for (let n = 0; n < 40; n++) store.set(keyOf(100 + n), entryOf(39 + (n % 7) * 8, { expiresAtMs: n % 2 }))
  ok(store.parts.segments.used[segment] !== 0)
  checkInvariants(store)
  const seen = new Set<number>()
  for (let round = 0; round < 60; round++) store.sweep(0, 2, (_, position) => seen.add(position))
  equal(seen.size, 20)
})

// ------------------------------------------------------------------------------------------------ memory

test("memory stays below the limit while index, ghost and entries grow, and what is held is what was set last", () => {
  for (const eviction of ["s3fifo", "lru"] as const) {
    const prng = new Prng(5)
    const maxBytes = 100_000
    const store = storeOf({ maxBytes, eviction, shape: { segmentBytes: 2_048, partitionBits: 2, tableEntries: 512 } })
    const versions = new Map<number, number>()
    // Ever smaller ones: more of them, so that the index grows when all is mapped.
    for (let length = 120; length >= 0; length -= 4)
      for (let i = 0; i < 1_000; i++) {
        const n = prng.below(4_000)
        versions.set(n, i + 1_000 * length)
        store.set(keyOf(n), entryOf(length, { version: i + 1_000 * length }))
        const read = prng.below(4_000)
        const found = store.get(keyOf(read))
        if (found !== undefined) equal(found.version, versions.get(read))
        ok(store.memoryBytes <= maxBytes, `${store.memoryBytes} bytes`)
      }
    checkInvariants(store)
    ok(store.counts.evicted > 10_000)
    ok(store.parts.index.memoryBytes > 5_000)
  }
})

test("overwriting with other sizes does not make the store grow beyond 1.25 times", () => {
  const prng = new Prng(6)
  const store = new ArenaStore({ ...ownedAlone, maxBytes: 2 ** 30, eviction: "none", shape: shapeFor(2 ** 24) })
  for (let n = 0; n < 20_000; n++) store.set(keyOf(n), entryOf(100))
  const before = store.memoryBytes
  for (let i = 0; i < 200_000; i++) store.set(keyOf(prng.below(20_000)), entryOf(50 + prng.below(100)))
  ok(store.memoryBytes <= 1.25 * before, `${store.memoryBytes / before} times`)
  checkInvariants(store)
})

test("without eviction a write that fits stays within the limit, and nothing is forgotten", () => {
  const prng = new Prng(7)
  const maxBytes = 200_000
  const store = storeOf({ maxBytes, shape: { segmentBytes: 4_096, partitionBits: 4, tableEntries: 512 } })
  const held = new Map<number, number>()
  let refused = 0
  for (let i = 0; i < 30_000; i++) {
    const n = prng.below(3_000)
    if (prng.chance(0.1)) {
      store.delete(keyOf(n))
      held.delete(n)
      continue
    }
    const length = prng.below(prng.chance(0.05) ? 3_000 : 60)
    if (!store.fits(length + 12)) {
      refused += 1
      continue
    }
    store.set(keyOf(n), entryOf(length, { version: i }))
    held.set(n, i)
    ok(store.memoryBytes <= maxBytes)
  }
  ok(refused > 100)
  ok(store.bytes > 0.55 * maxBytes, `${store.bytes} bytes of entries`)
  equal(store.entries, held.size)
  for (const [n, version] of held) equal(store.get(keyOf(n))?.version, version)
})

test("without eviction a copy that does not fit is kept all the same, beyond the limit", () => {
  const store = storeOf({ maxBytes: 30 * 1_024 })
  for (let n = 0; n < 1_000; n++) store.set(keyOf(n), entryOf(100))
  equal(store.entries, 1_000)
  equal(store.fits(1), false)
  ok(store.memoryBytes > 100_000 && store.memoryBytes < 250_000, `${store.memoryBytes} bytes`)
  for (let n = 0; n < 1_000; n++) store.delete(keyOf(n))
  store.set(keyOf(1), entryOf(1))
  for (let i = 0; i < 20; i++) store.tidy(10_000)
  ok(store.memoryBytes <= 30 * 1_024, "what is beyond the limit is given back")
  checkInvariants(store)
})

test("where nothing may be dropped the store goes beyond its limit by what is held back, at bounded cost, and comes back", () => {
  let isHeldBack = true
  let asked = 0
  const store = storeOf({
    maxBytes: 40 * 1_024,
    eviction: "s3fifo",
    owner: {
      mayDrop: () => {
        asked += 1
        return !isHeldBack
      },
    },
  })
  let most = 0
  let total = 0
  for (let n = 0; n < 1_000; n++) {
    asked = 0
    store.set(keyOf(n), entryOf(80))
    total += asked
    most = Math.max(most, asked)
  }
  equal(store.entries, 1_000)
  ok(most < 200, `${most} entries asked about in one write`)
  ok(total < 20_000, `${total} in a thousand writes`)
  ok(store.memoryBytes < 2 * 1_000 * 120)
  checkInvariants(store)
  isHeldBack = false
  for (let i = 0; i < 100; i++) store.tidy(2_000)
  ok(store.memoryBytes <= 40 * 1_024)
  checkInvariants(store)
})

test("a write pays for about what it takes: no write walks a whole store, or a whole segment", () => {
  const shape = { segmentBytes: 64 * 1_024, partitionBits: 6, tableEntries: 512 }
  let asked = 0
  const owner = { isLed: () => (asked++, true) }
  const store = storeOf({ maxBytes: 64 * 64 * 1_024, eviction: "s3fifo", shape, owner })
  const prng = new Prng(8)
  let most = 0
  for (let i = 0; i < 200_000; i++) {
    const n = Math.floor(60_000 * prng.fraction() ** 2)
    if (store.get(keyOf(n)) !== undefined) continue
    asked = 0
    store.set(keyOf(n), entryOf(100))
    if (i > 100_000) most = Math.max(most, asked)
  }
  ok(store.counts.evicted > 5_000)
  ok(most < 40, `${most} entries judged in one write`)
})

test("everything used is no reason to search for long", () => {
  const store = storeOf({ maxBytes: 68 * 1_024, eviction: "s3fifo" })
  for (let n = 0; n < 2_000; n++) {
    store.set(keyOf(n), entryOf(80))
    for (let i = 0; i < 2_000; i += 10) store.get(keyOf(i + (n % 10)))
    ok(store.memoryBytes <= 68 * 1_024)
  }
  ok(store.entries > 250, `${store.entries}`)
})

test("many large values make room for each other", () => {
  const store = storeOf({
    maxBytes: 2 ** 21,
    eviction: "s3fifo",
    shape: { segmentBytes: 16_384, partitionBits: 4, tableEntries: 512 },
  })
  const prng = new Prng(9)
  for (let n = 0; n < 3_000; n++) {
    const length = prng.chance(0.3) ? prng.below(100_000) : prng.below(100)
    store.set(keyOf(n % 500), entryOf(length, { fill: n & 0xff }))
    ok(store.memoryBytes <= 2 ** 21, `${store.memoryBytes - 2 ** 21} bytes beyond`)
    const found = store.get(keyOf(prng.below(500)))
    if (found !== undefined) ok(found.value.every(byte => byte === found.value[0]))
  }
  checkInvariants(store)
  ok(store.bytes > 0.75 * 2 ** 21, `${store.bytes} bytes used`)
})

test("a value that would leave little room for others is forgotten at once, and its owner told", () => {
  const dropped: { name: string; version: number }[] = []
  const owner: Partial<StoreOwner> = {
    dropped: (key, _position, version) => dropped.push({ name: new TextDecoder().decode(key), version }),
  }
  const shape = { segmentBytes: 4_096, partitionBits: 4, tableEntries: 512 }
  const store = storeOf({ maxBytes: 64 * 1_024, eviction: "lru", shape, owner })
  store.set(keyOf(1), entryOf(10))
  ok(!store.fits(30_000))
  store.set(keyOf(1), entryOf(30_000, { version: 2 }))
  equal(store.get(keyOf(1)), undefined)
  deepEqual(dropped, [{ name: "key 1", version: 2 }])
})

test("deleting and overwriting around the one who empties a segment", () => {
  const store = storeOf({ maxBytes: 80 * 1_024, eviction: "s3fifo", shape: small })
  const prng = new Prng(10)
  let n = 0
  let met = 0
  for (let round = 0; round < 4_000; round++) {
    store.set(keyOf(n++), entryOf(prng.below(60)))
    const { segments, reclaim, entries } = store.parts
    if (reclaim.victim === -1) continue
    met += 1
    // All that lies in the victim, before and behind where it is emptied.
    for (let back = 0; back < 700; back++) {
      const key = keyOf(n - back)
      const place = entries.find(key)
      if (place === 0 || segments.segmentOf(place) !== reclaim.victim) continue
      if (prng.chance(0.3)) store.delete(key)
      else if (prng.chance(0.3)) store.set(key, entryOf(prng.below(80)))
      break
    }
    if (round % 10 === 0) checkInvariants(store)
  }
  ok(met > 400, `${met}`)
})

// ------------------------------------------------------------------------------------------------ whom to forget

test("of a Zipf distribution S3-FIFO keeps more of what is asked for than the approximation of LRU", () => {
  const keys = zipf(60_000, 20_000, 1)
  const s3fifo = hitRatio("s3fifo", keys, 2_000)
  const lru = hitRatio("lru", keys, 2_000)
  ok(s3fifo > 0.7, `${s3fifo}`)
  ok(lru > 0.65, `${lru}`)
  ok(s3fifo > lru + 0.01, `${s3fifo} against ${lru}`)
})

test("what is asked for once in a long scan does not drive out what is used", () => {
  const keys: number[] = []
  const hot = zipf(60_000, 1_000, 0.8)
  for (let i = 0; i < hot.length; i++) keys.push(hot[i] as number, 100_000 + i)
  ok(hitRatio("s3fifo", keys, 2_000) > 0.45)
})

test("of what is asked for in turn, more than there is room for, a part stays and is found", () => {
  const keys = Array.from({ length: 40_000 }, (_, n) => n % 8_000)
  const ratio = hitRatio("s3fifo", keys, 2_000)
  ok(ratio > 0.13, `${ratio}`)
})

test("where everything comes back once, after a while, the small queue grows until it is found", () => {
  // Each key again after more others than a tenth of the store holds.
  const keys: number[] = []
  for (let n = 0; n < 60_000; n++) keys.push(n, Math.max(0, n - 300))
  const ratio = hitRatio("s3fifo", keys, 2_000)
  ok(ratio > 0.4, `${ratio} of at most a half`)
})

test("of large and small entries the small ones stay sooner: in the room of one there is place for many", () => {
  const store = new ArenaStore({ ...ownedAlone, maxBytes: 400_000, eviction: "s3fifo", shape: small })
  let hits = 0
  const drawn = zipf(60_000, 4_000, 0.9)
  for (const n of drawn) {
    if (store.get(keyOf(n)) !== undefined) hits += 1
    else store.set(keyOf(n), entryOf(n % 4 === 0 ? 900 : 20))
  }
  ok(hits / drawn.length > 0.747, `${hits / drawn.length}`)
})

test("copies give first when they have more than their share, and are counted apart", () => {
  const dropped = { led: 0, copies: 0 }
  const isLed = (position: number) => position < 2 ** 31
  const owner: Partial<StoreOwner> = {
    isLed,
    dropped: (_key, position, _version, isCopy) => {
      equal(isCopy, !isLed(position))
      dropped[isCopy ? "copies" : "led"] += 1
    },
  }
  const store = storeOf({ maxBytes: 100 * 1_024, eviction: "s3fifo", copiesShare: 0.25, owner, shape: small })
  for (let n = 0; n < 20_000; n++) store.set(keyOf(n), entryOf(60))
  const copies = store.countArc({ from: 2 ** 31, to: 2 ** 32 }).bytes
  const led = store.countArc({ from: 0, to: 2 ** 31 }).bytes
  ok(copies / (copies + led) > 0.2 && copies / (copies + led) < 0.37, `${copies} of ${copies + led}`)
  deepEqual(store.counts, { evicted: dropped.led, evictedCopies: dropped.copies })
  ok(dropped.copies > dropped.led)
})

test("copies may have everything that nobody else wants", () => {
  const store = storeOf({
    maxBytes: 100 * 1_024,
    eviction: "s3fifo",
    copiesShare: 0.1,
    owner: { isLed: () => false },
    shape: small,
  })
  for (let n = 0; n < 5_000; n++) store.set(keyOf(n), entryOf(60))
  ok(store.bytes > 50 * 1_024, `${store.bytes} bytes`)
  ok(store.counts.evictedCopies > 1_000)
})

test("who becomes the leader of copies keeps those that are used from then on", () => {
  let areLed = false
  const store = storeOf({
    maxBytes: 108 * 1_024,
    eviction: "s3fifo",
    copiesShare: 0.3,
    owner: { isLed: () => areLed },
    shape: small,
  })
  for (let n = 0; n < 600; n++) store.set(keyOf(n), entryOf(60))
  areLed = true
  for (let n = 0; n < 6_000; n++) {
    for (let hot = 0; hot < 100; hot++) store.get(keyOf(hot))
    store.set(keyOf(1_000 + n), entryOf(60))
  }
  let kept = 0
  for (let hot = 0; hot < 100; hot++) if (store.get(keyOf(hot)) !== undefined) kept += 1
  ok(kept > 90, `${kept} of a hundred that were used all the time`)
  equal(store.counts.evictedCopies, 0)
})

// ------------------------------------------------------------------------------------------------ collisions

test("keys of one position, which nobody can choose without the hash's key, are told apart, in linear time", () => {
  const store = storeOf({ maxBytes: 2 ** 20, eviction: "none" })
  for (const position of [0, 77, 2 ** 32 - 1]) {
    for (let n = 0; n < 1_000; n++) store.set(keyAt(position, `${n}`), entryOf(n & 15, { version: n }))
    for (let n = 0; n < 1_000; n += 2) equal(store.delete(keyAt(position, `${n}`)), true)
    for (let n = 0; n < 1_000; n++) equal(store.get(keyAt(position, `${n}`))?.version, n % 2 === 0 ? undefined : n)
  }
  checkInvariants(store)
  equal(scanned(store).length, 1_500)
})
