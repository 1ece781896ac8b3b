/**
 * What a command answers, and how that is written in the two versions of the protocol: RESP2, where a missing value is a
 * bulk string of length -1 and a map a list, and RESP3, which has kinds of its own for both.
 */
import { assert } from "../../base/assert.ts"

export type RespVersion = 2 | 3

export type Reply =
  | { readonly kind: "status"; readonly text: string }
  /** `text` begins with the code in capitals: `ERR`, `WRONGTYPE`, ... */
  | { readonly kind: "error"; readonly text: string }
  | { readonly kind: "integer"; readonly value: number | bigint }
  | { readonly kind: "bulk"; readonly bytes: Uint8Array }
  | { readonly kind: "nil" }
  /** What a transaction that was not executed answers. */
  | { readonly kind: "nil-array" }
  | { readonly kind: "array"; readonly items: readonly Reply[] }
  | { readonly kind: "set"; readonly items: readonly Reply[] }
  | { readonly kind: "map"; readonly entries: readonly (readonly [Reply, Reply])[] }
  /** Out of turn: a published message. */
  | { readonly kind: "push"; readonly items: readonly Reply[] }
  /** Several replies to one command: SUBSCRIBE answers once for each channel. */
  | { readonly kind: "several"; readonly replies: readonly Reply[] }

export const ok: Reply = { kind: "status", text: "OK" }
export const nil: Reply = { kind: "nil" }

export function integer(value: number | bigint): Reply {
  return { kind: "integer", value }
}

export function bulk(value: Uint8Array | string): Reply {
  return { kind: "bulk", bytes: typeof value === "string" ? Buffer.from(value) : value }
}

export function array(items: readonly Reply[]): Reply {
  return { kind: "array", items }
}

export function bulkMap(fields: Readonly<Record<string, Reply>>): Reply {
  return { kind: "map", entries: Object.entries(fields).map(([name, value]) => [bulk(name), value] as const) }
}

export function error(text: string): Reply {
  return { kind: "error", text }
}

/** What it says, about. */
export function bytesOf(reply: Reply): number {
  switch (reply.kind) {
    case "bulk":
      return reply.bytes.length
    case "status":
    case "error":
      return reply.text.length
    case "integer":
    case "nil":
    case "nil-array":
      return 0
    case "array":
    case "set":
    case "push":
      return reply.items.reduce((sum, item) => sum + bytesOf(item), 0)
    case "map":
      return reply.entries.reduce((sum, [key, value]) => sum + bytesOf(key) + bytesOf(value), 0)
    case "several":
      return reply.replies.reduce((sum, one) => sum + bytesOf(one), 0)
  }
}

/** The writer's own memory; longer values get theirs. */
const scratchBytes = 64 * 1024
/** Below, a loop copies faster than the engine begins to. */
const shortBytes = 48
/** Most bytes of a number and what is around it. */
const numberBytes = 32

/**
 * Turns replies into bytes, in order, for one write. One writer serves all connections, one after another: what was
 * written is taken in the same step, as copies, so that nothing of it changes afterwards.
 */
export class ReplyWriter {
  version: RespVersion = 2
  #scratch = Buffer.allocUnsafeSlow(scratchBytes)
  #used = 0
  #parts: Buffer[] = []
  #partBytes = 0

  /** Bytes that wait to be taken. */
  get waitingBytes(): number {
    return this.#partBytes + this.#used
  }

  write(reply: Reply): void {
    switch (reply.kind) {
      case "status":
        return this.#line(plus, reply.text)
      case "error":
        return this.#line(minus, oneLine(reply.text))
      case "integer":
        return this.#header(colon, reply.value)
      case "bulk":
        return this.#bulk(reply.bytes)
      case "nil":
        return this.#raw(this.version === 3 ? "_\r\n" : "$-1\r\n")
      case "nil-array":
        return this.#raw(this.version === 3 ? "_\r\n" : "*-1\r\n")
      case "array":
        return this.#list(asterisk, reply.items)
      case "set":
        return this.#list(this.version === 3 ? tilde : asterisk, reply.items)
      case "push":
        return this.#list(this.version === 3 ? greater : asterisk, reply.items)
      case "map": {
        const { length } = reply.entries
        if (this.version === 3) this.#header(percent, length)
        else this.#header(asterisk, 2 * length)
        for (const [key, value] of reply.entries) {
          this.write(key)
          this.write(value)
        }
        return
      }
      case "several":
        for (const one of reply.replies) this.write(one)
        return
    }
  }

  /** All that was written since the last time. */
  take(): readonly Buffer[] {
    this.#flush()
    const parts = this.#parts
    this.#parts = []
    this.#partBytes = 0
    return parts
  }

  #list(sign: number, items: readonly Reply[]): void {
    this.#header(sign, items.length)
    for (const item of items) this.write(item)
  }

  #line(sign: number, text: string): void {
    this.#reserve(text.length + 3)
    this.#byte(sign)
    this.#text(text)
    this.#lineEnd()
  }

  #header(sign: number, value: number | bigint): void {
    this.#reserve(numberBytes)
    this.#byte(sign)
    if (typeof value === "number" && value >= 0 && value < 10) this.#byte(zero + value)
    else this.#text(String(value))
    this.#lineEnd()
  }

  #bulk(bytes: Uint8Array): void {
    const { length } = bytes
    this.#header(dollar, length)
    if (length > scratchBytes / 4) this.#part(Buffer.from(bytes))
    else {
      this.#reserve(length)
      const scratch = this.#scratch
      if (length > shortBytes) scratch.set(bytes, this.#used)
      else for (let i = 0, at = this.#used; i < length; i++) scratch[at++] = bytes[i] as number // within bounds
      this.#used += length
    }
    this.#reserve(2)
    this.#lineEnd()
  }

  #raw(text: string): void {
    this.#reserve(text.length)
    this.#text(text)
  }

  /** Each character is one byte. There must be room. */
  #text(text: string): void {
    const { length } = text
    const scratch = this.#scratch
    let at = this.#used
    if (length > shortBytes) at += scratch.write(text, at, "latin1")
    else for (let i = 0; i < length; i++) scratch[at++] = text.charCodeAt(i)
    this.#used = at
  }

  #byte(byte: number): void {
    this.#scratch[this.#used++] = byte
  }

  #lineEnd(): void {
    this.#scratch[this.#used++] = 13
    this.#scratch[this.#used++] = 10
  }

  #reserve(bytes: number): void {
    if (this.#used + bytes > scratchBytes) this.#flush()
    assert(bytes <= scratchBytes, "texts are shorter than the writer's memory, and long values have their own")
  }

  /** A long value: after what was written before it. */
  #part(part: Buffer): void {
    this.#flush()
    this.#parts.push(part)
    this.#partBytes += part.length
  }

  #flush(): void {
    if (this.#used === 0) return
    this.#parts.push(Buffer.from(this.#scratch.subarray(0, this.#used)))
    this.#partBytes += this.#used
    this.#used = 0
  }
}

const [plus, minus, colon, dollar, asterisk, tilde, greater, percent, zero] = [43, 45, 58, 36, 42, 126, 62, 37, 48]

/** A line end within an error would be taken for the reply's own; and only ASCII can be told in a line. */
function oneLine(text: string): string {
  return text.replace(/[\r\n]+/g, " ").replace(/[^\x20-\x7e]/g, "?")
}
