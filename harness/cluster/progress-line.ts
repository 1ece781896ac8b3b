/** The one line that a person watches while a run goes on. Pure. */
import type { OperationFigures } from "./recorder.ts"

export type ProgressState = {
  readonly phase: string
  readonly elapsedMs: number
  readonly members: number
  /** Undefined while no load is on. */
  readonly load: { readonly perSecond: number; readonly figures: OperationFigures } | undefined
  /** In words: "crash of n7: 3 shards lack copies". */
  readonly fault: string | undefined
}

/** The fault goes last: it is the longest, and a narrow terminal cuts the end. */
export function progressLine({ phase, elapsedMs, members, load, fault }: ProgressState): string {
  const parts = [`${(elapsedMs / 1_000).toFixed(0).padStart(3)} s  ${phase}`, `${members} members`]
  if (load) {
    const { p50Ms, p99Ms } = load.figures
    parts.push(
      `${Math.round(load.perSecond).toLocaleString("en")} ops/s`,
      `p50 ${p50Ms.toFixed(1)} ms`,
      `p99 ${p99Ms.toFixed(1)} ms`,
    )
  }
  if (fault) parts.push(fault)
  return parts.join("  ")
}
