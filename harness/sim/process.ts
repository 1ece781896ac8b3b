/**
 * One process with a node in it, as an operating system would run it: it is told of ticks and messages one at a time,
 * can be stopped and continued with its input waiting, can be slow, and can die at any point, also in the middle of a
 * step.
 */
import { assert } from "../../src/base/assert.ts"
import type { Prng } from "../../src/base/prng.ts"
import type { Config } from "../../src/config.ts"
import type { CacheNode, NodeOptions } from "../../src/core/node.ts"
import type { OwnOutcome } from "../../src/core/own-calls.ts"
import type { ConnectionId, NodeEvent } from "../../src/core/ports.ts"
import type {
  Address,
  ClientToNode,
  ColdHint,
  MemberInfo,
  NodeId,
  NodeToClient,
  Operation,
  PeerMessage,
  Reply,
  Request,
  Seq,
  SnapshotBlock,
  View,
} from "../../src/protocol/message.ts"
import { ArenaStore, type Shape } from "../../src/store/arena-store.ts"
import type { StoreOptions } from "../../src/store/store.ts"
import { packView, unpackView } from "../../src/core/membership/view.ts"
import type { MachineClock } from "./clock.ts"
import type { Disk } from "./disk.ts"
import { type LinkedProcess, PeerLinks, type PeerNetwork } from "./links.ts"
import { acceptor, type Network } from "./network.ts"
import type { Millis } from "./simulator.ts"
import type { Stream } from "./stream.ts"
import type { Host } from "./weather.ts"
import type { Wire } from "./wire.ts"

/** What is between a client and a node travels one way each. */
export type ClientTraffic = ClientToNode | NodeToClient
/** A client names its machine, a node itself. */
export type ClientGreeting = { readonly node: NodeId | undefined }
export type ClientNetwork = Network<ClientTraffic, ClientGreeting>

/** The part of a node that a simulation uses; a test may put something simpler in its place. */
export type SimulatedNode = Pick<
  CacheNode,
  | "view"
  | "phase"
  | "addressOf"
  | "start"
  | "tick"
  | "tickAtMs"
  | "receive"
  | "clientMessage"
  | "clientGone"
  | "call"
  | "callNow"
  | "refuse"
  | "linkLost"
  | "peerRefused"
  | "peerDied"
  | "clockJumped"
  | "leave"
  | "status"
  | "snapshot"
  | "snapshotWritten"
  | "restore"
  | "restored"
  | "snapshotClaimed"
  | "serves"
  | "inspectShard"
  | "held"
>

export type MakeNode = (options: NodeOptions) => SimulatedNode

export type Resumption = NonNullable<NodeOptions["resume"]>

/** Told of all that a process does, at once. */
export type ProcessObserver = {
  event(process: SimulatedProcess, event: NodeEvent): void
  /** As it goes onto the wire, and as it arrives. */
  sent(message: PeerMessage): void
  received(process: SimulatedProcess, from: NodeId, message: PeerMessage): void
  asked(process: SimulatedProcess, connection: ConnectionId, message: ClientToNode): void
  /** It had no memory for an entry any more. */
  dropped(process: SimulatedProcess, key: string, version: Seq): void
  /** It answers a request, of a client or as another node forwarded it. */
  answers(process: SimulatedProcess, request: Request, reply: Reply): void
  /** The node threw: it lost track of itself. */
  failed(process: SimulatedProcess, error: unknown): void
}

export type ProcessOptions = {
  config: Config
  self: MemberInfo
  seeds: readonly Address[]
  newCluster: NodeOptions["newCluster"]
  hint: ColdHint | null
  /** Undefined: at a planned stop it writes nothing down. */
  disk: Disk | undefined
  /** What it wrote down, and is to begin with; null: nothing. */
  resume: { readonly blocks: readonly SnapshotBlock[]; readonly goesOn: Resumption["goesOn"] } | null
  rules: NodeOptions["rules"]
  makeNode: MakeNode
  clock: MachineClock
  prng: Prng
  peers: PeerNetwork
  clients: ClientNetwork
  observer: ProcessObserver
  wire: Wire
  /** Whether this message gets onto the wire at all: scenarios stage moments with it. */
  passes: (from: SimulatedProcess, to: NodeId | Address, message: PeerMessage) => boolean
}

type State = "running" | "paused" | "dead"

type Input = {
  readonly what: "peer" | "client" | "forward" | "news"
  readonly run: () => void
  /** Instead of `run`, of what clients ask, when it comes too late to be of use. */
  readonly refuse?: () => void
  atMs?: Millis
}

/** How a slow process takes what has arrived: all of it in its order, or, as its host does it, what clients ask after all else. */
export type Taking = "in-order" | "clients-last"

export class SimulatedProcess implements LinkedProcess {
  readonly id: NodeId
  readonly address: Address
  readonly host: Host
  readonly node: SimulatedNode
  readonly clock: MachineClock
  readonly #options: ProcessOptions
  readonly #links: PeerLinks
  readonly #connections = new Map<ConnectionId, Stream<ClientTraffic>>()
  /** What was asked, by whom and under which number, for whoever watches the answers. Never emptied: runs are short. */
  readonly #requests = new Map<string, Request>()
  #connectionsMade = 0
  #state: State = "running"
  #pausedAtMs = 0
  /** What arrived while the process was paused or busy, oldest first. */
  #inbox: Input[] = []
  /** How long each input keeps a slow process busy; 0: none. */
  #slowMs = 0
  #taking: Taking = "in-order"
  #busyUntilMs = 0
  /** The timer that is set for the next tick. */
  #timer: object | undefined
  #sendsLeft = Number.POSITIVE_INFINITY

  constructor(options: ProcessOptions) {
    this.#options = options
    this.id = options.self.id
    this.address = options.self.addr
    this.host = options.peers.weather.hostAt(this.address)
    this.clock = options.clock
    this.node = options.makeNode({
      config: options.config,
      self: options.self,
      version: "simulated",
      seeds: options.seeds,
      newCluster: options.newCluster,
      hint: options.hint,
      resume: options.resume && { view: stoppedView(options.resume.blocks), goesOn: options.resume.goesOn },
      wantedCopies: null,
      prng: options.prng.fork(),
      now: () => this.clock.nowMs(),
      rules: options.rules,
      makeStore: storeOptions => new ArenaStore({ ...this.#watched(storeOptions), shape: shapeOf(storeOptions) }),
      ports: {
        send: (to, message) => this.#send(to, message),
        sendToAddress: (address, message) => {
          if (this.#maySend() && options.passes(this, address, message))
            this.#links.sendToAddress(address, options.wire.toPeer(message, this.id))
        },
        sendToClient: (connection, message) => this.#answer(connection, message),
        tickSooner: () => this.#tickLater(),
        event: event => {
          if (this.#state === "dead") return
          this.#options.observer.event(this, event)
          if (event.kind === "stopped") this.#writeDown()
          if (event.kind === "resume-refused") this.#options.disk?.takeOutOfUse()
        },
        claimSnapshot: () => this.#claim(),
      },
    })
    this.#links = new PeerLinks({ network: options.peers, self: this })
    options.clients.listen(options.self.clientAddr, {
      greeting: { node: this.id },
      canAccept: () => this.canAccept(),
      accept: (_caller, stream) => this.#accept(stream),
    })
  }

  #watched(options: StoreOptions): StoreOptions {
    const { owner } = options
    return {
      ...options,
      owner: {
        isLed: position => owner.isLed(position),
        mayDrop: (key, position) => owner.mayDrop(key, position),
        dropped: (key, position, version, isCopy) => {
          this.#options.observer.dropped(this, String.fromCharCode(...key), version)
          owner.dropped(key, position, version, isCopy)
        },
      },
    }
  }

  get state(): State {
    return this.#state
  }

  get seeds(): readonly Address[] {
    return this.#options.seeds
  }

  /** Whom it can ask: those it was told of at its start, and the members of its view. */
  get knownAddresses(): readonly Address[] {
    return [...this.#options.seeds, ...(this.node.view?.members.map(({ addr }) => addr) ?? [])]
  }

  get isAlive(): boolean {
    return this.#state !== "dead"
  }

  /** Its whole machine stands still, clock included. */
  get isSuspended(): boolean {
    return this.clock.isSuspended
  }

  get inboxLength(): number {
    return this.#inbox.length
  }

  get clientAddress(): Address {
    return this.#options.self.clientAddr
  }

  start(): void {
    this.#guarded(() => this.node.start())
    const { resume } = this.#options
    if (resume !== null) this.#readNext(resume.blocks.values())
  }

  // ---------------------------------------------------------------------------------------------------- its disk

  /** A disk takes its time for each block, and the process does other things meanwhile. */
  #soon(run: () => void): void {
    const { peers, prng } = this.#options
    peers.simulator.after(prng.between(0.05, 3), () => this.#input({ what: "news", run }))
  }

  #writeDown(): void {
    const { disk, self } = this.#options
    const { view } = this.node
    if (disk === undefined || view === undefined) return this.#soon(() => this.node.snapshotWritten())
    const head = { self, listen: self.addr, view: packView(view), entries: 0 }
    const blocks: SnapshotBlock[] = [{ kind: "head", wallMs: this.#wallMs, head }]
    const parts = this.node.snapshot()
    const writeNext = () => {
      const next = parts.next()
      if (!next.done) {
        // Encoded at once, as a real one would be.
        blocks.push({ kind: "part", wallMs: this.#wallMs, part: structuredClone(next.value) })
        return this.#soon(writeNext)
      }
      disk.write(blocks)
      this.node.snapshotWritten()
    }
    this.#soon(writeNext)
  }

  #readNext(blocks: Iterator<SnapshotBlock>): void {
    this.#soon(() => {
      const next = blocks.next()
      if (next.done === true) {
        const problem = this.node.restored()
        assert(problem === undefined, `what was written down is complete: ${problem}`)
        return
      }
      if (next.value.kind === "part") {
        const problem = this.node.restore(next.value.part, Math.max(0, this.#wallMs - next.value.wallMs))
        assert(problem === undefined, `what was written down can be read: ${problem}`)
      }
      this.#readNext(blocks)
    })
  }

  #claim(): void {
    this.#soon(() => {
      this.#options.disk?.takeOutOfUse()
      this.node.snapshotClaimed()
    })
  }

  get #wallMs(): number {
    return this.#options.peers.simulator.nowMs
  }

  canAccept(): boolean {
    return this.#state === "running"
  }

  addressOf(peer: NodeId): Address | undefined {
    return this.node.addressOf(peer)
  }

  receive(from: NodeId, message: PeerMessage): void {
    const run = () => {
      if (message.kind === "forward") this.#requests.set(`${from} ${message.n}`, message.request)
      this.#options.observer.received(this, from, message)
      this.node.receive(from, message)
    }
    if (message.kind !== "forward") return this.#input({ what: "peer", run })
    this.#input({ what: "forward", run, refuse: () => this.node.refuse({ kind: "peer", from, message }) })
  }

  linkLost(peer: NodeId): void {
    this.#input({ what: "news", run: () => this.node.linkLost(peer) })
  }

  peerRefused(peer: NodeId): void {
    this.#input({ what: "news", run: () => this.node.peerRefused(peer) })
  }

  /** As its host would see it on the machine of the dead process, or a person who vouches for the death. */
  peerDied(peer: NodeId): void {
    this.#input({ what: "news", run: () => this.node.peerDied(peer) })
  }

  leave(): void {
    this.#input({ what: "news", run: () => this.node.leave() })
  }

  /** Somebody within the process asks, as its doors do: at once if the node can, else by a call. */
  call(
    asked: { readonly key: Uint8Array; readonly operation: Operation; readonly timeoutMs: Millis },
    done: (outcome: OwnOutcome) => void,
  ): void {
    const { key, operation } = asked
    const run = () => {
      const request: Request = { clientId: this.id, n: 1, ackedBelow: 1, firstEpoch: 0, deadlineMs: 1, key, operation }
      const answer = (outcome: OwnOutcome) => {
        if (outcome.kind !== "failed") this.#options.observer.answers(this, request, outcome)
        done(outcome)
      }
      const result = this.node.callNow(key, operation)
      if (result !== undefined) answer(result)
      else this.node.call(asked, answer)
    }
    this.#input({ what: "news", run })
  }

  /** SIGSTOP: nothing runs; the kernel goes on taking what arrives. The machine's clock runs on. */
  pause(): void {
    if (this.#state !== "running") return
    this.#state = "paused"
    this.#pausedAtMs = this.clock.nowMs()
  }

  /** SIGCONT. */
  resume(): void {
    if (this.#state !== "paused") return
    this.#state = "running"
    if (this.clock.nowMs() - this.#pausedAtMs > staleAfterMs) this.#closeClientsUnread()
    const isTickFirst = this.#options.prng.chance(0.5)
    if (isTickFirst) this.#tick()
    this.#drain()
    if (!isTickFirst) this.#tick()
  }

  /** The whole machine stands still, its clock as well, and the host notices when it wakes. */
  suspend(): void {
    if (this.#state !== "running") return
    this.pause()
    this.clock.suspend()
  }

  wake(): void {
    if (this.#state !== "paused") return
    this.clock.wake()
    this.#state = "running"
    this.#guarded(() => this.node.clockJumped())
    this.#drain()
  }

  /** Each input takes so long to handle from now on; 0: as good as nothing. */
  slowDown(inputMs: number, taking: Taking = "in-order"): void {
    this.#slowMs = inputMs
    this.#taking = taking
    if (inputMs === 0) this.#drain()
  }

  /** kill -9. Where the machine goes too, nobody says so to those who were connected. */
  die(): void {
    this.#end("killed")
  }

  /** It has nothing more to do: what it sent still arrives. */
  exit(): void {
    this.#end("exits")
  }

  #end(how: "killed" | "exits"): void {
    if (this.#state === "dead") return
    this.#state = "dead"
    this.#inbox = []
    this.#links.end(how)
    this.#options.clients.unlisten(this.clientAddress)
    for (const stream of this.#connections.values()) {
      if (how === "exits") stream.close(acceptor)
      else stream.die(acceptor)
    }
    this.#connections.clear()
  }

  /** Dies in the middle of whatever step it is in when it has sent this many more messages. */
  dieAfterSending(count: number): void {
    this.#sendsLeft = count
  }

  #maySend(): boolean {
    if (this.#state === "dead") return false
    if (this.#sendsLeft === 0) {
      this.die()
      return false
    }
    this.#sendsLeft -= 1
    return true
  }

  #send(to: NodeId, message: PeerMessage): void {
    if (!this.#maySend()) return
    if (!this.#options.passes(this, to, message)) return
    if (message.kind === "forward-reply") this.#answers(`${to} ${message.n}`, message.reply)
    const carried = this.#options.wire.toPeer(message, this.id)
    this.#options.observer.sent(carried)
    this.#links.send(to, carried)
  }

  #answer(connection: ConnectionId, message: NodeToClient): void {
    if (!this.#maySend()) return
    if (message.kind === "reply") this.#answers(`${connection} ${message.n}`, message.reply)
    if (message.kind === "many-read")
      for (const [i, result] of message.results.entries())
        if (result !== null) this.#answers(`${connection} many ${message.n} ${i}`, result)
    this.#connections.get(connection)?.send(acceptor, message)
  }

  #answers(question: string, reply: Reply): void {
    const request = this.#requests.get(question)
    if (request !== undefined) this.#options.observer.answers(this, request, reply)
  }

  #accept(stream: Stream<ClientTraffic>): void {
    const connection = ++this.#connectionsMade
    this.#connections.set(connection, stream)
    stream.attach(acceptor, {
      receive: traffic => {
        const message = traffic as ClientToNode // what comes from a client's end
        const run = () => {
          if (!this.#connections.has(connection)) return
          if (message.kind === "request") this.#requests.set(`${connection} ${message.request.n}`, message.request)
          if (message.kind === "read-many")
            for (const [i, key] of message.keys.entries())
              this.#requests.set(`${connection} many ${message.n} ${i}`, { ...aRead, key })
          this.#options.observer.asked(this, connection, message)
          this.node.clientMessage(connection, message)
        }
        if (message.kind !== "request") return this.#input({ what: "client", run })
        this.#input({
          what: "client",
          run,
          refuse: () => this.node.refuse({ kind: "client", from: connection, message }),
        })
      },
      closed: () => this.#input({ what: "news", run: () => this.#clientGone(connection) }),
    })
  }

  #clientGone(connection: ConnectionId): void {
    if (this.#connections.delete(connection)) this.node.clientGone(connection)
  }

  /** What clients sent before a long pause is older than they assume, so it is never read. */
  #closeClientsUnread(): void {
    this.#inbox = this.#inbox.filter(({ what }) => what !== "client" && what !== "forward")
    for (const [connection, stream] of [...this.#connections]) {
      stream.close(acceptor)
      this.#guarded(() => this.#clientGone(connection))
    }
  }

  #input(input: Input): void {
    if (this.#state === "dead") return
    if (this.#state === "running" && this.#slowMs === 0 && this.#inbox.length === 0) this.#guarded(input.run)
    else {
      input.atMs = this.#options.peers.simulator.nowMs
      this.#inbox.push(input)
      if (this.#state === "running" && this.#inbox.length === 1) this.#workLater()
    }
  }

  #drain(): void {
    if (this.#slowMs > 0) {
      if (this.#inbox.length > 0) this.#workLater()
      return
    }
    // Handling one may send to others, never to this inbox at once, so this ends.
    let handled = 0
    while (handled < this.#inbox.length && this.#state === "running") {
      const input = this.#inbox[handled++]
      if (input !== undefined) this.#guarded(input.run)
    }
    this.#inbox = this.#inbox.slice(handled)
  }

  /** A slow process takes its inputs one after another. */
  #workLater(): void {
    const simulator = this.#options.peers.simulator
    const freeMs = Math.max(this.#busyUntilMs, simulator.nowMs)
    this.#busyUntilMs = freeMs + this.#slowMs
    simulator.at(this.#busyUntilMs, () => {
      if (this.#state !== "running") return
      const input = this.#taking === "in-order" ? this.#inbox.shift() : this.#nextBut()
      if (input !== undefined) this.#guarded(input.run)
      if (this.#inbox.length > 0) this.#workLater()
    })
  }

  /** Refuses what clients asked too long ago, which takes no time, and gives out the next of what there is else. */
  #nextBut(): Input | undefined {
    const { nowMs } = this.#options.peers.simulator
    const late = this.#inbox.filter(({ refuse, atMs = nowMs }) => refuse !== undefined && nowMs - atMs > patienceMs)
    this.#inbox = this.#inbox.filter(input => !late.includes(input))
    for (const { refuse } of late) if (refuse !== undefined) this.#guarded(refuse)
    const at = this.#inbox.findIndex(({ what }) => what === "peer" || what === "news")
    return this.#inbox.splice(Math.max(0, at), 1)[0]
  }

  #tick(): void {
    this.#guarded(() => this.node.tick())
    this.#tickLater()
  }

  /** When the node wants it. Timers fire late, never early, and not in step. */
  #tickLater(): void {
    const { prng, peers } = this.#options
    const lateMs = prng.between(0, 2) + this.#slowMs * 5
    const timer = {}
    this.#timer = timer
    const fire = () => {
      // One timer, set anew: that the simulator cannot take back what was arranged is its own affair.
      if (this.#timer !== timer || this.#state === "dead") return
      if (this.#state === "running") this.#tick()
      else peers.simulator.after(this.#options.config.tickMs, fire)
    }
    peers.simulator.after(this.clock.realMsUntil(this.node.tickAtMs) + lateMs, fire)
  }

  #guarded(step: () => void): void {
    if (this.#state === "dead") return
    try {
      step()
    } catch (error) {
      this.#options.observer.failed(this, error)
    }
  }
}

function stoppedView([first]: readonly SnapshotBlock[]): View {
  assert(first?.kind === "head", "what was written down begins with a head")
  const view = unpackView(first.head.view)
  assert(typeof view !== "string", `the view of a stop is sound: ${view}`)
  return view
}

/** As `src/host/bounds.ts` has it. */
const patienceMs = 500

/** A host whose clock leapt further than this closes its clients' connections without reading what they hold. */
const staleAfterMs = 5_000

/** A read of many keys, for checkers: as if each had been asked for alone. */
const aRead: Omit<Request, "key"> = {
  clientId: "0".repeat(16),
  n: 1,
  ackedBelow: 1,
  firstEpoch: 1,
  operation: { op: "get" },
  deadlineMs: 1,
}

/** Thousands of nodes in one process: each maps little before it needs it. Those that forget have room for a few entries alone. */
function shapeOf({ maxBytes }: StoreOptions): Shape {
  return maxBytes < 65_536
    ? { segmentBytes: 128, partitionBits: 1, tableEntries: 64 }
    : { segmentBytes: 65_536, partitionBits: 6, tableEntries: 64 }
}
