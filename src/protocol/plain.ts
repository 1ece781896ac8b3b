/**
 * A first look at the bytes of a frame, before anything is built from them: is it one complete item of the plain part
 * of CBOR (RFC 8949) that we write? Integers below 2^53, floats, text, bytes, true, false, null, and arrays of stated
 * length. A decoder meets tags that stand for dates, maps, records and references, and lengths that promise more than
 * the frame holds; a peer that sends such things gets no further than here, whatever the decoder would make of them.
 * Reads headers only, skips over payloads, recurses into nothing.
 */
import { maxFrameDepth, maxFrameItems } from "./limits.ts"

/** What is not plain about it, in words; undefined: a decoder will take it. */
export function plainProblem(bytes: Uint8Array): string | undefined {
  // Items still to come at each level of nesting, the outermost first.
  const open = [1]
  let position = 0
  for (let items = 0; ; items++) {
    while (open[open.length - 1] === 0) open.pop()
    const level = open.length - 1
    if (level < 0) return position === bytes.length ? undefined : "has bytes after its end"
    if (items === maxFrameItems) return `has more than ${maxFrameItems} items`
    open[level] = (open[level] as number) - 1 // there is a last level

    const head = bytes[position++]
    if (head === undefined) return "ends too early"
    const major = head >> 5
    const width = argumentWidth(head & 0x1f)
    if (width === undefined) return "has an item of indefinite length or reserved form"
    if (position + width > bytes.length) return "ends too early"
    const argument = width === 0 ? head & 0x1f : readUint(bytes, position, width)
    position += width

    switch (major) {
      case 0:
      case 1:
        if (argument > Number.MAX_SAFE_INTEGER) return "has an integer beyond 2^53"
        break
      case 2:
      case 3:
        if (argument > bytes.length - position) return "ends too early"
        position += argument
        break
      case 4:
        // Every element takes a byte at least: a longer list cannot be there, so nobody need make room for it.
        if (argument > bytes.length - position) return "ends too early"
        if (open.length > maxFrameDepth) return `is nested deeper than ${maxFrameDepth} lists`
        open.push(argument)
        break
      case 5:
        return "has a map, where only lists are used"
      case 6:
        return "has a tag, where none is used"
      default:
        if (!isPlainSimple(head)) return "has a simple value that is not used"
    }
  }
}

/** Bytes after the head that hold its argument. */
function argumentWidth(info: number): number | undefined {
  if (info < 24) return 0
  return info <= 27 ? 1 << (info - 24) : undefined
}

/** Inexact above 2^53, which is refused anyway. */
function readUint(bytes: Uint8Array, position: number, width: number): number {
  let value = 0
  for (let i = 0; i < width; i++) value = value * 256 + (bytes[position + i] as number) // the caller has checked the end
  return value
}

/** false, true, null, and floats of 16, 32 and 64 bits. */
function isPlainSimple(head: number): boolean {
  return (head >= 0xf4 && head <= 0xf6) || (head >= 0xf9 && head <= 0xfb)
}
