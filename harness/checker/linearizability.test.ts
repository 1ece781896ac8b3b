import { deepEqual, equal, match, ok } from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { Prng } from "../../src/base/prng.ts"
import { isLinearizableByBruteForce } from "./brute-force.ts"
import type { Operation } from "./history.ts"
import { checkLinearizability } from "./linearizability.ts"
import type { Memory } from "./model.ts"
import type { Workload } from "./random-history.ts"
import { rightHistory, spoiled } from "./random-history.ts"

const small: Workload = {
  operations: 7,
  processes: 3,
  keys: 1,
  mix: ["get", "get", "set", "add", "delete", "cas", "incr"],
  values: ["0", "1", "x"],
  unknown: 0.2,
  longestNs: 8,
}

const mixes: readonly Workload["mix"][] = [
  small.mix,
  ["get", "set"],
  ["get", "set", "delete"],
  ["get", "incr"],
  ["get", "incr", "set", "delete"],
  ["get", "add", "delete"],
  ["get", "set", "cas"],
  ["add", "cas", "incr", "delete"],
]

const anyWorkload = fc.record({
  seed: fc.nat(),
  operations: fc.integer({ min: 2, max: 7 }),
  processes: fc.integer({ min: 1, max: 6 }),
  mix: fc.constantFrom(...mixes),
  values: fc.constantFrom<Workload["values"][]>("unique", ["0", "1", "x"], ["1", "01"], ["x"]),
  unknown: fc.constantFrom(0, 0.1, 0.5),
  longestNs: fc.constantFrom(0, 3, 20),
})

for (const memory of ["strict", "forgetful"] as const satisfies Memory[]) {
  test(`agrees with brute force on small histories, right and spoiled (${memory})`, () => {
    const seen = { consistent: 0, inconsistent: 0, undecided: 0 }
    fc.assert(
      fc.property(anyWorkload, fc.integer({ min: 0, max: 3 }), ({ seed, ...workload }, lies) => {
        const prng = new Prng(seed)
        let history = rightHistory(prng, { ...small, ...workload })
        for (let lie = 0; lie < lies; lie++) history = spoiled(prng, history)
        const { verdict } = checkLinearizability(history, { memory })
        seen[verdict]++
        equal(verdict, isLinearizableByBruteForce(history, memory) ? "consistent" : "inconsistent")
      }),
      { numRuns: 6_000 },
    )
    // The comparison says something only if both answers occur often.
    ok(seen.consistent > 500 && seen.inconsistent > 300, JSON.stringify(seen))
  })
}

test("accepts what an atomic register did, however many clients used it at once", () => {
  fc.assert(
    fc.property(fc.nat(), fc.constantFrom(...mixes), fc.constantFrom(2, 10, 30), (seed, mix, processes) => {
      const values = seed % 2 === 0 ? ("unique" as const) : ["0", "1", "2", "x"]
      const workload: Workload = { operations: 400, processes, keys: 1, mix, values, unknown: 0.05, longestNs: 1_000 }
      equal(checkLinearizability(rightHistory(new Prng(seed), workload)).verdict, "consistent")
    }),
    { numRuns: 100 },
  )
})
