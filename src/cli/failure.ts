/**
 * The two ways in which a command ends early. Thrown by the functions behind the commands, caught in `run.ts` alone,
 * which turns each into one line on standard error and an exit status. Anything else thrown is a bug.
 */
import type { ExitCode } from "./exit-codes.ts"

/** What was typed cannot be meant. With `option`, the line names where the value came from: the flag or the variable. */
export class UsageError extends Error {
  override name = "UsageError"
  readonly option: { readonly flag: string; readonly text: string } | undefined

  constructor(problem: string, option?: { flag: string; text: string }) {
    super(problem)
    this.option = option
  }
}

/** The command was understood and could not be done. The message says what is wrong and what to do about it. */
export class CommandFailure extends Error {
  override name = "CommandFailure"
  readonly exitCode: ExitCode

  constructor(exitCode: ExitCode, message: string) {
    super(message)
    this.exitCode = exitCode
  }
}
