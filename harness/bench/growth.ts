/**
 * How cost grows: operations a second and CPU an operation with the number of nodes, the size of values, and the number of callers
 * at once. All callers are in this one process, on the machine of the nodes: what its cores do in a second is shared by
 * all of them, so CPU an operation tells more than operations a second do.
 */
import path from "node:path"
import { fileURLToPath } from "node:url"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import { formatSize, parseSize } from "../../src/base/size.ts"
import { Prng } from "../../src/base/prng.ts"
import { cpuSecondsOf } from "../cluster/cpu.ts"
import { formatTable } from "./format-table.ts"
import { parseChoice, parseCount, parseCounts, UsageError } from "./options.ts"
import { reasonOf, within } from "./patience.ts"
import { Progress } from "./progress.ts"
import { dcacheTarget } from "./throughput/dcache.ts"
import { type Cell, type Entries, entriesOf, fill, measure, middle, usualEntries } from "./throughput/measure.ts"
import type { Target } from "./throughput/target.ts"

const parts = ["nodes", "values", "callers"] as const
const { values } = parseArgs({
  options: {
    parts: { type: "string", default: "" },
    nodes: { type: "string", default: "1,3,5,10,20" },
    sizes: { type: "string", default: "10B,1KiB,64KiB,1MiB" },
    callers: { type: "string", default: "1,16,256,4096" },
    members: { type: "string", default: "3" },
    rounds: { type: "string", default: "3" },
    ms: { type: "string", default: "1000" },
    reads: { type: "string", default: "0.9" },
    program: { type: "string", default: fileURLToPath(new URL("../../dcache", import.meta.url)) },
    json: { type: "boolean", default: false },
  },
})
const chosen = parseChoice("--parts", values.parts, parts)
const nodeCounts = parseCounts("--nodes", values.nodes)
const sizes = values.sizes.split(",").map(sizeOf)
const callerCounts = parseCounts("--callers", values.callers)
const members = parseCount("--members", values.members)
const rounds = parseCount("--rounds", values.rounds)
const ms = parseCount("--ms", values.ms)
const readShare = Number(values.reads)
const program = path.resolve(values.program)
const command = program.endsWith(".ts") ? { file: process.execPath, args: [program] } : { file: program, args: [] }

const usualCallers = 64
/** Of all values together: with copies, more than any cache of a processor, and less than any node has. */
const mostValueBytes = 64 * 2 ** 20
/** Beyond its time, a round that is not over by then never is. */
const patienceMs = 30_000
const fillWithinMs = 60_000
/** In which an idle cluster is watched. */
const restMs = 3_000

type Row = { readonly what: number; readonly cells: readonly Cell[] }
type NodesRow = Row & { readonly restCoreShare: number }

const progress = new Progress()
const prng = new Prng(1)
const leftOut: string[] = []
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130))

const byNodes = chosen.includes("nodes") ? await nodesPart() : []
const bySize: Row[] = []
const byCallers: Row[] = []
if (chosen.includes("values") || chosen.includes("callers"))
  await withCluster(members, async target => {
    if (chosen.includes("callers"))
      for (const callers of callerCounts)
        await row(byCallers, callers, `${callers} callers`, () => cellsOf(target, usualEntries, [callers]))
    if (chosen.includes("values"))
      for (const bytes of sizes)
        await row(bySize, bytes, `values of ${formatSize(bytes)}`, () => {
          const count = Math.max(1, Math.min(usualEntries.keys.length, Math.floor(mostValueBytes / bytes)))
          return cellsOf(target, entriesOf(count, bytes), [usualCallers])
        })
  })
progress.end()
print()
process.exitCode = leftOut.length === 0 ? 0 : 1

/** With as many callers in all, and with as many for each node: with more to do for each, more of it is done at once. */
async function nodesPart(): Promise<NodesRow[]> {
  const rows: NodesRow[] = []
  for (const nodes of nodeCounts)
    await withCluster(nodes, async target => {
      const found: Row[] = []
      await cellsOf(target, usualEntries, [usualCallers], 1)
      const restCoreShare = await coreShare(target)
      await row(found, nodes, `${nodes} nodes`, () =>
        cellsOf(target, usualEntries, [usualCallers, usualCallers * nodes]),
      )
      rows.push(...found.map(each => ({ ...each, restCoreShare })))
    })
  return rows
}

async function withCluster(nodes: number, work: (target: Target) => Promise<void>): Promise<void> {
  progress.show(`starting ${nodes} nodes`)
  let target: Target | undefined
  try {
    target = await dcacheTarget({ command, nodes, copies: Math.min(2, nodes) })
    await work(target)
  } catch (error) {
    leftOut.push(`${nodes} nodes: ${reasonOf(error)}`)
  } finally {
    await target?.close()
  }
}

async function row(rows: Row[], what: number, name: string, cells: () => Promise<Cell[]>): Promise<void> {
  progress.show(name)
  try {
    rows.push({ what, cells: await cells() })
  } catch (error) {
    leftOut.push(`${name}: ${reasonOf(error)}`)
  }
}

/** A cell for each number of callers: medians of rounds that take turns, after one that counts for nothing. */
async function cellsOf(target: Target, entries: Entries, callers: readonly number[], times = rounds): Promise<Cell[]> {
  await within(fillWithinMs, "writing the keys", fill(target, entries))
  const seen = callers.map((): Cell[] => [])
  for (let round = 0; round <= times; round++)
    for (const [index, count] of callers.entries()) {
      const asked = measure(target, "64 callers", { ms, readShare, prng, entries, callers: count })
      const cell = await within(ms + patienceMs, `${count} callers`, asked)
      if (round > 0) seen[index]?.push(cell)
    }
  return seen.map(middle)
}

/** What the servers take of a core when nobody asks them anything. */
async function coreShare({ pids }: Target): Promise<number> {
  const used = () => pids.reduce((sum, pid) => sum + cpuSecondsOf(pid), 0)
  const [before, fromMs] = [used(), performance.now()]
  await sleep(restMs)
  return ((used() - before) * 1_000) / (performance.now() - fromMs)
}

function print(): void {
  if (values.json) {
    console.log(JSON.stringify({ ...values, byNodes, byCallers, bySize, leftOut }, null, 2))
    return
  }
  const total = ({ clientMicros, serverMicros }: Cell) => (clientMicros + serverMicros).toFixed(1)
  const figures = (cell: Cell) => [
    Math.round(cell.opsPerSecond).toLocaleString("en"),
    ...[cell.clientMicros.toFixed(1), cell.serverMicros.toFixed(1), total(cell)],
  ]
  const cpu = ["CPU, CLIENT", "SERVERS", "ALL"]
  const share = `${(readShare * 100).toFixed(0)} % reads, keys of 16 bytes, CPU in µs an operation, medians of ${rounds} rounds of ${ms} ms`
  console.log(`${share}\n`)
  if (byNodes.length > 0) {
    const titles = ["NODES", "AT REST", "64 CALLERS, A SECOND", ...cpu, "64 A NODE, A SECOND", ...cpu]
    const rows = byNodes.map(({ what, restCoreShare, cells }) => [
      ...[String(what), `${(restCoreShare * 100).toFixed(0)} % of a core`],
      ...cells.flatMap(figures),
    ])
    console.log(`values of 100 bytes, 2 copies but for one node\n${formatTable(titles, rows, 0)}`)
  }
  if (byCallers.length > 0) {
    const rows = byCallers.map(({ what, cells }) => [what.toLocaleString("en"), ...cells.flatMap(figures)])
    console.log(`${members} nodes, values of 100 bytes\n${formatTable(["CALLERS", "A SECOND", ...cpu], rows, 0)}`)
  }
  if (bySize.length > 0) {
    const rows = bySize.map(({ what, cells }) => [
      formatSize(what),
      ...cells.flatMap(cell => [...figures(cell), ((cell.opsPerSecond * what) / 2 ** 20).toFixed(1)]),
    ])
    console.log(
      `${members} nodes, ${usualCallers} callers\n${formatTable(["VALUES", "A SECOND", ...cpu, "MiB A SECOND"], rows, 0)}`,
    )
  }
  for (const reason of leftOut) console.log(`left out: ${reason}`)
}

function sizeOf(text: string): number {
  const bytes = parseSize(text.trim())
  if (typeof bytes !== "number") throw new UsageError(`--sizes: ${JSON.stringify(text)}: ${bytes.problem}`)
  if (bytes === 0) throw new UsageError("--sizes: a value has a byte or more")
  return bytes
}
