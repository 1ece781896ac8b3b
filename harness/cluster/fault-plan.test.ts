import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import { type FaultKind, faultKinds, nextFault, nodeChange } from "./fault-plan.ts"

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
  deepEqual(sequence(faultKinds, 20, 7), [...faultKinds, "crash", "pause"])
})

test("a small cluster sees every kind too: what would shrink it below three nodes waits for a join", () => {
  deepEqual(sequence(faultKinds, 3, 5), ["pause", "join", "crash", "restart", "pause"])
  deepEqual(new Set(sequence(faultKinds, 3, 10)), new Set(faultKinds))
})

test("crashes alone stop before too few nodes are left", () => {
  equal(sequence(["crash"], 20, 100).length, 8)
  equal(sequence(["crash"], 3, 100).length, 0)
})
