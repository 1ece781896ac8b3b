/**
 * The memory itself: segments of one size, each a buffer that is mapped once and used again and again, so that neither the
 * collector nor the allocator has anything to do while entries come and go. Records are only ever appended; what is dead
 * stays in its place until its segment is emptied. Knows lengths and counts of records, and nothing of what they mean.
 *
 * A place is a number below 2^32: the segment, then the offset in units of eight bytes. Offset 0 is never used, so that
 * place 0 is nowhere. The arrays that hold one number for each segment grow by doubling.
 */
import { assert } from "../base/assert.ts"
import { unitBytes } from "./record.ts"

/** Where a record is; 0: nowhere. */
export type Place = number
export type SegmentId = number

export const none = -1

/** What a segment is there for at the moment. */
export const unmapped = 0
export const free = 1
/** Its queue appends to it. */
export const open = 2
export const sealed = 3
/** Being emptied. */
export const victim = 4

/** Whether a segment in this state holds records. */
export function isInUse(state: number): boolean {
  return state >= open
}

/** Segments in the order in which they were opened; the newest is still being filled. */
export class SegmentQueue {
  readonly index: number
  open: SegmentId = none
  oldest: SegmentId = none
  newest: SegmentId = none
  /** The open one included. */
  count = 0

  constructor(index: number) {
    this.index = index
  }
}

const noWords = new Uint32Array(0)
const noBytes = new Uint8Array(0)

export class Segments {
  readonly segmentBytes: number
  readonly #unitBits: number
  readonly #unitMask: number
  readonly #mostSegments: number

  /** By segment: its buffer, as words and as bytes. */
  readonly words: Uint32Array[] = []
  readonly bytes: Uint8Array[] = []
  state = new Uint8Array(16)
  /** The queue that it belongs to, or came from. */
  queue = new Uint8Array(16)
  /** Up to where it is filled. */
  used = new Uint32Array(16)
  /** Bytes of records that are not dead. */
  live = new Uint32Array(16)
  /** No entry in it expires earlier, but in the part that the sweep has still to walk. */
  soonestMs = new Float64Array(16)
  /** When it was opened, by a count: a segment used again is another one. */
  openedAt = new Float64Array(16)
  #after = new Int32Array(16)
  #before = new Int32Array(16)

  readonly queues: readonly SegmentQueue[]
  readonly #free: SegmentId[] = []
  readonly #unmapped: SegmentId[] = []
  #opened = 0

  /** How many segments there may be mapped; `take` goes beyond if it must. */
  budget = Number.POSITIVE_INFINITY
  mapped = 0
  liveBytes = 0
  /** What cannot be used again in sealed segments before they are emptied. */
  deadBytes = 0
  sealedCount = 0

  constructor(options: { segmentBytes: number; queueCount: number }) {
    const { segmentBytes, queueCount } = options
    assert(segmentBytes >= 128 && segmentBytes <= 2 ** 24, "a segment has between 128 bytes and 16 MiB")
    assert(Number.isInteger(Math.log2(segmentBytes)), "the size of a segment is a power of two")
    this.segmentBytes = segmentBytes
    this.#unitBits = Math.log2(segmentBytes / unitBytes)
    this.#unitMask = 2 ** this.#unitBits - 1
    this.#mostSegments = 2 ** (32 - this.#unitBits)
    this.queues = Array.from({ length: queueCount }, (_, index) => new SegmentQueue(index))
  }

  /** How many segments ever had a number: every id is below. */
  get count(): number {
    return this.words.length
  }

  get inUse(): number {
    return this.mapped - this.#free.length
  }

  /** Segments that may be opened before the budget ends; below 0: beyond it. */
  get left(): number {
    return this.budget - this.mapped + this.#free.length
  }

  segmentOf(place: Place): SegmentId {
    return place >>> this.#unitBits
  }

  /** The word of its segment at which a record begins. */
  wordOf(place: Place): number {
    return (place & this.#unitMask) << 1
  }

  wordsOf(place: Place): Uint32Array {
    return this.words[place >>> this.#unitBits] as Uint32Array
  }

  bytesOf(place: Place): Uint8Array {
    return this.bytes[place >>> this.#unitBits] as Uint8Array
  }

  placeAt(segment: SegmentId, offset: number): Place {
    return ((segment << this.#unitBits) | (offset >>> 3)) >>> 0
  }

  /** Room for a record at the end of the queue. Moves nothing and forgets nothing. */
  append(queue: SegmentQueue, bytes: number): Place {
    let segment = queue.open
    if (segment === none || (this.used[segment] as number) + bytes > this.segmentBytes) {
      assert(bytes <= this.segmentBytes - unitBytes, "a record fits a segment")
      if (segment !== none) this.seal(queue)
      segment = this.#open(queue)
    }
    const offset = this.used[segment] as number
    this.used[segment] = offset + bytes
    this.live[segment] = (this.live[segment] as number) + bytes
    this.liveBytes += bytes
    return this.placeAt(segment, offset)
  }

  /** So many bytes of a record are dead: all of it, or the end that an overwrite left. */
  kill(segment: SegmentId, bytes: number): void {
    const live = (this.live[segment] as number) - bytes
    this.live[segment] = live
    this.liveBytes -= bytes
    if (this.state[segment] !== sealed) return
    this.deadBytes += bytes
    if (live > 0) return
    this.#unlink(segment)
    this.release(segment)
  }

  /** Something in the segment expires then. */
  expires(segment: SegmentId, atMs: number): void {
    if (atMs < (this.soonestMs[segment] as number)) this.soonestMs[segment] = atMs
  }

  seal(queue: SegmentQueue): void {
    const segment = queue.open
    assert(segment !== none, "there is something to seal")
    queue.open = none
    if (this.live[segment] === 0) {
      queue.count -= 1
      this.release(segment)
      return
    }
    this.state[segment] = sealed
    this.sealedCount += 1
    this.deadBytes += this.segmentBytes - (this.live[segment] as number)
    this.#before[segment] = queue.newest
    this.#after[segment] = none
    if (queue.newest === none) queue.oldest = segment
    else this.#after[queue.newest] = segment
    queue.newest = segment
  }

  /** Takes a sealed segment out of its queue, to be emptied and released. */
  pick(segment: SegmentId): void {
    assert(this.state[segment] === sealed, "only a sealed segment is emptied")
    this.#unlink(segment)
    this.state[segment] = victim
  }

  /** Nothing in it lives: it may be used again. */
  release(segment: SegmentId): void {
    assert(this.live[segment] === 0, "nothing lives in a segment that is released")
    this.state[segment] = free
    this.#free.push(segment)
    this.shrinkToBudget()
  }

  /** Gives up free segments while there are more than there may be. */
  shrinkToBudget(): void {
    while (this.mapped > this.budget) {
      const segment = this.#free.pop()
      if (segment === undefined) return
      this.#unmap(segment)
    }
  }

  /** The sealed segment with the fewest bytes alive; `none`: there is none. */
  emptiest(): SegmentId {
    let found = none
    let least = this.segmentBytes
    for (let segment = 0; segment < this.count; segment++)
      if (this.state[segment] === sealed && (this.live[segment] as number) < least) {
        least = this.live[segment] as number
        found = segment
      }
    return found
  }

  /** For tests: the sealed segments of a queue, oldest first. */
  sealedOf(queue: SegmentQueue): SegmentId[] {
    const sealedOnes: SegmentId[] = []
    for (let segment = queue.oldest; segment !== none; segment = this.#after[segment] as number)
      sealedOnes.push(segment)
    return sealedOnes
  }

  /** For tests. */
  get freeOnes(): readonly SegmentId[] {
    return this.#free
  }

  #open(queue: SegmentQueue): SegmentId {
    const segment = this.#free.pop() ?? this.#map()
    this.#opened += 1
    this.openedAt[segment] = this.#opened
    this.state[segment] = open
    this.queue[segment] = queue.index
    this.used[segment] = unitBytes
    this.live[segment] = 0
    this.soonestMs[segment] = Number.POSITIVE_INFINITY
    queue.open = segment
    queue.count += 1
    return segment
  }

  #unlink(segment: SegmentId): void {
    const queue = this.queues[this.queue[segment] as number] as SegmentQueue
    const before = this.#before[segment] as number
    const after = this.#after[segment] as number
    if (before === none) queue.oldest = after
    else this.#after[before] = after
    if (after === none) queue.newest = before
    else this.#before[after] = before
    queue.count -= 1
    this.sealedCount -= 1
    this.deadBytes -= this.segmentBytes - (this.live[segment] as number)
  }

  #map(): SegmentId {
    const segment = this.#unmapped.pop() ?? this.words.length
    assert(segment < this.#mostSegments, `at most ${this.#mostSegments} segments have a place each below 2^32`)
    if (segment >= this.state.length) this.#growArrays()
    const buffer = new ArrayBuffer(this.segmentBytes)
    this.words[segment] = new Uint32Array(buffer)
    this.bytes[segment] = new Uint8Array(buffer)
    this.mapped += 1
    return segment
  }

  #unmap(segment: SegmentId): void {
    this.words[segment] = noWords
    this.bytes[segment] = noBytes
    this.state[segment] = unmapped
    this.#unmapped.push(segment)
    this.mapped -= 1
  }

  #growArrays(): void {
    const length = 2 * this.state.length
    this.state = grown(this.state, new Uint8Array(length))
    this.queue = grown(this.queue, new Uint8Array(length))
    this.used = grown(this.used, new Uint32Array(length))
    this.live = grown(this.live, new Uint32Array(length))
    this.soonestMs = grown(this.soonestMs, new Float64Array(length))
    this.openedAt = grown(this.openedAt, new Float64Array(length))
    this.#after = grown(this.#after, new Int32Array(length))
    this.#before = grown(this.#before, new Int32Array(length))
  }
}

function grown<Array extends Uint8Array | Uint32Array | Int32Array | Float64Array>(old: Array, larger: Array): Array {
  larger.set(old)
  return larger
}
