/**
 * Whether a limit in bytes holds for the process: churn of values of all sizes, then of small ones, then of large ones, and
 * again, so that the index has to grow and to shrink while memory is full. What comes in is copied first, as an owner of
 * a store does, so that garbage counts.
 */
import { Prng } from "../../../src/base/prng.ts"
import { setImmediate as turn } from "node:timers/promises"
import { evictingStore } from "../own-store.ts"
import { BenchKeys } from "./bench-keys.ts"
import { hashed } from "./engines.ts"
import { threadCpuMicros } from "./cpu-clock.ts"
import { heapAndBuffers, residentBytes, settledBytes } from "./resident.ts"

export type LimitJob = { readonly maxBytes: number; readonly seconds: number }

export type LimitResult = {
  /** Beyond the empty process, the most at any time. */
  readonly processBytes: number
  /** What of those was the engine's heap and what buffers, the store's and garbage. */
  readonly heapBytes: number
  readonly bufferBytes: number
  /** What the store says that it took of the process, the most at any time. */
  readonly storeBytes: number
  readonly mostEntries: number
  readonly evicted: number
  readonly writes: number
  /** CPU time, collections that fall into it included. */
  readonly longestOperationMs: number
}

type Era = { readonly name: string; readonly least: number; readonly most: number }

const longestValue = 2 ** 20
const eras: readonly Era[] = [
  { name: "10 B to 1 MiB", least: 10, most: longestValue },
  { name: "10 B to 1 KiB", least: 10, most: 2 ** 10 },
  { name: "64 KiB to 1 MiB", least: 2 ** 16, most: longestValue },
]
const rounds = 2
const keyBytes = 24
/** Of the operations; as many reads as this leaves. */
const writeShare = 0.6
const deleteShare = 0.1
/** Several times what fits, so that memory is full and most reads of small values miss. */
const footprintFactor = 3
/** A turn of the loop after so much CPU time, as a node gets to after a frame of requests. */
const sliceMicros = 1_000

export async function measureLimit(
  { maxBytes, seconds }: LimitJob,
  progress: (text: string) => void,
): Promise<LimitResult> {
  const prng = new Prng(1)
  const keys = new BenchKeys(keyBytes)
  const source = new Uint8Array(longestValue).fill(0x5a)
  const emptyBytes = await settledBytes()
  const store = evictingStore(maxBytes)
  const empty = heapAndBuffers()
  let most = { processBytes: 0, heapBytes: 0, bufferBytes: 0, storeBytes: 0, mostEntries: 0, longestOperationMs: 0 }
  let writes = 0
  const operate = ({ least, most: longest }: Era): void => {
    const meanBytes = keyBytes + (longest - least) / Math.log(longest / least)
    const key = hashed(keys.key(prng.below(Math.ceil((footprintFactor * maxBytes) / meanBytes))))
    const chance = prng.fraction()
    if (chance < deleteShare) store.delete(key)
    else if (chance >= deleteShare + writeShare) store.get(key)
    else {
      const value = source.slice(0, Math.floor(least * (longest / least) ** prng.fraction()))
      store.set(key, { value, flags: 0, version: ++writes, expiresAtMs: Number.POSITIVE_INFINITY })
    }
  }
  for (let round = 0; round < rounds; round++)
    for (const era of eras) {
      progress(`values of ${era.name}, ${store.entries.toLocaleString("en")} entries`)
      const endsAtMs = performance.now() + (1_000 * seconds) / (rounds * eras.length)
      while (performance.now() < endsAtMs) {
        const beganAt = threadCpuMicros()
        let longestMicros = 0
        for (let now = beganAt; now - beganAt < sliceMicros; ) {
          operate(era)
          const after = threadCpuMicros()
          longestMicros = Math.max(longestMicros, after - now)
          now = after
        }
        await turn()
        const processBytes = residentBytes() - emptyBytes
        if (processBytes > most.processBytes) most = { ...most, processBytes, ...growth(heapAndBuffers(), empty) }
        most.storeBytes = Math.max(most.storeBytes, store.memoryBytes)
        most.mostEntries = Math.max(most.mostEntries, store.entries)
        most.longestOperationMs = Math.max(most.longestOperationMs, longestMicros / 1e3)
      }
    }
  return { ...most, writes, evicted: store.counts.evicted }
}

type Parts = ReturnType<typeof heapAndBuffers>

function growth(now: Parts, before: Parts): Parts {
  return { heapBytes: now.heapBytes - before.heapBytes, bufferBytes: now.bufferBytes - before.bufferBytes }
}
