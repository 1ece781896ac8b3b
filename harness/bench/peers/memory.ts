/** What an entry costs: by how much the process of a server grows when so many are set, over what it had before. */
import { readFileSync } from "node:fs"
import type { Peer } from "./targets.ts"

export type EntryCost = { readonly name: string; readonly bytesPerEntry: number }

const batch = 1_000

/** Of targets that have one server each; the others' entries stand in several processes, in copies. */
export async function entryCost(target: Peer, entries: number, said: (done: number) => void): Promise<EntryCost> {
  const value = new Uint8Array(100)
  const before = residentBytes(target.pids)
  for (let from = 0; from < entries; from += batch) {
    const count = Math.min(batch, entries - from)
    await target.setMany(
      Array.from({ length: count }, (_, i) => {
        // Bytes of their own for each, so that nothing can be shared.
        const own = value.slice()
        new DataView(own.buffer).setUint32(0, from + i)
        return [`mem:${String(from + i).padStart(12, "0")}`, own] as const
      }),
    )
    if (from % 100_000 === 0) said(from)
  }
  return { name: target.name, bytesPerEntry: (residentBytes(target.pids) - before) / entries }
}

function residentBytes(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const kib = Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1])
    return sum + kib * 1_024
  }, 0)
}
