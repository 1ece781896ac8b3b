/**
 * Walks through shards in steps of bounded work: lists keys, counts, finds what is to be cleared. A walk goes in the order
 * of positions and, at one position, of keys, so that where it stands is a place that means the same on every holder of the
 * shard: nobody remembers a walk, and it goes on after a failover as if nothing had been ("Walks"). Which shards may answer
 * now is for the owner to say.
 */
import { assert } from "../../base/assert.ts"
import { copyOf } from "../../base/bytes.ts"
import { maxPageEntries } from "../../protocol/limits.ts"
import type { PageEntry, Place, ShardOperation } from "../../protocol/message.ts"
import type { Entry, HashedKey, Store } from "../../store/store.ts"
import { hasExpired, isLease, ttlLeftMs } from "./operations.ts"
import { inOrder, isAskedFor, isBefore, type Stretch } from "./places.ts"
import type { Shard } from "./shard.ts"

type Scan = Extract<ShardOperation, { op: "scan" }>
type Clear = Extract<ShardOperation, { op: "clear" }>

/** A request ends after so many bytes of keys and values, about: a frame's worth. */
const pageBytes = 64 * 1024
/** Or after it has looked at so many entries (or empty shards): 2 to 5 ms of work. */
const looksPerRequest = 4_096
/** Entries are looked at in steps of so many bytes. */
const stepBytes = 16 * 1024
/** What an entry of a page takes besides key and value. */
const entryBytes = 40
/**
 * One `clear` deletes so many entries at most, in 2 to 3 ms, and so many bytes: until it has committed, all of them are kept
 * to undo it.
 */
const deletionsPerRequest = 256
const deletedBytes = 1024 * 1024

/** What readers may see of a key. */
export type Sees = (shard: Shard, key: HashedKey) => Entry | undefined

/**
 * A page of the keys of these shards, in their order. `shards`: those asked for, as far as they may answer now. `stoppedAt`
 * null: at the end of the last of them; `done`: how many were walked to their end.
 */
export function scanShards(
  { from, prefix, limit, want }: Scan,
  shards: Iterable<Shard>,
  { store, sees, nowMs }: { store: Store; sees: Sees; nowMs: number },
): { readonly entries: PageEntry[]; readonly done: number; readonly stoppedAt: Place | null } {
  const entries: PageEntry[] = []
  const budget = new Budget({ entries: Math.min(limit, maxPageEntries), bytes: pageBytes })
  let place = from
  let done = 0
  for (const shard of shards) {
    const stoppedAt = walk(place ?? beginningOf(shard), { shard, store, budget }, key => {
      if (!isAskedFor(key.bytes, prefix)) return
      const entry = sees(shard, key)
      if (entry === undefined || isLease(entry) || hasExpired(entry, nowMs)) return
      entries.push(pageEntry(key.bytes, entry, want, nowMs))
      budget.spend(key.bytes.length + (want === "values" ? entry.value.length : 0))
    })
    if (stoppedAt !== null) return { entries, done, stoppedAt }
    place = null
    done += 1
  }
  return { entries, done, stoppedAt: null }
}

/** How much these shards hold. `done`: how many were counted. */
export function sizeOfShards(
  shards: Iterable<Shard>,
  store: Store,
): { readonly entries: number; readonly bytes: number; readonly done: number } {
  let entries = 0
  let bytes = 0
  let done = 0
  for (const shard of shards) {
    if (done >= looksPerRequest) break
    const held = store.countArc(shard.arc)
    entries += held.entries
    bytes += held.bytes
    done += 1
  }
  return { entries, bytes, done }
}

/**
 * The stretch of a shard that one `clear` empties, how many entries it holds that have not expired, and where the next one
 * goes on; null: at the end of the shard.
 */
export function stretchToClear(
  { from, prefix }: Clear,
  shard: Shard,
  { store, nowMs }: { store: Store; nowMs: number },
): { readonly stretch: Stretch; readonly count: number; readonly next: Place | null } {
  let count = 0
  const start = from ?? beginningOf(shard)
  const budget = new Budget({ entries: deletionsPerRequest, bytes: deletedBytes })
  const next = walk(start, { shard, store, budget }, key => {
    const entry = isAskedFor(key.bytes, prefix) ? shard.newest(key) : undefined
    if (entry === undefined) return
    if (!isLease(entry) && !hasExpired(entry, nowMs)) count += 1
    budget.spend(key.bytes.length + entry.value.length)
  })
  return { stretch: { from: start, to: next ?? endOf(shard), prefix }, count, next }
}

/** What is left of what one request may cost. */
class Budget {
  #entries: number
  #bytes: number
  #looks = looksPerRequest

  constructor({ entries, bytes }: { entries: number; bytes: number }) {
    this.#entries = entries
    this.#bytes = bytes
  }

  get isFull(): boolean {
    return this.#entries <= 0 || this.#bytes <= 0
  }

  get isSpent(): boolean {
    return this.isFull || this.#looks <= 0
  }

  look(keys: number): void {
    // There is some work in looking at nothing, too.
    this.#looks -= Math.max(1, keys)
  }

  spend(bytes: number): void {
    this.#entries -= 1
    this.#bytes -= entryBytes + bytes
  }
}

type Walked = { readonly shard: Shard; readonly store: Store; readonly budget: Budget }

/** Hands out the keys from a place on, as far as the budget reaches; says where it stopped, null: at the end of the shard. */
function walk(from: Place, { shard, store, budget }: Walked, take: (key: HashedKey) => void): Place | null {
  for (let place: Place | null = from; place !== null; ) {
    if (budget.isSpent) return place
    const { keys, next }: Step = stepFrom(place, shard, store)
    budget.look(keys.length)
    let taken = 0
    for (const key of keys) {
      if (budget.isFull) break
      take(key)
      taken += 1
    }
    place = taken === keys.length ? next : placeAfter(keys, taken)
  }
  return null
}

/** Keys that lie next to each other, in order, and the place behind them; null: the end of the shard. */
type Step = { readonly keys: readonly HashedKey[]; readonly next: Place | null }

function stepFrom(place: Place, shard: Shard, store: Store): Step {
  const { from, to } = shard.arc
  assert(place.position >= from && place.position < to, "a place lies in its shard")
  const found: HashedKey[] = []
  const visit = (key: Uint8Array, position: number) => found.push({ bytes: copyOf(key), position })
  const next = store.scan({ from: place.position, to }, undefined, stepBytes, visit)
  found.push(...shard.deletedUncommitted({ from: place.position, to: next ?? to }))
  found.sort(inOrder)
  const keys = place.after === null ? found : found.filter(key => !isBefore(key, place))
  return { keys, next: next === undefined ? null : { position: next, after: null } }
}

/** Behind the first `taken` of these keys, of which there are more. */
function placeAfter(keys: readonly HashedKey[], taken: number): Place {
  const [last, next] = [keys[taken - 1], keys[taken]]
  assert(last !== undefined && next !== undefined, "some keys were taken, and some were left")
  return { position: next.position, after: last.position === next.position ? last.bytes : null }
}

function beginningOf(shard: Shard): Place {
  return { position: shard.arc.from, after: null }
}

function endOf(shard: Shard): Place {
  return { position: shard.arc.to, after: null }
}

function pageEntry(key: Uint8Array, entry: Entry, want: Scan["want"], nowMs: number): PageEntry {
  if (want === "keys") return { key, details: null, value: null }
  const { value, flags, version } = entry
  const details = { flags, version, ttlMs: ttlLeftMs(entry, nowMs), valueBytes: value.length }
  return { key, details, value: want === "values" ? value : null }
}
