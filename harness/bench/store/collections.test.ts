import { equal } from "node:assert/strict"
import { test } from "node:test"
import { type Collection, longestCollectionMs } from "./collections.ts"

const turns = { endedAtMs: Float64Array.of(10, 60, 70), processCpuMs: Float64Array.of(9, 12, 9) }

const cases: readonly { collections: readonly Collection[]; ms: number; because: string }[] = [
  { collections: [], ms: 0, because: "there was none" },
  { collections: [{ beganAtMs: 2, ms: 5 }], ms: 5, because: "the clock says so" },
  { collections: [{ beganAtMs: 12, ms: 40 }], ms: 12, because: "no thread worked for longer in that turn" },
  {
    collections: [
      { beganAtMs: 61, ms: 8 },
      { beganAtMs: 3, ms: 6 },
    ],
    ms: 8,
    because: "it is the longest, in whatever order",
  },
  { collections: [{ beganAtMs: 71, ms: 30 }], ms: 30, because: "nothing is known of a turn that has not ended" },
]
for (const { collections, ms, because } of cases)
  test(`${JSON.stringify(collections)}: ${ms} ms, because ${because}`, () =>
    equal(longestCollectionMs(collections, turns), ms))
