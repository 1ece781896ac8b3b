/** Every cache that is compared, through the clients that programs use for it, as one kind of thing to ask. */
import { dcacheTarget } from "../throughput/dcache.ts"
import type { Skipped, Target } from "../throughput/target.ts"
import type { CommandLine } from "../../cluster/node-process.ts"
import { type Installed, loaded } from "./installed.ts"
import { memcached, missing, redis, redisCluster, type Server } from "./servers.ts"

export type Name =
  | "dcache, 1 node"
  | "dcache, 3 nodes, 2 copies"
  | "ioredis, auto-pipelining"
  | "node-redis"
  | "valkey-glide"
  | "ioredis, cluster of 3 + 3"
  | "memcache-client"

export type Peer = Target & { readonly name: Name }

/** All of them, their servers shared where one server serves several clients. Those that cannot be had, by name. */
export async function peerTargets(command: CommandLine): Promise<{ targets: Peer[]; skipped: string[] }> {
  const targets: Peer[] = []
  const skipped: string[] = []
  const add = async (make: () => Promise<Target | Skipped>, name: Name) => {
    const target = await make()
    if ("skipped" in target) skipped.push(target.skipped)
    else targets.push({ ...target, name })
  }
  try {
    await add(() => dcacheTarget({ command, nodes: 1, copies: 1 }), "dcache, 1 node")
    await add(() => dcacheTarget({ command, nodes: 3, copies: 2 }), "dcache, 3 nodes, 2 copies")
    const noRedis = missing("redis-server")
    if (noRedis !== undefined) skipped.push(noRedis)
    else {
      // One server for its three clients: they are asked one after another.
      const server = await redis()
      await add(() => ioredisTarget(server), "ioredis, auto-pipelining")
      await add(() => nodeRedisTarget(server), "node-redis")
      await add(() => glideTarget(server), "valkey-glide")
      await add(clusterTarget, "ioredis, cluster of 3 + 3")
    }
    const noMemcached = missing("memcached")
    if (noMemcached !== undefined) skipped.push(noMemcached)
    else await add(memcachedTarget, "memcache-client")
    return { targets, skipped }
  } catch (error) {
    for (const target of targets) await target.close()
    throw error
  }
}

type IoRedis = {
  readonly Redis: new (options: object) => Installed["RedisConnection"]
  readonly Cluster: new (nodes: object[], options: object) => Installed["RedisConnection"]
}

function bufferOf(value: Uint8Array): Buffer {
  return Buffer.from(value.buffer, value.byteOffset, value.length)
}

async function ioredisTarget(server: Server): Promise<Target> {
  const { Redis } = await loaded<IoRedis>("ioredis")
  const client = new Redis({ port: server.port, host: "127.0.0.1", enableAutoPipelining: true })
  client.on("error", () => {})
  await client.ping()
  return {
    ...ioredisCalls(client),
    name: "ioredis",
    pids: [server.pid],
    close: closing(() => client.disconnect(), server),
  }
}

async function clusterTarget(): Promise<Target> {
  const cluster = await redisCluster()
  const client = await clusterClient(cluster.servers.map(({ port }) => port))
  const close = async () => {
    client.disconnect()
    await cluster.end()
  }
  return { ...ioredisCalls(client), name: "cluster", pids: cluster.servers.map(({ pid }) => pid), close }
}

export async function clusterClient(
  ports: readonly number[],
  options: object = {},
): Promise<Installed["RedisConnection"]> {
  const { Cluster } = await loaded<IoRedis>("ioredis")
  const nodes = ports.map(port => ({ host: "127.0.0.1", port }))
  const client = new Cluster(nodes, { enableAutoPipelining: true, ...options })
  client.on("error", () => {})
  await client.get("is anybody there")
  return client
}

function ioredisCalls(client: Installed["RedisConnection"]): Pick<Target, "get" | "set" | "getMany" | "setMany"> {
  return {
    get: key => client.getBuffer(key),
    set: (key, value) => client.set(key, bufferOf(value)),
    getMany: keys => client.mgetBuffer(...keys),
    setMany: entries => client.mset(...entries.flatMap(([key, value]) => [key, bufferOf(value)])),
  }
}

type NodeRedis = {
  readonly RESP_TYPES: { readonly BLOB_STRING: number }
  createClient(options: object): {
    on(event: string, listener: () => void): unknown
    connect(): Promise<unknown>
    destroy(): void
    withTypeMapping(mapping: object): {
      get(key: string): Promise<unknown>
      set(key: string, value: Buffer): Promise<unknown>
      mGet(keys: readonly string[]): Promise<unknown>
      mSet(entries: readonly (readonly [string, Buffer])[]): Promise<unknown>
    }
  }
}

async function nodeRedisTarget(server: Server): Promise<Target> {
  const { createClient, RESP_TYPES } = await loaded<NodeRedis>("redis")
  const connection = createClient({ socket: { host: "127.0.0.1", port: server.port } })
  connection.on("error", () => {})
  await connection.connect()
  const client = connection.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer })
  return {
    name: "node-redis",
    pids: [server.pid],
    get: key => client.get(key),
    set: (key, value) => client.set(key, bufferOf(value)),
    getMany: keys => client.mGet(keys),
    setMany: entries => client.mSet(entries.map(([key, value]) => [key, bufferOf(value)] as const)),
    close: async () => connection.destroy(),
  }
}

type Glide = {
  readonly Decoder: { readonly Bytes: unknown }
  readonly GlideClient: {
    createClient(options: object): Promise<{
      get(key: string): Promise<unknown>
      set(key: string, value: Buffer): Promise<unknown>
      mget(keys: readonly string[]): Promise<unknown>
      mset(entries: readonly { readonly key: string; readonly value: Buffer }[]): Promise<unknown>
      close(): void
    }>
  }
}

async function glideTarget(server: Server): Promise<Target> {
  const { GlideClient, Decoder } = await loaded<Glide>("@valkey/valkey-glide")
  const client = await GlideClient.createClient({
    addresses: [{ host: "127.0.0.1", port: server.port }],
    defaultDecoder: Decoder.Bytes,
    requestTimeout: 5_000,
  })
  return {
    name: "valkey-glide",
    pids: [server.pid],
    get: key => client.get(key),
    set: (key, value) => client.set(key, bufferOf(value)),
    getMany: keys => client.mget(keys),
    setMany: entries => client.mset(entries.map(([key, value]) => ({ key, value: bufferOf(value) }))),
    close: async () => client.close(),
  }
}

type Memcache = {
  readonly MemcacheClient: new (
    options: object,
  ) => {
    get(key: string | readonly string[]): Promise<unknown>
    set(key: string, value: Buffer): Promise<unknown>
    shutdown(): void
  }
}

async function memcachedTarget(): Promise<Target> {
  const server = await memcached(2_048)
  const { MemcacheClient } = await loaded<Memcache>("memcache-client")
  const client = new MemcacheClient({ server: `127.0.0.1:${server.port}`, ignoreNotStored: true })
  return {
    name: "memcache-client",
    pids: [server.pid],
    get: key => client.get(key),
    set: (key, value) => client.set(key, bufferOf(value)),
    getMany: keys => client.get(keys),
    setMany: entries => Promise.all(entries.map(([key, value]) => client.set(key, bufferOf(value)))),
    close: closing(() => client.shutdown(), server),
  }
}

function closing(disconnect: () => void, server: Server): () => Promise<void> {
  return async () => {
    disconnect()
    await server.end()
  }
}
