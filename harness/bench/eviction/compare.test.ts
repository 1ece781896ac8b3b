import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { Prng } from "../../../src/base/prng.ts"
import { smallStore } from "../own-store.ts"
import { compare, judge } from "./compare.ts"
import { limitHolding, StorePolicy } from "./store-policy.ts"

const sizes = new Uint32Array(4_000).fill(256)

test("the limit that is looked for lets the store hold what the others hold, and no more", () => {
  const capacity = 1_000 * 256
  const maxBytes = limitHolding({ capacity, sizes }, smallStore)
  const policy = new StorePolicy({ make: smallStore, maxBytes, capacity, sizes })
  for (let key = 0; key < 4_000; key++) policy.request(key)
  ok(policy.held > 0.9 * capacity && policy.held <= 1.05 * capacity, `${policy.held} of ${capacity}`)
})

test("the store answers as its owner was told: what was dropped is missed, all else is a hit", () => {
  const held = new Set<number>()
  const policy = new StorePolicy({
    make: ({ owner, ...options }) => {
      const dropped: typeof owner.dropped = (key, ...rest) => {
        held.delete(new DataView(key.buffer, key.byteOffset).getUint32(0))
        owner.dropped(key, ...rest)
      }
      return smallStore({ ...options, owner: { ...owner, dropped } })
    },
    ...{ maxBytes: 2 ** 20, capacity: 2 ** 19, sizes },
  })
  const prng = new Prng(3)
  for (let asked = 0; asked < 30_000; asked++) {
    const key = prng.below(4_000) * prng.below(40)
    equal(policy.request(key), held.has(key))
    held.add(key)
  }
  equal(policy.held, 256 * held.size)
})

test("a row has every policy, ours and the optimum", () => {
  const prng = new Prng(5)
  const requests = Uint32Array.from({ length: 3_000 }, () => Math.min(prng.below(200), prng.below(200)))
  const few = new Uint32Array(200).fill(256)
  const row = compare({ name: "made", about: "", requests, sizes: few, countedFrom: 1_000 }, 50, smallStore)
  deepEqual(Object.keys(row.misses), ["FIFO", "LRU", "W-TinyLFU", "S3-FIFO", "SIEVE"])
  for (const misses of [...Object.values(row.misses), row.ours]) ok(misses >= (row.optimum ?? 100) && misses < 100)
})

const misses = { FIFO: 40, LRU: 30, "W-TinyLFU": 25, "S3-FIFO": 24, SIEVE: 26 }
const verdicts = [
  { ours: 24.5, isAtMostLru: true, isNearBest: true, because: "half a point above the best" },
  { ours: 26.1, isAtMostLru: true, isNearBest: false, because: "two points are the most above the best" },
  { ours: 30.04, isAtMostLru: true, isNearBest: false, because: "a table shows it equal to LRU" },
  { ours: 30.1, isAtMostLru: false, isNearBest: false, because: "LRU is better" },
]
for (const { ours, because, ...expected } of verdicts)
  test(`misses of ${ours} %: ${because}`, () => {
    const { isAtMostLru, isNearBest, best } = judge({ misses, ours })
    deepEqual({ isAtMostLru, isNearBest, best }, { ...expected, best: "S3-FIFO" })
  })
