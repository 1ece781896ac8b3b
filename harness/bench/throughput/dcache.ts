/** Real nodes of this repository, and the client library. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { Prng } from "../../../src/base/prng.ts"
import { CacheClient } from "../../../src/client/client.ts"
import { maxDeadlineMs } from "../../../src/protocol/limits.ts"
import { freePorts } from "../../cluster/free-ports.ts"
import { type CommandLine, NodeProcess } from "../../cluster/node-process.ts"
import type { Target } from "./target.ts"

/** They start at once, and share the cores. */
const readyWithinMs = 20_000
const readyPerNodeMs = 2_000

export async function dcacheTarget(options: {
  readonly command: CommandLine
  readonly nodes: number
  readonly copies: number
  /** Further arguments of each node. */
  readonly nodeArgs?: readonly string[]
}): Promise<Target & { readonly addresses: readonly string[] }> {
  const { command, copies, nodeArgs = [] } = options
  const withinMs = Math.min(maxDeadlineMs, readyWithinMs + readyPerNodeMs * options.nodes)
  const directory = mkdtempSync(path.join(tmpdir(), "dcache-bench-"))
  const ports = await freePorts(options.nodes, new Prng(crypto.getRandomValues(new Uint32Array(1))[0] ?? 0))
  const addresses = ports.map(port => `127.0.0.1:${port}`)
  const nodes = addresses.map(
    (listen, index) =>
      new NodeProcess({
        command,
        name: `bench-${index}`,
        listen,
        join: index === 0 ? [] : addresses.slice(0, 1),
        extraArgs: ["--copies", String(copies), "--log-level", "error", ...nodeArgs],
        directory,
      }),
  )
  const end = async () => {
    for (const node of nodes) node.kill()
    await Promise.all(nodes.map(node => node.ended))
    rmSync(directory, { recursive: true, force: true })
  }
  try {
    const client = await CacheClient.connect(addresses, { connectTimeoutMs: withinMs, timeoutMs: 60_000 })
    await complete(client, options.nodes, withinMs)
    const close = async () => {
      await client.close()
      await end()
    }
    const pids = nodes.flatMap(({ pid }) => (pid === undefined ? [] : [pid]))
    return {
      name: options.nodes === 1 ? "dcache, 1 node" : `dcache, ${options.nodes} nodes, ${copies} copies`,
      pids,
      addresses,
      close,
      get: key => client.get(key),
      set: (key, value) => client.set(key, value),
      getMany: keys => client.getMany(keys),
      setMany: entries => client.setMany(entries),
    }
  } catch (error) {
    const tails = nodes.map(node => node.tail).join("\n")
    await end()
    throw new Error(`the nodes did not get ready:\n${tails}`, { cause: error })
  }
}

/** Every member is there and every copy made. */
async function complete(client: CacheClient, nodes: number, withinMs: number): Promise<void> {
  for (let waitedMs = 0; waitedMs < withinMs; waitedMs += 100) {
    const reports = (await client.status()).flatMap(({ report }) => (report === null ? [] : [report]))
    const isComplete = ({ members, underReplicated }: (typeof reports)[number]) =>
      members.length === nodes && underReplicated === 0
    if (reports.length === nodes && reports.every(isComplete)) return
    await sleep(100)
  }
  throw new Error(`no complete cluster of ${nodes} within ${withinMs} ms`)
}
