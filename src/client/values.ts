/**
 * Values of a program as bytes, and back. Bytes and strings are stored as they are, so that every other client reads
 * them; anything else as CBOR. Which of the three it was is kept with the entry, in its flags.
 */
import { copyOf, utf8Of } from "../base/bytes.ts"
import { decodeValue, encodeValue } from "../protocol/codec.ts"
import { textFlags } from "../protocol/limits.ts"

export const bytesFlags = 0
export const cborFlags = 2

export type StoredValue = { readonly bytes: Uint8Array; readonly flags: number }

/** A byte order mark is part of the text; bytes that are no UTF-8 are an error, not question marks. */
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** Throws a `TypeError` for what cannot be stored. The bytes are a copy: the caller may go on writing into its own. */
export function toStored(value: unknown): StoredValue {
  if (value instanceof Uint8Array) return { bytes: copyOf(value), flags: bytesFlags }
  if (typeof value === "string") return { bytes: utf8Of(value), flags: textFlags }
  // A read of it could not be told from a missing key.
  if (value === undefined) throw new TypeError("undefined cannot be stored; delete the key instead")
  try {
    return { bytes: encodeValue(value), flags: cborFlags }
  } catch (cause) {
    throw new TypeError("this value has no CBOR form (functions, symbols and cycles have none)", { cause })
  }
}

/** Throws when the bytes are not what the flags say. Flags of somebody else's making: the bytes as they are. */
export function fromStored({ bytes, flags }: StoredValue): unknown {
  if (flags === textFlags) return decoder.decode(bytes)
  // What arrived is a window onto a whole frame; what a program keeps should not keep that.
  return flags === cborFlags ? decodeValue(bytes) : copyOf(bytes)
}

export function keyBytes(key: string | Uint8Array): Uint8Array {
  return typeof key === "string" ? utf8Of(key) : copyOf(key)
}

/** Undefined: it is no text. */
export function textOfKey(key: Uint8Array): string | undefined {
  try {
    return decoder.decode(key)
  } catch {
    return undefined
  }
}

/** Equal for equal keys, and for no others. */
export function nameOfKey(key: Uint8Array): string {
  return String.fromCharCode(...key)
}
