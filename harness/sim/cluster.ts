/**
 * A cluster in virtual time, and the words in which stories about it are told: who leads a key, crash, pause, cut, join,
 * leave, wait until. The nodes are the real ones; all around them is imagined and follows from one seed.
 */
import { assert } from "../../src/base/assert.ts"
import { Prng } from "../../src/base/prng.ts"
import { type Config, configProblem, simulatedConfig } from "../../src/config.ts"
import { CacheNode } from "../../src/core/node.ts"
import { positionOf, shardOf } from "../../src/core/ring.ts"
import { allRules, type Rules } from "../../src/core/rules.ts"
import { protoMax, protoMin } from "../../src/protocol/limits.ts"
import type {
  Address,
  ColdHint,
  GroupResult,
  KeyResult,
  NodeId,
  PeerMessage,
  Reply,
  ShardConfig,
  ShardId,
  View,
} from "../../src/protocol/message.ts"
import type { Memory } from "../checker/model.ts"
import type { Checker, MakeChecker } from "./checker.ts"
import { allCheckers } from "./checkers/all.ts"
import { bytesOf, SimulatedClient } from "./client.ts"
import { MachineClock } from "./clock.ts"
import type { PeerNetwork } from "./links.ts"
import { Network } from "./network.ts"
import { Disk } from "./disk.ts"
import {
  type ClientNetwork,
  type MakeNode,
  type ProcessObserver,
  type Resumption,
  SimulatedProcess,
} from "./process.ts"
import { Recorder, textOf } from "./recorder.ts"
import { ResidentClient } from "./resident.ts"
import { type Millis, Simulator } from "./simulator.ts"
import { countMessage, countView, newTally } from "./tally.ts"
import { brief, Trace } from "./trace.ts"
import { type Climate, type Cut, type CutManner, type Host, Weather } from "./weather.ts"
import { type WireKind, wireOf } from "./wire.ts"

export type ClusterSettings = {
  /** Nodes that are there from the beginning. */
  readonly nodes: number
  readonly seed: number
  readonly config?: Partial<Config>
  readonly rules?: Partial<Rules>
  readonly climate?: Partial<Climate>
  readonly frames?: "joined" | "single"
  readonly wire?: WireKind
  /** Whether machines have disks on which nodes write at a planned stop. */
  readonly disks?: "none" | "one-each"
  /** Zones that the machines are spread over; 0: none stated. */
  readonly zones?: number
  /** Memory of the machines, by their number, in bytes; where there is some, nodes forget. Undefined: more than enough. */
  readonly memory?: (machine: number) => number | undefined
  readonly print?: (line: string) => void
  readonly makeNode?: MakeNode
  readonly checkers?: readonly MakeChecker[]
}

const crossing: ReadonlySet<PeerMessage["kind"]> = new Set([
  "join-request",
  "join-refused",
  "try-also",
  "dial-back",
  "dial-back-ok",
  "view-snapshot",
  "resuming",
])

export type IsLost = (from: SimulatedProcess, to: SimulatedProcess | undefined, message: PeerMessage) => boolean

/** A promise that was broken. */
export type Violation = { readonly promise: string; readonly what: string; readonly atMs: Millis }

/** Ends a story in which a checker has seen enough. */
export class BrokenPromise extends Error {
  override name = "BrokenPromise"
  readonly violation: Violation

  constructor(violation: Violation) {
    super(`${violation.promise}: ${violation.what} (at ${violation.atMs.toFixed(2)} ms)`)
    this.violation = violation
  }
}

/** A cluster whose first nodes have found each other and are at rest. */
export function simulatedCluster(settings: ClusterSettings): SimulatedCluster {
  const cluster = new SimulatedCluster(settings)
  const first = cluster.start({ seeds: [] })
  cluster.run(50)
  for (let i = 1; i < settings.nodes; i++) cluster.start({ seeds: [first.address] })
  cluster.runUntil(() => cluster.hasConverged(), { withinMs: 20_000, orElse: "the first nodes find each other" })
  // What is still under way has time to arrive, so that a story begins in a quiet cluster.
  cluster.run(300)
  return cluster
}

export class SimulatedCluster {
  readonly seed: number
  readonly simulator = new Simulator()
  readonly weather: Weather
  readonly config: Config
  readonly rules: Rules
  readonly trace: Trace
  readonly recorder: Recorder
  readonly prng: Prng
  /** Every process that ever was, in the order of their start. */
  readonly processes: SimulatedProcess[] = []
  readonly clients: SimulatedClient[] = []
  readonly residents: ResidentClient[] = []
  readonly violations: Violation[] = []
  readonly disks = new Map<Address, Disk>()
  readonly tally = newTally()
  readonly #settings: ClusterSettings
  readonly #peers: PeerNetwork
  readonly #clientNetwork: ClientNetwork
  readonly #checkers: readonly Checker[]
  readonly #byId = new Map<NodeId, SimulatedProcess>()
  readonly #names = new Map<SimulatedProcess, string>()
  readonly #wire
  readonly #losses: IsLost[] = []
  /** Told when a shard begins anew without its data. */
  onReset: (shard: ShardId) => void = () => {}
  /** Keys that are only ever written together. */
  readonly together: (readonly string[])[] = []
  /** Somebody deleted stretches of keys, whatever was written together. */
  wasCleared = false
  readonly #resets = new Map<ShardId, number>()
  readonly #everWereMembers = new Set<NodeId>()
  #machines = 0
  #newestView: View | undefined
  readonly #clusterId: string
  readonly #hashKey: readonly [number, number]
  readonly #shards = new Map<string, ShardId>()

  constructor(settings: ClusterSettings) {
    this.#settings = settings
    this.seed = settings.seed
    const eviction = settings.memory === undefined ? simulatedConfig.eviction : "s3fifo"
    this.config = { ...simulatedConfig, eviction, ...settings.config }
    const problem = configProblem(this.config)
    assert(problem === undefined, `the simulated nodes are set up as nodes may be: ${problem}`)
    this.rules = { ...allRules, ...settings.rules }
    this.prng = new Prng(settings.seed)
    this.trace = new Trace({ simulator: this.simulator, print: settings.print })
    this.weather = new Weather(this.prng.fork())
    this.weather.change(settings.climate ?? {})
    const shared = {
      simulator: this.simulator,
      weather: this.weather,
      dialTimeoutMs: 1_000,
    }
    const streams = { frames: settings.frames ?? "joined", giveUpMs: [1_000, 5_000] } as const
    this.#peers = new Network({ ...shared, prng: this.prng.fork(), settings: { ...streams, keepsOrder: false } })
    this.#clientNetwork = new Network({ ...shared, prng: this.prng.fork(), settings: { ...streams, keepsOrder: true } })
    this.#clusterId = this.prng.hex64()
    this.#hashKey = [this.prng.uint32(), this.prng.uint32()]
    this.#wire = wireOf(settings.wire ?? "shared")
    this.recorder = new Recorder(this.simulator)
    this.#glanceLater()
    this.#checkers = (settings.checkers ?? allCheckers).map(make => make(this))
  }

  /** Of what clients are promised: all that is acknowledged, or that or nothing. */
  get memory(): Memory {
    return this.config.eviction === "none" ? "strict" : "forgetful"
  }

  /** That the story begins with. */
  get nodeCount(): number {
    return this.#settings.nodes
  }

  // ------------------------------------------------------------------------------------------------------- time

  get nowMs(): Millis {
    return this.simulator.nowMs
  }

  run(forMs: Millis): void {
    this.simulator.run(forMs)
    this.throwIfBroken()
  }

  /** Lets time pass until the condition holds. A story in which it never does ends here, unless it wants to know. */
  runUntil(condition: () => boolean, options: { withinMs: Millis; everyMs?: Millis; orElse?: string }): void {
    const holds = this.comesTrue(condition, options)
    if (holds) return
    throw new Error(
      `not within ${options.withinMs} ms: ${options.orElse ?? condition.toString()}; ${this.unfinished() ?? "all is at rest"}`,
    )
  }

  /** The same without an opinion: whether it came to hold. */
  comesTrue(condition: () => boolean, options: { withinMs: Millis; everyMs?: Millis }): boolean {
    const holds = this.simulator.runUntil(condition, { everyMs: 1, ...options })
    this.throwIfBroken()
    return holds
  }

  // -------------------------------------------------------------------------------------------------- processes

  /** A new process: on a new machine, or at a given address whose former process is gone. */
  start(options: {
    seeds: readonly Address[]
    address?: Address
    /** Of a process that takes itself for an earlier one. */
    id?: NodeId
    hint?: ColdHint
    protoMax?: number
    /** Of a process that finds what it wrote down at a planned stop. */
    goesOn?: Resumption["goesOn"]
    /** What it would divide a new cluster into. */
    shardCount?: number
  }): SimulatedProcess {
    const address = options.address ?? `n${++this.#machines}:7000`
    const host = address.slice(0, address.lastIndexOf(":"))
    const number = this.processes.filter(process => process.address === address).length
    const name = number === 0 ? host : `${host}.${number + 1}`
    const zones = this.#settings.zones ?? 0
    const hostNumber = this.weather.hostAt(address)
    this.weather.bringUp(hostNumber)
    const maxBytes = this.#settings.memory?.(hostNumber) ?? this.config.maxBytes
    const disk = this.#settings.disks === "one-each" ? this.diskAt(address) : undefined
    const blocks = disk?.read()
    const head = blocks?.[0]?.kind === "head" ? blocks[0].head : undefined
    const process = new SimulatedProcess({
      config: { ...this.config, maxBytes, shardCount: options.shardCount ?? this.config.shardCount },
      self: {
        id: head?.self.id ?? options.id ?? this.prng.hex64(),
        name,
        addr: address,
        clientAddr: `${host}:8000`,
        zone: zones === 0 ? "" : `z${hostNumber % zones}`,
        witness: false,
        protoMin,
        protoMax: options.protoMax ?? protoMax,
      },
      seeds: options.seeds,
      // A restarted cluster is another one.
      newCluster: {
        clusterId: options.hint === undefined ? this.#clusterId : this.prng.hex64(),
        hashKey: this.#hashKey,
      },
      hint: options.hint ?? null,
      disk,
      resume: blocks === undefined ? null : { blocks, goesOn: options.goesOn ?? "when-all-are-back" },
      rules: this.rules,
      makeNode: this.#settings.makeNode ?? (nodeOptions => new CacheNode(nodeOptions)),
      clock: MachineClock.random(this.simulator, this.prng, this.config.clockRateError),
      prng: this.prng.fork(),
      peers: this.#peers,
      clients: this.#clientNetwork,
      observer: this.#observer,
      wire: this.#wire,
      passes: (from, to, message) =>
        this.#isOfOneLife(from, this.#byId.get(to), message) &&
        this.#losses.every(isLost => !isLost(from, this.#byId.get(to), message)),
    })
    this.processes.push(process)
    this.#byId.set(process.id, process)
    this.#names.set(process, name)
    this.trace.note(name, "starts", () => `${process.id} through ${options.seeds.join(" ")}`)
    process.start()
    return process
  }

  /** Starts a process that knows these, or whoever is there. */
  join(through?: readonly SimulatedProcess[]): SimulatedProcess {
    const known = through ?? [this.prng.pick(this.alive())]
    return this.start({ seeds: known.map(process => process.address) })
  }

  /** A new process where a dead one was, with nothing in memory. */
  restart(dead: SimulatedProcess): SimulatedProcess {
    assert(!dead.isAlive, "an address is free again when its process is dead")
    const others = this.alive().filter(process => process.address !== dead.address)
    return this.start({ seeds: [this.prng.pick(others).address], address: dead.address })
  }

  /** What outlives the processes at this address. */
  diskAt(address: Address): Disk {
    const disk = this.disks.get(address) ?? new Disk()
    this.disks.set(address, disk)
    return disk
  }

  /** kill -9; or the whole machine loses its power, and nobody resets its connections. */
  crash(process: SimulatedProcess, what: "process" | "machine" = "process"): void {
    this.#say(process, what === "process" ? "is killed" : "loses its power")
    if (what === "machine") this.weather.takeDown(process.host)
    process.die()
  }

  pause(process: SimulatedProcess): void {
    this.#say(process, "pauses")
    process.pause()
  }

  resume(process: SimulatedProcess): void {
    this.#say(process, "resumes")
    process.resume()
  }

  pauseFor(process: SimulatedProcess, forMs: Millis): void {
    this.pause(process)
    this.simulator.after(forMs, () => this.resume(process))
  }

  leave(process: SimulatedProcess): void {
    this.#say(process, "is asked to leave")
    process.leave()
  }

  // ----------------------------------------------------------------------------------------------------- network

  /** Nothing passes from the first to the second. */
  cut(from: readonly Placed[], to: readonly Placed[], manner: CutManner = "stalls"): Cut {
    const cut = { from: from.map(hostOf), to: to.map(hostOf), manner }
    this.trace.note("network", "cuts", () => `${from.map(nameOf).join(" ")} -> ${to.map(nameOf).join(" ")} ${manner}`)
    this.weather.cut(cut)
    return cut
  }

  /** Nothing passes between the groups, either way. Whoever stands in none of them reaches all. */
  partition(groups: readonly (readonly Placed[])[], manner: CutManner = "stalls"): Cut[] {
    return groups.flatMap(group => groups.filter(other => other !== group).map(other => this.cut(group, other, manner)))
  }

  /** It sends, and hears nobody. */
  deafen(process: SimulatedProcess, manner: CutManner = "stalls"): Cut {
    return this.cut(this.#others(process), [process], manner)
  }

  /** It hears, and nobody hears it. */
  mute(process: SimulatedProcess, manner: CutManner = "stalls"): Cut {
    return this.cut([process], this.#others(process), manner)
  }

  /** It reaches nobody and nobody reaches it. */
  isolate(process: SimulatedProcess, manner: CutManner = "stalls"): Cut[] {
    return [this.deafen(process, manner), this.mute(process, manner)]
  }

  /** These cuts, or all that there are. */
  heal(cuts: Iterable<Cut> = this.weather.cuts): void {
    this.trace.note("network", "heals")
    for (const cut of [...cuts]) this.weather.heal(cut)
  }

  /** As real links do: between two generations of a cluster only what leads from one to the other is carried. */
  #isOfOneLife(from: SimulatedProcess, to: SimulatedProcess | undefined, { kind }: PeerMessage): boolean {
    const [one, other] = [from.node.view?.generation, to?.node.view?.generation]
    return one === undefined || other === undefined || one === other || crossing.has(kind)
  }

  /** Loses every message that this says, until the returned function is called. `to` undefined: an address was dialed. */
  lose(isLost: IsLost): () => void {
    this.#losses.push(isLost)
    return () => this.#losses.splice(this.#losses.indexOf(isLost), 1)
  }

  // --------------------------------------------------------------------------------------------------- what it is

  alive(): SimulatedProcess[] {
    return this.processes.filter(process => process.isAlive)
  }

  processOf(id: NodeId): SimulatedProcess | undefined {
    return this.#byId.get(id)
  }

  /** The process with this id if it lives. */
  livingProcess(id: NodeId): SimulatedProcess | undefined {
    const process = this.#byId.get(id)
    return process?.isAlive ? process : undefined
  }

  /** The newest decided view that any node has installed. */
  get newestView(): View {
    assert(this.#newestView !== undefined, "some node has formed the cluster")
    return this.#newestView
  }

  get hasView(): boolean {
    return this.#newestView !== undefined
  }

  positionOf(key: string): number {
    return positionOf(bytesOf(key), { hashKey: this.#hashKey, shardCount: this.config.shardCount })
  }

  shardOf(key: string | Uint8Array): ShardId {
    const text = typeof key === "string" ? key : textOf(key)
    let shard = this.#shards.get(text)
    if (shard === undefined) {
      shard = shardOf(this.positionOf(text), this.config.shardCount)
      this.#shards.set(text, shard)
    }
    return shard
  }

  /** A key of another shard than `key`, of the same primary; `isRight`: of its other holders. */
  keyBeside(key: string, isRight: (config: ShardConfig, beside: ShardConfig) => boolean = () => true): string {
    const { shards } = this.newestView
    const config = shards[this.shardOf(key)]
    assert(config !== undefined, "every key has a shard")
    return this.keyWhere(other => other !== config && other.primary === config.primary && isRight(config, other))
  }

  /** From now on nothing but a group writes any of these, and always all of them. */
  writesTogether(keys: readonly string[]): void {
    this.together.push(keys)
  }

  /** The process that leads the key by the newest view. */
  primaryOf(key: string): SimulatedProcess {
    const primary = this.newestView.shards[this.shardOf(key)]?.primary
    const process = primary === null || primary === undefined ? undefined : this.#byId.get(primary)
    assert(process !== undefined, `somebody leads ${key}`)
    return process
  }

  /** The process that leads the shard by the newest view; of an orphan, any member. */
  primaryOfSome(shard: ShardId): SimulatedProcess {
    const primary = this.newestView.shards[shard]?.primary
    return (primary && this.#byId.get(primary)) || this.leader()
  }

  /** Whether each shard keeps a living in-sync replica when this process dies. */
  keepsDataWithout(process: SimulatedProcess): boolean {
    return this.newestView.shards.every(
      ({ inSync }) => !inSync.includes(process.id) || inSync.some(id => id !== process.id && this.livingProcess(id)),
    )
  }

  /**
   * Whether more than half of the voters live and are heard when this process is dead: one that is cut off is about to be
   * removed, and then the view has room for one death less. Where all members will vote, all are counted: the view that
   * makes them voters may be on its way. And a view counts from when the others know it too.
   */
  keepsMajorityWithout(process: SimulatedProcess): boolean {
    const views = new Set(this.alive().flatMap(({ node }) => node.view ?? []))
    return [this.newestView, ...views].every(view => {
      const voters = view.members.filter(({ voter }) => voter || view.members.length <= this.config.maxVoters)
      const living = voters.flatMap(({ id }) => this.livingProcess(id) ?? []).filter(voter => voter !== process)
      const heard = living.filter(voter => voter.state === "running" && !this.#isApart(voter, living))
      // Somebody who lags that far behind is not needed to decide anything.
      return heard.length > voters.length / 2 || view.epoch < this.newestView.epoch - 1
    })
  }

  /** Whether every other voter lives and is heard: where the death of this one is certain, they decide together. */
  keepsAllOtherVoters(process: SimulatedProcess): boolean {
    const views = new Set(this.alive().flatMap(({ node }) => node.view ?? []))
    return [this.newestView, ...views].every(view => {
      const voters = view.members.filter(({ voter }) => voter || view.members.length <= this.config.maxVoters)
      const others = voters.filter(({ id }) => id !== process.id).map(({ id }) => this.livingProcess(id))
      const heard = others.flatMap(other => (other?.state === "running" ? [other] : []))
      const isReached = heard.length === others.length && heard.every(other => !this.#isApart(other, heard))
      return others.length > 0 && (isReached || view.epoch < this.newestView.epoch - 1)
    })
  }

  /** Half of the voters are dead, by the newest view that somebody alive knows: only an operator's word helps now. */
  hasStopped(): boolean {
    const views = this.alive().flatMap(({ node }) => node.view ?? [])
    const newest = views.reduce((a, b) => (a.epoch >= b.epoch ? a : b), views[0] ?? this.newestView)
    const voters = newest.members.filter(({ voter }) => voter)
    return voters.filter(({ id }) => this.livingProcess(id)).length <= voters.length / 2
  }

  /**
   * An operator vouches that the dead are dead, through the survivor with the newest view. Unwise where the dead knew a newer one:
   * what was acknowledged in it the survivors may not hold, and nobody promises otherwise.
   */
  recover(): "recovered" | "unwise" {
    const epochOf = ({ node }: SimulatedProcess) => node.view?.epoch ?? 0
    const isVoter = ({ id, node }: SimulatedProcess) => node.view?.members.some(one => one.id === id && one.voter)
    // Everybody has lost its lease by then, and the survivors have heard of each other.
    this.run(2 * this.config.leaseMs + 1_000)
    const [survivor] = this.alive().sort((a, b) => epochOf(b) - epochOf(a) || Number(isVoter(b)) - Number(isVoter(a)))
    if (survivor === undefined || epochOf(survivor) < this.newestView.epoch) return "unwise"
    this.tally.recoveries += 1
    this.#say(survivor, "is told to go on with whom it hears")
    survivor.node.clientMessage(0, { kind: "admin", n: 1, command: { kind: "recover", how: "force" } })
    return "recovered"
  }

  /** Half of the others do not hear it, or it does not hear them. */
  #isApart(process: SimulatedProcess, others: readonly SimulatedProcess[]): boolean {
    const isCut = (other: SimulatedProcess) =>
      this.weather.isCut(process.host, other.host) || this.weather.isCut(other.host, process.host)
    return others.filter(isCut).length >= others.length / 2
  }

  /** The other in-sync holders of the key by the newest view. */
  backupsOf(key: string): SimulatedProcess[] {
    const config = this.newestView.shards[this.shardOf(key)]
    return (config?.inSync ?? []).filter(id => id !== config?.primary).flatMap(id => this.#byId.get(id) ?? [])
  }

  /** A key of a shard that is led and held as this says, by the newest view. */
  keyWhere(isRight: (config: ShardConfig) => boolean): string {
    for (let i = 0; i < 10_000; i++) {
      const config = this.newestView.shards[this.shardOf(`key${i}`)]
      if (config !== undefined && isRight(config)) return `key${i}`
    }
    throw new Error("no shard is as the story needs it: take another seed")
  }

  voters(): SimulatedProcess[] {
    return this.newestView.members.filter(({ voter }) => voter).flatMap(({ id }) => this.#byId.get(id) ?? [])
  }

  /** The voter of the first rank. */
  leader(): SimulatedProcess {
    const [leader] = this.voters()
    assert(leader !== undefined, "there is a voter")
    return leader
  }

  isMember(process: SimulatedProcess): boolean {
    return this.newestView.members.some(({ id }) => id === process.id)
  }

  /** Every living process is a member, all know the newest view, and every copy is complete. */
  hasConverged(): boolean {
    return this.unfinished() === undefined
  }

  /** Every living process is a member, no other is, and all know the newest view. */
  hasAgreed(): boolean {
    return this.disagreement() === undefined
  }

  /** What keeps the cluster from being at rest, in words. */
  unfinished(): string | undefined {
    const disagreement = this.disagreement()
    if (disagreement !== undefined) return disagreement
    const { shards } = this.newestView
    const orphan = shards.findIndex(shard => shard.orphan && !this.isLost(shard))
    if (orphan >= 0) return `shard ${orphan} is an orphan`
    const filling = shards.findIndex(shard => shard.learners.length > 0)
    if (filling >= 0) return `shard ${filling} has a learner`
    return undefined
  }

  disagreement(): string | undefined {
    const view = this.#newestView
    if (view === undefined) return "there is no cluster"
    const living = this.alive()
    for (const process of living) {
      if (process.node.phase !== "member") return `${this.nameOf(process.id)} is ${process.node.phase}`
      const epoch = process.node.view?.epoch
      if (epoch !== view.epoch) return `${this.nameOf(process.id)} is at epoch ${epoch}, others at ${view.epoch}`
    }
    const ids = new Set(view.members.map(({ id }) => id))
    for (const process of living) if (!ids.has(process.id)) return `${this.nameOf(process.id)} is no member`
    for (const id of ids) if (!this.livingProcess(id)) return `${this.nameOf(id)} is dead and a member`
    return undefined
  }

  /** An orphan whose last holders are all dead: with this configuration nothing can bring it back but a reset. */
  isLost(shard: View["shards"][number]): boolean {
    if (!shard.orphan || this.config.orphanResetMs !== Number.POSITIVE_INFINITY) return false
    return shard.inSync.every(id => !this.livingProcess(id))
  }

  isKeyLost(key: string): boolean {
    const shard = this.newestView.shards[this.shardOf(key)]
    return shard !== undefined && this.isLost(shard)
  }

  /** Ends processes that can never join, because all that they know is dead or as lost as they are: their operator would. */
  giveUpOnStranded(): void {
    const living = this.alive()
    const members = living.filter(process => this.isMember(process))
    const found = new Set(members.length > 0 ? members : living.filter(({ id }) => this.#everWereMembers.has(id)))
    const others = new Set(living.filter(process => !found.has(process)))
    for (let before = -1; before !== found.size; ) {
      before = found.size
      const addresses = new Set([...found].map(({ address }) => address))
      // One that was removed while it stood still knows whom it was a member with; all of them may have left since.
      for (const process of others)
        if (process.knownAddresses.some(address => addresses.has(address))) found.add(process)
      for (const process of found) others.delete(process)
    }
    for (const process of others) this.crash(process)
  }

  nameOf(id: NodeId): string {
    const process = this.#byId.get(id)
    return (process && this.#names.get(process)) ?? id.slice(0, 8)
  }

  // ------------------------------------------------------------------------------------------------------ clients

  /** A client that knows only this one node, or some. */
  client(at?: SimulatedProcess | readonly SimulatedProcess[]): SimulatedClient {
    const known = at === undefined ? this.alive() : at instanceof SimulatedProcess ? [at] : at
    const client = new SimulatedClient({
      number: this.clients.length + 1,
      simulator: this.simulator,
      network: this.#clientNetwork,
      wire: this.#wire,
      prng: this.prng.fork(),
      seeds: known.map(process => process.clientAddress),
      recorder: this.recorder,
      trace: this.trace,
      throwIfBroken: () => this.throwIfBroken(),
    })
    this.clients.push(client)
    return client
  }

  /** Somebody who asks from within some node's process. */
  resident(): ResidentClient {
    const { simulator, recorder, trace } = this
    const number = 50 + this.residents.length
    const resident = new ResidentClient({
      ...{ number, simulator, recorder, trace, prng: this.prng.fork() },
      alive: () => this.alive(),
    })
    this.residents.push(resident)
    return resident
  }

  // ----------------------------------------------------------------------------------------------------- promises

  violate(promise: string, what: string): void {
    // What is said after the first promise was broken mostly follows from it.
    if (this.violations.length >= 3) return
    this.violations.push({ promise, what, atMs: this.nowMs })
    this.trace.note("checker", "VIOLATION", () => `${promise}: ${what}`)
    this.simulator.stop()
  }

  throwIfBroken(): void {
    const [violation] = this.violations
    if (violation !== undefined) throw new BrokenPromise(violation)
  }

  /** To be called when faults have ended and the cluster has come to rest. */
  checkAtRest(): void {
    for (const checker of this.#checkers) if (this.violations.length === 0) checker.atRest?.()
  }

  /** To be called when the run is over, however it went. */
  checkAtEnd(): void {
    for (const checker of this.#checkers) if (this.violations.length === 0) checker.atEnd?.()
  }

  #sawNewest(view: View): void {
    if (this.#newestView !== undefined) countView(this.tally, this.#newestView, view)
    this.#newestView = view
    for (const { id } of view.members) this.#everWereMembers.add(id)
    for (const [shard, { resetAt }] of view.shards.entries()) {
      if (resetAt > (this.#resets.get(shard) ?? 0)) {
        this.#resets.set(shard, resetAt)
        this.onReset(shard)
      }
    }
  }

  #glanceLater(): void {
    this.simulator.after(glanceMs, () => {
      for (const checker of this.#checkers) checker.glance?.()
      this.#glanceLater()
    })
  }

  #others(process: SimulatedProcess): Placed[] {
    const hosts = new Set<Host>([process.host])
    const others: Placed[] = []
    for (const other of [...this.processes, ...this.clients]) {
      if (hosts.has(other.host)) continue
      hosts.add(other.host)
      others.push(other)
    }
    return others
  }

  #beginAnew(process: SimulatedProcess): void {
    if (!process.isAlive) return
    process.exit()
    const known = process.node.view?.members.map(({ addr }) => addr) ?? process.seeds
    this.start({ seeds: known.filter(address => address !== process.address), address: process.address })
  }

  #say(process: SimulatedProcess, what: string): void {
    this.trace.note(this.nameOf(process.id), what)
  }

  readonly #observer: ProcessObserver = {
    event: (process, event) => {
      this.trace.note(this.nameOf(process.id), event.kind, () => brief({ ...event, kind: undefined }))
      const view = process.node.view
      if (event.kind === "view-installed" && view !== undefined && view.epoch > (this.#newestView?.epoch ?? 0))
        this.#sawNewest(view)
      for (const checker of this.#checkers) checker.event?.(process, event)
      // A node that has left has nothing more to say; its process ends.
      if (event.kind === "left" || event.kind === "may-end") this.simulator.after(1, () => process.exit())
      // Started anew without what it wrote down, it joins like any other.
      if (event.kind === "resume-refused") this.simulator.after(1, () => this.#beginAnew(process))
    },
    sent: message => {
      for (const checker of this.#checkers) checker.sent?.(message)
    },
    received: (process, from, message) => {
      countMessage(this.tally, message)
      for (const checker of this.#checkers) checker.received?.(process, from, message)
      this.trace.note(this.nameOf(process.id), message.kind, () => `from ${this.nameOf(from)} ${brief(message)}`)
    },
    dropped: (process, key, version) => {
      this.tally.dropped += 1
      this.trace.note(this.nameOf(process.id), "drops", () => `${key} of version ${version}`)
      for (const checker of this.#checkers) checker.dropped?.(process, key, version)
    },
    asked: (process, connection, message) => {
      this.trace.note(this.nameOf(process.id), message.kind, () => `on ${connection} ${brief(message)}`)
    },
    answers: (process, request, reply) => {
      if (reply.kind === "unavailable" && reply.reason === "minority") this.tally.minority += 1
      if (!isResult(reply)) return
      this.tally.answers += 1
      if (reply.kind === "group-done") {
        this.tally.groups += 1
        const { operation } = request
        const keys = operation.op === "group" ? operation.steps.map(({ key }) => textOf(key)) : []
        if (new Set(keys.map(key => this.shardOf(key))).size > 1) this.tally.groupsApart += 1
      } else if (reply.kind === "group-unmet") this.tally.groupsUnmet += 1
      for (const checker of this.#checkers) checker.answers?.(process, request, reply)
    },
    failed: (process, error) => {
      const stack = error instanceof Error ? (error.stack ?? error.message) : String(error)
      this.violate("no node loses track of itself", `${this.nameOf(process.id)}: ${stack}`)
    },
  }
}

/** Checkers that look at everything do so every so often; not a multiple of what nodes do at fixed times. */
const glanceMs = 37

const results: ReadonlySet<Reply["kind"]> = new Set<(KeyResult | GroupResult)["kind"]>([
  "group-done",
  "group-unmet",
  "value",
  "missing",
  "ttl",
  "stored",
  "deleted",
  "touched",
  "counted",
  "unmet",
  "not-a-number",
])

/** Of keys that were named: what was said of whole shards is in the history. */
function isResult(reply: Reply): reply is KeyResult | GroupResult {
  return results.has(reply.kind)
}

/** What stands on a machine. */
type Placed = { readonly host: Host }

function hostOf(placed: Placed): Host {
  return placed.host
}

function nameOf(placed: Placed): string {
  return `h${placed.host}`
}
