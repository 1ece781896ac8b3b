/**
 * How beats, suspicion and leases stretch with the number of members ("Detection"): a voter hears one beat per member
 * and interval, so the interval grows where there are many, and the other two follow from it.
 */
import type { Config } from "../../config.ts"

export type Times = { readonly beatMs: number; readonly suspectMs: number; readonly leaseMs: number }

/** Up to this many members the configured times hold. */
const smallCluster = 75
/** Above, one beat interval has this much room for each member. */
const beatMsPerMember = 2

export function timesFor(config: Config, memberCount: number): Times {
  if (memberCount <= smallCluster)
    return { beatMs: config.beatMs, suspectMs: config.suspectMs, leaseMs: config.leaseMs }
  const beatMs = Math.max(config.beatMs, beatMsPerMember * memberCount)
  return {
    beatMs,
    suspectMs: Math.max(config.suspectMs, (8 / 3) * beatMs),
    leaseMs: Math.max(config.leaseMs, (10 / 3) * beatMs),
  }
}
