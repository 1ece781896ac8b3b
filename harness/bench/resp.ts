/**
 * The Redis door of a node beside Redis itself, asked by `redis-benchmark` in one run: operations a second, and a second of the
 * server's CPU, which is what the door costs whatever else the machine does. Rounds are interleaved; printed are medians,
 * and how they compare with Redis. A server's compiler has warmed up before anything counts.
 */
import { execFile, spawnSync } from "node:child_process"
import path from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs, promisify } from "node:util"
import { cpuSecondsOf, median } from "../cluster/cpu.ts"
import { formatTable } from "./format-table.ts"
import { parseCount, parseCounts, UsageError } from "./options.ts"
import { dcacheServer, redisServer, type Server } from "./resp/servers.ts"

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    operations: { type: "string", default: "400000" },
    pipeline: { type: "string", default: "1,16" },
    connections: { type: "string", default: "50" },
    keys: { type: "string", default: "1" },
    bytes: { type: "string", default: "3" },
    nodes: { type: "string", default: "1" },
    program: { type: "string", default: fileURLToPath(new URL("../../dcache", import.meta.url)) },
    json: { type: "boolean", default: false },
  },
})
const rounds = parseCount("--rounds", values.rounds)
const operations = parseCount("--operations", values.operations)
const pipelines = parseCounts("--pipeline", values.pipeline)
const connections = parseCount("--connections", values.connections)
const keys = parseCount("--keys", values.keys)
const bytes = parseCount("--bytes", values.bytes)
const nodes = parseCounts("--nodes", values.nodes)
if (spawnSync("redis-benchmark", ["--version"]).status !== 0)
  throw new UsageError("redis-benchmark is not installed (apt-get install redis-tools)")

const program = path.resolve(values.program)
const command = program.endsWith(".ts") ? { file: process.execPath, args: [program] } : { file: program, args: [] }
const tests = ["set", "get"] as const
type Cell = { readonly perSecond: number; readonly perCpuSecond: number }
type Row = { readonly test: string; readonly pipeline: number; readonly server: string } & Cell

const servers: Server[] = []
try {
  const redis = await redisServer()
  if (redis !== undefined) servers.push(redis)
  for (const count of nodes) servers.push(await dcacheServer({ command, nodes: count, copies: Math.min(2, count) }))
  print(await measureAll())
  if (redis === undefined) console.log("left out: redis-server is not installed (apt-get install redis-server)")
} finally {
  for (const server of servers) await server.close()
}

async function measureAll(): Promise<Row[]> {
  for (const server of servers) for (const test of tests) await measure(server, test, Math.max(...pipelines))
  const rows: Row[] = []
  for (const pipeline of pipelines)
    for (const test of tests) {
      const seen = servers.map((): Cell[] => [])
      for (let round = 0; round < rounds; round++)
        for (const [index, server] of servers.entries()) seen[index]?.push(await measure(server, test, pipeline))
      for (const [index, server] of servers.entries()) {
        const cells = seen[index] ?? []
        rows.push({
          ...{ test, pipeline, server: server.name },
          perSecond: median(cells.map(cell => cell.perSecond)),
          perCpuSecond: median(cells.map(cell => cell.perCpuSecond)),
        })
      }
    }
  return rows
}

async function measure({ pids, port }: Server, test: string, pipeline: number): Promise<Cell> {
  const cpuOf = () => pids.reduce((sum, pid) => sum + cpuSecondsOf(pid), 0)
  const count = pipeline === 1 ? Math.ceil(operations / 4) : operations
  const before = cpuOf()
  const { stdout } = await promisify(execFile)("redis-benchmark", [
    ...["-p", String(port), "-t", test, "-n", String(count), "-c", String(connections), "-P", String(pipeline)],
    ...["-d", String(bytes), "--csv", ...(keys === 1 ? [] : ["-r", String(keys)])],
  ])
  const perSecond = Number(new RegExp(`^"${test}","([0-9.]+)"`, "im").exec(stdout)?.[1])
  return { perSecond, perCpuSecond: count / (cpuOf() - before) }
}

function print(rows: readonly Row[]): void {
  if (values.json) return console.log(JSON.stringify({ ...values, rows }, null, 2))
  const thousands = (value: number) => `${(value / 1_000).toFixed(0)} k`
  const titles = ["", "pipeline", "server", "ops/s", "ops per CPU second", "of Redis"]
  const lines = rows.map(({ test, pipeline, server, perSecond, perCpuSecond }) => {
    const redis = rows.find(row => row.test === test && row.pipeline === pipeline && row.server === "Redis")
    const ratio = redis === undefined ? "" : (perCpuSecond / redis.perCpuSecond).toFixed(2)
    return [test.toUpperCase(), String(pipeline), server, thousands(perSecond), thousands(perCpuSecond), ratio]
  })
  console.log(`${connections} connections, values of ${bytes} bytes, ${keys === 1 ? "one key" : `${keys} keys`}`)
  console.log(formatTable(titles, lines, 3))
}
