/** How often a small store finds what it is asked for: what the tests of eviction look at. */
import { mix32 } from "../../base/hash.ts"
import { Prng } from "../../base/prng.ts"
import { ArenaStore, ownedAlone } from "../arena-store.ts"
import type { Eviction } from "../store.ts"

/** Of keys asked for in this order, and set when they are not there, how many are found; in a store with room for so many of them. */
export function hitRatio(eviction: Eviction, keys: readonly number[], entries: number): number {
  const shape = { segmentBytes: 2_048, partitionBits: 4, tableEntries: 512 }
  // A record of 40 bytes and its slot.
  const store = new ArenaStore({ ...ownedAlone, maxBytes: entries * 56 + 8_192, eviction, shape })
  let hits = 0
  for (const n of keys) {
    const key = { bytes: new TextEncoder().encode(`key ${n}`), position: mix32(n) }
    if (store.get(key) !== undefined) hits += 1
    else store.set(key, { value: new Uint8Array(4), flags: 0, version: 1, expiresAtMs: Number.POSITIVE_INFINITY })
  }
  return hits / keys.length
}

/** Drawn by how often each rank comes in a Zipf distribution of this exponent. */
export function zipf(count: number, keys: number, exponent: number): number[] {
  const prng = new Prng(11)
  const sums = new Float64Array(keys)
  let sum = 0
  for (let rank = 0; rank < keys; rank++) {
    sum += (rank + 1) ** -exponent
    sums[rank] = sum
  }
  return Array.from({ length: count }, () => {
    const wanted = prng.fraction() * sum
    let low = 0
    let high = keys - 1
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((sums[middle] as number) < wanted) low = middle + 1
      else high = middle
    }
    return low
  })
}
