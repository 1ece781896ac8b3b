/** One caller that waits for each answer: what a program feels that asks now and then. */
import { LatencyHistogram } from "../../../src/base/histogram.ts"
import type { Prng } from "../../../src/base/prng.ts"
import type { Target } from "../throughput/target.ts"

export type Lone = { readonly p50Us: number; readonly p99Us: number }

export async function lone(
  target: Target,
  options: { readonly ms: number; readonly readShare: number; readonly prng: Prng },
): Promise<Lone> {
  const { ms, readShare, prng } = options
  const value = new Uint8Array(100).fill(0x61)
  const latencies = new LatencyHistogram()
  for (const untilMs = performance.now() + ms; performance.now() < untilMs; ) {
    const key = `key:${String(prng.below(10_000)).padStart(12, "0")}`
    const beganMs = performance.now()
    await (prng.fraction() < readShare ? target.get(key) : target.set(key, value))
    latencies.record((performance.now() - beganMs) * 1_000)
  }
  return { p50Us: latencies.percentileUs(50), p99Us: latencies.percentileUs(99) }
}
