import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { Prng } from "../base/prng.ts"
import { TableMemory } from "./table-memory.ts"

type Table = { readonly size: number; block: Uint32Array; base: number; rank: number }

const blockBytes = 1_024

function memoryOf(): {
  readonly memory: TableMemory
  readonly tables: Map<number, Table>
  take(size: number, owner: number): Table
} {
  const tables = new Map<number, Table>()
  const memory = new TableMemory({
    blockBytes,
    placed: (owner, block, base, rank) => {
      const table = tables.get(owner)
      if (table !== undefined) Object.assign(table, { block, base, rank })
      else tables.set(owner, { size: -1, block, base, rank })
    },
  })
  const take = (size: number, owner: number) => {
    memory.take(size, owner)
    const table = { ...(tables.get(owner) as Table), size }
    tables.set(owner, table)
    return table
  }
  return { memory, tables, take }
}

function contentOf(memory: TableMemory, { block, base, size }: Table): Uint32Array {
  return block.subarray(base, base + 2 * memory.slotsOf(size))
}

test("sizes grow by about an eighth, and of those that fit a block nothing is left over that another table would fit in", () => {
  const { memory } = memoryOf()
  const blockSlots = blockBytes / 8
  let before = 0
  for (let slots = 1; slots <= 400; slots++) {
    const size = memory.sizeFor(slots)
    const has = memory.slotsOf(size)
    ok(has >= slots)
    ok(size === 0 || memory.slotsOf(size - 1) < slots, "the smallest that is large enough")
    if (has === before) continue
    // Few tables of a block are large steps from one size to the next: a third, a half, all of it.
    if (before >= 16 && (has < blockSlots / 4 || has > blockSlots)) ok(has <= 1.25 * before, `${before}, then ${has}`)
    if (has <= blockSlots) ok(blockSlots - Math.floor(blockSlots / has) * has < Math.floor(blockSlots / has))
    before = has
  }
})

test("what is in a table stays in it, whoever comes, goes, and is moved for that; a new one is empty", () => {
  const prng = new Prng(1)
  const { memory, tables, take } = memoryOf()
  const sizes = [6, 7, 10, 40, 128, 200].map(slots => memory.sizeFor(slots))
  for (let step = 0; step < 5_000; step++) {
    const owner = prng.below(60)
    const table = tables.get(owner)
    // Now many, now few.
    if (table === undefined && prng.chance(Math.floor(step / 500) % 2 === 0 ? 0.9 : 0.2)) {
      const content = contentOf(memory, take(prng.pick(sizes), owner))
      ok(
        content.every(word => word === 0),
        "a table begins empty",
      )
      content.fill(owner + 1)
    } else if (table !== undefined && prng.chance(0.5)) {
      tables.delete(owner)
      memory.release(table.size, table.rank)
      ok(!tables.has(owner), "nobody hears of a table that has gone")
    }
    for (const [each, held] of tables)
      ok(
        contentOf(memory, held).every(word => word === each + 1),
        "a table holds what was put into it",
      )
  }
})

test("blocks pass from one size to another, and are given up when few are in use", () => {
  const { memory, tables, take } = memoryOf()
  const [small, large] = [memory.sizeFor(6), memory.sizeFor(40)]
  const release = (owner: number) => {
    const table = tables.get(owner) as Table
    tables.delete(owner)
    memory.release(table.size, table.rank)
  }
  for (let owner = 0; owner < 1_000; owner++) take(small, owner)
  const most = memory.bytes
  const used = 1_000 * 8 * memory.slotsOf(small)
  ok(most < 1.3 * used, `${most} bytes for ${used}`)
  // As tables of an index grow: one after another.
  const grownUp = 8 * memory.slotsOf(large)
  for (let owner = 0; owner < 1_000; owner++) {
    release(owner)
    take(large, owner)
    const left = (999 - owner) * 8 * memory.slotsOf(small) + (owner + 1) * grownUp
    ok(memory.bytes < 1.5 * left + 4 * blockBytes, `${memory.bytes} bytes for ${left}`)
  }
  for (let owner = 0; owner < 1_000; owner++) release(owner)
  equal(memory.bytes, 0)
  deepEqual(tables, new Map())
})
