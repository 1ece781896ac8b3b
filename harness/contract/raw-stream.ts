/**
 * A bare TCP connection to the port of a node, byte by byte, with the little of WebSockets that is needed to misuse them: frames
 * that promise more than they bring, in pieces, or not at all. A WebSocket of a library would not let us.
 */
import { connect, type Socket } from "node:net"
import type { Address } from "../../src/protocol/message.ts"

export class RawStream {
  readonly socket: Socket
  /** Everything that came, at most so much of it. */
  #received = ""
  /** Settles when the connection is over, however; what it had said. */
  readonly ended: Promise<string>
  #isEnded = false
  #answersPings = false

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on("data", chunk => {
      if (this.#received.length < mostKept) this.#received += chunk.toString("latin1")
      if (this.#answersPings) for (const pong of pongsFor(chunk)) socket.write(pong)
    })
    socket.on("error", () => {}) // the end that follows is what is looked at
    this.ended = new Promise(resolve =>
      socket.once("close", () => {
        this.#isEnded = true
        resolve(this.#received)
      }),
    )
  }

  static open(address: Address): Promise<RawStream> {
    const at = address.lastIndexOf(":")
    return new Promise((resolve, reject) => {
      const socket = connect({ host: address.slice(0, at), port: Number(address.slice(at + 1)), noDelay: true })
      const stream = new RawStream(socket)
      socket.once("connect", () => resolve(stream))
      socket.once("close", () => reject(new Error(`${address} takes no connection`)))
    })
  }

  /** As far as an accepted WebSocket. Rejects with what was answered instead. */
  static async upgraded(address: Address, path: string): Promise<RawStream> {
    const stream = await RawStream.open(address)
    stream.write(
      `GET ${path} HTTP/1.1\r\nHost: ${address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    )
    await Promise.race([new Promise(resolve => stream.socket.once("data", resolve)), stream.ended])
    if (!stream.received.startsWith("HTTP/1.1 101 ")) throw new Error(stream.received.slice(0, 200) || "closed")
    return stream
  }

  get received(): string {
    return this.#received
  }

  get isEnded(): boolean {
    return this.#isEnded
  }

  write(bytes: Uint8Array | string): void {
    this.socket.write(bytes)
  }

  /** From now on this end shows that it lives. */
  answerPings(): void {
    this.#answersPings = true
  }

  destroy(): void {
    this.socket.destroy()
  }
}

/** A binary frame as a client sends it. `declared`: the length that it states, if it lies. */
export function rawFrame(payload: Uint8Array, declared = payload.length): Buffer {
  const header = Buffer.alloc(14) // the last four: a mask of zeros, which is none
  header[0] = 0x82
  header[1] = 0x80 | 127
  header.writeBigUInt64BE(BigInt(declared), 2)
  return Buffer.concat([header, payload])
}

const mostKept = 4_096

/** What answers the pings in it, of at most a byte each. Where something else looks like one, a pong too many harms nobody. */
function* pongsFor(chunk: Buffer): Generator<Buffer> {
  for (let at = chunk.indexOf(0x89); at >= 0; at = chunk.indexOf(0x89, at + 1)) {
    const length = chunk[at + 1] ?? 2
    if (length > 1) continue
    // Frames of a client are masked; a mask of zeros is none.
    yield Buffer.from([0x8a, 0x80 | length, 0, 0, 0, 0, ...chunk.subarray(at + 2, at + 2 + length)])
  }
}
