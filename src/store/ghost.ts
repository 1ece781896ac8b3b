/**
 * Remembers, by sixteen bits each, which keys were forgotten lately after a single chance: one that comes back soon was
 * worth more than it looked. Right almost always, which is enough for who only decides where an entry begins.
 *
 * Two tables: what is added goes to the newer one; when that has taken as many as it is made for, the older one is dropped
 * and an empty one begun, made for as many entries as the store holds by then. So it remembers between one and two
 * tables, grows and shrinks with the store, and never has to move what it knows.
 */
import { mix32 } from "../base/hash.ts"

const fewest = 64
const waysPerBucket = 4
/** Free places, so that buckets are rarely full before the table is. */
const slack = 1.25

export class Ghost {
  #newer = new Uint16Array(0)
  #older = new Uint16Array(0)
  #capacity = 0
  readonly #share: number

  /** Of the entries that the store holds, how many a table takes: it remembers the last one to two times as many. */
  constructor(share: number) {
    this.#share = share
  }
  #added = 0

  get bytes(): number {
    return this.#newer.byteLength + this.#older.byteLength
  }

  /** `entries`: held by the store now. `roomBytes`: by how much this may grow; it takes less if that is little. */
  add(position: number, entries: number, roomBytes: number): void {
    if (this.#added >= this.#capacity) this.#turn(entries, roomBytes)
    if (this.#newer.length === 0) return
    const mixed = mix32(position)
    const at = bucketOf(this.#newer, mixed)
    const print = printOf(mixed)
    for (let i = at; i < at + waysPerBucket; i++)
      if (this.#newer[i] === 0) {
        this.#newer[i] = print
        this.#added += 1
        return
      }
    // Full: the one whose turn it is by chance of the print, which is as good as any.
    this.#newer[at + (print & (waysPerBucket - 1))] = print
    this.#added += 1
  }

  /** Whether it was forgotten lately; asked once, it is known no more. */
  take(position: number): boolean {
    if (this.#newer.length === 0) return false
    const mixed = mix32(position)
    return takeFrom(this.#newer, mixed) || takeFrom(this.#older, mixed)
  }

  #turn(entries: number, roomBytes: number): void {
    const wanted = bucketsFor(Math.max(fewest, Math.ceil(entries * this.#share)))
    const affordable = Math.floor((this.#older.byteLength + roomBytes) / (2 * waysPerBucket))
    const buckets = Math.min(wanted, affordable)
    this.#older = this.#newer
    this.#newer = new Uint16Array(waysPerBucket * buckets)
    this.#capacity = Math.floor((waysPerBucket * buckets) / slack)
    this.#added = 0
  }
}

function bucketsFor(entries: number): number {
  return Math.ceil((entries * slack) / waysPerBucket)
}

function bucketOf(table: Uint16Array, mixed: number): number {
  return waysPerBucket * Math.floor((mixed / 2 ** 32) * (table.length / waysPerBucket))
}

/** Never 0, which is an empty place. The bucket comes from the high bits, the print from the low ones. */
function printOf(mixed: number): number {
  return mixed & 0xffff || 1
}

function takeFrom(table: Uint16Array, mixed: number): boolean {
  if (table.length === 0) return false
  const at = bucketOf(table, mixed)
  const print = printOf(mixed)
  for (let i = at; i < at + waysPerBucket; i++)
    if (table[i] === print) {
      table[i] = 0
      return true
    }
  return false
}
