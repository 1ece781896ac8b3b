import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import { Dedup } from "./dedup.ts"

const stored = { kind: "stored", version: 1 } as const

test("an operation is found by its number until its client says that it is finished", () => {
  const dedup = new Dedup()
  dedup.record("c", 5, stored, 9, 0)
  deepEqual(dedup.find("c", 5), { result: stored, seq: 9 })
  equal(dedup.find("c", 6), undefined)
  dedup.finished("c", 6)
  equal(dedup.find("c", 5), "below")
  equal(dedup.find("c", 6), undefined)
})

test("an operation that is undone was never recorded", () => {
  const dedup = new Dedup()
  dedup.record("c", 5, stored, 9, 0)
  dedup.unrecord("c", 5)
  equal(dedup.find("c", 5), undefined)
  equal(dedup.size, 0)
})

test("the client that was used longest ago is the one to forget, and forgetting can be undone", () => {
  const dedup = new Dedup()
  dedup.record("old", 1, stored, 1, 0)
  dedup.record("new", 1, stored, 2, 50)
  dedup.record("old", 2, stored, 3, 100)
  equal(dedup.idleSince(60, 3), "new")
  equal(dedup.idleSince(50, 3), undefined)
  const forgotten = dedup.forget("new")
  equal(dedup.find("new", 1), undefined)
  if (forgotten !== undefined) dedup.restore("new", forgotten)
  deepEqual(dedup.find("new", 1), { result: stored, seq: 2 })
})

test("records arrive elsewhere with their results, their bounds and their age", () => {
  const from = new Dedup()
  from.record("c", 7, stored, 3, 1_000)
  from.finished("c", 6)
  const to = new Dedup()
  to.import(from.export(1_500), 40, 90_000)
  deepEqual(to.find("c", 7), { result: stored, seq: 40 })
  equal(to.find("c", 5), "below")
  equal(to.idleSince(89_501, 40), "c")
  equal(to.idleSince(89_500, 40), undefined)
})

test("a client is not idle while something of it is uncommitted, and nobody after it is looked at", () => {
  const dedup = new Dedup()
  dedup.record("open", 1, stored, 1, 0)
  dedup.record("open", 2, stored, 3, 0)
  dedup.record("done", 1, stored, 2, 10)
  equal(dedup.idleSince(1_000, 2), undefined)
  equal(dedup.idleSince(1_000, 3), "open")
  dedup.forget("open")
  equal(dedup.idleSince(1_000, 2), "done")
})
