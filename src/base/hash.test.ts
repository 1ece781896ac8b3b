import { deepEqual, equal, notEqual } from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { ContentHash, halfSipHash, hash64, mix32, type HashKey, type SipRounds } from "./hash.ts"

// vectors_hsip64 of the authors' reference code: HalfSipHash-2-4 with the key 00 01 .. 07; the message of row i is
// 00 01 .. i-1. Every length modulo four occurs, with none, one and many whole words before it.
const published = [
  { length: 0, digest: "218d1f59b9b83cc8" },
  { length: 1, digest: "be552412f8387315" },
  { length: 2, digest: "064f39ef7c50eb57" },
  { length: 3, digest: "ce0f1a45f7060679" },
  { length: 4, digest: "d5e78a175be52ea1" },
  { length: 5, digest: "cb9d7c3f2f3db580" },
  { length: 6, digest: "ce3e91358aa2bc25" },
  { length: 7, digest: "ff202728b07bc684" },
  { length: 8, digest: "edfee820bce4858c" },
  { length: 15, digest: "217d0bcb4e81c902" },
  { length: 16, digest: "7336aad25f7bf3b5" },
  { length: 33, digest: "248477681d28f89c" },
  { length: 62, digest: "f90b3ab572d46693" },
  { length: 63, digest: "2ea63c71bf326087" },
]

const countingKey: HashKey = [0x03020100, 0x07060504]

for (const { length, digest } of published) {
  test(`HalfSipHash-2-4 of ${length} bytes equals the published vector`, () => {
    const out = new Uint32Array(2)
    const message = Uint8Array.from({ length }, (_, i) => i)
    halfSipHash(message, countingKey, { perWord: 2, perOutput: 4 }, out)
    equal(Buffer.from(out.buffer).toString("hex"), digest)
  })
}

const bytes = fc.uint8Array({ maxLength: 70 })
const word = fc.integer({ min: 0, max: 0xffff_ffff })
const rounds = fc.record({ perWord: fc.integer({ min: 1, max: 3 }), perOutput: fc.integer({ min: 1, max: 4 }) })

test("halfSipHash gives what the definition gives, for any key, message and number of rounds", () => {
  fc.assert(
    fc.property(bytes, fc.tuple(word, word), rounds, (message, key, variant) => {
      const out = new Uint32Array(2)
      halfSipHash(message, key, variant, out)
      deepEqual([...out], byDefinition(message, key, variant))
    }),
  )
})

test("hash64 is the variant 1-3", () => {
  fc.assert(
    fc.property(bytes, fc.tuple(word, word), (message, key) => {
      const out = new Uint32Array(2)
      hash64(message, key, out)
      deepEqual([...out], byDefinition(message, key, { perWord: 1, perOutput: 3 }))
    }),
  )
})

test("a window onto a larger buffer hashes like a copy of it", () => {
  const frame = Uint8Array.from({ length: 40 }, (_, i) => 7 * i)
  const [window, copy] = [new Uint32Array(2), new Uint32Array(2)]
  hash64(frame.subarray(3, 20), countingKey, window)
  hash64(frame.slice(3, 20), countingKey, copy)
  deepEqual(window, copy)
})

test("mix32 gives every result once, as far as one looks, and is unsigned", () => {
  const results = new Set(Array.from({ length: 10_000 }, (_, i) => mix32(i)))
  equal(results.size, 10_000)
  equal(Math.min(...results) >= 0, true)
})

test("ContentHash tells where one text ends and the next begins, and large integers apart", () => {
  notEqual(new ContentHash().text("a").text("bc").low, new ContentHash().text("ab").text("c").low)
  notEqual(new ContentHash().integer(5).low, new ContentHash().integer(5 + 2 ** 32).low)
  notEqual(new ContentHash().integer(5).high, new ContentHash().integer(5 + 2 ** 40).high)
})

/** Written from the paper, with unbounded integers cut to 32 bits after each step. Low word, high word. */
function byDefinition(message: Uint8Array, key: HashKey, variant: SipRounds): number[] {
  const cut = (n: bigint) => n & 0xffff_ffffn
  const rotated = (n: bigint, by: bigint) => cut((n << by) | (n >> (32n - by)))
  const k0 = BigInt(key[0])
  const k1 = BigInt(key[1])
  const v = { a: k0, b: k1 ^ 0xeen, c: 0x6c796765n ^ k0, d: 0x74656462n ^ k1 }
  const rounds = (count: number) => {
    for (let i = 0; i < count; i++) {
      v.a = cut(v.a + v.b)
      v.c = cut(v.c + v.d)
      v.b = rotated(v.b, 5n) ^ v.a
      v.d = rotated(v.d, 8n) ^ v.c
      v.a = rotated(v.a, 16n)
      v.c = cut(v.c + v.b)
      v.a = cut(v.a + v.d)
      v.b = rotated(v.b, 13n) ^ v.c
      v.d = rotated(v.d, 7n) ^ v.a
      v.c = rotated(v.c, 16n)
    }
  }
  // The message, filled up with zeros so that its length, modulo 256, is the last byte of the last word.
  const padded = [...message, ...new Array<number>(3 - (message.length % 4)).fill(0), message.length % 256]
  for (let at = 0; at < padded.length; at += 4) {
    const [b0 = 0, b1 = 0, b2 = 0, b3 = 0] = padded.slice(at, at + 4)
    const m = BigInt(b0) + BigInt(b1) * 256n + BigInt(b2) * 65_536n + BigInt(b3) * 16_777_216n
    v.d ^= m
    rounds(variant.perWord)
    v.a ^= m
  }
  v.c ^= 0xeen
  rounds(variant.perOutput)
  const low = v.b ^ v.d
  v.b ^= 0xddn
  rounds(variant.perOutput)
  return [Number(low), Number(v.b ^ v.d)]
}
