/** What the caches are asked for: keys one after another, from a seed or from a trace, and how large each key's entry is. */
import { readFileSync } from "node:fs"
import { Prng } from "../../../src/base/prng.ts"
import { keyPicker } from "../load/distribution.ts"
import { blocksOf, unpackTrace } from "./block-trace.ts"

export type Workload = {
  readonly name: string
  readonly about: string
  /** Keys, numbered by their first appearance, so that there are as many as the footprint has. */
  readonly requests: Uint32Array
  /** Of each key's entry, key included. */
  readonly sizes: Uint32Array
  /** From here on requests count: the caches have filled. */
  readonly countedFrom: number
}

/** Chosen so that all of it takes a minute or two. */
export type Scale = { readonly keys: number; readonly requests: number; readonly seed: number }

/** Entries of one size, except where sizes matter. About what a cache of sessions or rows holds. */
const usualBytes = 256
const keyBytes = 16
/** Of an entry of mixed sizes: as many between 16 and 32 bytes as between 2 and 4 KiB. */
const mixedValueBytes = { least: 16, most: 4_096 }

const scanShare = 0.3
/** A scan reads one to four hundredths of the cold keys in a row. */
const scanLengthShare = { least: 0.01, most: 0.04 }
const requestsPerTrade = 10
const requestsPerNews = 20

export function workloads(scale: Scale): Workload[] {
  const { keys, requests } = scale
  // Each has chance of its own: changing one leaves the others as they are.
  const chance = (index: number) => new Prng(scale.seed * 1_000 + index)
  const made = (name: string, about: string, stream: () => number): Workload => {
    const { ids, count } = numbered(Array.from({ length: requests }, stream))
    const sizes = new Uint32Array(count).fill(usualBytes)
    return { name, about, requests: ids, sizes, countedFrom: Math.floor(requests / 3) }
  }
  const zipf = (exponent: number, prng: Prng) => keyPicker({ kind: "zipf", exponent }, keys, prng)
  const even = made(
    "zipf 1.0, mixed sizes",
    "values of 16 B to 4 KiB, log-uniform, counted in bytes",
    zipf(1, chance(3)),
  )
  return [
    made("zipf 0.8", "popularity falls with the rank's power of 0.8", zipf(0.8, chance(0))),
    made("zipf 1.0", "with the rank itself", zipf(1, chance(1))),
    made("zipf 1.2", "with the rank's power of 1.2", zipf(1.2, chance(2))),
    { ...even, sizes: mixedSizes(even.sizes.length, chance(4)) },
    made(
      "zipf 1.0, scans",
      "three requests in ten belong to scans of cold keys",
      scanned(keys, zipf(1, chance(5)), chance(6)),
    ),
    made(
      "zipf 1.0, trades",
      "every ten requests two ranks trade places, low ones as often as high ones on a log scale",
      traded(keys, zipf(1, chance(7)), chance(8)),
    ),
    made(
      "zipf 1.0, news",
      "every twenty requests a new key comes in as the most popular and moves all others down a rank",
      news(zipf(1, chance(9))),
    ),
    made("loop", "all keys in turn, again and again", looped(keys)),
    trace("disk of a MySQL server", "linux-mysql"),
    trace("disk of an MS SQL server", "windows-mssql"),
  ]
}

function scanned(keys: number, popular: () => number, prng: Prng): () => number {
  let at = 0
  let left = 0
  return () => {
    if (!prng.chance(scanShare)) return popular()
    if (left === 0) {
      at = prng.below(keys)
      left = Math.ceil(keys * prng.between(scanLengthShare.least, scanLengthShare.most))
    }
    left -= 1
    at = (at + 1) % keys
    return keys + at
  }
}

function traded(keys: number, rank: () => number, prng: Prng): () => number {
  const keyAt = Uint32Array.from({ length: keys }, (_, index) => index)
  const anyRank = () => Math.floor(keys ** prng.fraction()) - 1
  let asked = 0
  return () => {
    asked += 1
    if (asked % requestsPerTrade === 0) {
      const [one, other] = [anyRank(), anyRank()]
      const key = keyAt[one] as number // a rank
      keyAt[one] = keyAt[other] as number // a rank
      keyAt[other] = key
    }
    return keyAt[rank()] as number // a rank
  }
}

/** Keys are numbered backwards from 0, the newest lowest; what a rank beyond the first key would be is a key as well. */
function news(rank: () => number): () => number {
  let asked = 0
  return () => {
    asked += 1
    return rank() - Math.floor(asked / requestsPerNews)
  }
}

function looped(keys: number): () => number {
  let asked = 0
  return () => asked++ % keys
}

function trace(name: string, file: string): Workload {
  const packed = readFileSync(new URL(`traces/${file}.blocks.br`, import.meta.url))
  const { ids, count } = numbered(blocksOf(unpackTrace(packed)))
  // All of it counts: an hour is short, and what it asks for first it asks all caches for.
  const about = "blocks of 4 KiB, an hour, real"
  return { name, about, requests: ids, sizes: new Uint32Array(count).fill(usualBytes), countedFrom: 0 }
}

function mixedSizes(count: number, prng: Prng): Uint32Array {
  const { least, most } = mixedValueBytes
  return Uint32Array.from({ length: count }, () => keyBytes + Math.floor(least * (most / least) ** prng.fraction()))
}

/** Any numbers as keys from 0, in the order of their appearance. */
export function numbered(stream: Iterable<number>): { ids: Uint32Array; count: number } {
  const idOf = new Map<number, number>()
  const ids: number[] = []
  for (const each of stream) {
    let id = idOf.get(each)
    if (id === undefined) {
      id = idOf.size
      idOf.set(each, id)
    }
    ids.push(id)
  }
  return { ids: Uint32Array.from(ids), count: idOf.size }
}
