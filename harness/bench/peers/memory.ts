/**
 * What an entry costs: by how much the process of a server grows when so many are set, over what it had before. Before, each
 * has been asked as hard as it will be, for a few keys: what a process takes once it has anything to do is no entry's.
 */
import { readFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { Prng } from "../../../src/base/prng.ts"
import { within } from "../patience.ts"
import type { Peer } from "./targets.ts"

export type EntryCost = {
  readonly name: Peer["name"]
  /** Of them, 116 are key and value. */
  readonly bytesPerEntry: number
  /** The whole process, in the end. */
  readonly processBytes: number
  readonly entries: number
  readonly tookSeconds: number
}

const batch = 1_000
const valueBytes = 100
const warmUpBatches = 500
/** One batch, on a machine that does other things as well. */
const batchWithinMs = 20_000
/** In which what was under way is given back, as far as it ever is. */
const settleMs = 1_000
/** Entries that are looked for afterwards: a server that forgot some would seem to need little memory. */
const sample = 1_000

/** Of targets that have one server each; the others' entries stand in several processes, in copies. */
export async function entryCost(
  target: Peer,
  options: { readonly entries: number; readonly withinMs: number; readonly progress: (done: number) => void },
): Promise<EntryCost> {
  const { entries, withinMs, progress } = options
  for (let i = 0; i < warmUpBatches; i++) await within(batchWithinMs, "warming up", target.setMany(batchFrom(0, batch)))
  await sleep(settleMs)
  const before = residentBytes(target.pids)
  const beganMs = performance.now()
  for (let from = 0; from < entries; from += batch) {
    if (performance.now() - beganMs > withinMs)
      throw new Error(`${from} of ${entries} entries were set within ${withinMs / 1_000} s`)
    const count = Math.min(batch, entries - from)
    await within(batchWithinMs, `setting entries from ${from}`, target.setMany(batchFrom(from, count)))
    if (from % 100_000 === 0) progress(from)
  }
  const tookSeconds = (performance.now() - beganMs) / 1_000
  await allThere(target, entries)
  await sleep(settleMs)
  const processBytes = residentBytes(target.pids)
  return { name: target.name, bytesPerEntry: (processBytes - before) / entries, processBytes, entries, tookSeconds }
}

function batchFrom(from: number, count: number): (readonly [string, Uint8Array])[] {
  return Array.from({ length: count }, (_, i) => [keyOf(from + i), valueOf(from + i)] as const)
}

async function allThere(target: Peer, entries: number): Promise<void> {
  const prng = new Prng(1)
  const keys = Array.from({ length: sample }, () => keyOf(prng.below(entries)))
  const found = await within(batchWithinMs, "reading a sample", Promise.all(keys.map(key => target.get(key))))
  const missing = found.filter(value => value === undefined || value === null).length
  if (missing > 0) throw new Error(`it forgets: ${missing} of ${sample} entries are not there any more`)
}

/** Sixteen bytes. */
function keyOf(index: number): string {
  return `mem:${String(index).padStart(12, "0")}`
}

/** Bytes of their own for each, so that nothing can be shared. */
function valueOf(index: number): Uint8Array {
  const value = new Uint8Array(valueBytes)
  new DataView(value.buffer).setUint32(0, index)
  return value
}

function residentBytes(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const kib = Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1])
    return sum + kib * 1_024
  }, 0)
}
