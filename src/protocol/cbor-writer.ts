/**
 * Writes the plain part of CBOR (RFC 8949) into a buffer that is filled again and again: what `codec.ts` needs for the
 * frames of which there are many. Bytes are those that cbor-x would write, item for item (a property test compares them).
 *
 * A frame is a window onto the buffer, valid for as long as anybody holds it: the next one is written behind it, with room in front for its header, and when
 * the buffer is full a new one takes its place.
 */
import { assert } from "../base/assert.ts"

/** A frame that is larger gets a buffer of its own. */
const bufferBytes = 256 * 1024
/** The longest header of a WebSocket frame: 2 bytes, 8 of length, 4 of mask (RFC 6455, 5.2). */
const headerBytes = 14
/** Below, a loop is faster than a call into the engine. */
const shortBytes = 48

export class CborWriter {
  #bytes = new Uint8Array(0)
  #view = new DataView(this.#bytes.buffer)
  #start = 0
  #at = 0
  #limit = 0

  /** Begins a frame of at most so many bytes. */
  begin(atMostBytes: number): void {
    if (this.#at + headerBytes + atMostBytes > this.#bytes.length) {
      this.#bytes = new Uint8Array(Math.max(bufferBytes, headerBytes + atMostBytes))
      this.#view = new DataView(this.#bytes.buffer)
      this.#at = 0
    }
    this.#at += headerBytes
    this.#start = this.#at
    this.#limit = this.#at + atMostBytes
  }

  end(): Uint8Array {
    // Writing beyond the end of a buffer does nothing, so looking afterwards is soon enough.
    assert(this.#at <= this.#limit, "a frame takes no more bytes than were announced")
    return new Uint8Array(this.#bytes.buffer, this.#start, this.#at - this.#start)
  }

  /**
   * The frame that was ended last as it goes over a socket: a binary WebSocket frame, with its header in front. Masks protect proxies from
   * scripts in browsers, which we are not: that of the side that has to mask is of zeros, which changes nothing.
   */
  onSocket(side: "dialed" | "accepted"): Uint8Array {
    const length = this.#at - this.#start
    const maskBytes = side === "dialed" ? 4 : 0
    const lengthBytes = length < 126 ? 0 : length < 0x1_0000 ? 2 : 8
    const from = this.#start - maskBytes - lengthBytes - 2
    const maskFlag = side === "dialed" ? 0x80 : 0
    this.#bytes[from] = 0x82
    if (lengthBytes === 0) this.#bytes[from + 1] = maskFlag | length
    else if (lengthBytes === 2) {
      this.#bytes[from + 1] = maskFlag | 126
      this.#view.setUint16(from + 2, length)
    } else {
      this.#bytes[from + 1] = maskFlag | 127
      this.#view.setUint32(from + 2, 0)
      this.#view.setUint32(from + 6, length)
    }
    this.#bytes.fill(0, this.#start - maskBytes, this.#start)
    return new Uint8Array(this.#bytes.buffer, from, this.#at - from)
  }

  list(length: number): void {
    this.#head(0x80, length)
  }

  null(): void {
    this.#bytes[this.#at++] = 0xf6
  }

  flag(value: boolean): void {
    this.#bytes[this.#at++] = value ? 0xf5 : 0xf4
  }

  /** Integers of 32 bits as such; what has a fraction or needs more travels as a 64-bit float, exact below 2^53. */
  number(value: number): void {
    if (value >>> 0 === value) this.#head(0x00, value)
    else if (value >> 0 === value) this.#head(0x20, ~value)
    else {
      assert(Number.isFinite(value), "a number that is sent is one")
      this.#bytes[this.#at] = 0xfb
      this.#view.setFloat64(this.#at + 1, value)
      this.#at += 9
    }
  }

  bytes(value: Uint8Array): void {
    this.#head(0x40, value.length)
    this.raw(value)
  }

  /** Text of fewer than 24 characters, all of them ASCII: ids and words. */
  shortText(value: string): void {
    const bytes = this.#bytes
    let at = this.#at
    bytes[at++] = 0x60 | value.length
    for (let i = 0; i < value.length; i++) bytes[at++] = value.charCodeAt(i)
    this.#at = at
  }

  /** An item that has been encoded. */
  raw(item: Uint8Array): void {
    if (item.length > shortBytes) this.#bytes.set(item, this.#at)
    else {
      const bytes = this.#bytes
      const at = this.#at
      for (let i = 0; i < item.length; i++) bytes[at + i] = item[i] as number // the index is within bounds
    }
    this.#at += item.length
  }

  #head(major: number, argument: number): void {
    const bytes = this.#bytes
    const at = this.#at
    if (argument < 24) {
      bytes[at] = major | argument
      this.#at = at + 1
    } else if (argument < 0x100) {
      bytes[at] = major | 24
      bytes[at + 1] = argument
      this.#at = at + 2
    } else if (argument < 0x1_0000) {
      bytes[at] = major | 25
      bytes[at + 1] = argument >> 8
      bytes[at + 2] = argument
      this.#at = at + 3
    } else {
      bytes[at] = major | 26
      bytes[at + 1] = argument >>> 24
      bytes[at + 2] = argument >>> 16
      bytes[at + 3] = argument >>> 8
      bytes[at + 4] = argument
      this.#at = at + 5
    }
  }
}
