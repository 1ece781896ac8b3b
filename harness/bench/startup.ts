/** What a start costs in CPU: `dcache get` of a node, `dcache --version`, and an empty program in the same Node.js. */
import { spawnSync } from "node:child_process"
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import path from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { Prng } from "../../src/base/prng.ts"
import { CacheClient } from "../../src/client/client.ts"
import { median } from "../cluster/cpu.ts"
import { freePorts } from "../cluster/free-ports.ts"
import { NodeProcess } from "../cluster/node-process.ts"
import { formatTable } from "./format-table.ts"
import { parseCount } from "./options.ts"
import { Progress } from "./progress.ts"

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "20" },
    program: { type: "string", default: fileURLToPath(new URL("../../dcache", import.meta.url)) },
    json: { type: "boolean", default: false },
  },
})
const rounds = parseCount("--rounds", values.rounds)
const program = path.resolve(values.program)
/** Starts counted together: the kernel shows hundredths of a second. */
const together = 5
const aim = 1.3

const directory = mkdtempSync(path.join(tmpdir(), "dcache-startup-"))
const empty = path.join(directory, "empty.cjs")
writeFileSync(empty, "")
const node = path.join(directory, "node")
copyFileSync(process.execPath, node)
const [port] = await freePorts(1, new Prng(process.pid))
const address = `127.0.0.1:${port}`
const server = new NodeProcess({
  command: { file: program, args: [] },
  ...{ name: "startup", listen: address, join: [], extraArgs: ["--log-level", "error"], directory },
})
const progress = new Progress()
try {
  const client = await CacheClient.connect(address, { connectTimeoutMs: 20_000 })
  await client.set("a", "b")
  await client.close()
  const commands = [
    { name: "empty program", file: node, args: [empty] },
    { name: "dcache --version", file: program, args: ["--version"] },
    { name: "dcache get", file: program, args: ["get", "a", "--node", address] },
  ]
  const seen = commands.map((): number[] => [])
  for (let round = 0; round < rounds; round++) {
    progress.show(`round ${round + 1} of ${rounds}`)
    for (const [index, { file, args }] of commands.entries()) seen[index]?.push(cpuMsOf(file, args))
  }
  progress.end()
  const found = commands.map(({ name }, index) => ({
    name,
    cpuMs: median(seen[index] ?? []),
    // Of each round, against its neighbour: what else the machine does then meets both.
    timesEmpty: median((seen[index] ?? []).map((ms, round) => ms / (seen[0]?.[round] ?? Number.NaN))),
  }))
  if (values.json) console.log(JSON.stringify({ rounds, together, aim, found }, null, 2))
  else {
    const rows = found.map(({ name, cpuMs, timesEmpty }) => [name, `${cpuMs.toFixed(0)} ms`, timesEmpty.toFixed(2)])
    console.log(formatTable(["START OF", "CPU", "TIMES THE EMPTY ONE"], rows, 1))
    console.log(`aim: ${aim} times for dcache get`)
  }
} finally {
  server.kill()
  await server.ended
  rmSync(directory, { recursive: true, force: true })
}

/** Of one start, as the mean of several. */
function cpuMsOf(file: string, args: readonly string[]): number {
  const before = childrenTicks()
  for (let i = 0; i < together; i++) {
    const { status } = spawnSync(file, args, { stdio: "ignore" })
    if (status !== 0) throw new Error(`${file} ${args.join(" ")} ended with ${status}`)
  }
  return ((childrenTicks() - before) * 10) / together
}

/** CPU of the children of this process that have ended, in hundredths of a second. */
function childrenTicks(): number {
  const stat = readFileSync("/proc/self/stat", "utf8")
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  return Number(fields[16 - 3]) + Number(fields[17 - 3])
}
