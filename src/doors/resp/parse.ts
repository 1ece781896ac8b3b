/**
 * Bytes of a Redis connection to commands: arrays of bulk strings, and where a person types, plain lines ("inline
 * commands"). Takes bytes as they come, keeps what is incomplete, and looks at each byte of it once: a command may arrive
 * in a hundred thousand pieces. Refuses what a client of good will never sends, by the words that Redis uses; then the
 * connection is over, since nobody knows where the next command begins.
 */

export type ParseLimits = {
  /** Longest single word, in bytes. */
  readonly maxWordBytes: number
  /** Most bytes of one command, headers included. */
  readonly maxCommandBytes: number
  /** Most words of one command. */
  readonly maxWords: number
  /** Longest inline command, in bytes. */
  readonly maxInlineBytes: number
}

export class ProtocolError extends Error {
  override name = "ProtocolError"
}

const carriageReturn = 13
const lineFeed = 10
const asterisk = 42
const dollar = 36
const minus = 45
const zero = 48

/** Longer lists of words are not kept for the next command. */
const keptWords = 1_024

/** Longest header: a sign, ten digits, and the end of the line. */
const maxHeaderBytes = 32
const nothing: Buffer = Buffer.alloc(0)

export class CommandParser {
  readonly #limits: ParseLimits
  readonly #inline: "allowed" | "refused"
  /** What arrived. Bytes that were handed out stay where they are: whoever got them may still use them. */
  #bytes = nothing
  /** Where the bytes end that arrived, and where the command begins that is not complete yet. */
  #end = 0
  #begin = 0
  /** How far into that command its bytes have been understood, and how many words it is to have; 0: not known. */
  #at = 0
  #wordsDue = 0
  /** Bytes from its beginning without which nothing more can be understood. */
  #needed = 1
  /** The words of the command at hand, as places in `#bytes`; the lists are longer than the command where an earlier one was. */
  #count = 0
  #starts: number[] = []
  #ends: number[] = []
  #line: Buffer[] | undefined
  #memory: "received" | "own" = "received"

  constructor(options: { limits: ParseLimits; inline: "allowed" | "refused" }) {
    this.#limits = options.limits
    this.#inline = options.inline
  }

  /** Memory that waits for the rest of its command. */
  get heldBytes(): number {
    return this.#end > this.#begin ? this.#bytes.length : 0
  }

  add(chunk: Buffer): void {
    const left = this.#end - this.#begin
    if (left === 0) {
      // No word of the command before is at hand any more.
      this.#bytes = chunk
      this.#memory = "received"
      this.#begin = 0
      this.#end = chunk.length
      return
    }
    if (this.#memory === "received" || this.#end + chunk.length > this.#bytes.length) this.#grow(left, chunk.length)
    chunk.copy(this.#bytes, this.#end)
    this.#end += chunk.length
  }

  /** Moves what is left to memory of its own, with room for as much again: so each byte is moved a few times at most. */
  #grow(left: number, more: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(2 * left, left + more))
    this.#bytes.copy(larger, 0, this.#begin, this.#end)
    for (let i = 0; i < this.#count; i++) {
      this.#starts[i] = (this.#starts[i] as number) - this.#begin // the loop stays within both
      this.#ends[i] = (this.#ends[i] as number) - this.#begin
    }
    this.#bytes = larger
    this.#memory = "own"
    this.#begin = 0
    this.#end = left
  }

  /** Whether there is a complete command, which is then at hand until anything else is called. Throws `ProtocolError`. */
  next(): boolean {
    while (this.#end - this.#begin >= this.#needed) {
      if (this.#at === 0) this.#startOver()
      const isComplete = this.#bytes[this.#begin] === asterisk ? this.#array() : this.#inlineLine()
      if (!isComplete) return false
      // Empty lines, and arrays of no words, are passed over.
      if (this.count > 0) return true
    }
    // What was held in memory of its own is not kept for the next command.
    if (this.#end === this.#begin) {
      this.#bytes = nothing
      this.#begin = 0
      this.#end = 0
    }
    return false
  }

  /** Words of the command at hand. */
  get count(): number {
    return this.#line?.length ?? this.#count
  }

  /** The bytes of the first word are those of `bytes` from `nameStart` to `nameEnd`. */
  get bytes(): Buffer {
    return this.#line?.[0] ?? this.#bytes
  }

  get nameStart(): number {
    return this.#line === undefined ? (this.#starts[0] ?? 0) : 0
  }

  get nameEnd(): number {
    return this.#line === undefined ? (this.#ends[0] ?? 0) : (this.#line[0]?.length ?? 0)
  }

  /** The words after the first: windows onto what was received. Who keeps one longer than its command copies it. */
  args(): Buffer[] {
    if (this.#line !== undefined) return this.#line.slice(1)
    const count = this.#count
    const args = new Array<Buffer>(count - 1)
    for (let i = 1; i < count; i++) args[i - 1] = this.#bytes.subarray(this.#starts[i], this.#ends[i])
    return args
  }

  #startOver(): void {
    this.#count = 0
    this.#line = undefined
    this.#wordsDue = 0
    if (this.#starts.length <= keptWords) return
    this.#starts = []
    this.#ends = []
  }

  #array(): boolean {
    const { maxCommandBytes, maxWordBytes, maxWords } = this.#limits
    const begin = this.#begin
    let at = begin + this.#at
    if (this.#at === 0) {
      const value = this.#number(at + 1)
      if (value === incomplete) return this.#wait(0, this.#end - begin + 1)
      if (value === bad || value > maxWords) throw new ProtocolError("Protocol error: invalid multibulk length")
      at = this.#numberEnd
      this.#wordsDue = Math.max(0, value)
    }
    while (this.#count < this.#wordsDue) {
      const done = at - begin
      if (at >= this.#end) return this.#wait(done, done + 1)
      if (this.#bytes[at] !== dollar)
        throw new ProtocolError(`Protocol error: expected '$', got '${printable(this.#bytes[at] ?? 0)}'`)
      const length = this.#number(at + 1)
      if (length === incomplete) return this.#wait(done, this.#end - begin + 1)
      if (length < 0 || length > maxWordBytes) throw new ProtocolError("Protocol error: invalid bulk length")
      const start = this.#numberEnd
      const end = start + length
      if (end + 2 - begin > maxCommandBytes) throw new ProtocolError("Protocol error: too big command")
      if (this.#end < end + 2) return this.#wait(done, end + 2 - begin)
      this.#starts[this.#count] = start
      this.#ends[this.#count++] = end
      at = end + 2
    }
    return this.#take(at)
  }

  /** Where the number ended that was read last. */
  #numberEnd = 0

  /** The decimal number from `at` to the end of the line, or what it is instead. */
  #number(at: number): number {
    const bytes = this.#bytes
    let i = at
    const isNegative = bytes[i] === minus && i < this.#end
    if (isNegative) i++
    const first = i
    let value = 0
    for (; i < this.#end; i++) {
      const byte = bytes[i] as number // within bounds
      if (byte === carriageReturn) {
        if (i === first) return bad
        if (i + 1 >= this.#end) return incomplete
        this.#numberEnd = i + 2
        if (bytes[i + 1] !== lineFeed) return bad
        return isNegative ? -value : value
      }
      if (byte < zero || byte > zero + 9 || i - at > maxHeaderBytes) return bad
      value = value * 10 + (byte - zero)
    }
    return i - at > maxHeaderBytes ? bad : incomplete
  }

  #inlineLine(): boolean {
    const begin = this.#begin
    if (this.#inline === "refused")
      throw new ProtocolError(`Protocol error: expected '*', got '${printable(this.#bytes[begin] ?? 0)}'`)
    const found = this.#bytes.subarray(0, this.#end).indexOf(lineFeed, begin + this.#at)
    const length = (found < 0 ? this.#end : found) - begin
    if (length > this.#limits.maxInlineBytes) throw new ProtocolError("Protocol error: too big inline request")
    if (found < 0) return this.#wait(this.#end - begin, this.#end - begin + 1)
    this.#line = splitLine(this.#bytes.subarray(begin, found).toString("latin1").trim())
    return this.#take(found + 1)
  }

  #wait(understood: number, needed: number): false {
    this.#at = understood
    this.#needed = needed
    return false
  }

  #take(end: number): true {
    this.#begin = end
    this.#at = 0
    this.#needed = 1
    return true
  }
}

/** Instead of a number. No header may say numbers so large. */
const incomplete = Number.POSITIVE_INFINITY
const bad = Number.NEGATIVE_INFINITY

/** As a shell would: words between blanks, quotes around what has some, escapes within double quotes. */
function splitLine(line: string): Buffer[] {
  const words: Buffer[] = []
  const pattern = /\s*(?:"((?:[^"\\]|\\.)*)"(?=\s|$)|'((?:[^'\\]|\\.)*)'(?=\s|$)|([^\s"']\S*))/y
  let at = 0
  while (at < line.length) {
    pattern.lastIndex = at
    const found = pattern.exec(line)
    if (found === null) throw new ProtocolError("Protocol error: unbalanced quotes in request")
    const [whole, double, single, bare] = found
    const text = double !== undefined ? unescaped(double) : (single?.replaceAll("\\'", "'") ?? bare ?? "")
    words.push(Buffer.from(text, "latin1"))
    at += whole.length
  }
  return words
}

const escapes: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", b: "\b", a: "\x07" }

function unescaped(text: string): string {
  return text.replace(/\\(?:x([0-9a-fA-F]{2})|(.))/g, (_all, hex: string | undefined, letter: string | undefined) =>
    hex === undefined ? (escapes[letter ?? ""] ?? letter ?? "") : String.fromCharCode(Number.parseInt(hex, 16)),
  )
}

function printable(byte: number): string {
  return byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, "0")}`
}
