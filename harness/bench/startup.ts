/**
 * What a start costs in CPU: `dcache get` of a node, `dcache --version`, and an empty program in the same Node.js.
 *
 *     node harness/bench/startup.ts [runs] [program]                 30, ./dcache
 */
import { spawnSync } from "node:child_process"
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import path from "node:path"
import { fileURLToPath } from "node:url"
import { Prng } from "../../src/base/prng.ts"
import { CacheClient } from "../../src/client/client.ts"
import { median } from "../cluster/cpu.ts"
import { freePorts } from "../cluster/free-ports.ts"
import { NodeProcess } from "../cluster/node-process.ts"

const runs = Number(process.argv[2] ?? 30)
const program = path.resolve(process.argv[3] ?? fileURLToPath(new URL("../../dcache", import.meta.url)))
/** Starts counted together: the kernel shows hundredths of a second. */
const together = 5

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
try {
  const client = await CacheClient.connect(address, { connectTimeoutMs: 20_000 })
  await client.set("a", "b")
  await client.close()
  const commands = [
    ["empty program", node, empty],
    ["dcache --version", program, "--version"],
    ["dcache get", program, "get", "a", "--node", address],
  ] as const
  const seen = commands.map((): number[] => [])
  for (let round = 0; round < runs / together; round++)
    for (const [index, [, file, ...args]] of commands.entries()) seen[index]?.push(cpuMsOf(file, args))
  const least = median(seen[0] ?? [])
  for (const [index, [name]] of commands.entries()) {
    const ms = median(seen[index] ?? [])
    console.log(
      `${name.padEnd(16)} ${ms.toFixed(0).padStart(4)} ms of CPU, ${(ms / least).toFixed(1)} times the empty one`,
    )
  }
  console.log("aim: 1.3 times for dcache get")
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
