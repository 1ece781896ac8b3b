import { deepEqual } from "node:assert/strict"
import { test } from "node:test"
import type { CallOutcome } from "../../src/client/call.ts"
import { answerOf } from "./access.ts"
import type { Intent } from "./operations.ts"
import type { Answer } from "./workload.ts"

const get: Intent = { key: "k", op: "get" }
const add: Intent = { key: "k", op: "add", value: "v" }
const cas: Intent = { key: "k", op: "cas", expected: "u", value: "v" }
const deletion: Intent = { key: "k", op: "delete" }
const incr: Intent = { key: "k", op: "incr", by: 1 }
const done = { kind: "done" } as const
const unmet = { kind: "unmet" } as const

const cases: { intent: Intent; outcome: CallOutcome; answer: Answer }[] = [
  {
    intent: get,
    outcome: { kind: "value", value: new TextEncoder().encode("é"), flags: 0, version: 1 },
    answer: { ending: done, value: "é" },
  },
  { intent: get, outcome: { kind: "missing" }, answer: { ending: done, value: null } },
  { intent: add, outcome: { kind: "stored", version: 1 }, answer: { ending: done, value: null } },
  { intent: add, outcome: { kind: "unmet", version: 1 }, answer: { ending: unmet, value: null } },
  { intent: cas, outcome: { kind: "missing" }, answer: { ending: unmet, value: null } },
  { intent: deletion, outcome: { kind: "deleted" }, answer: { ending: done, value: null, found: true } },
  { intent: deletion, outcome: { kind: "missing" }, answer: { ending: done, value: null, found: false } },
  {
    intent: incr,
    outcome: { kind: "counted", value: -3, version: 1, ttlMs: null },
    answer: { ending: done, value: "-3" },
  },
  {
    intent: incr,
    outcome: { kind: "failed", code: "timeout", mayHaveHappened: "unknown" },
    answer: { ending: { kind: "unknown", code: "timeout" }, value: null },
  },
  {
    intent: incr,
    outcome: { kind: "failed", code: "busy", mayHaveHappened: "no" },
    answer: { ending: { kind: "refused", code: "busy" }, value: null },
  },
  // Only a bug gives such an answer; it must not pass for one.
  {
    intent: get,
    outcome: { kind: "deleted" },
    answer: { ending: { kind: "unknown", code: 'answered "deleted"' }, value: null },
  },
]

for (const { intent, outcome, answer } of cases)
  test(`${intent.op} answered ${outcome.kind}${"code" in outcome ? ` (${outcome.code})` : ""}`, () => {
    deepEqual(answerOf(intent, outcome), answer)
  })
