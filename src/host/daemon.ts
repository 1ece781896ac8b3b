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
import { defaultPort, formatAddress, type HostPort } from "../base/address.ts"
import { assert } from "../base/assert.ts"
import { Prng } from "../base/prng.ts"
import { type Config, configProblem, defaultConfig } from "../config.ts"
import { CacheNode } from "../core/node.ts"
import { packView } from "../core/membership/view.ts"
import type { NodeEvent } from "../core/ports.ts"
import { allRules } from "../core/rules.ts"
import { channelProto, maxNameChars, protoMax, protoMin } from "../protocol/limits.ts"
import type {
  Address,
  ChannelMessage,
  ColdHint,
  MemberInfo,
  NodeId,
  PeerMessage,
  SnapshotHead,
  StatusReport,
  View,
} from "../protocol/message.ts"
import { type HostBounds, hostBounds } from "./bounds.ts"
import { Clients } from "./clients.ts"
import { bootClock, MachineSleepWatch, monotonicMs, PauseWatch } from "./clock.ts"
import { eventLevels, repeatKey } from "./event-levels.ts"
import { Forwarded } from "./forwarded.ts"
import type { Health } from "./health.ts"
import type { DataDirectory, SnapshotFound } from "./data-directory.ts"
import { defaultHintPath, HintFile } from "./hint-file.ts"
import type { HostEvent } from "./host-event.ts"
import { Keeper, type ResumeFailure } from "./keeper.ts"
import { Links } from "./links.ts"
import { Listener, type ListenerOptions } from "./listener.ts"
import type { Log } from "./log.ts"
import {
  advertisedHost,
  foreignSeeds,
  type ListenCandidate,
  type ListenChoice,
  listenCandidates,
  parsedAddresses,
} from "./own-address.ts"
import { DeathWatch } from "./process-proof.ts"
import { ProcessTable } from "./process-table.ts"
import type { Metrics, RespFigures } from "./metrics.ts"
import { Repeats } from "./repeats.ts"
import { type BeginningWith, beginningWith, type Resumption, takenDirectory } from "./resumption.ts"
import { StartFailure } from "./start-failure.ts"
import { TurnEnd } from "./turn-end.ts"
import { Turns } from "./turns.ts"

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
  /** Directory in which it keeps what it holds over a planned stop. Undefined: then that is lost. */
  readonly data?: string | undefined
  /** Memory for entries. "sharing": the default port was taken, so that other nodes live on this machine. */
  readonly maxBytes: (node: "alone" | "sharing") => number
  readonly version: string
  readonly log: Log
  readonly onEvent: (event: NodeEvent) => void
  readonly onFatal: (error: unknown) => void
  /** What it started from turned out to be of no use, or it cannot go on from it. It is to be stopped. */
  readonly onResumeFailure?: (failure: ResumeFailure) => void
  /** Takes over connections that begin like Redis' protocol. Undefined: there is no door for them. */
  readonly acceptResp?: ((tcp: Socket) => void) | undefined
  /** Where what is published at other nodes goes. Undefined: nobody listens here. */
  readonly channels?: ChannelPort | undefined
  /** What that door tells of itself, for the metrics. */
  readonly respFigures?: (() => RespFigures | undefined) | undefined
  /** Tests alone depart from the defaults. */
  readonly config?: Partial<Config>
  readonly bounds?: Partial<HostBounds>
}

/** What a door is told of the doors of other nodes. */
export type ChannelPort = {
  receive(from: NodeId, message: ChannelMessage): void
  /** What was under way to this member may be lost. */
  linkLost(peer: NodeId): void
}

/** What came of leaving. "last": nobody was left to hand data to. "timeout": others will see a crash. "stopped": all of them were, as planned. */
export type LeaveOutcome = "handed-over" | "last" | "timeout" | "stopped"

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
  /** What it began with, or why not with what was there, in words; undefined: there was nothing. */
  readonly resumption: Resumption | undefined
  status(): StatusReport
  /** Of that, what can be had without looking at every shard. */
  readonly phase: StatusReport["phase"]
  readonly disk: StatusReport["disk"]
  /** Of what clients, and this process, asked of this node. */
  reads(): { readonly hits: number; readonly misses: number }
  /** Asks on behalf of this process (`CacheNode.call`): `done` must not call the daemon. */
  call: CacheNode["call"]
  callNow: CacheNode["callNow"]
  routes(): CacheNode["routes"]
  /** The other members whose doors can be told of what is published. */
  channelPeers(): readonly NodeId[]
  sendToDoor(peer: NodeId, message: ChannelMessage): void
  /** To be called before anything is done with what arrived by a way that is not the daemon's own. */
  beforeInput(): void
  /** Hands its data over and leaves the cluster; in one that is stopped, waits for the end of that. The process goes on until `stop`. */
  leave(): Promise<LeaveOutcome>
  /** Ends everything at once: to the others, a crash, unless it has left. */
  stop(): Promise<void>
}

export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const processes = ProcessTable.ofThisSystem()
  const directory = await takenDirectory(options.data, processes)
  try {
    return await startedDaemon(options, { processes, directory, found: (await directory?.find()) ?? { kind: "none" } })
  } catch (error) {
    directory?.release()
    throw error
  }
}

async function startedDaemon(
  options: DaemonOptions,
  kept: {
    readonly processes: ProcessTable
    readonly directory: DataDirectory | undefined
    readonly found: SnapshotFound
  },
): Promise<Daemon> {
  const { processes, directory, found } = kept
  const snapshot = found.kind === "found" ? found.snapshot : undefined
  const asked = parsedAddresses(options.seeds)
  const bounds: HostBounds = { ...hostBounds, ...options.bounds }
  const port = new Port(options)
  const [before] = snapshot === undefined ? [] : parsedAddresses([snapshot.head.listen])
  const candidates = await listenCandidates(options.listen, asked, before)
  const { listener, listen, choice } = await listenSomewhere(candidates, port.options(bounds))
  try {
    const address =
      options.advertise ?? formatAddress({ host: await advertisedHost(listen.host, asked), port: listen.port })
    const own = [listen, ...parsedAddresses([address])]
    const config = configFor(options, choice, listen)
    const beginning = await beginningWith(found, { ...options, address, directory })
    if (beginning.resumption?.kind === "refused")
      options.log.event("warn", "snapshot-unusable", { detail: beginning.resumption.text })
    const hintFile = hintFileFor(options, { listen, processes, hints: () => daemon.hints() })
    const { seeds, seedsFrom, hint } = await beginningOf(options, { asked, own, hintFile })
    if (beginning.resumption?.kind === "refused" && seeds.length === 0 && hint === null)
      throw new StartFailure(
        "data",
        `${beginning.resumption.text}; name one of the others with --join, or form a new, empty cluster with another --data`,
      )
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
      directory,
      ...beginning,
    })
    port.opened(daemon)
    daemon.start()
    return daemon
  } catch (error) {
    await listener.close()
    await snapshot?.close()
    throw error
  }
}

/** The default port was taken when it chose its own. */
function sharesMachine({ kind }: ListenChoice, listen: HostPort): boolean {
  return kind === "next-port" || (kind === "as-before" && listen.port !== defaultPort)
}

function configFor(options: DaemonOptions, choice: ListenChoice, listen: HostPort): Config {
  const config: Config = {
    ...defaultConfig,
    ...(options.copies === undefined ? {} : { copies: options.copies }),
    ...(options.shards === undefined ? {} : { shardCount: options.shards }),
    ...(options.orphanResetMs === undefined ? {} : { orphanResetMs: options.orphanResetMs }),
    ...(options.eviction === undefined ? {} : { eviction: options.eviction }),
    maxBytes: options.maxBytes(sharesMachine(choice, listen) ? "sharing" : "alone"),
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
  candidates: readonly ListenCandidate[],
  options: ListenerOptions,
): Promise<{ listener: Listener; listen: HostPort; choice: ListenChoice }> {
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
  // Elsewhere it would not be the member that it was.
  if (candidates[0]?.choice.kind === "as-before")
    throw new StartFailure("data", `${problem}; the node whose data is to be used listened there`)
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
  readonly directory: DataDirectory | undefined
} & BeginningWith

/** Connections are looked at every so often while one is being made or mourned, else in time for deadlines of seconds. */
const lookMs = 60
const restingLookMs = 500
/** How long a witness waits for the others to let it go. */
const witnessLeaveMs = 5_000

class RunningDaemon implements Daemon {
  readonly id: NodeId
  readonly name: string
  readonly listen: HostPort
  readonly listenChoice: ListenChoice
  readonly address: Address
  readonly clientAddress: Address
  readonly seeds: readonly Address[]
  readonly seedsFrom: Daemon["seedsFrom"]
  readonly resumption: Resumption | undefined
  readonly links: Links
  readonly clients: Clients
  readonly turns: Turns

  readonly #options: DaemonOptions
  readonly #config: Config
  readonly #bounds: HostBounds
  readonly #listener: Listener
  readonly #hintFile: HintFile | undefined
  readonly #hint: ColdHint | null
  readonly #resume: BeginningWith["resume"]
  readonly #keeper: Keeper
  readonly #node: CacheNode
  readonly #deaths: DeathWatch
  readonly #turnEnd = new TurnEnd(step => this.guarded(step))
  readonly #forwarded: Forwarded
  readonly #sleep = new MachineSleepWatch({ bootMs: bootClock(), wallMs: Date.now, nowMs: monotonicMs })
  readonly #pause: PauseWatch
  readonly #repeats = new Repeats({ quietMs: 60_000, maxKeys: 1_000 })
  readonly #eventCounts = new Map<string, number>()
  #metrics: Metrics | undefined
  /** By the view that they were last asked for under. */
  #channelPeers: { readonly of: View | undefined; readonly peers: readonly NodeId[] } | undefined
  /** Of the membership that lasts: see `Health`. */
  #hasSettled = false
  #ticking: NodeJS.Timeout | undefined
  #working: NodeJS.Immediate | undefined
  #lookAtMs = 0
  #connections: "busy" | "at-rest" = "busy"
  #stopped: Promise<void> | undefined
  #leaving: Promise<LeaveOutcome> | undefined
  #leaveTimer: NodeJS.Timeout | undefined
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
    // The same member as before is called what it was called.
    const before = parts.resume?.snapshot.head.self
    this.id = before?.id ?? randomBytes(8).toString("hex")
    this.clientAddress = before?.clientAddr ?? options.advertiseClient ?? parts.address
    this.resumption = parts.resumption
    this.#resume = parts.resume
    this.seeds = parts.seeds
    this.seedsFrom = parts.seedsFrom
    this.name = before?.name ?? options.name ?? `${hostname()}:${parts.listen.port}`.slice(0, maxNameChars)
    this.#pause = new PauseWatch({ limitMs: parts.bounds.silenceMs, nowMs: monotonicMs() })

    const { bounds } = parts
    const event = (event: HostEvent) => {
      this.record(event)
      this.#lookForForeign(event)
    }
    const beforeFrame = () => this.#lookAtClocks()
    const turnEnd = this.#turnEnd
    const { processes } = parts
    this.turns = new Turns({
      turnMs: bounds.turnMs,
      shareMs: bounds.shareMs,
      nowMs: monotonicMs,
      guarded: step => {
        beforeFrame()
        this.guarded(step)
      },
    })
    this.#forwarded = new Forwarded({
      ...{ bounds, turns: this.turns, nowMs: monotonicMs },
      take: (from, message) => this.#node.receive(from, message),
      refuse: (from, message) => this.#node.refuse({ kind: "peer", from, message }),
    })
    this.#deaths = new DeathWatch({
      processes,
      isMember: peer => this.#node.addressOf(peer) !== undefined,
      isLinked: peer => this.links.isOpenTo(peer),
      died: peer => this.#node.peerDied(peer),
      nowMs: monotonicMs,
    })
    this.links = new Links({
      identity: () => ({ id: this.id, clusterId: this.#node.clusterId, generation: this.#node.generation }),
      address: this.address,
      process: processes.self,
      addressOf: id => this.#node.addressOf(id),
      receive: (from, message) => this.#receive(from, message),
      greeted: (peer, process) => this.#deaths.greeted(peer, process),
      linkLost: peer => {
        this.#lookAtMs = 0
        this.#node.linkLost(peer)
        this.#deaths.lost(peer)
        options.channels?.linkLost(peer)
      },
      peerRefused: peer => {
        this.#lookAtMs = 0
        this.#node.peerRefused(peer)
      },
      event,
      beforeFrame,
      turnEnd,
      nowMs: monotonicMs,
      chance: Math.random,
      bounds,
    })
    this.clients = new Clients({
      message: (connection, message) => this.#node.clientMessage(connection, message),
      refuse: (connection, message) => this.#node.refuse({ kind: "client", from: connection, message }),
      gone: connection => this.#node.clientGone(connection),
      event,
      beforeFrame,
      turnEnd,
      turns: this.turns,
      nowMs: monotonicMs,
      bounds,
    })
    this.#keeper = new Keeper({
      directory: parts.directory,
      node: () => this.#node,
      head: () => this.#head(),
      guarded: step => this.guarded(step),
      event,
      failed: failure => this.#options.onResumeFailure?.(failure),
      wallMs: Date.now,
    })
    this.#node = this.#makeNode()
  }

  start(): void {
    if (!this.#sleep.isAvailable)
      this.#options.log.event("info", "no-boot-clock", { consequence: "sleep goes unnoticed" })
    this.guarded(() => this.#node.start())
    if (this.#resume !== undefined) this.#keeper.read(this.#resume.snapshot)
  }

  status(): StatusReport {
    return this.#node.status()
  }

  get phase(): StatusReport["phase"] {
    return this.#node.phase
  }

  get disk(): StatusReport["disk"] {
    return this.#keeper.report
  }

  reads(): { readonly hits: number; readonly misses: number } {
    const gets = this.#node.operationCounts.byOperation.get("get")?.outcomes
    return { hits: gets?.get("value") ?? 0, misses: gets?.get("missing") ?? 0 }
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
        resp: () => this.#options.respFigures?.(),
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

  channelPeers(): readonly NodeId[] {
    const { view } = this.#node
    if (this.#channelPeers?.of === view) return this.#channelPeers?.peers ?? []
    const others = view?.members.filter(({ id, protoMax }) => id !== this.id && protoMax >= channelProto) ?? []
    const peers = others.map(({ id }) => id)
    this.#channelPeers = { of: view, peers }
    return peers
  }

  sendToDoor(peer: NodeId, message: ChannelMessage): void {
    this.links.send(peer, message)
  }

  #receive(from: NodeId, message: PeerMessage | ChannelMessage): void {
    if (message.kind === "channel-ask" || message.kind === "channel-told")
      return this.#options.channels?.receive(from, message)
    if (message.kind !== "forward") return this.#node.receive(from, message)
    this.#forwarded.receive(from, message)
  }

  leave(): Promise<LeaveOutcome> {
    this.#leaving ??= new Promise(resolve => {
      // A witness has nothing to hand over, and may be left with nobody to agree with.
      const { leaveTimeoutMs } = this.#config
      const withinMs = this.#options.role === "witness" ? Math.min(witnessLeaveMs, leaveTimeoutMs) : leaveTimeoutMs
      // A planned stop ends when all is written, however long that takes.
      if (this.#node.phase !== "stopped") this.#leaveTimer = setTimeout(() => this.#left("timeout"), withinMs)
      this.#left = outcome => {
        clearTimeout(this.#leaveTimer)
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
    const kept = this.#keeper.close()
    // The port first: whoever dials again at once then learns that nobody is here.
    const closed = this.#listener.close()
    this.links.close()
    this.clients.close()
    await Promise.all([closed, kept])
  }

  #makeNode(): CacheNode {
    const { copies, role, version } = this.#options
    const zone = this.#options.zone ?? hostname().slice(0, maxNameChars)
    const { address: addr, clientAddress: clientAddr, id, name } = this
    const witness = role === "witness"
    const before = this.#resume?.snapshot.head.self
    const self: MemberInfo = before ?? { id, name, addr, clientAddr, zone, witness, protoMin, protoMax }
    const goesOn = this.#options.formation === "anew" ? "with-those-here" : "when-all-are-back"
    return new CacheNode({
      config: this.#config,
      self,
      version,
      seeds: this.seeds,
      newCluster: { clusterId: randomBytes(8).toString("hex"), hashKey: [randomWord(), randomWord()] },
      wantedCopies: copies ?? null,
      hint: this.#hint,
      resume: this.#resume === undefined ? null : { view: this.#resume.view, goesOn },
      disk: () => this.#keeper.report,
      ports: {
        send: (to, message) => this.links.send(to, message),
        sendToAddress: (address, message) => this.links.sendToAddress(address, message),
        sendToClient: (connection, message) => this.clients.send(connection, message),
        event: event => this.#nodeEvent(event),
        tickSooner: () => this.#tickLater(),
        claimSnapshot: () => this.#keeper.claim(),
      },
      prng: new Prng(randomWord()),
      now: monotonicMs,
      rules: allRules,
    })
  }

  /** What this node says of itself when it writes down what it holds. */
  #head(): SnapshotHead {
    const { view } = this.#node
    assert(view !== undefined, "a stopped node has a view")
    const member = view.members.find(({ id }) => id === this.id)
    assert(member !== undefined, "only members stop with their cluster")
    const { id, name, addr, clientAddr, zone, witness } = member
    const self = { id, name, addr, clientAddr, zone, witness, protoMin: member.protoMin, protoMax: member.protoMax }
    return { self, listen: formatAddress(this.listen), view: packView(view), entries: this.#node.status().entries }
  }

  /** Where a seed is of another cluster, this node was told to enter that one. */
  #lookForForeign(event: HostEvent): void {
    if (this.#resume === undefined || event.kind !== "turned-away" || event.reason !== "wrong-cluster") return
    if (this.#node.phase !== "resuming" || !this.seeds.includes(event.peer)) return
    const { clusterId } = this.#resume.view
    this.#keeper.refuse(`what this node held is of cluster ${clusterId}, and ${event.peer} says: ${event.detail}`)
  }

  #nodeEvent(event: NodeEvent): void {
    this.record(event)
    if (event.kind === "view-installed") this.#hintFile?.changed()
    if (event.kind === "stopped") {
      clearTimeout(this.#leaveTimer)
      this.#keeper.writeDown()
    }
    if (event.kind === "resumed") this.#keeper.resumed()
    if (event.kind === "resume-refused") this.#keeper.refuse(outdatedText(event))
    // Outside of the node's step: what its owner does about it may call the node.
    this.#turnEnd.defer(() => {
      if (event.kind === "left") this.#left(event.last ? "last" : "handed-over")
      if (event.kind === "may-end") this.#left("stopped")
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

  /** One timer, for whatever is due next. A timer that fires early, as they do by a fraction, leads to one tick more. */
  #tickLater(): void {
    clearTimeout(this.#ticking)
    if (this.#stopped !== undefined) return
    const { tickAtMs } = this.#node
    const dueAtMs = this.#connections === "busy" ? Math.min(tickAtMs, this.#lookAtMs) : tickAtMs
    this.#ticking = setTimeout(() => this.#tick(), Math.max(1, Math.ceil(dueAtMs - monotonicMs())))
  }

  #tick(): void {
    this.#lookAtClocks()
    this.guarded(() => {
      this.#node.tick()
      this.#lookAtConnections()
    })
    this.#tickLater()
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

  #lookAtConnections(): void {
    const nowMs = monotonicMs()
    if (nowMs < this.#lookAtMs) return
    const links = this.links.tick()
    const deaths = this.#deaths.tick()
    this.clients.tick()
    this.#connections = links === "busy" || deaths === "busy" ? "busy" : "at-rest"
    this.#lookAtMs = nowMs + (this.#connections === "busy" ? lookMs : restingLookMs)
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
      this.#forwarded.close()
      this.links.closeUnread("data")
    })
  }
}

function outdatedText({ stoppedEpoch, epoch }: Extract<NodeEvent, { kind: "resume-refused" }>): string {
  return `the cluster has gone on to epoch ${epoch} without this node, whose data is of the stop at epoch ${stoppedEpoch}`
}

function randomWord(): number {
  return randomBytes(4).readUInt32BE()
}

function withoutKind(event: NodeEvent | HostEvent): object {
  const { kind, ...fields } = event
  assert(kind in eventLevels, "every event has a level")
  return fields
}
