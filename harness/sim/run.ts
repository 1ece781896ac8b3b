/** Random runs from the command line. `npm run sim -- --help` says which. */
import { allRules, type Rules } from "../../src/core/rules.ts"
import { readCommandLine, refuse } from "../command-line.ts"
import { type RunOptions, type RunReport, randomRun } from "./random-run.ts"
import { runMany } from "./run-many.ts"
import { scaleLines, scaleRun } from "./scale.ts"
import { shrink } from "./shrink.ts"
import { type Broken, summaryLines } from "./summary.ts"

const help = `usage: npm run sim -- [OPTIONS]
simulated clusters under every kind of fault, each run from a seed and judged; ends with 1 when a promise was broken

  --seeds 10000        that many runs (100 unless stated) on all cores, and what they exercised; or --seeds 301..700
  --seed 42            one run with its trace; --quiet without
  --faults 3,7         with --seed: these alone of the faults that it plans
  --without barrier    one rule of the protocol switched off, to see it missed; repeatable
  --nodes 5            in every run, instead of as many as the seed says
  --memory scarce      every run with so little memory that nodes forget throughout; or plenty: none
  --threads 2          as many as there are cores
  --json               the summary for programs
  --scenario scale     how a cluster behaves that is as large as --nodes says: 20,100,1000

A run that breaks a promise is shrunk to the fewest faults that break it, and the command that replays it is printed.`

const values = readCommandLine("sim", help, {
  seed: { type: "string" },
  seeds: { type: "string" },
  faults: { type: "string" },
  without: { type: "string", multiple: true },
  nodes: { type: "string" },
  memory: { type: "string" },
  scenario: { type: "string" },
  threads: { type: "string" },
  quiet: { type: "boolean" },
  json: { type: "boolean" },
})

const shape: Omit<RunOptions, "seed" | "print"> = {
  rules: Object.fromEntries((values.without ?? []).map(name => [ruleNamed(name), false])),
  ...(values.nodes === undefined || values.scenario !== undefined ? {} : { nodes: whole("--nodes", values.nodes) }),
  ...(values.memory === undefined ? {} : { memory: memoryNamed(values.memory) }),
  ...(values.faults === undefined
    ? {}
    : {
        onlyFaults: new Set(
          values.faults
            .split(",")
            .filter(Boolean)
            .map(place => whole("--faults", place)),
        ),
      }),
}

if (values.scenario !== undefined) scenario(values.scenario)
else process.exitCode = values.seed === undefined ? await many() : one(whole("--seed", values.seed))

function scenario(name: string): void {
  if (name !== "scale") refuse("sim", `--scenario: there is no ${JSON.stringify(name)}; there is: scale`)
  const meter = { nowMs: () => performance.now(), residentBytes: () => process.memoryUsage.rss() }
  const sizes = (values.nodes ?? "20,100,1000").split(",").map(size => whole("--nodes", size))
  for (const line of scaleLines(sizes.map(size => scaleRun(size, 4_096, meter)))) console.log(line)
}

function one(seed: number): number {
  const print = values.quiet ? {} : { print: (line: string) => console.log(line) }
  const report = randomRun({ seed, ...shape, ...print })
  tell(report)
  console.log(
    `seed ${seed}: ${report.operations} operations, ${report.views} views, ${report.processes} processes, ` +
      `${report.virtualMs.toFixed(0)} virtual ms, ${report.steps} events, trace ${report.traceHash}`,
  )
  if (report.violations.length > 0 && values.faults === undefined) shrunk(report)
  return report.violations.length === 0 ? 0 : 1
}

async function many(): Promise<number> {
  const [from = 1, to = 100] = seedRange(values.seeds ?? "100")
  const beganAtMs = performance.now()
  const secondsGone = () => (performance.now() - beganAtMs) / 1_000
  const summary = await runMany({
    ...{ from, to, run: shape },
    ...(values.threads === undefined ? {} : { threads: whole("--threads", values.threads) }),
    progress: (done, broken) => {
      if (!process.stderr.isTTY || values.json) return
      const perSecond = done / secondsGone()
      const leftSeconds = (to - from + 1 - done) / perSecond
      process.stderr.write(
        `\r${done} of ${to - from + 1} runs, ${broken} broken, ${perSecond.toFixed(1)} a second, ${leftSeconds.toFixed(0)} s left \x1b[K`,
      )
    },
  })
  if (process.stderr.isTTY && !values.json) process.stderr.write("\r\x1b[K")
  if (values.json) console.log(JSON.stringify({ ...summary, seconds: Math.round(secondsGone()) }, null, 2))
  else {
    for (const broken of summary.broken) tell(broken)
    const [first] = summary.broken
    if (first !== undefined) shrunk(randomRun({ seed: first.seed, ...shape }))
    for (const line of summaryLines(summary)) console.log(line)
    const seconds = secondsGone()
    console.log(`${"took".padEnd(18)}${seconds.toFixed(0)} s, ${(summary.seeds / seconds).toFixed(1)} runs a second`)
  }
  return summary.broken.length === 0 ? 0 : 1
}

function tell({ seed, violations }: Broken): void {
  for (const { promise, what, atMs } of violations)
    console.log(`seed ${seed}: at ${atMs.toFixed(2)} ms broken: ${promise}\n  ${what}`)
}

function shrunk(report: RunReport): void {
  const { faults, attempts, report: small } = shrink({ seed: report.seed, ...shape }, report)
  const without = (values.without ?? []).map(rule => ` --without ${rule}`).join("")
  console.log(
    `seed ${report.seed}: ${faults.length} of its ${report.planned.length} faults suffice (${attempts} runs tried):`,
  )
  for (const place of faults) {
    const fault = small.planned[place]
    console.log(`  ${place}: ${fault?.kind} at ${fault?.atMs.toFixed(1)} ms`)
  }
  console.log(`replay it: npm run sim -- --seed ${report.seed} --faults ${faults.join(",") || ","}${without}`)
}

/** `A..B`, or how many from 1. */
function seedRange(text: string): [number, number] {
  const [from, to] = text.split("..")
  return to === undefined ? [1, whole("--seeds", text)] : [whole("--seeds", from), whole("--seeds", to)]
}

function whole(flag: string, text: string | undefined): number {
  if (text !== undefined && /^\d{1,15}$/.test(text)) return Number(text)
  refuse("sim", `${flag}: ${JSON.stringify(text)} is no whole number`)
}

function memoryNamed(name: string): "scarce" | "plenty" {
  if (name === "scarce" || name === "plenty") return name
  refuse("sim", `--memory: ${JSON.stringify(name)} is neither scarce nor plenty`)
}

function ruleNamed(name: string): keyof Rules {
  const rule = (Object.keys(allRules) as (keyof Rules)[]).find(known => known === name) // the keys of a literal
  if (rule !== undefined) return rule
  refuse("sim", `--without: no rule ${JSON.stringify(name)}; there are ${Object.keys(allRules).join(", ")}`)
}
