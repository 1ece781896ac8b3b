/**
 * After the last write: every key is read through three different nodes. What they answer goes into the history like any
 * other read, so that the checker judges it with everything else.
 */
import type { Prng } from "../../src/base/prng.ts"
import type { Recorder } from "./recorder.ts"
import type { CacheAccess } from "./workload.ts"

export const readsPerKey = 3
/** Reads under way through one node. */
const readersPerNode = 4

export type ReadBackOptions = {
  readonly keys: readonly string[]
  /** One way through each node. */
  readonly ways: readonly CacheAccess[]
  readonly prng: Prng
  readonly recorder: Recorder
  /** Numbers of processes from here on are unused. */
  readonly firstProcess: number
  readonly nowNs: () => number
}

export async function readBack(options: ReadBackOptions): Promise<{ reads: number; unanswered: number }> {
  const { keys, ways, prng, firstProcess } = options
  const keysOfWay = ways.map((): string[] => [])
  for (const key of keys) for (const list of prng.shuffled(keysOfWay).slice(0, readsPerKey)) list.push(key)
  // Before the readers take them off the lists.
  const reads = keysOfWay.reduce((sum, list) => sum + list.length, 0)
  const readers = ways.flatMap((way, wayIndex) =>
    Array.from({ length: readersPerNode }, (_, i) =>
      readAll(keysOfWay[wayIndex] ?? [], way, firstProcess + wayIndex * readersPerNode + i, options),
    ),
  )
  const unanswered = await Promise.all(readers)
  return {
    reads: unanswered.reduce((sum, count) => sum - count, reads),
    unanswered: unanswered.reduce((sum, count) => sum + count, 0),
  }
}

/** Takes keys off the list until it is empty; the readers of one way share it. */
async function readAll(
  list: string[],
  way: CacheAccess,
  process: number,
  { recorder, nowNs }: ReadBackOptions,
): Promise<number> {
  let unanswered = 0
  for (let key = list.pop(); key !== undefined; key = list.pop()) {
    const callNs = nowNs()
    const { ending, value } = await way.perform({ key, op: "get" })
    recorder.record({ process, key, action: { op: "get", value }, callNs, returnNs: nowNs(), ending })
    if (ending.kind !== "done") unanswered++
  }
  return unanswered
}
