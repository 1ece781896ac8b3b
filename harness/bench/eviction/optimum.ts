/**
 * What nobody can beat: Belady's rule with the right to keep nothing (1966). Of what is held and what just came, that goes
 * which will be asked for last; it takes knowing the future. For keys of one size: for others the best is hard to compute.
 */
import { assert } from "../../../src/base/assert.ts"

const never = 0x7fff_ffff

/** For each request, whether it finds its key in a cache of so many. */
export function optimalHits(requests: Uint32Array, capacity: number): Uint8Array {
  const next = nextRequests(requests)
  const hits = new Uint8Array(requests.length)
  const held = new Set<number>()
  // When the held keys will be asked for. Each time belongs to one key; times in the past sink to the bottom and stay there.
  const soonestLast = new LatestFirst(requests.length)
  for (const [at, key] of requests.entries()) {
    const nextAt = next[at] ?? never
    if (held.has(key)) hits[at] = 1
    held.add(key)
    // Keeping what never comes again can only do harm.
    if (nextAt === never) {
      held.delete(key)
      continue
    }
    soonestLast.add(nextAt)
    if (held.size <= capacity) continue
    const latest = soonestLast.take()
    assert(latest > at, "a full cache holds keys that come again")
    held.delete(requests[latest] as number) // a time of a request
  }
  return hits
}

/** When the key of each request is asked for again. */
function nextRequests(requests: Uint32Array): Int32Array {
  const next = new Int32Array(requests.length)
  const seenAt = new Map<number, number>()
  for (let at = requests.length - 1; at >= 0; at--) {
    const key = requests[at] as number // within bounds
    next[at] = seenAt.get(key) ?? never
    seenAt.set(key, at)
  }
  return next
}

/** A binary heap of times, the latest on top. */
class LatestFirst {
  readonly #times: Int32Array
  #count = 0

  constructor(most: number) {
    this.#times = new Int32Array(most)
  }

  add(time: number): void {
    let place = this.#count++
    while (place > 0) {
      const above = (place - 1) >> 1
      if (this.#at(above) >= time) break
      this.#times[place] = this.#at(above)
      place = above
    }
    this.#times[place] = time
  }

  take(): number {
    assert(this.#count > 0, "there is something to take")
    const latest = this.#at(0)
    const time = this.#at(--this.#count)
    let place = 0
    for (let below = 1; below < this.#count; below = 2 * place + 1) {
      if (below + 1 < this.#count && this.#at(below + 1) > this.#at(below)) below += 1
      if (this.#at(below) <= time) break
      this.#times[place] = this.#at(below)
      place = below
    }
    this.#times[place] = time
    return latest
  }

  #at(place: number): number {
    return this.#times[place] as number // within the heap
  }
}
