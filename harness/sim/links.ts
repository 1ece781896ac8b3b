/**
 * What a node's host does for its peers, imagined: one connection per pair and class, dialed when something is to be
 * sent; messages to one process ordered within a class and never across; a broken connection told to both ends and
 * dialed again; a newer one taking the place of an older.
 */
import type { Address, DataMessage, LinkClass, NodeId, PeerMessage } from "../../src/protocol/message.ts"
import { acceptor, dialer, type Network } from "./network.ts"
import type { Side, Stream } from "./stream.ts"
import type { Host } from "./weather.ts"

/** A process, as its links see it. */
export type LinkedProcess = {
  readonly id: NodeId
  readonly address: Address
  readonly host: Host
  canAccept(): boolean
  addressOf(peer: NodeId): Address | undefined
  receive(from: NodeId, message: PeerMessage): void
  linkLost(peer: NodeId): void
  peerRefused(peer: NodeId): void
}

/** The listener's `link` means nothing: it takes both. */
export type PeerGreeting = { readonly id: NodeId; readonly link: LinkClass }

export type PeerNetwork = Network<PeerMessage, PeerGreeting>

type Link =
  | { readonly kind: "dialing"; readonly waiting: PeerMessage[] }
  | { readonly kind: "open"; readonly stream: Stream<PeerMessage>; readonly side: Side }
  /** Nobody answered; nothing is tried, and what is sent is lost, before this. */
  | { readonly kind: "resting"; readonly untilMs: number }

/** The links of one process. */
export class PeerLinks {
  readonly #network: PeerNetwork
  readonly #self: LinkedProcess
  readonly #linksByClass: Record<LinkClass, Map<NodeId, Link>> = { control: new Map(), data: new Map() }
  #isOver = false

  constructor(options: { network: PeerNetwork; self: LinkedProcess }) {
    this.#network = options.network
    this.#self = options.self
    this.#network.listen(this.#self.address, {
      greeting: { id: this.#self.id, link: "control" },
      canAccept: () => this.#self.canAccept(),
      accept: (caller, stream) => this.#accept(caller, stream),
    })
  }

  send(to: NodeId, message: PeerMessage): void {
    if (this.#isOver) return
    const linkClass = classOf(message)
    const link = this.#linksByClass[linkClass].get(to)
    if (link?.kind === "open") link.stream.send(link.side, message)
    else if (link?.kind === "dialing") {
      if (link.waiting.length < mostWaiting) link.waiting.push(message)
    } else if (link === undefined || link.untilMs <= this.#network.simulator.nowMs) this.#dial(to, linkClass, [message])
  }

  /** Goes to whoever answers a dial made for it, so that it tells who is behind the address now. */
  sendToAddress(address: Address, message: PeerMessage): void {
    if (this.#isOver) return
    const linkClass = classOf(message)
    const links = this.#linksByClass[linkClass]
    this.#network.dial(this.#self.host, address, {
      greeting: { id: this.#self.id, link: linkClass },
      lane: linkClass,
      isWanted: ({ id }) => {
        if (this.#isOver || id === this.#self.id) return false
        if (links.get(id)?.kind !== "open") return true
        this.send(id, message)
        return false
      },
      opened: ({ id }, stream) => {
        this.#keep(id, linkClass, stream, dialer)
        this.send(id, message)
      },
      failed: () => {},
    })
  }

  /** The process is over: killed, or it closed its connections and ended. */
  end(how: "killed" | "exits"): void {
    this.#isOver = true
    this.#network.unlisten(this.#self.address)
    for (const links of Object.values(this.#linksByClass)) {
      for (const link of links.values()) {
        if (link.kind !== "open") continue
        if (how === "exits") link.stream.close(link.side)
        else link.stream.die(link.side)
      }
      links.clear()
    }
  }

  #dial(to: NodeId, linkClass: LinkClass, waiting: PeerMessage[]): void {
    const address = this.#self.addressOf(to)
    // Nobody told this node where that process listens, and that process has not dialed: there is no way to it.
    if (address === undefined || address === this.#self.address) return
    const links = this.#linksByClass[linkClass]
    const link: Link = { kind: "dialing", waiting }
    const rest = () => {
      if (links.get(to) === link) links.set(to, { kind: "resting", untilMs: this.#network.simulator.nowMs + restMs })
    }
    links.set(to, link)
    this.#network.dial(this.#self.host, address, {
      greeting: { id: this.#self.id, link: linkClass },
      lane: linkClass,
      isWanted: ({ id }) => {
        // Another process lives there now: nothing meant for the old one may reach it.
        if (id !== to) rest()
        // Where both dialed at once, the connection that was made first has taken the place of this dial.
        return !this.#isOver && links.get(to) === link
      },
      opened: (_answer, stream) => this.#keep(to, linkClass, stream, dialer),
      failed: why => {
        if (this.#isOver) return
        rest()
        if (why === "refused") this.#self.peerRefused(to)
      },
    })
  }

  #accept({ id, link }: PeerGreeting, stream: Stream<PeerMessage>): void {
    const older = this.#linksByClass[link].get(id)
    this.#keep(id, link, stream, acceptor)
    if (older?.kind !== "open") return
    // The caller would not have dialed while it had a connection. What the old one still holds is never read.
    older.stream.abandon(older.side)
    this.#self.linkLost(id)
  }

  #keep(peer: NodeId, linkClass: LinkClass, stream: Stream<PeerMessage>, side: Side): void {
    const links = this.#linksByClass[linkClass]
    const before = links.get(peer)
    stream.attach(side, {
      receive: message => this.#self.receive(peer, message),
      closed: () => {
        const current = links.get(peer)
        if (current?.kind === "open" && current.stream === stream) links.delete(peer)
        this.#self.linkLost(peer)
        if (!this.#isOver && !links.has(peer)) this.#dial(peer, linkClass, [])
      },
    })
    links.set(peer, { kind: "open", stream, side })
    if (before?.kind === "dialing") for (const message of before.waiting) stream.send(side, message)
  }
}

/** Messages that wait for one dial; what comes on top is lost, as it is behind a full buffer. */
const mostWaiting = 10_000
/** After a dial that nobody answered, the next is tried so much later. */
const restMs = 50

const dataKinds: ReadonlySet<PeerMessage["kind"]> = new Set<DataMessage["kind"]>([
  "repl",
  "repl-ack",
  "stale",
  "sync",
  "sync-ack",
  "transfer-begin",
  "transfer-chunk",
  "transfer-ack",
  "forward",
  "forward-reply",
])

export function classOf(message: PeerMessage): LinkClass {
  return dataKinds.has(message.kind) ? "data" : "control"
}
