import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import { Repeats } from "./repeats.ts"

test("what happens again soon is quiet, and counted when it is said again", () => {
  const repeats = new Repeats({ quietMs: 1_000, maxKeys: 10 })
  deepEqual(
    [0, 500, 999, 1_000, 1_001].map(nowMs => repeats.met("a", nowMs)),
    [0, "quiet", "quiet", 2, "quiet"],
  )
})

test("different things do not silence one another", () => {
  const repeats = new Repeats({ quietMs: 1_000, maxKeys: 10 })
  deepEqual([repeats.met("a", 0), repeats.met("b", 0)], [0, 0])
})

test("the memory of it is bounded: the oldest is forgotten, and at worst said again", () => {
  const repeats = new Repeats({ quietMs: 1_000, maxKeys: 2 })
  for (const key of ["a", "b", "c"]) repeats.met(key, 0)
  equal(repeats.met("c", 1), "quiet")
  equal(repeats.met("a", 1), 0)
})
