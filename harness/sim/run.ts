/**
 * `npm run sim -- --seed N`: replays one random run with its trace; `--seeds A..B` runs many and says what they
 * exercised; `--without RULE` switches one rule of the protocol off, to see it missed.
 */
import { parseArgs } from "node:util"
import { allRules, type Rules } from "../../src/core/rules.ts"
import { type RunReport, randomRun } from "./random-run.ts"

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    seeds: { type: "string" },
    without: { type: "string", multiple: true },
    quiet: { type: "boolean" },
    nodes: { type: "string" },
  },
})

const rules: Partial<Rules> = Object.fromEntries((values.without ?? []).map(name => [ruleNamed(name), false]))
const nodes = values.nodes === undefined ? {} : { nodes: Number(values.nodes) }

if (values.seed !== undefined) {
  const print = values.quiet ? {} : { print: (line: string) => console.log(line) }
  const report = randomRun({ seed: Number(values.seed), rules, ...nodes, ...print })
  printReport(report)
  process.exitCode = report.violations.length === 0 ? 0 : 1
} else {
  const [from = 1, to = 100] = (values.seeds ?? "1..100").split("..").map(Number)
  process.exitCode = runMany(from, to) === 0 ? 0 : 1
}

function runMany(from: number, to: number): number {
  const began = performance.now()
  const reports: RunReport[] = []
  for (let seed = from; seed <= to; seed++) {
    const beganSeed = performance.now()
    const report = randomRun({ seed, rules, ...nodes })
    reports.push(report)
    const tookMs = performance.now() - beganSeed
    if (report.violations.length > 0) printReport(report)
    else if (tookMs > 2_000) console.log(`seed ${seed} took ${tookMs.toFixed(0)} ms, ${report.steps} steps`)
  }
  const broken = reports.filter(report => report.violations.length > 0)
  const faults = new Map<string, number>()
  for (const report of reports)
    for (const [kind, count] of report.faults) faults.set(kind, (faults.get(kind) ?? 0) + count)
  const sum = (of: (report: RunReport) => number) => reports.reduce((total, report) => total + of(report), 0)
  const longest = (of: (report: RunReport) => number) =>
    Math.max(...reports.map(of).filter(value => !Number.isNaN(value))).toFixed(0)
  console.log(
    `${reports.length} seeds in ${((performance.now() - began) / 1_000).toFixed(1)} s: ${broken.length} broken` +
      ` (${broken.map(({ seed }) => seed).join(" ")})`,
  )
  console.log(
    `${sum(r => r.operations)} operations, ${sum(r => r.answered)} answered, ${sum(r => r.views)} views, ` +
      `${sum(r => r.processes)} processes, ${(sum(r => r.virtualMs) / 1_000).toFixed(0)} virtual seconds, ${sum(r => r.steps)} events, ` +
      `${reports.filter(r => r.isStopped).length} stopped without a majority; ` +
      `agreed at most ${longest(r => r.agreedAfterMs)} ms after the faults, at rest after ${longest(r => r.restAfterMs)} ms`,
  )
  console.log([...faults].map(([kind, count]) => `${kind} ${count}`).join(", "))
  return broken.length
}

function printReport(report: RunReport): void {
  for (const { promise, what, atMs } of report.violations)
    console.log(`seed ${report.seed}: at ${atMs.toFixed(2)} ms broken: ${promise}\n  ${what}`)
  console.log(
    `seed ${report.seed}: ${report.operations} operations, ${report.views} views, ${report.processes} processes, ` +
      `${report.virtualMs.toFixed(0)} virtual ms, ${report.steps} events, trace ${report.traceHash}`,
  )
}

function ruleNamed(name: string): keyof Rules {
  const rule = (Object.keys(allRules) as (keyof Rules)[]).find(known => known === name) // the keys of a literal
  if (rule === undefined) throw new Error(`no rule ${name}: ${Object.keys(allRules).join(", ")}`)
  return rule
}
