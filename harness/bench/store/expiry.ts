/** How long it takes until entries that expire at one instant are gone, and what the rest of the process has to wait. */
import { setImmediate as turn } from "node:timers/promises"
import { copyOf } from "../../../src/base/bytes.ts"
import type { HashedKey } from "../../../src/store/store.ts"
import { roomyStore } from "../own-store.ts"
import { BenchKeys } from "./bench-keys.ts"
import { threadCpuMicros } from "./cpu-clock.ts"
import { hashed } from "./engines.ts"
import { valueBytes } from "./speed.ts"

export type ExpiryJob = { readonly entries: number; readonly keyBytes: number }

export type ExpiryResult = {
  readonly wallMs: number
  readonly cpuMs: number
  /** CPU time of the thread between two turns. */
  readonly longestSliceMs: number
}

const expiresAtMs = 1_000
/** Nominated between two turns, each of which an owner then deletes. */
const sweepLimit = 500

export async function measureExpiry(
  { entries, keyBytes }: ExpiryJob,
  progress: (text: string) => void,
): Promise<ExpiryResult> {
  const keys = new BenchKeys(keyBytes)
  const value = new Uint8Array(valueBytes)
  const store = roomyStore()
  progress("fill")
  for (let index = 0; index < entries; index++)
    store.set(hashed(keys.key(index)), { value, flags: 0, version: index + 1, expiresAtMs })
  await turn()
  let longestSliceMicros = 0
  const [beganAtMs, cpuBefore] = [performance.now(), threadCpuMicros()]
  for (let turnedAt = cpuBefore; store.entries > 0; ) {
    const expired: HashedKey[] = []
    store.sweep(expiresAtMs, sweepLimit, (key, position) => expired.push({ bytes: copyOf(key), position }))
    for (const key of expired) store.delete(key)
    await turn()
    const now = threadCpuMicros()
    longestSliceMicros = Math.max(longestSliceMicros, now - turnedAt)
    turnedAt = now
  }
  const cpuMs = (threadCpuMicros() - cpuBefore) / 1e3
  return { wallMs: performance.now() - beganAtMs, cpuMs, longestSliceMs: longestSliceMicros / 1e3 }
}
