import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { type FaultKind, faultKinds, nextFault, nodeChange, usualFaultKinds } from "./fault-plan.ts"

/** The kinds of the first `length` faults. */
function sequence(kinds: readonly FaultKind[], nodes: number, length: number): FaultKind[] {
  const done: FaultKind[] = []
  let now = nodes
  for (let i = 0; i < length; i++) {
    const kind = nextFault(kinds, done, { atStart: nodes, now })
    if (!kind) break
    now += nodeChange(kind)
    done.push(kind)
  }
  return done
}

test("faults come in the order asked for, and round again", () => {
  deepEqual(sequence(usualFaultKinds, 20, 7), [...usualFaultKinds, "crash", "pause"])
})

test("a small cluster sees every kind too: what would shrink it below three nodes waits for a join", () => {
  deepEqual(sequence(usualFaultKinds, 3, 5), ["pause", "join", "crash", "restart", "pause"])
  deepEqual(new Set(sequence(faultKinds, 3, 18)), new Set(faultKinds))
})

test("all kinds together neither shrink nor grow a cluster for ever", () => {
  let now = 6
  for (const kind of sequence(faultKinds, 6, 500)) {
    now += nodeChange(kind)
    ok(now >= 4 && now <= 12, `${now} nodes`)
  }
  equal(sequence(["join"], 6, 500).length, 6)
})

test("crashes alone stop before too few nodes are left", () => {
  equal(sequence(["crash"], 20, 100).length, 8)
  equal(sequence(["crash"], 3, 100).length, 0)
})
