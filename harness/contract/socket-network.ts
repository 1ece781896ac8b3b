/** Real links between processes that are all this one: each with a port on loopback and a table of addresses. */
import { randomBytes } from "node:crypto"
import type { Socket } from "node:net"
import type { WebSocket } from "ws"
import { parseAddress } from "../../src/base/address.ts"
import { assert } from "../../src/base/assert.ts"
import type { ConnectionId } from "../../src/core/ports.ts"
import { type HostBounds, hostBounds } from "../../src/host/bounds.ts"
import { Clients } from "../../src/host/clients.ts"
import type { HostEvent } from "../../src/host/host-event.ts"
import { Links } from "../../src/host/links.ts"
import { Listener } from "../../src/host/listener.ts"
import { TurnEnd } from "../../src/host/turn-end.ts"
import { Turns } from "../../src/host/turns.ts"
import type { Address, ClientToNode, NodeId, PeerMessage } from "../../src/protocol/message.ts"
import type { Endpoint, NetworkUnderTest } from "./network-cases.ts"

/** Nothing here takes so long on a machine that works. */
const patienceMs = 10_000

export class SocketNetwork implements NetworkUnderTest {
  readonly bounds: HostBounds
  readonly #addresses = new Map<NodeId, Address>()
  readonly #endpoints: SocketEndpoint[] = []

  constructor(bounds: Partial<HostBounds> = {}) {
    // Quicker to dial again than in the product: the rules are the same, the waiting is not.
    this.bounds = { ...hostBounds, redialMs: 5, redialMaxMs: 50, ...bounds }
  }

  async start(options: { address: "known" | "unknown"; at?: Address }): Promise<SocketEndpoint> {
    const endpoint = await SocketEndpoint.start({
      bounds: this.bounds,
      addressOf: id => this.#addresses.get(id),
      at: options.at,
    })
    this.#endpoints.push(endpoint)
    if (options.address === "known") this.#addresses.set(endpoint.id, endpoint.address)
    return endpoint
  }

  async breakBetween(a: SocketEndpoint, b: SocketEndpoint): Promise<void> {
    // Each accepted some of their connections; destroying a socket at one end is a break to the other.
    a.destroyConnections()
    b.destroyConnections()
  }

  async until(what: string, condition: () => boolean): Promise<void> {
    const deadline = performance.now() + patienceMs
    while (!condition()) {
      if (performance.now() > deadline) throw new Error(`waited in vain for: ${what}`)
      await new Promise(resolve => setTimeout(resolve, 2))
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#endpoints.map(endpoint => endpoint.die()))
  }
}

export class SocketEndpoint implements Endpoint {
  readonly id: NodeId = randomBytes(8).toString("hex")
  readonly received: { from: NodeId; message: PeerMessage }[] = []
  readonly lost: NodeId[] = []
  readonly refused: NodeId[] = []
  readonly events: HostEvent[] = []
  readonly clientMessages: { connection: ConnectionId; message: ClientToNode }[] = []
  readonly clientsGone: ConnectionId[] = []
  /** What it does about what a client says. */
  onClientMessage: (connection: ConnectionId) => void = () => {}
  clusterId = ""
  address: Address = ""
  #links: Links | undefined
  #clients: Clients | undefined
  #listener: Listener | undefined
  #isMute = false
  #ticking: NodeJS.Timeout | undefined
  readonly #accepted = new Set<Socket>()

  static async start(options: {
    bounds: HostBounds
    addressOf: (id: NodeId) => Address | undefined
    at: Address | undefined
  }): Promise<SocketEndpoint> {
    const endpoint = new SocketEndpoint()
    await endpoint.#start(options)
    return endpoint
  }

  get links(): Links {
    if (this.#links === undefined) throw new Error("the endpoint has been started")
    return this.#links
  }

  get clients(): Clients {
    if (this.#clients === undefined) throw new Error("the endpoint has been started")
    return this.#clients
  }

  get openConnections(): number {
    return this.#accepted.size
  }

  /** From now on it takes connections and never says a word, like a process that was stopped. */
  fallMute(): void {
    this.#isMute = true
  }

  send(to: NodeId, message: PeerMessage): void {
    this.links.send(to, message)
  }

  sendToAddress(address: Address, message: PeerMessage): void {
    this.links.sendToAddress(address, message)
  }

  destroyConnections(): void {
    for (const tcp of this.#accepted) tcp.destroy()
    this.#accepted.clear()
  }

  async die(): Promise<void> {
    clearInterval(this.#ticking)
    const closed = this.#listener?.close()
    this.#links?.close()
    this.#clients?.close()
    this.destroyConnections()
    await closed
  }

  async #start(options: {
    bounds: HostBounds
    addressOf: (id: NodeId) => Address | undefined
    at: Address | undefined
  }): Promise<void> {
    const turnEnd = new TurnEnd(step => step())
    const at = parseAddress(options.at ?? "127.0.0.1:0", { defaultPort: 0, portZero: "allowed" })
    if ("problem" in at) throw new Error(at.problem)
    const listener = await Listener.listen(at, {
      acceptPeer: (websocket, tcp) => {
        this.#keep(tcp)
        if (this.#isMute) this.#silence(websocket)
        else this.links.accept(websocket, tcp)
      },
      acceptClient: (websocket, tcp) => {
        this.#keep(tcp)
        this.clients.accept(websocket, tcp)
      },
      status: () => undefined,
      health: () => undefined,
      metrics: () => undefined,
      event: event => this.events.push(event),
      guarded: step => step(),
      bounds: options.bounds,
    })
    this.#listener = listener
    this.address = `127.0.0.1:${listener.port}`
    this.#links = new Links({
      identity: () => ({ id: this.id, clusterId: this.clusterId, generation: 0 }),
      address: this.address,
      process: null,
      addressOf: options.addressOf,
      receive: (from, message) => {
        assert(
          message.kind !== "channel-ask" && message.kind !== "channel-told",
          "here the core's messages alone are sent",
        )
        this.received.push({ from, message })
      },
      linkLost: peer => this.lost.push(peer),
      peerRefused: peer => this.refused.push(peer),
      event: event => this.events.push(event),
      turnEnd,
      nowMs: () => performance.now(),
      chance: () => 0.5,
      bounds: options.bounds,
    })
    this.#clients = new Clients({
      message: (connection, message) => {
        this.clientMessages.push({ connection, message })
        this.onClientMessage(connection)
      },
      refuse: (connection, message) => this.clientMessages.push({ connection, message }),
      gone: connection => this.clientsGone.push(connection),
      event: event => this.events.push(event),
      turnEnd,
      turns: new Turns({ ...options.bounds, nowMs: () => performance.now(), guarded: step => step() }),
      nowMs: () => performance.now(),
      bounds: options.bounds,
    })
    this.#ticking = setInterval(() => {
      this.links.tick()
      this.clients.tick()
    }, 5)
  }

  #keep(tcp: Socket): void {
    this.#accepted.add(tcp)
    tcp.on("close", () => this.#accepted.delete(tcp))
  }

  #silence(websocket: WebSocket): void {
    websocket.on("error", () => {}) // nobody here minds
  }
}
