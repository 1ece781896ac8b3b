/**
 * Bytes of a Redis connection to commands: arrays of bulk strings, and where a person types, plain lines ("inline
 * commands"). Takes bytes as they come and keeps what is incomplete. Refuses what a client of good will never sends, by the
 * words that Redis uses; then the connection is over, since nobody knows where the next command begins.
 */

/** One command: its name and arguments. Windows onto what was received: who keeps one copies it. */
export type Words = readonly Buffer[]

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

/** Longest header: a sign, ten digits, and the end of the line. */
const maxHeaderBytes = 32

export class CommandParser {
  readonly #limits: ParseLimits
  readonly #inline: "allowed" | "refused"
  /** What arrived and was not taken: chunks are joined only when a command does not end in the first. */
  #held: Buffer = Buffer.alloc(0)
  #chunks: Buffer[] = []
  #chunkBytes = 0
  /** Bytes without which the command at the front cannot be complete. */
  #needed = 1

  constructor(options: { limits: ParseLimits; inline: "allowed" | "refused" }) {
    this.#limits = options.limits
    this.#inline = options.inline
  }

  /** Bytes that wait for the rest of their command. */
  get heldBytes(): number {
    return this.#held.length + this.#chunkBytes
  }

  add(chunk: Buffer): void {
    if (this.heldBytes === 0) this.#held = chunk
    else {
      this.#chunks.push(chunk)
      this.#chunkBytes += chunk.length
    }
  }

  /** The next complete command; undefined: more bytes are needed. Empty lines are passed over. Throws `ProtocolError`. */
  next(): Words | undefined {
    while (true) {
      if (this.heldBytes < this.#needed) return undefined
      this.#join()
      const words = this.#held[0] === asterisk ? this.#array() : this.#line()
      if (words === undefined) return undefined
      if (words.length > 0) return words
    }
  }

  #join(): void {
    if (this.#chunks.length === 0) return
    this.#held = Buffer.concat([this.#held, ...this.#chunks])
    this.#chunks = []
    this.#chunkBytes = 0
  }

  #array(): Words | undefined {
    const held = this.#held
    const header = numberLine(held, 1)
    if (header === "incomplete") return this.#wait(held.length + 1)
    if (header === "bad" || header.value > this.#limits.maxWords)
      throw new ProtocolError("Protocol error: invalid multibulk length")
    const words: Buffer[] = []
    let at = header.end
    for (let i = 0; i < header.value; i++) {
      if (at >= held.length) return this.#wait(at + 1)
      if (held[at] !== dollar)
        throw new ProtocolError(`Protocol error: expected '$', got '${printable(held[at] ?? 0)}'`)
      const length = numberLine(held, at + 1)
      if (length === "incomplete") return this.#wait(held.length + 1)
      if (length === "bad" || length.value < 0 || length.value > this.#limits.maxWordBytes)
        throw new ProtocolError("Protocol error: invalid bulk length")
      const end = length.end + length.value
      if (end + 2 > this.#limits.maxCommandBytes) throw new ProtocolError("Protocol error: too big command")
      if (held.length < end + 2) return this.#wait(end + 2)
      words.push(held.subarray(length.end, end))
      at = end + 2
    }
    this.#take(at)
    return words
  }

  #line(): Words | undefined {
    if (this.#inline === "refused")
      throw new ProtocolError(`Protocol error: expected '*', got '${printable(this.#held[0] ?? 0)}'`)
    const end = this.#held.indexOf(lineFeed)
    if (end > this.#limits.maxInlineBytes || (end < 0 && this.#held.length > this.#limits.maxInlineBytes))
      throw new ProtocolError("Protocol error: too big inline request")
    if (end < 0) return this.#wait(this.#held.length + 1)
    const line = this.#held.subarray(0, end).toString("latin1").trim()
    this.#take(end + 1)
    return splitLine(line)
  }

  #wait(bytes: number): undefined {
    this.#needed = bytes
    return undefined
  }

  #take(bytes: number): void {
    this.#held = this.#held.subarray(bytes)
    this.#needed = 1
  }
}

type Header = { readonly value: number; readonly end: number }

/** The decimal number from `at` to the end of the line. */
function numberLine(held: Buffer, at: number): Header | "incomplete" | "bad" {
  let value = 0
  let i = at
  const isNegative = held[i] === minus
  if (isNegative) i++
  const first = i
  for (; i < held.length; i++) {
    const byte = held[i] ?? 0
    if (byte === carriageReturn) {
      if (i === first) return "bad"
      if (i + 1 >= held.length) return "incomplete"
      return held[i + 1] === lineFeed ? { value: isNegative ? -value : value, end: i + 2 } : "bad"
    }
    if (byte < 48 || byte > 57 || i - at > maxHeaderBytes) return "bad"
    value = value * 10 + (byte - 48)
  }
  return i - at > maxHeaderBytes ? "bad" : "incomplete"
}

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
