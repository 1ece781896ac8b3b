/**
 * Memory for the many tables of an index, which are of a few sizes at a time and change them often. A buffer for each would be
 * hundreds of thousands of objects for the collector over the life of a store, and buffers of many sizes leave holes in the
 * allocator's memory that nothing fits again: of 20 million entries that was 10 bytes each. So all is taken in blocks of one size, which go
 * from one size of tables to another. The tables of a block lie side by side without a gap, and sizes are chosen so that nothing
 * is left over at its end; whoever goes leaves its room to the last of its size, which moves there.
 */
import { assert } from "../base/assert.ts"

/** Where a table lies, as told to whoever keeps it. */
export type Placed = (owner: number, block: Uint32Array, base: number, rank: number) => void

type Size = {
  readonly words: number
  /** As many tables as a block has room for; one, where that is larger than any block. */
  readonly perBlock: number
  readonly blocks: Uint32Array[]
  /** By rank: whose table it is. */
  readonly owners: number[]
}

const smallest = 6
/** From one size to the next. Finer: less is empty, and tables are made anew more often. */
const spacing = 1.125
/** Of the blocks in use, how many may wait for the next use; beyond, they are given up. */
const mostSpare = 1 / 8
/** What the engine keeps for a block besides its words. */
const blockOverheadBytes = 200

export class TableMemory {
  readonly #placed: Placed
  readonly #blockWords: number
  /** Every size that fits a block, in slots of two words, ascending; larger ones are added when they are asked for. */
  readonly #slots: number[] = []
  readonly #sizes: Size[] = []
  readonly #spare: Uint32Array[] = []
  #blocksInUse = 0
  bytes = 0

  constructor(options: { readonly blockBytes: number; readonly placed: Placed }) {
    const { blockBytes, placed } = options
    this.#blockWords = blockBytes / 4
    this.#placed = placed
  }

  /** The number of the smallest size with so many slots or more. */
  sizeFor(slots: number): number {
    while ((this.#slots.at(-1) ?? 0) < slots) this.#addSize()
    let low = 0
    let high = this.#slots.length - 1
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#slots[middle] as number) < slots) low = middle + 1
      else high = middle
    }
    return low
  }

  slotsOf(size: number): number {
    return this.#slots[size] as number
  }

  #addSize(): void {
    const last = this.#slots.at(-1)
    const wanted = last === undefined ? smallest : Math.max(last + 2, Math.ceil(last * spacing))
    const blockSlots = this.#blockWords / 2
    // As large as it can be so that as many of them fit a block.
    const perBlock = Math.max(1, Math.floor(blockSlots / wanted))
    const slots = wanted > blockSlots ? wanted : Math.floor(blockSlots / perBlock)
    this.#slots.push(slots)
    this.#sizes.push({ words: 2 * slots, perBlock, blocks: [], owners: [] })
  }

  /** Gives the owner a table of this size, all zero. */
  take(size: number, owner: number): void {
    const { words, perBlock, blocks, owners } = this.#sizes[size] as Size // whoever asks has it from `sizeFor`
    const rank = owners.length
    owners.push(owner)
    if (rank === blocks.length * perBlock) blocks.push(this.#takeBlock(words))
    const block = blocks[Math.floor(rank / perBlock)] as Uint32Array // just made, if it was not there
    const base = (rank % perBlock) * words
    block.fill(0, base, base + words)
    this.#placed(owner, block, base, rank)
  }

  /** Takes back the table of this size at this rank. */
  release(size: number, rank: number): void {
    const { words, perBlock, blocks, owners } = this.#sizes[size] as Size // somebody has a table of it
    const last = owners.length - 1
    assert(rank <= last, "who gives a table back has one")
    const owner = owners.pop() as number // the same
    if (rank !== last) {
      const from = blocks[Math.floor(last / perBlock)] as Uint32Array
      const block = blocks[Math.floor(rank / perBlock)] as Uint32Array
      const [base, lastBase] = [(rank % perBlock) * words, (last % perBlock) * words]
      block.set(from.subarray(lastBase, lastBase + words), base)
      owners[rank] = owner
      this.#placed(owner, block, base, rank)
    }
    if (last % perBlock === 0) this.#giveBlock(blocks.pop() as Uint32Array)
  }

  #takeBlock(words: number): Uint32Array {
    this.#blocksInUse += 1
    const spare = words <= this.#blockWords ? this.#spare.pop() : undefined
    if (spare !== undefined) return spare
    const block = new Uint32Array(Math.max(words, this.#blockWords))
    this.bytes += block.byteLength + blockOverheadBytes
    return block
  }

  #giveBlock(block: Uint32Array): void {
    this.#blocksInUse -= 1
    if (block.length === this.#blockWords) this.#spare.push(block)
    else this.bytes -= block.byteLength + blockOverheadBytes
    while (this.#spare.length > this.#blocksInUse * mostSpare) {
      this.#spare.pop()
      this.bytes -= 4 * this.#blockWords + blockOverheadBytes
    }
  }
}
