/**
 * Copies of short byte strings, made cheaply: the engine takes ten times as long to give a hundred bytes a buffer of their
 * own as to copy them, so that several copies share one.
 */

/** Whoever keeps one copy keeps no more than this alive. */
const slabBytes = 8 * 1024
/** A longer one gets a buffer of its own; the engine itself is fast up to `engineBytes`. */
const longestShared = 1024
const engineBytes = 64

let slab = new Uint8Array(slabBytes)
let used = 0

/** A copy, as a plain `Uint8Array` that may be a window onto a larger buffer. */
export function copyOf(bytes: Uint8Array): Uint8Array {
  const { length } = bytes
  if (length <= engineBytes || length > longestShared) return new Uint8Array(bytes)
  if (used + length > slabBytes) {
    slab = new Uint8Array(slabBytes)
    used = 0
  }
  const copy = new Uint8Array(slab.buffer, used, length)
  copy.set(bytes)
  used += length
  return copy
}

const encoder = new TextEncoder()
/** Above, the engine's encoder is faster than a loop. */
const shortChars = 64

/** Text as UTF-8. */
export function utf8Of(text: string): Uint8Array {
  const { length } = text
  if (length > shortChars) return encoder.encode(text)
  const bytes = new Uint8Array(length)
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i)
    if (unit > 0x7f) return encoder.encode(text)
    bytes[i] = unit
  }
  return bytes
}
