import { equal, ok } from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { Prng } from "../../../src/base/prng.ts"
import { type Distribution, keyPicker } from "./distribution.ts"

function shares(distribution: Distribution, count: number, draws: number): number[] {
  const pick = keyPicker(distribution, count, new Prng(7))
  const seen = new Array<number>(count).fill(0)
  for (let i = 0; i < draws; i++) {
    const index = pick()
    seen[index] = (seen[index] ?? 0) + 1
  }
  return seen.map(times => times / draws)
}

for (const exponent of [0.5, 0.99, 1, 1.2, 2]) {
  test(`zipf ${exponent}: each key's share is what the definition says, within what chance allows`, () => {
    const draws = 200_000
    const weights = Array.from({ length: 50 }, (_, i) => (i + 1) ** -exponent)
    const sum = weights.reduce((a, b) => a + b)
    for (const [index, share] of shares({ kind: "zipf", exponent }, 50, draws).entries()) {
      const expected = (weights[index] ?? 0) / sum
      const fiveDeviations = 5 * Math.sqrt((expected * (1 - expected)) / draws)
      ok(Math.abs(share - expected) <= fiveDeviations, `key ${index}: ${share}, not ${expected}`)
    }
  })
}

test("uniform: all alike", () => {
  for (const share of shares({ kind: "uniform" }, 20, 100_000)) ok(Math.abs(share - 0.05) < 0.005)
})

test("an index is always one of the keys, however many there are and however steep it is", () => {
  const distribution = fc.oneof(
    fc.constant({ kind: "uniform" } as const),
    fc.record({ kind: fc.constant("zipf" as const), exponent: fc.double({ min: 0.01, max: 5, noNaN: true }) }),
  )
  fc.assert(
    fc.property(distribution, fc.integer({ min: 1, max: 10_000_000 }), fc.integer(), (distribution, count, seed) => {
      const pick = keyPicker(distribution, count, new Prng(seed))
      for (let i = 0; i < 100; i++) {
        const index = pick()
        equal(Number.isInteger(index), true)
        ok(index >= 0 && index < count)
      }
    }),
  )
})
