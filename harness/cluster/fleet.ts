/**
 * The nodes of one run: started, counted, looked at, and all ended, in every case. Knows what should be running; whether
 * the nodes think so too is what it asks them.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Prng } from "../../src/base/prng.ts"
import type { Address, NodeId } from "../../src/protocol/message.ts"
import { admissions, disagreement, incompleteness, type Sighting, unrest } from "./agreement.ts"
import { CouldNotRun } from "./could-not-run.ts"
import { freePorts } from "./free-ports.ts"
import { type CommandLine, NodeProcess } from "./node-process.ts"
import { NodeObserver } from "./observer.ts"
import { until } from "./until.ts"

/** A process and the window onto it. */
export type FleetNode = { readonly name: string; readonly process: NodeProcess; readonly observer: NodeObserver }

export type FleetOptions = {
  readonly command: CommandLine
  /** Further arguments of every node. */
  readonly nodeArgs: readonly string[]
  /** Each process writes its log here, into a file of its own; undefined: only last words are kept. */
  readonly logDirectory?: string | undefined
  readonly prng: Prng
  readonly signal: AbortSignal
}

/** How long a node may take to answer a question. A busy one is slow; a silent one must not hold up the others. */
const statusWithinMs = 1_000
/** Asking twenty nodes costs them a twentieth of a core at this pace. */
const pollMs = 100
/** From the start of a process to its membership, on a machine that starts twenty at once. */
const startWithinMs = 60_000

export class Fleet {
  readonly #options: FleetOptions
  readonly #directory: string
  readonly #killOnExit = () => this.#killAll()
  /** Every process ever started, so that none is forgotten at the end. */
  readonly #started: FleetNode[] = []
  #nodes: FleetNode[] = []
  readonly #ports: number[] = []
  #named = 0
  /** When each member was first admitted, for nodes that nothing has happened to. */
  readonly #undisturbed = new Map<NodeId, { readonly name: string; readonly since: number }>()
  readonly #removals: string[] = []

  constructor(options: FleetOptions) {
    this.#options = options
    this.#directory = mkdtempSync(join(tmpdir(), "dcache-nodes-"))
    // Also when this process ends by an exception; when it is killed, the nodes notice by themselves.
    process.on("exit", this.#killOnExit)
  }

  /** Those that should be running now. */
  get nodes(): readonly FleetNode[] {
    return this.#nodes
  }

  get addresses(): Address[] {
    return this.#nodes.map(node => node.process.address)
  }

  /** Finds ports for so many more nodes at new addresses. */
  async reservePorts(count: number): Promise<void> {
    this.#ports.push(...(await freePorts(count, this.#options.prng)))
  }

  /** A node at a new address that joins through `seeds`; none: it forms the cluster. */
  startNew(seeds: readonly FleetNode[]): FleetNode {
    const port = this.#ports.shift()
    if (port === undefined) throw new RangeError("no port was reserved for another node")
    return this.#start(`n${++this.#named}`, `127.0.0.1:${port}`, seeds)
  }

  /** A new process at the address of one that has ended. */
  startAgain(node: FleetNode, seeds: readonly FleetNode[]): FleetNode {
    return this.#start(node.name, node.process.address, seeds)
  }

  /** The node is not expected to run any longer. */
  forget(node: FleetNode): void {
    this.#nodes = this.#nodes.filter(other => other !== node)
    node.observer.close()
  }

  /** What happens to the node from now on says nothing about the cluster's judgement. */
  disturbed(node: FleetNode): void {
    for (const [id, known] of this.#undisturbed) if (known.name === node.name) this.#undisturbed.delete(id)
  }

  async sightings(): Promise<Sighting[]> {
    return Promise.all(
      this.#nodes.map(async ({ name, observer }) => ({ name, report: await observer.status(statusWithinMs) })),
    )
  }

  /** Waits for a node to say that it is a member. */
  async joined(node: FleetNode): Promise<void> {
    const isMember = async () => {
      this.#requireRunning()
      return (await node.observer.status(statusWithinMs))?.phase === "member"
    }
    await until(
      isMember,
      this.#wait(startWithinMs, () => `${node.name} to join\n${node.process.tail}`),
    )
  }

  /** Waits until every node reports the same list, and the list names exactly the nodes that should be running. */
  async agreed(withinMs: number): Promise<Sighting[]> {
    return this.#settled("agreed", withinMs, () => {})
  }

  /** The same, and no copy is missing. `onProgress` is told what is still in the way. */
  async complete(withinMs: number, onProgress: (obstacle: string) => void): Promise<Sighting[]> {
    return this.#settled("complete", withinMs, onProgress)
  }

  /** The same, and nothing moves any more: what is measured next is then not what came before. */
  async atRest(withinMs: number, onProgress: (obstacle: string) => void): Promise<Sighting[]> {
    return this.#settled("at rest", withinMs, onProgress)
  }

  /** Names of nodes that were voted out although nothing had happened to them. */
  get unexpectedRemovals(): readonly string[] {
    return this.#removals
  }

  /** Ends every process ever started, at once, and waits for their end. */
  async endAll(): Promise<void> {
    this.#killAll()
    for (const { observer } of this.#started) observer.close()
    await Promise.all(this.#started.map(node => node.process.ended))
    process.off("exit", this.#killOnExit)
    rmSync(this.#directory, { recursive: true, force: true })
  }

  async #settled(goal: Goal, withinMs: number, onProgress: (obstacle: string) => void): Promise<Sighting[]> {
    let obstacle: string | undefined
    const seen = async () => {
      this.#requireRunning()
      const sightings = await this.sightings()
      this.#noteRemovals(sightings)
      obstacle = obstacleTo(goal, sightings)
      if (obstacle === undefined) {
        this.#noteAdmissions(sightings)
        return sightings
      }
      onProgress(obstacle)
      return undefined
    }
    const what = () => `the cluster to be ${goal}: ${obstacle ?? "nothing known"}`
    return until(seen, this.#wait(withinMs, what))
  }

  #wait(withinMs: number, what: () => string) {
    return { withinMs, what, everyMs: pollMs, signal: this.#options.signal }
  }

  /** A node that ends by itself is never part of the plan; its last words say why. */
  #requireRunning(): void {
    for (const { name, process } of this.#nodes) {
      if (!process.end) continue
      const { code, signal } = process.end
      throw new CouldNotRun(`${name} ended by itself (${signal ?? `exit status ${code}`}):\n${process.tail}`)
    }
  }

  /** Remembers when each node was admitted; asked for only while all agree, when no admission is under way. */
  #noteAdmissions(sightings: readonly Sighting[]): void {
    const since = sightings[0]?.report ? admissions(sightings[0].report) : new Map<NodeId, number>()
    for (const { name, report } of sightings) {
      const epoch = report && since.get(report.id)
      if (!report || epoch === undefined || this.#undisturbed.has(report.id)) continue
      this.#undisturbed.set(report.id, { name, since: epoch })
    }
  }

  #noteRemovals(sightings: readonly Sighting[]): void {
    for (const { report } of sightings) {
      const since = report ? admissions(report) : new Map<NodeId, number>()
      for (const [id, known] of this.#undisturbed) {
        // A node that lags lists an earlier state, or nobody yet; a later admission proves that there was a removal.
        if ((since.get(id) ?? 0) <= known.since) continue
        this.#removals.push(known.name)
        this.#undisturbed.delete(id)
      }
    }
  }

  #start(name: string, listen: Address, seeds: readonly FleetNode[]): FleetNode {
    const { command, nodeArgs, logDirectory, prng } = this.#options
    const process = new NodeProcess({
      command,
      name,
      listen,
      join: seeds.map(seed => seed.process.address),
      extraArgs: nodeArgs,
      directory: this.#directory,
      // Numbered by start: a node that is restarted has a log for each of its lives.
      logFile: logDirectory && join(logDirectory, `${this.#started.length + 1}-${name}.log`),
    })
    const node = { name, process, observer: new NodeObserver(listen, prng.hex64()) }
    this.#started.push(node)
    this.#nodes.push(node)
    return node
  }

  #killAll(): void {
    for (const { process } of this.#started) if (!process.end) process.kill()
  }
}

type Goal = "agreed" | "complete" | "at rest"

function obstacleTo(goal: Goal, sightings: readonly Sighting[]): string | undefined {
  const disagreed = disagreement(sightings)
  if (goal === "agreed" || disagreed) return disagreed
  const incomplete = incompleteness(sightings)
  return goal === "complete" ? incomplete : (incomplete ?? unrest(sightings))
}
