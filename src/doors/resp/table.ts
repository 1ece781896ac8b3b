/** All commands by name, and `COMMAND`, which tells of them. */
import { allKeys, type Arguments, type Command, noKeys, type Run } from "./command.ts"
import { keyCommands } from "./keys.ts"
import { pubsubCommands } from "./pubsub.ts"
import { CommandError, syntaxError } from "./refusals.ts"
import { array, bulk, bulkMap, integer, type Reply } from "./reply.ts"
import { serverCommands } from "./server.ts"
import { sessionCommands } from "./session-commands.ts"
import { stringCommands } from "./strings.ts"
import { family } from "./subcommands.ts"
import { argumentsReply } from "./syntax.ts"
import { wholeCommands } from "./whole.ts"

const always = ["fast", "loading", "stale"]

/** What the connection itself carries out, since it changes how the commands after it are taken. */
const connectionCommands: readonly Command[] = [
  {
    ...{ name: "quit", arity: -1, keys: noKeys, flags: always, group: "connection", own: "quit" },
    isAllowedWhileSubscribed: true,
    summary: "Closes the connection.",
  },
  {
    ...{ name: "reset", arity: 1, keys: noKeys, flags: ["noscript", ...always], group: "connection", own: "reset" },
    isAllowedWhileSubscribed: true,
    summary: "Resets the connection.",
  },
  {
    ...{ name: "multi", arity: 1, keys: noKeys, flags: always, group: "transactions", own: "multi" },
    summary: "Starts a transaction: of commands on keys that one node leads.",
  },
  {
    ...{ name: "exec", arity: 1, keys: noKeys, flags: ["loading", "stale"], group: "transactions", own: "exec" },
    summary: "Executes all commands in a transaction.",
  },
  {
    ...{ name: "discard", arity: 1, keys: noKeys, flags: always, group: "transactions", own: "discard" },
    summary: "Discards a transaction.",
  },
  {
    ...{ name: "watch", arity: -2, keys: allKeys, flags: ["fast"], group: "transactions", own: "watch" },
    summary: "Monitors changes to keys to determine the execution of a transaction.",
  },
  {
    ...{ name: "unwatch", arity: 1, keys: noKeys, flags: always, group: "transactions", own: "unwatch" },
    summary: "Forgets about watched keys of a transaction.",
  },
]

const command: Command = {
  ...{ name: "command", arity: -1, keys: noKeys, flags: ["loading", "stale"], group: "server", since: "2.8.13" },
  summary: "Returns detailed information about all commands.",
  ...aboutCommands(),
}

const rows: readonly Command[] = [
  ...stringCommands,
  ...keyCommands,
  ...wholeCommands,
  ...sessionCommands,
  ...pubsubCommands,
  ...serverCommands,
  command,
  ...connectionCommands,
]

export type NumberedCommand = Command & { readonly index: number }

export const commands: readonly NumberedCommand[] = rows.map((row, index) => ({ ...row, index }))

/** No name is longer; what is need not be read to its end. */
const longestName = 16

/** Names are compared where they were received, in whatever case: most commands take less time than making a text of one. */
const byHash = new Map<number, readonly NumberedCommand[]>()
for (const row of commands) {
  const hash = hashOf(Buffer.from(row.name), 0, row.name.length)
  byHash.set(hash, [...(byHash.get(hash) ?? []), row])
}

/** The command whose name these bytes are. */
export function commandNamed(bytes: Uint8Array, from: number, to: number): NumberedCommand | undefined {
  const found = byHash.get(hashOf(bytes, from, to))
  if (found === undefined) return undefined
  for (const row of found) if (isName(row.name, bytes, from, to)) return row
  return undefined
}

function hashOf(bytes: Uint8Array, from: number, to: number): number {
  let hash = to - from
  for (let i = from; i < to && i < from + longestName; i++) hash = (Math.imul(hash, 31) + lowered(bytes[i])) | 0
  return hash
}

/** A name has letters alone, and this makes nothing else a letter. */
function isName(name: string, bytes: Uint8Array, from: number, to: number): boolean {
  if (to - from !== name.length) return false
  for (let i = 0; i < name.length; i++) if (lowered(bytes[from + i]) !== name.charCodeAt(i)) return false
  return true
}

function lowered(byte: number | undefined): number {
  return (byte ?? 0) | 0x20
}

export function isArity(arity: number, words: number): boolean {
  return arity < 0 ? words >= -arity : words === arity
}

// ------------------------------------------------------------------------------------------------- what COMMAND tells

function aboutCommands(): Pick<Command, "subcommands"> & { readonly run: Run } {
  const { run, subcommands } = family("command", {
    count: { ...{ arity: 2, summary: "Returns the number of commands." }, run: () => integer(commands.length) },
    list: {
      ...{ arity: -2, summary: "Returns the names of all commands." },
      run: (_context, args) => {
        if (args.length > 0) throw new CommandError(syntaxError)
        return array(commands.map(({ name }) => bulk(name)))
      },
    },
    info: { ...{ arity: -2, summary: "Returns information about one, several or all commands." }, run: told(infoOf) },
    docs: { ...{ arity: -2, summary: "Returns what one, several or all commands are for." }, run: docs },
    getkeys: { ...{ arity: -3, summary: "Returns the keys of a command, given whole." }, run: keysIn },
  })
  return {
    ...(subcommands === undefined ? {} : { subcommands }),
    run: (context, args) => (args.length === 0 ? array(commands.map(infoOf)) : run(context, args)),
  }
}

function named(words: Arguments): readonly (Command | undefined)[] {
  return words.length === 0 ? commands : words.map(word => commandNamed(word, 0, word.length))
}

function told(reply: (row: Command) => Reply): Run {
  return (_context, args) => array(named(args).map(row => (row === undefined ? { kind: "nil-array" } : reply(row))))
}

function docs(_context: unknown, args: Arguments): Reply {
  const entries = named(args).flatMap(row => (row === undefined ? [] : [[bulk(row.name), docOf(row)] as const]))
  return { kind: "map", entries }
}

function docOf({ name, summary, since, group, keys, subcommands }: Command): Reply {
  const parts = Object.entries(subcommands ?? {})
  return bulkMap({
    summary: bulk(summary),
    since: bulk(since ?? "1.0.0"),
    group: bulk(group),
    complexity: bulk(keys.last < 0 ? "O(N) where N is the number of keys" : "O(1)"),
    ...followingOf(name),
    ...(parts.length === 0
      ? {}
      : {
          subcommands: bulkMap(
            Object.fromEntries(
              parts.map(([word, part]) => {
                const full = `${name}|${word}`
                return [full, bulkMap({ summary: bulk(part.summary), ...followingOf(full) })]
              }),
            ),
          ),
        }),
  })
}

function followingOf(name: string): Record<string, Reply> {
  const reply = argumentsReply(name)
  return reply === undefined ? {} : { arguments: reply }
}

function keysIn(_context: unknown, args: Arguments): Reply {
  const [word] = args
  const row = word && commandNamed(word, 0, word.length)
  if (row === undefined) throw new CommandError("ERR Invalid command specified")
  if (!isArity(row.arity, args.length)) throw new CommandError("ERR Invalid number of arguments specified for command")
  const { first, last, step } = row.keys
  if (first === 0) throw new CommandError("ERR The command has no key arguments")
  const found: Reply[] = []
  for (let i = first; i <= (last < 0 ? args.length + last : last); i += step) found.push(bulk(args[i] ?? ""))
  return array(found)
}

function infoOf(row: Command): Reply {
  const { name, arity, flags, keys, group, subcommands = {} } = row
  return array([
    bulk(name),
    integer(arity),
    { kind: "set", items: flags.map(text => ({ kind: "status", text })) },
    integer(keys.first),
    integer(keys.last),
    integer(keys.step),
    { kind: "set", items: categoriesOf(flags, group).map(text => ({ kind: "status", text })) },
    array([]),
    array([]),
    array(
      Object.entries(subcommands).map(([word, part]) =>
        infoOf({ ...row, name: `${name}|${word}`, arity: part.arity, subcommands: {} }),
      ),
    ),
  ])
}

/** As Redis groups commands for its access lists. */
function categoriesOf(flags: readonly string[], group: Command["group"]): string[] {
  const kinds = ["write", "admin", "fast"].filter(flag => flags.includes(flag))
  const groups = { string: "string", generic: "keyspace", transactions: "transaction", pubsub: "pubsub" } as const
  const own = group === "connection" ? ["connection"] : group === "server" ? [] : [groups[group]]
  return [...kinds, ...(flags.includes("readonly") ? ["read"] : []), ...own].map(name => `@${name}`)
}
