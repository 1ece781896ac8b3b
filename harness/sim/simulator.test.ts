import { deepEqual, equal, throws } from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { Prng } from "../../src/base/prng.ts"
import { MachineClock } from "./clock.ts"
import { Simulator } from "./simulator.ts"

test("things happen in the order of their time, and of their arrangement where the time is the same", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(20), { maxLength: 200 }), delays => {
      const simulator = new Simulator()
      const seen: { delay: number; index: number }[] = []
      delays.forEach((delay, index) => simulator.after(delay, () => seen.push({ delay, index })))
      simulator.run(100)
      const expected = delays.map((delay, index) => ({ delay, index }))
      deepEqual(
        seen,
        expected.sort((a, b) => a.delay - b.delay || a.index - b.index),
      )
    }),
  )
})

test("time stands at the end of the run even when nothing happened last", () => {
  const simulator = new Simulator()
  simulator.after(3, () => {})
  simulator.run(10)
  equal(simulator.nowMs, 10)
})

test("runUntil stops at the event that made its condition true", () => {
  const simulator = new Simulator()
  let count = 0
  for (let i = 1; i <= 10; i++) simulator.after(i, () => count++)
  equal(
    simulator.runUntil(() => count === 4, { withinMs: 100 }),
    true,
  )
  equal(simulator.nowMs, 4)
  equal(
    simulator.runUntil(() => count === 40, { withinMs: 100 }),
    false,
  )
  equal(simulator.nowMs, 104)
})

test("a run that never lets time pass ends with an error", () => {
  const simulator = new Simulator({ mostSteps: 100 })
  const again = () => simulator.after(0, again)
  again()
  throws(() => simulator.run(1), /limit of steps/)
})

test("no two clocks differ in rate by more than their error", () => {
  const simulator = new Simulator()
  const clocks = Array.from({ length: 50 }, (_, seed) => MachineClock.random(simulator, new Prng(seed), 0.01))
  const before = clocks.map(clock => clock.nowMs())
  simulator.run(1_000)
  const passed = clocks.map((clock, i) => clock.nowMs() - (before[i] ?? 0))
  equal(Math.max(...passed) / Math.min(...passed) <= 1.01, true)
})

test("a suspended machine's clock goes on where it stood", () => {
  const simulator = new Simulator()
  const clock = new MachineClock({ simulator, offsetMs: 5, rate: 1 })
  simulator.run(10)
  clock.suspend()
  simulator.run(100)
  equal(clock.nowMs(), 15)
  clock.wake()
  simulator.run(1)
  equal(clock.nowMs(), 16)
})
