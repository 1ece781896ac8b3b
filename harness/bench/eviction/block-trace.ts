/**
 * Real block traces: which blocks of 4 KiB a machine's disk was asked for, one after another. They come from the `.load.gz`
 * files of blkreplay, a replayer of block traces, and are kept here as the first block and the number of blocks of each
 * request, compressed; `traces/README.md` says whose they are. A read and a write are alike to a cache that holds both.
 */
import { brotliCompressSync, brotliDecompressSync } from "node:zlib"

const sectorsPerBlock = 8

/** So many blocks, from this one on. */
export type BlockRun = { readonly first: number; readonly count: number }

/** The requests of a blkreplay load: `start ; sector; length ; op ; ...`, after a preamble in prose. */
export function parseLoad(text: string): BlockRun[] {
  return [...text.matchAll(/^\s*\d+\.\d+\s*;\s*(\d+)\s*;\s*(\d+)\s*;/gm)].map(([, sector, length]) => {
    const first = Math.floor(Number(sector) / sectorsPerBlock)
    return { first, count: Math.ceil((Number(sector) + Number(length)) / sectorsPerBlock) - first }
  })
}

export function packTrace(runs: readonly BlockRun[]): Uint8Array {
  return brotliCompressSync(runs.map(({ first, count }) => `${first} ${count}\n`).join(""))
}

export function unpackTrace(packed: Uint8Array): BlockRun[] {
  const lines = brotliDecompressSync(packed).toString("latin1").trimEnd().split("\n")
  return lines.map(line => {
    const [first, count] = line.split(" ").map(Number)
    if (first === undefined || count === undefined) throw new Error(`a trace has no line like ${JSON.stringify(line)}`)
    return { first, count }
  })
}

/** Every block that was asked for, in order. */
export function* blocksOf(runs: Iterable<BlockRun>): Iterable<number> {
  for (const { first, count } of runs) for (let block = first; block < first + count; block++) yield block
}
