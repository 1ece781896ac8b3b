import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import { simulatedConfig } from "../../config.ts"
import { maxGroupBytes } from "../../protocol/limits.ts"
import type { GroupOperation, GroupResult, Reply } from "../../protocol/message.ts"
import { MapStore } from "../../store/testing/map-store.ts"
import type { Pending } from "../requests.ts"
import { arcOf, shardOf } from "../ring.ts"
import { allRules } from "../rules.ts"
import { GroupOperations } from "./group-operations.ts"
import { Shard } from "./shard.ts"

const config = {
  ...{ q: 1, primary: "p", primarySince: 1, inSync: ["p"], learners: [], orphan: false, resetAt: 0, seqBase: 0 },
}
/** A key's first byte says in which of two shards it lies. */
const hashed = (bytes: Uint8Array) => ({ bytes, position: arcOf(bytes[0] ?? 0, 2).from })
const keys = [new Uint8Array([0]), new Uint8Array([1, 1]), new Uint8Array([1, 2])] as const
const touches: GroupOperation = {
  op: "group",
  steps: keys.map(key => ({ key, operation: { op: "touch", ttlMs: 1_000, condition: null } })),
}

/** What the shards remember of the group, in their order. */
type Remembered = readonly (GroupResult | undefined)[]

const done: GroupResult = { kind: "group-done", version: 0 }
const unmet: GroupResult = { kind: "group-unmet", step: 0 }

/** Asks one node that leads two shards to touch three keys; the last two hold more than a group may write. */
function askToTouch(remembered: Remembered): { pending: Pending; answers: Reply[]; seqs: number[] } {
  const store = new MapStore()
  const shards = [0, 1].map(index => new Shard({ index, arc: arcOf(index, 2), store, hashed, config }))
  for (const key of keys) {
    const value = new Uint8Array(maxGroupBytes / 2)
    store.set(hashed(key), { value, flags: 0, version: 1, expiresAtMs: Number.POSITIVE_INFINITY })
  }
  for (const [i, result] of remembered.entries())
    if (result !== undefined) shards[i]?.dedup.record("c", 1, result, shards[i].commit, 0)
  const answers: Reply[] = []
  const operations = new GroupOperations({
    ...{ config: simulatedConfig, rules: allRules, hashed },
    commits: { append: () => {}, appendedTogether: () => {} },
    waiting: { park: () => {} },
    shardAt: position => shards[shardOf(position, 2)],
    serves: () => true,
    fits: () => true,
    countExpired: () => {},
    answer: (_, reply) => answers.push(reply),
  })
  const request = { clientId: "c", n: 1, ackedBelow: 1, firstEpoch: 1, deadlineMs: 1_000 }
  const pending: Pending = {
    origin: { kind: "client", connection: 1, attempt: 1 },
    request: { ...request, key: keys[0], operation: touches },
    ...{ arrivedAtMs: 0, deadlineAtMs: 1_000 },
  }
  operations.execute(touches, pending, 0)
  return { pending, answers, seqs: shards.map(({ seq }) => seq) }
}

const refusal = { kind: "rejected", reason: "group-too-large" } as const

test("a group that is too large for what it finds is refused in all its shards", () => {
  const { pending, answers, seqs } = askToTouch([])
  deepEqual([answers, seqs], [[refusal], [0, 0]])
  equal(pending.mayBeDone, undefined)
})

test("the same where some shard has its part already: the rest is not done, and the refusal does not say that nothing was", () => {
  const { pending, answers, seqs } = askToTouch([done])
  deepEqual([answers, seqs], [[refusal], [0, 0]])
  equal(pending.mayBeDone, true)
})

test("what all its shards remember is answered; where they remember different ends, the outcome is unknown", () => {
  deepEqual(askToTouch([done, done]).answers, [done])
  deepEqual(askToTouch([unmet, unmet]).answers, [unmet])
  for (const torn of [
    [done, unmet],
    [unmet, done],
  ]) {
    const { pending, answers } = askToTouch(torn)
    deepEqual([answers, pending.mayBeDone], [[{ kind: "timeout" }], true])
  }
})
