/**
 * Latencies in fixed memory: counts in buckets that are linear within each power of two (Gil Tene's HdrHistogram), so
 * that a percentile is at most 1/64 too high anywhere from a microsecond to a day. Merging loses nothing.
 */
import { assert } from "./assert.ts"

const bucketsPerOctave = 64
/** Up to here every value has a bucket of its own. */
const exactBelow = 2 * bucketsPerOctave
/** About 19 hours in microseconds. Longer ones are counted as this long; `max` still tells. */
const longestUs = 2 ** 36 - 1
const bucketCount = bucketOf(longestUs) + 1

export class LatencyHistogram {
  readonly #counts = new Float64Array(bucketCount)
  #count = 0
  #maxUs = 0
  #sumUs = 0

  get count(): number {
    return this.#count
  }

  /** The longest, exactly; 0 when there is none. */
  get maxUs(): number {
    return this.#maxUs
  }

  /** Of all, exactly. */
  get sumUs(): number {
    return this.#sumUs
  }

  /** How many did not exceed this; those in the bucket that it cuts through, at most 1/64 below it, are left out. */
  countAtMost(us: number): number {
    let count = 0
    for (let bucket = 0; bucket < bucketCount && lastOf(bucket) <= us; bucket++) count += this.#counts[bucket] ?? 0
    return count
  }

  /** Fractions count as the next whole microsecond. */
  record(us: number): void {
    assert(us >= 0, "a latency is not negative")
    this.#add(us, 1)
  }

  #add(us: number, times: number): void {
    const bucket = bucketOf(Math.min(Math.ceil(us), longestUs))
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + times
    this.#count += times
    this.#sumUs += us * times
    this.#maxUs = Math.max(this.#maxUs, us)
  }

  /**
   * The latency that so many percent did not exceed, rounded up within its bucket: a service is not praised by rounding.
   * 0 when nothing was recorded.
   */
  percentileUs(percent: number): number {
    assert(percent >= 0 && percent <= 100, "a percentile is from 0 to 100")
    const rank = Math.max(1, Math.ceil((percent / 100) * this.#count))
    let seen = 0
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      seen += this.#counts[bucket] ?? 0
      if (seen < rank) continue
      // The last bucket has no upper end, and no other has a higher one than the longest of all.
      return bucket === bucketCount - 1 ? this.#maxUs : Math.min(lastOf(bucket), this.#maxUs)
    }
    return this.#maxUs
  }

  /**
   * As it would be if the caller had asked every `intervalUs`, rather than waited for a late answer: each longer latency
   * stands for all those that would have fallen into its wait (Gil Tene, "How NOT to measure latency": coordinated
   * omission; the rule is HdrHistogram's). An interval of 0 changes nothing.
   */
  corrected(intervalUs: number): LatencyHistogram {
    const corrected = new LatencyHistogram()
    corrected.merge(this)
    if (intervalUs <= 0) return corrected
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      const count = this.#counts[bucket] ?? 0
      if (count === 0) continue
      for (let us = Math.min(lastOf(bucket), this.#maxUs) - intervalUs; us >= intervalUs; us -= intervalUs)
        corrected.#add(us, count)
    }
    return corrected
  }

  merge(other: LatencyHistogram): void {
    for (let bucket = 0; bucket < bucketCount; bucket++)
      this.#counts[bucket] = (this.#counts[bucket] ?? 0) + (other.#counts[bucket] ?? 0)
    this.#count += other.#count
    this.#sumUs += other.#sumUs
    this.#maxUs = Math.max(this.#maxUs, other.#maxUs)
  }
}

function bucketOf(us: number): number {
  if (us < exactBelow) return us
  // How often to halve it until it fits one octave: 128 to 255 once, 256 to 511 twice.
  const halvings = Math.floor(Math.log2(us)) - Math.log2(bucketsPerOctave)
  return halvings * bucketsPerOctave + Math.floor(us / 2 ** halvings)
}

/** The largest whole number in the bucket. */
function lastOf(bucket: number): number {
  if (bucket < exactBelow) return bucket
  const halvings = Math.floor(bucket / bucketsPerOctave) - 1
  const first = bucket - halvings * bucketsPerOctave
  return (first + 1) * 2 ** halvings - 1
}
