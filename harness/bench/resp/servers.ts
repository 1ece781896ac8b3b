/** Servers that speak Redis' protocol, each a process of its own: Redis, and nodes of this repository. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import path from "node:path"
import { Prng } from "../../../src/base/prng.ts"
import { freePorts } from "../../cluster/free-ports.ts"
import { type CommandLine, NodeProcess } from "../../cluster/node-process.ts"
import { until } from "../../cluster/until.ts"

export type Server = {
  readonly name: string
  readonly port: number
  /** Whose CPU is the server's. */
  readonly pids: readonly number[]
  close(): Promise<void>
}

const readyWithinMs = 60_000

/** Without persistence. Undefined: it is not installed. */
export async function redisServer(): Promise<Server | undefined> {
  const [port = 0] = await freePorts(1, new Prng(process.pid))
  const args = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
  const server = spawn("redis-server", args, { stdio: "ignore" })
  const isSpawned = await new Promise<boolean>(resolve => {
    server.once("spawn", () => resolve(true))
    server.once("error", () => resolve(false))
  })
  if (!isSpawned || server.pid === undefined) return undefined
  const close = async () => {
    server.kill("SIGKILL")
    if (server.exitCode === null && server.signalCode === null) await once(server, "exit")
  }
  await answering(port, () => {})
  return { name: "Redis", port, pids: [server.pid], close }
}

export async function dcacheServer(options: {
  readonly command: CommandLine
  readonly nodes: number
  readonly copies: number
}): Promise<Server> {
  const directory = mkdtempSync(path.join(tmpdir(), "dcache-bench-"))
  const ports = await freePorts(options.nodes, new Prng(process.pid + 1))
  const addresses = ports.map(port => `127.0.0.1:${port}`)
  const nodes = addresses.map((listen, index) => {
    const extraArgs = ["--copies", String(options.copies), "--log-level", "error"]
    const join = index === 0 ? [] : addresses.slice(0, 1)
    return new NodeProcess({ command: options.command, name: `bench-${index}`, listen, join, extraArgs, directory })
  })
  const close = async () => {
    for (const node of nodes) node.kill()
    await Promise.all(nodes.map(({ ended }) => ended))
    rmSync(directory, { recursive: true, force: true })
  }
  const died = () => {
    const dead = nodes.find(({ end }) => end !== undefined)
    if (dead !== undefined) throw new Error(`a node ended:\n${dead.tail}`)
  }
  try {
    for (const port of ports)
      await answering(port, died, new RegExp(`dcache_members:${options.nodes}\r\n[^]*dcache_under_replicated:0\r\n`))
  } catch (error) {
    await close()
    throw error
  }
  const name = options.nodes === 1 ? "dcache, 1 node" : `dcache, ${options.nodes} nodes, ${options.copies} copies`
  return { name, port: ports[0] ?? 0, pids: nodes.flatMap(({ pid }) => pid ?? []), close }
}

/** Waits until INFO is answered like this. */
async function answering(port: number, check: () => void, like = /redis_version/): Promise<void> {
  await until(
    async () => {
      check()
      return like.test(await infoOf(port))
    },
    { withinMs: readyWithinMs, everyMs: 50, what: () => `the server at port ${port} to be ready` },
  )
}

async function infoOf(port: number): Promise<string> {
  const socket = connect(port, "127.0.0.1")
  let text = ""
  try {
    socket.write("*1\r\n$4\r\nINFO\r\n*1\r\n$4\r\nQUIT\r\n")
    for await (const chunk of socket) text += String(chunk)
  } catch {
    // Nobody listens there yet, or whoever does is starting: asked again.
  }
  return text
}
