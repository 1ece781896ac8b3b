/**
 * Finds where an entry is by its position on the ring. Divided into partitions by the top bits of the position; each has a
 * table of its own that grows and shrinks by itself, so that no step ever rebuilds more than one of them, and an arc of the
 * ring is a run of partitions. Knows no keys: several entries may have one position, and its user tells them apart.
 *
 * A table is open addressing kept in the order of positions: a slot's home is where its position lies in proportion, whoever
 * finds it taken moves on, and within a run everything stays sorted. So a search for what is not there ends early also in
 * a full table, the entries of an arc lie side by side, and a cursor is a position, whatever moved meanwhile. Two words a
 * slot: position, place. Behind the last home there is a tail for what was displaced; its last slot is always
 * empty, which ends every search.
 */
import { assert } from "../base/assert.ts"
import type { Place } from "./segments.ts"
import { TableMemory } from "./table-memory.ts"

/** Slots of which most may be taken; beyond, searches become long. */
const fullest = 0.85
const growth = 1.25
/** Below this a table is halved. */
const emptiest = 0.25
const fewestSlots = 4
const shortestTail = 3
/** Of the arrays with one element for each partition. */
const partitionBytes = 52

/** Stands for the table of every partition without entries. */
const noTable = new Uint32Array(2)

export class KeyIndex {
  /** The partition of a position is its bits from here on. */
  readonly shift: number
  readonly partitionCount: number
  readonly #mask: number

  readonly #tables: TableMemory
  /** By partition: the memory that its table lies in, and from where on. */
  readonly #blocks: Uint32Array[]
  readonly #bases: Uint32Array
  readonly #ranks: Uint32Array
  /** Slots for each unit of position; homes; slots behind the last home. */
  readonly #ratios: Float64Array
  readonly #capacities: Uint32Array
  readonly #tails: Uint32Array
  readonly #counts: Uint32Array
  /** Kept for the store: bytes and digest of the entries of each partition. */
  readonly #bytes: Float64Array
  readonly #digests: Int32Array

  count = 0
  /** The memory of the table of the last search. */
  table: Uint32Array = noTable

  constructor(partitionBits: number) {
    assert(partitionBits >= 1 && partitionBits <= 16, "a ring has 2 to 65536 partitions")
    this.shift = 32 - partitionBits
    const partitionCount = 2 ** partitionBits
    this.partitionCount = partitionCount
    this.#mask = 2 ** this.shift - 1
    this.#blocks = new Array<Uint32Array>(partitionCount).fill(noTable)
    this.#bases = new Uint32Array(partitionCount)
    this.#ranks = new Uint32Array(partitionCount)
    this.#ratios = new Float64Array(partitionCount)
    this.#capacities = new Uint32Array(partitionCount)
    this.#tails = new Uint32Array(partitionCount)
    this.#counts = new Uint32Array(partitionCount)
    this.#bytes = new Float64Array(partitionCount)
    this.#digests = new Int32Array(partitionCount)
    this.#tables = new TableMemory((partition, block, base, rank) => {
      this.#blocks[partition] = block
      this.#bases[partition] = base
      this.#ranks[partition] = rank
    })
  }

  get memoryBytes(): number {
    return this.#tables.bytes + this.partitionCount * partitionBytes
  }

  countOf(partition: number): number {
    return this.#counts[partition] as number
  }

  bytesOf(partition: number): number {
    return this.#bytes[partition] as number
  }

  digestOf(partition: number): number {
    return this.#digests[partition] as number
  }

  /** Where the slots of a partition end, as an index of words in the memory of its table. */
  endOf(partition: number): number {
    return (this.#bases[partition] as number) + this.#wordsOf(partition)
  }

  /** The entry at this position changed by so many bytes, and its part of the digest by `digest`. */
  account(position: number, bytes: number, digest: number): void {
    const partition = position >>> this.shift
    this.#bytes[partition] = (this.#bytes[partition] as number) + bytes
    this.#digests[partition] = ((this.#digests[partition] as number) + digest) | 0
  }

  /**
   * The first slot whose position is this one or larger, or which is empty: where this position is, or would be. An index of
   * words in `table`; both are good until the index changes.
   */
  seek(position: number): number {
    const partition = position >>> this.shift
    const table = this.#blocks[partition] as Uint32Array
    this.table = table
    const home = ((position & this.#mask) * (this.#ratios[partition] as number)) | 0
    let at = (this.#bases[partition] as number) + (home << 1)
    while ((table[at] as number) < position && table[at + 1] !== 0) at += 2
    return at
  }

  /** The slot of what is at this place, whose position is known. */
  slotOf(position: number, place: Place): number {
    let at = this.seek(position)
    const { table } = this
    while (table[at + 1] !== place) {
      assert(table[at + 1] !== 0 && table[at] === position, "every entry has a slot")
      at += 2
    }
    return at
  }

  /** Whether inserting at this position would need another table. */
  mustGrow(position: number): boolean {
    const partition = position >>> this.shift
    if ((this.#counts[partition] as number) + 1 > fullest * (this.#capacities[partition] as number)) return true
    return this.#endOfRun(this.seek(position)) + 2 >= this.endOf(partition)
  }

  /** Makes sure that one more entry at this position needs no memory. */
  prepare(position: number): void {
    const partition = position >>> this.shift
    const capacity = this.#capacities[partition] as number
    if ((this.#counts[partition] as number) + 1 > fullest * capacity) {
      const larger = Math.max(fewestSlots, Math.ceil(capacity * growth))
      this.#rebuild(partition, larger, tailFor(larger))
    }
    // Many with nearly the same position, at the end of a table.
    if (this.#endOfRun(this.seek(position)) + 2 >= this.endOf(partition))
      this.#rebuild(partition, this.#capacities[partition] as number, 2 * (this.#tails[partition] as number))
  }

  insert(position: number, place: Place): void {
    if (this.mustGrow(position)) this.prepare(position)
    const at = this.seek(position)
    const { table } = this
    const end = this.#endOfRun(at)
    if (end > at) shiftUp(table, at, end)
    table[at] = position
    table[at + 1] = place
    const partition = position >>> this.shift
    this.#counts[partition] = (this.#counts[partition] as number) + 1
    this.count += 1
  }

  move(position: number, from: Place, to: Place): void {
    const at = this.slotOf(position, from)
    this.table[at + 1] = to
  }

  remove(position: number, place: Place): void {
    const at = this.slotOf(position, place)
    const partition = position >>> this.shift
    const { table } = this
    const ratio = this.#ratios[partition] as number
    const base = this.#bases[partition] as number
    // Whatever follows and is not at home moves one back.
    let to = at
    for (let from = at + 2; table[from + 1] !== 0; from += 2) {
      const home = (((table[from] as number) & this.#mask) * ratio) | 0
      if (base + (home << 1) >= from) break
      table[to] = table[from] as number
      table[to + 1] = table[from + 1] as number
      to = from
    }
    table[to] = 0
    table[to + 1] = 0
    const count = (this.#counts[partition] as number) - 1
    this.#counts[partition] = count
    this.count -= 1
    const capacity = this.#capacities[partition] as number
    if (count === 0) this.#drop(partition)
    else if (count < emptiest * capacity && capacity > fewestSlots) {
      const smaller = Math.max(fewestSlots, Math.ceil(capacity / 2))
      this.#rebuild(partition, smaller, tailFor(smaller))
    }
  }

  /** Forgets all of a partition. */
  clear(partition: number): void {
    const count = this.#counts[partition] as number
    if (count === 0) return
    this.count -= count
    this.#counts[partition] = 0
    this.#bytes[partition] = 0
    this.#digests[partition] = 0
    this.#drop(partition)
  }

  #wordsOf(partition: number): number {
    return 2 * ((this.#capacities[partition] as number) + (this.#tails[partition] as number))
  }

  #endOfRun(at: number): number {
    const { table } = this
    let end = at
    while (table[end + 1] !== 0) end += 2
    return end
  }

  /** Another table, with so many homes, and as long a tail or longer. */
  #rebuild(partition: number, capacity: number, tail: number): void {
    const old = this.#blocks[partition] as Uint32Array
    const from = this.#bases[partition] as number
    const end = this.endOf(partition)
    const oldWords = this.#wordsOf(partition)
    const oldRank = this.#ranks[partition] as number
    const ratio = capacity / 2 ** this.shift
    const longer = Math.max(tail, this.#tailNeeded(old, from, end, capacity, ratio))
    const words = 2 * (capacity + longer)
    // Of the same size again when only the proportion has changed.
    if (words === oldWords) return this.#rebuild(partition, capacity, longer + 1)
    this.#tables.take(words, partition)
    this.#capacities[partition] = capacity
    this.#tails[partition] = longer
    this.#ratios[partition] = ratio
    const table = this.#blocks[partition] as Uint32Array
    const base = this.#bases[partition] as number
    let to = base
    for (let at = from; at < end; at += 2) {
      if (old[at + 1] === 0) continue
      const position = old[at] as number
      const home = base + ((((position & this.#mask) * ratio) | 0) << 1)
      if (home > to) to = home
      table[to] = position
      table[to + 1] = old[at + 1] as number
      to += 2
    }
    if (oldWords > 0) this.#tables.release(oldWords, oldRank)
  }

  /** Slots behind the last home that the entries of a table would take in another, with room for one more and an empty one. */
  #tailNeeded(old: Uint32Array, from: number, end: number, capacity: number, ratio: number): number {
    let to = 0
    for (let at = from; at < end; at += 2) {
      if (old[at + 1] === 0) continue
      to = Math.max(to, ((old[at] as number) & this.#mask) * ratio) | 0
      to += 1
    }
    return to + 2 - capacity
  }

  #drop(partition: number): void {
    this.#tables.release(this.#wordsOf(partition), this.#ranks[partition] as number)
    this.#blocks[partition] = noTable
    this.#bases[partition] = 0
    this.#capacities[partition] = 0
    this.#tails[partition] = 0
    this.#ratios[partition] = 0
  }
}

function tailFor(capacity: number): number {
  return shortestTail + (capacity >>> 6)
}

function shiftUp(table: Uint32Array, at: number, end: number): void {
  if (end - at > 64) {
    table.copyWithin(at + 2, at, end)
    return
  }
  for (let from = end - 2; from >= at; from -= 2) {
    table[from + 2] = table[from] as number
    table[from + 3] = table[from + 1] as number
  }
}
