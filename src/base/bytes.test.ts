import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { copyOf, utf8Of } from "./bytes.ts"

test("copies keep what they were made of, whatever is copied or written after them", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 2_000, size: "max" }), { maxLength: 30 }), sources => {
      const copies = sources.map(source => copyOf(source))
      const expected = sources.map(source => [...source])
      for (const source of sources) source.fill(0)
      copies.forEach((copy, i) => deepEqual([...copy], expected[i]))
    }),
  )
})

test("a copy of a Buffer is a plain array of bytes, and keeps little else alive", () => {
  for (const length of [0, 10, 64, 65, 1_024, 1_025, 100_000]) {
    const copy = copyOf(Buffer.alloc(length, 7))
    equal(Object.getPrototypeOf(copy), Uint8Array.prototype)
    equal(copy.length, length)
    ok(copy.buffer.byteLength <= Math.max(length, 8 * 1024))
  }
})

test("text is UTF-8, short or long", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", maxLength: 100 }), text => {
      deepEqual(utf8Of(text), new TextEncoder().encode(text))
    }),
  )
})
