import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import type { Routes } from "../../src/client/routes.ts"
import { shardOfKey } from "../../src/client/routes.ts"
import { keyOfEachShard, keysLedBy, Prober } from "./prober.ts"

test("the slowest key decides, counted from the start", async () => {
  // Each question takes one unit of a clock of our own; "b" is answered at the third.
  let nowMs = 0
  const asked = new Map<string, number>()
  const ask = async (key: string) => {
    nowMs++
    asked.set(key, (asked.get(key) ?? 0) + 1)
    return key === "a" || asked.get(key) === 3
  }
  const prober = new Prober({ ask, keys: ["a", "b"], mode: "once", nowMs: () => nowMs })
  await prober.answered(5_000)
  equal(await prober.stop(), 4 - 1)
  deepEqual(
    [...asked],
    [
      ["a", 1],
      ["b", 3],
    ],
  )
})

test("a key that is never answered is no number", async () => {
  let nowMs = 0
  const ask = async (key: string) => {
    nowMs += 2_000
    return key === "a"
  }
  const prober = new Prober({ ask, keys: ["a", "b"], mode: "once", nowMs: () => nowMs })
  equal(await prober.stop(), null)
})

test("who waits when it ends is waited for, unless the run was interrupted", async () => {
  let asked = 0
  const ask = async () => ++asked > 3
  const prober = new Prober({ ask, keys: ["a"], mode: "throughout", nowMs: () => asked })
  equal(await prober.stop(), 4)
  const never = new Prober({
    ask: async () => false,
    keys: ["a"],
    mode: "throughout",
    nowMs: () => 0,
    signal: AbortSignal.abort(),
  })
  equal(await never.stop(), null)
})

const routes: Routes = {
  clusterId: "c",
  epoch: 1,
  membersEpoch: 1,
  hashKey: [1, 2],
  members: ["a", "b"].map(id => ({ id, name: id, addr: id, clientAddr: id })),
  primaries: Array.from({ length: 64 }, (_, shard) => shard % 2),
}

test("there is one key for each shard, and each belongs there", () => {
  const keys = keyOfEachShard(routes)
  equal(keys.length, 64)
  keys.forEach((key, shard) => equal(shardOfKey(routes, new TextEncoder().encode(key)), shard))
  const led = keysLedBy(routes, keys, "b")
  equal(led.length, 32)
  ok(led.every(key => keys.indexOf(key) % 2 === 1))
})
