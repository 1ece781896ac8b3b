import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import { combined, expiryAims, limitAims, type Measured, mapBeside, overheadBytes, speedAims } from "./aims.ts"
import type { Phase } from "./phase.ts"
import type { SpeedResult } from "./speed.ts"

const phase: Phase = { cpuNs: 500, wallNs: 510, allCpuNs: 520, longestSliceMs: 1, longestGcMs: 2, longestDelayMs: 3 }
const result: SpeedResult = {
  entryBytes: 190,
  heapEntryBytes: 20,
  growthFactor: 1.1,
  ...{ fill: phase, hit: phase, miss: phase, sameSize: phase, otherSize: phase },
}
const ours: Measured = { engine: "dcache", entries: 1e6, keyBytes: 16, result }
const slowMap: Measured = { ...ours, engine: "map", result: withCpu(700) }
const fastMap: Measured = { ...ours, engine: "map", result: withCpu(500) }

function withCpu(cpuNs: number): SpeedResult {
  const each = { ...phase, cpuNs }
  return { ...result, hit: each, miss: each, sameSize: each, otherSize: each }
}

function missed(mine: Measured, map?: Measured): string[] {
  return speedAims(mine, map)
    .filter(({ isMet }) => !isMet)
    .map(({ what }) => what)
}

test("beyond key and value is what is left of an entry", () => equal(overheadBytes(ours), 74))

const cases: readonly { because: string; mine: Measured; map?: Measured; misses: string[] }[] = [
  { because: "all is well", mine: ours, map: slowMap, misses: [] },
  {
    because: "five million have to take less an entry",
    mine: { ...ours, entries: 5e6 },
    misses: ["beyond key and value"],
  },
  { because: "no aim is named for another size", mine: { ...ours, entries: 2e6 }, misses: [] },
  { because: "few entries grow", mine: { ...ours, entries: 1e5, result: { ...result, growthFactor: 2 } }, misses: [] },
  {
    because: "memory grew",
    mine: { ...ours, result: { ...result, growthFactor: 1.3 } },
    misses: ["memory after overwrites with other sizes"],
  },
  {
    because: "one overwrite took long",
    mine: { ...ours, result: { ...result, otherSize: { ...phase, longestSliceMs: 6, longestGcMs: 16 } } },
    misses: ["longest slice under overwrites, CPU", "longest collection under overwrites"],
  },
  {
    because: "a get may be as slow as a Map's, the others may not",
    mine: ours,
    map: fastMap,
    misses: ["get, miss", "overwrite, same size", "overwrite, other size"],
  },
]
for (const { because, mine, map, misses } of cases)
  test(`aims missed when ${because}: ${misses.join(", ") || "none"}`, () => deepEqual(missed(mine, map), misses))

test("pauses are promised up to five million entries", () => {
  const long = { ...phase, longestSliceMs: 99, longestGcMs: 99 }
  const many = { ...ours, entries: 20e6, result: { ...result, entryBytes: 160, sameSize: long } }
  deepEqual(missed(many), [])
})

test("a Map is beside ours when size and key are the same", () => {
  equal(mapBeside(ours, [{ ...slowMap, keyBytes: 24 }, { ...slowMap, entries: 5e6 }, ours, slowMap]), slowMap)
})

test("of several rounds times are medians and pauses the longest", () => {
  const [all] = [combined([withCpu(1), withCpu(9), { ...withCpu(2), hit: { ...phase, cpuNs: 2, longestSliceMs: 7 } }])]
  deepEqual([all.hit.cpuNs, all.hit.longestSliceMs], [2, 7])
})

test("a limit holds within a tenth for the process, and exactly for what the store counts", () => {
  const job = { maxBytes: 1_000, seconds: 1 }
  const run = {
    ...{ processBytes: 1_100, heapBytes: 50, bufferBytes: 1_050, storeBytes: 1_000 },
    ...{ mostEntries: 1, evicted: 0, writes: 1, longestOperationMs: 1 },
  }
  deepEqual(
    limitAims(job, run).map(({ isMet }) => isMet),
    [true, true],
  )
  deepEqual(
    limitAims(job, { ...run, processBytes: 1_101, storeBytes: 1_001 }).map(({ isMet }) => isMet),
    [false, false],
  )
})

test("expired entries are gone in two seconds, without keeping others longer than 10 ms", () => {
  const isMet = (wallMs: number, longestSliceMs: number) =>
    expiryAims({ wallMs, cpuMs: 0, longestSliceMs }).map(aim => aim.isMet)
  deepEqual(isMet(2_000, 10), [true, true])
  deepEqual(isMet(2_001, 10.1), [false, false])
})
