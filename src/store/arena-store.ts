/**
 * The store of a node: entries off the heap, in segments that are used again and again, found by an index in the order of the
 * ring. What it promises is in `store.ts`; how it is made is in `README.md`. Knows no clusters and no clock.
 *
 * By itself it is a small library as well: conditional writes, increments, and reads into a buffer that is handed in.
 */
import { assert } from "../base/assert.ts"
import { digestOf, Entries, entryOverheadBytes } from "./entries.ts"
import { KeyIndex } from "./key-index.ts"
import { Reclaim } from "./reclaim.ts"
import { bytesAt, deadFlag, expiryAt, padFlag, pieceFlag, unitBytes } from "./record.ts"
import { isInUse, type Place, type SegmentQueue, Segments } from "./segments.ts"
import type { Arc, Cursor, Entry, HashedKey, Nominate, Store, StoreCounts, StoreOptions, Visit } from "./store.ts"

/** Sizes of the parts of a store. */
export type Shape = {
  /** A power of two. Larger: fewer of them; smaller: less is mapped before it is needed, and shorter values are cut up. */
  readonly segmentBytes: number
  /** The ring is divided into 2^this partitions. More: smaller tables; each costs 250 bytes as soon as it holds something. */
  readonly partitionBits: number
  /** Entries of a table of the index before it is divided, where positions are not spread evenly. More: its growth is a longer step. */
  readonly tableEntries: number
}

/** A segment holds values of 8 MiB, in pieces, from this size on. */
const smallestSegment = 64 * 1024
const largestSegment = 1024 * 1024
const segmentsAtLeast = 256
const mostPartitionBits = 12
const fewestSegments = 10
/** As many as eight tables of them fit a block of the index: spread evenly, they would be a store of 32 GiB before they are so many. */
const tableEntriesPerByte = 1 / 128

/** A segment is a small part of the whole, of which the store needs a few free; and large enough for the largest values. */
export function shapeFor(maxBytes: number): Shape {
  const segmentBytes = 2 ** Math.floor(Math.log2(Math.min(maxBytes / segmentsAtLeast, largestSegment)))
  const partitionBits = Math.min(mostPartitionBits, Math.max(4, Math.floor(Math.log2(maxBytes / 16_384))))
  const atLeast = Math.max(segmentBytes, smallestSegment)
  return { segmentBytes: atLeast, partitionBits, tableEntries: atLeast * tableEntriesPerByte }
}

/** The index takes its memory in blocks of half a segment: several sizes of tables have one that is filled in part. */
const indexBlockShare = 1 / 2

/** Of the room for entries, what one of them may take. */
const largestShare = 1 / 4

/** A sweep looks at so many records for each that it may nominate: it must end also where nothing has expired. */
const looksPerNomination = 8

export type Condition = "absent" | "present" | { readonly version: number }

/** What was read beside the value. */
export type Found = {
  readonly bytes: number
  readonly flags: number
  readonly version: number
  readonly expiresAtMs: number
}

/** Whoever uses the store by itself leads everything. */
export const ownedAlone: Omit<StoreOptions, "maxBytes" | "eviction"> = {
  copiesShare: 0,
  owner: { isLed: () => true, mayDrop: () => true, dropped: () => {} },
}

export class ArenaStore implements Store {
  readonly #options: StoreOptions
  readonly #segments: Segments
  readonly #index: KeyIndex
  readonly #entries: Entries
  readonly #reclaim: Reclaim
  readonly #main: SegmentQueue
  readonly #copies: SegmentQueue
  /** Where the sweep goes on, and when that segment was opened: it may be another one by then. */
  #sweepSegment = 0
  #sweepOffset = 0
  #sweepOpenedAt = -1
  /** In the middle of a visit: the visitor may delete at most. */
  #isVisiting = false

  constructor(options: StoreOptions & { readonly shape?: Shape }) {
    const shape = options.shape ?? shapeFor(options.maxBytes)
    this.#options = options
    this.#segments = new Segments({ segmentBytes: shape.segmentBytes, queueCount: 3 })
    this.#index = new KeyIndex({
      ...shape,
      blockBytes: shape.segmentBytes * indexBlockShare,
    })
    this.#entries = new Entries(this.#segments, this.#index)
    const [small, main, copies] = this.#segments.queues as [SegmentQueue, SegmentQueue, SegmentQueue] // three were asked for
    this.#main = main
    this.#copies = copies
    this.#reclaim = new Reclaim({ ...options, entries: this.#entries, queues: { small, main, copies } })
    assert(this.#segments.budget >= fewestSegments, `a store has memory for at least ${fewestSegments} segments`)
  }

  get entries(): number {
    return this.#index.count
  }

  get bytes(): number {
    return this.#segments.liveBytes
  }

  /** What the store has taken from the process: segments, used or free, and what finds entries in them. */
  get memoryBytes(): number {
    return this.#segments.mapped * this.#segments.segmentBytes + this.#index.memoryBytes + this.#reclaim.ghostBytes
  }

  get counts(): StoreCounts {
    return { evicted: this.#reclaim.evicted, evictedCopies: this.#reclaim.evictedCopies }
  }

  get headroomBytes(): number {
    const room = this.#reclaim.roomBytes
    if (this.#options.eviction !== "none") return Math.max(0, room * largestShare - entryOverheadBytes)
    return Math.max(0, room - this.#segments.liveBytes - entryOverheadBytes)
  }

  fits(bytes: number): boolean {
    return bytes <= this.headroomBytes
  }

  // ------------------------------------------------------------------------------------------------ one entry

  get(key: HashedKey): Entry | undefined {
    const place = this.#entries.find(key)
    if (place === 0) return undefined
    this.#entries.used(place)
    return this.#entries.read(place)
  }

  /** Reads the value into a buffer, from `at` on, if it has room for it; what is returned says how long it is either way. */
  getInto(key: HashedKey, into: Uint8Array, at: number): Found | undefined {
    const entries = this.#entries
    const place = entries.find(key)
    if (place === 0) return undefined
    entries.used(place)
    const found = entries.found(place)
    if (at + found.bytes <= into.length) entries.copyValue(place, into, at)
    return found
  }

  set(key: HashedKey, entry: Entry): void {
    assert(!this.#isVisiting, "nothing is written in the middle of a visit")
    const entries = this.#entries
    const keyBytes = key.bytes.length
    const valueBytes = entry.value.length
    const bytes = entries.bytesFor(keyBytes, valueBytes)
    let place = entries.find(key)
    if (bytes > entries.largestRecord) {
      const canHold = entries.canHold(keyBytes, valueBytes)
      if (this.#options.eviction !== "none" && (!canHold || bytes > this.#reclaim.roomBytes * largestShare))
        return this.#forgetAtOnce(key, place, entry)
      assert(canHold, "keys and values are as long as segments of this size can hold")
    }
    if (place === 0 && this.#index.mustGrow(key.position)) this.#index.prepare(key.position)
    if (this.#reclaim.makeRoom(bytes)) place = entries.find(key)
    if (place === 0) entries.insert(this.#queueFor(key.position), key, entry)
    else entries.replace(place, this.#queueAfter(place), key, entry)
  }

  /** What cannot be kept without dropping most of the rest is what eviction would drop next. */
  #forgetAtOnce(key: HashedKey, place: Place, { version }: Entry): void {
    if (place !== 0) this.#entries.remove(place)
    this.#options.owner.dropped(key.bytes, key.position, version, !this.#options.owner.isLed(key.position))
  }

  #queueFor(position: number): SegmentQueue {
    const { eviction, owner } = this.#options
    if (eviction === "none") return this.#main
    if (!owner.isLed(position)) return this.#copies
    return eviction === "lru" ? this.#main : this.#reclaim.queueForNew(position)
  }

  /** Where an entry goes on that no longer fits its place. */
  #queueAfter(place: Place): SegmentQueue {
    const before = this.#segments.queues[
      this.#segments.queue[this.#segments.segmentOf(place)] as number
    ] as SegmentQueue
    const { eviction, owner } = this.#options
    if (eviction === "none") return before
    if (!owner.isLed(this.#entries.positionOf(place))) return this.#copies
    return before === this.#copies ? this.#main : before
  }

  delete(key: HashedKey): boolean {
    const place = this.#entries.find(key)
    if (place === 0) return false
    this.#entries.remove(place)
    return true
  }

  forget(key: HashedKey, version: number): boolean {
    const place = this.#entries.find(key)
    if (place === 0 || this.#entries.versionOf(place) !== version) return false
    this.#entries.remove(place)
    return true
  }

  /** Sets the entry if its key is absent, present, or present with this version. Who has expired counts as absent. */
  setIf(key: HashedKey, entry: Entry, condition: Condition, nowMs: number): boolean {
    const place = this.#living(key, nowMs)
    const isMet =
      condition === "absent"
        ? place === 0
        : place !== 0 && (condition === "present" || this.#entries.versionOf(place) === condition.version)
    if (isMet) this.set(key, entry)
    return isMet
  }

  /** Gives an entry another version and expiry, where it lies. */
  touch(key: HashedKey, version: number, expiresAtMs: number, nowMs: number): boolean {
    const place = this.#living(key, nowMs)
    if (place === 0) return false
    this.#entries.touch(place, version, expiresAtMs)
    return true
  }

  /** Adds to a value that is a decimal number; one that is absent counts as 0. Returns the sum. */
  increment(key: HashedKey, by: number, version: number, nowMs: number): number | "not-a-number" {
    const place = this.#living(key, nowMs)
    const before = place === 0 ? undefined : this.#entries.read(place)
    const sum = before === undefined ? by : numberIn(before.value) + by
    if (!Number.isSafeInteger(sum)) return "not-a-number"
    const { flags, expiresAtMs } = before ?? { flags: 0, expiresAtMs: Number.POSITIVE_INFINITY }
    this.set(key, { value: digitsOf(sum), flags, version, expiresAtMs })
    return sum
  }

  #living(key: HashedKey, nowMs: number): Place {
    const place = this.#entries.find(key)
    return place !== 0 && this.#entries.expiryOf(place) > nowMs ? place : 0
  }

  // ------------------------------------------------------------------------------------------------ arcs

  scan(arc: Arc, cursor: Cursor | undefined, budgetBytes: number, visit: Visit): Cursor | undefined {
    checkArc(arc)
    const next = Math.max(arc.from, cursor ?? 0)
    if (next >= arc.to) return undefined
    let left = Math.max(1, budgetBytes)
    let previous = -1
    let stoppedAt: Cursor | undefined
    this.#isVisiting = true
    try {
      this.#index.each(next, arc.to, (position, place) => {
        // All that have one position are visited in one step.
        if (left <= 0 && position !== previous) {
          stoppedAt = previous + 1
          return "enough"
        }
        previous = position
        left -= this.#entries.bytesOf(place)
        visit(this.#entries.keyOf(place), position, this.#entries.read(place))
        return "more"
      })
    } finally {
      this.#isVisiting = false
    }
    return stoppedAt
  }

  dropArc(arc: Arc, limit: number): boolean {
    checkArc(arc)
    assert(!this.#isVisiting, "nothing is dropped in the middle of a visit")
    let left = limit
    this.#eachPart(arc, (partition, from, to, isWhole) => {
      if (left <= 0) return
      const places = this.#placesIn(from, to, left)
      left -= places.length
      if (isWhole && places.length === this.#index.countOf(partition)) {
        this.#index.clear(partition)
        for (const place of places) this.#entries.buried(place)
      } else for (const place of places) this.#entries.remove(place)
    })
    return left <= 0
  }

  countArc(arc: Arc): { entries: number; bytes: number } {
    checkArc(arc)
    let count = 0
    let bytes = 0
    this.#eachPart(arc, (partition, from, to, isWhole) => {
      if (isWhole) {
        count += this.#index.countOf(partition)
        bytes += this.#index.bytesOf(partition)
        return
      }
      for (const place of this.#placesIn(from, to)) {
        count += 1
        bytes += this.#entries.bytesOf(place)
      }
    })
    return { entries: count, bytes }
  }

  digestArc(arc: Arc): number {
    checkArc(arc)
    let digest = 0
    this.#eachPart(arc, (partition, from, to, isWhole) => {
      if (isWhole) digest += this.#index.digestOf(partition)
      else
        for (const place of this.#placesIn(from, to))
          digest += digestOf(this.#entries.positionOf(place), this.#entries.versionOf(place))
      digest |= 0
    })
    return digest >>> 0
  }

  /** The arc, partition by partition: an arc of whole partitions needs no look at what they hold. */
  #eachPart(arc: Arc, visit: (partition: number, from: number, to: number, isWhole: boolean) => void): void {
    const { shift } = this.#index
    const width = 2 ** shift
    for (let partition = arc.from >>> shift; partition <= (arc.to - 1) >>> shift; partition++) {
      if (this.#index.countOf(partition) === 0) continue
      const begins = partition * width
      const from = Math.max(arc.from, begins)
      const to = Math.min(arc.to, begins + width)
      visit(partition, from, to, to - from === width)
    }
  }

  #placesIn(from: number, to: number, most = Number.POSITIVE_INFINITY): Place[] {
    const places: Place[] = []
    this.#index.each(from, to, (_, place) => (places.push(place) < most ? "more" : "enough"))
    return places
  }

  // ------------------------------------------------------------------------------------------------ time and memory

  sweep(nowMs: number, limit: number, visit: Nominate): void {
    assert(!this.#isVisiting, "a sweep is no part of a visit")
    this.#reclaim.nowMs = Math.max(this.#reclaim.nowMs, nowMs)
    const segments = this.#segments
    let looks = limit * looksPerNomination
    let nominated = 0
    this.#isVisiting = true
    try {
      for (let passed = 0; passed <= segments.count && looks > 0 && nominated < limit; ) {
        if (!this.#sweepStands()) {
          passed += 1
          this.#sweepNext(nowMs)
          continue
        }
        looks -= 1
        const segment = this.#sweepSegment
        const words = segments.words[segment] as Uint32Array
        const at = this.#sweepOffset >>> 2
        const word = words[at] as number
        this.#sweepOffset += bytesAt(words, at)
        if ((word & (deadFlag | padFlag | pieceFlag)) !== 0) continue
        const expiresAtMs = expiryAt(words, at)
        segments.expires(segment, expiresAtMs)
        if (expiresAtMs > nowMs) continue
        nominated += 1
        const place = segments.placeAt(segment, at << 2)
        visit(this.#entries.keyOf(place), words[at + 1] as number, this.#entries.versionOf(place))
      }
    } finally {
      this.#isVisiting = false
    }
  }

  /** Whether the sweep stands before a record of the segment that it came to. */
  #sweepStands(): boolean {
    const segment = this.#sweepSegment
    const { openedAt, state, used } = this.#segments
    return (
      isInUse(state[segment] as number) &&
      openedAt[segment] === this.#sweepOpenedAt &&
      this.#sweepOffset < (used[segment] as number)
    )
  }

  /** Goes on to the next segment, and into it if anything there has expired. */
  #sweepNext(nowMs: number): void {
    const segments = this.#segments
    const next = this.#sweepSegment + 1 < segments.count ? this.#sweepSegment + 1 : 0
    this.#sweepSegment = next
    this.#sweepOpenedAt = -1
    if (!isInUse(segments.state[next] as number) || (segments.soonestMs[next] as number) > nowMs) return
    this.#sweepOpenedAt = segments.openedAt[next] as number
    this.#sweepOffset = unitBytes
    // Found anew while it is walked; what is written meanwhile counts as well.
    segments.soonestMs[next] = Number.POSITIVE_INFINITY
  }

  tidy(budgetBytes: number): void {
    assert(!this.#isVisiting, "nothing moves in the middle of a visit")
    this.#reclaim.tidy(budgetBytes)
  }

  /** For tests and benchmarks, which look at everything. */
  get parts() {
    return {
      segments: this.#segments,
      index: this.#index,
      entries: this.#entries,
      reclaim: this.#reclaim,
      sweep: { segment: this.#sweepSegment, offset: this.#sweepOffset, openedAt: this.#sweepOpenedAt },
    }
  }
}

function checkArc({ from, to }: Arc): void {
  assert(from >= 0 && from < to && to <= 2 ** 32, "an arc lies on the ring and is not empty")
}

/** NaN: no decimal number. */
function numberIn(value: Uint8Array): number {
  let text = ""
  if (value.length > 20) return Number.NaN
  for (const byte of value) text += String.fromCharCode(byte)
  return /^-?[0-9]+$/.test(text) ? Number(text) : Number.NaN
}

function digitsOf(value: number): Uint8Array {
  return Uint8Array.from(String(value), digit => digit.charCodeAt(0))
}
