import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import type { Action } from "../checker/history.ts"
import { type Ending, Recorder } from "./recorder.ts"

const ms = 1e6

function recorder(...rows: { fromMs: number; toMs: number; action: Action; ending: Ending }[]): Recorder {
  const out = new Recorder()
  for (const { fromMs, toMs, action, ending } of rows)
    out.record({ process: 0, key: "k", action, callNs: fromMs * ms, returnNs: toMs * ms, ending })
  return out
}

const get: Action = { op: "get", value: null }
const add: Action = { op: "add", value: "a" }
const set: Action = { op: "set", value: "a" }
const done: Ending = { kind: "done" }
const refused: Ending = { kind: "refused", code: "busy" }
const unknown: Ending = { kind: "unknown", code: "timeout" }

test("figures are those of the operations that took place", () => {
  const all = recorder(
    ...Array.from({ length: 100 }, (_, i) => ({ fromMs: 0, toMs: i + 1, action: get, ending: done })),
    { fromMs: 0, toMs: 500, action: set, ending: refused },
  )
  deepEqual(all.figures("get"), { count: 100, p50Ms: 50, p99Ms: 99, maxMs: 100, errors: 0 })
  deepEqual(all.figures("set"), { count: 1, p50Ms: 500, p99Ms: 500, maxMs: 500, errors: 1 })
  equal(all.figures("all").count, 101)
  deepEqual(all.figures("cas"), { count: 0, p50Ms: 0, p99Ms: 0, maxMs: 0, errors: 0 })
  deepEqual(all.errorCodes(), { busy: 1 })
})

test("a window holds what returned since the one before", () => {
  const all = recorder({ fromMs: 0, toMs: 1, action: get, ending: done })
  equal(all.takeWindow().count, 1)
  equal(all.takeWindow().count, 0)
})

test("a fault is charged with the operations that overlap it, also those that end after it", () => {
  const all = recorder(
    { fromMs: 0, toMs: 9, action: get, ending: refused },
    { fromMs: 15, toMs: 40, action: set, ending: unknown },
    { fromMs: 16, toMs: 17, action: set, ending: done },
    { fromMs: 31, toMs: 99, action: get, ending: refused },
  )
  deepEqual(all.impact({ fromNs: 10 * ms, toNs: 30 * ms }), { failedOperations: 1, longestWaitMs: 25 })
})

const statuses = [
  { action: set, ending: done, status: "ok" },
  { action: set, ending: refused, status: "fail" },
  { action: set, ending: unknown, status: "info" },
  { action: add, ending: { kind: "unmet" }, status: "fail" },
  { action: add, ending: unknown, status: "info" },
  { action: add, ending: refused, status: "left out" },
  { action: get, ending: unknown, status: "left out" },
] as const

for (const { action, ending, status } of statuses)
  test(`history: a ${action.op} that ended ${ending.kind} is ${status}`, () => {
    equal(recorder({ fromMs: 0, toMs: 1, action, ending }).history()[0]?.status ?? "left out", status)
  })
