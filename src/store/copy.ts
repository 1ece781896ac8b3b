/**
 * Bytes in and out of a segment, a word at a time: for keys and values of usual lengths that is several times faster than
 * what the engine offers, which pays for every call and every window. Places in segments are whole words; what comes
 * from outside may begin anywhere. Words are little-endian, as on every machine that Node.js runs on today.
 */

/** From here on the engine's own copying is faster than a loop. */
const longIn = 96
const longOut = 512

/** Short copies that are handed out share a buffer of this size (`base/bytes.ts` says why). */
const slabBytes = 8 * 1024
const longestShared = 1024
let slabWords = new Uint32Array(slabBytes / 4)
let slabUsed = 0

/** The bytes after the last are made zero up to a whole word. */
export function copyIn(words: Uint32Array, bytes: Uint8Array, toWord: number, from: Uint8Array): void {
  const { length } = from
  if (length >= longIn) {
    if ((length & 3) !== 0) words[toWord + (length >>> 2)] = 0
    bytes.set(from, toWord << 2)
    return
  }
  const whole = length & ~3
  let at = toWord
  let i = 0
  for (; i < whole; i += 4) words[at++] = wordOf(from, i)
  if (i < length) words[at] = lastWordOf(from, i)
}

/** A copy of its own, also when it is a window onto a buffer that it shares with others. */
export function copyOut(words: Uint32Array, bytes: Uint8Array, fromWord: number, length: number): Uint8Array {
  if (length > longestShared) return bytes.slice(fromWord << 2, (fromWord << 2) + length)
  const count = (length + 3) >>> 2
  if (slabUsed + count > slabWords.length) {
    slabWords = new Uint32Array(slabBytes / 4)
    slabUsed = 0
  }
  const copy = new Uint8Array(slabWords.buffer, slabUsed << 2, length)
  if (length >= longOut) copy.set(bytes.subarray(fromWord << 2, (fromWord << 2) + length))
  else for (let i = 0; i < count; i++) slabWords[slabUsed + i] = words[fromWord + i] as number
  slabUsed += count
  return copy
}

/** Into a buffer of somebody else's. */
export function copyInto(bytes: Uint8Array, fromWord: number, length: number, into: Uint8Array, at: number): void {
  const from = fromWord << 2
  if (length < longIn) for (let i = 0; i < length; i++) into[at + i] = bytes[from + i] as number
  else into.set(bytes.subarray(from, from + length), at)
}

export function copyWithinSegments(
  from: Uint32Array,
  fromWord: number,
  to: Uint32Array,
  toWord: number,
  bytes: number,
): void {
  const count = bytes >>> 2
  if (bytes < longOut) for (let i = 0; i < count; i++) to[toWord + i] = from[fromWord + i] as number
  else to.set(from.subarray(fromWord, fromWord + count), toWord)
}

/** Whether the bytes that begin at a word of a segment, and were copied in as so many, are these. */
export function equalBytes(words: Uint32Array, atWord: number, key: Uint8Array): boolean {
  const { length } = key
  const whole = length & ~3
  let at = atWord
  let i = 0
  for (; i < whole; i += 4) if (((words[at++] as number) | 0) !== wordOf(key, i)) return false
  return i === length || ((words[at] as number) | 0) === lastWordOf(key, i)
}

function wordOf(from: Uint8Array, i: number): number {
  return (
    (from[i] as number) |
    ((from[i + 1] as number) << 8) |
    ((from[i + 2] as number) << 16) |
    ((from[i + 3] as number) << 24)
  )
}

function lastWordOf(from: Uint8Array, i: number): number {
  const left = from.length - i
  let word = from[i] as number
  if (left > 1) word |= (from[i + 1] as number) << 8
  if (left > 2) word |= (from[i + 2] as number) << 16
  return word
}
