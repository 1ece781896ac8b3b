/**
 * Entries: records in segments and their slots in the index, kept in step. Finds, reads, writes, moves and removes one; which
 * queue one belongs to, what is worth keeping and when there is room is decided by whoever calls.
 *
 * A value too long for a record is cut into pieces that lie in segments like records, rather than given an allocation of
 * its own: what is freed then goes back to the segments at once and is used for anything, where a buffer of its own would
 * wait for the collector and leave a hole of its size in the allocator's memory. The process takes what the limit says, whatever
 * sizes come and go. A sixteenth of a segment is the longest record (more of a small segment), so little is left over at the end of each.
 */
import { assert } from "../base/assert.ts"
import { mix32 } from "../base/hash.ts"
import { copyIn, copyInto, copyOut, copyWithinSegments, equalBytes } from "./copy.ts"
import type { KeyIndex } from "./key-index.ts"
import {
  bytesAt,
  deadFlag,
  expiryAt,
  flagsAt,
  headerBytes,
  headerWords,
  keyLengthAt,
  lengthMask,
  maxUses,
  oneUse,
  padFlag,
  pieceFlag,
  pieceHeaderBytes,
  piecedFlag,
  recordBytes,
  unitBytes,
  usesMask,
  usesShift,
  valueWordAt,
  versionAt,
  wholeUnits,
  wholeWords,
  writeHeader,
} from "./record.ts"
import type { Place, SegmentId, SegmentQueue, Segments } from "./segments.ts"
import type { Entry, HashedKey } from "./store.ts"

/** What an entry adds to its key and value at most: header, rounding, and its slot in the index. */
export const entryOverheadBytes = headerBytes + 3 + unitBytes + 12

const pieceHeaderWords = pieceHeaderBytes / 4

export class Entries {
  readonly segments: Segments
  readonly index: KeyIndex
  /** The longest record that holds its value, and what a whole piece takes. */
  readonly largestRecord: number
  readonly #pieceBytes: number
  /** The longest of all records: a list of many pieces. */
  readonly #largestOfAll: number

  constructor(segments: Segments, index: KeyIndex) {
    this.segments = segments
    this.index = index
    const { segmentBytes } = segments
    const parts = Math.min(16, Math.max(4, segmentBytes / 4_096))
    const largest = Math.floor((segmentBytes - unitBytes) / parts)
    this.largestRecord = Math.max(largest - (largest % unitBytes), 64)
    this.#pieceBytes = this.largestRecord - pieceHeaderBytes
    this.#largestOfAll = segments.segmentBytes / 2 - unitBytes
  }

  /** Whether a segment can hold what must lie in one piece of an entry of these lengths. */
  canHold(keyBytes: number, valueBytes: number): boolean {
    if (keyBytes > 0xffff || valueBytes > lengthMask) return false
    return recordBytes(keyBytes, valueBytes) <= this.largestRecord
      ? true
      : this.#piecedBytes(keyBytes, valueBytes) <= this.#largestOfAll
  }

  /** All that an entry of these lengths takes in segments. */
  bytesFor(keyBytes: number, valueBytes: number): number {
    const whole = recordBytes(keyBytes, valueBytes)
    if (whole <= this.largestRecord) return whole
    const count = this.#pieceCount(valueBytes)
    const last = valueBytes - (count - 1) * this.#pieceBytes
    return (
      this.#piecedBytes(keyBytes, valueBytes) +
      (count - 1) * this.largestRecord +
      (count === 0 ? this.largestRecord : wholeUnits(pieceHeaderBytes + last))
    )
  }

  #pieceCount(valueBytes: number): number {
    return Math.ceil(valueBytes / this.#pieceBytes)
  }

  #piecedBytes(keyBytes: number, valueBytes: number): number {
    return recordBytes(keyBytes, 4 + 4 * this.#pieceCount(valueBytes))
  }

  // ------------------------------------------------------------------------------------------------ reading

  find(key: HashedKey): Place {
    const { position, bytes } = key
    let at = this.index.seek(position)
    const { table } = this.index
    const { segments } = this
    for (; table[at] === position; at += 2) {
      const place = table[at + 1] as number
      if (place === 0) return 0
      const words = segments.wordsOf(place)
      const word = segments.wordOf(place)
      if (keyLengthAt(words, word) === bytes.length && equalBytes(words, word + headerWords, bytes)) return place
    }
    return 0
  }

  /** Counts a use, up to the few that are told apart. */
  used(place: Place): void {
    const words = this.segments.wordsOf(place)
    const at = this.segments.wordOf(place)
    const word = words[at] as number
    if ((word & usesMask) !== usesMask) words[at] = word + oneUse
  }

  read(place: Place): Entry {
    const words = this.segments.wordsOf(place)
    const at = this.segments.wordOf(place)
    return {
      value: this.#value(place, words, at),
      flags: flagsAt(words, at),
      version: versionAt(words, at),
      expiresAtMs: expiryAt(words, at),
    }
  }

  found(place: Place): { bytes: number; flags: number; version: number; expiresAtMs: number } {
    const words = this.segments.wordsOf(place)
    const at = this.segments.wordOf(place)
    return {
      bytes: (words[at] as number) & lengthMask,
      flags: flagsAt(words, at),
      version: versionAt(words, at),
      expiresAtMs: expiryAt(words, at),
    }
  }

  #value(place: Place, words: Uint32Array, at: number): Uint8Array {
    const word = words[at] as number
    const length = word & lengthMask
    if ((word & piecedFlag) === 0) return copyOut(words, this.segments.bytesOf(place), valueWordAt(words, at), length)
    const value = new Uint8Array(length)
    this.#copyPieces(words, at, value, 0)
    return value
  }

  /** Its value, from `offset` of a buffer that has room for it on. */
  copyValue(place: Place, into: Uint8Array, offset: number): void {
    const words = this.segments.wordsOf(place)
    const at = this.segments.wordOf(place)
    const word = words[at] as number
    if ((word & piecedFlag) !== 0) this.#copyPieces(words, at, into, offset)
    else copyInto(this.segments.bytesOf(place), valueWordAt(words, at), word & lengthMask, into, offset)
  }

  #copyPieces(words: Uint32Array, at: number, into: Uint8Array, offset: number): void {
    const list = valueWordAt(words, at)
    const count = words[list] as number
    for (let i = 0; i < count; i++) {
      const piece = words[list + 1 + i] as number
      const pieceWords = this.segments.wordsOf(piece)
      const pieceAt = this.segments.wordOf(piece)
      const length = (pieceWords[pieceAt] as number) & lengthMask
      copyInto(this.segments.bytesOf(piece), pieceAt + pieceHeaderWords, length, into, offset + i * this.#pieceBytes)
    }
  }

  keyOf(place: Place): Uint8Array {
    const words = this.segments.wordsOf(place)
    const at = this.segments.wordOf(place)
    return copyOut(words, this.segments.bytesOf(place), at + headerWords, keyLengthAt(words, at))
  }

  /** The key where it lies: good until anything is written. */
  keyWindow(place: Place): Uint8Array {
    const words = this.segments.wordsOf(place)
    const at = this.segments.wordOf(place)
    const from = (at + headerWords) << 2
    return this.segments.bytesOf(place).subarray(from, from + keyLengthAt(words, at))
  }

  positionOf(place: Place): number {
    return this.segments.wordsOf(place)[this.segments.wordOf(place) + 1] as number
  }

  versionOf(place: Place): number {
    return versionAt(this.segments.wordsOf(place), this.segments.wordOf(place))
  }

  expiryOf(place: Place): number {
    return expiryAt(this.segments.wordsOf(place), this.segments.wordOf(place))
  }

  /** All that the entry takes in segments. */
  bytesOf(place: Place): number {
    const words = this.segments.wordsOf(place)
    const at = this.segments.wordOf(place)
    if (((words[at] as number) & piecedFlag) === 0) return bytesAt(words, at)
    return this.bytesFor(keyLengthAt(words, at), (words[at] as number) & lengthMask)
  }

  // ------------------------------------------------------------------------------------------------ writing

  /** Adds an entry that is not there. */
  insert(queue: SegmentQueue, key: HashedKey, entry: Entry): void {
    const place = this.#write(queue, key, entry, 0)
    this.index.insert(key.position, place)
    this.index.account(key.position, this.bytesOf(place), digestOf(key.position, entry.version))
  }

  /** Puts an entry in place of the one here, which may stay where it is or go to the end of the queue. */
  replace(place: Place, queue: SegmentQueue, key: HashedKey, entry: Entry): void {
    const words = this.segments.wordsOf(place)
    const at = this.segments.wordOf(place)
    const uses = Math.min(maxUses, ((words[at] as number) & usesMask) / oneUse + 1)
    const { position } = key
    const before = this.bytesOf(place)
    const digestBefore = digestOf(position, versionAt(words, at))
    const bytes = recordBytes(key.bytes.length, entry.value.length)
    const fits =
      bytes <= this.largestRecord && ((words[at] as number) & piecedFlag) === 0 && bytes <= bytesAt(words, at)
    if (fits) this.#overwrite(place, entry, bytes, uses)
    else {
      const moved = this.#write(queue, key, entry, uses)
      this.index.move(position, place, moved)
      this.#kill(place)
    }
    const after = fits ? bytes : this.bytesFor(key.bytes.length, entry.value.length)
    this.index.account(position, after - before, digestOf(position, entry.version) - digestBefore)
  }

  #overwrite(place: Place, entry: Entry, bytes: number, uses: number): void {
    const { segments } = this
    const segment = segments.segmentOf(place)
    const words = segments.words[segment] as Uint32Array
    const at = segments.wordOf(place)
    const left = bytesAt(words, at) - bytes
    words[at] = entry.value.length | (uses << usesShift)
    writeHeader(words, at, keyLengthAt(words, at), entry)
    copyIn(words, segments.bytes[segment] as Uint8Array, valueWordAt(words, at), entry.value)
    segments.expires(segment, expiryAt(words, at))
    if (left === 0) return
    words[at + bytes / 4] = left | padFlag
    segments.kill(segment, left)
  }

  #write(queue: SegmentQueue, key: HashedKey, entry: Entry, uses: number): Place {
    const { segments } = this
    const keyBytes = key.bytes.length
    const { length } = entry.value
    const whole = recordBytes(keyBytes, length)
    const isPieced = whole > this.largestRecord
    const place = segments.append(queue, isPieced ? this.#piecedBytes(keyBytes, length) : whole)
    const segment = segments.segmentOf(place)
    const words = segments.words[segment] as Uint32Array
    const bytes = segments.bytes[segment] as Uint8Array
    const at = segments.wordOf(place)
    words[at] = length | (uses << usesShift) | (isPieced ? piecedFlag : 0)
    words[at + 1] = key.position
    writeHeader(words, at, keyBytes, entry)
    copyIn(words, bytes, at + headerWords, key.bytes)
    const valueAt = at + headerWords + (wholeWords(keyBytes) >>> 2)
    if (isPieced) this.#writePieces(queue, key.position, entry.value, words, valueAt)
    else copyIn(words, bytes, valueAt, entry.value)
    segments.expires(segment, expiryAt(words, at))
    return place
  }

  /** Behind their record, which holds the list: so the one who empties segments meets the record first. */
  #writePieces(queue: SegmentQueue, position: number, value: Uint8Array, list: Uint32Array, listAt: number): void {
    const { segments } = this
    const count = this.#pieceCount(value.length)
    list[listAt] = count
    for (let i = 0; i < count; i++) {
      const piece = value.subarray(i * this.#pieceBytes, (i + 1) * this.#pieceBytes)
      const place = segments.append(queue, wholeUnits(pieceHeaderBytes + piece.length))
      const words = segments.wordsOf(place)
      const at = segments.wordOf(place)
      words[at] = piece.length | pieceFlag
      words[at + 1] = position
      words[at + 2] = i
      copyIn(words, segments.bytesOf(place), at + pieceHeaderWords, piece)
      list[listAt + 1 + i] = place
    }
  }

  touch(place: Place, version: number, expiresAtMs: number): void {
    const { segments } = this
    const segment = segments.segmentOf(place)
    const words = segments.words[segment] as Uint32Array
    const at = segments.wordOf(place)
    const position = words[at + 1] as number
    this.index.account(position, 0, digestOf(position, version) - digestOf(position, versionAt(words, at)))
    writeHeader(words, at, keyLengthAt(words, at), { version, flags: flagsAt(words, at), expiresAtMs })
    segments.expires(segment, expiryAt(words, at))
  }

  remove(place: Place): void {
    const position = this.positionOf(place)
    this.index.account(position, -this.bytesOf(place), -digestOf(position, this.versionOf(place)))
    this.index.remove(position, place)
    this.#kill(place)
  }

  /** The records of what the index no longer knows. */
  buried(place: Place): void {
    this.#kill(place)
  }

  #kill(place: Place): void {
    const words = this.segments.wordsOf(place)
    const at = this.segments.wordOf(place)
    const word = words[at] as number
    if ((word & piecedFlag) !== 0) {
      const list = valueWordAt(words, at)
      const count = words[list] as number
      for (let i = 0; i < count; i++) this.#killRecord(words[list + 1 + i] as number)
    }
    this.#killRecord(place)
  }

  #killRecord(place: Place): void {
    const segment = this.segments.segmentOf(place)
    const words = this.segments.words[segment] as Uint32Array
    const at = this.segments.wordOf(place)
    words[at] = (words[at] as number) | deadFlag
    this.segments.kill(segment, bytesAt(words, at))
  }

  // ------------------------------------------------------------------------------------------------ moving

  /** Moves a record, not its pieces, to the end of a queue. */
  move(place: Place, queue: SegmentQueue, uses: number): void {
    const words = this.segments.wordsOf(place)
    const at = this.segments.wordOf(place)
    words[at] = ((words[at] as number) & ~usesMask) | (uses << usesShift)
    const moved = this.#moveRecord(place, queue)
    this.index.move(words[at + 1] as number, place, moved)
    this.segments.expires(this.segments.segmentOf(moved), expiryAt(words, at))
  }

  movePiece(place: Place, record: Place, queue: SegmentQueue): void {
    const index = this.segments.wordsOf(place)[this.segments.wordOf(place) + 2] as number
    const moved = this.#moveRecord(place, queue)
    const words = this.segments.wordsOf(record)
    words[valueWordAt(words, this.segments.wordOf(record)) + 1 + index] = moved
  }

  /** The record that lists this piece. */
  recordOfPiece(piece: Place): Place {
    const pieceWords = this.segments.wordsOf(piece)
    const pieceAt = this.segments.wordOf(piece)
    const position = pieceWords[pieceAt + 1] as number
    const index = pieceWords[pieceAt + 2] as number
    let at = this.index.seek(position)
    const { table } = this.index
    for (; table[at] === position && table[at + 1] !== 0; at += 2) {
      const place = table[at + 1] as number
      const words = this.segments.wordsOf(place)
      const word = this.segments.wordOf(place)
      if (((words[word] as number) & piecedFlag) === 0) continue
      const list = valueWordAt(words, word)
      if (index < (words[list] as number) && words[list + 1 + index] === piece) return place
    }
    assert(false, "every piece that lives is listed")
    return 0
  }

  #moveRecord(place: Place, queue: SegmentQueue): Place {
    const { segments } = this
    const from: SegmentId = segments.segmentOf(place)
    const words = segments.words[from] as Uint32Array
    const at = segments.wordOf(place)
    const bytes = bytesAt(words, at)
    const moved = segments.append(queue, bytes)
    copyWithinSegments(words, at, segments.wordsOf(moved), segments.wordOf(moved), bytes)
    words[at] = (words[at] as number) | deadFlag
    segments.kill(from, bytes)
    return moved
  }
}

/** Of one entry; those of an arc are added up. Of one position there is one entry of a version, but for rare chance. */
export function digestOf(position: number, version: number): number {
  return mix32(
    mix32(position) ^ Math.imul(version | 0, 0x9e3779b1) ^ Math.imul(Math.floor(version / 2 ** 32), 0x85ebca6b),
  )
}
