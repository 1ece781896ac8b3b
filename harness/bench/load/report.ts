/** What a bench found, for people. Pure; who draws tables is told from outside. */
import type { BenchProgress, BenchReport, OperationReport } from "./run.ts"

export type DrawTable = (
  columns: readonly { readonly title: string; readonly align: "left" | "right" }[],
  rows: readonly (readonly string[])[],
) => string

export function benchProgressLine(state: BenchProgress): string {
  if (state.phase === "filling") return `writing keys: ${Math.floor((state.written / state.keys) * 100)} %`
  const seconds = `${(state.elapsedMs / 1_000).toFixed(0).padStart(3)} s`
  if (!state.window) return `${seconds}  no answers`
  const { perSecond, p50Ms, p99Ms } = state.window
  return `${seconds}  ${whole(perSecond)} ops/s  p50 ${milliseconds(p50Ms)}  p99 ${milliseconds(p99Ms)}`
}

export function benchText(report: BenchReport, draw: DrawTable): string {
  const right = (title: string) => ({ title, align: "right" as const })
  const { get, set, all } = report.operations
  const rows = [
    ...(get.count > 0 ? [row("get", get)] : []),
    ...(set.count > 0 ? [row("set", set)] : []),
    ...(get.count > 0 && set.count > 0 ? [row("all", all)] : []),
  ]
  const drawn = draw(
    [
      { title: "operation", align: "left" },
      ...["count", "a second", "p50", "p90", "p99", "p99.9", "max", "failed"].map(right),
    ],
    rows,
  )
  const counted =
    report.rate === null ? "corrected for the questions that a late answer held back" : "from when it was due"
  const lines = [
    `latency ${counted}; ${report.clients} clients with up to ${report.pipeline} calls at once, ${report.members} members`,
    ...(report.hitRatio === null ? [] : [`${(report.hitRatio * 100).toFixed(1)} % of the reads found their key`]),
    `${report.clientCpuUs.toFixed(1)} µs of CPU an operation in this process; at one full core it is what limits the figure, not the cluster`,
    ...(report.rate === null ? [] : [rateLine(report)]),
    ...Object.entries(report.failures).map(([code, count]) => `${whole(count)} operations failed: ${code}`),
  ]
  return `${drawn}\n${lines.join("\n")}\n`
}

function rateLine({ rate, operations, dropped }: BenchReport): string {
  const reached = `${whole(operations.all.perSecond)} of ${whole(rate ?? 0)} operations a second`
  return dropped === 0 ? reached : `${reached}; ${whole(dropped)} fell due and could not be asked: more than it bears`
}

function row(name: string, { count, perSecond, failed, ...times }: OperationReport): string[] {
  const { p50Ms, p90Ms, p99Ms, p999Ms, maxMs } = times
  return [
    name,
    whole(count),
    whole(perSecond),
    ...[p50Ms, p90Ms, p99Ms, p999Ms, maxMs].map(milliseconds),
    whole(failed),
  ]
}

function whole(value: number): string {
  return Math.round(value).toLocaleString("en")
}

function milliseconds(ms: number): string {
  if (ms < 10) return `${ms.toFixed(2)} ms`
  return ms < 100 ? `${ms.toFixed(1)} ms` : `${whole(ms)} ms`
}
