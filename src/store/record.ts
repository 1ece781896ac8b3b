/**
 * How an entry lies in a segment: a header of six 32-bit words, the key, the value. Key and value each begin at a whole
 * word, so that both are copied and compared a word at a time; a record ends at a whole unit of eight bytes, in which
 * places are counted. A segment can be walked from its first record to its last by their lengths alone.
 *
 * word 0  bits 0-23 length of the value, 24-25 uses, then the flags below
 * word 1  position
 * word 2  version, low 32 bits
 * word 3  version, high 16 bits; length of the key
 * word 4  expiry in whole ms, low 32 bits
 * word 5  expiry, high 16 bits, all 48 set: never; the flags of the entry
 *
 * A value too long for one record lies in pieces of its own, wherever there is room. Its record has, in place of the value,
 * their number and their places; each piece knows position and index, by which its record is found when it moves.
 */
import { assert } from "../base/assert.ts"

export const unitBytes = 8
export const headerWords = 6
export const headerBytes = 4 * headerWords
export const pieceHeaderBytes = 16

export const lengthMask = 0xff_ffff
export const maxUses = 3
export const usesShift = 24
export const oneUse = 1 << usesShift
export const usesMask = maxUses << usesShift
/** Nobody's any more: waits for its segment to be emptied. */
export const deadFlag = 1 << 26
/** What an entry left of its room when it was overwritten by a shorter one. Word 0 has its bytes, header included. */
export const padFlag = 1 << 27
/** The value lies in pieces. */
export const piecedFlag = 1 << 28
/** This is a piece: word 0 its length, word 1 the position, word 2 its index. */
export const pieceFlag = 1 << 29

export const maxVersion = 2 ** 48 - 1
const neverMs = 2 ** 48 - 1
const highBits = 2 ** 32

export function wholeWords(bytes: number): number {
  return (bytes + 3) & ~3
}

export function wholeUnits(bytes: number): number {
  return (bytes + 7) & ~7
}

/** What a record takes whose value lies with it. */
export function recordBytes(keyBytes: number, valueBytes: number): number {
  return wholeUnits(headerBytes + wholeWords(keyBytes) + valueBytes)
}

/** What the record at this word takes, whatever it is. */
export function bytesAt(words: Uint32Array, at: number): number {
  const word = words[at] as number
  const length = word & lengthMask
  if ((word & padFlag) !== 0) return length
  if ((word & pieceFlag) !== 0) return wholeUnits(pieceHeaderBytes + length)
  const keyBytes = wholeWords(keyLengthAt(words, at))
  if ((word & piecedFlag) === 0) return wholeUnits(headerBytes + keyBytes + length)
  return wholeUnits(headerBytes + keyBytes + 4 + 4 * (words[at + headerWords + keyBytes / 4] as number))
}

export function keyLengthAt(words: Uint32Array, at: number): number {
  return (words[at + 3] as number) >>> 16
}

/** The word at which the value begins, or the list of its pieces. */
export function valueWordAt(words: Uint32Array, at: number): number {
  return at + headerWords + (wholeWords(keyLengthAt(words, at)) >>> 2)
}

export function usesAt(words: Uint32Array, at: number): number {
  return ((words[at] as number) & usesMask) >>> usesShift
}

export function versionAt(words: Uint32Array, at: number): number {
  return ((words[at + 3] as number) & 0xffff) * highBits + (words[at + 2] as number)
}

export function flagsAt(words: Uint32Array, at: number): number {
  return (words[at + 5] as number) >>> 16
}

export function expiryAt(words: Uint32Array, at: number): number {
  const ms = ((words[at + 5] as number) & 0xffff) * highBits + (words[at + 4] as number)
  return ms === neverMs ? Number.POSITIVE_INFINITY : ms
}

export function writeExpiry(words: Uint32Array, at: number, expiresAtMs: number): void {
  const ms = storedExpiry(expiresAtMs)
  words[at + 4] = ms % highBits
  words[at + 5] = ((words[at + 5] as number) & 0xffff_0000) | Math.floor(ms / highBits)
}

/** All of the header but word 0 and the position. */
export function writeHeader(
  words: Uint32Array,
  at: number,
  keyBytes: number,
  entry: { readonly version: number; readonly flags: number; readonly expiresAtMs: number },
): void {
  const { version, flags, expiresAtMs } = entry
  assert(version >= 0 && version <= maxVersion, "a version has 48 bits")
  const ms = storedExpiry(expiresAtMs)
  words[at + 2] = version % highBits
  words[at + 3] = (keyBytes << 16) | Math.floor(version / highBits)
  words[at + 4] = ms % highBits
  words[at + 5] = (flags << 16) | Math.floor(ms / highBits)
}

/** Whole milliseconds, rounded up: an entry lives up to one longer, and never shorter, than it was asked to. */
function storedExpiry(expiresAtMs: number): number {
  if (expiresAtMs >= neverMs) return expiresAtMs === Number.POSITIVE_INFINITY ? neverMs : neverMs - 1
  return expiresAtMs > 0 ? Math.ceil(expiresAtMs) : 0
}
