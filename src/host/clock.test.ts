/** Sleep of the machine and pauses of the process are noticed; a wall clock that somebody sets is not mistaken for them. */
import { equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { bootClock, MachineSleepWatch, PauseWatch } from "./clock.ts"

/** Three clocks that a test moves. */
function clocks() {
  const ms = { now: 1_000, boot: 501_000, wall: 9_000_000 }
  const watch = new MachineSleepWatch({ bootMs: () => ms.boot, wallMs: () => ms.wall, nowMs: () => ms.now })
  const pass = (span: number) => {
    ms.now += span
    ms.boot += span
    ms.wall += span
  }
  return { ms, watch, pass }
}

test("time that passes on all clocks is no sleep", () => {
  const { pass, watch } = clocks()
  for (let i = 0; i < 500; i++) {
    pass(20)
    equal(watch.sleptMs(), 0)
  }
})

test("a machine that slept is noticed at the next look, and once", () => {
  const { ms, pass, watch } = clocks()
  pass(20)
  ms.boot += 3_000
  ms.wall += 3_000
  equal(watch.sleptMs(), 3_000)
  pass(20)
  equal(watch.sleptMs(), 0)
})

test("sleep that the wall clock did not count is noticed within a second", () => {
  const { ms, pass, watch } = clocks()
  ms.boot += 3_000
  pass(1_001)
  equal(watch.sleptMs(), 3_000)
})

test("a wall clock that is set, either way, is no sleep", () => {
  const { ms, pass, watch } = clocks()
  for (const step of [3_600_000, -7_200_000]) {
    ms.wall += step
    pass(20)
    equal(watch.sleptMs(), 0)
  }
})

test("the hundredths of a second in which the kernel counts are no sleep", () => {
  const { ms, pass, watch } = clocks()
  ms.boot += 10
  pass(1_001)
  equal(watch.sleptMs(), 0)
})

test("where there is no clock that counts on in sleep, the watch says so and sees nothing", () => {
  const watch = new MachineSleepWatch({ bootMs: () => undefined, wallMs: () => 0, nowMs: () => 0 })
  equal(watch.isAvailable, false)
  equal(watch.sleptMs(), 0)
})

test("the kernel's time since boot goes forward", { skip: process.platform !== "linux" }, () => {
  const read = bootClock()
  const first = read()
  const second = read()
  ok(first !== undefined && second !== undefined && first > 0 && second >= first)
})

test("a pause longer than the limit is told once, by whoever looks first", () => {
  const watch = new PauseWatch({ limitMs: 5_000, nowMs: 0 })
  equal(watch.pausedMs(5_000), 0)
  equal(watch.pausedMs(10_001), 5_001)
  equal(watch.pausedMs(10_002), 0)
})
