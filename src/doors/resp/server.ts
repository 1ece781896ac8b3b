/** Commands about the connection and the server. What there is nothing to set or tell of is said, not made up. */
import type { StatusReport } from "../../protocol/message.ts"
import { databaseOf } from "./keys.ts"
import { optionOf, textOf, wordAt } from "./arguments.ts"
import { type Arguments, type ClientState, type Command, type Context, noKeys } from "./command.ts"
import { globOf } from "./glob.ts"
import { CommandError, syntaxError } from "./refusals.ts"
import { array, bulk, integer, nil, ok, type Reply, type RespVersion } from "./reply.ts"

/** The version of Redis whose behaviour these commands follow; clients decide by it what they may use. */
const followedVersion = "7.2.0"

export const serverCommands: readonly Command[] = [
  {
    ...{ name: "ping", arity: -1, keys: noKeys, flags: ["fast"], group: "connection" },
    summary: "Returns the server's liveliness response.",
    run: (_context, [text]) => (text === undefined ? { kind: "status", text: "PONG" } : bulk(text)),
  },
  {
    ...{ name: "echo", arity: 2, keys: noKeys, flags: ["fast"], group: "connection" },
    summary: "Returns the given string.",
    run: (_context, [text]) => bulk(text ?? ""),
  },
  {
    ...{ name: "hello", arity: -1, keys: noKeys, flags: ["noscript", "loading", "stale", "fast"], group: "connection" },
    summary: "Handshakes with the server: protocol version, name.",
    run: hello,
  },
  {
    ...{ name: "auth", arity: -2, keys: noKeys, flags: ["noscript", "loading", "stale", "fast"], group: "connection" },
    summary: "Authenticates the connection. There are no passwords here yet.",
    run: () => {
      throw new CommandError(
        "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
      )
    },
  },
  {
    ...{ name: "select", arity: 2, keys: noKeys, flags: ["loading", "stale", "fast"], group: "connection" },
    summary: "Changes the selected database: 0 to 15.",
    run: ({ client }, args) => {
      client.database = databaseOf(wordAt(args, 0))
      return ok
    },
  },
  {
    ...{ name: "client", arity: -2, keys: noKeys, flags: ["noscript", "loading", "stale"], group: "connection" },
    summary: "Tells of connections, and names this one.",
    run: client,
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
    run: config,
  },
]

// ------------------------------------------------------------------------------------------------------- connection

function hello({ client, server }: Context, args: Arguments): Reply {
  let version: RespVersion = client.version
  let name: string | undefined
  let i = 0
  if (args[0] !== undefined) {
    const asked = textOf(args[0])
    if (!/^\d+$/.test(asked)) throw new CommandError("ERR Protocol version is not an integer or out of range")
    if (asked !== "2" && asked !== "3") throw new CommandError("NOPROTO unsupported protocol version")
    version = asked === "2" ? 2 : 3
    i = 1
  }
  for (; i < args.length; i++) {
    const option = optionOf(args[i])
    if (option === "SETNAME" && i + 1 < args.length) name = checkedName(wordAt(args, ++i))
    else if (option === "AUTH" && i + 2 < args.length)
      throw new CommandError("WRONGPASS this server has no users: leave AUTH out")
    else throw new CommandError(`ERR Syntax error in HELLO option '${textOf(args[i])}'`)
  }
  client.version = version
  if (name !== undefined) client.name = name
  return map({
    server: bulk("redis"),
    version: bulk(followedVersion),
    proto: integer(version),
    id: integer(client.id),
    // Any node takes any key, so a client that knows clusters need not know of this one.
    mode: bulk("standalone"),
    role: bulk("master"),
    modules: array([]),
    dcache: bulk(server.version),
  })
}

function checkedName(word: Buffer): string {
  const name = textOf(word)
  if (/[^\x21-\x7e]/.test(name))
    throw new CommandError("ERR Client names cannot contain spaces, newlines or special characters.")
  return name.slice(0, 255)
}

function client(context: Context, args: Arguments): Reply {
  const self = context.client
  const what = optionOf(args[0])
  const wants = (count: number) => {
    if (args.length !== count)
      throw new CommandError(`ERR wrong number of arguments for 'client|${what.toLowerCase()}' command`)
  }
  switch (what) {
    case "ID":
      wants(1)
      return integer(self.id)
    case "GETNAME":
      wants(1)
      return self.name === "" ? nil : bulk(self.name)
    case "SETNAME":
      wants(2)
      self.name = checkedName(wordAt(args, 1))
      return ok
    case "SETINFO": {
      wants(3)
      const attribute = optionOf(args[1])
      if (attribute !== "LIB-NAME" && attribute !== "LIB-VER")
        throw new CommandError(`ERR Unrecognized option '${textOf(args[1])}'`)
      const value = checkedName(wordAt(args, 2))
      if (attribute === "LIB-NAME") self.library.name = value
      else self.library.version = value
      return ok
    }
    case "INFO":
      wants(1)
      return bulk(`${clientLine(self, context.wallMs)}\n`)
    case "LIST": {
      const lines = context.server.clients().map(one => clientLine(one, context.wallMs))
      return bulk(`${lines.join("\n")}\n`)
    }
    case "NO-EVICT":
    case "NO-TOUCH":
      wants(2)
      if (!["ON", "OFF"].includes(optionOf(args[1]))) throw new CommandError(syntaxError)
      return ok
    default:
      throw new CommandError(`ERR unknown subcommand '${textOf(args[0])}'. Try CLIENT HELP.`)
  }
}

function clientLine(client: ClientState, wallMs: number): string {
  const { id, remote, local, name, connectedAtMs, database, lastCommand, library, version } = client
  const ageSeconds = Math.floor((wallMs - connectedAtMs) / 1_000)
  return (
    `id=${id} addr=${remote} laddr=${local} name=${name} age=${ageSeconds} db=${database} cmd=${lastCommand} ` +
    `resp=${version} lib-name=${library.name} lib-ver=${library.version}`
  )
}

// ----------------------------------------------------------------------------------------------------------- server

function info({ cache, server, wallMs }: Context, args: Arguments): string {
  const status = cache.status()
  const uptimeSeconds = Math.floor((wallMs - server.startedAtMs) / 1_000)
  const sections: Readonly<Record<string, Readonly<Record<string, string | number>>>> = {
    server: {
      redis_version: followedVersion,
      redis_mode: "standalone",
      dcache_version: server.version,
      os: `${process.platform} ${process.arch}`,
      process_id: process.pid,
      run_id: status.id,
      tcp_port: server.port,
      uptime_in_seconds: uptimeSeconds,
      uptime_in_days: Math.floor(uptimeSeconds / 86_400),
    },
    clients: { connected_clients: server.clients().length },
    memory: { used_memory: status.bytes, maxmemory: status.maxBytes, maxmemory_policy: policyOf(status) },
    stats: {
      evicted_keys: status.forgetting?.evicted ?? 0,
      dcache_evicted_copies: status.forgetting?.evictedCopies ?? 0,
    },
    persistence: { loading: status.phase === "joining" ? 1 : 0 },
    replication: { role: "master", connected_slaves: 0 },
    cluster: { cluster_enabled: 0 },
    dcache: {
      dcache_cluster: status.clusterId,
      dcache_epoch: status.epoch,
      dcache_members: status.members.length,
      dcache_copies: status.copies,
      dcache_under_replicated: status.underReplicated,
      dcache_orphans: status.orphans,
      dcache_has_lease: status.hasLease ? 1 : 0,
    },
    keyspace: { db0: `keys=${status.entries},expires=0,avg_ttl=0` },
  }
  const asked = args.map(word => textOf(word).toLowerCase())
  const isAll = asked.length === 0 || asked.some(word => ["all", "default", "everything"].includes(word))
  return Object.entries(sections)
    .filter(([name]) => isAll || asked.includes(name))
    .map(([name, fields]) => {
      const lines = Object.entries(fields).map(([field, value]) => `${field}:${value}\r\n`)
      return `# ${name.charAt(0).toUpperCase()}${name.slice(1)}\r\n${lines.join("")}`
    })
    .join("\r\n")
}

/** In Redis' words, where it has one. */
function policyOf({ forgetting }: StatusReport): string {
  const eviction = forgetting?.eviction ?? "none"
  return eviction === "none" ? "noeviction" : `allkeys-${eviction}`
}

function config({ cache }: Context, args: Arguments): Reply {
  const what = optionOf(args[0])
  if (what === "GET" && args.length > 1) {
    const known: Readonly<Record<string, string>> = {
      appendonly: "no",
      databases: "16",
      maxmemory: String(cache.status().maxBytes),
      "maxmemory-policy": policyOf(cache.status()),
      save: "",
    }
    const patterns = args.slice(1).map(word => globOf(textOf(word).toLowerCase()))
    const found = Object.entries(known).filter(([name]) => patterns.some(pattern => pattern(name)))
    return { kind: "map", entries: found.map(([name, value]) => [bulk(name), bulk(value)] as const) }
  }
  if (what === "SET")
    throw new CommandError(
      "ERR CONFIG SET failed: options are given to 'dcache node' when it starts, see 'dcache help node'",
    )
  if (what === "RESETSTAT") return ok
  throw new CommandError(`ERR unknown subcommand '${textOf(args[0])}'. Try CONFIG GET.`)
}

function map(fields: Readonly<Record<string, Reply>>): Reply {
  return { kind: "map", entries: Object.entries(fields).map(([name, value]) => [bulk(name), value] as const) }
}
