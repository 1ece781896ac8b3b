/** What the store is to reach, and whether it does. */
import { median } from "../../cluster/cpu.ts"
import type { EngineName } from "./engines.ts"
import type { ExpiryResult } from "./expiry.ts"
import type { LimitJob, LimitResult } from "./limit.ts"
import type { Phase } from "./phase.ts"
import { type SpeedJob, type SpeedResult, valueBytes } from "./speed.ts"

export type Aim = { readonly what: string; readonly measured: string; readonly aim: string; readonly isMet: boolean }

/** What one engine showed at one size. */
export type Measured = Omit<SpeedJob, "operations"> & { readonly result: SpeedResult }

/** Bytes an entry beyond key and value. With few entries, what the process itself grows by weighs more. */
const mostOverheadBytes: Readonly<Record<number, number>> = { 1e6: 75, 5e6: 54, 20e6: 46 }
const mostGrowthFactor = 1.25
/** Of fewer entries, a million overwrites are many times all, and what the process itself grows by is more than theirs. */
const growthFromEntries = 1e6
/** Promised up to so many entries. */
const pausesUpToEntries = 5e6
const longestSliceMs = 5
const longestGcMs = 15

export function overheadBytes({ keyBytes, result }: Pick<Measured, "keyBytes" | "result">): number {
  return result.entryBytes - keyBytes - valueBytes
}

export function speedAims(ours: Measured, map: Measured | undefined): Aim[] {
  const { entries, result } = ours
  const aims: Aim[] = []
  const atMost = (what: string, measured: number, most: number | undefined, unit: string, digits: number) => {
    if (most === undefined) return
    aims.push({ what, measured: `${measured.toFixed(digits)}${unit}`, aim: `${most}${unit}`, isMet: measured <= most })
  }
  atMost("beyond key and value", overheadBytes(ours), mostOverheadBytes[entries], " B", 0)
  if (entries >= growthFromEntries)
    atMost("memory after overwrites with other sizes", result.growthFactor, mostGrowthFactor, " times", 2)
  if (entries <= pausesUpToEntries) {
    const overwrites = [result.sameSize, result.otherSize]
    const longest = (of: (phase: Phase) => number) => Math.max(...overwrites.map(of))
    atMost(
      "longest slice under overwrites, CPU",
      longest(phase => phase.longestSliceMs),
      longestSliceMs,
      " ms",
      1,
    )
    atMost(
      "longest collection under overwrites",
      longest(phase => phase.longestGcMs),
      longestGcMs,
      " ms",
      1,
    )
  }
  if (map !== undefined) {
    const againstMap = (
      what: string,
      of: (result: SpeedResult) => Phase,
      isMet: (ratio: number) => boolean,
      aim: string,
    ) => {
      const ratio = of(result).cpuNs / of(map.result).cpuNs
      aims.push({ what, measured: `${ratio.toFixed(2)} of a Map's`, aim, isMet: isMet(ratio) })
    }
    againstMap(
      "get, hit",
      ({ hit }) => hit,
      ratio => ratio <= 1,
      "at most 1",
    )
    for (const [what, of] of [
      ["get, miss", ({ miss }: SpeedResult) => miss],
      ["overwrite, same size", ({ sameSize }: SpeedResult) => sameSize],
      ["overwrite, other size", ({ otherSize }: SpeedResult) => otherSize],
    ] as const)
      againstMap(what, of, ratio => ratio < 1, "below 1")
  }
  return aims
}

const mostOverLimit = 1.1

export function limitAims({ maxBytes }: LimitJob, result: LimitResult): Aim[] {
  const share = (bytes: number) => `${((100 * bytes) / maxBytes).toFixed(1)} % of the limit`
  return [
    {
      what: "process memory beyond the empty process, at most",
      measured: share(result.processBytes),
      aim: "110 %",
      isMet: result.processBytes <= mostOverLimit * maxBytes,
    },
    {
      what: "what the store says it takes, at most",
      measured: share(result.storeBytes),
      aim: "100 %",
      isMet: result.storeBytes <= maxBytes,
    },
  ]
}

const goneWithinMs = 2_000
const longestExpirySliceMs = 10

export function expiryAims({ wallMs, longestSliceMs: slice }: ExpiryResult): Aim[] {
  return [
    {
      what: "until all are gone",
      measured: `${wallMs.toFixed(0)} ms`,
      aim: `${goneWithinMs} ms`,
      isMet: wallMs <= goneWithinMs,
    },
    {
      what: "longest slice meanwhile, CPU",
      measured: `${slice.toFixed(1)} ms`,
      aim: `${longestExpirySliceMs} ms`,
      isMet: slice <= longestExpirySliceMs,
    },
  ]
}

/** Of several rounds: medians, and of what is a longest or a largest the largest. */
export function combined(results: readonly SpeedResult[]): SpeedResult {
  const middle = (of: (result: SpeedResult) => number) => median(results.map(of))
  const phase = (of: (result: SpeedResult) => Phase): Phase => ({
    cpuNs: middle(result => of(result).cpuNs),
    wallNs: middle(result => of(result).wallNs),
    allCpuNs: middle(result => of(result).allCpuNs),
    longestSliceMs: Math.max(...results.map(result => of(result).longestSliceMs)),
    longestGcMs: Math.max(...results.map(result => of(result).longestGcMs)),
    longestDelayMs: Math.max(...results.map(result => of(result).longestDelayMs)),
  })
  return {
    entryBytes: middle(({ entryBytes }) => entryBytes),
    heapEntryBytes: middle(({ heapEntryBytes }) => heapEntryBytes),
    growthFactor: middle(({ growthFactor }) => growthFactor),
    fill: phase(({ fill }) => fill),
    hit: phase(({ hit }) => hit),
    miss: phase(({ miss }) => miss),
    sameSize: phase(({ sameSize }) => sameSize),
    otherSize: phase(({ otherSize }) => otherSize),
  }
}

export function mapBeside(ours: Measured, all: readonly Measured[]): Measured | undefined {
  const isBeside = ({ engine, entries, keyBytes }: Measured) =>
    engine === ("map" satisfies EngineName) && entries === ours.entries && keyBytes === ours.keyBytes
  return all.find(isBeside)
}
