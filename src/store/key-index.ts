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
 *
 * Positions that are spread evenly fill partitions evenly. Where they are not (keys that belong together, or were chosen to) a table becomes
 * large, or its runs long: it is divided into sixteen by the next bits of the position, and those again. So no step costs more
 * than a full table or a long run, whatever the positions are, as long as there are many of them.
 */
import { assert } from "../base/assert.ts"
import type { Place } from "./segments.ts"
import { TableMemory } from "./table-memory.ts"

/** Slots of which most may be taken; beyond, searches become long. */
const fullest = 0.87
/** Below this a table is made half as large. */
const emptiest = 0.25
const shortestTail = 2
const dividedBits = 4
const childCount = 2 ** dividedBits
/** Slots of a run, from where an entry is inserted on, all of which would have to move: beyond, a table is divided. */
const longestRun = 1_024
/** Of the arrays with one element for each partition, or for each table. */
const partitionBytes = 12
const tableBytes = 48

/** Stands for the table of every partition without entries. */
const noTable = new Uint32Array(2)
const noParent = -1

export class KeyIndex {
  /** The partition of a position is its bits from here on. */
  readonly shift: number
  readonly partitionCount: number
  readonly #mask: number
  /** Entries that a table has before it is divided, and with fewer than which it becomes one again. */
  readonly #mostEntries: number
  readonly #foldedBelow: number
  readonly #memory: TableMemory

  // By table: those of the partitions first, then, sixteen at a time, those that one was divided into.
  /** The memory that it lies in, and from where on; which size it has, and where in that. */
  readonly #blocks: Uint32Array[]
  #bases: Uint32Array
  #sizes: Uint16Array
  #ranks: Uint32Array
  /** Homes, and how many for each unit of position. */
  #capacities: Uint32Array
  #ratios: Float64Array
  /** The first position of which it is, and of how many bits of positions. */
  #starts: Uint32Array
  #bits: Uint8Array
  /** The first of those that it was divided into; 0: it is one. */
  #children: Uint32Array
  #parents: Int32Array
  /** Of what is in it, or in what it was divided into. */
  #counts: Uint32Array
  #tableCount: number
  readonly #freeChildren: number[] = []

  /** By partition, kept for the store: bytes and digest of its entries. */
  readonly #bytes: Float64Array
  readonly #digests: Int32Array
  /** Where slots are gathered that are to be laid out anew. */
  #gathered = new Uint32Array(0)

  count = 0
  /** The memory of the table of the last search. */
  table: Uint32Array = noTable

  constructor(options: { readonly partitionBits: number; readonly blockBytes: number; readonly tableEntries: number }) {
    const { partitionBits, blockBytes, tableEntries } = options
    assert(partitionBits >= 1 && partitionBits <= 16, "a ring has 2 to 65536 partitions")
    this.shift = 32 - partitionBits
    this.partitionCount = 2 ** partitionBits
    this.#mask = 2 ** this.shift - 1
    this.#mostEntries = tableEntries
    // So few that neither is it full again soon nor can a run of them be long.
    this.#foldedBelow = Math.min(tableEntries / 4, longestRun / 2)
    const tables = this.partitionCount
    this.#tableCount = tables
    this.#blocks = new Array<Uint32Array>(tables).fill(noTable)
    this.#bases = new Uint32Array(tables)
    this.#sizes = new Uint16Array(tables)
    this.#ranks = new Uint32Array(tables)
    this.#capacities = new Uint32Array(tables)
    this.#ratios = new Float64Array(tables)
    this.#starts = Uint32Array.from({ length: tables }, (_, table) => table * 2 ** this.shift)
    this.#bits = new Uint8Array(tables).fill(this.shift)
    this.#children = new Uint32Array(tables)
    this.#parents = new Int32Array(tables).fill(noParent)
    this.#counts = new Uint32Array(tables)
    this.#bytes = new Float64Array(tables)
    this.#digests = new Int32Array(tables)
    this.#memory = new TableMemory({
      blockBytes,
      placed: (table, block, base, rank) => {
        this.#blocks[table] = block
        this.#bases[table] = base
        this.#ranks[table] = rank
      },
    })
  }

  get memoryBytes(): number {
    const perPartition = this.partitionCount * partitionBytes
    return this.#memory.bytes + perPartition + this.#counts.length * tableBytes + this.#gathered.byteLength
  }

  /** Of that, what the tables themselves lie in. */
  get tableMemoryBytes(): number {
    return this.#memory.bytes
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

  /** The entry at this position changed by so many bytes, and its part of the digest by `digest`. */
  account(position: number, bytes: number, digest: number): void {
    const partition = position >>> this.shift
    this.#bytes[partition] = (this.#bytes[partition] as number) + bytes
    this.#digests[partition] = ((this.#digests[partition] as number) + digest) | 0
  }

  // ------------------------------------------------------------------------------------------------ finding

  /**
   * The first slot whose position is this one or larger, or which is empty: where this position is, or would be. An index of
   * words in `table`; both are good until the index changes.
   */
  seek(position: number): number {
    const partition = position >>> this.shift
    if ((this.#children[partition] as number) !== 0) return this.#seekIn(this.#tableOf(position), position)
    const table = this.#blocks[partition] as Uint32Array
    this.table = table
    const home = ((position & this.#mask) * (this.#ratios[partition] as number)) | 0
    let at = (this.#bases[partition] as number) + (home << 1)
    while ((table[at] as number) < position && table[at + 1] !== 0) at += 2
    return at
  }

  #seekIn(id: number, position: number): number {
    const table = this.#blocks[id] as Uint32Array
    this.table = table
    let at = this.#homeOf(id, position)
    while ((table[at] as number) < position && table[at + 1] !== 0) at += 2
    return at
  }

  #homeOf(id: number, position: number): number {
    const home = ((position - (this.#starts[id] as number)) * (this.#ratios[id] as number)) | 0
    return (this.#bases[id] as number) + (home << 1)
  }

  /** The table that this position is in, or would be. */
  #tableOf(position: number): number {
    let id = position >>> this.shift
    for (let bits = this.shift; (this.#children[id] as number) !== 0; ) {
      bits -= dividedBits
      id = (this.#children[id] as number) + ((position >>> bits) & (childCount - 1))
    }
    return id
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

  /** Visits what lies from one position on up to another, in this order, until the visitor has had enough. It changes nothing here. */
  each(from: number, to: number, visit: (position: number, place: Place) => "more" | "enough"): void {
    for (let next = from; next < to; ) {
      const id = this.#tableOf(next)
      let at = this.#seekIn(id, next)
      const { table } = this
      for (const end = this.#endOf(id); at < end; at += 2) {
        if (table[at + 1] === 0) continue
        const position = table[at] as number
        if (position >= to || visit(position, table[at + 1] as number) === "enough") return
      }
      next = (this.#starts[id] as number) + 2 ** (this.#bits[id] as number)
    }
  }

  /** For tests: how many slots a search for this position looks at. */
  probesOf(position: number): number {
    const id = this.#tableOf(position)
    return (this.#seekIn(id, position) - this.#homeOf(id, position)) / 2 + 1
  }

  /** For tests: every table that has a place in memory, in the order of positions, and where its slots begin and end. */
  *tables(): Generator<{ start: number; width: number; count: number; table: Uint32Array; from: number; end: number }> {
    for (let next = 0; next < 2 ** 32; ) {
      const id = this.#tableOf(next)
      const [start, width] = [this.#starts[id] as number, 2 ** (this.#bits[id] as number)]
      const count = this.#counts[id] as number
      const table = this.#blocks[id] as Uint32Array
      if (table !== noTable) yield { start, width, count, table, from: this.#bases[id] as number, end: this.#endOf(id) }
      next = start + width
    }
  }

  // ------------------------------------------------------------------------------------------------ changing

  /** Whether inserting at this position would need another table. */
  mustGrow(position: number): boolean {
    const id = this.#tableOf(position)
    const at = this.#seekIn(id, position)
    return this.#isTooFull(id, at, this.#endOfRun(at))
  }

  #isTooFull(id: number, at: number, end: number): boolean {
    if ((this.#counts[id] as number) + 1 > fullest * (this.#capacities[id] as number)) return true
    return end + 2 >= this.#endOf(id) || this.#shouldDivide(id, end - at)
  }

  #shouldDivide(id: number, runWords: number): boolean {
    if ((this.#bits[id] as number) < dividedBits) return false
    return (this.#counts[id] as number) >= this.#mostEntries || runWords > 2 * longestRun
  }

  /** Makes sure that one more entry at this position needs no memory. */
  prepare(position: number): void {
    for (;;) {
      const id = this.#tableOf(position)
      const at = this.#seekIn(id, position)
      const end = this.#endOfRun(at)
      if (this.#shouldDivide(id, end - at)) this.#divide(id)
      else if (this.#isTooFull(id, at, end)) this.#layAnew(id, (this.#counts[id] as number) + 1)
      else return
    }
  }

  insert(position: number, place: Place): void {
    let id = this.#tableOf(position)
    let at = this.#seekIn(id, position)
    let end = this.#endOfRun(at)
    if (this.#isTooFull(id, at, end)) {
      this.prepare(position)
      id = this.#tableOf(position)
      at = this.#seekIn(id, position)
      end = this.#endOfRun(at)
    }
    const { table } = this
    if (end > at) shiftUp(table, at, end)
    table[at] = position
    table[at + 1] = place
    this.#countIn(id, 1)
  }

  move(position: number, from: Place, to: Place): void {
    const at = this.slotOf(position, from)
    this.table[at + 1] = to
  }

  remove(position: number, place: Place): void {
    const at = this.slotOf(position, place)
    const id = this.#tableOf(position)
    const { table } = this
    // Whatever follows and is not at home moves one back.
    let to = at
    for (let from = at + 2; table[from + 1] !== 0; from += 2) {
      if (this.#homeOf(id, table[from] as number) >= from) break
      table[to] = table[from] as number
      table[to + 1] = table[from + 1] as number
      to = from
    }
    table[to] = 0
    table[to + 1] = 0
    this.#countIn(id, -1)
    const parent = this.#parents[id] as number
    if (parent !== noParent && (this.#counts[parent] as number) < this.#foldedBelow) this.#fold(parent)
    else if (this.#counts[id] === 0) this.#giveBack(id)
    else if ((this.#counts[id] as number) < emptiest * (this.#capacities[id] as number)) this.#shrink(id)
  }

  /** Forgets all of a partition. */
  clear(partition: number): void {
    this.#countIn(partition, -(this.#counts[partition] as number))
    this.#bytes[partition] = 0
    this.#digests[partition] = 0
    this.#forgetChildren(partition)
    this.#giveBack(partition)
  }

  #countIn(id: number, more: number): void {
    this.count += more
    for (let at = id; at !== noParent; at = this.#parents[at] as number)
      this.#counts[at] = (this.#counts[at] as number) + more
  }

  #endOf(id: number): number {
    if (this.#capacities[id] === 0) return 0
    return (this.#bases[id] as number) + 2 * this.#memory.slotsOf(this.#sizes[id] as number)
  }

  #endOfRun(at: number): number {
    const { table } = this
    let end = at
    while (table[end + 1] !== 0) end += 2
    return end
  }

  // ------------------------------------------------------------------------------------------------ laying out

  /** Another table for what is in this one, with room for so many. */
  #layAnew(id: number, room: number): void {
    const words = this.#gather(id, 0)
    const slots = this.#endOf(id) === 0 ? 0 : this.#memory.slotsOf(this.#sizes[id] as number)
    const capacity = this.#capacities[id] as number
    this.#giveBack(id)
    // A larger one if it is for want of homes.
    this.#lay(id, { from: 0, to: words, room, slotsAtLeast: room > fullest * capacity ? slots + 1 : slots })
  }

  #shrink(id: number): void {
    const count = this.#counts[id] as number
    if (this.#memory.sizeFor(slotsFor(2 * count)) === this.#sizes[id]) return
    const words = this.#gather(id, 0)
    this.#giveBack(id)
    this.#lay(id, { from: 0, to: words, room: 2 * count, slotsAtLeast: 0 })
  }

  /** Sixteen tables for what is in this one. */
  #divide(id: number): void {
    const words = this.#gather(id, 0)
    this.#giveBack(id)
    const first = this.#takeChildren(id)
    const bits = this.#bits[first] as number
    for (let child = first, from = 0; child < first + childCount; child++) {
      const ends = (this.#starts[child] as number) + 2 ** bits
      let to = from
      while (to < words && (this.#gathered[to] as number) < ends) to += 2
      const count = (to - from) / 2
      this.#counts[child] = count
      if (count > 0) this.#lay(child, { from, to, room: count + 1, slotsAtLeast: 0 })
      from = to
    }
  }

  /** One table again for what it was divided into. */
  #fold(id: number): void {
    const words = this.#gatherAll(id, 0)
    this.#forgetChildren(id)
    if (words > 0) this.#lay(id, { from: 0, to: words, room: words / 2 + 1, slotsAtLeast: 0 })
  }

  /** Puts what was gathered from one word up to another into a table with room for so many, which this one has not got yet. */
  #lay(
    id: number,
    options: { readonly from: number; readonly to: number; readonly room: number; readonly slotsAtLeast: number },
  ): void {
    const { from, to, room, slotsAtLeast } = options
    const homes = Math.ceil(room / fullest)
    let size = this.#memory.sizeFor(Math.max(slotsAtLeast, slotsFor(room)))
    let slots = this.#memory.slotsOf(size)
    // What is left over is worth more as homes, as long as what is displaced has its place.
    let capacity = slots - tailFor(slots)
    if (this.#slotsTaken(id, from, to, capacity) > slots) {
      size = this.#memory.sizeFor(Math.max(slotsAtLeast, this.#slotsTaken(id, from, to, homes)))
      slots = this.#memory.slotsOf(size)
      capacity = homes
    }
    this.#memory.take(size, id)
    this.#sizes[id] = size
    this.#capacities[id] = capacity
    this.#ratios[id] = capacity / 2 ** (this.#bits[id] as number)
    const table = this.#blocks[id] as Uint32Array
    const gathered = this.#gathered
    let next = this.#bases[id] as number
    for (let at = from; at < to; at += 2) {
      const position = gathered[at] as number
      next = Math.max(next, this.#homeOf(id, position))
      table[next] = position
      table[next + 1] = gathered[at + 1] as number
      next += 2
    }
  }

  /** Up to the last that is displaced, with room for one more and an empty one, in a table of so many homes. */
  #slotsTaken(id: number, from: number, to: number, capacity: number): number {
    const start = this.#starts[id] as number
    const ratio = capacity / 2 ** (this.#bits[id] as number)
    const gathered = this.#gathered
    let next = 0
    for (let at = from; at < to; at += 2) next = Math.max(next, (((gathered[at] as number) - start) * ratio) | 0) + 1
    return Math.max(next, capacity) + 2
  }

  /** Copies the slots of a table that are taken to where things are gathered, from this word on. Returns where they end. */
  #gather(id: number, from: number): number {
    const table = this.#blocks[id] as Uint32Array
    const most = from + 2 * (this.#counts[id] as number)
    if (this.#gathered.length < most) {
      const larger = new Uint32Array(Math.max(most, 2 * this.#gathered.length))
      larger.set(this.#gathered)
      this.#gathered = larger
    }
    const gathered = this.#gathered
    let to = from
    for (let at = this.#bases[id] as number, end = this.#endOf(id); at < end; at += 2) {
      if (table[at + 1] === 0) continue
      gathered[to] = table[at] as number
      gathered[to + 1] = table[at + 1] as number
      to += 2
    }
    return to
  }

  #gatherAll(id: number, from: number): number {
    const first = this.#children[id] as number
    if (first === 0) return this.#gather(id, from)
    let to = from
    for (let child = first; child < first + childCount; child++) to = this.#gatherAll(child, to)
    return to
  }

  #giveBack(id: number): void {
    if (this.#capacities[id] === 0) return
    this.#memory.release(this.#sizes[id] as number, this.#ranks[id] as number)
    this.#blocks[id] = noTable
    this.#bases[id] = 0
    this.#capacities[id] = 0
    this.#ratios[id] = 0
  }

  #takeChildren(parent: number): number {
    const first = this.#freeChildren.pop() ?? this.#addTables()
    const bits = (this.#bits[parent] as number) - dividedBits
    for (let i = 0; i < childCount; i++) {
      this.#starts[first + i] = (this.#starts[parent] as number) + i * 2 ** bits
      this.#bits[first + i] = bits
      this.#parents[first + i] = parent
    }
    this.#children[parent] = first
    return first
  }

  #forgetChildren(parent: number): void {
    const first = this.#children[parent] as number
    if (first === 0) return
    for (let child = first; child < first + childCount; child++) {
      this.#forgetChildren(child)
      this.#giveBack(child)
      this.#counts[child] = 0
    }
    this.#children[parent] = 0
    this.#freeChildren.push(first)
  }

  #addTables(): number {
    const first = this.#tableCount
    this.#tableCount += childCount
    while (this.#blocks.length < this.#tableCount) this.#blocks.push(noTable)
    if (this.#tableCount <= this.#counts.length) return first
    const length = Math.ceil(this.#counts.length * 1.5) + childCount
    this.#bases = grown(this.#bases, new Uint32Array(length))
    this.#sizes = grown(this.#sizes, new Uint16Array(length))
    this.#ranks = grown(this.#ranks, new Uint32Array(length))
    this.#capacities = grown(this.#capacities, new Uint32Array(length))
    this.#ratios = grown(this.#ratios, new Float64Array(length))
    this.#starts = grown(this.#starts, new Uint32Array(length))
    this.#bits = grown(this.#bits, new Uint8Array(length))
    this.#children = grown(this.#children, new Uint32Array(length))
    this.#parents = grown(this.#parents, new Int32Array(length))
    this.#counts = grown(this.#counts, new Uint32Array(length))
    return first
  }
}

function tailFor(slots: number): number {
  return shortestTail + (slots >>> 6)
}

/** Of a table with homes for so many. */
function slotsFor(room: number): number {
  const homes = Math.ceil(room / fullest)
  return homes + tailFor(homes) + 1
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

function grown<Array extends Uint8Array | Uint16Array | Uint32Array | Int32Array | Float64Array>(
  old: Array,
  larger: Array,
): Array {
  larger.set(old)
  return larger
}
