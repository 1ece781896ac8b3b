/** What one engine of one size costs, in memory and time. Runs in a process of its own: its memory is the process's. */
import { Prng } from "../../../src/base/prng.ts"
import { BenchKeys } from "./bench-keys.ts"
import { type EngineName, makeEngine } from "./engines.ts"
import { type Batch, type Phase, runPhase } from "./phase.ts"
import { heapAndBuffers, settledBytes } from "./resident.ts"

export type SpeedJob = {
  readonly engine: EngineName
  readonly entries: number
  readonly keyBytes: number
  /** Of each phase but the first, which sets every entry once. */
  readonly operations: number
}

export const valueBytes = 100
/** As long in the mean. */
const otherValueBytes = { least: 50, count: 100 }
/** Numbers of keys that are never set. */
const unknownFrom = 2 ** 31

export type SpeedResult = {
  /** Growth of resident memory over the same process without entries, an entry: keys and values included. */
  readonly entryBytes: number
  /** What of it is the engine's heap, of which a part is the process's own whatever the entries are. */
  readonly heapEntryBytes: number
  /** How much more it is after the overwrites with other sizes, as a factor. */
  readonly growthFactor: number
  readonly fill: Phase
  readonly hit: Phase
  readonly miss: Phase
  readonly sameSize: Phase
  readonly otherSize: Phase
}

export async function measureSpeed(job: SpeedJob, progress: (text: string) => void): Promise<SpeedResult> {
  const { entries, operations } = job
  const prng = new Prng(1)
  const keys = new BenchKeys(job.keyBytes)
  const value = new Uint8Array(valueBytes).fill(0x5a)
  const otherValues = Array.from({ length: otherValueBytes.count }, (_, more) =>
    new Uint8Array(otherValueBytes.least + more).fill(0xa5),
  )
  const emptyBytes = await settledBytes()
  const emptyHeapBytes = heapAndBuffers().heapBytes
  const engine = makeEngine(job.engine, entries)
  const phase = (name: string, count: number, batch: Batch) =>
    runPhase(count, batch, done => progress(`${name}, ${Math.round((100 * done) / count)} %`))

  const fill = await phase("fill", entries, (from, to) => {
    for (let index = from; index < to; index++) engine.set(keys.key(index), value)
  })
  const filledBytes = (await settledBytes()) - emptyBytes
  const filledHeapBytes = heapAndBuffers().heapBytes - emptyHeapBytes
  const hit = await phase("get, hit", operations, (from, to) => {
    for (let at = from; at < to; at++)
      if (engine.get(keys.key(prng.below(entries))) === undefined) throw new Error("an entry is not there")
  })
  const miss = await phase("get, miss", operations, (from, to) => {
    for (let at = from; at < to; at++)
      if (engine.get(keys.key(unknownFrom + prng.below(entries))) !== undefined) throw new Error("an entry too many")
  })
  const sameSize = await phase("overwrite, same size", operations, (from, to) => {
    for (let at = from; at < to; at++) engine.set(keys.key(prng.below(entries)), value)
  })
  const otherSize = await phase("overwrite, other size", operations, (from, to) => {
    for (let at = from; at < to; at++) engine.set(keys.key(prng.below(entries)), prng.pick(otherValues))
  })
  const growthFactor = ((await settledBytes()) - emptyBytes) / filledBytes
  const memory = { entryBytes: filledBytes / entries, heapEntryBytes: filledHeapBytes / entries, growthFactor }
  return { ...memory, fill, hit, miss, sameSize, otherSize }
}
