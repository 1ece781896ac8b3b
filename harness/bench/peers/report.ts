/** What was found, for people. Pure. */
import { median } from "../../cluster/cpu.ts"
import { formatTable } from "../format-table.ts"
import { cellText, modes } from "../throughput/measure.ts"
import type { Failover } from "./failover.ts"
import type { EntryCost } from "./memory.ts"
import { type Ratio, verdictOf } from "./ratios.ts"
import { readShares, type Speed } from "./speed.ts"

export type Failovers = { readonly name: string; readonly runs: readonly Failover[] }

export function speedText(speed: readonly Speed[]): string {
  const tables = readShares.map(reads => {
    const rows = speed.map(({ name, cell }) => [
      name,
      ...modes.map(mode => {
        const measured = cell(mode, reads)
        return measured === undefined ? "refused" : cellText(measured)
      }),
    ])
    return `${reads * 100} % reads: operations a second; CPU µs an operation, client / servers\n${formatTable(["CACHE", ...modes], rows, 1)}`
  })
  const lone = speed.map(({ name, lone }) => [name, lone?.p50Us.toFixed(0) ?? "-", lone?.p99Us.toFixed(0) ?? "-"])
  return [...tables, `one at a time, 90 % reads, µs\n${formatTable(["CACHE", "p50", "p99"], lone, 1)}`].join("\n")
}

export function memoryText(memory: readonly EntryCost[]): string {
  const rows = memory.map(({ name, bytesPerEntry, processBytes, entries, tookSeconds }) => [
    name,
    entries.toLocaleString("en"),
    bytesPerEntry.toFixed(0),
    `${(processBytes / 2 ** 20).toFixed(0)} MiB`,
    `${tookSeconds.toFixed(0)} s`,
  ])
  return formatTable(["MEMORY", "ENTRIES", "BYTES AN ENTRY (116 of key and value)", "PROCESS", "SET IN"], rows, 1)
}

export function failoverText(failovers: readonly Failovers[]): string {
  const rows = failovers.map(({ name, runs }) => {
    const times = runs.map(({ writableAfterMs }) => writableAfterMs)
    const sum = (of: (run: Failover) => number) => runs.reduce((total, run) => total + of(run), 0)
    return [
      name,
      String(runs.length),
      `${median(times).toFixed(0)} ms`,
      `${Math.max(...times).toFixed(0)} ms`,
      `${sum(run => run.lostWrites)} of ${sum(run => run.acknowledgedWrites).toLocaleString("en")}`,
    ]
  })
  return formatTable(
    ["PRIMARY KILLED", "TIMES", "ALL KEYS WRITTEN AGAIN AFTER", "WORST", "ACKNOWLEDGED, LOST"],
    rows,
    1,
  )
}

export function ratioText(ratios: readonly Ratio[]): string {
  const rows = ratios
    .filter(({ reached }) => reached !== undefined)
    .map(ratio => [
      ratio.against,
      ratio.figure,
      ratio.reached?.toFixed(2) ?? "-",
      `${ratio.better === "more" ? ">=" : "<="} ${ratio.must}`,
      String(ratio.aim),
      verdictOf(ratio),
    ])
  return formatTable(["AGAINST", "FIGURE", "RATIO", "MUST", "AIM", "REACHED"], rows, 2)
}
