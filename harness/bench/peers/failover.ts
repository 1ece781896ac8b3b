/**
 * A primary is killed under writes: how long until all keys accept writes again, and how many acknowledged writes are missing
 * afterwards. Two kinds of writers: one for each of some keys, written again and again, tell the time; the others write each key once,
 * so that a write which was lost cannot be hidden by a later one.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { CacheClient } from "../../../src/client/client.ts"
import type { CommandLine } from "../../cluster/node-process.ts"
import { within } from "../patience.ts"
import { dcacheTarget } from "../throughput/dcache.ts"
import { primaryPortOf, redisCluster } from "./servers.ts"
import { clusterClient } from "./targets.ts"

export type Failover = {
  readonly writableAfterMs: number
  readonly lostWrites: number
  readonly acknowledgedWrites: number
}

type Cluster = {
  write(key: string): Promise<unknown>
  has(key: string): Promise<boolean>
  /** Kills a primary: of this key, where one has to be chosen. */
  kill(key: string): void
  close(): Promise<void>
}

const probedKeys = 48
const onceWriters = 16
const restMs = 1_000
/** A call that takes longer is given up and made again. */
const callWithinMs = 2_000
const readBackBatch = 500

export async function dcacheFailover(command: CommandLine): Promise<Failover> {
  const target = await dcacheTarget({ command, nodes: 3, copies: 2 })
  try {
    const cache = await CacheClient.connect(target.addresses, { timeoutMs: callWithinMs })
    return await failover(10_000, {
      write: key => cache.set(key, "written"),
      has: async key => (await cache.get(key)) !== undefined,
      // Each of three leads about a third of the keys; not the one that the others joined, which is no different.
      kill: () => process.kill(target.pids[1] ?? 0, "SIGKILL"),
      close: () => cache.close(),
    })
  } finally {
    await target.close()
  }
}

export async function redisFailover(timeoutMs: number): Promise<Failover> {
  const cluster = await redisCluster(timeoutMs)
  try {
    const ports = cluster.servers.map(({ port }) => port)
    const client = await clusterClient(ports, {
      clusterRetryStrategy: () => 50,
      retryDelayOnFailover: 50,
      retryDelayOnClusterDown: 50,
      maxRedirections: 1_000,
      enableAutoPipelining: false,
    })
    return await failover(3 * timeoutMs + 15_000, {
      write: key => client.set(key, Buffer.from("written")),
      has: async key => (await client.get(key)) !== null,
      kill: key => {
        const port = primaryPortOf(ports[0] ?? 0, key)
        process.kill(cluster.servers.find(server => server.port === port)?.pid ?? 0, "SIGKILL")
      },
      close: async () => client.disconnect(),
    })
  } finally {
    await cluster.end()
  }
}

async function failover(withinMs: number, cluster: Cluster): Promise<Failover> {
  const probed = Array.from({ length: probedKeys }, (_, i) => `probed:${i}`)
  const firstAfterKill = new Map<string, number>()
  const acknowledged: string[] = []
  let killedAtMs = Number.POSITIVE_INFINITY
  let isOver = false
  const written = async (key: string): Promise<boolean> => {
    try {
      await within(callWithinMs, key, cluster.write(key))
      return true
    } catch {
      // Nothing was acknowledged; whoever wants it asks again.
      return false
    } finally {
      await sleep(2)
    }
  }
  const probe = async (key: string) => {
    while (!isOver) {
      const beganMs = performance.now()
      const isWritten = await written(key)
      if (isWritten && beganMs > killedAtMs && !firstAfterKill.has(key)) firstAfterKill.set(key, performance.now())
    }
  }
  const writeOnce = async (writer: number) => {
    for (let n = 0; !isOver; n++) {
      const key = `once:${writer}:${n}`
      if (await written(key)) acknowledged.push(key)
    }
  }
  try {
    const writers = [...probed.map(probe), ...Array.from({ length: onceWriters }, (_, i) => writeOnce(i))]
    await sleep(restMs)
    killedAtMs = performance.now()
    cluster.kill(probed[0] ?? "")
    while (firstAfterKill.size < probed.length && performance.now() - killedAtMs < withinMs) await sleep(10)
    if (firstAfterKill.size < probed.length)
      throw new Error(`${firstAfterKill.size} of ${probed.length} keys were written within ${withinMs / 1_000} s`)
    const writableAfterMs = Math.max(...firstAfterKill.values()) - killedAtMs
    await sleep(restMs)
    isOver = true
    await Promise.all(writers)
    const lostWrites = await missingOf(acknowledged, cluster)
    return { writableAfterMs, lostWrites, acknowledgedWrites: acknowledged.length }
  } finally {
    isOver = true
    await cluster.close()
  }
}

async function missingOf(keys: readonly string[], cluster: Cluster): Promise<number> {
  let missing = 0
  for (let from = 0; from < keys.length; from += readBackBatch) {
    const some = keys.slice(from, from + readBackBatch)
    const found = await within(10_000, "reading back", Promise.all(some.map(key => cluster.has(key))))
    missing += found.filter(isThere => !isThere).length
  }
  return missing
}
