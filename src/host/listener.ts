/**
 * The one port of a node: nodes and clients by WebSocket, each at a path of its own, Redis' clients by their own protocol, and for people and supervisors
 * `GET /health`, `/healthz`, `/readyz`, `/status` and `/metrics` over HTTP. Whoever speaks something else, or nothing, is turned away with a reason.
 */
import { createServer, type IncomingMessage, STATUS_CODES, type Server, type ServerResponse } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import type { Duplex } from "node:stream"
import { type ServerOptions, type WebSocket, WebSocketServer } from "ws"
import type { HostPort } from "../base/address.ts"
import { maxFrameBytes } from "../protocol/limits.ts"
import type { StatusReport } from "../protocol/message.ts"
import type { HostBounds } from "./bounds.ts"
import { clientPath } from "./clients.ts"
import { type Health, healthAnswer, readinessAnswer } from "./health.ts"
import type { HostEvent } from "./host-event.ts"
import { peerPath } from "./links.ts"

export type ListenerOptions = {
  readonly acceptPeer: (websocket: WebSocket, tcp: Socket) => void
  readonly acceptClient: (websocket: WebSocket, tcp: Socket) => void
  /** Takes over a connection that begins like Redis' protocol; undefined: there is no door for it. */
  readonly acceptResp?: ((tcp: Socket) => void) | undefined
  /** Undefined: too early to say. */
  readonly status: () => StatusReport | undefined
  /** The same; cheaper, since it is asked every few seconds. */
  readonly health: () => Health | undefined
  /** For Prometheus. Undefined: too early to say. */
  readonly metrics: () => Promise<{ readonly text: string; readonly contentType: string }> | undefined
  readonly event: (event: HostEvent) => void
  /** Runs a step and decides what an exception in it means. */
  readonly guarded: (step: () => void) => void
  readonly bounds: HostBounds
}

export class Listener {
  readonly #options: ListenerOptions
  readonly #server: Server
  readonly #upgrades: WebSocketServer
  /** Connections that have not said anything yet: the HTTP server does not know of them. */
  readonly #silent = new Set<Socket>()

  private constructor(options: ListenerOptions) {
    this.#options = options
    const { closingMs, greetingMs, maxConnections } = options.bounds
    const upgrading: ServerOptions & { closeTimeout: number } = {
      noServer: true,
      // Its own list of connections would be a second one.
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: maxFrameBytes,
      closeTimeout: closingMs,
    }
    this.#upgrades = new WebSocketServer(upgrading)
    this.#server = createServer({
      // A connection that has not said what it wants by then is closed, one that says nothing at all too.
      headersTimeout: greetingMs,
      requestTimeout: greetingMs,
      connectionsCheckingInterval: 1_000,
      keepAliveTimeout: greetingMs,
      maxHeaderSize: 8 * 1024,
      // The far end of a connection that nobody uses may be gone, with its machine: the systems ask.
      keepAlive: true,
      keepAliveInitialDelay: 30_000,
    })
    this.#server.maxConnections = maxConnections
    this.#tellApart()
    this.#server.on("request", (request, response) => options.guarded(() => this.#answer(request, response)))
    this.#server.on("upgrade", (request, stream, head) => options.guarded(() => this.#upgrade(request, stream, head)))
    this.#server.on("clientError", (error, stream) => this.#refuse(stream, 400, error.message))
    this.#server.on("drop", info => {
      const remote = `${info?.remoteAddress}:${info?.remotePort}`
      options.event({ kind: "connection-refused", remote, reason: `more than ${maxConnections} connections` })
    })
  }

  /** Rejects with the operating system's error when the port is taken or the host is not ours. */
  static async listen(at: HostPort, options: ListenerOptions): Promise<Listener> {
    const listener = new Listener(options)
    await new Promise<void>((resolve, reject) => {
      listener.#server.once("error", reject)
      listener.#server.listen({ host: at.host, port: at.port }, () => {
        listener.#server.off("error", reject)
        // What fails later is the accepting of one connection, for want of file descriptors: it is that one's loss.
        listener.#server.on("error", error =>
          options.event({ kind: "connection-refused", remote: "unknown", reason: error.message }),
        )
        resolve()
      })
    })
    return listener
  }

  get port(): number {
    // A server that listens at a port has an address of this form.
    return (this.#server.address() as AddressInfo).port
  }

  /** Takes no further connection, and ends those that are no WebSockets. */
  async close(): Promise<void> {
    const closed = new Promise<void>(resolve => this.#server.close(() => resolve()))
    this.#server.closeAllConnections()
    // One of them left open would keep the port, and whoever waits for this, for ever.
    for (const tcp of this.#silent) tcp.destroy()
    await closed
  }

  /** By its first byte a connection is handed to the HTTP server, as all would be, or to the Redis door. */
  #tellApart(): void {
    const http = this.#server.listeners("connection")
    this.#server.removeAllListeners("connection")
    this.#server.on("connection", (tcp: Socket) => {
      this.#silent.add(tcp)
      const silent = setTimeout(() => tcp.destroy(), this.#options.bounds.greetingMs)
      const lost = () => tcp.destroy()
      tcp.once("error", lost)
      tcp.once("close", () => {
        clearTimeout(silent)
        this.#silent.delete(tcp)
      })
      tcp.once("data", first => {
        clearTimeout(silent)
        this.#silent.delete(tcp)
        tcp.off("error", lost)
        tcp.pause()
        this.#options.guarded(() => {
          const { acceptResp } = this.#options
          if (first[0] === asterisk && acceptResp !== undefined) acceptResp(tcp)
          else for (const accept of http) accept.call(this.#server, tcp)
        })
        tcp.unshift(first)
        tcp.resume()
      })
    })
  }

  #upgrade(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    // Browsers alone send one, and they let any page that somebody visits dial this machine's own ports.
    if (request.headers.origin !== undefined) return this.#refuse(stream, 403, "web pages are not served")
    const accept = this.#acceptorOf(pathOf(request))
    if (accept === undefined) return this.#refuse(stream, 404, `nothing is served at ${pathOf(request).slice(0, 100)}`)
    // Of a server that listens at a port, every stream is a TCP socket.
    const tcp = stream as Socket
    this.#upgrades.handleUpgrade(request, stream, head, websocket =>
      this.#options.guarded(() => accept(websocket, tcp)),
    )
  }

  #acceptorOf(path: string): ((websocket: WebSocket, tcp: Socket) => void) | undefined {
    if (path === peerPath) return this.#options.acceptPeer
    return path === clientPath ? this.#options.acceptClient : undefined
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = pathOf(request)
    if (request.method !== "GET" && request.method !== "HEAD") return reply(response, 405, { error: "only GET" })
    const { health, metrics, status } = this.#options
    switch (path) {
      case "/healthz":
        // Whoever can answer lives.
        return replyLine(response, { status: 200, line: "alive" })
      case "/health":
        return replyLine(response, healthAnswer(health()))
      case "/readyz":
        return replyLine(response, readinessAnswer(health()))
      case "/status": {
        const report = status()
        return report === undefined ? reply(response, 503, { error: "starting" }) : reply(response, 200, report)
      }
      case "/metrics":
        return void replyLater(response, metrics())
      default:
        return reply(response, 404, {
          error: `try /health, /healthz, /readyz, /status, /metrics, or a WebSocket at ${clientPath}`,
        })
    }
  }

  #refuse(stream: Duplex, status: 400 | 403 | 404, reason: string): void {
    const tcp = stream as Socket // as above
    // After an upgrade nobody else listens for errors, and one that nobody listens for would end the process.
    tcp.on("error", () => tcp.destroy())
    // Its address is gone when the other end is: then nobody is left to be told, either.
    if (!tcp.writable || tcp.remoteAddress === undefined) {
      tcp.destroy()
      return
    }
    this.#options.event({ kind: "connection-refused", remote: `${tcp.remoteAddress}:${tcp.remotePort}`, reason })
    const body = `${reason}\n`
    tcp.write(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n` +
        `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    )
    tcp.destroySoon()
  }
}

/** What every command of Redis' protocol begins with, and no request of HTTP. */
const asterisk = 42

function pathOf(request: IncomingMessage): string {
  return (request.url ?? "").split("?", 1)[0] ?? ""
}

function reply(response: ServerResponse, status: number, body: object): void {
  replyText(response, status, `${JSON.stringify(body)}\n`, "application/json")
}

function replyLine(response: ServerResponse, { status, line }: ReturnType<typeof healthAnswer>): void {
  replyText(response, status, `${line}\n`, "text/plain; charset=utf-8")
}

async function replyLater(
  response: ServerResponse,
  answer: Promise<{ readonly text: string; readonly contentType: string }> | undefined,
): Promise<void> {
  if (answer === undefined) return reply(response, 503, { error: "starting" })
  try {
    const { text, contentType } = await answer
    replyText(response, 200, text, contentType)
  } catch (error) {
    reply(response, 500, { error: error instanceof Error ? error.message : String(error) })
  }
}

function replyText(response: ServerResponse, status: number, text: string, type: string): void {
  response.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(text) })
  response.end(text)
}
