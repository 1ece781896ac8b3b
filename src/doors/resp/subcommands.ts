/** Commands that are families: the second word says which one is meant. */
import { optionOf, textOf } from "./arguments.ts"
import type { Command, Run } from "./command.ts"
import { CommandError } from "./refusals.ts"
import { array } from "./reply.ts"

export type Subcommand = {
  /** Words, both names included; negative: that many at least. */
  readonly arity: number
  readonly summary: string
  /** Is given the words after the second. */
  readonly run: Run
}

/** `subcommands` by their names, in lower case. */
export function family(
  name: string,
  subcommands: Readonly<Record<string, Subcommand>>,
): Pick<Command, "subcommands"> & { readonly run: Run } {
  const all: Readonly<Record<string, Subcommand>> = {
    ...subcommands,
    help: { arity: 2, summary: "Returns helpful text about the subcommands.", run: () => help(name, all) },
  }
  const run: Run = (context, args) => {
    const word = optionOf(args[0]).toLowerCase()
    const found = Object.hasOwn(all, word) ? all[word] : undefined
    if (found === undefined)
      throw new CommandError(
        `ERR unknown subcommand '${textOf(args[0]).slice(0, 128)}'. Try ${name.toUpperCase()} HELP.`,
      )
    const words = args.length + 1
    if (found.arity < 0 ? words < -found.arity : words !== found.arity)
      throw new CommandError(`ERR wrong number of arguments for '${name}|${word}' command`)
    return found.run(context, args.slice(1))
  }
  return { run, subcommands: all }
}

function help(name: string, subcommands: Readonly<Record<string, Subcommand>>) {
  const lines = Object.entries(subcommands).flatMap(([word, { summary }]) => [word.toUpperCase(), `    ${summary}`])
  const all = [`${name.toUpperCase()} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:`, ...lines]
  return array(all.map(text => ({ kind: "status", text })))
}
