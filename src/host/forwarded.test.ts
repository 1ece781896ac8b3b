import { equal } from "node:assert/strict"
import { test } from "node:test"
import { setImmediate } from "node:timers/promises"
import { hostBounds } from "./bounds.ts"
import { type Forward, Forwarded } from "./forwarded.ts"
import { Turns } from "./turns.ts"

/** A node that takes 10 ms for each: what comes after the first in a turn waits. */
function staged() {
  const clock = { nowMs: 0 }
  const nowMs = () => clock.nowMs
  const turns = new Turns({ turnMs: 10, shareMs: 2, nowMs, guarded: step => step() })
  const counts = { taken: 0, refused: 0 }
  const forwarded = new Forwarded({
    ...{ turns, nowMs, bounds: hostBounds },
    take: () => {
      counts.taken += 1
      clock.nowMs += 10
    },
    refuse: () => {
      counts.refused += 1
    },
  })
  const forward = (n: number, value: Uint8Array): Forward => ({
    kind: "forward",
    n,
    request: {
      ...{ clientId: "ab".repeat(8), n, ackedBelow: 1, firstEpoch: 0, deadlineMs: 1_000, key: Buffer.from("key") },
      operation: { op: "set", value, flags: 0, ttlMs: null, condition: null },
    },
  })
  return { counts, forward, forwarded }
}

test("of what other nodes forward so many bytes wait, and more are refused", async () => {
  const { counts, forward, forwarded } = staged()
  const value = new Uint8Array(8 * 2 ** 20)
  for (let n = 1; n <= 20; n++) forwarded.receive("peer", forward(n, value))
  equal(counts.taken, 1)
  equal(counts.refused, 12)
  for (let i = 0; i < 20; i++) await setImmediate()
  equal(counts.taken, 8)
  for (let n = 1; n <= 20; n++) forwarded.receive("peer", forward(n, value))
  equal(counts.refused, 24)
  forwarded.close()
})

test("of what other nodes forward so many wait, and more are refused", () => {
  const { counts, forward, forwarded } = staged()
  for (let n = 1; n <= hostBounds.maxForwarded + 11; n++) forwarded.receive("peer", forward(n, Buffer.from("value")))
  equal(counts.taken, 1)
  equal(counts.refused, 10)
  forwarded.close()
})
