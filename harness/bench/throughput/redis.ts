/** A Redis server of its own, without persistence, through ioredis with automatic pipelining. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { Redis } from "ioredis"
import { Prng } from "../../../src/base/prng.ts"
import { freePorts } from "../../cluster/free-ports.ts"
import type { Skipped, Target } from "./target.ts"

export async function redisTarget(): Promise<Target | Skipped> {
  const [port] = await freePorts(1, new Prng(process.pid))
  const server = spawn(
    "redis-server",
    ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
    {
      stdio: "ignore",
    },
  )
  const problem = await startProblem(server)
  if (problem !== undefined) return { skipped: `redis: ${problem} (apt-get install redis-server)` }
  const client = new Redis({ port: port ?? 0, host: "127.0.0.1", enableAutoPipelining: true })
  // It says so while the server is starting; a command waits until it is there.
  client.on("error", () => {})
  await client.ping()
  return {
    name: "Redis, ioredis auto-pipelining",
    pids: server.pid === undefined ? [] : [server.pid],
    get: key => client.getBuffer(key),
    set: (key, value) => client.set(key, Buffer.from(value.buffer, value.byteOffset, value.length)),
    getMany: keys => client.mgetBuffer(...keys),
    setMany: entries => client.mset(...entries.flatMap(([key, value]) => [key, Buffer.from(value)])),
    close: async () => {
      client.disconnect()
      server.kill("SIGKILL")
      if (server.exitCode === null && server.signalCode === null) await once(server, "exit")
    },
  }
}

async function startProblem(server: ChildProcess): Promise<string | undefined> {
  return new Promise(resolve => {
    server.once("spawn", () => resolve(undefined))
    server.once("error", error => resolve("code" in error && error.code === "ENOENT" ? "not installed" : error.message))
  })
}
