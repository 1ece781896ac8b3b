/**
 * How long the longest collection of garbage took. Where others use the machine, the clock says how long a collection waited for
 * a core as well; it cannot have worked for longer than the CPU that all threads used in the turn that it fell into.
 */

export type Collection = { readonly beganAtMs: number; readonly ms: number }

/** Turns of the event loop, one after another: when each ended and how much CPU all threads used in it. */
export type Turns = { readonly endedAtMs: Float64Array; readonly processCpuMs: Float64Array }

export function longestCollectionMs(collections: readonly Collection[], { endedAtMs, processCpuMs }: Turns): number {
  let longestMs = 0
  let turn = 0
  for (const { beganAtMs, ms } of collections.toSorted((a, b) => a.beganAtMs - b.beganAtMs)) {
    while (turn < endedAtMs.length && (endedAtMs[turn] ?? 0) <= beganAtMs) turn += 1
    longestMs = Math.max(longestMs, Math.min(ms, processCpuMs[turn] ?? ms))
  }
  return longestMs
}
