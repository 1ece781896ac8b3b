/** Every cache that is compared, through the clients that programs use for it, as one kind of thing to ask. */
import { dcacheTarget } from "../throughput/dcache.ts"
import type { Skipped, Target } from "../throughput/target.ts"
import type { CommandLine } from "../../cluster/node-process.ts"
import { reasonOf, within } from "../patience.ts"
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

/** Until it is there, or is left out. */
const readyWithinMs = 60_000

export type Maker = { readonly name: Name; make(): Promise<Target | Skipped> }

/** How each is made. One Redis server serves its three clients: they are asked one after another. */
export function peerMakers(options: {
  readonly command: CommandLine
  /** Of a node. */
  readonly nodeArgs: readonly string[]
  readonly memcachedMiB: number
}): Maker[] {
  const { command, nodeArgs, memcachedMiB } = options
  let shared: Promise<Server> | undefined
  const server = () => (shared ??= redis())
  const dcache = (nodes: number, copies: number) => () => dcacheTarget({ command, nodes, copies, nodeArgs })
  const having = (program: Parameters<typeof missing>[0], make: () => Promise<Target>) => async () => {
    const problem = missing(program)
    return problem === undefined ? make() : { skipped: problem }
  }
  return [
    { name: "dcache, 1 node", make: dcache(1, 1) },
    { name: "dcache, 3 nodes, 2 copies", make: dcache(3, 2) },
    {
      name: "ioredis, auto-pipelining",
      make: having("redis-server", async () => ioredisTarget(await server())),
    },
    { name: "node-redis", make: having("redis-server", async () => nodeRedisTarget(await server())) },
    { name: "valkey-glide", make: having("redis-server", async () => glideTarget(await server())) },
    { name: "ioredis, cluster of 3 + 3", make: having("redis-server", clusterTarget) },
    { name: "memcache-client", make: having("memcached", () => memcachedTarget(memcachedMiB)) },
  ]
}

/** Undefined: it cannot be had, and why was said. */
export async function made({ name, make }: Maker, leftOut: (reason: string) => void): Promise<Peer | undefined> {
  try {
    const target = await within(readyWithinMs, "starting it", make())
    if (!("skipped" in target)) return { ...target, name }
    leftOut(`${name}: ${target.skipped}`)
  } catch (error) {
    leftOut(`${name}: ${reasonOf(error)}`)
  }
  return undefined
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
    set(key: string, value: Buffer, options: object): Promise<unknown>
    shutdown(): void
  }
}

/** Unless it is told otherwise, this client has entries expire after a minute. */
const forGood = { lifetime: 0 }

async function memcachedTarget(memoryMiB: number): Promise<Target> {
  const server = await memcached(memoryMiB)
  const { MemcacheClient } = await loaded<Memcache>("memcache-client")
  const client = new MemcacheClient({ server: `127.0.0.1:${server.port}`, ignoreNotStored: true })
  return {
    name: "memcache-client",
    pids: [server.pid],
    get: key => client.get(key),
    set: (key, value) => client.set(key, bufferOf(value), forGood),
    getMany: keys => client.get(keys),
    setMany: entries => Promise.all(entries.map(([key, value]) => client.set(key, bufferOf(value), forGood))),
    close: closing(() => client.shutdown(), server),
  }
}

function closing(disconnect: () => void, server: Server): () => Promise<void> {
  return async () => {
    disconnect()
    await server.end()
  }
}
