/** Commands about the server. What there is nothing to set or tell of is said, not made up. */
import type { StatusReport } from "../../protocol/message.ts"
import { maxValueBytes } from "../../protocol/limits.ts"
import { optionOf, textOf } from "./arguments.ts"
import { type Arguments, type Command, type Context, noKeys } from "./command.ts"
import { globOf } from "./glob.ts"
import { databaseCount } from "./keys.ts"
import { CommandError } from "./refusals.ts"
import { array, bulk, ok, type Reply } from "./reply.ts"
import { family } from "./subcommands.ts"

/** The version of Redis whose behaviour these commands follow; clients decide by it what they may use. */
export const followedVersion = "7.2.0"

const pong: Reply = { kind: "status", text: "PONG" }

export const serverCommands: readonly Command[] = [
  {
    ...{ name: "ping", arity: -1, keys: noKeys, flags: ["fast"], group: "connection" },
    ...{ summary: "Returns the server's liveliness response.", isAllowedWhileSubscribed: true },
    run: ({ client }, args) => {
      if (args.length > 1) throw new CommandError("ERR wrong number of arguments for 'ping' command")
      // Whoever listens by the older version of the protocol takes everything for a message.
      if (client.version === 2 && client.channels + client.patterns > 0)
        return array([bulk("pong"), bulk(args[0] ?? "")])
      return args[0] === undefined ? pong : bulk(args[0])
    },
  },
  {
    ...{ name: "echo", arity: 2, keys: noKeys, flags: ["fast"], group: "connection" },
    summary: "Returns the given string.",
    run: (_context, [text]) => bulk(text ?? ""),
  },
  {
    ...{ name: "time", arity: 1, keys: noKeys, flags: ["loading", "stale", "fast"], group: "server" },
    summary: "Returns the server time.",
    run: ({ wallMs }) =>
      array([bulk(String(Math.floor(wallMs / 1_000))), bulk(String(Math.floor((wallMs % 1_000) * 1_000)))]),
  },
  {
    ...{ name: "info", arity: -1, keys: noKeys, flags: ["loading", "stale"], group: "server" },
    summary: "Returns information and statistics about the server.",
    run: (context, args) => ({ kind: "bulk", bytes: Buffer.from(info(context, args)) }),
  },
  {
    ...{ name: "config", arity: -2, keys: noKeys, flags: ["admin", "noscript", "loading", "stale"], group: "server" },
    summary: "Tells of the configuration. It is set by the options of 'dcache node'.",
    ...family("config", {
      get: { ...{ arity: -3, summary: "Returns the effective values of configuration parameters." }, run: configGet },
      set: { ...{ arity: -4, summary: "Refused: options are given to 'dcache node'." }, run: configSet },
      resetstat: { ...{ arity: 2, summary: "Accepted: counts are kept since the node was started." }, run: () => ok },
    }),
  },
]

type Section = Readonly<Record<string, string | number>>

function info(context: Context, args: Arguments): string {
  const sections = sectionsOf(context)
  const asked = args.map(word => textOf(word).toLowerCase())
  const isEverything = asked.some(word => word === "all" || word === "everything")
  const isUsual = asked.length === 0 || asked.includes("default")
  return Object.entries(sections)
    .filter(([name]) => isEverything || asked.includes(name) || (isUsual && !seldomAsked.includes(name)))
    .map(([name, section]) => {
      const lines = Object.entries(section()).map(([field, value]) => `${field}:${value}\r\n`)
      return `# ${titleOf(name)}\r\n${lines.join("")}`
    })
    .join("\r\n")
}

/** Told when asked for by their names alone, or with everything. */
const seldomAsked = ["commandstats"]

function titleOf(name: string): string {
  return name === "cpu" ? "CPU" : `${name.charAt(0).toUpperCase()}${name.slice(1)}`
}

function sectionsOf({ cache, channels, server, wallMs }: Context): Readonly<Record<string, () => Section>> {
  const status = cache.status()
  const { counts } = server
  return {
    server: () => {
      const uptimeSeconds = Math.floor((wallMs - server.startedAtMs) / 1_000)
      return {
        redis_version: followedVersion,
        redis_mode: "standalone",
        dcache_version: server.version,
        os: `${process.platform} ${process.arch}`,
        arch_bits: 64,
        process_id: process.pid,
        run_id: status.id,
        tcp_port: server.port,
        server_time_usec: Math.floor(wallMs * 1_000),
        uptime_in_seconds: uptimeSeconds,
        uptime_in_days: Math.floor(uptimeSeconds / 86_400),
      }
    },
    clients: () => {
      const clients = server.clients()
      const subscribed = clients.filter(({ channels, patterns }) => channels + patterns > 0)
      return {
        connected_clients: clients.length,
        maxclients: server.maxConnections,
        blocked_clients: 0,
        pubsub_clients: subscribed.length,
      }
    },
    memory: () => ({
      used_memory: status.bytes,
      used_memory_rss: process.memoryUsage.rss(),
      maxmemory: status.maxBytes,
      maxmemory_policy: policyOf(status),
      mem_clients_normal: server.memory.bytes,
    }),
    persistence: () => ({
      loading: status.phase === "joining" ? 1 : 0,
      rdb_changes_since_last_save: 0,
      aof_enabled: 0,
    }),
    stats: () => {
      const { hits, misses } = cache.reads()
      return {
        total_connections_received: counts.connections,
        total_commands_processed: sumOf(counts.commands),
        rejected_connections: counts.cutoffs.get("too-many-connections") ?? 0,
        evicted_keys: status.forgetting?.evicted ?? 0,
        dcache_evicted_copies: status.forgetting?.evictedCopies ?? 0,
        keyspace_hits: hits,
        keyspace_misses: misses,
        pubsub_channels: channels.here.channelCount,
        pubsub_patterns: channels.here.patternCount,
        total_error_replies: counts.errors,
      }
    },
    replication: () => ({ role: "master", connected_slaves: 0, master_repl_offset: 0 }),
    cpu: () => {
      const { system, user } = process.cpuUsage()
      return { used_cpu_sys: (system / 1e6).toFixed(6), used_cpu_user: (user / 1e6).toFixed(6) }
    },
    commandstats: () =>
      Object.fromEntries(
        server
          .callsByCommand()
          .filter(([, calls]) => calls > 0)
          .map(([name, calls]) => [`cmdstat_${name}`, `calls=${calls}`]),
      ),
    cluster: () => ({ cluster_enabled: 0 }),
    dcache: () => ({
      dcache_cluster: status.clusterId,
      dcache_epoch: status.epoch,
      dcache_members: status.members.length,
      dcache_copies: status.copies,
      dcache_under_replicated: status.underReplicated,
      dcache_orphans: status.orphans,
      dcache_has_lease: status.hasLease ? 1 : 0,
    }),
    // Of this node, the copies that it keeps of other nodes' entries included. DBSIZE counts those of the cluster.
    keyspace: () => (status.entries === 0 ? {} : { db0: `keys=${status.entries},expires=0,avg_ttl=0` }),
  }
}

function sumOf(values: readonly number[]): number {
  let sum = 0
  for (const value of values) sum += value
  return sum
}

/** In Redis' words, where it has one. */
function policyOf({ forgetting }: StatusReport): string {
  const eviction = forgetting?.eviction ?? "none"
  return eviction === "none" ? "noeviction" : `allkeys-${eviction}`
}

function parameters({ cache, server }: Context): Readonly<Record<string, string>> {
  const status = cache.status()
  return {
    appendonly: "no",
    databases: String(databaseCount),
    maxclients: String(server.maxConnections),
    maxmemory: String(status.maxBytes),
    "maxmemory-policy": policyOf(status),
    port: String(server.port),
    "proto-max-bulk-len": String(maxValueBytes),
    save: "",
    timeout: "0",
  }
}

function configGet(context: Context, args: Arguments): Reply {
  const patterns = args.map(word => globOf(textOf(word).toLowerCase()))
  const found = Object.entries(parameters(context)).filter(([name]) => patterns.some(matches => matches(name)))
  return { kind: "map", entries: found.map(([name, value]) => [bulk(name), bulk(value)] as const) }
}

function configSet(context: Context, args: Arguments): Reply {
  if (args.length % 2 !== 0) throw new CommandError("ERR wrong number of arguments for 'config|set' command")
  const name = optionOf(args[0]).toLowerCase()
  if (!Object.hasOwn(parameters(context), name))
    throw new CommandError(`ERR Unknown option or number of arguments for CONFIG SET - '${name.slice(0, 128)}'`)
  throw new CommandError(
    `ERR CONFIG SET failed (possibly related to argument '${name}') - it is an option of 'dcache node', see 'dcache help node'`,
  )
}
