/** The other end of a connection to a node, without manners: sends any bytes, and keeps what comes back. */
import { createConnection, type Socket } from "node:net"
import { WebSocket } from "ws"
import { decodeLinkFrame, encodeLinkFrame, type LinkMessage, packLinkMessage } from "../../src/protocol/codec.ts"
import { protoMax, protoMin } from "../../src/protocol/limits.ts"
import type { Address, Hello, NodeId } from "../../src/protocol/message.ts"

export const rawId = "00000000000000aa"

export type Closing = { readonly code: number; readonly reason: string }

/** A WebSocket that speaks to a port as whoever it likes. */
export class RawPeer {
  /** The bytes of every frame. */
  readonly frames: Uint8Array[] = []
  pings = 0
  readonly closed: Promise<Closing>
  readonly #websocket: WebSocket

  static async dial(address: Address, path: string): Promise<RawPeer> {
    const websocket = new WebSocket(`ws://${address}${path}`, { perMessageDeflate: false })
    const peer = new RawPeer(websocket)
    await new Promise((resolve, reject) => websocket.once("open", resolve).once("error", reject))
    return peer
  }

  private constructor(websocket: WebSocket) {
    this.#websocket = websocket
    websocket.on("message", data => this.frames.push(data as Buffer)) // a Buffer, as nothing else was asked for
    websocket.on("ping", () => {
      this.pings += 1
    })
    websocket.on("error", () => {}) // the close that follows is what is looked at
    this.closed = new Promise(resolve => {
      websocket.on("close", (code, reason) => resolve({ code, reason: reason.toString() }))
    })
  }

  get messages(): LinkMessage[] {
    return this.frames.flatMap(frame => {
      const decoded = decodeLinkFrame(frame)
      return decoded.kind === "frame" ? [...decoded.messages] : []
    })
  }

  send(data: Uint8Array | string): void {
    this.#websocket.send(data)
  }

  /** Stops reading: what the other end sends piles up there. */
  stopReading(): void {
    this.#websocket.pause()
  }

  goOnReading(): void {
    this.#websocket.resume()
  }

  close(): void {
    this.#websocket.terminate()
  }
}

export type Speaker = {
  readonly from?: NodeId
  readonly to?: NodeId | null
  readonly clusterId?: string
  readonly generation?: number
}

export function frameOf(messages: readonly LinkMessage[], speaker: Speaker = {}): Uint8Array {
  const { from = rawId, to = null, clusterId = "", generation = 0 } = speaker
  return encodeLinkFrame({ proto: protoMax, clusterId, generation, from, to }, messages.map(packLinkMessage))
}

export function helloOf(fields: Partial<Hello> = {}): Hello {
  return {
    kind: "hello",
    protoMin,
    protoMax,
    id: rawId,
    addr: "127.0.0.1:1",
    link: "control",
    clusterId: "",
    generation: 0,
    auth: null,
    process: null,
    ...fields,
  }
}

/** A bare TCP connection: writes these bytes, and gives back all that is answered until the other end closes. */
export function rawExchange(address: Address, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const [host, port] = address.split(":")
    const socket: Socket = createConnection({ host: host ?? "", port: Number(port) }, () => socket.write(bytes))
    const answers: Buffer[] = []
    socket.on("data", data => answers.push(data))
    socket.on("error", reject)
    socket.on("close", () => resolve(Buffer.concat(answers).toString()))
  })
}
