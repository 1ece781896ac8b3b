import { deepEqual } from "node:assert/strict"
import { test } from "node:test"
import type { Action, Operation, Status } from "../checker/history.ts"
import { lostWrites } from "./lost-writes.ts"

const at = (callNs: number, returnNs: number, status: Status, action: Action): Operation => ({
  process: 0,
  key: "k",
  callNs,
  returnNs,
  status,
  ...action,
})
const set = (callNs: number, returnNs: number, value: string, status: Status = "ok") =>
  at(callNs, returnNs, status, { op: "set", value })

type Case = { because: string; operations: Operation[]; value: string | null; lost: boolean }
const cases: Case[] = [
  { because: "a key that nobody wrote is absent", operations: [], value: null, lost: false },
  { because: "a value out of nowhere is no less wrong than a lost one", operations: [], value: "x", lost: true },
  { because: "the last of two writes stands", operations: [set(1, 2, "a"), set(3, 4, "b")], value: "b", lost: false },
  { because: "the first of two was overwritten", operations: [set(1, 2, "a"), set(3, 4, "b")], value: "a", lost: true },
  {
    because: "writes that overlap may end in either order",
    operations: [set(1, 9, "a"), set(3, 4, "b")],
    value: "a",
    lost: false,
  },
  {
    because: "ends that touch count as overlapping",
    operations: [set(1, 3, "a"), set(3, 4, "b")],
    value: "a",
    lost: false,
  },
  { because: "an acknowledged write is not forgotten", operations: [set(1, 2, "a")], value: null, lost: true },
  {
    because: "an unknown outcome may have taken effect",
    operations: [set(1, 2, "a", "info"), set(3, 4, "b")],
    value: "a",
    lost: false,
  },
  { because: "... and need not have", operations: [set(1, 2, "a"), set(3, 4, "b", "info")], value: "a", lost: false },
  {
    because: "what failed had no effect",
    operations: [set(1, 2, "a"), set(3, 4, "b", "fail")],
    value: "b",
    lost: true,
  },
  {
    because: "a delete leaves a miss",
    operations: [set(1, 2, "a"), at(3, 4, "ok", { op: "delete" })],
    value: null,
    lost: false,
  },
  {
    because: "a delete does not come undone",
    operations: [set(1, 2, "a"), at(3, 4, "ok", { op: "delete" })],
    value: "a",
    lost: true,
  },
  {
    because: "a count stands where it was answered",
    operations: [at(1, 2, "ok", { op: "incr", by: 2, value: "2" }), at(3, 4, "ok", { op: "incr", by: 1, value: "3" })],
    value: "2",
    lost: true,
  },
  {
    because: "a count whose answer was lost leaves some number",
    operations: [
      at(1, 2, "ok", { op: "incr", by: 2, value: "2" }),
      at(3, 4, "info", { op: "incr", by: 1, value: null }),
    ],
    value: "3",
    lost: false,
  },
  {
    because: "... but does not make the key vanish",
    operations: [
      at(1, 2, "ok", { op: "incr", by: 2, value: "2" }),
      at(3, 4, "info", { op: "incr", by: 1, value: null }),
    ],
    value: null,
    lost: true,
  },
]

for (const { because, operations, value, lost } of cases)
  test(`lostWrites: ${because}`, () => {
    deepEqual(
      lostWrites(operations, [{ key: "k", value }]).map(write => write.key),
      lost ? ["k"] : [],
    )
  })
