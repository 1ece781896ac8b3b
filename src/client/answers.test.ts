import { equal } from "node:assert/strict"
import { test } from "node:test"
import { lifeLeftMs } from "./answers.ts"

test("what is left to live is whole, and never more than was asked for", () => {
  // Set for 60 s at 0.3 ms past the millisecond, and asked for in the same step.
  equal(lifeLeftMs(60_000.7), 60_000)
  equal(lifeLeftMs(null), Number.POSITIVE_INFINITY)
})
