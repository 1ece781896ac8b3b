/**
 * The WebSockets under a session: dials addresses, joins what one event-loop turn sends to a node into one frame, and
 * tells of each connection once that it opened and once that it is gone, in bounded time also when the other end is
 * silent. Knows nothing of what the messages say.
 */
import type { Socket } from "node:net"
import { type ClientOptions, WebSocket } from "ws"
import { decodeForClient, encodeClientFrame, type Packed, packForNode } from "../protocol/codec.ts"
import { clientPath, maxFrameBytes, softFrameBytes } from "../protocol/limits.ts"
import type { Address, ClientToNode, NodeToClient } from "../protocol/message.ts"
import type { SessionPorts } from "./session.ts"

export type SocketEvents = {
  /** Runs whatever the event loop brings, and sees to the session's timer afterwards. */
  readonly step: (work: () => void) => void
  readonly opened: (to: Address) => void
  readonly lost: (to: Address, reason: string) => void
  readonly received: (from: Address, message: NodeToClient) => void
}

export type SocketLimits = {
  /** A dial that was not answered after so long is given up. */
  readonly dialMs: number
  /** Something sent and nothing heard since for so long: ask for a sign of life; and given up after so long. */
  readonly pingMs: number
  readonly silenceMs: number
  /** The slowest connection that works: each so many unsent bytes allow one more ms of silence. */
  readonly slowestBytesPerMs: number
  /** Bytes not handed to the operating system. Beyond, the node does not read, and the connection is given up. */
  readonly unsentBytes: number
  /** An orderly end may take so long; then the socket is destroyed. */
  readonly closingMs: number
}

export const socketLimits: SocketLimits = {
  dialMs: 2_000,
  pingMs: 1_000,
  silenceMs: 5_000,
  slowestBytesPerMs: 1_024,
  unsentBytes: 2 * 64 * 1024 * 1024,
  closingMs: 1_000,
}

type Link = {
  readonly address: Address
  readonly websocket: WebSocket
  tcp: Socket | undefined
  /** When last sent or looked: a large frame on its way is a sign of life, long before it is complete. */
  bytesRead: number
  pending: Packed<ClientToNode>[]
  pendingBytes: number
  /** When something was sent that nothing has followed yet. */
  unansweredSinceMs: number | undefined
  pinged: "yes" | "no"
}

export class Sockets implements SessionPorts {
  readonly #events: SocketEvents
  readonly #limits: SocketLimits
  readonly #nowMs: () => number
  readonly #links = new Map<Address, Link>()
  readonly #unflushed = new Set<Link>()
  #lifeTimer: NodeJS.Timeout | undefined

  constructor(options: { events: SocketEvents; nowMs: () => number; limits: SocketLimits }) {
    this.#events = options.events
    this.#limits = options.limits
    this.#nowMs = options.nowMs
  }

  send(to: Address, message: ClientToNode): void {
    const link = this.#links.get(to) ?? this.#dial(to)
    if (link === undefined) return
    const packed = packForNode(message)
    link.pending.push(packed)
    link.pendingBytes += packed.bytes
    if (link.websocket.readyState === WebSocket.OPEN) this.#flushSoon(link)
  }

  hangUp(from: Address): void {
    const link = this.#links.get(from)
    if (link === undefined) return
    this.#forget(link)
    link.websocket.terminate()
  }

  /** Closes every connection in an orderly way. Nothing is told of them from here on. */
  async close(): Promise<void> {
    const links = [...this.#links.values()]
    for (const link of links) this.#forget(link)
    await Promise.all(links.map(({ websocket }) => closed(websocket)))
  }

  #dial(address: Address): Link | undefined {
    const url = `ws://${address}${clientPath}`
    if (!URL.canParse(url)) {
      // What a node advertises is any text. The loss is told later, like every other.
      setImmediate(() => this.#events.step(() => this.#events.lost(address, "that is no address")))
      return undefined
    }
    const options: ClientOptions & { closeTimeout: number } = {
      perMessageDeflate: false,
      maxPayload: maxFrameBytes,
      handshakeTimeout: this.#limits.dialMs,
      closeTimeout: this.#limits.closingMs,
      // Masks protect proxies from scripts in browsers, which we are not: a mask of zeros is none, and copies nothing.
      generateMask: mask => mask.fill(0),
    }
    const websocket = new WebSocket(url, options)
    const link: Link = {
      address,
      websocket,
      tcp: undefined,
      bytesRead: 0,
      pending: [],
      pendingBytes: 0,
      unansweredSinceMs: undefined,
      pinged: "no",
    }
    this.#links.set(address, link)
    this.#lifeTimer ??= setInterval(() => this.#events.step(() => this.#lookForLife()), this.#limits.pingMs / 2).unref()
    const ifCurrent = (work: () => void) => {
      if (this.#links.get(address) === link) this.#events.step(work)
    }
    const end = (reason: string) => ifCurrent(() => this.#end(link, reason))
    websocket.on("upgrade", response => {
      link.tcp = response.socket
      response.socket.setNoDelay(true)
      response.socket.setKeepAlive(true, 30_000)
    })
    websocket.on("open", () =>
      ifCurrent(() => {
        this.#events.opened(address)
        this.#flush(link)
      }),
    )
    websocket.on("message", (data, isBinary) => {
      heard(link)
      // ws hands out a Buffer unless it was asked for something else.
      ifCurrent(() => (isBinary ? this.#frame(link, data as Buffer) : this.#end(link, "sent a text frame")))
    })
    websocket.on("ping", () => heard(link))
    websocket.on("pong", () => heard(link))
    websocket.on("error", error => end(reasonOf(error)))
    websocket.on("close", (code, reason) =>
      end(reason.length > 0 ? reason.toString() : `closed the connection (${code})`),
    )
    return link
  }

  #frame(link: Link, frame: Buffer): void {
    const decoded = decodeForClient(frame)
    if (decoded.kind === "malformed") return this.#end(link, `sent a malformed frame: ${decoded.reason}`)
    for (const message of decoded.messages) {
      // What one message causes may end the connection.
      if (this.#links.get(link.address) !== link) return
      this.#events.received(link.address, message)
    }
  }

  /** All that this turn of the event loop sends to one node leaves in one frame, when every socket has been read. */
  #flushSoon(link: Link): void {
    if (this.#unflushed.size === 0) setImmediate(() => this.#events.step(() => this.#flushAll()))
    this.#unflushed.add(link)
  }

  #flushAll(): void {
    const links = [...this.#unflushed]
    this.#unflushed.clear()
    for (const link of links) this.#flush(link)
  }

  #flush(link: Link): void {
    const { pending, pendingBytes, websocket } = link
    if (websocket.readyState !== WebSocket.OPEN || link.tcp === undefined || pending.length === 0) return
    link.pending = []
    link.pendingBytes = 0
    if (websocket.bufferedAmount + pendingBytes > this.#limits.unsentBytes) return this.#end(link, "does not read")
    // Past ws, which would write the header and the frame as two buffers. All that it writes by itself goes the same way.
    for (const together of cut(pending)) link.tcp.write(encodeClientFrame(together, "dialed"))
    if (link.unansweredSinceMs !== undefined) return
    link.unansweredSinceMs = this.#nowMs()
    link.bytesRead = link.tcp?.bytesRead ?? 0
  }

  #lookForLife(): void {
    const nowMs = this.#nowMs()
    for (const link of this.#links.values()) {
      const bytesRead = link.tcp?.bytesRead ?? 0
      if (bytesRead !== link.bytesRead) heard(link)
      link.bytesRead = bytesRead
      const { websocket, unansweredSinceMs } = link
      if (unansweredSinceMs === undefined || websocket.readyState !== WebSocket.OPEN) continue
      const silentForMs = nowMs - unansweredSinceMs
      const { pingMs, silenceMs, slowestBytesPerMs } = this.#limits
      if (silentForMs > silenceMs + websocket.bufferedAmount / slowestBytesPerMs) {
        this.#end(link, "has fallen silent")
      } else if (silentForMs > pingMs && link.pinged === "no") {
        link.pinged = "yes"
        websocket.ping()
      }
    }
  }

  #end(link: Link, reason: string): void {
    if (this.#links.get(link.address) !== link) return
    this.#forget(link)
    link.websocket.terminate()
    this.#events.lost(link.address, reason)
  }

  #forget(link: Link): void {
    this.#links.delete(link.address)
    this.#unflushed.delete(link)
    if (this.#links.size > 0) return
    clearInterval(this.#lifeTimer)
    this.#lifeTimer = undefined
  }
}

function heard(link: Link): void {
  link.unansweredSinceMs = undefined
  link.pinged = "no"
}

/** The messages in runs that each make a frame; a message that is larger than that goes alone. */
function* cut(messages: readonly Packed<ClientToNode>[]): Generator<readonly Packed<ClientToNode>[]> {
  let start = 0
  let bytes = 0
  for (const [index, message] of messages.entries()) {
    if (index > start && bytes + message.bytes > softFrameBytes) {
      yield messages.slice(start, index)
      start = index
      bytes = 0
    }
    bytes += message.bytes
  }
  yield messages.slice(start)
}

function reasonOf(error: Error & { code?: unknown }): string {
  switch (error.code) {
    case "ECONNREFUSED":
      return "nobody listens there"
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "no such host"
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return "no way leads there"
    case "ETIMEDOUT":
      return "no answer"
    default:
      return error.message
  }
}

async function closed(websocket: WebSocket): Promise<void> {
  if (websocket.readyState === WebSocket.CLOSED) return
  await new Promise<void>(resolve => {
    websocket.once("close", () => resolve())
    if (websocket.readyState === WebSocket.CONNECTING) websocket.terminate()
    else websocket.close(1000)
  })
}
