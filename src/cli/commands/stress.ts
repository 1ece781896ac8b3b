/** `dcache stress`: a cluster of real processes under load and faults, and a verdict on every answer that it gave. */
import { createWriteStream } from "node:fs"
import { Readable, type Writable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { Command, Option } from "clipanion"
import {
  type FaultKind,
  faultKinds,
  fewestNodesForFaults,
  usualFaultKinds,
} from "../../../harness/cluster/fault-plan.ts"
import { historyLine, type Operation } from "../../../harness/checker/history.ts"
import type { StressAtOptions } from "../../../harness/cluster/stress-at.ts"
import type { StressOptions, StressResult, StressWatcher } from "../../../harness/cluster/stress.ts"
import { defaultPort, formatAddress } from "../../base/address.ts"
import { parseDuration } from "../../base/duration.ts"
import { makeDirectory } from "../../host/make-directory.ts"
import { type ExitCode, exitCodes } from "../exit-codes.ts"
import { CommandFailure, UsageError } from "../failure.ts"
import { abortOnSignals } from "../interruption.ts"
import { memoryForEntries } from "../memory.ts"
import { memorySize } from "../node-settings.ts"
import type { Env } from "../output.ts"
import { selfCommand } from "../self-command.ts"
import { address, type Given, listed, oneOf, wholeNumber } from "../values.ts"

export class StressCommand extends Command {
  static override paths = [["stress"]]
  static override usage = Command.Usage({
    description: "start many nodes here, load them, hurt them, and check every answer",
    details: `
Starts nodes of its own on loopback; nothing else is touched. While a load goes on, one node after another is killed,
paused, told to leave, added, or restarted. Then every key is read back through three nodes, and the whole history is
judged: could one machine, doing one operation at a time, have given these answers?

With --at a cluster that runs already is loaded and judged instead, and nothing is done to its nodes. It writes keys of its
own ("stress:...") and deletes them.

Exit status: 0 consistent, 1 inconsistent (a bug of dcache), 4 undecided, 3 could not run. All nodes share this machine:
at a rate that keeps it busy, times say more about the machine than about the cluster.`,
    examples: [
      ["Twenty nodes, five kinds of fault, less than two minutes", "dcache stress"],
      [
        "Every kind of fault that it can make, also ten seconds of standstill",
        "dcache stress --faults all --duration 3m",
      ],
      ["Only crashes and restarts, for ten minutes", "dcache stress --faults crash,restart --duration 10m"],
      ["As much load as the machine can do, without faults", "dcache stress --faults none --rate max"],
      ["Nodes that have memory for a third of the keys", "dcache stress --memory 16MiB"],
      ["Check a running cluster for a minute", "dcache stress --at 10.0.0.7:5555 --duration 1m --rate max"],
      ["Results for programs", "dcache stress --report report.json --history history.jsonl"],
    ],
  })

  at = Option.Array("--at", {
    description: "<HOST:PORT> check the running cluster of this node; repeatable; starts no nodes, makes no faults",
  })
  nodes = Option.String("--nodes", { description: "<N> how many nodes; default 20" })
  copies = Option.String("--copies", { description: "<N> copies of each entry; default 2" })
  clients = Option.String("--clients", {
    description: "<N> processes of the load, each with one operation at a time; default 64",
  })
  keys = Option.String("--keys", { description: "<N> how many keys; default 2000" })
  duration = Option.String("--duration", {
    description: "<DURATION> of the load; longer if a kind of fault has not happened by then; default 40s",
  })
  rate = Option.String("--rate", { description: "<N> operations a second, or max; default 300" })
  memory = Option.String("--memory", {
    description:
      "<SIZE> so little for each node that entries are forgotten: values are as long as that takes; a miss is then no fault, an older value is",
  })
  seed = Option.String("--seed", { description: "<N> repeats the choices of another run; default: by chance" })
  faults = Option.Array("--faults", {
    description: `<KINDS> of ${faultKinds.join(", ")}, between commas; or all, or none; default the first ${usualFaultKinds.length}`,
  })
  report = Option.String("--report", { description: "<FILE> write everything found, as JSON" })
  history = Option.String("--history", { description: "<FILE> write the history, one JSON line an operation" })
  logs = Option.String("--logs", {
    description: "<DIRECTORY> write what each node logs, down to debug, a file a process",
  })
  json = Option.Boolean("--json", false, { description: "print the report as JSON instead of tables" })

  override async execute(): Promise<number> {
    const { report, history, logs } = this
    const { stdout, stderr, env } = this.context
    const writing = { report, history, format: this.json ? "json" : "text", stdout, stderr, env } as const
    const at = listed("--at", this.at).map(text => formatAddress(address(text, defaultPort)))
    if (at.length > 0) return stress({ options: { at, ...stressAtSettings(this) }, ...writing })
    const options: StressOptions = { ...stressSettings(this), command: selfCommand(), logDirectory: logs }
    return stress({ options, ...writing })
  }
}

export type StressForm = Pick<
  StressCommand,
  "nodes" | "copies" | "clients" | "keys" | "duration" | "rate" | "memory" | "seed" | "faults" | "logs"
>

export type StressSettings = Omit<StressOptions, "command" | "logDirectory">

const maxNodes = 200
/** Of each node: far more than a run stores, and little enough that two hundred of them promise less than a large machine has. */
const plentyOfMemory = "256MiB"
/** Of what entries may take in all nodes together, what the keys need where nodes are to forget. */
const crowding = 3
const longestValueBytes = 64 * 1024

/** Reads the form; throws `UsageError`. */
export function stressSettings(form: StressForm): StressSettings {
  const number = (flag: string, text: string | undefined, otherwise: number, bounds: { min: number; max: number }) =>
    text === undefined ? otherwise : wholeNumber({ flag, text }, bounds)
  const nodes = number("--nodes", form.nodes, 20, { min: 1, max: maxNodes })
  const faults = chosenFaults(form.faults)
  if (faults.length > 0 && nodes < fewestNodesForFaults) {
    throw new UsageError(`faults need ${fewestNodesForFaults} nodes or more; --faults none does without`, {
      flag: "--nodes",
      text: String(nodes),
    })
  }
  const copies = number("--copies", form.copies, 2, { min: 1, max: 7 })
  const keys = number("--keys", form.keys, 2_000, { min: 1, max: 1_000_000 })
  return {
    ...{ nodes, copies, keys, ...memorySettings(form, { nodes, copies, keys }) },
    clients: number("--clients", form.clients, 64, { min: 1, max: 1_000 }),
    durationMs: form.duration === undefined ? 40_000 : duration({ flag: "--duration", text: form.duration }),
    rate: rateOf(form.rate),
    seed: number("--seed", form.seed, Math.floor(Math.random() * 1e9), { min: 0, max: 4_294_967_295 }),
    faults,
  }
}

function memorySettings(
  { memory, logs }: StressForm,
  { nodes, copies, keys }: { readonly nodes: number; readonly copies: number; readonly keys: number },
): Pick<StressSettings, "memory" | "valueBytes" | "nodeArgs"> {
  const logArgs = logs === undefined ? [] : ["--json", "--log-level", "debug"]
  if (memory === undefined)
    return { memory: "strict", nodeArgs: ["--memory", plentyOfMemory, "--eviction", "none", ...logArgs] }
  const entriesBytes = nodes * memoryForEntries(memorySize({ flag: "--memory", text: memory }))
  const valueBytes = Math.min(longestValueBytes, Math.ceil((crowding * entriesBytes) / (copies * keys)))
  return { memory: "forgetful", valueBytes, nodeArgs: ["--memory", memory, ...logArgs] }
}

/** For a cluster that others started. Throws `UsageError` for what makes sense only with nodes of its own. */
export function stressAtSettings(form: StressForm): Omit<StressAtOptions, "at"> {
  const { nodes, copies, faults, logs, memory } = form
  const own = { "--nodes": nodes, "--copies": copies, "--logs": logs, "--memory": memory }
  for (const [flag, text] of Object.entries(own)) {
    if (text !== undefined)
      throw new UsageError("is for nodes that stress starts itself; with --at it starts none", { flag, text })
  }
  if (faults !== undefined && chosenFaults(faults).length > 0) {
    const text = faults.join(",")
    throw new UsageError("with --at no faults are made: the nodes are not its own", { flag: "--faults", text })
  }
  const { clients, keys, durationMs, rate, seed } = stressSettings({ ...form, faults: ["none"] })
  return { clients, keys, durationMs, rate, seed }
}

function chosenFaults(texts: readonly string[] | undefined): readonly FaultKind[] {
  const given = listed("--faults", texts)
  if (given.length === 0) return usualFaultKinds
  const alone = given.find(({ text }) => text === "none" || text === "all")?.text
  if (alone !== undefined) {
    if (given.length === 1) return alone === "all" ? faultKinds : []
    const text = given.map(one => one.text).join(",")
    throw new UsageError(`${alone} goes with no other kind`, { flag: "--faults", text })
  }
  return [...new Set(given.map(one => oneOf(one, faultKinds)))]
}

function rateOf(text: string | undefined): number | undefined {
  if (text === "max") return undefined
  if (text === undefined) return 300
  return wholeNumber({ flag: "--rate", text }, { min: 1, max: 1_000_000 })
}

function duration(given: Given): number {
  const ms = parseDuration(given.text)
  if (typeof ms !== "number") throw new UsageError(ms.problem, given)
  return ms
}

// ---------------------------------------------------------------------------------------------------------- the work

type Stress = {
  readonly options: StressOptions | StressAtOptions
  /** Files to write; undefined: none. */
  readonly report: string | undefined
  readonly history: string | undefined
  readonly format: "text" | "json"
  readonly stdout: Writable
  readonly stderr: Writable
  readonly env: Env
}

export async function stress({ options, report, history, format, stdout, stderr, env }: Stress): Promise<ExitCode> {
  const [{ runStress }, { runStressAt }, { reportText }, { progressLine }, { CouldNotRun }] = await Promise.all([
    import("../../../harness/cluster/stress.ts"),
    import("../../../harness/cluster/stress-at.ts"),
    import("../../../harness/cluster/report.ts"),
    import("../../../harness/cluster/progress-line.ts"),
    import("../../../harness/cluster/could-not-run.ts"),
  ])
  const [{ coloursFor, Progress }, { table }] = await Promise.all([import("../output.ts"), import("../table.ts")])
  // Known before the nodes are started: minutes later is late to learn of a mistyped path.
  for (const file of [report, history]) if (file !== undefined) await writeOrFail(file, [])
  if ("nodes" in options && options.logDirectory !== undefined) makeDirectoryOrFail(options.logDirectory)
  const progress = new Progress(stderr)
  const watcher: StressWatcher = {
    line: text => {
      progress.clear()
      ;(format === "json" ? stderr : stdout).write(`${text}\n`)
    },
    progress: state => progress.show(progressLine(state)),
  }
  const interruption = abortOnSignals()
  let result: StressResult
  try {
    result =
      "at" in options
        ? await runStressAt(options, watcher, interruption.signal)
        : await runStress(options, watcher, interruption.signal)
  } catch (error) {
    if (interruption.signal.aborted) return exitCodes.interrupted
    if (error instanceof CouldNotRun) throw new CommandFailure(exitCodes.unreachable, error.message)
    throw error
  } finally {
    progress.clear()
    interruption.end()
  }
  if (report !== undefined) await writeOrFail(report, [`${JSON.stringify(result.report, null, 2)}\n`])
  if (history !== undefined) await writeOrFail(history, historyLines(result.history))
  if (format === "json") stdout.write(`${JSON.stringify(result.report)}\n`)
  else {
    const colours = coloursFor(stdout, env)
    stdout.write(`\n${reportText(result.report, (columns, rows) => table(columns, rows, colours))}`)
  }
  return { consistent: exitCodes.done, inconsistent: exitCodes.no, undecided: exitCodes.unknown }[result.report.verdict]
}

/** Line by line: a history can be longer than one string may be. */
function* historyLines(history: readonly Operation[]): Generator<string> {
  for (const operation of history) yield historyLine(operation)
}

function makeDirectoryOrFail(path: string): void {
  try {
    makeDirectory(path)
  } catch (error) {
    throw new CommandFailure(
      exitCodes.unreachable,
      `cannot make ${path}: ${error instanceof Error ? error.message : error}`,
    )
  }
}

async function writeOrFail(file: string, chunks: Iterable<string>): Promise<void> {
  try {
    await pipeline(Readable.from(chunks), createWriteStream(file))
  } catch (error) {
    throw new CommandFailure(
      exitCodes.unreachable,
      `cannot write ${file}: ${error instanceof Error ? error.message : error}`,
    )
  }
}
