/**
 * One row of a table of commands: the arguments of `dcache`, and what it must answer. Runs the program as people do, with
 * none of the settings of whoever runs the tests.
 */
import { equal, match } from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import type { CommandLine } from "./node-process.ts"

export type Answer = {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly out: Buffer
  readonly err: string
}
export type Given = { readonly stdin?: Uint8Array; readonly env?: Readonly<Record<string, string>> }
export type Row = Given & {
  readonly args: readonly string[]
  readonly code: number
  readonly out?: RegExp | string
  readonly err?: RegExp
  readonly because: string
}

/** Runs one command; its end is the `answer`. */
export function startCommand(command: CommandLine, args: readonly string[], { stdin, env }: Given = {}) {
  const clean = Object.entries(process.env).filter(([name]) => !name.startsWith("DCACHE_"))
  const child = spawn(command.file, [...command.args, ...args], {
    env: { ...Object.fromEntries(clean), NO_COLOR: "1", ...env },
    stdio: ["pipe", "pipe", "pipe"],
  })
  const out: Buffer[] = []
  let err = ""
  child.stdout.on("data", (chunk: Buffer) => out.push(chunk))
  child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()))
  child.stdin.on("error", () => {}) // it may end before it has read all
  child.stdin.end(stdin ?? "")
  const answer = once(child, "close").then(([code, signal]): Answer => ({ code, signal, out: Buffer.concat(out), err }))
  return { child, answer, errSoFar: () => err, outSoFar: () => Buffer.concat(out).toString() }
}

/** What is not stated must be empty: no command says more than it must. */
export async function checkRow(command: CommandLine, { args, code, out = "", err, ...given }: Row): Promise<void> {
  const answer = await startCommand(command, args, given).answer
  const shown = `${answer.out.subarray(0, 400)}${answer.err}`
  equal(answer.code, code, shown)
  if (typeof out === "string") equal(answer.out.toString("latin1"), out)
  else match(answer.out.toString(), out)
  if (!err) return equal(answer.err, "")
  match(answer.err, err)
  equal(answer.err.trimEnd().split("\n").length, 1, `one line, not: ${answer.err}`)
}

export function titleOf({ args, env, code, because }: Row): string {
  const shown = args.map(arg => (arg.length > 40 ? `${arg.slice(0, 8)}...(${arg.length})` : arg)).join(" ")
  return `dcache ${shown}${env ? ` with ${JSON.stringify(env)}` : ""} -> ${code}: ${because}`
}
