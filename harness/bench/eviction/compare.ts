/** Runs the policies over a workload, ours among them, and says whether ours does what it should. */
import { Fifo } from "./fifo.ts"
import { Lru } from "./lru.ts"
import { optimalHits } from "./optimum.ts"
import type { MakePolicy, Policy } from "./policy.ts"
import { S3Fifo } from "./s3-fifo.ts"
import { Sieve } from "./sieve.ts"
import { limitHolding, type MakeStore, StorePolicy } from "./store-policy.ts"
import { WTinyLfu } from "./w-tiny-lfu.ts"
import type { Workload } from "./workloads.ts"

/** Those of the literature, in the order of their invention. */
export const references = {
  FIFO: options => new Fifo(options),
  LRU: options => new Lru(options),
  "W-TinyLFU": options => new WTinyLfu(options),
  "S3-FIFO": options => new S3Fifo(options),
  SIEVE: options => new Sieve(options),
} as const satisfies Record<string, MakePolicy>

export type Reference = keyof typeof references

/** Misses are percentages of the requests that count. */
export type Row = {
  readonly workload: string
  /** Of the cache, in percent of the footprint. */
  readonly sharePercent: number
  readonly misses: Readonly<Record<Reference, number>>
  readonly ours: number
  /** What our store held in the mean, in percent of what the others may. */
  readonly heldPercent: number
  /** Nobody can do better. Unknown where sizes differ. */
  readonly optimum: number | undefined
}

export function compare(workload: Workload, sharePercent: number, makeStore: MakeStore): Row {
  const { sizes } = workload
  const footprint = sizes.reduce((sum, size) => sum + size, 0)
  const capacity = Math.floor((footprint * sharePercent) / 100)
  const names = Object.keys(references) as Reference[] // the keys of a literal
  const misses = names.map(name => [name, missPercent(references[name]({ capacity, sizes }), workload)])
  const maxBytes = limitHolding({ capacity, sizes }, makeStore)
  const store = new StorePolicy({ make: makeStore, maxBytes, capacity, sizes })
  let heldSum = 0
  const ours = missPercent(store, workload, () => {
    heldSum += store.held
  })
  const counted = workload.requests.length - workload.countedFrom
  return {
    workload: workload.name,
    sharePercent,
    misses: Object.fromEntries(misses) as Row["misses"], // one of each name
    ours,
    heldPercent: (100 * heldSum) / counted / capacity,
    optimum: optimum(workload, capacity),
  }
}

function missPercent(policy: Policy, { requests, countedFrom }: Workload, afterCounted = () => {}): number {
  let misses = 0
  for (let at = 0; at < requests.length; at++) {
    const hit = policy.request(requests[at] as number) // within bounds
    if (at < countedFrom) continue
    if (!hit) misses += 1
    afterCounted()
  }
  return (100 * misses) / (requests.length - countedFrom)
}

function optimum({ requests, sizes, countedFrom }: Workload, capacity: number): number | undefined {
  const [size = 1] = sizes
  if (sizes.some(each => each !== size)) return undefined
  const hits = optimalHits(requests, Math.floor(capacity / size)).subarray(countedFrom)
  return 100 - (100 * hits.reduce((sum, hit) => sum + hit, 0)) / hits.length
}

/** Points are differences of percentages; what a table with one decimal would show as equal is equal. */
const equalWithinPoints = 0.05
const aimPointsAboveBest = 2

export type Verdict = {
  /** Above 0: worse. */
  readonly pointsAboveLru: number
  readonly pointsAboveBest: number
  readonly best: Reference
  readonly isAtMostLru: boolean
  readonly isNearBest: boolean
}

export function judge({ misses, ours }: Pick<Row, "misses" | "ours">): Verdict {
  const [[best, least]] = (Object.entries(misses) as [Reference, number][]).toSorted(([, a], [, b]) => a - b) as [
    [Reference, number], // there is more than one reference
  ]
  const pointsAboveLru = ours - misses.LRU
  const pointsAboveBest = ours - least
  return {
    pointsAboveLru,
    pointsAboveBest,
    best,
    isAtMostLru: pointsAboveLru <= equalWithinPoints,
    isNearBest: pointsAboveBest <= aimPointsAboveBest,
  }
}
