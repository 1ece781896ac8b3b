/** One cell of a table: a target asked in one way for a while, with the CPU that both sides used. */
import type { Prng } from "../../../src/base/prng.ts"
import { cpuSecondsOf, median } from "../../cluster/cpu.ts"
import type { Target } from "./target.ts"

export const modes = ["64 callers", "Promise.all of 100", "many of 100"] as const
export type Mode = (typeof modes)[number]

export type Cell = { readonly opsPerSecond: number; readonly clientMicros: number; readonly serverMicros: number }

/** Keys of sixteen bytes, and what is under each of them. */
export type Entries = { readonly keys: readonly string[]; readonly value: Uint8Array }

export function entriesOf(count: number, valueBytes: number): Entries {
  const keys = Array.from({ length: count }, (_, i) => `key:${String(i).padStart(12, "0")}`)
  return { keys, value: new Uint8Array(valueBytes).fill(0x61) }
}

export const usualEntries = entriesOf(10_000, 100)

const batch = 100
const callersOf: Readonly<Record<Mode, number>> = { "64 callers": 64, "Promise.all of 100": 1, "many of 100": 1 }
/** Written at once, of large values. */
const fillBytes = 4 * 2 ** 20

/** Every key once, so that a read finds something. */
export async function fill(target: Target, { keys, value }: Entries = usualEntries): Promise<void> {
  const together = Math.max(1, Math.min(batch, Math.floor(fillBytes / value.length)))
  for (let i = 0; i < keys.length; i += together)
    await target.setMany(keys.slice(i, i + together).map(key => [key, value] as const))
}

export type MeasureOptions = {
  readonly ms: number
  readonly readShare: number
  readonly prng: Prng
  readonly entries?: Entries
  /** Of "64 callers", others than so many. */
  readonly callers?: number
}

export async function measure(
  target: Target,
  mode: Mode,
  { ms, readShare, prng, entries = usualEntries, callers = callersOf[mode] }: MeasureOptions,
): Promise<Cell> {
  const { keys, value } = entries
  const pick = () => keys[prng.below(keys.length)] as string // the index is within bounds
  const one = () => (prng.fraction() < readShare ? target.get(pick()) : target.set(pick(), value))
  let count = 0
  const untilMs = performance.now() + ms
  const isOver = () => performance.now() >= untilMs
  const work: Record<Mode, () => Promise<unknown>> = {
    "64 callers": async () => {
      while (!isOver()) {
        await one()
        count++
      }
    },
    "Promise.all of 100": async () => {
      for (; !isOver(); count += batch) await Promise.all(Array.from({ length: batch }, one))
    },
    "many of 100": async () => {
      for (; !isOver(); count += batch) {
        const chosen = Array.from({ length: batch }, pick)
        if (prng.fraction() < readShare) await target.getMany(chosen)
        else await target.setMany(chosen.map(key => [key, value] as const))
      }
    },
  }
  const servers = () => target.pids.reduce((sum, pid) => sum + cpuSecondsOf(pid), 0)
  const fromMs = performance.now()
  const [clientBefore, serverBefore] = [process.cpuUsage(), servers()]
  await Promise.all(Array.from({ length: callers }, work[mode]))
  const used = process.cpuUsage(clientBefore)
  return {
    opsPerSecond: (count * 1_000) / (performance.now() - fromMs),
    clientMicros: (used.user + used.system) / count,
    serverMicros: ((servers() - serverBefore) * 1e6) / count,
  }
}

/** The medians of what several rounds told. */
export function middle(cells: readonly Cell[]): Cell {
  const of = (field: keyof Cell) => median(cells.map(cell => cell[field]))
  return { opsPerSecond: of("opsPerSecond"), clientMicros: of("clientMicros"), serverMicros: of("serverMicros") }
}

export function cellText({ opsPerSecond, clientMicros, serverMicros }: Cell): string {
  return `${(opsPerSecond / 1_000).toFixed(1)} k; ${clientMicros.toFixed(1)} / ${serverMicros.toFixed(1)}`
}
