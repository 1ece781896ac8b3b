/** What people are told while a cluster stops, and whether it went well. */
import { deepEqual, equal, match } from "node:assert/strict"
import { test } from "node:test"
import type { DiskReport, StatusReport } from "../protocol/message.ts"
import { Stopping } from "./stopping.ts"

type Heard = Pick<StatusReport, "id" | "phase" | "disk">

const two = [
  { id: "a", name: "n1" },
  { id: "b", name: "n2" },
]
const stopped = (id: string, disk: DiskReport): Heard => ({ id, phase: "stopped", disk })

test("a node that was seen to have written, and is gone, has ended well", () => {
  const stopping = new Stopping(two)
  stopping.said("a", stopped("a", { kind: "writing", entries: 7 }))
  stopping.said("b", stopped("b", { kind: "none" }))
  equal(stopping.progress, "stopping: 0 of 2 have ended; n1 writes (7 entries so far), n2 keeps nothing")
  stopping.said("a", stopped("a", { kind: "written", entries: 9, bytes: 2_048 }))
  stopping.isGone("a")
  stopping.isGone("b")
  equal(stopping.isOver, true)
  deepEqual(stopping.problems, [])
  deepEqual(stopping.written, { nodes: 1, entries: 9, bytes: 2_048 })
})

test("one that is there and silent is waited for; one that is not there may be dead, or not know of the stop", () => {
  const stopping = new Stopping(two)
  stopping.said("b", stopped("b", { kind: "none" }))
  stopping.isGone("b")
  equal(stopping.isOver, false)
  stopping.isGone("a")
  equal(stopping.isOver, true)
  match(stopping.problems[0] ?? "", /^n1 does not answer: it is dead, or/)
  stopping.said("a", { id: "a", phase: "member", disk: { kind: "idle" } })
  equal(stopping.isOver, false)
})

test("one that a supervisor starts again at once has ended", () => {
  const stopping = new Stopping(two)
  stopping.said("a", stopped("a", { kind: "written", entries: 1, bytes: 1 }))
  stopping.said("a", { id: "a", phase: "resuming", disk: { kind: "idle" } })
  stopping.said("b", { id: "b", phase: "resuming", disk: { kind: "idle" } })
  equal(stopping.isOver, true)
  deepEqual(stopping.problems, [])
})

for (const { disk, ended, problem } of [
  {
    disk: { kind: "failed", detail: "the disk is full" },
    ended: true,
    problem: /could not write down .*the disk is full/,
  },
  {
    disk: { kind: "failed", detail: "the disk is full" },
    ended: false,
    problem: /could not write down .*the disk is full/,
  },
  { disk: { kind: "writing", entries: 3 }, ended: true, problem: /did not say whether all was written/ },
  { disk: { kind: "writing", entries: 3 }, ended: false, problem: /has not ended yet: writes/ },
] as const)
  test(`${disk.kind}, ${ended ? "and gone" : "and still there"}: ${problem.source}`, () => {
    const stopping = new Stopping(two.slice(0, 1))
    stopping.said("a", stopped("a", disk))
    if (ended) stopping.isGone("a")
    match(stopping.problems[0] ?? "", problem)
  })
