import { equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { scaleLines, scaleRun } from "./scale.ts"

test("a hundred nodes that join within a second hold one view soon after, and miss ten of them soon", () => {
  let virtual = 0
  const report = scaleRun(100, 256, { nowMs: () => ++virtual, residentBytes: () => 0 })
  ok(report.oneViewMs < 2_000, `one view after ${report.oneViewMs} ms`)
  ok(report.views < 40, `${report.views} views`)
  equal(report.ended, 10)
  ok(report.killedRemovedMs < 500, `killed ones gone after ${report.killedRemovedMs} ms`)
  // A member is silent for 8/3 of a beat of 2 ms for each of a hundred members, then a view is decided.
  ok(report.darkRemovedMs < 1_200, `dark ones gone after ${report.darkRemovedMs} ms`)
  ok(report.restMessages.other < 60)
  equal(scaleLines([report]).length, 12)
})
