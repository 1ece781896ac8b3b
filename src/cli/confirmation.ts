/**
 * Asking a person before something that cannot be undone. A script has nobody to ask: it says `--yes`, and is refused
 * without it, whatever its standard input holds.
 */
import { createInterface } from "node:readline"
import type { Readable, Writable } from "node:stream"
import { exitCodes } from "./exit-codes.ts"
import { CommandFailure, UsageError } from "./failure.ts"

export type Confirming = {
  /** "given": it was confirmed in advance, with --yes. */
  readonly consent: "given" | "to-ask"
  readonly stdin: Readable
  readonly stderr: Writable
}

/** Throws unless it is confirmed. The question is one line; what it rests on was printed before. */
export async function confirmed({ consent, stdin, stderr }: Confirming, question: string): Promise<void> {
  if (consent === "given") return
  if (!("isTTY" in stdin && stdin.isTTY === true))
    throw new UsageError("asks before it does this, and standard input is no terminal: say --yes to confirm")
  const answer = await typed(stdin, stderr, `${question} [y/N] `)
  if (!/^y(es)?$/i.test(answer.trim())) throw new CommandFailure(exitCodes.no, "not confirmed; nothing was done")
}

/** Empty when the input ends instead. */
async function typed(stdin: Readable, stderr: Writable, prompt: string): Promise<string> {
  const lines = createInterface({ input: stdin, output: stderr, terminal: true })
  try {
    return await new Promise((resolve, reject) => {
      // A terminal in this mode hands the key over instead of a signal.
      lines.on("SIGINT", () => reject(new CommandFailure(exitCodes.interrupted, "interrupted; nothing was done")))
      lines.on("close", () => resolve(""))
      lines.question(prompt, resolve)
    })
  } finally {
    lines.close()
  }
}
