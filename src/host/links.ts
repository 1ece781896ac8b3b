/**
 * The connections of one node to others: one for each peer and class of messages, dialed when something is to be sent,
 * whichever end dials first; beside them, connections to bare addresses, for whoever does not know yet who is there.
 *
 * What the core may rely on (`harness/contract` holds it to this): a message is delivered at most once; those of one
 * class that one connection carries arrive in order; nothing of an older connection arrives after something of a newer
 * one; what is lost is followed by `linkLost`, so that whoever cares sends again.
 */
import type { Socket } from "node:net"
import type { WebSocket } from "ws"
import { assert } from "../base/assert.ts"
import {
  decodeLinkFrame,
  encodeLinkFrame,
  type FrameHeader,
  type LinkMessage,
  type Packed,
  packLinkMessage,
} from "../protocol/codec.ts"
import { maxFrameBytes, protoMax, protoMin } from "../protocol/limits.ts"
import { linkClassOf } from "../protocol/link-class.ts"
import type {
  Address,
  ChannelMessage,
  Goodbye,
  Hello,
  LinkClass,
  NodeId,
  PeerMessage,
  ProcessMark,
} from "../protocol/message.ts"
import type { HostBounds } from "./bounds.ts"
import { closeCodes, FrameSocket, type FrameSocketOptions, type SocketEnd } from "./frame-socket.ts"
import {
  commonProto,
  crossesGenerations,
  headerProblem,
  helloProblem,
  type Identity,
  isOtherGeneration,
  type Refused,
} from "./greeting.ts"
import { HalfFrames } from "./half-frames.ts"
import { detailOf, type HostEvent } from "./host-event.ts"
import { contest, idle, type LinkEvent, type LinkState, type LinkTimes, nextLinkState } from "./link-state.ts"
import type { TurnEnd } from "./turn-end.ts"

export type LinksOptions = {
  /** Asked at each greeting and frame: a joiner learns its cluster while its connections stand. */
  readonly identity: () => Identity
  /** What this node says that others may dial. */
  readonly address: Address
  /** What this node says of its process; null: nothing. */
  readonly process: ProcessMark | null
  /** Undefined: unknown, or no member (any more). */
  readonly addressOf: (id: NodeId) => Address | undefined
  readonly receive: (from: NodeId, message: PeerMessage | ChannelMessage) => void
  /** A connection to this peer stands; `process` is what it said of itself. */
  readonly greeted?: (peer: NodeId, process: ProcessMark | null) => void
  /** What was under way to this peer may be lost. */
  readonly linkLost: (peer: NodeId) => void
  /** Nobody listens at this peer's address. */
  readonly peerRefused: (peer: NodeId) => void
  readonly event: (event: HostEvent) => void
  /** Before each frame is read (`FrameSocketOptions`). */
  readonly beforeFrame?: () => void
  readonly turnEnd: TurnEnd
  readonly nowMs: () => number
  /** In [0, 1). */
  readonly chance: () => number
  readonly bounds: HostBounds
}

/** The path at which nodes are accepted. */
export const peerPath = "/peer"

type Message = Packed<LinkMessage>
type PeerSocket = FrameSocket<Message>

/** Whom a link leads to: a process by its id, or whoever listens at an address. */
type Target = { readonly kind: "peer"; readonly id: NodeId } | { readonly kind: "address"; readonly address: Address }

/** One way to one target for one class. */
type Link = {
  readonly target: Target
  readonly linkClass: LinkClass
  state: LinkState
  /** While dialing and open. */
  connection: Connection | undefined
  /** Until a connection stands. */
  waiting: Message[]
  waitingBytes: number
  waitingSinceMs: number
}

/** One WebSocket and who is at its other end. */
type Connection = {
  readonly socket: PeerSocket
  readonly remote: string
  readonly madeAtMs: number
  linkClass: LinkClass | undefined
  /** Undefined until greeted. */
  peer: NodeId | undefined
  proto: number
  /** The link that it serves; undefined: a stranger, or a visitor. */
  link: Link | undefined
  /** What the other end said before it closed. */
  goodbye: Goodbye | undefined
}

export class Links {
  readonly #options: LinksOptions
  readonly #links = new LinkTable()
  /** Accepted, and not greeted yet. */
  readonly #strangers = new Set<Connection>()
  /**
   * Accepted from processes that dialed our address rather than us: joiners, and those who check an address. What is
   * for them and cannot be dialed goes back on the connection that was made last.
   */
  readonly #visitors = new Map<NodeId, Connection[]>()
  readonly #halfFrames: HalfFrames
  #isClosed = false

  constructor(options: LinksOptions) {
    this.#options = options
    this.#halfFrames = new HalfFrames(options.bounds)
  }

  /** To members and to addresses. */
  counts(): { open: number; dialing: number } {
    const links = [...this.#links.all()]
    const of = (kind: LinkState["kind"]) => links.filter(({ state }) => state.kind === kind).length
    return { open: of("open"), dialing: of("dialing") }
  }

  /** Whether some connection to this peer stands. */
  isOpenTo(peer: NodeId): boolean {
    const isOpen = (linkClass: LinkClass) => this.#links.toPeer(peer, linkClass)?.state.kind === "open"
    return isOpen("control") || isOpen("data")
  }

  /** To a member, or to a process that has a connection to us. Lost when there is no way to it. */
  send(to: NodeId, message: PeerMessage | ChannelMessage): void {
    if (this.#isClosed || to === this.#options.identity().id) return
    const linkClass = linkClassOf(message.kind)
    const existing = this.#links.toPeer(to, linkClass)
    if (existing?.state.kind !== "open" && this.#options.addressOf(to) === undefined) {
      const packed = this.#packed(to, message)
      if (packed !== undefined) this.#visitors.get(to)?.at(-1)?.socket.send(packed)
      return
    }
    this.#sendOver(existing ?? this.#addLink({ kind: "peer", id: to }, linkClass), message)
  }

  /** To whoever listens at exactly this address. */
  sendToAddress(address: Address, message: PeerMessage): void {
    if (this.#isClosed) return
    const linkClass = linkClassOf(message.kind)
    const target: Target = { kind: "address", address }
    this.#sendOver(this.#links.get(target, linkClass) ?? this.#addLink(target, linkClass), message)
  }

  /** Takes over a connection that a node made to our port. */
  accept(websocket: WebSocket, tcp: Socket): void {
    const remote = `${tcp.remoteAddress}:${tcp.remotePort}`
    const connection = this.#connection({
      remote,
      link: undefined,
      connect: to => FrameSocket.accepted(websocket, tcp, to),
    })
    this.#strangers.add(connection)
    if (this.#isClosed) connection.socket.close(closeCodes.goingAway, "stopping")
  }

  /**
   * Looks after what is due: redials, deadlines, silence. Returns whether some connection is being made, or waits to be: then
   * it is to be called every few tens of milliseconds.
   */
  tick(): "busy" | "at-rest" {
    const nowMs = this.#options.nowMs()
    let state: "busy" | "at-rest" = this.#strangers.size > 0 ? "busy" : "at-rest"
    for (const link of this.#links.all()) {
      this.#tickLink(link, nowMs)
      if (link.state.kind !== "open") state = "busy"
    }
    for (const connection of this.#strangers) {
      connection.socket.tick()
      if (nowMs - connection.madeAtMs > this.#options.bounds.greetingMs)
        this.#dismiss(connection, { reason: "malformed", detail: "no greeting" })
    }
    for (const visits of this.#visitors.values()) for (const { socket } of visits) socket.tick()
    this.#halfFrames.tick(this.#sockets(), nowMs)
    return state
  }

  *#sockets(): Generator<PeerSocket> {
    for (const { connection } of this.#links.all()) if (connection !== undefined) yield connection.socket
    for (const { socket } of this.#strangers) yield socket
    for (const visits of this.#visitors.values()) for (const { socket } of visits) yield socket
  }

  /** Ends every connection of this class without reading what it still holds. */
  closeUnread(linkClass: LinkClass): void {
    for (const link of this.#links.all()) {
      if (link.linkClass === linkClass) link.connection?.socket.drop("this process was paused")
    }
    for (const visits of this.#visitors.values()) {
      for (const visit of visits) if (visit.linkClass === linkClass) visit.socket.drop("this process was paused")
    }
  }

  /** Ends everything, for good. */
  close(): void {
    this.#isClosed = true
    for (const socket of [...this.#sockets()]) socket.close(closeCodes.goingAway, "stopping")
    for (const link of this.#links.all()) this.#move(link, { kind: "close-requested" })
    this.#links.clear()
  }

  // ------------------------------------------------------------------------------------------------------- sending

  #addLink(target: Target, linkClass: LinkClass): Link {
    const link: Link = {
      target,
      linkClass,
      state: idle,
      connection: undefined,
      waiting: [],
      waitingBytes: 0,
      waitingSinceMs: 0,
    }
    this.#links.add(link)
    return link
  }

  #sendOver(link: Link, message: PeerMessage | ChannelMessage): void {
    const packed = this.#packed(nameOf(link.target), message)
    if (packed === undefined) return
    if (link.state.kind === "open") {
      link.connection?.socket.send(packed)
      return
    }
    if (link.waiting.length === 0) link.waitingSinceMs = this.#options.nowMs()
    link.waiting.push(packed)
    link.waitingBytes += packed.bytes
    if (link.waitingBytes > this.#options.bounds.queueBytes) this.#forget(link)
    else this.#dial(link)
  }

  #packed(to: string, message: PeerMessage | ChannelMessage): Message | undefined {
    const packed = packLinkMessage(message)
    if (packed.bytes <= maxFrameBytes - frameRoomBytes) return packed
    this.#options.event({ kind: "message-too-large", to, message: message.kind, bytes: packed.bytes })
    return undefined
  }

  /** Drops what waits for a connection, and says so when the turn has ended. */
  #forget(link: Link): void {
    if (link.waiting.length === 0) return
    link.waiting = []
    link.waitingBytes = 0
    const { target } = link
    if (target.kind === "peer") this.#options.turnEnd.defer(() => this.#options.linkLost(target.id))
  }

  // ------------------------------------------------------------------------------------------------------- dialing

  #dial(link: Link): void {
    const address = link.target.kind === "address" ? link.target.address : this.#options.addressOf(link.target.id)
    if (address === undefined || !FrameSocket.canDial(address)) {
      this.#forget(link)
      return
    }
    const before = link.state
    this.#move(link, { kind: "dial-requested" })
    if (link.state === before || link.state.kind !== "dialing") return
    const connection: Connection = this.#connection({
      remote: address,
      link,
      connect: to => FrameSocket.dial(address, peerPath, { ...to, opened: () => this.#greet(connection) }),
    })
    link.connection = connection
  }

  /** Dials a peer whose connection broke, also when nothing is to be sent: that nobody listens there is worth knowing. */
  #redial(link: Link): void {
    const { state, target } = link
    if (target.kind === "peer" && state.kind === "waiting" && state.then === "redial") this.#dial(link)
  }

  #greet(connection: Connection): void {
    const { id, clusterId, generation } = this.#options.identity()
    const linkClass = connection.linkClass
    assert(linkClass !== undefined, "who greets knows for which class")
    const hello: Hello = {
      kind: "hello",
      protoMin,
      protoMax,
      id,
      addr: this.#options.address,
      link: linkClass,
      clusterId,
      generation,
      auth: null,
      process: this.#options.process,
    }
    connection.socket.send(packLinkMessage(hello))
  }

  #tickLink(link: Link, nowMs: number): void {
    const { bounds } = this.#options
    link.connection?.socket.tick()
    if (link.waiting.length > 0 && nowMs - link.waitingSinceMs > bounds.queueMs) this.#forget(link)
    const { state, connection } = link
    if (state.kind === "dialing" && nowMs >= state.giveUpAtMs) connection?.socket.drop("no answer to the dial")
    if (state.kind === "waiting") {
      if (link.waiting.length > 0) this.#dial(link)
      else this.#redial(link)
      // Nothing to send, and nothing to remember against the peer.
      if (link.state === state && nowMs - state.redialAtMs > bounds.redialMaxMs) this.#links.delete(link)
    }
    if (state.kind === "idle" && link.waiting.length === 0) this.#links.delete(link)
    if (state.kind === "open" && link.target.kind === "address" && connection !== undefined) {
      if (nowMs - connection.socket.activeAtMs > bounds.idleMs) connection.socket.close(closeCodes.goingAway, "idle")
    }
  }

  // --------------------------------------------------------------------------------------------------- connections

  #connection(options: {
    remote: string
    link: Link | undefined
    connect: (to: FrameSocketOptions<Message>) => PeerSocket
  }): Connection {
    const { beforeFrame, bounds, nowMs, turnEnd } = this.#options
    const connection: Connection = {
      socket: options.connect({
        bounds,
        nowMs,
        turnEnd,
        ...(beforeFrame === undefined ? {} : { beforeFrame }),
        encode: (messages, side) => encodeLinkFrame(this.#headerFor(connection), messages, side),
        frame: frame => this.#frame(connection, frame),
        ended: end => this.#ended(connection, end),
      }),
      remote: options.remote,
      madeAtMs: nowMs(),
      linkClass: options.link?.linkClass,
      peer: undefined,
      proto: protoMax,
      link: options.link,
      goodbye: undefined,
    }
    return connection
  }

  #headerFor({ link, peer, proto }: Connection): FrameHeader {
    const { id, clusterId, generation } = this.#options.identity()
    // To an address: for whoever is there. This is also how the other end tells such a connection from a peer's.
    const to = link === undefined ? peer : link.target.kind === "peer" ? link.target.id : undefined
    return { proto, clusterId, generation, from: id, to: to ?? null }
  }

  #frame(connection: Connection, frame: Uint8Array): void {
    const decoded = decodeLinkFrame(frame)
    if (decoded.kind === "malformed") {
      this.#dismiss(connection, { reason: "malformed", detail: decoded.reason })
      return
    }
    const { header, messages, unsupported } = decoded
    if (unsupported.length > 0) {
      const numbers = [...new Set(unsupported)].slice(0, 16)
      this.#options.event({ kind: "unsupported-messages", peer: header.from, numbers })
    }
    const goodbye = messages.find(message => message.kind === "goodbye")
    if (goodbye !== undefined) this.#saidGoodbye(connection, goodbye)
    else if (connection.peer === undefined) this.#greeted(connection, header, messages)
    else this.#deliver(connection, header, messages)
  }

  #deliver(connection: Connection, header: FrameHeader, messages: readonly LinkMessage[]): void {
    const self = this.#options.identity()
    const { peer } = connection
    const problem = headerProblem(self, header)
    if (problem !== undefined) return this.#dismiss(connection, problem)
    if (peer === undefined || header.from !== peer)
      return this.#dismiss(connection, {
        reason: "malformed",
        detail: "a frame names another sender than the greeting",
      })
    const isOther = isOtherGeneration(self, header)
    for (const message of messages) {
      if (isOther && message.kind !== "hello" && message.kind !== "goodbye" && !crossesGenerations(message.kind))
        continue
      if (connection.socket.isEnded) return
      if (message.kind === "hello" || message.kind === "goodbye")
        return this.#dismiss(connection, { reason: "malformed", detail: "a second greeting" })
      this.#options.receive(peer, message)
    }
  }

  #ended(connection: Connection, end: SocketEnd): void {
    this.#strangers.delete(connection)
    if (connection.link !== undefined) this.#linkEnded(connection.link, connection, end)
    else if (connection.peer !== undefined) this.#visitEnded(connection.peer, connection)
  }

  #linkEnded(link: Link, connection: Connection, end: SocketEnd): void {
    // A newer connection has taken its place, and what was lost has been told then.
    if (link.connection !== connection || this.#isClosed) return
    link.connection = undefined
    const was = link.state.kind
    this.#move(link, { kind: connection.goodbye === undefined ? "dropped" : "turned-away" })
    const { target } = link
    this.#options.event({
      kind: "link-ended",
      peer: nameOf(target),
      link: link.linkClass,
      why: end.kind,
      detail: connection.goodbye?.detail ?? detailOf(end),
    })
    if (was === "dialing") this.#forget(link)
    if (target.kind === "address") return
    if (was === "open") {
      this.#options.linkLost(target.id)
      this.#redial(link)
    }
    if (end.kind === "refused") this.#options.peerRefused(target.id)
  }

  #visitEnded(peer: NodeId, connection: Connection): void {
    const others = this.#visitors.get(peer)?.filter(visit => visit !== connection) ?? []
    if (others.length > 0) this.#visitors.set(peer, others)
    else this.#visitors.delete(peer)
  }

  // ------------------------------------------------------------------------------------------------------ greeting

  #greeted(connection: Connection, header: FrameHeader, messages: readonly LinkMessage[]): void {
    const [hello, ...rest] = messages
    if (hello?.kind !== "hello")
      return this.#dismiss(connection, { reason: "malformed", detail: "the first message must be a greeting" })
    const self = this.#options.identity()
    const problem = headerProblem(self, header) ?? helloProblem(self, header, hello)
    if (problem !== undefined) return this.#dismiss(connection, problem)
    const proto = commonProto(hello)
    if (connection.link !== undefined) this.#answered(connection, connection.link, hello, proto)
    else if (header.to === null) this.#visited(connection, hello, proto)
    else this.#called(connection, hello, proto)
    if (connection.peer !== undefined && rest.length > 0) this.#deliver(connection, header, rest)
  }

  /** The other end of a connection that we dialed has greeted. */
  #answered(connection: Connection, link: Link, hello: Hello, proto: number): void {
    if (link.target.kind === "peer" && link.target.id !== hello.id)
      return this.#dismiss(connection, { reason: "not-for-me", detail: `node ${link.target.id} was dialed` })
    connection.peer = hello.id
    connection.proto = proto
    this.#open(link, connection, "us")
    if (link.target.kind === "peer") this.#options.greeted?.(hello.id, hello.process)
  }

  /** A process dialed this one by its id. */
  #called(connection: Connection, hello: Hello, proto: number): void {
    const { bounds, identity, nowMs } = this.#options
    const target: Target = { kind: "peer", id: hello.id }
    const link = this.#links.get(target, hello.link) ?? this.#addLink(target, hello.link)
    const verdict = contest(link.state, { self: identity().id, peer: hello.id, nowMs: nowMs(), dialMs: bounds.dialMs })
    if (verdict === "refuse")
      return this.#dismiss(connection, { reason: "replaced", detail: "both dialed, and the other connection stands" })
    this.#strangers.delete(connection)
    connection.peer = hello.id
    connection.proto = proto
    connection.linkClass = hello.link
    connection.link = link
    const older = link.connection
    const wasOpen = link.state.kind === "open"
    link.connection = connection
    older?.socket.drop("a newer connection took its place")
    if (wasOpen) this.#options.linkLost(hello.id)
    this.#greet(connection)
    this.#open(link, connection, "them")
    this.#options.greeted?.(hello.id, hello.process)
  }

  /** A process dialed our address. */
  #visited(connection: Connection, hello: Hello, proto: number): void {
    this.#strangers.delete(connection)
    connection.peer = hello.id
    connection.proto = proto
    connection.linkClass = hello.link
    this.#visitors.set(hello.id, [...(this.#visitors.get(hello.id) ?? []), connection])
    this.#greet(connection)
  }

  #open(link: Link, connection: Connection, dialedBy: "us" | "them"): void {
    this.#move(link, { kind: "opened", dialedBy })
    this.#options.event({ kind: "link-opened", peer: nameOf(link.target), link: link.linkClass, dialedBy })
    const { waiting } = link
    link.waiting = []
    link.waitingBytes = 0
    for (const message of waiting) connection.socket.send(message)
  }

  #saidGoodbye(connection: Connection, goodbye: Goodbye): void {
    connection.goodbye = goodbye
    const peer = connection.link === undefined ? connection.remote : nameOf(connection.link.target)
    // The end of a tie, every now and then, and nothing to look into.
    if (goodbye.reason !== "replaced")
      this.#options.event({ kind: "turned-away", peer, reason: goodbye.reason, detail: goodbye.detail })
    connection.socket.drop(goodbye.detail)
  }

  /** Says why, and ends the connection. */
  #dismiss(connection: Connection, { reason, detail }: Refused): void {
    if (connection.socket.isEnded) return
    if (reason !== "replaced") this.#options.event({ kind: "link-refused", remote: connection.remote, reason, detail })
    connection.socket.send(packLinkMessage({ kind: "goodbye", reason, detail: detail.slice(0, goodbyeChars) }))
    connection.socket.close(closeCodes.policy, reason)
  }

  #move(link: Link, event: LinkEvent): void {
    const { bounds, chance, nowMs } = this.#options
    const times: LinkTimes = { nowMs: nowMs(), chance: chance(), ...bounds }
    link.state = nextLinkState(link.state, event, times)
  }
}

/** Kept free in the largest frame: its header, and the estimate's own error. */
const frameRoomBytes = 1_024
/** Of an explanation, in a good-bye. */
const goodbyeChars = 300

/** A table for each kind of target and class: a message is on its way after one look, with no key made of the two. */
class LinkTable {
  readonly #links = {
    peer: { control: new Map<NodeId, Link>(), data: new Map<NodeId, Link>() },
    address: { control: new Map<Address, Link>(), data: new Map<Address, Link>() },
  }

  toPeer(id: NodeId, linkClass: LinkClass): Link | undefined {
    return this.#links.peer[linkClass].get(id)
  }

  get(target: Target, linkClass: LinkClass): Link | undefined {
    return this.#links[target.kind][linkClass].get(nameOf(target))
  }

  add(link: Link): void {
    this.#links[link.target.kind][link.linkClass].set(nameOf(link.target), link)
  }

  delete({ target, linkClass }: Link): void {
    this.#links[target.kind][linkClass].delete(nameOf(target))
  }

  clear(): void {
    for (const { control, data } of Object.values(this.#links)) {
      control.clear()
      data.clear()
    }
  }

  *all(): Generator<Link, void, undefined> {
    const { peer, address } = this.#links
    for (const links of [peer.control, peer.data, address.control, address.data]) yield* links.values()
  }
}

function nameOf(target: Target): NodeId | Address {
  return target.kind === "peer" ? target.id : target.address
}
