/**
 * From an argument list to an exit status. The one place that knows the argument parser, and the one that turns what a
 * command throws into a line on standard error. Only the code of the command that runs is loaded: `dcache get` should
 * cost what a get costs.
 */
import { type BaseContext, Cli, type CommandClass, type Definition } from "clipanion"
import { version } from "../version.ts"
import { argumentsFromEnvironment, type OptionShape, variableOf } from "./environment.ts"
import { exitCodes } from "./exit-codes.ts"
import { CommandFailure, UsageError } from "./failure.ts"
import { commandHelp, overview, usageLine } from "./help.ts"
import { coloursFor, ignoreClosedPipes } from "./output.ts"

export type LoadCommand = () => Promise<CommandClass>

/** Command names, as typed, and how to load the class of each. */
export type CommandTable = ReadonlyMap<string, LoadCommand>

/** Runs the command of this process and ends it. */
export async function runProcess(commands: CommandTable): Promise<never> {
  ignoreClosedPipes(process.stdout, process.stderr)
  const fail = (error: unknown) => process.exit(report(error, "", new Set(), process.stderr, process.env))
  process.on("uncaughtException", fail)
  process.on("unhandledRejection", fail)
  const exitCode = await run(process.argv.slice(2), commands, {
    env: process.env,
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    colorDepth: 1,
  })
  // A pipe may still hold what was written; a connection left open must not keep the process.
  await new Promise<void>(resolve => process.stdout.write("", () => resolve()))
  process.exit(exitCode)
}

export async function run(argv: readonly string[], commands: CommandTable, context: BaseContext): Promise<number> {
  const [name, ...rest] = argv
  let fromEnvironment: ReadonlySet<string> = new Set()
  try {
    if (name === undefined) {
      context.stderr.write(await helpOverview(commands, context.stderr, context))
      return exitCodes.usage
    }
    if (name === "--version" || name === "-v" || name === "version") {
      context.stdout.write(`${version}\n`)
      return exitCodes.done
    }
    if (name === "help" || name === "--help" || name === "-h") return await help(rest[0], commands, context)
    const cli = await cliOf(name, commands)
    const definition = definitionOf(cli)
    if (asksForHelp(rest)) return await help(name, commands, context)
    const added = argumentsFromEnvironment(definition.options.map(optionShape), rest, context.env)
    fromEnvironment = added.flags
    const command = parse(cli, definition, [name, ...added.args, ...rest], context)
    return (await command.execute()) ?? exitCodes.done
  } catch (error) {
    return report(error, name ?? "", fromEnvironment, context.stderr, context.env)
  }
}

function parse(cli: Cli, definition: Definition, args: readonly string[], context: BaseContext) {
  try {
    return restoreNegativeNumbers(cli.process(hideNegativeNumbers(args), context))
  } catch (error) {
    if (!isSyntaxError(error)) throw error
    const reason = error.candidates?.[0]?.reason ?? error.message
    const shown = restore(`${reason.charAt(0).toLowerCase()}${reason.slice(1).replace(/\.$/, "")}`)
    throw new UsageError(`${shown}; usage: ${usageLine(definition)}`)
  }
}

/** The parser's own errors are plain errors with a mark. */
type SyntaxMistake = Error & { readonly candidates?: readonly { readonly reason: string | null }[] }

function isSyntaxError(error: unknown): error is SyntaxMistake {
  return error instanceof Error && "clipanion" in error
}

async function cliOf(name: string, commands: CommandTable): Promise<Cli> {
  const load = commands.get(name)
  if (!load) {
    const known = [...commands.keys(), "help"].join(", ")
    if (name.startsWith("-")) throw new UsageError(`options come after the command: dcache COMMAND ${name} (${known})`)
    throw new UsageError(`there is no command "${name}"; there are ${known}`)
  }
  return Cli.from([await load()], { binaryName: "dcache" })
}

function definitionOf(cli: Cli): Definition {
  const [definition] = cli.definitions()
  if (!definition) throw new Error("a command states its usage")
  return definition
}

function optionShape({ definition }: Definition["options"][number]): OptionShape {
  const [flag = definition, value] = definition.split(" ")
  return { flag, takes: value === undefined ? "nothing" : "value" }
}

// ------------------------------------------------------------------------------------------------------------ help

function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf("--")
  return (end === -1 ? args : args.slice(0, end)).some(arg => arg === "--help" || arg === "-h")
}

async function help(topic: string | undefined, commands: CommandTable, context: BaseContext): Promise<number> {
  const text =
    topic === undefined
      ? await helpOverview(commands, context.stdout, context)
      : commandHelp(definitionOf(await cliOf(topic, commands)), coloursFor(context.stdout, context.env))
  context.stdout.write(text)
  return exitCodes.done
}

async function helpOverview(
  commands: CommandTable,
  stream: BaseContext["stdout"],
  context: BaseContext,
): Promise<string> {
  const clis = await Promise.all([...commands.keys()].map(name => cliOf(name, commands)))
  return overview(clis.map(definitionOf), version, coloursFor(stream, context.env))
}

// ---------------------------------------------------------------------------------------------------- negative numbers

/**
 * The parser takes every word with a leading dash for an option, but `dcache incr hits -5` means a number. No option
 * begins with a digit, so such words pass through it in disguise; no argument of a process contains a NUL.
 */
const disguise = "\0"

function hideNegativeNumbers(args: readonly string[]): string[] {
  return args.map(arg => (/^-\.?\d/.test(arg) ? disguise + arg : arg))
}

function restoreNegativeNumbers<T extends object>(command: T): T {
  for (const [name, value] of Object.entries(command)) {
    if (typeof value === "string") Reflect.set(command, name, restore(value))
    else if (Array.isArray(value)) {
      Reflect.set(
        command,
        name,
        value.map(item => (typeof item === "string" ? restore(item) : item)),
      )
    }
  }
  return command
}

function restore(text: string): string {
  return text.replaceAll(disguise, "").replaceAll("\\u0000", "")
}

// -------------------------------------------------------------------------------------------------------------- errors

/** One line for whatever ended a command, and its exit status. */
function report(
  error: unknown,
  commandName: string,
  fromEnvironment: ReadonlySet<string>,
  stderr: BaseContext["stderr"],
  env: BaseContext["env"],
): number {
  const who = commandName === "" || commandName.startsWith("-") ? "dcache" : `dcache ${commandName}`
  if (error instanceof UsageError) {
    stderr.write(`${who}: ${nameSource(error, fromEnvironment)}${error.message}\n`)
    return exitCodes.usage
  }
  if (error instanceof CommandFailure) {
    stderr.write(`${who}: ${error.message}\n`)
    return error.exitCode
  }
  const message = error instanceof Error ? error.message : String(error)
  if (env["DCACHE_DEBUG"] && error instanceof Error) stderr.write(`${error.stack}\n`)
  stderr.write(`${who}: internal failure, a bug of dcache: ${message} (DCACHE_DEBUG=1 shows where)\n`)
  return exitCodes.internal
}

function nameSource({ option }: UsageError, fromEnvironment: ReadonlySet<string>): string {
  if (!option) return ""
  const { flag, text } = option
  return fromEnvironment.has(flag) ? `${variableOf(flag)}=${text}: ` : `${flag} ${text}: `
}
