/**
 * A primary is killed while its keys are counted up, each by one caller that waits for each answer: how long until all of its keys
 * accept writes again, and how many acknowledged additions are missing afterwards.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { CacheClient } from "../../../src/client/client.ts"
import type { CommandLine } from "../../cluster/node-process.ts"
import { dcacheTarget } from "../throughput/dcache.ts"
import { clusterClient } from "./targets.ts"
import { primaryPortOf, redisCluster } from "./servers.ts"

export type Failover = { readonly name: string; readonly writableAfterMs: number; readonly lostWrites: number }

type Counters = {
  incr(key: string): Promise<number>
  value(key: string): Promise<number>
  /** Kills a primary: of this key, where one has to be chosen. */
  kill(key: string): void
  close(): Promise<void>
}

const keyCount = 48
const restMs = 1_000

export async function dcacheFailover(command: CommandLine): Promise<Failover> {
  const target = await dcacheTarget({ command, nodes: 3, copies: 2 })
  try {
    const cache = await CacheClient.connect(target.addresses, { timeoutMs: 30_000 })
    const counters: Counters = {
      incr: key => cache.incr(key),
      value: async key => Number((await cache.get(key)) ?? 0),
      // Each of three leads about a third of the keys; not the one that the others joined, which is no different.
      kill: () => process.kill(target.pids[1] ?? 0, "SIGKILL"),
      close: () => cache.close(),
    }
    return await failover("dcache, 3 nodes, 2 copies", counters, 10_000)
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
    const counters: Counters = {
      incr: key => client.incr(key),
      value: async key => Number((await client.get(key)) ?? 0),
      kill: key => {
        const port = primaryPortOf(ports[0] ?? 0, key)
        process.kill(cluster.servers.find(server => server.port === port)?.pid ?? 0, "SIGKILL")
      },
      close: async () => client.disconnect(),
    }
    return await failover(`Redis Cluster, ${timeoutMs / 1_000} s time-out`, counters, 60_000)
  } finally {
    await cluster.end()
  }
}

async function failover(name: string, counters: Counters, withinMs: number): Promise<Failover> {
  const keys = Array.from({ length: keyCount }, (_, i) => `counter:${i}`)
  const acknowledged = new Map(keys.map(key => [key, 0]))
  const firstAfterKill = new Map<string, number>()
  let killedAtMs = Number.POSITIVE_INFINITY
  let isOver = false
  const count = async (key: string) => {
    while (!isOver) {
      const beganMs = performance.now()
      try {
        await counters.incr(key)
      } catch {
        // A client that gives up is asked again; nothing was acknowledged.
        await sleep(5)
        continue
      }
      acknowledged.set(key, (acknowledged.get(key) ?? 0) + 1)
      if (beganMs > killedAtMs && !firstAfterKill.has(key)) firstAfterKill.set(key, performance.now())
      await sleep(5)
    }
  }
  const callers = keys.map(count)
  await sleep(restMs)
  counters.kill(keys[0] ?? "")
  killedAtMs = performance.now()
  while (firstAfterKill.size < keys.length && performance.now() - killedAtMs < withinMs) await sleep(10)
  const writableAfterMs =
    firstAfterKill.size < keys.length ? Number.POSITIVE_INFINITY : Math.max(...firstAfterKill.values()) - killedAtMs
  await sleep(restMs)
  isOver = true
  await Promise.race([Promise.all(callers), sleep(withinMs)])
  let lostWrites = 0
  for (const key of keys) lostWrites += Math.max(0, (acknowledged.get(key) ?? 0) - (await counters.value(key)))
  await counters.close()
  return { name, writableAfterMs, lostWrites }
}
