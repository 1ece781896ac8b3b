import { deepEqual, equal, notEqual, throws } from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { decodeValue, encodeValue } from "../protocol/codec.ts"
import { bytesFlags, cborFlags, fromStored, toStored } from "./values.ts"

test("strings and bytes are stored as they are, told apart by their flags", () => {
  deepEqual(toStored("é"), { bytes: Uint8Array.of(0xc3, 0xa9), flags: 1 })
  deepEqual(toStored(Uint8Array.of(1, 2)), { bytes: Uint8Array.of(1, 2), flags: bytesFlags })
  equal(fromStored({ bytes: Uint8Array.of(0x34, 0x32), flags: 1 }), "42")
  deepEqual(fromStored({ bytes: Uint8Array.of(1), flags: 77 }), Uint8Array.of(1))
})

test("what was stored comes back equal", () => {
  const value = fc.oneof(
    fc.string(),
    fc.uint8Array(),
    fc.integer(),
    fc.double({ noNaN: true }),
    fc.boolean(),
    fc.bigInt(),
    fc.constant(null),
  )
  // CBOR counts seconds as a float: exact to the millisecond in years of four digits.
  const dates = fc.date({ min: new Date("0001-01-01"), max: new Date("9999-12-31") })
  const nested = fc.oneof(value, fc.array(value), fc.dictionary(fc.string(), value), dates)
  fc.assert(
    fc.property(nested, given => {
      // Objects come back with a prototype, and integers know no minus zero.
      fc.pre(!hasOddity(given))
      deepEqual(fromStored(toStored(given)), given)
    }),
  )
})

function hasOddity(value: unknown): boolean {
  if (Object.is(value, -0)) return true
  if (typeof value !== "object" || value === null || value instanceof Uint8Array || value instanceof Date) return false
  return (
    Object.getPrototypeOf(value) === null ||
    "__proto__" in Object.fromEntries(Object.keys(value).map(key => [key, 0])) ||
    Object.values(value).some(hasOddity)
  )
}

test("maps, sets and dates inside of objects keep their kind", () => {
  const given = {
    when: new Date(1_700_000_000_123),
    seen: new Set(["a"]),
    by: new Map([[1, { n: 2n }]]),
    raw: Uint8Array.of(9),
  }
  deepEqual(fromStored(toStored(given)), given)
})

for (const [name, value] of [
  ["undefined", undefined],
  ["a function", () => 1],
  ["a symbol", Symbol("s")],
  ["a function inside", { f: () => 1 }],
] as const) {
  test(`${name} cannot be stored, and the caller is told so`, () => throws(() => toStored(value), TypeError))
}

test("an object that contains itself cannot be stored, and the caller is told so", () => {
  const cycle: { self?: unknown } = {}
  cycle.self = cycle
  throws(() => toStored(cycle), TypeError)
})

test("bytes that are not what their flags say are an error", () => {
  throws(() => fromStored({ bytes: Uint8Array.of(0xff), flags: 1 }))
  throws(() => fromStored({ bytes: Uint8Array.of(0xa1), flags: cborFlags }))
})

test("a stored value names no prototype: what another client wrote cannot change ours", () => {
  const hostile = encodeValue(JSON.parse('{"__proto__": {"polluted": true}}'))
  const value: { polluted?: unknown } = Object(decodeValue(hostile))
  equal(value.polluted, undefined)
  equal(({} as { polluted?: unknown }).polluted, undefined) // an object of ours has no such property
})

test("neither what is stored nor what is read shares memory with anything else", () => {
  const given = Uint8Array.of(1, 2, 3)
  const stored = toStored(given)
  given[0] = 9
  equal(stored.bytes[0], 1)
  const read = fromStored(stored)
  notEqual(read, stored.bytes)
  equal(read instanceof Uint8Array && read.buffer.byteLength, 3)
})
