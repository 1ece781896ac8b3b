/** All commands by name, and `COMMAND`, which tells of them. */
import { optionOf, textOf } from "./arguments.ts"
import { type Arguments, type Command, noKeys } from "./command.ts"
import { keyCommands } from "./keys.ts"
import { CommandError } from "./refusals.ts"
import { array, bulk, integer, type Reply } from "./reply.ts"
import { serverCommands } from "./server.ts"
import { stringCommands } from "./strings.ts"

/** What the connection itself carries out, since it changes how the commands after it are taken. */
export const connectionCommands: readonly Omit<Command, "run" | "transact">[] = [
  {
    ...{ name: "quit", arity: -1, keys: noKeys, flags: ["fast", "loading", "stale"], group: "connection" },
    summary: "Closes the connection.",
  },
  {
    ...{ name: "multi", arity: 1, keys: noKeys, flags: ["fast", "loading", "stale"], group: "transactions" },
    summary: "Starts a transaction: of commands on one key.",
  },
  {
    ...{ name: "exec", arity: 1, keys: noKeys, flags: ["loading", "stale"], group: "transactions" },
    summary: "Executes all commands in a transaction.",
  },
  {
    ...{ name: "discard", arity: 1, keys: noKeys, flags: ["fast", "loading", "stale"], group: "transactions" },
    summary: "Discards a transaction.",
  },
  {
    ...{ name: "watch", arity: -2, keys: { first: 1, last: -1, step: 1 }, flags: ["fast"], group: "transactions" },
    summary: "Monitors changes to keys to determine the execution of a transaction.",
  },
  {
    ...{ name: "unwatch", arity: 1, keys: noKeys, flags: ["fast", "loading", "stale"], group: "transactions" },
    summary: "Forgets about watched keys of a transaction.",
  },
]

const command: Command = {
  ...{ name: "command", arity: -1, keys: noKeys, flags: ["loading", "stale"], group: "server" },
  summary: "Returns detailed information about all commands.",
  run: (_context, args) => tell(args),
}

const commands: ReadonlyMap<string, Command> = new Map(
  [...stringCommands, ...keyCommands, ...serverCommands, command].map(row => [row.name, row]),
)

const rows = [...commands.values(), ...connectionCommands]

/** `name` in lower case. */
export function commandOf(name: string): Command | undefined {
  return commands.get(name)
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

function infoOf({ name, arity, flags, keys }: Omit<Command, "run" | "transact">): Reply {
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
