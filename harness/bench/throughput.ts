/**
 * Operations a second and CPU an operation, ours and a peer's in one run: keys of 16 bytes, values of 100, asked by 64
 * callers, by `Promise.all` of 100 and by many-key calls of 100. Rounds are interleaved, so that what else the machine does
 * meets all alike; printed are medians.
 *
 *     npm run bench -- throughput [--rounds 5] [--ms 1000] [--reads 0.9] [--program ./dcache] [--only dcache] [--json]
 */
import path from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import Table from "cli-table3"
import { Prng } from "../../src/base/prng.ts"
import { dcacheTarget } from "./throughput/dcache.ts"
import { type Cell, cellText, fill, middle, type Mode, measure, modes } from "./throughput/measure.ts"
import { redisTarget } from "./throughput/redis.ts"
import type { Skipped, Target } from "./throughput/target.ts"

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    ms: { type: "string", default: "1000" },
    reads: { type: "string", default: "0.9" },
    program: { type: "string", default: fileURLToPath(new URL("../../dcache", import.meta.url)) },
    only: { type: "string", default: "" },
    json: { type: "boolean", default: false },
  },
})
const program = path.resolve(values.program)
const command = program.endsWith(".ts") ? { file: process.execPath, args: [program] } : { file: program, args: [] }
const prng = new Prng(1)

const makers: readonly (() => Promise<Target | Skipped>)[] = [
  () => dcacheTarget({ command, nodes: 1, copies: 1 }),
  () => dcacheTarget({ command, nodes: 3, copies: 2 }),
  redisTarget,
]
const targets: Target[] = []
const skipped: string[] = []
try {
  for (const make of makers) {
    const target = await make()
    if ("skipped" in target) skipped.push(target.skipped)
    else targets.push(target)
  }
  const chosen = targets.filter(({ name }) => name.startsWith(values.only))
  print(await rounds(chosen))
} finally {
  for (const target of targets) await target.close()
}

type Row = { readonly name: string; readonly cells: Readonly<Record<Mode, Cell>> }

async function rounds(targets: readonly Target[]): Promise<Row[]> {
  const options = { ms: Number(values.ms), readShare: Number(values.reads), prng }
  for (const target of targets) {
    await fill(target)
    // Compilers have done their work before anything counts.
    for (const mode of modes) await measure(target, mode, options)
  }
  const seen = targets.map(() => new Map<Mode, Cell[]>(modes.map(mode => [mode, []])))
  for (let round = 0; round < Number(values.rounds); round++)
    for (const mode of modes)
      for (const [index, target] of targets.entries())
        seen[index]?.get(mode)?.push(await measure(target, mode, options))
  return targets.map(({ name }, index) => {
    const of = (mode: Mode) => middle(seen[index]?.get(mode) ?? [])
    return { name, cells: Object.fromEntries(modes.map(mode => [mode, of(mode)])) as Row["cells"] } // a cell for each
  })
}

function print(rows: readonly Row[]): void {
  if (values.json) {
    console.log(JSON.stringify({ ...values, rows, skipped }, null, 2))
    return
  }
  const table = new Table({ head: ["median ops/s; CPU µs an operation, client / servers", ...modes] })
  for (const { name, cells } of rows) table.push([name, ...modes.map(mode => cellText(cells[mode]))])
  console.log(table.toString())
  for (const reason of skipped) console.log(`left out: ${reason}`)
}
