import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import { MapStore } from "../../store/testing/map-store.ts"
import { arcOf, shardOf } from "../ring.ts"
import { groupPartsOf, restOf } from "./groups.ts"
import { Shard } from "./shard.ts"

const store = new MapStore()
const shards = [0, 1].map(
  index =>
    new Shard({
      ...{ index, arc: arcOf(index, 2), store, hashed: bytes => ({ bytes, position: 0 }) },
      config: {
        ...{ q: 1, primary: "p", primarySince: 1, inSync: ["p"], learners: [], orphan: false, resetAt: 0, seqBase: 0 },
      },
    }),
)
const keyIn = (index: number) => ({ bytes: new Uint8Array([index]), position: arcOf(index, 2).from })
const shardAt = (position: number) => shards[shardOf(position, 2)]

test("a group falls into one part for each shard, in the order in which it comes to them", () => {
  const parts = groupPartsOf([1, 0, 1].map(keyIn), shardAt)
  deepEqual(
    parts?.map(({ shard, places }) => [shard.index, places]),
    [
      [1, [0, 2]],
      [0, [1]],
    ],
  )
  equal(
    groupPartsOf([keyIn(0)], () => undefined),
    undefined,
  )
})

const left = groupPartsOf([0, 1, 1].map(keyIn), shardAt)?.slice(1) ?? []
const done = { kind: "group-done", version: 4 } as const
const unmet = (step: number) => ({ kind: "group-unmet", step }) as const

for (const [what, remembered, unmetAt, rest] of [
  ["nothing, and so it is judged", undefined, 1, "as-found"],
  ["that it was done, and it can be", done, undefined, "as-found"],
  ["that it was done, and it cannot be any more", done, 2, "torn"],
  ["that it was not met by a step of theirs", unmet(0), undefined, "nothing"],
  ["that it was not met by a step of others, which it still is not", unmet(1), 1, "as-found"],
  ["that it was not met by a step of others, which another is not now", unmet(1), 2, "torn"],
  ["that it was not met by a step of others, which is met now", unmet(1), undefined, "torn"],
  ["another operation under this number", { kind: "deleted" } as const, undefined, "torn"],
] as const)
  test(`what is left of a group of which the other shards remember ${what}: ${rest}`, () =>
    equal(restOf(remembered, left, unmetAt), rest))
