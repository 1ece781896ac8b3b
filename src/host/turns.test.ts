import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { setImmediate } from "node:timers/promises"
import { Backlog, Held } from "./backlog.ts"
import { Turns } from "./turns.ts"

/** Connections whose messages each take so long, by a clock that nothing else moves. */
function staged() {
  const clock = { nowMs: 0 }
  const turns = new Turns({ turnMs: 10, shareMs: 2, nowMs: () => clock.nowMs, guarded: step => step() })
  const log: string[] = []
  const refused: string[] = []
  const held = new Held()
  const connection = (
    name: string,
    options: { costMs?: number; mayAnswer?: () => boolean; lagMs?: () => number; forgetLag?: () => void } = {},
  ) => {
    const state = { isPaused: false }
    const backlog = new Backlog<number>({
      ...{
        turns,
        held,
        patienceMs: 500,
        nowMs: () => clock.nowMs,
        lagMs: options.lagMs ?? (() => 0),
        forgetLag: options.forgetLag ?? (() => {}),
        mayAnswer: options.mayAnswer ?? (() => true),
      },
      take: message => {
        log.push(`${name}${message}`)
        clock.nowMs += options.costMs ?? 0
      },
      refuse: message => refused.push(`${name}${message}`),
      pause: () => {
        state.isPaused = true
      },
      resume: () => {
        state.isPaused = false
      },
    })
    return { backlog, state }
  }
  return { clock, connection, log, refused, held }
}

const wait = { bytes: 0, otherwise: "wait" } as const
const numbers = (count: number) => Array.from({ length: count }, (_, i) => i)

test("what is quickly done is done at once", () => {
  const { connection, log } = staged()
  const { backlog, state } = connection("a")
  backlog.add(numbers(1_000), wait)
  equal(log.length, 1_000)
  equal(state.isPaused, false)
})

test("a turn does so much, and what is left is done in the next ones, in its order, while the connection is not read", async () => {
  const { clock, connection, log } = staged()
  const { backlog, state } = connection("a", { costMs: 1 })
  backlog.add(numbers(40), wait)
  ok(clock.nowMs >= 10 && clock.nowMs < 15, `${clock.nowMs} ms`)
  equal(state.isPaused, true)
  let longestMs = 0
  while (backlog.length > 0) {
    const fromMs = clock.nowMs
    await setImmediate()
    longestMs = Math.max(longestMs, clock.nowMs - fromMs)
  }
  ok(longestMs <= 11, `${longestMs} ms`)
  deepEqual(
    log,
    numbers(40).map(i => `a${i}`),
  )
  equal(state.isPaused, false)
})

test("one that asks for much makes itself wait, and others hardly", async () => {
  const { connection, log } = staged()
  const greedy = connection("g", { costMs: 1 })
  const modest = connection("m", { costMs: 1 })
  greedy.backlog.add(numbers(300), wait)
  modest.backlog.add([0], wait)
  await setImmediate()
  ok(log.indexOf("m0") >= 0 && log.indexOf("m0") < 20, `it comes after ${log.indexOf("m0")} of the other's`)
  while (greedy.backlog.length > 0) await setImmediate()
})

test("what has waited for too long is refused, all but the last of it", async () => {
  const { connection, log, refused } = staged()
  const { backlog } = connection("a", { costMs: 100 })
  backlog.add(numbers(40), wait)
  while (backlog.length > 0) await setImmediate()
  equal(log.length + refused.length, 40)
  ok(log.length > 8 && log.length < 20, `${log.length} are done`)
  equal(log.at(-1), "a39")
})

test("of what comes too old all but the last is refused, as fast as it comes, until what comes is fresh again", async () => {
  const { connection, log, refused } = staged()
  let lagMs = 800
  const { backlog, state } = connection("a", { costMs: 1, lagMs: () => lagMs })
  const { backlog: other } = connection("b", { costMs: 1 })
  other.add(numbers(1_000), wait)
  backlog.add(numbers(10), wait)
  await setImmediate()
  equal(state.isPaused, false)
  const refusedAtFirst = refused.length
  ok(refusedAtFirst > 3, `${refusedAtFirst} are refused`)
  backlog.add(numbers(10), wait)
  const refusedThen = refused.length
  ok(refusedThen > refusedAtFirst + 3, `${refusedThen - refusedAtFirst} more`)
  lagMs = 100
  for (let i = 0; i < 3; i++) await setImmediate()
  const refusedLate = refused.length
  backlog.add(numbers(10), wait)
  equal(refused.length, refusedLate)
  equal(state.isPaused, true)
  ok(log.some(taken => taken.startsWith("a")))
})

test("who does not read what it is answered is not served before it does", async () => {
  const { connection, log } = staged()
  let unread = 0
  const { backlog, state } = connection("a", { mayAnswer: () => unread < 3 })
  const { backlog: other } = connection("b")
  backlog.add([0], wait)
  unread = 3
  backlog.add([1, 2], wait)
  deepEqual(log, ["a0"])
  equal(state.isPaused, true)
  other.add([0], wait)
  await setImmediate()
  deepEqual(log, ["a0", "b0"])
  unread = 0
  backlog.goOn()
  await setImmediate()
  deepEqual(log, ["a0", "b0", "a1", "a2"])
  equal(state.isPaused, false)
})

test("a refusal is an answer: who does not read is refused nothing more, and not read, until it does", async () => {
  const { connection, refused } = staged()
  const { backlog, state } = connection("a", { costMs: 1, lagMs: () => 800, mayAnswer: () => refused.length % 8 < 7 })
  backlog.add(numbers(40), wait)
  await setImmediate()
  equal(refused.length, 7)
  equal(state.isPaused, true)
  backlog.add(numbers(10), wait)
  equal(refused.length, 7)
  await setImmediate()
  equal(refused.length, 7)
  equal(state.isPaused, true)
})

test("who was behind when it last asked is not refused for that much later", async () => {
  const { clock, connection, refused } = staged()
  let lagMs = 800
  const { backlog, state } = connection("a", { costMs: 1, lagMs: () => lagMs })
  backlog.add(numbers(13), wait)
  while (backlog.length > 0) await setImmediate()
  refused.length = 0
  lagMs = 10
  clock.nowMs += 3_600_000
  backlog.add(numbers(40), wait)
  deepEqual(refused, [])
  equal(state.isPaused, true)
  while (backlog.length > 0) await setImmediate()
  deepEqual(refused, [])
})

test("waiting for the other end to read its answers makes nothing old", async () => {
  const { clock, connection, log, refused } = staged()
  let unread = 0
  let lagMs = 0
  const forgetLag = () => {
    lagMs = 0
  }
  const { backlog } = connection("a", { costMs: 1, mayAnswer: () => unread < 3, lagMs: () => lagMs, forgetLag })
  const { backlog: other } = connection("b", { costMs: 1 })
  unread = 3
  backlog.add(numbers(40), wait)
  clock.nowMs += 700
  lagMs = 700
  other.add(numbers(40), wait)
  unread = 0
  backlog.goOn()
  while (backlog.length > 0) await setImmediate()
  deepEqual(refused, [])
  equal(log.filter(taken => taken.startsWith("a")).length, 40)
})

test("that a turn's answers have left is no reason to take what waits for new", async () => {
  const { connection, refused } = staged()
  const { backlog } = connection("a", { costMs: 100 })
  backlog.add(numbers(40), wait)
  while (backlog.length > 0) {
    backlog.goOn()
    await setImmediate()
  }
  ok(refused.length > 20, `${refused.length} are refused`)
})

test("what keeps coming and is done in time is not old because something always waits", async () => {
  const { connection, log, refused } = staged()
  const { backlog } = connection("a", { costMs: 10 })
  backlog.add(numbers(12), wait)
  for (let i = 0; i < 100; i++) {
    backlog.add([i], wait)
    await setImmediate()
  }
  ok(backlog.length > 0, "it was never without work")
  deepEqual(refused, [])
  ok(log.length > 90)
  backlog.close()
})

test("what may not wait is begun as far as there is time, and refused", async () => {
  const { connection, log, refused, held } = staged()
  const { backlog, state } = connection("a", { costMs: 1 })
  backlog.add(numbers(40), { bytes: 1_000, otherwise: "refuse" })
  ok(log.length >= 10)
  equal(log.length + refused.length, 40)
  equal(backlog.length, 0)
  equal(state.isPaused, false)
  equal(held.bytes, 0)
})

test("what lies together is held until the last of it has been taken up", async () => {
  const { connection, held } = staged()
  const { backlog } = connection("a", { costMs: 1 })
  const { backlog: other } = connection("b", { costMs: 1 })
  backlog.add(numbers(5), { bytes: 50, otherwise: "wait" })
  equal(held.bytes, 0)
  backlog.add(numbers(40), { bytes: 1_000, otherwise: "wait" })
  other.add(numbers(40), { bytes: 300, otherwise: "wait" })
  equal(held.bytes, 1_300)
  other.close()
  backlog.add(numbers(20), { bytes: 70, otherwise: "wait" })
  while (backlog.length > 0) {
    equal(held.bytes, backlog.length > 20 ? 1_070 : 70)
    await setImmediate()
  }
  equal(held.bytes, 0)
})

test("what a connection asked is forgotten with it", async () => {
  const { connection, log } = staged()
  const { backlog } = connection("a", { costMs: 5 })
  backlog.add(numbers(40), wait)
  const done = log.length
  backlog.close()
  await setImmediate()
  equal(log.length, done)
})
