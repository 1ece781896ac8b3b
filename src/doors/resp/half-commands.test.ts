import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import { HalfCommands } from "./half-commands.ts"

const limits = { halfCommandMs: 10_000, slowestBytesPerMs: 32 }

test("a command that does not end in time is named once; the more of it there is, the more time it has", () => {
  const halves = new HalfCommands<{ heldBytes: number }>(limits)
  const [short, long] = [{ heldBytes: 0 }, { heldBytes: 320_000 }]
  halves.begun(short, 5)
  halves.begun(long, 5)
  deepEqual(halves.overdue(10_005), [])
  deepEqual(halves.overdue(10_006), [short])
  deepEqual(halves.overdue(20_005), [])
  deepEqual(halves.overdue(20_006), [long])
  deepEqual(halves.overdue(99_999), [])
  equal(halves.isAtRest, true)
})

test("who ends it, or begins another, has time again", () => {
  const halves = new HalfCommands<{ heldBytes: number }>(limits)
  const [ended, another] = [{ heldBytes: 0 }, { heldBytes: 0 }]
  for (const holder of [ended, another]) halves.begun(holder, 0)
  halves.ended(ended)
  halves.begun(another, 9_000)
  deepEqual(halves.overdue(10_001), [])
  deepEqual(halves.overdue(19_001), [another])
})
