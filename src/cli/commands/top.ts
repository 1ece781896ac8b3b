/** `dcache top`: the cluster as it works, once a second; on a terminal as a screen, elsewhere as lines. */
import type { Readable, Writable } from "node:stream"
import { setTimeout as sleep } from "node:timers/promises"
import { Command, Option } from "clipanion"
import type { NodeId } from "../../protocol/message.ts"
import { AskingCommand } from "../client-command.ts"
import { type ClusterStatus, clusterStatus, type NodeAnswer } from "../cluster-status.ts"
import { type ExitCode, exitCodes } from "../exit-codes.ts"
import { type NodeSample, sampleOf } from "../node-sample.ts"
import { type Colours, coloursFor, isTerminal } from "../output.ts"
import { type Look, lookAt, type Order, plainLines, screenLines } from "../top-text.ts"
import { duration, wholeNumber } from "../values.ts"
import { statusOrFailure } from "./status.ts"

export class TopCommand extends AskingCommand {
  static override paths = [["top"]]
  static override usage = Command.Usage({
    description: "watch the cluster at work: members, operations, latencies, memory, moves",
    details: `
Each member is asked at its own address, once per --interval. On a terminal: a screen; q or Ctrl-C ends it, n, o, p and m order the rows. Elsewhere, or with
--json, what was seen is printed line by line. P99 is what 99 of 100 operations that clients asked of that node took no longer than, MOVES the shards that it is copying to another one.`,
    examples: [
      ["Watch the cluster of the local node", "dcache top"],
      ["Twelve looks, five seconds apart, into a file", "dcache top --interval 5s --count 12 > top.log"],
      ["One look for a program", "dcache top --count 1 --json"],
    ],
  })

  interval = Option.String("--interval", { description: "<DURATION> between two looks; default 1s" })
  count = Option.String("--count", { description: "<N> end after so many looks; default: go on" })

  override async execute(): Promise<number> {
    const intervalMs =
      this.interval === undefined
        ? 1_000
        : duration({ flag: "--interval", text: this.interval }, { minMs: 100, maxMs: 3_600_000 })
    const bounds = { min: 1, max: 1_000_000 }
    const looks =
      this.count === undefined ? Number.POSITIVE_INFINITY : wholeNumber({ flag: "--count", text: this.count }, bounds)
    const nodes = this.nodes()
    const timeoutMs = this.timeoutMs()
    const { watcher } = await import("../connect.ts")
    await using watched = await watcher({ nodes, timeoutMs })
    const { stdin, stdout, env } = this.context
    const first = statusOrFailure(await watched.ask(), nodes)
    const isScreen = isTerminal(stdout) && !this.json && env["TERM"] !== "dumb"
    const display = isScreen
      ? new Screen({ stdin, stdout, colours: coloursFor(stdout, env) })
      : this.json
        ? new JsonLines(stdout)
        : new Lines(stdout)
    return await watch({ first, ask: watched.ask, display, intervalMs, looks, timeoutMs })
  }
}

/** Where looks are shown. `ended` settles when whoever looks has seen enough. */
interface Display {
  show(look: Look): void
  readonly ended: Promise<ExitCode>
  close(): void
}

async function watch(options: {
  readonly first: ClusterStatus
  readonly ask: () => Promise<NodeAnswer[]>
  readonly display: Display
  readonly intervalMs: number
  readonly looks: number
  readonly timeoutMs: number
}): Promise<ExitCode> {
  const { ask, display, intervalMs, looks, timeoutMs } = options
  let exit: ExitCode | undefined
  const ended = display.ended.then(code => {
    exit = code
  })
  let status = options.first
  let before = new Map<NodeId, NodeSample>()
  try {
    // The first look has nothing to be compared with, and serves the others.
    before = await samples(status, Math.min(timeoutMs, intervalMs))
    for (let look = 0; look < looks; look++) {
      await Promise.race([sleep(intervalMs), ended])
      if (exit !== undefined) return exit
      const [answers, after] = await Promise.all([ask(), samples(status, timeoutMs)])
      if (exit !== undefined) return exit
      // Nobody may answer for a while; what was known is shown, with that.
      status = clusterStatus(answers) ?? silent(status, answers)
      display.show(lookAt(status, before, after))
      before = new Map([...before, ...after])
    }
    return exitCodes.done
  } finally {
    display.close()
  }
}

async function samples({ members }: ClusterStatus, timeoutMs: number): Promise<Map<NodeId, NodeSample>> {
  const found = await Promise.all(
    members.map(async ({ id, clientAddress }) => [id, await sampleOf(clientAddress, { timeoutMs })] as const),
  )
  return new Map(found.flatMap(([id, sample]) => (sample === undefined ? [] : [[id, sample] as const])))
}

function silent(status: ClusterStatus, answers: readonly NodeAnswer[]): ClusterStatus {
  const differences = answers.flatMap(({ address, ...answer }) =>
    "problem" in answer ? [`${address} does not answer: ${answer.problem}`] : [],
  )
  return {
    ...status,
    agreed: false,
    differences: differences.length > 0 ? differences : ["nobody answers"],
    members: status.members.map(member => ({ ...member, node: null })),
  }
}

class Lines implements Display {
  readonly ended: Promise<ExitCode>
  protected readonly stdout: Writable
  readonly #interrupted: () => void

  constructor(stdout: Writable) {
    this.stdout = stdout
    const { promise, resolve } = Promise.withResolvers<ExitCode>()
    this.ended = promise
    this.#interrupted = () => resolve(exitCodes.interrupted)
    process.once("SIGINT", this.#interrupted)
    // A reader that has gone wants no more.
    stdout.once("error", () => resolve(exitCodes.done))
  }

  show(look: Look): void {
    this.stdout.write(`${plainLines(look, new Date().toISOString()).join("\n")}\n`)
  }

  close(): void {
    process.removeListener("SIGINT", this.#interrupted)
  }
}

class JsonLines extends Lines {
  override show({ status, rows, ...figures }: Look): void {
    const members = rows.map(({ member, rates }) => ({ ...member, rates: rates ?? null }))
    this.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), ...figures, ...status, members })}\n`)
  }
}

const enterScreen = "\x1b[?1049h\x1b[?25l"
const leaveScreen = "\x1b[?25h\x1b[?1049l"
const orders: Readonly<Record<string, Order>> = { n: "name", o: "operations", p: "p99", m: "memory" }

/** The terminal's other screen: what was on it before is there again afterwards. */
class Screen implements Display {
  readonly ended: Promise<ExitCode>
  readonly #stdin: Readable & { setRawMode?: (isRaw: boolean) => unknown }
  readonly #stdout: Writable & { columns?: number; rows?: number }
  readonly #colours: Colours
  readonly #end: (code: ExitCode) => void
  readonly #redraw = () => this.#draw()
  readonly #interrupted = () => this.#end(exitCodes.interrupted)
  readonly #pressed = (keys: Buffer) => this.#press(keys.toString())
  #order: Order = "name"
  #look: Look | undefined

  constructor(options: { stdin: Readable; stdout: Writable; colours: Colours }) {
    this.#stdin = options.stdin
    this.#stdout = options.stdout
    this.#colours = options.colours
    const { promise, resolve } = Promise.withResolvers<ExitCode>()
    this.ended = promise
    this.#end = resolve
    this.#stdout.write(enterScreen)
    this.#stdout.on("resize", this.#redraw)
    process.once("SIGINT", this.#interrupted)
    process.once("SIGTERM", this.#interrupted)
    this.#stdin.setRawMode?.(true)
    this.#stdin.on("data", this.#pressed)
    this.#write(["asking each member once ..."])
  }

  show(look: Look): void {
    this.#look = look
    this.#draw()
  }

  close(): void {
    this.#stdin.removeListener("data", this.#pressed)
    this.#stdin.setRawMode?.(false)
    this.#stdin.pause()
    this.#stdout.removeListener("resize", this.#redraw)
    process.removeListener("SIGINT", this.#interrupted)
    process.removeListener("SIGTERM", this.#interrupted)
    this.#stdout.write(leaveScreen)
  }

  #press(keys: string): void {
    for (const key of keys) {
      // In raw mode Ctrl-C is a key like others.
      if (key === "\x03") this.#end(exitCodes.interrupted)
      if (key === "q") this.#end(exitCodes.done)
      const order = orders[key]
      if (order === undefined) continue
      this.#order = order
      this.#draw()
    }
  }

  #draw(): void {
    if (this.#look === undefined) return
    // Terminals that do not know their size say 0.
    const { columns = 0, rows = 0 } = this.#stdout
    const size = { width: columns > 0 ? columns : 80, height: rows > 0 ? rows : 24 }
    this.#write(screenLines(this.#look, { ...size, order: this.#order, colours: this.#colours }))
  }

  /** Over what is there, line by line: a screen that is wiped first flickers. */
  #write(lines: readonly string[]): void {
    this.#stdout.write(`\x1b[H${lines.map(line => `${line}\x1b[K`).join("\r\n")}\x1b[J`)
  }
}
