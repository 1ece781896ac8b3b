/**
 * Reads the items of a frame that is expected to have a certain form, without building anything in between. Whatever is
 * not as expected, a truncated frame included, makes the read fail: from then on every call gives an empty value, and
 * `isIntact` is false. Such a frame is then read by the decoder that takes anything and says what is wrong with it, so
 * nothing is refused here. Never reads outside of the frame.
 */

/** Ids that were read lately: the same few come again and again, and comparing is cheaper than building. */
const recentIds = 256
const idChars = 16
const nothing = new Uint8Array(0)

export class CborReader {
  #frame: Uint8Array = nothing
  #view: DataView = new DataView(nothing.buffer)
  #at = 0
  #isIntact = true
  readonly #recent: (string | undefined)[] = new Array<string | undefined>(recentIds).fill(undefined)

  begin(frame: Uint8Array): void {
    this.#frame = frame
    this.#view = new DataView(frame.buffer, frame.byteOffset, frame.length)
    this.#at = 0
    this.#isIntact = true
  }

  get isIntact(): boolean {
    return this.#isIntact
  }

  /** Whether everything was as expected and nothing is left. The frame is let go of. */
  end(): boolean {
    const isWhole = this.#isIntact && this.#at === this.#frame.length
    this.#frame = nothing
    return isWhole
  }

  fail(): void {
    this.#isIntact = false
    // What is read from here on is the end of the frame.
    this.#at = this.#frame.length
  }

  /** The number of elements of a list, each of which takes a byte at least. */
  list(): number {
    const length = this.#argument(0x80)
    if (length <= this.#frame.length - this.#at) return length
    this.fail()
    return 0
  }

  /** A list of exactly so many elements. */
  listOf(length: number): void {
    if (this.#frame[this.#at] === (0x80 | length) && length < 24) this.#at++
    else this.fail()
  }

  /** Whether a null is next, which is then taken. */
  isNull(): boolean {
    if (this.#frame[this.#at] !== 0xf6) return false
    this.#at++
    return true
  }

  flag(): boolean {
    const head = this.#frame[this.#at++]
    if (head !== 0xf4 && head !== 0xf5) this.fail()
    return head === 0xf5
  }

  /** An integer from 0 to `max`. */
  uint(max: number): number {
    const value = this.number()
    if (Number.isInteger(value) && value >= 0 && value <= max) return value
    this.fail()
    return 0
  }

  /** Any number of a form that our own encoder writes. */
  number(): number {
    const head = this.#frame[this.#at]
    if (head === undefined) {
      this.fail()
      return 0
    }
    if (head < 24) {
      this.#at++
      return head
    }
    if (head <= 26) return this.#argument(0x00)
    if (head >= 0x20 && head <= 0x3a) return -1 - this.#argument(0x20)
    if (head !== 0xfb || this.#at + 9 > this.#frame.length) {
      this.fail()
      return 0
    }
    const value = this.#view.getFloat64(this.#at + 1)
    this.#at += 9
    return value
  }

  /** A window onto the frame. */
  bytes(maxLength: number): Uint8Array {
    const length = this.#argument(0x40)
    const { buffer, byteOffset } = this.#frame
    const from = this.#at
    if (length > maxLength || length > this.#frame.length - from) this.fail()
    if (!this.#isIntact) return nothing
    this.#at = from + length
    return new Uint8Array(buffer, byteOffset + from, length)
  }

  /** Whether an empty text is next, which is then taken. */
  isEmptyText(): boolean {
    if (this.#frame[this.#at] !== 0x60) return false
    this.#at++
    return true
  }

  /** 16 hex digits. */
  id(): string {
    const frame = this.#frame
    const from = this.#at + 1
    if (frame[from - 1] !== 0x70 || from + idChars > frame.length) {
      this.fail()
      return ""
    }
    this.#at = from + idChars
    const place = ((frame[from] as number) * 31 + (frame[from + 15] as number) * 7 + (frame[from + 7] as number)) & 0xff
    const known = this.#recent[place]
    if (known !== undefined && isAt(known, frame, from)) return known
    let text = ""
    for (let i = from; i < from + idChars; i++) {
      const digit = frame[i] as number // as above: the end has been checked
      if (!isHexDigit(digit)) {
        this.fail()
        return ""
      }
      text += String.fromCharCode(digit)
    }
    this.#recent[place] = text
    return text
  }

  /** Of an item of this major type whose argument has at most 32 bits. */
  #argument(major: number): number {
    const frame = this.#frame
    const at = this.#at
    const info = (frame[at] ?? -1) - major
    if (info >= 0 && info < 24) {
      this.#at = at + 1
      return info
    }
    if (info === 24 && at + 2 <= frame.length) {
      this.#at = at + 2
      return frame[at + 1] as number // the end has been checked, here and below
    }
    if (info === 25 && at + 3 <= frame.length) {
      this.#at = at + 3
      return ((frame[at + 1] as number) << 8) | (frame[at + 2] as number)
    }
    if (info === 26 && at + 5 <= frame.length) {
      this.#at = at + 5
      return this.#view.getUint32(at + 1)
    }
    this.fail()
    return 0
  }
}

function isAt(id: string, frame: Uint8Array, from: number): boolean {
  for (let i = 0; i < idChars; i++) if (id.charCodeAt(i) !== frame[from + i]) return false
  return true
}

function isHexDigit(char: number): boolean {
  return (char >= 0x30 && char <= 0x39) || (char >= 0x61 && char <= 0x66)
}
