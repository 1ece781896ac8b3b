/** All commands by name, and `COMMAND`, which tells of them. */
import { optionOf, textOf } from "./arguments.ts"
import { allKeys, type Arguments, type Command, noKeys } from "./command.ts"
import { keyCommands } from "./keys.ts"
import { CommandError } from "./refusals.ts"
import { array, bulk, integer, type Reply } from "./reply.ts"
import { serverCommands } from "./server.ts"
import { stringCommands } from "./strings.ts"

const always = ["fast", "loading", "stale"]

/** What the connection itself carries out, since it changes how the commands after it are taken. */
const connectionCommands: readonly Command[] = [
  {
    ...{ name: "quit", arity: -1, keys: noKeys, flags: always, group: "connection", own: "quit" },
    summary: "Closes the connection.",
  },
  {
    ...{ name: "reset", arity: 1, keys: noKeys, flags: ["noscript", ...always], group: "connection", own: "reset" },
    summary: "Resets the connection.",
  },
  {
    ...{ name: "multi", arity: 1, keys: noKeys, flags: always, group: "transactions", own: "multi" },
    summary: "Starts a transaction: of commands on one key.",
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
  ...{ name: "command", arity: -1, keys: noKeys, flags: ["loading", "stale"], group: "server" },
  summary: "Returns detailed information about all commands.",
  run: (_context, args) => tell(args),
}

const rows: readonly Command[] = [...stringCommands, ...keyCommands, ...serverCommands, command, ...connectionCommands]

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

function tell(args: Arguments): Reply {
  if (args.length === 0) return array(rows.map(infoOf))
  const what = optionOf(args[0])
  const names = args.slice(1).map(word => textOf(word).toLowerCase())
  const named = names.length === 0 ? rows : undefined
  switch (what) {
    case "COUNT":
      return integer(rows.length)
    case "LIST":
      return array(rows.map(({ name }) => bulk(name)))
    case "INFO":
      if (named !== undefined) return array(named.map(infoOf))
      return array(
        names.map(name => {
          const row = rows.find(row => row.name === name)
          return row === undefined ? { kind: "nil-array" } : infoOf(row)
        }),
      )
    case "DOCS":
      return {
        kind: "map",
        entries: (named ?? rows.filter(({ name }) => names.includes(name))).map(({ name, summary, group }) => [
          bulk(name),
          {
            kind: "map",
            entries: [
              [bulk("summary"), bulk(summary)],
              [bulk("group"), bulk(group)],
            ],
          },
        ]),
      }
    default:
      throw new CommandError(`ERR unknown subcommand '${textOf(args[0])}'. Try COMMAND HELP.`)
  }
}

function infoOf({ name, arity, flags, keys }: Command): Reply {
  return array([
    bulk(name),
    integer(arity),
    { kind: "set", items: flags.map(text => ({ kind: "status", text }) as const) },
    integer(keys.first),
    integer(keys.last),
    integer(keys.step),
    array([]),
    array([]),
    array([]),
    array([]),
  ])
}
