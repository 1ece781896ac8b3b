/**
 * A store as a plain `Map` for each partition of the ring: what tests put in the place of a node's, where nothing clever is
 * wanted. Limits of a few entries hold to the byte, and what it forgets for want of memory is whatever its hand passes next.
 */
import { assert } from "../../base/assert.ts"
import { ContentHash } from "../../base/hash.ts"
import type { Arc, Cursor, Entry, HashedKey, Nominate, Store, StoreCounts, StoreOptions, Visit } from "../store.ts"

/**
 * What an entry takes besides its key and its value: the record, its place in the `Map`, the key's and the value's
 * headers. Measured on Node.js 20 with keys of 24 and values of 100 bytes: 268 to 286. Smaller entries take less.
 */
export const entryOverheadBytes = 280

const partitionBits = 12
const partitionCount = 2 ** partitionBits
const partitionWidth = 2 ** (32 - partitionBits)

/** A sweep looks at so many entries for each that it may nominate: it must end also where nothing has expired. */
const looksPerNomination = 8

type Held = { readonly key: Uint8Array; readonly position: number; readonly entry: Entry }

type Partition = {
  /** By the key's bytes, one character each: a string is what a `Map` compares by content. */
  readonly held: Map<string, Held>
  bytes: number
  /** Entries that may ever expire: without one, a sweep passes by. */
  expiring: number
}

/** The iterator is live: what is set or deleted between two steps neither ends it nor makes it leave out another. */
type Place = { readonly partition: number; readonly left: MapIterator<Held> }

const unbounded: StoreOptions = {
  maxBytes: Number.POSITIVE_INFINITY,
  eviction: "none",
  copiesShare: 0,
  owner: { isLed: () => true, mayDrop: () => true, dropped: () => {} },
}

export class MapStore implements Store {
  readonly #options: StoreOptions
  /** Made when first written to: most simulated nodes hold next to nothing. */
  readonly #partitions: (Partition | undefined)[] = Array.from({ length: partitionCount }, () => undefined)
  #entries = 0
  #bytes = 0
  #expiring = 0
  #sweepAt: Place = { partition: 0, left: noneLeft() }
  #evictAt: Place = { partition: 0, left: noneLeft() }
  #evicted = 0
  #evictedCopies = 0

  constructor(options: StoreOptions = unbounded) {
    this.#options = options
  }

  get entries(): number {
    return this.#entries
  }

  get bytes(): number {
    return this.#bytes
  }

  get(key: HashedKey): Entry | undefined {
    return this.#partitions[partitionAt(key.position)]?.held.get(nameOf(key.bytes))?.entry
  }

  set(key: HashedKey, entry: Entry): void {
    const partition = this.#partitionFor(key.position)
    const name = nameOf(key.bytes)
    const before = partition.held.get(name)
    if (before !== undefined) {
      assert(before.position === key.position, "a key has one position")
      this.#account(partition, before, -1)
    }
    const held = { key: before?.key ?? Uint8Array.from(key.bytes), position: key.position, entry }
    partition.held.set(name, held)
    this.#account(partition, held, 1)
    if (this.#options.eviction !== "none" && this.#bytes > this.#options.maxBytes) this.#makeRoom(held)
  }

  delete(key: HashedKey): boolean {
    const partition = this.#partitions[partitionAt(key.position)]
    const name = nameOf(key.bytes)
    const before = partition?.held.get(name)
    if (partition === undefined || before === undefined) return false
    partition.held.delete(name)
    this.#account(partition, before, -1)
    return true
  }

  forget(key: HashedKey, version: number): boolean {
    return this.get(key)?.version === version && this.delete(key)
  }

  get counts(): StoreCounts {
    return { evicted: this.#evicted, evictedCopies: this.#evictedCopies }
  }

  get headroomBytes(): number {
    const { eviction, maxBytes } = this.#options
    return eviction === "none" ? Math.max(0, maxBytes - this.#bytes - entryOverheadBytes) : Number.POSITIVE_INFINITY
  }

  fits(bytes: number): boolean {
    return bytes <= this.headroomBytes
  }

  /** Goes round, at most once for entries used here and once for copies, and drops what it meets until the rest fits. */
  #makeRoom(kept: Held): void {
    const { maxBytes, owner } = this.#options
    for (const isCopy of [false, true])
      for (let passed = 0; passed <= partitionCount && this.#bytes > maxBytes; ) {
        const { done, value: held } = this.#evictAt.left.next()
        if (done === true) {
          this.#evictAt = this.#beginningOf((this.#evictAt.partition + 1) % partitionCount)
          passed += 1
          continue
        }
        const { key, position, entry } = held
        if (held === kept || owner.isLed(position) === isCopy || !owner.mayDrop(key, position)) continue
        this.delete({ bytes: key, position })
        if (isCopy) this.#evictedCopies += 1
        else this.#evicted += 1
        owner.dropped(key, position, entry.version, isCopy)
      }
  }

  tidy(): void {}

  scan(arc: Arc, cursor: Cursor | undefined, budgetBytes: number, visit: Visit): Cursor | undefined {
    checkArc(arc)
    const from = Math.max(arc.from, cursor ?? 0)
    let visitedBytes = 0
    for (let index = partitionAt(from); index <= partitionAt(arc.to - 1); index++) {
      const partition = this.#partitions[index]
      if (partition === undefined || partition.held.size === 0) continue
      const inside = [...partition.held.values()].filter(({ position }) => position >= from && position < arc.to)
      inside.sort((a, b) => a.position - b.position)
      for (const [i, held] of inside.entries()) {
        visit(held.key, held.position, held.entry)
        visitedBytes += bytesOf(held)
        if (visitedBytes < budgetBytes || inside[i + 1]?.position === held.position) continue
        return held.position + 1 < arc.to ? held.position + 1 : undefined
      }
    }
    return undefined
  }

  dropArc(arc: Arc, limit: number): boolean {
    checkArc(arc)
    let left = limit
    for (let index = partitionAt(arc.from); index <= partitionAt(arc.to - 1) && left > 0; index++) {
      const partition = this.#partitions[index]
      if (partition === undefined || partition.held.size === 0) continue
      const inside = [...partition.held].filter(([, { position }]) => position >= arc.from && position < arc.to)
      if (inside.length > left) inside.sort(([, a], [, b]) => a.position - b.position)
      for (const [name, held] of inside.slice(0, left)) {
        partition.held.delete(name)
        this.#account(partition, held, -1)
      }
      left -= inside.length
    }
    return left <= 0
  }

  sweep(nowMs: number, limit: number, visit: Nominate): void {
    let looks = limit * looksPerNomination
    let nominated = 0
    // Every partition once at most: with few entries the bound on looks would let it go round and round.
    for (let passed = 0; passed <= partitionCount && looks > 0 && nominated < limit; ) {
      const { done, value: held } = this.#sweepAt.left.next()
      if (done === true) {
        const distance = this.#distanceToExpiring()
        if (distance === undefined) return
        this.#sweepAt = this.#beginningOf((this.#sweepAt.partition + distance) % partitionCount)
        passed += distance
        continue
      }
      looks--
      if (held.entry.expiresAtMs > nowMs) continue
      visit(held.key, held.position, held.entry.version)
      nominated++
    }
  }

  /** How far ahead of the sweep the next partition lies in which something may expire; at most once round. */
  #distanceToExpiring(): number | undefined {
    // What most ticks of a node without expiry find.
    if (this.#expiring === 0) return undefined
    for (let distance = 1; distance <= partitionCount; distance++)
      if ((this.#partitions[(this.#sweepAt.partition + distance) % partitionCount]?.expiring ?? 0) > 0) return distance
    return undefined
  }

  countArc(arc: Arc): { entries: number; bytes: number } {
    checkArc(arc)
    let entries = 0
    let bytes = 0
    for (let index = partitionAt(arc.from); index <= partitionAt(arc.to - 1); index++) {
      const partition = this.#partitions[index]
      if (partition === undefined) continue
      const begins = index * partitionWidth
      if (arc.from <= begins && begins + partitionWidth <= arc.to) {
        entries += partition.held.size
        bytes += partition.bytes
        continue
      }
      // The arc ends inside: with more shards than partitions there is no way around looking.
      for (const held of partition.held.values()) {
        if (held.position < arc.from || held.position >= arc.to) continue
        entries++
        bytes += bytesOf(held)
      }
    }
    return { entries, bytes }
  }

  digestArc(arc: Arc): number {
    let digest = 0
    const add: Visit = (key, position, { version }) => {
      const hash = new ContentHash().text(nameOf(key)).integer(position).integer(version)
      digest = (digest ^ hash.low) >>> 0
    }
    for (let cursor = this.scan(arc, undefined, Infinity, add); cursor !== undefined; )
      cursor = this.scan(arc, cursor, Infinity, add)
    return digest
  }

  #account(partition: Partition, held: Held, sign: 1 | -1): void {
    const bytes = sign * bytesOf(held)
    partition.bytes += bytes
    if (held.entry.expiresAtMs !== Infinity) {
      partition.expiring += sign
      this.#expiring += sign
    }
    this.#bytes += bytes
    this.#entries += sign
  }

  #partitionFor(position: number): Partition {
    const index = partitionAt(position)
    assert(index >= 0 && index < partitionCount, "a position is an unsigned 32-bit number")
    return (this.#partitions[index] ??= { held: new Map(), bytes: 0, expiring: 0 })
  }

  #beginningOf(index: number): Place {
    return { partition: index, left: this.#partitions[index]?.held.values() ?? noneLeft() }
  }
}

function partitionAt(position: number): number {
  return Math.floor(position / partitionWidth)
}

function bytesOf({ key, entry }: Held): number {
  return key.length + entry.value.length + entryOverheadBytes
}

function checkArc({ from, to }: Arc): void {
  assert(from >= 0 && from < to && to <= 2 ** 32, "an arc lies on the ring and is not empty")
}

function noneLeft(): MapIterator<Held> {
  return new Map<string, Held>().values()
}

/** One character a byte. In pieces: the arguments of one call lie on the stack. */
function nameOf(bytes: Uint8Array): string {
  let name = ""
  for (let from = 0; from < bytes.length; from += 1_024)
    name += String.fromCharCode(...bytes.subarray(from, from + 1_024))
  return name
}
