import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import { leaseFlag } from "../../protocol/limits.ts"
import type { Condition, GroupStep, Operation, Result } from "../../protocol/message.ts"
import type { Entry } from "../../store/store.ts"
import { evaluate, evaluateGroup, read, type WriteOperation } from "./operations.ts"

const bytes = (text: string) => new TextEncoder().encode(text)
const entryOf = (text: string, expiresAtMs = Number.POSITIVE_INFINITY): Entry => ({
  value: bytes(text),
  flags: 1,
  version: 4,
  expiresAtMs,
})
const set = (condition: Extract<Operation, { op: "set" }>["condition"]): WriteOperation => ({
  op: "set",
  value: bytes("new"),
  flags: 0,
  ttlMs: null,
  condition,
})
const stored: Result = { kind: "stored", version: 9 }
const missing: Result = { kind: "missing" }
const unmet: Result = { kind: "unmet", version: 4 }

const writes: { name: string; entry?: Entry; operation: WriteOperation; result: Result; effect: string }[] = [
  { name: "set", operation: set(null), result: stored, effect: "put" },
  { name: "set if absent, absent", operation: set({ if: "absent" }), result: stored, effect: "put" },
  {
    name: "set if absent, present",
    entry: entryOf("x"),
    operation: set({ if: "absent" }),
    result: unmet,
    effect: "none",
  },
  { name: "set if present, absent", operation: set({ if: "present" }), result: missing, effect: "none" },
  { name: "set if present", entry: entryOf("x"), operation: set({ if: "present" }), result: stored, effect: "put" },
  {
    name: "set if version",
    entry: entryOf("x"),
    operation: set({ if: "version", version: 4 }),
    result: stored,
    effect: "put",
  },
  {
    name: "set if other version",
    entry: entryOf("x"),
    operation: set({ if: "version", version: 3 }),
    result: unmet,
    effect: "none",
  },
  {
    name: "set if value",
    entry: entryOf("x"),
    operation: set({ if: "value", value: bytes("x") }),
    result: stored,
    effect: "put",
  },
  {
    name: "set if other value",
    entry: entryOf("x"),
    operation: set({ if: "value", value: bytes("xy") }),
    result: unmet,
    effect: "none",
  },
  {
    name: "delete",
    entry: entryOf("x"),
    operation: { op: "delete", condition: null },
    result: { kind: "deleted" },
    effect: "delete",
  },
  { name: "delete a missing key", operation: { op: "delete", condition: null }, result: missing, effect: "none" },
  {
    name: "touch",
    entry: entryOf("x"),
    operation: { op: "touch", ttlMs: 5, condition: null },
    result: { kind: "touched", version: 9 },
    effect: "put",
  },
  {
    name: "touch a missing key",
    operation: { op: "touch", ttlMs: 5, condition: null },
    result: missing,
    effect: "none",
  },
  {
    name: "touch if the version is another",
    entry: entryOf("x"),
    operation: { op: "touch", ttlMs: 5, condition: { if: "version", version: 3 } },
    result: unmet,
    effect: "none",
  },
  {
    name: "incr a missing key",
    operation: { op: "incr", by: 3, ttlMs: null },
    result: { kind: "counted", value: 3, version: 9, ttlMs: null },
    effect: "put",
  },
  {
    name: "incr",
    entry: entryOf("-41"),
    operation: { op: "incr", by: 83, ttlMs: null },
    result: { kind: "counted", value: 42, version: 9, ttlMs: null },
    effect: "put",
  },
  {
    name: "incr text",
    entry: entryOf("4x"),
    operation: { op: "incr", by: 1, ttlMs: null },
    result: { kind: "not-a-number" },
    effect: "none",
  },
  {
    name: "incr what is not written as a number is",
    entry: entryOf("007"),
    operation: { op: "incr", by: 1, ttlMs: null },
    result: { kind: "not-a-number" },
    effect: "none",
  },
  {
    name: "incr beyond what a number holds exactly",
    entry: entryOf(String(Number.MAX_SAFE_INTEGER)),
    operation: { op: "incr", by: 1, ttlMs: null },
    result: { kind: "not-a-number" },
    effect: "none",
  },
]

const lease: Entry = { ...entryOf(""), flags: leaseFlag }
const takeLease = (condition: Condition): WriteOperation => ({
  ...{ op: "set", value: bytes(""), flags: leaseFlag, ttlMs: 5, condition },
})
writes.push(
  { name: "take a lease", operation: takeLease({ if: "absent" }), result: stored, effect: "put" },
  {
    name: "take a lease on a value",
    entry: entryOf("x"),
    operation: takeLease({ if: "absent" }),
    result: unmet,
    effect: "none",
  },
  {
    name: "take a lease that is taken",
    entry: lease,
    operation: takeLease({ if: "absent" }),
    result: unmet,
    effect: "none",
  },
  {
    name: "take a lease instead of a version",
    entry: entryOf("x"),
    operation: takeLease({ if: "version", version: 4 }),
    result: stored,
    effect: "put",
  },
  {
    name: "set under a lease",
    entry: lease,
    operation: set({ if: "version", version: 4 }),
    result: stored,
    effect: "put",
  },
  {
    name: "set under a lease that was",
    entry: lease,
    operation: set({ if: "version", version: 3 }),
    result: missing,
    effect: "none",
  },
  { name: "set over a lease", entry: lease, operation: set(null), result: stored, effect: "put" },
  { name: "set if absent over a lease", entry: lease, operation: set({ if: "absent" }), result: stored, effect: "put" },
  {
    name: "set if present over a lease",
    entry: lease,
    operation: set({ if: "present" }),
    result: missing,
    effect: "none",
  },
  {
    name: "set if value over a lease",
    entry: lease,
    operation: set({ if: "value", value: bytes("") }),
    result: missing,
    effect: "none",
  },
  {
    name: "delete ends a lease",
    entry: lease,
    operation: { op: "delete", condition: null },
    result: missing,
    effect: "delete",
  },
  {
    name: "give a lease back",
    entry: lease,
    operation: { op: "delete", condition: { if: "version", version: 4 } },
    result: { kind: "deleted" },
    effect: "delete",
  },
  {
    name: "give back a lease that was",
    entry: lease,
    operation: { op: "delete", condition: { if: "version", version: 3 } },
    result: missing,
    effect: "none",
  },
  {
    name: "touch a lease",
    entry: lease,
    operation: { op: "touch", ttlMs: 5, condition: null },
    result: missing,
    effect: "none",
  },
  {
    name: "incr over a lease",
    entry: lease,
    operation: { op: "incr", by: 3, ttlMs: null },
    result: { kind: "counted", value: 3, version: 9, ttlMs: null },
    effect: "put",
  },
)

for (const { name, entry, operation, result, effect } of writes)
  test(`${name}: ${result.kind}`, () => {
    const evaluation = evaluate({ entry, operation, seq: 9, nowMs: 100 })
    deepEqual(evaluation.result, result)
    equal(evaluation.effect.kind, effect)
  })

test("what was written survives a change of the buffer that it came in", () => {
  const value = bytes("abc")
  const { effect } = evaluate({
    entry: undefined,
    operation: { ...set(null), value } as WriteOperation,
    seq: 1,
    nowMs: 0,
  })
  value[0] = 0
  deepEqual(effect.kind === "put" ? effect.value : undefined, bytes("abc"))
})

test("incr keeps what is left of the time to live, and gives one to what it makes", () => {
  for (const [entry, left] of [
    [entryOf("1", 130), 30],
    [entryOf("1"), null],
    [undefined, 500],
  ] as const) {
    const { effect } = evaluate({ entry, operation: { op: "incr", by: 1, ttlMs: 500 }, seq: 9, nowMs: 100 })
    equal(effect.kind === "put" ? effect.ttlLeftMs : undefined, left)
  }
})

test("a set that keeps the time to live takes over what is left of it, and a new entry lives for ever", () => {
  const operation: WriteOperation = { op: "set", value: bytes("y"), flags: 0, ttlMs: "keep", condition: null }
  for (const [entry, left] of [
    [entryOf("x", 130), 30],
    [entryOf("x"), null],
    [undefined, null],
  ] as const) {
    const { effect } = evaluate({ entry, operation, seq: 9, nowMs: 100 })
    equal(effect.kind === "put" ? effect.ttlLeftMs : undefined, left)
  }
})

test("a lease is read as nothing", () => {
  for (const op of ["get", "ttl"] as const) deepEqual(read(lease, { op }, 100), missing)
})

test("reading tells value, flags, version, and what is left of the time to live", () => {
  deepEqual(read(undefined, { op: "get" }, 0), missing)
  deepEqual(read(entryOf("x"), { op: "get" }, 0), { kind: "value", value: bytes("x"), flags: 1, version: 4 })
  deepEqual(read(entryOf("x"), { op: "ttl" }, 0), { kind: "ttl", ttlMs: null, version: 4 })
  deepEqual(read(entryOf("x", 130), { op: "ttl" }, 100), { kind: "ttl", ttlMs: 30, version: 4 })
})

const rules = { missIsWritten: true, groupsAllOrNothing: true }
const step = (key: string, operation: GroupStep["operation"]): GroupStep => ({ key: bytes(key), operation })
const group = (steps: readonly GroupStep[], entries: readonly (Entry | undefined)[]) => {
  const { writes, unmetAt } = evaluateGroup({ steps, entries, nowMs: 0, rules })
  return {
    unmetAt,
    writes: writes.flatMap(one => (one ? `${new TextDecoder().decode(one.key)} ${one.effect.kind}` : [])),
  }
}
const setAny = { op: "set", value: bytes("new"), flags: 0, ttlMs: null, condition: null } as const

test("a group writes what it says when all that it expects is there; a check leaves its key alone", () => {
  const steps = [
    step("a", { op: "check", condition: { if: "version", version: 4 } }),
    step("b", { ...setAny, condition: { if: "value", value: bytes("x") } }),
    step("c", { op: "delete", condition: null }),
    step("d", { op: "touch", ttlMs: 5, condition: null }),
  ]
  const found = group(steps, [entryOf("x"), entryOf("x"), entryOf("x"), entryOf("x")])
  deepEqual(found, { unmetAt: undefined, writes: ["b put", "c delete", "d put"] })
})

test("a group of which one condition is not met names the first such step, and does nothing", () => {
  const version = { if: "version", version: 3 } as const
  const steps = [
    step("a", setAny),
    step("b", { op: "check", condition: version }),
    step("c", { ...setAny, condition: version }),
  ]
  const found = group(steps, [entryOf("x"), entryOf("x"), entryOf("x")])
  deepEqual(found, { unmetAt: 1, writes: [] })
  // A touch needs something to touch; a delete may find nothing.
  deepEqual(group([step("a", { op: "touch", ttlMs: 5, condition: null })], [undefined]).unmetAt, 0)
  deepEqual(group([step("a", { op: "delete", condition: null })], [undefined]).unmetAt, undefined)
})

test("what a group finds missing is missing at every copy, met or not", () => {
  const steps = [
    step("a", { op: "check", condition: { if: "absent" } }),
    step("b", { op: "check", condition: { if: "present" } }),
  ]
  deepEqual(group(steps, [undefined, undefined]), {
    unmetAt: 1,
    writes: ["a delete", "b delete"],
  })
})

test("a lease is nothing to a group, but for who names its version", () => {
  const lease = { ...entryOf(""), flags: leaseFlag }
  deepEqual(group([step("a", { op: "check", condition: { if: "absent" } })], [lease]).unmetAt, undefined)
  deepEqual(group([step("a", { op: "check", condition: { if: "present" } })], [lease]).unmetAt, 0)
  deepEqual(group([step("a", { op: "check", condition: { if: "version", version: 4 } })], [lease]).unmetAt, undefined)
})
