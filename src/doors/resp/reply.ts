/**
 * What a command answers, and how that is written in the two versions of the protocol: RESP2, where a missing value is a
 * bulk string of length -1 and a map a list, and RESP3, which has kinds of its own for both.
 */

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

export function error(text: string): Reply {
  return { kind: "error", text }
}

/** Gathers replies into buffers, in order, for one write. */
export class ReplyWriter {
  version: RespVersion = 2
  #text = ""
  #parts: Buffer[] = []
  #bytes = 0

  /** Bytes that wait to be taken, about. */
  get waitingBytes(): number {
    return this.#bytes + this.#text.length
  }

  write(reply: Reply): void {
    switch (reply.kind) {
      case "status":
        this.#text += `+${reply.text}\r\n`
        return
      case "error":
        this.#text += `-${oneLine(reply.text)}\r\n`
        return
      case "integer":
        this.#text += `:${reply.value}\r\n`
        return
      case "bulk":
        return this.#bulk(reply.bytes)
      case "nil":
        this.#text += this.version === 3 ? "_\r\n" : "$-1\r\n"
        return
      case "nil-array":
        this.#text += this.version === 3 ? "_\r\n" : "*-1\r\n"
        return
      case "array":
        return this.#list("*", reply.items)
      case "set":
        return this.#list(this.version === 3 ? "~" : "*", reply.items)
      case "push":
        return this.#list(this.version === 3 ? ">" : "*", reply.items)
      case "map":
        this.#text += this.version === 3 ? `%${reply.entries.length}\r\n` : `*${2 * reply.entries.length}\r\n`
        for (const [key, value] of reply.entries) {
          this.write(key)
          this.write(value)
        }
        return
      case "several":
        for (const one of reply.replies) this.write(one)
        return
    }
  }

  /** All that was written since the last time. */
  take(): Buffer {
    this.#flushText()
    const [only] = this.#parts
    const all = this.#parts.length === 1 && only !== undefined ? only : Buffer.concat(this.#parts, this.#bytes)
    this.#parts = []
    this.#bytes = 0
    return all
  }

  #list(sign: string, items: readonly Reply[]): void {
    this.#text += `${sign}${items.length}\r\n`
    for (const item of items) this.write(item)
  }

  #bulk(bytes: Uint8Array): void {
    this.#text += `$${bytes.length}\r\n`
    // The one string that grows is latin1: short values ride in it, long ones are not copied twice.
    if (bytes.length <= 1_024) this.#text += viewOf(bytes).toString("latin1")
    else {
      this.#flushText()
      this.#parts.push(viewOf(bytes))
      this.#bytes += bytes.length
    }
    this.#text += "\r\n"
  }

  #flushText(): void {
    if (this.#text === "") return
    const part = Buffer.from(this.#text, "latin1")
    this.#parts.push(part)
    this.#bytes += part.length
    this.#text = ""
  }
}

function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** A line end within an error would be taken for the reply's own; and only latin1 can be told in a line. */
function oneLine(text: string): string {
  return text.replace(/[\r\n]+/g, " ").replace(/[^\x20-\x7e]/g, "?")
}
