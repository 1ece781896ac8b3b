/**
 * The connections of clients: numbers them for the core, hands over what they ask once they have introduced themselves,
 * and ends those that break the rules or read too slowly. What the messages mean is the core's business.
 */
import type { Socket } from "node:net"
import type { WebSocket } from "ws"
import type { ConnectionId } from "../core/ports.ts"
import { decodeForNode, encodeClientFrame, type Packed, packForClient } from "../protocol/codec.ts"
import { protoMax, protoMin } from "../protocol/limits.ts"
import type { ClientToNode, NodeToClient } from "../protocol/message.ts"
import type { HostBounds } from "./bounds.ts"
import { closeCodes, FrameSocket, type SocketEnd } from "./frame-socket.ts"
import { HalfFrames } from "./half-frames.ts"
import { detailOf, type HostEvent } from "./host-event.ts"
import type { TurnEnd } from "./turn-end.ts"

export type ClientsOptions = {
  readonly message: (connection: ConnectionId, message: ClientToNode) => void
  /** Once for each connection that has introduced itself. */
  readonly gone: (connection: ConnectionId) => void
  readonly event: (event: HostEvent) => void
  readonly beforeFrame?: () => void
  readonly turnEnd: TurnEnd
  readonly nowMs: () => number
  readonly bounds: HostBounds
}

/** The path at which clients are accepted. */
export const clientPath = "/client"

type Client = {
  readonly id: ConnectionId
  readonly socket: FrameSocket<Packed<NodeToClient>>
  readonly remote: string
  readonly madeAtMs: number
  greeting: "due" | "done"
  /** What it asked while it had answers of many bytes to read, and is not begun. */
  unbegun: Unbegun | undefined
}

type Unbegun = { readonly sinceMs: number; readonly messages: ClientToNode[] }

export class Clients {
  readonly #options: ClientsOptions
  readonly #clients = new Map<ConnectionId, Client>()
  readonly #halfFrames: HalfFrames
  #lastId = 0

  constructor(options: ClientsOptions) {
    this.#options = options
    this.#halfFrames = new HalfFrames(options.bounds)
  }

  /** Takes over a connection that a client made to our port. */
  accept(websocket: WebSocket, tcp: Socket): void {
    const { beforeFrame, bounds, nowMs, turnEnd } = this.#options
    const id = ++this.#lastId
    const client: Client = {
      id,
      socket: FrameSocket.accepted<Packed<NodeToClient>>(websocket, tcp, {
        bounds,
        nowMs,
        turnEnd,
        ...(beforeFrame === undefined ? {} : { beforeFrame }),
        encode: encodeClientFrame,
        frame: frame => this.#frame(client, frame),
        drained: () => this.#goOn(client),
        ended: end => this.#ended(client, end),
      }),
      remote: `${tcp.remoteAddress}:${tcp.remotePort}`,
      madeAtMs: nowMs(),
      greeting: "due",
      unbegun: undefined,
    }
    this.#clients.set(id, client)
    const { maxClients } = bounds
    if (this.#clients.size > maxClients) client.socket.close(closeCodes.tryLater, `more than ${maxClients} clients`)
  }

  /** To a connection that has gone: nothing. */
  send(connection: ConnectionId, message: NodeToClient): void {
    this.#clients.get(connection)?.socket.send(packForClient(message))
  }

  tick(): void {
    const nowMs = this.#options.nowMs()
    for (const client of this.#clients.values()) {
      client.socket.tick()
      if (client.greeting === "due" && nowMs - client.madeAtMs > this.#options.bounds.greetingMs)
        client.socket.close(closeCodes.policy, "no client-hello")
      const { unbegun } = client
      if (unbegun !== undefined && nowMs - unbegun.sinceMs > this.#options.bounds.unbegunMs)
        client.socket.drop("its answers are not read", { kind: "overflow", unsentBytes: client.socket.unsentBytes })
    }
    this.#halfFrames.tick(this.#sockets(), nowMs)
  }

  *#sockets(): Generator<Client["socket"]> {
    for (const { socket } of this.#clients.values()) yield socket
  }

  /** Ends every connection without reading what it still holds. */
  closeUnread(): void {
    for (const { socket } of this.#clients.values()) socket.drop("this node was paused")
  }

  close(): void {
    for (const { socket } of this.#clients.values()) socket.close(closeCodes.goingAway, "stopping")
  }

  #frame(client: Client, frame: Uint8Array): void {
    const decoded = decodeForNode(frame)
    if (decoded.kind === "malformed") return this.#violation(client, decoded.reason)
    if (client.unbegun === undefined) this.#begin(client, decoded.messages, this.#options.nowMs)
    else for (const message of decoded.messages) client.unbegun.messages.push(message)
  }

  /**
   * Few bytes ask for many: a frame of reads may be answered by more than a connection can hold. So reads are begun only as
   * fast as their answers leave.
   */
  #begin(client: Client, messages: readonly ClientToNode[], sinceMs: () => number): void {
    let index = 0
    for (const message of messages) {
      // Whatever the core does with one message may end the connection.
      if (client.socket.isEnded) return
      if (client.socket.isFull) {
        client.unbegun = { sinceMs: sinceMs(), messages: messages.slice(index) }
        client.socket.pauseReading()
        return
      }
      const problem = greetingProblem(client.greeting, message)
      if (problem !== undefined) return this.#violation(client, problem)
      client.greeting = "done"
      this.#options.message(client.id, message)
      index++
    }
  }

  #goOn(client: Client): void {
    const { unbegun } = client
    if (unbegun === undefined) return
    client.unbegun = undefined
    this.#begin(client, unbegun.messages, () => unbegun.sinceMs)
    if (client.unbegun === undefined && !client.socket.isEnded) client.socket.resumeReading()
  }

  #violation(client: Client, detail: string): void {
    client.socket.close(closeCodes.policy, detail, { kind: "violation", detail })
  }

  #ended(client: Client, end: SocketEnd): void {
    this.#clients.delete(client.id)
    if (client.greeting === "done") this.#options.gone(client.id)
    // Clients come and go; only what one did wrong is news.
    if (end.kind !== "closed-by-peer")
      this.#options.event({ kind: "client-ended", remote: client.remote, why: end.kind, detail: detailOf(end) })
  }
}

function greetingProblem(greeting: Client["greeting"], message: ClientToNode): string | undefined {
  if (message.kind !== "client-hello") return greeting === "due" ? "client-hello must come first" : undefined
  if (greeting === "done") return "client-hello comes once"
  if (message.protoMax < protoMin || message.protoMin > protoMax)
    return `this node speaks versions ${protoMin} to ${protoMax}, the client ${message.protoMin} to ${message.protoMax}`
  return undefined
}
