/** One cell of the table: a target asked in one way for a while, with the CPU that both sides used. */
import { Prng } from "../../../src/base/prng.ts"
import { cpuSecondsOf } from "../../cluster/cpu.ts"
import type { Target } from "./target.ts"

export const modes = ["64 callers", "Promise.all of 100", "many of 100"] as const
export type Mode = (typeof modes)[number]

export type Cell = { readonly opsPerSecond: number; readonly clientMicros: number; readonly serverMicros: number }

const keyCount = 10_000
const batch = 100
const callers = 64
const value = new Uint8Array(100).fill(0x61)
/** Sixteen bytes each. */
const keys = Array.from({ length: keyCount }, (_, i) => `key:${String(i).padStart(12, "0")}`)

/** Every key once, so that a read finds something. */
export async function fill(target: Target): Promise<void> {
  for (let i = 0; i < keyCount; i += batch)
    await target.setMany(keys.slice(i, i + batch).map(key => [key, value] as const))
}

export async function measure(
  target: Target,
  mode: Mode,
  options: { readonly ms: number; readonly readShare: number; readonly prng: Prng },
): Promise<Cell> {
  const { ms, readShare, prng } = options
  const pick = () => keys[prng.below(keyCount)] as string // the index is within bounds
  const one = () => (prng.fraction() < readShare ? target.get(pick()) : target.set(pick(), value))
  let count = 0
  const untilMs = performance.now() + ms
  const isOver = () => performance.now() >= untilMs
  const caller = async () => {
    while (!isOver()) {
      await one()
      count++
    }
  }
  const work: Record<Mode, () => Promise<unknown>> = {
    "64 callers": () => Promise.all(Array.from({ length: callers }, caller)),
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
  await work[mode]()
  const used = process.cpuUsage(clientBefore)
  return {
    opsPerSecond: (count * 1_000) / (performance.now() - fromMs),
    clientMicros: (used.user + used.system) / count,
    serverMicros: ((servers() - serverBefore) * 1e6) / count,
  }
}
