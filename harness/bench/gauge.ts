/**
 * What a cluster of real nodes is like for who uses it while something goes on: a steady, small load whose latencies are told for each
 * stretch of time. Open: an operation counts from when it was due, so that a pause is felt by all that fall into it.
 */
import { Prng } from "../../src/base/prng.ts"
import { CacheClient, CacheError } from "../../src/client/client.ts"
import type { Address } from "../../src/protocol/message.ts"
import { Load, type LoadAnswer, type LoadOperation, type LoadResult } from "./load/load.ts"

export type GaugeOptions = {
  readonly cache: CacheClient
  readonly keyOf: (index: number) => string
  readonly keys: number
  readonly value: Uint8Array
  readonly setShare: number
  /** Operations a second. */
  readonly rate: number
}

const pipeline = 256
/** Under way while keys are written. */
const batch = 512
const batches = 4

/** Loads until it is stopped. */
export function gauge({ cache, keyOf, keys, value, setShare, rate }: GaugeOptions): Load {
  const prng = new Prng(1)
  const perform = async (operation: LoadOperation, index: number): Promise<LoadAnswer> => {
    try {
      if (operation === "get") return { kind: (await cache.get(keyOf(index))) === undefined ? "miss" : "hit" }
      await cache.set(keyOf(index), value)
      return { kind: "stored" }
    } catch (error) {
      if (error instanceof CacheError) return { kind: "failed", code: error.code }
      throw error
    }
  }
  const nowMs = () => performance.now()
  const pickKey = () => prng.below(keys)
  return new Load({ ...{ perform, pickKey, prng, clients: 1, pipeline, setShare, rate, nowMs } })
}

/** Writes the keys from 0 on, until all are written or time is up; answers how many were. */
export async function writeKeys(options: {
  readonly cache: CacheClient
  readonly keyOf: (index: number) => string
  readonly keys: number
  readonly value: Uint8Array
  /** What is left of an entry's life when it is written. */
  readonly ttlMs?: () => number
  readonly untilMs?: number
  readonly progress: (written: number) => void
}): Promise<number> {
  const { cache, keyOf, keys, value, ttlMs, untilMs = Number.POSITIVE_INFINITY, progress } = options
  let next = 0
  const writer = async () => {
    while (next < keys && performance.now() < untilMs) {
      const from = next
      next = Math.min(keys, from + batch)
      const entries = Array.from({ length: next - from }, (_, i) => [keyOf(from + i), value] as const)
      await cache.setMany(entries, ttlMs === undefined ? {} : { ttlMs: ttlMs() })
      progress(next)
    }
  }
  await Promise.all(Array.from({ length: batches }, writer))
  return next
}

export function latencyRow(what: string, { all, elapsedMs, failures, dropped }: LoadResult): string[] {
  const ms = (percent: number) => `${(all.latency.percentileUs(percent) / 1_000).toFixed(2)} ms`
  const failed = Object.values(failures).reduce((sum, count) => sum + count, dropped)
  const seconds = `${(elapsedMs / 1_000).toFixed(1)} s`
  const max = `${(all.latency.maxUs / 1_000).toFixed(1)} ms`
  return [what, seconds, String(all.count), ms(50), ms(99), ms(99.9), max, String(failed)]
}

export const latencyTitles = ["", "during", "operations", "p50", "p99", "p99.9", "max", "failed"]

/** The longest that a node's event loop was late since this was last asked, in ms. */
export async function longestDelayMs(node: Address): Promise<number> {
  const text = await (await fetch(`http://${node}/metrics`)).text()
  return Number(/^nodejs_eventloop_lag_max_seconds (\S+)$/m.exec(text)?.[1] ?? Number.NaN) * 1_000
}
