/**
 * A cluster that exists only in a test: virtual time, one millisecond each way, nodes that answer as a script says. It
 * keeps no copies and decides no views; it lets a test say what a client meets, and see what the client does.
 */
import { Prng } from "../../base/prng.ts"
import { shardOfKey } from "../../core/ring.ts"
import type {
  Address,
  ClientToNode,
  NodeToClient,
  Operation,
  Reply,
  Request,
  Result,
  StatusReport,
} from "../../protocol/message.ts"
import type { CallOutcome, SessionLimits } from "../session.ts"
import { Session } from "../session.ts"

export type Seen = { atMs: number; to: string; attempt: number; request: Request }

/** What a node does with a request: an answer, nothing, or what a healthy node would. */
export type Script = (seen: Seen) => Reply | "silence" | "as-usual"

export type VirtualNode = {
  readonly name: string
  readonly id: string
  readonly seedAddress: Address
  clientAddr: Address
  /** "hangs": the connection is neither opened nor refused; "silent": opened, and nothing is ever said. */
  listening: "yes" | "no" | "hangs" | "silent"
  phase: "member" | "joining"
  clusterId: string
  /** The view that this node has. */
  epoch: number
  script: Script
  /** What it does with reads of many keys. */
  manyReads: "as-usual" | "silence" | "none at once"
}

type Link = { state: "dialing" | "open"; readonly waiting: ClientToNode[] }

export const tickMs = 10
const hashKey = [1, 2] as const
const shardCount = 8

/** How the session is woken: at a fixed pace, or exactly when it asks to be. */
export type Ticks = "every 10 ms" | "when due"

export class VirtualCluster {
  nowMs = 1_000
  readonly nodes: VirtualNode[] = []
  /** Index of the node that leads each shard. */
  primaries: number[] = Array.from({ length: shardCount }, () => 0)
  epoch = 1
  /** Every request that reached a node, in order. */
  readonly seen: Seen[] = []
  /** Every message that asked for many keys at once. */
  readonly manySeen: { readonly to: string; readonly keys: number }[] = []
  readonly pulls: { atMs: number; to: string; have: number }[] = []
  readonly dials: { atMs: number; to: Address }[] = []
  readonly hungUp: Address[] = []
  /** Executions of each operation of the client: more than one would be a retry applied twice. */
  readonly executed = new Map<number, number>()
  readonly session: Session
  readonly #results = new Map<number, Result>()
  readonly #links = new Map<Address, Link>()
  #events: { atMs: number; order: number; run: () => void }[] = []
  #order = 0
  readonly #ticks: Ticks
  #ticksNow = 0
  #tickedAtMs = 0

  constructor(options: {
    nodes: number
    seeds?: readonly number[]
    seed?: number
    limits?: Partial<SessionLimits>
    ticks?: Ticks
  }) {
    for (let i = 0; i < options.nodes; i++) {
      this.nodes.push({
        name: `n${i}`,
        id: `${i}`.padStart(16, "0"),
        seedAddress: `10.0.0.${i}:1`,
        clientAddr: `10.0.0.${i}:1`,
        listening: "yes",
        phase: "member",
        clusterId: "one",
        epoch: 1,
        script: () => "as-usual",
        manyReads: "as-usual",
      })
    }
    this.primaries = this.primaries.map((_, shard) => shard % options.nodes)
    this.session = new Session({
      clientId: "c".repeat(16),
      seeds: (options.seeds ?? [0]).map(index => this.node(index).seedAddress),
      ports: { send: (to, message) => this.#send(to, message), hangUp: from => this.#hangUp(from) },
      prng: new Prng(options.seed ?? 1),
      now: () => this.nowMs,
      ...(options.limits === undefined ? {} : { limits: options.limits }),
    })
    this.#ticks = options.ticks ?? "every 10 ms"
    this.session.start()
  }

  node(index: number): VirtualNode {
    const node = this.nodes[index]
    if (node === undefined) throw new RangeError(`no node ${index}`)
    return node
  }

  /** A key whose shard is led by this node, now. */
  keyLedBy(index: number, salt = ""): Uint8Array {
    for (let i = 0; i < 10_000; i++) {
      const key = new TextEncoder().encode(`${salt}${i}`)
      if (this.primaries[shardOfKey(key, { hashKey, shardCount })] === index) return key
    }
    throw new RangeError(`node ${index} leads nothing`)
  }

  /** Starts a call and gives a place where its outcomes will appear. */
  call(
    key: Uint8Array,
    operation: Operation,
    timeoutMs = 5_000,
  ): { outcomes: CallOutcome[]; atMs: number[]; cancel: () => void } {
    const outcomes: CallOutcome[] = []
    const atMs: number[] = []
    const done = (outcome: CallOutcome) => {
      outcomes.push(outcome)
      atMs.push(this.nowMs)
    }
    const handle = this.session.call({ key, operation, timeoutMs, done })
    return { outcomes, atMs, cancel: () => this.session.cancel(handle) }
  }

  /** Reads many keys and gives a place where their outcomes will appear. */
  readMany(keys: readonly Uint8Array[], timeoutMs = 5_000): CallOutcome[][] {
    const outcomes = keys.map((): CallOutcome[] => [])
    this.session.readMany({ keys, timeoutMs, done: (outcome, index) => outcomes[index]?.push(outcome) })
    return outcomes
  }

  run(forMs: number): void {
    const untilMs = this.nowMs + forMs
    let paceMs = this.nowMs + tickMs
    for (;;) {
      this.#events.sort((a, b) => a.atMs - b.atMs || a.order - b.order)
      const tickAtMs = this.#ticks === "every 10 ms" ? paceMs : Math.max(this.nowMs, this.session.nextWakeAtMs())
      const atMs = Math.min(this.#events[0]?.atMs ?? Number.POSITIVE_INFINITY, tickAtMs)
      if (atMs > untilMs) break
      // What came while the process stood still is found late, not in the past.
      this.nowMs = Math.max(this.nowMs, atMs)
      if (atMs === tickAtMs) {
        paceMs += tickMs
        this.#tick()
      } else {
        this.#events.shift()?.run()
      }
    }
    this.nowMs = Math.max(this.nowMs, untilMs)
  }

  /** The client's process stands still: what arrives waits for it, in order. */
  pause(forMs: number): void {
    this.nowMs += forMs
  }

  /** Ends the connection to this node, as a crash would. */
  breakLink(index: number): void {
    this.#lose(this.node(index).seedAddress)
  }

  crash(index: number): void {
    this.node(index).listening = "no"
    this.breakLink(index)
  }

  /** A new view with these primaries; the nodes named have it, and push it to the client unless told otherwise. */
  move(primaries: readonly number[], options: { known: readonly number[]; push: "delta" | "whole" | "no" }): void {
    const changes = primaries.flatMap((member, shard) => (this.primaries[shard] === member ? [] : [shard, member]))
    const from = this.epoch++
    this.primaries = [...primaries]
    for (const index of options.known) {
      const node = this.node(index)
      node.epoch = this.epoch
      if (options.push === "delta") this.tell(index, { kind: "client-view-delta", from, epoch: this.epoch, changes })
      if (options.push === "whole") this.tell(index, this.viewOf(node))
    }
  }

  tell(index: number, message: NodeToClient): void {
    for (const [address, link] of this.#links) {
      if (this.#at(address)?.name === this.node(index).name && link.state === "open") this.#deliver(address, message)
    }
  }

  reportOf(index: number): StatusReport {
    return reportOf(this.node(index))
  }

  viewOf(node: VirtualNode): NodeToClient {
    const members = this.nodes
      .filter(one => one.clusterId === node.clusterId)
      .map(({ id, name, seedAddress, clientAddr }) => ({ id, name, addr: seedAddress, clientAddr }))
    const { primaries } = this
    const { id: self, clusterId, epoch } = node
    return { kind: "client-view", self, clusterId, proto: 1, epoch, membersEpoch: 1, hashKey, members, primaries }
  }

  #tick(): void {
    this.#ticksNow = this.nowMs === this.#tickedAtMs ? this.#ticksNow + 1 : 1
    this.#tickedAtMs = this.nowMs
    // A session that wants to be woken again at once, for ever, would keep a core busy.
    if (this.#ticksNow > 20) throw new Error(`woken ${this.#ticksNow} times at ${this.nowMs}`)
    this.session.tick()
  }

  #after(delayMs: number, run: () => void): void {
    this.#events.push({ atMs: this.nowMs + delayMs, order: this.#order++, run })
  }

  #at(address: Address): VirtualNode | undefined {
    return this.nodes.find(node => node.seedAddress === address)
  }

  #send(to: Address, message: ClientToNode): void {
    const link = this.#links.get(to)
    if (link?.state === "open") return this.#arrive(to, link, message)
    if (link !== undefined) return void link.waiting.push(message)
    const dialed: Link = { state: "dialing", waiting: [message] }
    this.#links.set(to, dialed)
    this.dials.push({ atMs: this.nowMs, to })
    this.#after(1, () => this.#dialed(to, dialed))
  }

  #dialed(to: Address, link: Link): void {
    if (this.#links.get(to) !== link) return
    const node = this.#at(to)
    if (node === undefined || node.listening === "no") return this.#lose(to)
    if (node.listening === "hangs") return
    link.state = "open"
    this.session.connectionOpened(to)
    for (const message of link.waiting) this.#arrive(to, link, message)
  }

  #lose(address: Address): void {
    if (!this.#links.delete(address)) return
    this.session.connectionLost(address)
  }

  #hangUp(address: Address): void {
    this.hungUp.push(address)
    this.#links.delete(address)
  }

  #deliver(from: Address, message: NodeToClient): void {
    const link = this.#links.get(from)
    this.#after(1, () => {
      if (this.#links.get(from) === link) this.session.received(from, message)
    })
  }

  #arrive(to: Address, link: Link, message: ClientToNode): void {
    this.#after(1, () => {
      const node = this.#at(to)
      if (this.#links.get(to) !== link || node === undefined || node.listening !== "yes") return
      for (const answer of this.#answers(node, message)) this.#deliver(to, answer)
    })
  }

  #answers(node: VirtualNode, message: ClientToNode): NodeToClient[] {
    switch (message.kind) {
      case "client-pull":
        this.pulls.push({ atMs: this.nowMs, to: node.name, have: message.have })
        if (message.have >= node.epoch) return []
        return node.phase === "member" ? [this.viewOf(node)] : [{ kind: "client-not-ready", addresses: [] }]
      case "client-hello":
        return node.phase === "member" ? [this.viewOf(node)] : [{ kind: "client-not-ready", addresses: [] }]
      case "status-request":
        return [{ kind: "status", n: message.n, report: reportOf(node) }]
      case "admin":
        return []
      case "read-many": {
        const { n, keys } = message
        this.manySeen.push({ to: node.name, keys: keys.length })
        if (node.manyReads === "silence") return []
        const isLed = (key: Uint8Array) =>
          this.nodes[this.primaries[shardOfKey(key, { hashKey, shardCount })] ?? -1] === node
        const results = keys.map(key =>
          node.manyReads === "as-usual" && isLed(key) ? ({ kind: "missing" } as const) : null,
        )
        return [{ kind: "many-read", n, results, epoch: node.epoch }]
      }
      case "request": {
        const { attempt, request } = message
        const seen = { atMs: this.nowMs, to: node.name, attempt, request }
        this.seen.push(seen)
        const scripted = node.script(seen)
        if (scripted === "silence") return []
        const reply = scripted === "as-usual" ? this.#asUsual(node, request) : scripted
        return reply === undefined ? [] : [{ kind: "reply", n: request.n, attempt, reply, epoch: node.epoch }]
      }
    }
  }

  /** What a healthy node does: leads, or forwards to who leads by the view that it has; silent when that one is down. */
  #asUsual(node: VirtualNode, request: Request): Reply | undefined {
    const primary = this.nodes[this.primaries[shardOfKey(request.key, { hashKey, shardCount })] ?? -1]
    if (primary === undefined) return { kind: "unavailable", reason: "orphan" }
    if (node.epoch < this.epoch && primary !== node) return { kind: "retry", afterMs: 0 }
    return primary.listening === "yes" ? this.execute(request) : undefined
  }

  execute(request: Request): Result {
    const known = this.#results.get(request.n)
    if (known !== undefined) return known
    this.executed.set(request.n, (this.executed.get(request.n) ?? 0) + 1)
    const result: Result = request.operation.op === "get" ? { kind: "missing" } : { kind: "stored", version: request.n }
    this.#results.set(request.n, result)
    return result
  }
}

function reportOf(node: VirtualNode): StatusReport {
  const { id, name, seedAddress: addr, clusterId, epoch, phase } = node
  const counts = {
    underReplicated: 0,
    orphans: 0,
    leading: 0,
    serving: 0,
    entries: 0,
    bytes: 0,
    maxBytes: 0,
    transfersOpen: 0,
    crowded: 0,
    forgetting: null,
    disk: null,
    awaited: null,
  }
  const view = {
    clusterId,
    epoch,
    membersEpoch: 1,
    copies: 2,
    proto: 1,
    shardCount,
    lost: [],
    members: [],
    hasLease: true,
  }
  return { id, name, addr, phase, version: "test", ...view, ...counts }
}

export const get: Operation = { op: "get" }
export const incr: Operation = { op: "incr", by: 1, ttlMs: null }
