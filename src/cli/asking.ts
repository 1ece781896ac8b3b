/** What the functions behind the client commands are given: somebody to ask, and somewhere to write. */
import type { Readable, Writable } from "node:stream"
import type { CallOutcome } from "../client/call.ts"
import { maxKeyBytes } from "../protocol/limits.ts"
import type { Operation, Result } from "../protocol/message.ts"
import { exitCodes } from "./exit-codes.ts"
import { CommandFailure } from "./failure.ts"
import { commandFailure, keyTooLong } from "./outcomes.ts"

/** Carries one operation to the cluster; every end is a value. */
export type Ask = (key: Uint8Array, operation: Operation) => Promise<CallOutcome>

export type Asking = {
  readonly ask: Ask
  /** Whom the command asks, for messages. */
  readonly nodes: readonly string[]
  readonly format: "text" | "json"
  readonly stdin: Readable
  readonly stdout: Writable
  readonly stderr: Writable
}

/** The key as bytes; one that no node would take is refused here, before anybody is asked. */
export function keyBytes(key: string): Uint8Array {
  const bytes = new TextEncoder().encode(key)
  if (bytes.length > maxKeyBytes) throw new CommandFailure(exitCodes.refused, keyTooLong)
  return bytes
}

/** The result, or a `CommandFailure` in words. */
export async function resultOf(asking: Asking, key: string, operation: Operation): Promise<Result> {
  const outcome = await asking.ask(keyBytes(key), operation)
  if (outcome.kind === "failed") throw commandFailure(outcome, asking.nodes)
  return outcome
}

export function printJson({ stdout }: Asking, value: unknown): void {
  stdout.write(`${JSON.stringify(value)}\n`)
}

/** The answer "no": an object for programs on standard output, or a line for people on standard error. */
export function answerNo(asking: Asking, json: unknown, line: string): number {
  if (asking.format === "json") printJson(asking, json)
  else asking.stderr.write(`${line}\n`)
  return exitCodes.no
}

/** A result that the operation cannot have; the codec checks form, not fit. */
export function unexpected(operation: Operation["op"], result: Result): CommandFailure {
  return new CommandFailure(
    exitCodes.internal,
    `${operation} was answered with "${result.kind}"; is the node of another version?`,
  )
}
