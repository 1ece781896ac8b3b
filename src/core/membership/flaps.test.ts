import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import { Flaps } from "./flaps.ts"

const options = { flapWaitMs: 10_000, flapWaitMaxMs: 300_000, flapWindowMs: 300_000 }
const id = "00000000000000aa"

test("the first two removals are forgiven; after the third the wait grows, up to a most", () => {
  const flaps = new Flaps(options, { flapsWait: true })
  let nowMs = 0
  const waits = Array.from({ length: 10 }, () => {
    flaps.removed(id, nowMs)
    const waitMs = flaps.waitMs(id, nowMs)
    nowMs += waitMs + 1_000
    equal(flaps.waitMs(id, nowMs), 0)
    return waitMs / 1_000
  })
  deepEqual(waits, [0, 0, 10, 20, 40, 80, 160, 300, 300, 300])
})

test("who stays for five minutes begins anew, and others are not concerned", () => {
  const flaps = new Flaps(options, { flapsWait: true })
  for (let i = 0; i < 3; i++) flaps.removed(id, 0)
  equal(flaps.waitMs(id, 4_000), 6_000)
  equal(flaps.waitMs("00000000000000bb", 4_000), 0)
  flaps.removed(id, 310_000)
  equal(flaps.waitMs(id, 310_000), 0)
  flaps.tidy(310_000)
  flaps.removed(id, 311_000)
  flaps.removed(id, 312_000)
  equal(flaps.waitMs(id, 312_000), 10_000)
})
