/**
 * The connections of clients: numbers them for the core, hands over what they ask once they have introduced themselves,
 * and ends those that break the rules or read too slowly. What the messages mean is the core's business.
 */
import type { Socket } from "node:net"
import type { WebSocket } from "ws"
import type { ConnectionId } from "../core/ports.ts"
import { decodeForNode, encodeClientFrame, type Packed, packForClient } from "../protocol/codec.ts"
import { maxClientMessages, protoMax, protoMin } from "../protocol/limits.ts"
import type { ClientToNode, NodeToClient } from "../protocol/message.ts"
import { type Arrival, Backlog, Held } from "./backlog.ts"
import type { HostBounds } from "./bounds.ts"
import { closeCodes, FrameSocket, type SocketEnd } from "./frame-socket.ts"
import { HalfFrames } from "./half-frames.ts"
import { detailOf, type HostEvent } from "./host-event.ts"
import type { TurnEnd } from "./turn-end.ts"
import type { Turns } from "./turns.ts"

export type ClientsOptions = {
  readonly message: (connection: ConnectionId, message: ClientToNode) => void
  /** Instead, for want of time. */
  readonly refuse: (connection: ConnectionId, message: Extract<ClientToNode, { kind: "request" }>) => void
  /** Once for each connection that has introduced itself. */
  readonly gone: (connection: ConnectionId) => void
  readonly event: (event: HostEvent) => void
  readonly beforeFrame?: () => void
  readonly turnEnd: TurnEnd
  readonly turns: Turns
  readonly nowMs: () => number
  readonly bounds: HostBounds
}

/** The path at which clients are accepted. */
export const clientPath = "/client"

/**
 * The answers to a frame with many operations leave in parts of about so many. Client and node would work in turns otherwise: with
 * parts the one reads the first while the other executes the second, and callers that wait for their answers keep two
 * batches under way from then on. Fewer cost more system calls than the waiting they save.
 */
const answersAtOnce = 32

type Client = {
  readonly id: ConnectionId
  readonly socket: FrameSocket<Packed<NodeToClient>>
  /** What it has asked and has not been taken up. */
  readonly backlog: Backlog<ClientToNode>
  readonly remote: string
  readonly madeAtMs: number
  greeting: "due" | "done"
}

export class Clients {
  readonly #options: ClientsOptions
  readonly #clients = new Map<ConnectionId, Client>()
  readonly #halfFrames: HalfFrames
  readonly #held = new Held()
  #lastId = 0

  constructor(options: ClientsOptions) {
    this.#options = options
    this.#halfFrames = new HalfFrames(options.bounds)
  }

  /** Takes over a connection that a client made to our port. */
  accept(websocket: WebSocket, tcp: Socket): void {
    const { beforeFrame, bounds, nowMs, turnEnd, turns } = this.#options
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
        drained: () => client.backlog.goOn(),
        ended: end => this.#ended(client, end),
      }),
      backlog: new Backlog({
        turns,
        take: message => this.#take(client, message),
        refuse: message => this.#refuse(client, message),
        mayAnswer: () => !client.socket.isFull,
        pause: () => client.socket.pauseReading(),
        resume: () => client.socket.resumeReading(),
        nowMs,
        lagMs: () => client.socket.lagMs(),
        forgetLag: () => client.socket.forgetLag(),
        patienceMs: bounds.patienceMs,
        held: this.#held,
      }),
      remote: `${tcp.remoteAddress}:${tcp.remotePort}`,
      madeAtMs: nowMs(),
      greeting: "due",
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
      const { unreadSinceMs } = client.backlog
      if (unreadSinceMs !== undefined && nowMs - unreadSinceMs > this.#options.bounds.unbegunMs)
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
    const { messages } = decoded
    if (messages.length > maxClientMessages)
      return this.#violation(client, `more than ${maxClientMessages} messages in one frame`)
    const bytes = frame.length
    const otherwise = this.#mayHold(client, bytes) ? "wait" : "refuse"
    // What is left of the frame keeps all of it: that counts until its last message has been taken up.
    const part: Arrival = { bytes: 0, otherwise }
    let from = 0
    for (; messages.length - from >= 1.5 * answersAtOnce; from += answersAtOnce) {
      client.backlog.add(messages.slice(from, from + answersAtOnce), part)
      client.socket.flush()
    }
    client.backlog.add(from === 0 ? messages : messages.slice(from), { bytes, otherwise })
  }

  #mayHold({ backlog }: Client, bytes: number): boolean {
    const { waitingBytes } = this.#options.bounds
    return this.#held.bytes + bytes <= waitingBytes || backlog.bytes + bytes <= waitingBytes / this.#clients.size
  }

  #take(client: Client, message: ClientToNode): void {
    // Whatever the core does with one message may end the connection.
    if (client.socket.isEnded) return
    const problem = greetingProblem(client.greeting, message)
    if (problem !== undefined) return this.#violation(client, problem)
    client.greeting = "done"
    this.#options.message(client.id, message)
  }

  /**
   * What keeps a connection up is taken all the same. What is dear and has no refusal gets no answer: keys asked together are soon
   * asked one by one, and then told `busy`.
   */
  #refuse(client: Client, message: ClientToNode): void {
    if (client.socket.isEnded || message.kind === "read-many" || message.kind === "status-request") return
    if (message.kind === "request") this.#options.refuse(client.id, message)
    else this.#take(client, message)
  }

  #violation(client: Client, detail: string): void {
    client.socket.close(closeCodes.policy, detail, { kind: "violation", detail })
  }

  #ended(client: Client, end: SocketEnd): void {
    this.#clients.delete(client.id)
    client.backlog.close()
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
