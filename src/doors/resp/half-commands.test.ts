import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import { HalfCommands } from "./half-commands.ts"

const limits = { halfCommandMs: 10_000, slowestBytesPerMs: 32, longestLookMs: 1_000 }

/** Looked at every tenth of a second, as by the door, from the time 0 on. */
function stage() {
  const halves = new HalfCommands<{ heldBytes: number }>(limits)
  let nowMs = 0
  return {
    halves,
    pauses: (ms: number) => (nowMs += ms),
    /** Who is named on the way to this time. */
    at: (ms: number) => {
      const named: { heldBytes: number }[] = []
      while (nowMs < ms) {
        nowMs = Math.min(nowMs + 100, ms)
        named.push(...halves.overdue(nowMs))
      }
      return named
    },
  }
}

test("a command that does not end in time is named once; the more of it there is, the more time it has", () => {
  const { at, halves } = stage()
  const [short, long] = [{ heldBytes: 0 }, { heldBytes: 320_000 }]
  halves.begun(short, 5)
  halves.begun(long, 5)
  deepEqual(at(10_005), [])
  deepEqual(at(10_006), [short])
  deepEqual(at(20_005), [])
  deepEqual(at(20_006), [long])
  deepEqual(at(99_999), [])
  equal(halves.isAtRest, true)
})

test("who ends it, or begins another, has time again", () => {
  const { at, halves } = stage()
  const [ended, another] = [{ heldBytes: 0 }, { heldBytes: 0 }]
  for (const holder of [ended, another]) halves.begun(holder, 0)
  halves.ended(ended)
  deepEqual(at(9_000), [])
  halves.begun(another, 9_000)
  deepEqual(at(10_001), [])
  deepEqual(at(19_001), [another])
})

test("while this process does not run nobody is late: whoever had begun has its time again", () => {
  const { at, halves, pauses } = stage()
  const half = { heldBytes: 0 }
  halves.begun(half, 0)
  deepEqual(at(5_000), [])
  pauses(60_000)
  deepEqual(at(75_100), [])
  deepEqual(at(75_101), [half])
})

test("when there was nothing to look at, nobody was away", () => {
  const { at, halves, pauses } = stage()
  pauses(60_000)
  const half = { heldBytes: 0 }
  halves.begun(half, 60_000)
  deepEqual(at(70_000), [])
  deepEqual(at(70_001), [half])
})
