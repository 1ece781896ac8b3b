/** Commands about the connection by which they come: how it speaks, what it is called, which database it means. */
import { optionOf, textOf, wordAt } from "./arguments.ts"
import { type Arguments, type ClientState, type Command, type Context, noKeys } from "./command.ts"
import { databaseOf } from "./keys.ts"
import { CommandError, syntaxError } from "./refusals.ts"
import { array, bulk, bulkMap, integer, nil, ok, type Reply, type RespVersion } from "./reply.ts"
import { followedVersion } from "./server.ts"
import { family } from "./subcommands.ts"

const always = ["noscript", "loading", "stale"]

export const sessionCommands: readonly Command[] = [
  {
    ...{ name: "hello", arity: -1, keys: noKeys, flags: [...always, "fast"], group: "connection", since: "6.0.0" },
    summary: "Handshakes with the server: protocol version, name.",
    run: hello,
  },
  {
    ...{ name: "auth", arity: -2, keys: noKeys, flags: [...always, "fast"], group: "connection" },
    summary: "Authenticates the connection. There are no passwords here yet.",
    run: (_context, args) => {
      if (args.length > 2) throw new CommandError(syntaxError)
      if (args.length === 1) throw new CommandError(noPassword)
      return authenticated(args[0])
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
    ...{ name: "client", arity: -2, keys: noKeys, flags: always, group: "connection", since: "2.4.0" },
    summary: "Tells of connections, and names this one.",
    ...family("client", {
      id: {
        ...{ arity: 2, summary: "Returns the unique client ID of the connection." },
        run: ({ client }) => integer(client.id),
      },
      getname: {
        ...{ arity: 2, summary: "Returns the name of the connection." },
        run: ({ client }) => (client.name === "" ? nil : bulk(client.name)),
      },
      setname: {
        ...{ arity: 3, summary: "Sets the connection name." },
        run: ({ client }, args) => {
          client.name = checkedName(wordAt(args, 0))
          return ok
        },
      },
      setinfo: {
        ...{ arity: 4, summary: "Sets information specific to the client or connection." },
        run: setInfo,
      },
      info: {
        ...{ arity: 2, summary: "Returns information about the connection." },
        run: ({ client, wallMs }) => bulk(`${clientLine(client, wallMs)}\n`),
      },
      list: { ...{ arity: -2, summary: "Lists open connections to this node." }, run: list },
      "no-evict": { ...{ arity: 3, summary: "Accepted: connections are not evicted here." }, run: onOrOff },
      "no-touch": { ...{ arity: 3, summary: "Accepted, and without effect." }, run: onOrOff },
    }),
  },
]

const noPassword =
  "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"

/** As in a Redis without passwords: its one user is whoever comes. */
function authenticated(user: Buffer | undefined): Reply {
  if (textOf(user) === "default") return ok
  throw new CommandError("WRONGPASS invalid username-password pair or user is disabled.")
}

function hello({ client, server }: Context, args: Arguments): Reply {
  let version: RespVersion = client.version
  let name: string | undefined
  if (args[0] !== undefined) {
    const asked = textOf(args[0])
    if (!/^-?\d{1,18}$/.test(asked)) throw new CommandError("ERR Protocol version is not an integer or out of range")
    if (asked !== "2" && asked !== "3") throw new CommandError("NOPROTO unsupported protocol version")
    version = asked === "2" ? 2 : 3
  }
  for (let i = 1; i < args.length; i++) {
    const option = optionOf(args[i])
    if (option === "SETNAME" && i + 1 < args.length) name = checkedName(wordAt(args, ++i))
    else if (option === "AUTH" && i + 2 < args.length) {
      authenticated(args[i + 1])
      i += 2
    } else throw new CommandError(`ERR Syntax error in HELLO option '${textOf(args[i]).slice(0, 128)}'`)
  }
  client.version = version
  if (name !== undefined) client.name = name
  return bulkMap({
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

function setInfo({ client }: Context, args: Arguments): Reply {
  const attribute = optionOf(args[0])
  const value = textOf(args[1])
  if (attribute !== "LIB-NAME" && attribute !== "LIB-VER")
    throw new CommandError(`ERR Unrecognized option '${textOf(args[0]).slice(0, 128)}'`)
  if (/[^\x21-\x7e]/.test(value))
    throw new CommandError(`ERR ${attribute.toLowerCase()} cannot contain spaces, newlines or special characters.`)
  if (attribute === "LIB-NAME") client.library.name = value.slice(0, 255)
  else client.library.version = value.slice(0, 255)
  return ok
}

function onOrOff(_context: Context, args: Arguments): Reply {
  if (!["ON", "OFF"].includes(optionOf(args[0]))) throw new CommandError(syntaxError)
  return ok
}

const clientTypes = ["normal", "master", "replica", "slave", "pubsub"]

function list({ server, wallMs }: Context, args: Arguments): Reply {
  let clients = server.clients()
  const option = optionOf(args[0])
  if (option === "TYPE" && args.length === 2) {
    const type = optionOf(args[1]).toLowerCase()
    if (!clientTypes.includes(type))
      throw new CommandError(`ERR Unknown client type '${textOf(args[1]).slice(0, 128)}'`)
    clients = clients.filter(client => typeOf(client) === type)
  } else if (option === "ID" && args.length > 1) {
    const ids = args.slice(1).map(idOf)
    clients = clients.filter(({ id }) => ids.includes(id))
  } else if (args.length > 0) throw new CommandError(syntaxError)
  return bulk(clients.map(client => `${clientLine(client, wallMs)}\n`).join(""))
}

function idOf(word: Buffer): number {
  const text = textOf(word)
  if (!/^-?\d{1,19}$/.test(text)) throw new CommandError("ERR Invalid client ID")
  return Number(text)
}

function typeOf({ channels, patterns }: ClientState): string {
  return channels + patterns > 0 ? "pubsub" : "normal"
}

function clientLine(client: ClientState, wallMs: number): string {
  const { id, remote, local, name, connectedAtMs, activeAtMs, database, channels, patterns } = client
  const { queued, watching, heldBytes, unsentBytes, lastCommand, library, version } = client
  const seconds = (sinceMs: number) => Math.max(0, Math.floor((wallMs - sinceMs) / 1_000))
  const flags = `${channels + patterns > 0 ? "P" : ""}${queued === undefined ? "" : "x"}` || "N"
  return Object.entries({
    ...{ id, addr: remote, laddr: local, name, age: seconds(connectedAtMs), idle: seconds(activeAtMs), flags },
    ...{ db: database, sub: channels, psub: patterns, ssub: 0, multi: queued ?? -1, watch: watching },
    ...{ qbuf: heldBytes, omem: unsentBytes, cmd: lastCommand || "NULL", user: "default", redir: -1, resp: version },
    ...{ "lib-name": library.name, "lib-ver": library.version },
  })
    .map(([field, value]) => `${field}=${value}`)
    .join(" ")
}
