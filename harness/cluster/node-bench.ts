/**
 * The few real nodes of one test, each started as the test says, and all ended with it. `Fleet` is for many nodes that
 * are alike and must stay; here nodes differ, and may end by themselves.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { TestContext } from "node:test"
import { Prng } from "../../src/base/prng.ts"
import type { Address, StatusReport } from "../../src/protocol/message.ts"
import { disagreement, incompleteness, type Sighting, unrest } from "./agreement.ts"
import { commandUnderTest } from "./command-under-test.ts"
import { freePorts } from "./free-ports.ts"
import { type CommandLine, NodeProcess } from "./node-process.ts"
import { NodeObserver } from "./observer.ts"
import { until } from "./until.ts"

export type BenchNode = { readonly name: string; readonly process: NodeProcess; readonly observer: NodeObserver }

export type BenchNodeOptions = {
  /** Whom it joins; none: it forms a cluster, or finds the one that its hint file tells of. */
  readonly join?: readonly BenchNode[]
  readonly args?: readonly string[]
  /** At the address of one that has ended, with its hint file. */
  readonly at?: BenchNode
  /** Instead of the command under test. */
  readonly command?: CommandLine
}

/** From an event to what must follow from it, on a machine that does ten other things. */
const patienceMs = 60_000
const statusWithinMs = 2_000

export class NodeBench {
  readonly command = commandUnderTest()
  /** Of all nodes: hint files are named by address. */
  readonly directory = mkdtempSync(join(tmpdir(), "dcache-bench-"))
  readonly #prng = new Prng(process.pid)
  readonly #nodes: BenchNode[] = []

  constructor(context: Pick<TestContext, "after">) {
    context.after(() => this.#endAll())
  }

  async start(name: string, options: BenchNodeOptions = {}): Promise<BenchNode> {
    const { join = [], args = [], at, command = this.command } = options
    const [port] = at === undefined ? await freePorts(1, this.#prng) : []
    const listen = at?.process.address ?? `127.0.0.1:${port}`
    const node: BenchNode = {
      name,
      process: new NodeProcess({
        command,
        name,
        listen,
        join: join.map(({ process }) => process.address),
        extraArgs: ["--memory", "64MiB", ...args],
        directory: this.directory,
      }),
      observer: new NodeObserver(listen, this.#prng.hex64()),
    }
    this.#nodes.push(node)
    return node
  }

  /** Starts one after another, each joined to the first. */
  async cluster(...members: { name: string; args?: readonly string[] }[]): Promise<BenchNode[]> {
    const nodes: BenchNode[] = []
    for (const { name, args = [] } of members) {
      nodes.push(await this.start(name, { join: nodes.slice(0, 1), args }))
      await this.complete(nodes)
    }
    return nodes
  }

  /** Waits until all of them list each other, nobody else, and no copy is missing. */
  async complete(nodes: readonly BenchNode[]): Promise<StatusReport[]> {
    return this.#until(
      nodes,
      "be a complete cluster",
      sightings => disagreement(sightings) ?? incompleteness(sightings),
    )
  }

  /**
   * Waits until nothing moves either. Copies are complete as soon as there are enough of them, wherever: a node that has just
   * joined may hold nothing yet.
   */
  async atRest(nodes: readonly BenchNode[]): Promise<StatusReport[]> {
    const obstacle = (sightings: readonly Sighting[]) =>
      disagreement(sightings) ?? incompleteness(sightings) ?? unrest(sightings)
    return this.#until(nodes, "be at rest", obstacle)
  }

  #until(
    nodes: readonly BenchNode[],
    what: string,
    obstacleOf: (sightings: readonly Sighting[]) => string | undefined,
  ): Promise<StatusReport[]> {
    let obstacle: string | undefined
    return this.eventually(
      async () => {
        const reports = await Promise.all(nodes.map(({ observer }) => observer.status(statusWithinMs)))
        obstacle = obstacleOf(nodes.map(({ name }, i) => ({ name, report: reports[i] })))
        return obstacle === undefined && reports.flatMap(report => report ?? [])
      },
      () => `${nodes.map(({ name }) => name).join(", ")} to ${what}: ${obstacle}`,
    )
  }

  /** What one node says of itself, as soon as `holds`. */
  async report(node: BenchNode, what: string, holds: (report: StatusReport) => boolean): Promise<StatusReport> {
    return this.eventually(
      async () => {
        const report = await node.observer.status(statusWithinMs)
        return report !== undefined && holds(report) && report
      },
      () => `${node.name}: ${what}`,
    )
  }

  /** Waits for a line among the last that the node wrote. */
  async says(node: BenchNode, line: RegExp): Promise<void> {
    await this.eventually(
      () => line.test(node.process.tail),
      () => `${node.name} to say ${line}`,
    )
  }

  /** What the hint file of a node says; undefined: it is not there yet. */
  hintOf(node: BenchNode): { readonly addresses: readonly Address[] } | undefined {
    const port = node.process.address.slice(node.process.address.lastIndexOf(":") + 1)
    const directory = join(this.directory, "dcache")
    const file = existsSync(directory) && readdirSync(directory).find(name => name.endsWith(`${port}.json`))
    if (!file) return undefined
    return JSON.parse(readFileSync(join(directory, file), "utf8"))
  }

  async eventually<T>(
    condition: () => T | false | undefined | Promise<T | false | undefined>,
    what: () => string,
  ): Promise<T> {
    return until(condition, { withinMs: patienceMs, everyMs: 50, what: () => `${what()}\n${this.#lastWords()}` })
  }

  /** `kill -9`, and its end. */
  async kill(...nodes: readonly BenchNode[]): Promise<void> {
    for (const { process } of nodes) process.kill()
    await Promise.all(nodes.map(({ process }) => process.ended))
  }

  addressesOf(nodes: readonly BenchNode[]): Address[] {
    return nodes.map(({ process }) => process.address)
  }

  #lastWords(): string {
    return this.#nodes.map(({ name, process }) => `--- ${name}\n${process.tail}`).join("\n")
  }

  async #endAll(): Promise<void> {
    for (const { observer } of this.#nodes) observer.close()
    await this.kill(...this.#nodes)
    rmSync(this.directory, { recursive: true, force: true })
  }
}
