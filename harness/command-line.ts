/** What people type after the name of one of this folder's programs: read, or refused in a line that says what would do. */
import { type ParseArgsOptionsConfig, parseArgs } from "node:util"

/** Their values. Ends the process for `--help`, which prints the help, and for what `options` do not know. */
export function readCommandLine<const Options extends ParseArgsOptionsConfig>(
  program: string,
  help: string,
  options: Options,
) {
  if (process.argv.slice(2).some(arg => arg === "--help" || arg === "-h")) {
    process.stdout.write(`${help}\n`)
    process.exit(0)
  }
  try {
    return parseArgs({ options }).values
  } catch (error) {
    if (!isParseArgsError(error)) throw error
    return refuse(program, `${error.message}\n\n${help}`)
  }
}

/** Ends the process with the status of wrong usage. */
export function refuse(program: string, problem: string): never {
  process.stderr.write(`${program}: ${problem}\n`)
  process.exit(2)
}

/** Node.js' complaint about an option, which is in words already. */
export function isParseArgsError(error: unknown): error is Error {
  return error instanceof Error && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS")
}
