/** A process of a host that says something, and ends when it is told to. */
import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import type { Host, Hosts } from "./hosts.ts"

/** Read as it speaks: one whose pipe is full stands still. */
export class Teller {
  readonly #child: ChildProcess
  readonly #chunks: Buffer[] = []
  /** It has said something. */
  readonly begun: Promise<unknown>

  constructor(hosts: Hosts, host: Host, script: string, args: readonly string[]) {
    const file = fileURLToPath(new URL(script, import.meta.url))
    const command = { file: process.execPath, args: [file, ...args] }
    this.#child = hosts.spawnOn(host, command, { stdio: ["pipe", "pipe", "inherit"] })
    const { stdout } = this.#child
    if (stdout === null) throw new Error("its output is a pipe")
    stdout.on("data", (chunk: Buffer) => this.#chunks.push(chunk))
    this.begun = once(stdout, "data")
  }

  /** Tells it to end, and gives all that it said. */
  async end(): Promise<string> {
    const closed = once(this.#child, "close")
    this.#child.stdin?.end()
    const [code] = await closed
    if (code !== 0) throw new Error(`${this.#child.spawnargs.join(" ")} ended with ${code}`)
    return Buffer.concat(this.#chunks).toString()
  }
}
