/**
 * Memory for the many tables of an index, which are of a few sizes at a time and change them often. A buffer for each would be
 * hundreds of thousands of objects for the collector over the life of a store, and holes of every size for the allocator.
 * Tables of one size lie side by side in blocks instead, without a gap: whoever goes leaves its room to the last one, which
 * moves there. A block whose last table has gone is given up.
 */

/** Where a table lies, as told to whoever keeps it. */
export type Placed = (owner: number, block: Uint32Array, base: number, rank: number) => void

type Size = {
  readonly blocks: Uint32Array[]
  /** By rank: whose table it is. */
  readonly owners: number[]
}

/** Tables in the blocks of one size, one block after the other: at most a fifth is free, or one block of the longest kind. */
const firstBlocks = [1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 4, 8, 8, 8, 8]
const laterBlocks = 16
/** By rank, for those in the first blocks: the block, and the place in it. */
const firstRanks = firstBlocks.flatMap((count, block) =>
  Array.from({ length: count }, (_, place) => ({ block, place })),
)
/** What the engine keeps for a block besides its words. */
const blockOverheadBytes = 200

export class TableMemory {
  readonly #placed: Placed
  readonly #sizes = new Map<number, Size>()
  bytes = 0

  constructor(placed: Placed) {
    this.#placed = placed
  }

  /** Gives the owner a table of so many words, all zero. */
  take(words: number, owner: number): void {
    let size = this.#sizes.get(words)
    if (size === undefined) {
      size = { blocks: [], owners: [] }
      this.#sizes.set(words, size)
    }
    const rank = size.owners.length
    size.owners.push(owner)
    const index = blockAt(rank)
    if (index === size.blocks.length) {
      const tables = firstBlocks[index] ?? laterBlocks
      size.blocks.push(new Uint32Array(words * tables))
      this.bytes += 4 * words * tables + blockOverheadBytes
    }
    const block = size.blocks[index] as Uint32Array // just made, if it was not there
    const base = placeAt(rank) * words
    block.fill(0, base, base + words)
    this.#placed(owner, block, base, rank)
  }

  /** Takes back the table of so many words at this rank. */
  release(words: number, rank: number): void {
    const { blocks, owners } = this.#sizes.get(words) as Size // somebody has a table of it
    const last = owners.length - 1
    const owner = owners.pop() as number // the same
    const lastBlock = blocks[blockAt(last)] as Uint32Array
    if (rank !== last) {
      const block = blocks[blockAt(rank)] as Uint32Array
      const base = placeAt(rank) * words
      const from = placeAt(last) * words
      block.set(lastBlock.subarray(from, from + words), base)
      owners[rank] = owner
      this.#placed(owner, block, base, rank)
    }
    if (placeAt(last) > 0) return
    blocks.pop()
    this.bytes -= lastBlock.byteLength + blockOverheadBytes
    if (last === 0) this.#sizes.delete(words)
  }
}

function blockAt(rank: number): number {
  return firstRanks[rank]?.block ?? firstBlocks.length + Math.floor((rank - firstRanks.length) / laterBlocks)
}

function placeAt(rank: number): number {
  return firstRanks[rank]?.place ?? (rank - firstRanks.length) % laterBlocks
}
