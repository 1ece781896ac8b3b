/**
 * A cache node: a function from what happened to what to do. It is told the time and what arrived, and answers through
 * its ports at once; it never opens a socket, reads a clock by itself or waits. This file hands each event to the part
 * that owns it: membership, shards, requests ("Parts" in `README.md`).
 */
import { unreachable } from "../base/assert.ts"
import type { Prng } from "../base/prng.ts"
import type { Config } from "../config.ts"
import type {
  Address,
  ClientToNode,
  ColdHint,
  DiskReport,
  MemberInfo,
  NodeId,
  Operation,
  PeerMessage,
  Result,
  ShardId,
  SnapshotPart,
  StatusReport,
  View,
} from "../protocol/message.ts"
import { ArenaStore } from "../store/arena-store.ts"
import type { Store, StoreOptions } from "../store/store.ts"
import { apply, underReplicated } from "./layout.ts"
import { Membership, type Phase, type ViewChange } from "./membership/membership.ts"
import { type ClientView, clientView, crowded, isMember, memberOf, orphans, shardCounts } from "./membership/view.ts"
import type { OperationCounts } from "./operation-counts.ts"
import type { OwnOutcome } from "./own-calls.ts"
import type { ConnectionId, NodePorts } from "./ports.ts"
import { type Asked, Requests } from "./requests.ts"
import { Placement } from "./ring.ts"
import type { Rules } from "./rules.ts"
import type { Held, ShardInspection } from "./shard/inspection.ts"
import { Shards } from "./shard/shards.ts"

export type NodeOptions = {
  readonly config: Config
  readonly self: MemberInfo
  /** Build version, for status reports. */
  readonly version: string
  /** Addresses of other nodes; none but its own: form a cluster with `newCluster`. */
  readonly seeds: readonly Address[]
  readonly newCluster: { readonly clusterId: string; readonly hashKey: readonly [number, number] }
  /** A joiner that asks for another number of copies is refused; null: whatever the cluster has. */
  readonly wantedCopies: number | null
  /** What is known of a cluster of before: then a new one is formed only when all of its members are back. */
  readonly hint?: ColdHint | null
  /** What it wrote down at a planned stop and begins with: `restore` and `restored` are to follow `start`. */
  readonly resume?: { readonly view: View; readonly goesOn: "when-all-are-back" | "with-those-here" } | null
  /** What becomes of its data at a planned stop, for status reports. */
  readonly disk?: () => DiskReport
  readonly ports: NodePorts
  readonly prng: Prng
  /** Monotonic milliseconds of this machine. */
  readonly now: () => number
  readonly rules: Rules
  /** Undefined: the store that nodes have. */
  readonly makeStore?: (options: StoreOptions) => Store
  /**
   * What of the pure functions of views may be shared with other nodes of this process, for a simulator of hundreds of them:
   * the same arguments have the same result. Undefined: this node has its own.
   */
  readonly shared?: SharedLayout
}

export type SharedLayout = { readonly placement: Placement; readonly apply: typeof apply }

export class CacheNode {
  readonly id: NodeId
  readonly #options: NodeOptions
  readonly #placement: Placement
  readonly #membership: Membership
  readonly #shards: Shards
  readonly #requests: Requests
  #wasComplete = true
  /** Of the view that they were last asked for under. */
  #routes: { readonly of: View; readonly routes: ClientView } | undefined
  #promotions = 0
  /** A stop was decided, and nothing changes here any more. */
  #isSettled = false
  /** Before it is started, nothing is due. */
  #tickAtMs = Number.POSITIVE_INFINITY

  constructor(options: NodeOptions) {
    const { self, ports, prng, rules } = options
    const config = rules.bounds ? options.config : withoutBounds(options.config)
    this.#options = options
    this.#placement = options.shared?.placement ?? new Placement()
    this.id = self.id
    this.#membership = new Membership({
      config,
      self,
      seeds: options.seeds,
      newCluster: options.newCluster,
      wantedCopies: options.wantedCopies,
      hint: options.hint ?? null,
      resume: options.resume ?? null,
      rules,
      prng: prng.fork(),
      ports,
      placement: this.#placement,
      apply: options.shared?.apply ?? apply,
      viewInstalled: (change, nowMs) => this.#viewInstalled(change, nowMs),
      fencesCleared: shards => this.#shards.wake(shards, options.now()),
      tickAtMs: () => this.#tickAtMs,
      leaseGained: () => this.#shards.wake("all", options.now()),
    })
    this.#shards = new Shards({
      self: self.id,
      config,
      rules,
      makeStore: options.makeStore ?? (storeOptions => new ArenaStore(storeOptions)),
      send: (to, message) => ports.send(to, message),
      hasLease: nowMs => this.#membership.hasLease(nowMs),
      isFenced: (shard, nowMs) => this.#membership.isFenced(shard, nowMs),
      unfence: shard => this.#membership.unfence(shard),
      pull: (from, nowMs) => this.#membership.pull(from, nowMs),
      propose: (commands, nowMs) => this.#membership.propose(commands, nowMs),
      linkDown: (peer, nowMs) => this.#membership.reportLink(peer, nowMs),
      answer: (pending, reply) => this.#requests.answer(pending, reply),
      rerun: (pending, nowMs) => this.#requests.run(pending, nowMs),
    })
    this.#requests = new Requests({
      self: self.id,
      now: options.now,
      prng: prng.fork(),
      rules,
      maxForwards: config.maxParked,
      maxOwnCalls: config.maxOwnCalls,
      shards: () => this.#shards,
      view: () => this.#membership.view,
      phase: () => this.#membership.phase,
      isForked: () => this.#membership.isForked,
      hasLease: nowMs => this.#membership.hasLease(nowMs),
      parkWithoutLeaseMs: config.parkWithoutLeaseMs,
      otherAddresses: () => this.#otherAddresses(),
      status: () => this.status(),
      obey: (command, nowMs) => this.#membership.obey(command, nowMs),
      pull: (from, nowMs) => this.#membership.pull(from, nowMs),
      send: (to, message) => ports.send(to, message),
      sendToClient: (connection, message) => ports.sendToClient(connection, message),
    })
  }

  /** The newest view that this node has installed. */
  get view(): View | undefined {
    return this.#membership.view
  }

  /** Empty until known. */
  get clusterId(): string {
    return this.view?.clusterId ?? ""
  }

  get generation(): number {
    return this.view?.generation ?? 0
  }

  /** Who leads what, as clients are told; undefined: nothing is known yet. */
  get routes(): Pick<ClientView, "epoch" | "hashKey" | "primaries"> | undefined {
    const { view } = this
    if (view === undefined) return undefined
    if (this.#routes?.of !== view) this.#routes = { of: view, routes: clientView(view, this.id) }
    return this.#routes.routes
  }

  get phase(): Phase {
    return this.#membership.phase
  }

  get hasLease(): boolean {
    return this.#membership.hasLease(this.#options.now())
  }

  /** Of what clients asked of this node, since it started. */
  get operationCounts(): OperationCounts {
    return this.#requests.counts
  }

  /** What this node did with entries by itself, since it started. */
  get dataCounts(): Shards["counts"] {
    return this.#shards.counts
  }

  /** How often this node took a shard over from a primary that is gone, since it started. */
  get promotions(): number {
    return this.#promotions
  }

  get clientCount(): number {
    return this.#requests.clientCount
  }

  /** Whether every shard has its copies and none is being filled here. Looks at all shards. */
  get isComplete(): boolean {
    const { view, id } = this
    if (view === undefined) return false
    return (
      underReplicated(view, this.#placement) === 0 &&
      !view.shards.some(({ learners }) => learners.some(l => l.id === id))
    )
  }

  /** Where to dial a member; undefined: not known. */
  addressOf(id: NodeId): Address | undefined {
    return this.view === undefined ? undefined : memberOf(this.view, id)?.addr
  }

  /** Forms a cluster, or begins to join one. Call once, when the ports are ready. */
  start(): void {
    const { resume } = this.#options
    if (resume != null) this.#shards.beginResuming(resume.view)
    this.#membership.start(this.#roused())
  }

  /**
   * When `tick` is to be called next: `config.tickMs` after the last one while anything is under way, later when all that this
   * node waits for is a known moment. Sooner again as soon as it is told of something (`NodePorts.tickSooner`).
   */
  get tickAtMs(): number {
    return this.#tickAtMs
  }

  tick(): void {
    const nowMs = this.#options.now()
    this.#membership.tick(nowMs)
    this.#shards.tick(nowMs)
    this.#requests.tick(nowMs)
    const isAtRest = this.#shards.isAtRest && this.#requests.isAtRest
    const restsUntilMs = isAtRest ? this.#membership.restsUntilMs(nowMs) : nowMs
    this.#tickAtMs = restsUntilMs > nowMs ? restsUntilMs : nowMs + this.#options.config.tickMs
    if (this.phase !== "stopped" || this.#isSettled || !this.#shards.hasSettled(nowMs)) return
    this.#isSettled = true
    this.#options.ports.event({ kind: "stopped", epoch: this.view?.epoch ?? 0 })
  }

  /** Whether there is more to do of what is in no hurry than ticks do: then `work` is to be called between other things. */
  get hasWork(): boolean {
    return this.#shards.hasWork
  }

  /** A slice of that: a few milliseconds at most. */
  work(): void {
    this.#shards.work(this.#roused())
  }

  receive(from: NodeId, message: PeerMessage): void {
    // Read for each message, after it was taken from its queue: what was checked earlier may have ended meanwhile.
    // Beats are all that a cluster at rest exchanges, and leave nothing to be done later.
    const isBeat = message.kind === "beat" || message.kind === "beat-ack"
    const nowMs = isBeat ? this.#options.now() : this.#roused()
    switch (message.kind) {
      case "repl":
      case "repl-ack":
      case "stale":
      case "sync":
      case "sync-ack":
      case "transfer-begin":
      case "transfer-chunk":
      case "transfer-ack":
        return this.#shards.receive(from, message, nowMs)
      case "forget":
        return this.#shards.forget(from, message)
      case "forward":
        return this.#requests.forwarded(from, message, nowMs)
      case "forward-reply":
        return this.#requests.forwardReplied(from, message, nowMs)
      case "beat":
      case "beat-ack":
      case "released":
      case "yield":
      case "suspect":
      case "unsuspect":
      case "link-down":
      case "join-request":
      case "try-also":
      case "join-refused":
      case "waiting":
      case "resuming":
      case "claim":
      case "dial-back":
      case "dial-back-ok":
      case "propose":
      case "prepare":
      case "promise":
      case "accept":
      case "accepted":
      case "nack":
      case "view-pull":
      case "view-delta":
      case "view-snapshot":
        return this.#membership.receive(from, message, nowMs)
      default:
        return unreachable(message)
    }
  }

  /** Instead of `receive` and `clientMessage`, when more is asked than can be done. */
  refuse(asked: Asked): void {
    this.#requests.refuse(asked)
  }

  clientMessage(connection: ConnectionId, message: ClientToNode): void {
    this.#requests.clientMessage(connection, message, this.#roused())
  }

  /**
   * Asks something of the cluster on behalf of this process. `done` is called once, maybe before this returns, always in
   * the middle of a step: it must not call the node. The bytes must not change before.
   */
  call(
    asked: { readonly key: Uint8Array; readonly operation: Operation; readonly timeoutMs: number },
    done: (outcome: OwnOutcome) => void,
  ): void {
    this.#requests.own.call(asked, done, this.#roused())
  }

  /** The same where the answer can be had in this very step; undefined: it cannot, and nothing has happened. */
  callNow(key: Uint8Array, operation: Operation): Result | undefined {
    return this.#requests.runNow(key, operation, this.#roused())
  }

  /** Ends what this process has asked. */
  endCalls(): void {
    this.#requests.own.close()
  }

  clientGone(connection: ConnectionId): void {
    this.#requests.clientGone(connection)
  }

  /** A connection to this peer broke: what was under way on it is lost. */
  linkLost(peer: NodeId): void {
    this.#roused()
    this.#requests.linkLost(peer)
    this.#shards.linkLost(peer)
  }

  /** A connection to this peer broke and redialing was refused: nobody listens there. */
  peerRefused(peer: NodeId): void {
    this.#membership.peerRefused(peer, this.#roused())
  }

  /** The process of this peer is gone for good: proved by whoever could see it. */
  peerDied(peer: NodeId): void {
    this.#membership.peerDied(peer, this.#roused())
  }

  /** The machine slept: its monotonic clock stood still while others' ran. All grants count as lost. */
  clockJumped(): void {
    this.#roused()
    this.#membership.clockJumped()
  }

  /** Hands its data over and leaves; events `leave-progress` and `left` follow. */
  leave(): void {
    this.#membership.leave(this.#roused())
  }

  /** After `stopped`: what this node holds, piece by piece; `snapshotWritten` is to follow. */
  snapshot(): Generator<SnapshotPart, void, undefined> {
    return this.#shards.snapshot(this.#options.now)
  }

  /** What it holds is written down, or is not to be; the event `may-end` follows when the others know of the stop. */
  snapshotWritten(): void {
    this.#membership.snapshotWritten(this.#roused())
  }

  /** The next piece of what this node wrote down, `agoMs` ago. Returns what is wrong with it, in words. */
  restore(part: SnapshotPart, agoMs: number): string | undefined {
    return this.#shards.restore(part, agoMs, this.#roused())
  }

  /** That was the last piece. Returns what is missing, in words; without that it asks for the others from now on. */
  restored(): string | undefined {
    const problem = this.#shards.restored()
    if (problem === undefined) this.#membership.loaded(this.#roused())
    return problem
  }

  /** What the port `claimSnapshot` was asked for is done. */
  snapshotClaimed(): void {
    this.#membership.snapshotClaimed(this.#roused())
  }

  /** Whether an operation on this shard would be answered now. For checkers. */
  serves(shard: ShardId): boolean {
    return this.#shards.serves(shard, this.#options.now())
  }

  /** How much it keeps of what is bounded. For checkers. */
  get held(): Held & { readonly forwards: number } {
    return { ...this.#shards.held, forwards: this.#requests.forwardCount }
  }

  /** What this node holds of a shard; undefined: it never held any. For checkers. */
  inspectShard(shard: ShardId): ShardInspection | undefined {
    return this.#shards.inspect(shard)
  }

  status(): StatusReport {
    const { config, self, version } = this.#options
    const { view, phase } = this
    const { store } = this.#shards
    const nowMs = this.#options.now()
    const counts = view === undefined ? new Map() : shardCounts(view)
    let leading = 0
    let serving = 0
    for (const [shard, { primary }] of view?.shards.entries() ?? []) {
      if (primary !== this.id) continue
      leading += 1
      if (this.#shards.serves(shard, nowMs)) serving += 1
    }
    return {
      id: this.id,
      name: self.name,
      addr: self.addr,
      phase,
      version,
      clusterId: this.clusterId,
      epoch: view?.epoch ?? 0,
      membersEpoch: view?.membersEpoch ?? 0,
      copies: view?.copies ?? config.copies,
      proto: view?.proto ?? 0,
      shardCount: view?.shards.length ?? 0,
      underReplicated: view === undefined ? 0 : underReplicated(view, this.#placement),
      orphans: view === undefined ? 0 : orphans(view).length,
      lost: (view?.shards ?? []).flatMap(({ resetAt }, shard) => (resetAt > 0 ? [shard] : [])),
      members: (view?.members ?? []).map(member => ({
        ...member,
        primaries: counts.get(member.id)?.primaries ?? 0,
        replicas: counts.get(member.id)?.replicas ?? 0,
      })),
      hasLease: this.hasLease,
      leading,
      serving,
      entries: store?.entries ?? 0,
      bytes: store?.bytes ?? 0,
      maxBytes: config.maxBytes,
      transfersOpen: this.#shards.transfersOpen,
      crowded: view === undefined ? 0 : crowded(view),
      forgetting: { eviction: config.eviction, ...(store?.counts ?? { evicted: 0, evictedCopies: 0 }) },
      disk: this.#options.disk?.() ?? { kind: "none" },
      awaited: this.#membership.awaited(nowMs),
    }
  }

  /** The time, for a step that may leave something to be done later: what there is to do by then, the next tick finds. */
  #roused(): number {
    const { config, now, ports } = this.#options
    const nowMs = now()
    const soonMs = nowMs + config.tickMs
    if (this.#tickAtMs > soonMs) {
      this.#tickAtMs = soonMs
      ports.tickSooner()
    }
    return nowMs
  }

  #viewInstalled(change: ViewChange, nowMs: number): void {
    this.#shards.viewInstalled(change, nowMs)
    this.#requests.viewInstalled(change, nowMs)
    const { before, after, changed } = change
    const orphaned = changed.filter(
      shard => after.shards[shard]?.orphan === true && before?.shards[shard]?.orphan !== true,
    )
    if (orphaned.length > 0 && before !== undefined)
      this.#options.ports.event({ kind: "shard-orphaned", shards: orphaned })
    const lost = changed.filter(shard => (after.shards[shard]?.resetAt ?? 0) > (before?.epoch ?? after.epoch))
    if (lost.length > 0) this.#options.ports.event({ kind: "data-loss", shards: lost, epoch: after.epoch })
    if (before !== undefined)
      this.#promotions += changed.filter(shard => {
        const earlier = before.shards[shard]?.primary ?? null
        const isOurs = after.shards[shard]?.primary === this.id
        return isOurs && earlier !== null && earlier !== this.id && !isMember(after, earlier)
      }).length
    const isComplete = underReplicated(after, this.#placement) === 0
    if (isComplete && !this.#wasComplete) this.#options.ports.event({ kind: "copies-complete", epoch: after.epoch })
    this.#wasComplete = isComplete
  }

  #otherAddresses(): Address[] {
    const known = this.view?.members.map(({ clientAddr }) => clientAddr) ?? this.#membership.seeds
    return known.filter(address => address !== this.#options.self.clientAddr).slice(0, 16)
  }
}

/** For a test alone, which is to see that somebody notices. */
function withoutBounds(config: Config): Config {
  const all = Number.POSITIVE_INFINITY
  return {
    ...config,
    ...{ maxParked: all, maxUncommitted: all, maxUncommittedBytes: all, maxPendingPerKey: all, maxDedupClients: all },
    ...{ transferBytesPerPeer: all, chunkWindow: all },
  }
}
