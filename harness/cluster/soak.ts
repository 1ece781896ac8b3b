/**
 * A long run of every kind of fault, in parts: each part is a `stress` of its own with another seed, so that its history can be
 * judged to the end. `npm run soak -- --help` says the rest.
 */
import { writeFileSync } from "node:fs"
import { readCommandLine, refuse } from "../command-line.ts"
import { CouldNotRun } from "./could-not-run.ts"
import { commandUnderTest } from "./command-under-test.ts"
import { faultKinds } from "./fault-plan.ts"
import type { StressReport } from "./report.ts"
import { runStress } from "./stress.ts"

const help = `usage: npm run soak -- [OPTIONS]
nodes under load and every kind of fault, every history judged; ends with 0: consistent throughout, 1: not, 3: could not run

  --minutes 30     in all
  --part 5         minutes of a part, which has a history of its own
  --nodes 8
  --seed N         of the first part; by chance
  --report FILE    what came of it and of each part, as JSON`

const values = readCommandLine("soak", help, {
  minutes: { type: "string", default: "30" },
  nodes: { type: "string", default: "8" },
  part: { type: "string", default: "5" },
  seed: { type: "string", default: String(Math.floor(Math.random() * 1e9)) },
  report: { type: "string" },
})
const minutes = numberFrom("--minutes", values.minutes, 0.1)
const partMinutes = numberFrom("--part", values.part, 0.1)
const nodes = numberFrom("--nodes", values.nodes, 3)
const seed = numberFrom("--seed", values.seed, 0)

const interruption = new AbortController()
process.on("SIGINT", () => interruption.abort())
const startedAtMs = performance.now()
const reports: StressReport[] = []
try {
  for (let part = 0; minutesSince(startedAtMs) < minutes; part++) {
    const left = minutes - minutesSince(startedAtMs)
    say(`part ${part + 1}, ${left.toFixed(1)} minutes left`)
    const { report } = await runStress(
      {
        ...{
          nodes,
          copies: 2 + (part % 2),
          clients: 24,
          keys: 1_000,
          rate: 150,
          seed: seed + part,
          faults: faultKinds,
          memory: "strict",
        },
        durationMs: Math.min(partMinutes, left) * 60_000,
        command: commandUnderTest(),
        // What is judged is that nothing is lost.
        nodeArgs: ["--memory", "64MiB", "--eviction", "none"],
      },
      { line: text => say(`  ${text}`), progress: () => {} },
      interruption.signal,
    )
    reports.push(report)
    say(`  ${report.verdict}: ${report.operations.all.count} operations, ${report.faults.length} faults`)
    if (report.verdict !== "consistent") break
  }
} catch (error) {
  if (interruption.signal.aborted) process.exit(130)
  if (!(error instanceof CouldNotRun)) throw error
  process.stderr.write(`soak: ${error.message}\n`)
  process.exit(3)
}

const faults = reports.flatMap(report => report.faults)
const failovers = faults.flatMap(({ failoverMs }) => failoverMs ?? []).sort((a, b) => a - b)
const sum = (of: (report: StressReport) => number) => reports.reduce((total, report) => total + of(report), 0)
const total = {
  minutes: minutesSince(startedAtMs),
  ...{ nodes, seed, parts: reports.length },
  operations: sum(({ operations }) => operations.all.count),
  failedOperations: sum(({ operations }) => operations.all.errors),
  faults: Object.fromEntries(faultKinds.map(kind => [kind, faults.filter(fault => fault.kind === kind).length])),
  longestUnansweredMs: { median: failovers[Math.floor(failovers.length / 2)] ?? null, worst: failovers.at(-1) ?? null },
  lostWrites: sum(({ lostWrites }) => lostWrites),
  violations: sum(({ violations }) => violations.length),
  undecidedKeys: sum(({ undecidedKeys }) => undecidedKeys.length),
  unexpectedRemovals: sum(({ membership }) => membership.unexpectedRemovals.length),
  problems: reports.flatMap(({ problems }) => problems),
  verdict: reports.find(({ verdict }) => verdict !== "consistent")?.verdict ?? "consistent",
}
process.stdout.write(`${JSON.stringify(total, null, 2)}\n`)
if (values.report !== undefined) writeFileSync(values.report, `${JSON.stringify({ total, reports }, null, 2)}\n`)
process.exit(total.verdict === "consistent" ? 0 : 1)

function numberFrom(option: string, text: string, least: number): number {
  const number = Number(text)
  return number >= least ? number : refuse("soak", `${option}: ${JSON.stringify(text)} is no number from ${least} on`)
}

function minutesSince(ms: number): number {
  return (performance.now() - ms) / 60_000
}

function say(text: string): void {
  process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`)
}
