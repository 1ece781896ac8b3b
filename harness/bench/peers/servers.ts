/** Servers of other caches, of Debian's packages, each in a folder of its own and ended with its bench. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { Prng } from "../../../src/base/prng.ts"
import { freePorts } from "../../cluster/free-ports.ts"

export type Server = { readonly port: number; readonly pid: number; end(): Promise<void> }

const readyWithinMs = 20_000
const prng = new Prng(process.pid)

/** Undefined: it is installed. */
export function missing(program: "redis-server" | "memcached"): string | undefined {
  const isThere = spawnSync(program, ["--version"]).status === 0
  return isThere ? undefined : `${program} is not installed: apt-get install ${program}`
}

export async function memcached(memoryMiB: number): Promise<Server> {
  const [port = 0] = await freePorts(1, prng)
  const asRoot = process.getuid?.() === 0 ? ["-u", "root"] : []
  const limits = ["-m", String(memoryMiB), "-t", "1"]
  return started("memcached", ["-p", String(port), "-l", "127.0.0.1", ...limits, ...asRoot], port)
}

export async function redis(): Promise<Server> {
  const [port = 0] = await freePorts(1, prng)
  return started("redis-server", redisArgs(port), port)
}

function redisArgs(port: number): string[] {
  return [
    "--port",
    String(port),
    "--bind",
    "127.0.0.1",
    "--save",
    "",
    "--appendonly",
    "no",
    "--repl-diskless-sync-delay",
    "0",
  ]
}

/** Three primaries with a replica each. `timeoutMs`: after which a silent one counts as failed; Redis' own is 15000. */
export async function redisCluster(timeoutMs = 15_000): Promise<{ readonly servers: Server[]; end(): Promise<void> }> {
  const folder = mkdtempSync(path.join(tmpdir(), "dcache-peers-"))
  const ports = await freePorts(6, prng)
  const busPorts = await freePorts(6, prng)
  const servers: Server[] = []
  const end = async () => {
    await Promise.all(servers.map(server => server.end()))
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    for (const [index, port] of ports.entries()) {
      const own = ["--cluster-enabled", "yes", "--cluster-config-file", `${port}.conf`]
      const times = ["--cluster-node-timeout", String(timeoutMs), "--cluster-port", String(busPorts[index])]
      servers.push(await started("redis-server", [...redisArgs(port), "--dir", folder, ...own, ...times], port))
    }
    const addresses = ports.map(port => `127.0.0.1:${port}`)
    const made = cli(["--cluster", "create", ...addresses, "--cluster-replicas", "1", "--cluster-yes"])
    if (made.status !== 0) throw new Error(`redis-cli --cluster create failed: ${made.stdout}${made.stderr}`)
    // A replica that has not caught up yet takes nothing over.
    await until(() => {
      const isOk = cli(["-p", String(ports[0]), "cluster", "info"]).stdout.includes("cluster_state:ok")
      const links = ports.map(port => cli(["-p", String(port), "info", "replication"]).stdout)
      return isOk && links.filter(text => text.includes("master_link_status:up")).length === 3
    }, "the Redis cluster to be complete")
    return { servers, end }
  } catch (error) {
    await end()
    throw error
  }
}

/** Of a cluster: the port of the primary of this key's slot. */
export function primaryPortOf(anyPort: number, key: string): number {
  const slot = Number(cli(["-p", String(anyPort), "cluster", "keyslot", key]).stdout.trim())
  for (const line of cli(["-p", String(anyPort), "cluster", "nodes"]).stdout.split("\n")) {
    const [, address = "", flags = "", , , , , , ...ranges] = line.split(" ")
    if (!flags.includes("master")) continue
    const holds = ranges.some(range => {
      const [from = Number.NaN, to = from] = range.split("-").map(Number)
      return slot >= from && slot <= to
    })
    if (holds) return Number(/:(\d+)@/.exec(address)?.[1])
  }
  throw new Error(`no primary of slot ${slot}`)
}

function cli(args: readonly string[]) {
  return spawnSync("redis-cli", args, { encoding: "utf8" })
}

/** Whatever ends this process, its servers end with it. */
const running = new Set<ChildProcess>()
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL")
})

async function started(program: string, args: readonly string[], port: number): Promise<Server> {
  const child = spawn(program, args, { stdio: "ignore" })
  running.add(child)
  child.once("exit", () => running.delete(child))
  try {
    await until(() => answers(port), `${program} at port ${port}`, child)
  } catch (error) {
    await ended(child)
    throw error
  }
  return { port, pid: child.pid ?? 0, end: () => ended(child) }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, "exit")
  child.kill("SIGKILL")
  await exit
}

function answers(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ host: "127.0.0.1", port })
    socket.once("connect", () => {
      socket.destroy()
      resolve(true)
    })
    socket.once("error", () => resolve(false))
  })
}

async function until(isSo: () => boolean | Promise<boolean>, what: string, child?: ChildProcess): Promise<void> {
  for (let waitedMs = 0; waitedMs < readyWithinMs; waitedMs += 50) {
    if (await isSo()) return
    if (child !== undefined && child.exitCode !== null) break
    await sleep(50)
  }
  throw new Error(`waited in vain for ${what}`)
}
