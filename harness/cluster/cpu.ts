/** How much of a core processes have used, as Linux counts it. Elsewhere there is no /proc, and these throw. */
import { readFileSync } from "node:fs"

/** The unit of the times in /proc; the kernel has shown hundredths of a second to programs since the nineties. */
const ticksPerSecond = 100

/** CPU time of one process so far, in seconds. */
export function cpuSecondsOf(pid: number): number {
  // The name in brackets may hold anything, spaces too; the fields after it are numbered from 3.
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  const [user, system] = [Number(fields[14 - 3]), Number(fields[15 - 3])]
  return (user + system) / ticksPerSecond
}

/** Time that all cores together have spent working, and idle, in seconds. */
export function machineSeconds(): { readonly busy: number; readonly idle: number } {
  const [line = ""] = readFileSync("/proc/stat", "utf8").split("\n", 1)
  const ticks = line.split(/\s+/).slice(1).map(Number)
  const idle = (ticks[3] ?? 0) + (ticks[4] ?? 0)
  // Guest time, the last two fields, is counted in the first two already.
  const all = ticks.slice(0, 8).reduce((sum, each) => sum + each, 0)
  return { busy: (all - idle) / ticksPerSecond, idle: idle / ticksPerSecond }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const [low = Number.NaN, high = Number.NaN] =
    sorted.length % 2 ? [sorted[middle], sorted[middle]] : sorted.slice(middle - 1, middle + 1)
  return (low + high) / 2
}
