import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { setImmediate } from "node:timers/promises"
import { Prng } from "../../../src/base/prng.ts"
import { Load, type LoadAnswer, type LoadOptions } from "./load.ts"

/** A clock that only tests move, and a server that answers when told. */
async function staged(options: Partial<LoadOptions> = {}) {
  const waiting: ((answer: LoadAnswer) => void)[] = []
  let nowMs = 0
  const clock = { advance: (ms: number) => (nowMs += ms) }
  const asked: string[] = []
  const load = new Load({
    ...{ clients: 2, pipeline: 3, setShare: 0.5, rate: undefined, pickKey: () => 0, prng: new Prng(1) },
    nowMs: () => nowMs,
    perform: operation => {
      asked.push(operation)
      return new Promise(resolve => waiting.push(resolve))
    },
    ...options,
  })
  await setImmediate()
  const answerAll = async (answer: LoadAnswer = { kind: "hit" }) => {
    for (const resolve of waiting.splice(0)) resolve(answer)
    await setImmediate()
  }
  return { load, asked, waiting, clock, answerAll }
}

test("closed: each client has as many calls under way as its pipeline allows, and asks again when answered", async () => {
  const { load, waiting, asked, answerAll } = await staged()
  equal(waiting.length, 6)
  await answerAll()
  equal(waiting.length, 6)
  equal(asked.length, 12)
  const stopped = load.stop()
  await answerAll()
  equal((await stopped).all.count, 12)
  equal(waiting.length, 0)
})

test("closed: a late answer counts for the questions that it held back", async () => {
  const { load, waiting, clock, answerAll } = await staged({ clients: 1, pipeline: 1 })
  for (let i = 0; i < 99; i++) {
    clock.advance(1)
    await answerAll()
  }
  clock.advance(101)
  const stopped = load.stop()
  await answerAll()
  const { all } = await stopped
  equal(waiting.length, 0)
  equal(all.count, 100)
  // A hundred answers in 200 ms: one every 2 ms was to be had, and one of them waited for 101.
  equal(all.latency.count, 99 + 50)
  ok(all.latency.percentileUs(90) > 50_000)
})

test("open: latency counts from when the operation was due, not from when a caller had time for it", async context => {
  context.mock.timers.enable({ apis: ["setInterval"] })
  const { load, waiting, clock, answerAll } = await staged({ clients: 1, pipeline: 1, rate: 100 })
  equal(waiting.length, 0)
  clock.advance(30)
  context.mock.timers.tick(1)
  await setImmediate()
  equal(waiting.length, 1) // due at 10; those of 20 and 30 wait for the one caller
  clock.advance(70)
  await answerAll()
  await answerAll()
  await answerAll()
  const { all, dropped } = await load.stop()
  equal(all.count, 3)
  equal(Math.round(all.latency.maxUs / 1_000), 90)
  equal(Math.floor(all.latency.percentileUs(1) / 1_000), 70)
  equal(dropped, 0)
})

test("open: what cannot be asked within the backlog is dropped, and said", async context => {
  context.mock.timers.enable({ apis: ["setInterval"] })
  const { load, clock, answerAll } = await staged({ clients: 1, pipeline: 1, rate: 10 })
  clock.advance(60_000)
  context.mock.timers.tick(1)
  await setImmediate()
  const stopped = load.stop()
  await answerAll()
  const { all, dropped } = await stopped
  equal(all.count + dropped, 600)
  equal(all.count, 1)
})

test("failures are counted by code, and their latencies are no answers' latencies", async () => {
  const { load, answerAll } = await staged({ clients: 1, pipeline: 2, setShare: 0 })
  await answerAll({ kind: "failed", code: "busy" })
  const stopped = load.stop()
  await answerAll({ kind: "miss" })
  const { all, failures, hits } = await stopped
  deepEqual(failures, { busy: 2 })
  equal(all.failed, 2)
  equal(all.latency.count, 2)
  equal(hits, 0)
})
