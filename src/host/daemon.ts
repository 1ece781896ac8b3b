/**
 * One running node: sockets, files and timers around a `CacheNode`. Starts it where it can listen, turns what happens
 * on the wire and on the clock into calls of the node, and what the node wants into frames. Decides nothing itself.
 *
 * An exception out of the node means that it has lost track of itself: it is stopped at once, connections and all, and
 * its owner is told (`onFatal`); its successors hold copies.
 */
import { randomBytes } from "node:crypto"
import type { Socket } from "node:net"
import { hostname } from "node:os"
import { formatAddress, type HostPort } from "../base/address.ts"
import { assert } from "../base/assert.ts"
import { Prng } from "../base/prng.ts"
import { type Config, configProblem, defaultConfig } from "../config.ts"
import { CacheNode } from "../core/node.ts"
import type { NodeEvent } from "../core/ports.ts"
import { allRules } from "../core/rules.ts"
import { maxNameChars, protoMax, protoMin } from "../protocol/limits.ts"
import type { Address, ColdHint, MemberInfo, NodeId, StatusReport } from "../protocol/message.ts"
import { type HostBounds, hostBounds } from "./bounds.ts"
import { Clients } from "./clients.ts"
import { bootClock, MachineSleepWatch, monotonicMs, PauseWatch } from "./clock.ts"
import { eventLevels, repeatKey } from "./event-levels.ts"
import type { Health } from "./health.ts"
import { defaultHintPath, HintFile } from "./hint-file.ts"
import type { HostEvent } from "./host-event.ts"
import { Links } from "./links.ts"
import { Listener, type ListenerOptions } from "./listener.ts"
import type { Log } from "./log.ts"
import { advertisedHost, foreignSeeds, type ListenChoice, listenCandidates, parsedAddresses } from "./own-address.ts"
import { DeathWatch } from "./process-proof.ts"
import { ProcessTable } from "./process-table.ts"
import type { Metrics } from "./metrics.ts"
import { Repeats } from "./repeats.ts"
import { TurnEnd } from "./turn-end.ts"

export type DaemonOptions = {
  /** Undefined: the default address, or one from which the seeds are reached. */
  readonly listen: HostPort | undefined
  readonly seeds: readonly Address[]
  /** Undefined: where it listens. */
  readonly advertise: Address | undefined
  /** Undefined: what other nodes dial. */
  readonly advertiseClient: Address | undefined
  /** Undefined: the default for a new cluster, whatever it has for a joiner. */
  readonly copies: number | undefined
  /** Of a cluster that it forms. Undefined: the default. */
  readonly shards?: number | undefined
  /** Undefined: host name and port. */
  readonly name: string | undefined
  /** Undefined: the name of the host. */
  readonly zone: string | undefined
  /** A witness votes and holds no data. */
  readonly role: "member" | "witness"
  /** Undefined: the default. */
  readonly orphanResetMs?: number | undefined
  /** "anew": form a cluster although a hint file tells of an earlier one. */
  readonly formation: "careful" | "anew"
  /** Undefined: a path of its own for each listen address; "none": no such file. */
  readonly hintFile: string | undefined
  /** Undefined: the default. */
  readonly eviction?: Config["eviction"] | undefined
  /** Memory for entries. "sharing": the default port was taken, so that other nodes live on this machine. */
  readonly maxBytes: (node: "alone" | "sharing") => number
  readonly version: string
  readonly log: Log
  readonly onEvent: (event: NodeEvent) => void
  readonly onFatal: (error: unknown) => void
  /** Takes over connections that begin like Redis' protocol. Undefined: there is no door for them. */
  readonly acceptResp?: ((tcp: Socket) => void) | undefined
  /** Tests alone depart from the defaults. */
  readonly config?: Partial<Config>
  readonly bounds?: Partial<HostBounds>
}

/** Why there is no daemon, in words for whoever started it. */
export class StartFailure extends Error {
  override name = "StartFailure"
  readonly kind: "cannot-listen" | "bad-config" | "hint-file"

  constructor(kind: StartFailure["kind"], message: string) {
    super(message)
    this.kind = kind
  }
}

/** What came of leaving. "last": nobody was left to hand data to. "timeout": others will see a crash. */
export type LeaveOutcome = "handed-over" | "last" | "timeout"

export type Daemon = {
  readonly id: string
  readonly name: string
  /** Where it listens. */
  readonly listen: HostPort
  readonly listenChoice: ListenChoice
  /** What other nodes, and clients, are told to dial. */
  readonly address: Address
  readonly clientAddress: Address
  /** Whom it asks to be admitted; none: it forms a cluster. */
  readonly seeds: readonly Address[]
  /** Whether the seeds are those of an earlier life. */
  readonly seedsFrom: "options" | "hint-file"
  status(): StatusReport
  /** Asks on behalf of this process (`CacheNode.call`): `done` must not call the daemon. */
  call: CacheNode["call"]
  callNow: CacheNode["callNow"]
  routes(): CacheNode["routes"]
  /** To be called before anything is done with what arrived by a way that is not the daemon's own. */
  beforeInput(): void
  /** Hands its data over and leaves the cluster. The process goes on until `stop`. */
  leave(): Promise<LeaveOutcome>
  /** Ends everything at once: to the others, a crash, unless it has left. */
  stop(): Promise<void>
}

export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const asked = parsedAddresses(options.seeds)
  const bounds: HostBounds = { ...hostBounds, ...options.bounds }
  const port = new Port(options)
  const { listener, listen, choice } = await listenSomewhere(options.listen, asked, port.options(bounds))
  try {
    const address =
      options.advertise ?? formatAddress({ host: await advertisedHost(listen.host, asked), port: listen.port })
    const own = [listen, ...parsedAddresses([address])]
    const config = configFor(options, choice)
    const processes = ProcessTable.ofThisSystem()
    const hintFile = hintFileFor(options, { listen, processes, hints: () => daemon.hints() })
    const { seeds, seedsFrom, hint } = await beginningOf(options, { asked, own, hintFile })
    if (options.role === "witness" && seeds.length === 0)
      throw new StartFailure("bad-config", "a witness holds no data, so it cannot form a cluster: name a node to join")
    const daemon = new RunningDaemon(options, {
      bounds,
      config,
      listener,
      listen,
      listenChoice: choice,
      address,
      seeds,
      seedsFrom,
      hint,
      processes,
      hintFile,
    })
    port.opened(daemon)
    daemon.start()
    return daemon
  } catch (error) {
    await listener.close()
    throw error
  }
}

function configFor(options: DaemonOptions, choice: ListenChoice): Config {
  const config: Config = {
    ...defaultConfig,
    ...(options.copies === undefined ? {} : { copies: options.copies }),
    ...(options.shards === undefined ? {} : { shardCount: options.shards }),
    ...(options.orphanResetMs === undefined ? {} : { orphanResetMs: options.orphanResetMs }),
    ...(options.eviction === undefined ? {} : { eviction: options.eviction }),
    maxBytes: options.maxBytes(choice.kind === "next-port" ? "sharing" : "alone"),
    ...options.config,
  }
  const problem = configProblem(config)
  if (problem !== undefined) throw new StartFailure("bad-config", problem)
  return config
}

function hintFileFor(
  options: DaemonOptions,
  known: { listen: HostPort; processes: ProcessTable; hints: () => ColdHint | undefined },
): HintFile | undefined {
  if (options.hintFile === "none") return undefined
  const path = options.hintFile ?? defaultHintPath(known.listen, process.env)
  const consequence = "restarted, this node will not know its cluster; --hint-file names another place, or none"
  const failed = (detail: string) => options.log.event("warn", "hint-file-not-written", { path, detail, consequence })
  return new HintFile({ ...known, path, failed })
}

/** Whom to ask, and what is known of an earlier life. */
type Beginning = Pick<Daemon, "seeds" | "seedsFrom"> & { readonly hint: ColdHint | null }

async function beginningOf(
  { formation }: DaemonOptions,
  { asked, own, hintFile }: { asked: readonly HostPort[]; own: readonly HostPort[]; hintFile: HintFile | undefined },
): Promise<Beginning> {
  const seeds = (await foreignSeeds(asked, own)).map(formatAddress)
  const read = hintFile?.read() ?? { kind: "none" }
  const path = hintFile?.path ?? ""
  if (read.kind === "in-use")
    throw new StartFailure(
      "hint-file",
      `${path} is in use by process ${read.pid}, another node: name another --hint-file`,
    )
  if (formation === "anew" || read.kind === "none") return { seeds, seedsFrom: "options", hint: null }
  if (read.kind === "hints") {
    const { hints } = read
    if (seeds.length > 0) return { seeds, seedsFrom: "options", hint: hints }
    const hinted = (await foreignSeeds(parsedAddresses(hints.addresses), own)).map(formatAddress)
    return { seeds: hinted, seedsFrom: hinted.length > 0 ? "hint-file" : "options", hint: hints }
  }
  if (seeds.length > 0) return { seeds, seedsFrom: "options", hint: null }
  // It may tell of a cluster that lives: to form a second one is not this node's to decide.
  const ways = "name a node with --join, form a new cluster with --bootstrap, or name another --hint-file"
  const detail = `${path}, which tells of this node's cluster, cannot be read: ${read.detail}; ${ways}`
  throw new StartFailure("hint-file", detail)
}

async function listenSomewhere(
  asked: HostPort | undefined,
  seeds: readonly HostPort[],
  options: ListenerOptions,
): Promise<{ listener: Listener; listen: HostPort; choice: ListenChoice }> {
  const candidates = await listenCandidates(asked, seeds)
  let problem = "no port is free"
  for (const { at, choice } of candidates) {
    try {
      const listener = await Listener.listen(at, options)
      return { listener, listen: { host: at.host, port: listener.port }, choice }
    } catch (error) {
      problem = listenProblem(at, error)
      // Only a port that is taken has a next one to try.
      if (!isCode(error, "EADDRINUSE")) break
    }
  }
  throw new StartFailure("cannot-listen", problem)
}

function listenProblem(at: HostPort, error: unknown): string {
  const where = formatAddress(at)
  if (isCode(error, "EADDRINUSE")) return `${where} is in use by another process`
  if (isCode(error, "EADDRNOTAVAIL")) return `${where} is not an address of this machine`
  if (isCode(error, "EACCES")) return `${where}: listening there is not permitted`
  if (isCode(error, "ENOTFOUND")) return `${at.host} is not a known host`
  return `cannot listen at ${where}: ${error instanceof Error ? error.message : String(error)}`
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code
}

/**
 * The port is open before the node that serves it exists, since what the node says of itself depends on the port. Who
 * knocks in between is asked to come again.
 */
class Port {
  readonly #acceptResp: DaemonOptions["acceptResp"]
  #daemon: RunningDaemon | undefined

  constructor({ acceptResp }: DaemonOptions) {
    this.#acceptResp = acceptResp
  }

  opened(daemon: RunningDaemon): void {
    this.#daemon = daemon
  }

  options(bounds: HostBounds): ListenerOptions {
    return {
      acceptPeer: (websocket, tcp) =>
        this.#daemon ? this.#daemon.links.accept(websocket, tcp) : websocket.terminate(),
      acceptClient: (websocket, tcp) =>
        this.#daemon ? this.#daemon.clients.accept(websocket, tcp) : websocket.terminate(),
      status: () => this.#daemon?.status(),
      health: () => this.#daemon?.health(),
      metrics: () => this.#daemon?.metrics(),
      acceptResp: this.#acceptResp,
      event: event => this.#daemon?.record(event),
      guarded: step => (this.#daemon ? this.#daemon.guarded(step) : step()),
      bounds,
    }
  }
}

type Parts = {
  readonly bounds: HostBounds
  readonly config: Config
  readonly listener: Listener
  readonly listen: HostPort
  readonly listenChoice: ListenChoice
  readonly address: Address
  readonly seeds: readonly Address[]
  readonly seedsFrom: Daemon["seedsFrom"]
  readonly hint: ColdHint | null
  readonly processes: ProcessTable
  readonly hintFile: HintFile | undefined
}

/** Connections are looked at every so many ticks: their deadlines are seconds, and there are scores of them. */
const ticksPerLook = 3
/** How long a witness waits for the others to let it go. */
const witnessLeaveMs = 5_000

class RunningDaemon implements Daemon {
  readonly id = randomBytes(8).toString("hex")
  readonly name: string
  readonly listen: HostPort
  readonly listenChoice: ListenChoice
  readonly address: Address
  readonly clientAddress: Address
  readonly seeds: readonly Address[]
  readonly seedsFrom: Daemon["seedsFrom"]
  readonly links: Links
  readonly clients: Clients

  readonly #options: DaemonOptions
  readonly #config: Config
  readonly #bounds: HostBounds
  readonly #listener: Listener
  #ticks = 0
  readonly #hintFile: HintFile | undefined
  readonly #hint: ColdHint | null
  readonly #node: CacheNode
  readonly #deaths: DeathWatch
  readonly #turnEnd = new TurnEnd(step => this.guarded(step))
  readonly #sleep = new MachineSleepWatch({ bootMs: bootClock(), wallMs: Date.now, nowMs: monotonicMs })
  readonly #pause: PauseWatch
  readonly #startedAtMs = monotonicMs()
  readonly #repeats = new Repeats({ quietMs: 60_000, maxKeys: 1_000 })
  readonly #eventCounts = new Map<string, number>()
  #metrics: Metrics | undefined
  /** Of the membership that lasts: see `Health`. */
  #hasSettled = false
  #ticking: NodeJS.Timeout | undefined
  #working: NodeJS.Immediate | undefined
  #stopped: Promise<void> | undefined
  #leaving: Promise<LeaveOutcome> | undefined
  #left: (outcome: LeaveOutcome) => void = () => {}

  constructor(options: DaemonOptions, parts: Parts) {
    this.#options = options
    this.#config = parts.config
    this.#bounds = parts.bounds
    this.#listener = parts.listener
    this.#hintFile = parts.hintFile
    this.#hint = parts.hint
    this.listen = parts.listen
    this.listenChoice = parts.listenChoice
    this.address = parts.address
    this.clientAddress = options.advertiseClient ?? parts.address
    this.seeds = parts.seeds
    this.seedsFrom = parts.seedsFrom
    this.name = options.name ?? `${hostname()}:${parts.listen.port}`.slice(0, maxNameChars)
    this.#pause = new PauseWatch({ limitMs: parts.bounds.silenceMs, nowMs: monotonicMs() })

    const { bounds } = parts
    const event = (event: HostEvent) => this.record(event)
    const beforeFrame = () => this.#lookAtClocks()
    const turnEnd = this.#turnEnd
    const { processes } = parts
    this.#deaths = new DeathWatch({
      processes,
      isMember: peer => this.#node.addressOf(peer) !== undefined,
      died: peer => this.#node.peerDied(peer),
      nowMs: monotonicMs,
    })
    this.links = new Links({
      identity: () => ({ id: this.id, clusterId: this.#node.clusterId, generation: this.#node.generation }),
      address: this.address,
      process: processes.self,
      addressOf: id => this.#node.addressOf(id),
      receive: (from, message) => this.#node.receive(from, message),
      greeted: (peer, process) => this.#deaths.greeted(peer, process),
      linkLost: peer => {
        this.#node.linkLost(peer)
        this.#deaths.lost(peer)
      },
      peerRefused: peer => this.#node.peerRefused(peer),
      event,
      beforeFrame,
      turnEnd,
      nowMs: monotonicMs,
      chance: Math.random,
      bounds,
    })
    this.clients = new Clients({
      message: (connection, message) => this.#node.clientMessage(connection, message),
      gone: connection => this.#node.clientGone(connection),
      event,
      beforeFrame,
      turnEnd,
      nowMs: monotonicMs,
      bounds,
    })
    this.#node = this.#makeNode()
  }

  start(): void {
    if (!this.#sleep.isAvailable)
      this.#options.log.event("info", "no-boot-clock", { consequence: "sleep goes unnoticed" })
    this.guarded(() => this.#node.start())
    this.#tickLater()
  }

  status(): StatusReport {
    return this.#node.status()
  }

  health(): Health {
    const { hasLease, phase, view } = this.#node
    if (phase !== "member") this.#hasSettled = false
    else this.#hasSettled ||= this.#node.isComplete
    return { hasLease, phase, epoch: view?.epoch ?? 0, hasSettled: this.#hasSettled }
  }

  async metrics(): Promise<{ readonly text: string; readonly contentType: string }> {
    if (this.#metrics === undefined) {
      // A node that nobody watches need not load it.
      const { Metrics } = await import("./metrics.ts")
      this.#metrics ??= new Metrics({
        status: () => this.status(),
        operations: () => this.#node.operationCounts,
        events: () => this.#eventCounts,
        promotions: () => this.#node.promotions,
        data: () => this.#node.dataCounts,
        clients: () => this.#node.clientCount,
        links: () => this.links.counts(),
      })
    }
    const { contentType } = this.#metrics
    return { text: await this.#metrics.text(), contentType }
  }

  /** What the hint file says; undefined: nothing yet. */
  hints(): ColdHint | undefined {
    const view = this.#node.view
    if (view === undefined) return undefined
    const { clusterId, copies, generation, members, membersEpoch } = view
    return { clusterId, generation, epoch: membersEpoch, copies, addresses: members.map(({ addr }) => addr) }
  }

  readonly call: CacheNode["call"] = (asked, done) => {
    if (this.#stopped !== undefined) return done({ kind: "failed", code: "closed", mayHaveHappened: "no" })
    this.guarded(() => this.#node.call(asked, done))
  }

  /** As `guarded`, without a function for each of very many calls. */
  readonly callNow: CacheNode["callNow"] = (key, operation) => {
    if (this.#stopped !== undefined) return undefined
    try {
      return this.#node.callNow(key, operation)
    } catch (error) {
      this.#failed(error)
      return undefined
    }
  }

  routes(): CacheNode["routes"] {
    return this.#node.routes
  }

  beforeInput(): void {
    this.#lookAtClocks()
  }

  leave(): Promise<LeaveOutcome> {
    this.#leaving ??= new Promise(resolve => {
      // A witness has nothing to hand over, and may be left with nobody to agree with.
      const { leaveTimeoutMs } = this.#config
      const withinMs = this.#options.role === "witness" ? Math.min(witnessLeaveMs, leaveTimeoutMs) : leaveTimeoutMs
      const timer = setTimeout(() => this.#left("timeout"), withinMs)
      this.#left = outcome => {
        clearTimeout(timer)
        if (outcome === "last") this.#hintFile?.remove()
        resolve(outcome)
      }
      this.guarded(() => this.#node.leave())
    })
    return this.#leaving
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  /** Runs a step of the node. Nothing runs after one that failed. */
  guarded(step: () => void): void {
    if (this.#stopped !== undefined) return
    try {
      step()
    } catch (error) {
      this.#failed(error)
    }
  }

  #failed(error: unknown): void {
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error)
    this.#options.log.event("error", "fatal", { detail })
    void this.stop()
    this.#options.onFatal(error)
  }

  async #stop(): Promise<void> {
    clearTimeout(this.#ticking)
    this.#left("timeout")
    this.#node.endCalls()
    this.#hintFile?.close()
    // The port first: whoever dials again at once then learns that nobody is here.
    const closed = this.#listener.close()
    this.links.close()
    this.clients.close()
    await closed
  }

  #makeNode(): CacheNode {
    const { copies, role, version } = this.#options
    const zone = this.#options.zone ?? hostname().slice(0, maxNameChars)
    const { address: addr, clientAddress: clientAddr, id, name } = this
    const self: MemberInfo = { id, name, addr, clientAddr, zone, witness: role === "witness", protoMin, protoMax }
    return new CacheNode({
      config: this.#config,
      self,
      version,
      seeds: this.seeds,
      newCluster: { clusterId: randomBytes(8).toString("hex"), hashKey: [randomWord(), randomWord()] },
      wantedCopies: copies ?? null,
      hint: this.#hint,
      ports: {
        send: (to, message) => this.links.send(to, message),
        sendToAddress: (address, message) => this.links.sendToAddress(address, message),
        sendToClient: (connection, message) => this.clients.send(connection, message),
        event: event => this.#nodeEvent(event),
        claimSnapshot: () => assert(false, "no node is started with a snapshot yet"),
      },
      prng: new Prng(randomWord()),
      now: monotonicMs,
      rules: allRules,
    })
  }

  #nodeEvent(event: NodeEvent): void {
    this.record(event)
    if (event.kind === "view-installed") this.#hintFile?.changed()
    // Outside of the node's step: what its owner does about it may call the node.
    this.#turnEnd.defer(() => {
      if (event.kind === "left") this.#left(event.last ? "last" : "handed-over")
      this.#options.onEvent(event)
    })
  }

  record(event: NodeEvent | HostEvent): void {
    this.#eventCounts.set(event.kind, (this.#eventCounts.get(event.kind) ?? 0) + 1)
    const key = repeatKey(event)
    const unsaid = key === undefined ? 0 : this.#repeats.met(key, monotonicMs())
    if (unsaid === "quiet") return
    const fields = unsaid === 0 ? withoutKind(event) : { ...withoutKind(event), unsaid }
    this.#options.log.event(eventLevels[event.kind], event.kind, fields)
  }

  /** Ticks keep their distance from the start, not from one another; those that were missed are not made up for. */
  #tickLater(): void {
    const { tickMs } = this.#config
    const sinceStartMs = monotonicMs() - this.#startedAtMs
    this.#ticking = setTimeout(() => this.#tick(), tickMs - (sinceStartMs % tickMs))
  }

  #tick(): void {
    this.#lookAtClocks()
    this.guarded(() => {
      this.#node.tick()
      this.#ticks += 1
      if (this.#ticks % ticksPerLook !== 0) return
      this.links.tick()
      this.clients.tick()
      this.#deaths.tick()
    })
    if (this.#stopped === undefined) this.#tickLater()
    this.#workLater()
  }

  /** In slices, each after what has arrived since the one before. */
  #workLater(): void {
    if (this.#working !== undefined || this.#stopped !== undefined || !this.#node.hasWork) return
    this.#working = setImmediate(() => {
      this.#working = undefined
      this.#lookAtClocks()
      this.guarded(() => this.#node.work())
      this.#workLater()
    })
  }

  /** Before anything is done with what arrived: is it as recent as it looks, and is the lease what it seems? */
  #lookAtClocks(): void {
    this.guarded(() => {
      const sleptMs = this.#sleep.sleptMs()
      if (sleptMs > 0) this.#node.clockJumped()
      const awayMs = this.#pause.pausedMs(monotonicMs()) + sleptMs
      if (awayMs > 0) this.record({ kind: "paused", pausedForMs: Math.round(awayMs) })
      if (awayMs <= this.#bounds.silenceMs) return
      this.clients.closeUnread()
      this.links.closeUnread("data")
    })
  }
}

function randomWord(): number {
  return randomBytes(4).readUInt32BE()
}

function withoutKind(event: NodeEvent | HostEvent): object {
  const { kind, ...fields } = event
  assert(kind in eventLevels, "every event has a level")
  return fields
}
