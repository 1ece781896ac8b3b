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

/** Slots of which most may be taken; beyond, searches become long. */
const fullest = 0.85
const growth = 1.25
/** Below this a table is halved. */
const emptiest = 0.25
const fewestSlots = 4
const shortestTail = 3
/** What the engine keeps for a table besides its slots. */
const tableOverheadBytes = 200

/** Stands for every partition without entries. */
const emptyTable = new Uint32Array(2)

export class KeyIndex {
  /** The partition of a position is its bits from here on. */
  readonly shift: number
  readonly partitionCount: number
  readonly #mask: number

  readonly #tables: Uint32Array[]
  /** Slots for each unit of position. */
  readonly #ratios: Float64Array
  readonly #capacities: Uint32Array
  readonly #counts: Uint32Array
  /** Kept for the store: bytes and digest of the entries of each partition. */
  readonly #bytes: Float64Array
  readonly #digests: Int32Array

  count = 0
  /** What all tables take. */
  memoryBytes: number
  /** The table of the last search. */
  table: Uint32Array = emptyTable

  constructor(partitionBits: number) {
    assert(partitionBits >= 1 && partitionBits <= 16, "a ring has 2 to 65536 partitions")
    this.shift = 32 - partitionBits
    this.partitionCount = 2 ** partitionBits
    this.#mask = 2 ** this.shift - 1
    this.#tables = new Array<Uint32Array>(this.partitionCount).fill(emptyTable)
    this.#ratios = new Float64Array(this.partitionCount)
    this.#capacities = new Uint32Array(this.partitionCount)
    this.#counts = new Uint32Array(this.partitionCount)
    this.#bytes = new Float64Array(this.partitionCount)
    this.#digests = new Int32Array(this.partitionCount)
    this.memoryBytes = this.partitionCount * (8 + 8 + 4 + 4 + 8 + 4)
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

  tableOf(partition: number): Uint32Array {
    return this.#tables[partition] as Uint32Array
  }

  /** The entry at this position changed by so many bytes, and its part of the digest by `digest`. */
  account(position: number, bytes: number, digest: number): void {
    const partition = position >>> this.shift
    this.#bytes[partition] = (this.#bytes[partition] as number) + bytes
    this.#digests[partition] = ((this.#digests[partition] as number) + digest) | 0
  }

  /**
   * The first slot of its table, as an index of words, whose position is this one or larger, or which is empty: where this
   * position is, or would be. The table is left in `table`; both are good until the index changes.
   */
  seek(position: number): number {
    const partition = position >>> this.shift
    const table = this.#tables[partition] as Uint32Array
    this.table = table
    let at = (((position & this.#mask) * (this.#ratios[partition] as number)) | 0) << 1
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

  /** Makes sure that one more entry at this position needs no memory. */
  prepare(position: number): void {
    const partition = position >>> this.shift
    const capacity = this.#capacities[partition] as number
    if ((this.#counts[partition] as number) + 1 > fullest * capacity)
      this.#rebuild(partition, Math.max(fewestSlots, Math.ceil(capacity * growth)), 0)
    const at = this.seek(position)
    if (this.#endOfRun(at) + 2 >= this.table.length) this.#rebuild(partition, this.#capacities[partition] as number, 2)
  }

  insert(position: number, place: Place): void {
    this.prepare(position)
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

  /** Whether inserting at this position would need memory. */
  mustGrow(position: number): boolean {
    const partition = position >>> this.shift
    if ((this.#counts[partition] as number) + 1 > fullest * (this.#capacities[partition] as number)) return true
    return this.#endOfRun(this.seek(position)) + 2 >= this.table.length
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
    // Whatever follows and is not at home moves one back.
    let to = at
    for (let from = at + 2; table[from + 1] !== 0; from += 2) {
      if (((((table[from] as number) & this.#mask) * ratio) | 0) << 1 >= from) break
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
    else if (count < emptiest * capacity && capacity > fewestSlots)
      this.#rebuild(partition, Math.max(fewestSlots, Math.ceil(capacity / 2)), 0)
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

  #endOfRun(at: number): number {
    const { table } = this
    let end = at
    while (table[end + 1] !== 0) end += 2
    return end
  }

  /** A table with so many homes, and `tailFactor` times the tail, or one as a new table has. */
  #rebuild(partition: number, capacity: number, tailFactor: number): void {
    const old = this.#tables[partition] as Uint32Array
    const oldTail = old.length / 2 - (this.#capacities[partition] as number)
    let tail = tailFactor === 0 ? shortestTail + (capacity >>> 6) : tailFactor * oldTail
    const ratio = capacity / 2 ** this.shift
    let table = filled(old, capacity, tail, ratio, this.#mask)
    while (table === undefined) {
      tail *= 2
      table = filled(old, capacity, tail, ratio, this.#mask)
    }
    this.memoryBytes += table.byteLength + tableOverheadBytes
    if (old !== emptyTable) this.memoryBytes -= old.byteLength + tableOverheadBytes
    this.#tables[partition] = table
    this.#capacities[partition] = capacity
    this.#ratios[partition] = ratio
  }

  #drop(partition: number): void {
    this.memoryBytes -= (this.#tables[partition] as Uint32Array).byteLength + tableOverheadBytes
    this.#tables[partition] = emptyTable
    this.#capacities[partition] = 0
    this.#ratios[partition] = 0
  }
}

/** The slots of a table in one of another shape; undefined: its tail is too short for them and one more. */
function filled(
  old: Uint32Array,
  capacity: number,
  tail: number,
  ratio: number,
  mask: number,
): Uint32Array | undefined {
  const table = new Uint32Array(2 * (capacity + tail))
  const last = table.length - 2
  let to = 0
  for (let from = 0; from < old.length; from += 2) {
    const place = old[from + 1] as number
    if (place === 0) continue
    const position = old[from] as number
    const home = (((position & mask) * ratio) | 0) << 1
    if (home > to) to = home
    if (to + 2 >= last) return undefined
    table[to] = position
    table[to + 1] = place
    to += 2
  }
  return table
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
