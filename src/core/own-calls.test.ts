import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import { Prng } from "../base/prng.ts"
import { maxOperationsAhead } from "../protocol/limits.ts"
import type { Operation, Reply } from "../protocol/message.ts"
import { type OwnCallsOptions, OwnCalls, type OwnOutcome } from "./own-calls.ts"
import type { Pending } from "./requests.ts"

const [write, read]: [Operation, Operation] = [{ op: "incr", by: 1, ttlMs: null }, { op: "get" }]

/** The first byte of a key is its shard. Nothing is answered unless the test does. */
function asker(changed: Partial<OwnCallsOptions> = {}) {
  const asked: Pending[] = []
  const told: OwnOutcome[] = []
  let nowMs = 0
  const calls = new OwnCalls({
    ...{ self: "00000000ffffffff", prng: new Prng(1), maxOpen: 10_000, rules: { ownNumbers: true }, epoch: () => 7 },
    laneOf: key => key[0],
    run: pending => asked.push(pending),
    ...changed,
  })
  return {
    ...{ asked, told, calls },
    call: (shard: number, operation: Operation, timeoutMs = 1_000) =>
      calls.call(
        { key: new Uint8Array([shard]), operation, timeoutMs },
        outcome => {
          told.push(outcome)
        },
        nowMs,
      ),
    answer(pending: Pending | undefined, reply: Reply) {
      if (pending?.origin.kind === "own") calls.answered(pending.origin.call, reply, nowMs)
    },
    pass(ms: number) {
      nowMs += ms
      calls.tick(nowMs)
    },
  }
}

const numbersOf = ({ request }: Pending) => [request.clientId, request.n, request.ackedBelow]

test("writes are numbered shard by shard, and each says what is finished before it", () => {
  const { asked, answer, call } = asker()
  call(1, write)
  call(1, write)
  call(2, write)
  answer(asked[0], { kind: "counted", value: 1, version: 1, ttlMs: null })
  call(1, write)
  deepEqual(asked.map(numbersOf), [
    ["0000000000000001", 1, 1],
    ["0000000000000001", 2, 1],
    ["0000000000000002", 1, 1],
    ["0000000000000001", 3, 2],
  ])
  equal(asked[0]?.request.firstEpoch, 7)
})

test("a refused operation is repeated under its number, and then its fate is that of its attempts", () => {
  const { asked, answer, call, pass, told } = asker()
  call(1, write)
  answer(asked[0], { kind: "busy", retryAfterMs: 30 })
  pass(29)
  equal(asked.length, 1)
  pass(20)
  answer(asked[1], { kind: "retry", afterMs: 0 })
  pass(200)
  answer(asked[2], { kind: "unavailable", reason: "minority" })
  deepEqual(
    asked.map(({ request }) => request.n),
    [1, 1, 1],
  )
  for (let i = 0; i < 20; i++) pass(100)
  deepEqual(told, [{ kind: "failed", code: "timeout", mayHaveHappened: "unknown" }])
})

test("at its deadline a call ends: as unknown if it may have happened, else with the last reason why not", () => {
  const { asked, answer, call, pass, told } = asker()
  call(1, write)
  call(2, write)
  call(3, read)
  answer(asked[1], { kind: "unavailable", reason: "minority" })
  pass(1_100)
  deepEqual(told, [
    { kind: "failed", code: "minority", mayHaveHappened: "no" },
    { kind: "failed", code: "timeout", mayHaveHappened: "unknown" },
    { kind: "failed", code: "timeout", mayHaveHappened: "no" },
  ])
  // What comes later changes nothing.
  answer(asked[0], { kind: "counted", value: 1, version: 1, ttlMs: null })
  equal(told.length, 3)
})

test("what certainly fails ends at once", () => {
  for (const [reply, code] of [
    [{ kind: "full" }, "full"],
    [{ kind: "rejected", reason: "key-too-long" }, "key-too-long"],
  ] as const) {
    const { asked, answer, call, told } = asker()
    call(1, write)
    answer(asked[0], reply)
    deepEqual(told, [{ kind: "failed", code, mayHaveHappened: "no" }])
  }
})

test("before there is a view an operation waits for one, without a number", () => {
  let shard: number | undefined
  const { asked, call, pass, told } = asker({ laneOf: () => shard })
  call(1, write)
  equal(asked.length, 0)
  shard = 1
  pass(50)
  equal(asked[0]?.request.n, 1)
  shard = undefined
  call(1, write, 10)
  pass(100)
  deepEqual(told, [{ kind: "failed", code: "joining", mayHaveHappened: "no" }])
})

test("numbers never run further ahead than a shard's records allow; another shard has its own", () => {
  const { asked, answer, call, pass } = asker()
  for (let i = 0; i <= maxOperationsAhead; i++) call(1, write)
  equal(asked.length, maxOperationsAhead)
  call(2, write)
  equal(asked.length, maxOperationsAhead + 1)
  answer(asked[0], { kind: "counted", value: 1, version: 1, ttlMs: null })
  pass(50)
  deepEqual(asked.at(-1)?.request.n, maxOperationsAhead + 1)
})

test("too many calls are refused, and closing ends all", () => {
  const { calls, call, told } = asker({ maxOpen: 1 })
  call(1, read)
  call(1, read)
  deepEqual(told, [{ kind: "failed", code: "busy", mayHaveHappened: "no" }])
  calls.close()
  call(1, read)
  deepEqual(told.slice(1), [
    { kind: "failed", code: "closed", mayHaveHappened: "no" },
    { kind: "failed", code: "closed", mayHaveHappened: "no" },
  ])
})
