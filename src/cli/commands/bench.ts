/** `dcache bench`: how fast a running cluster answers. */
import type { Writable } from "node:stream"
import { Command, Option } from "clipanion"
import type { Distribution } from "../../../harness/bench/load/distribution.ts"
import type { BenchOptions, BenchReport, BenchWatcher } from "../../../harness/bench/load/run.ts"
import { CacheError } from "../../client/errors.ts"
import { maxValueBytes } from "../../protocol/limits.ts"
import { AskingCommand } from "../client-command.ts"
import { type ExitCode, exitCodes } from "../exit-codes.ts"
import { UsageError } from "../failure.ts"
import { abortOnSignals } from "../interruption.ts"
import type { Env } from "../output.ts"
import { duration, size, wholeNumber } from "../values.ts"

export class BenchCommand extends AskingCommand {
  static override paths = [["bench"]]
  static override usage = Command.Usage({
    description: "load a running cluster, and print how fast it answers",
    details: `
Writes keys of its own first ("bench:0000000000" and so on, gone by themselves after ten minutes), then reads and writes them.
Without --rate every caller asks again as soon as it is answered; latencies are then corrected for the questions that a late
answer held back. With --rate operations fall due at that rate, whether those before are answered or not, and latency
counts from then.

Exit status: 0 done, 3 nobody reachable, 5 some operations were not answered, 130 interrupted (what was measured is printed).`,
    examples: [
      ["The local node, 90 % reads", "dcache bench"],
      [
        "Twice as many callers, small values, a few keys much hotter than the rest",
        "dcache bench --pipeline 32 --value-size 10B --distribution zipf",
      ],
      ["Latency at a load that it should bear", "dcache bench --node 10.0.0.7 --rate 5000 --duration 1m"],
      ["Writes alone, for programs", "dcache bench --ratio 1:0 --json"],
    ],
  })

  clients = Option.String("--clients", { description: "<N> clients, each with connections of its own; default 4" })
  pipeline = Option.String("--pipeline", {
    description: "<N> calls that each client has under way at most; default 16",
  })
  ratio = Option.String("--ratio", { description: "<SETS:GETS> default 1:9" })
  valueSize = Option.String("--value-size", { description: "<SIZE> of every value; default 100B" })
  keys = Option.String("--keys", { description: "<N> how many keys; default 10000" })
  distribution = Option.String("--distribution", {
    description: "<NAME> uniform, zipf (exponent 0.99), or zipf:EXPONENT; default uniform",
  })
  duration = Option.String("--duration", { description: "<DURATION> of the load; default 10s" })
  rate = Option.String("--rate", { description: "<N> operations a second, or max; default max" })
  seed = Option.String("--seed", { description: "<N> repeats the choices of another run; default: by chance" })

  override async execute(): Promise<number> {
    const options = { ...benchSettings(this), nodes: this.nodes(), timeoutMs: this.timeoutMs() }
    const { stdout, stderr, env } = this.context
    return bench({ options, format: this.json ? "json" : "text", stdout, stderr, env })
  }
}

export type BenchForm = Pick<
  BenchCommand,
  "clients" | "pipeline" | "ratio" | "valueSize" | "keys" | "distribution" | "duration" | "rate" | "seed"
>

const entriesLiveMs = 600_000
/** The usual exponent of such benchmarks (YCSB: Cooper et al., 2010). */
const usualExponent = 0.99

/** Reads the form; throws `UsageError`. */
export function benchSettings(form: BenchForm): Omit<BenchOptions, "nodes" | "timeoutMs"> {
  const number = (flag: string, text: string | undefined, otherwise: number, max: number, min = 1) =>
    text === undefined ? otherwise : wholeNumber({ flag, text }, { min, max })
  return {
    clients: number("--clients", form.clients, 4, 1_000),
    pipeline: number("--pipeline", form.pipeline, 16, 100_000),
    setShare: form.ratio === undefined ? 0.1 : setShareOf(form.ratio),
    valueBytes: form.valueSize === undefined ? 100 : valueBytesOf(form.valueSize),
    keys: number("--keys", form.keys, 10_000, 100_000_000),
    distribution: form.distribution === undefined ? { kind: "uniform" } : distributionOf(form.distribution),
    durationMs:
      form.duration === undefined
        ? 10_000
        : duration({ flag: "--duration", text: form.duration }, { minMs: 100, maxMs: 86_400_000 }),
    rate: form.rate === undefined || form.rate === "max" ? undefined : number("--rate", form.rate, 1, 10_000_000),
    seed: number("--seed", form.seed, Math.floor(Math.random() * 1e9), 4_294_967_295, 0),
    ttlMs: entriesLiveMs,
  }
}

function setShareOf(text: string): number {
  const [, sets, gets] = /^(\d{1,6}):(\d{1,6})$/.exec(text) ?? []
  const sum = Number(sets) + Number(gets)
  if (sum > 0) return Number(sets) / sum // NaN is not above 0
  throw new UsageError("must be two whole numbers, of writes and of reads, like 1:9", { flag: "--ratio", text })
}

function valueBytesOf(text: string): number {
  const given = { flag: "--value-size", text }
  const bytes = size(given)
  if (bytes <= maxValueBytes) return bytes
  throw new UsageError(`must be ${maxValueBytes} bytes or less: no node takes larger values`, given)
}

function distributionOf(text: string): Distribution {
  if (text === "uniform") return { kind: "uniform" }
  const [, exponent] = /^zipf(?::(\d+(?:\.\d+)?))?$/.exec(text) ?? [text, "0"]
  const value = Number(exponent ?? usualExponent)
  if (value > 0 && value <= 10) return { kind: "zipf", exponent: value }
  throw new UsageError("must be uniform, zipf, or zipf with an exponent above 0 and at most 10, like zipf:1.2", {
    flag: "--distribution",
    text,
  })
}

type Bench = {
  readonly options: BenchOptions
  readonly format: "text" | "json"
  readonly stdout: Writable
  readonly stderr: Writable
  readonly env: Env
}

export async function bench({ options, format, stdout, stderr, env }: Bench): Promise<ExitCode> {
  const [{ runBench }, { benchProgressLine, benchText }, { coloursFor, Progress }, { table }] = await Promise.all([
    import("../../../harness/bench/load/run.ts"),
    import("../../../harness/bench/load/report.ts"),
    import("../output.ts"),
    import("../table.ts"),
  ])
  const progress = new Progress(stderr)
  const watcher: BenchWatcher = {
    line: text => {
      progress.clear()
      stderr.write(`${text}\n`)
    },
    progress: state => progress.show(benchProgressLine(state)),
  }
  const interruption = abortOnSignals()
  let report: BenchReport
  try {
    report = await runBench(options, watcher, interruption.signal)
  } catch (error) {
    if (interruption.signal.aborted) return exitCodes.interrupted
    if (error instanceof CacheError) throw await failureOf(error, options)
    throw error
  } finally {
    progress.clear()
    interruption.end()
  }
  if (format === "json") stdout.write(`${JSON.stringify(report)}\n`)
  else stdout.write(benchText(report, (columns, rows) => table(columns, rows, coloursFor(stdout, env))))
  if (interruption.signal.aborted) return exitCodes.interrupted
  return report.operations.all.failed > 0 ? exitCodes.refused : exitCodes.done
}

/** The keys could not be written, or nobody was there. */
async function failureOf(error: CacheError, { nodes }: BenchOptions): Promise<Error> {
  const { commandFailure } = await import("../outcomes.ts")
  const { code } = error
  // Of those only single answers are made, which here would be our own mistake.
  if (code === "not-a-number" || code === "unreadable-value" || code === "unexpected-answer") return error
  // Whatever the keys of a bench hold afterwards is of no interest to anybody.
  return commandFailure({ kind: "failed", code, mayHaveHappened: "no" }, nodes)
}
