import { deepEqual } from "node:assert/strict"
import { test } from "node:test"
import { lostWrites } from "./lost-writes.ts"
import { operations } from "./timeline.ts"

const cases = [
  { told: ["set a", "set b", "read b"], lost: [], because: "the newest is there" },
  { told: ["set a", "set b", "read a"], lost: [2], because: "an older one is shown" },
  { told: ["set a", "set b", "set c", "read a"], lost: [2, 3], because: "everything after what is shown" },
  { told: ["set a", "read nothing"], lost: [1], because: "the key began without a value" },
  { told: ["set a", "delete", "read nothing"], lost: [], because: "it was deleted" },
  { told: ["set a", "delete?", "read nothing"], lost: [], because: "it may have been deleted" },
  { told: ["set a", "delete", "read a"], lost: [2], because: "an acknowledged delete is a write" },
  { told: ["set a?", "set b", "read a"], lost: [], because: "an unknown write may have come late" },
  { told: ["incr 1", "incr 2", "read 1"], lost: [2], because: "an addition as well" },
  { told: ["set a", "set b?", "read a"], lost: [], because: "nobody acknowledged the second" },
  { told: ["set a", "add b!", "read a"], lost: [], because: "an unmet condition wrote nothing" },
  { told: ["set a", "read x"], lost: [], because: "a value out of nowhere is wrong, but no older state" },
] as const

for (const { told, lost, because } of cases) {
  test(`after ${told.join(", ")}: ${lost.length === 0 ? "nothing" : `#${lost.join(", #")}`} is lost, ${because}`, () => {
    const history = operations(told)
    const readBackFromNs = history.at(-1)?.callNs ?? 0
    deepEqual(
      lostWrites(history, { memory: "strict", readBackFromNs }).map(({ write }) => write.number),
      lost,
    )
  })
}
