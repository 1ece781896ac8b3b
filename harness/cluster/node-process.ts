/**
 * One process that runs `dcache node`, as a black box: it is started, looked at from outside, hurt, and ended. A restart
 * is another process, hence another object. The child never outlives this process (its standard input is a pipe that
 * it watches), and what it said last is kept for whoever must explain its end.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { createWriteStream, type WriteStream } from "node:fs"
import { createInterface } from "node:readline"
import type { Readable } from "node:stream"
import type { Address } from "../../src/protocol/message.ts"

/** A program and its first arguments: the packaged binary alone, or Node.js with the script. */
export type CommandLine = { readonly file: string; readonly args: readonly string[] }

export type NodeProcessOptions = {
  readonly command: CommandLine
  readonly name: string
  readonly listen: Address
  /** None: it forms a cluster. */
  readonly join: readonly Address[]
  /** Further arguments of `dcache node`. */
  readonly extraArgs: readonly string[]
  /** Its own; the node may leave small files there. */
  readonly directory: string
  /** Everything that it writes goes here as well; undefined: only the last lines are kept. */
  readonly logFile?: string | undefined
}

export type ProcessEnd = { readonly code: number | null; readonly signal: NodeJS.Signals | null }

const tailLines = 60

export class NodeProcess {
  readonly name: string
  readonly address: Address
  /** Settles when the process is gone, however it went; never rejects. */
  readonly ended: Promise<ProcessEnd>
  readonly #child: ChildProcess
  readonly #tail: string[] = []
  readonly #log: WriteStream | undefined
  #end: ProcessEnd | undefined
  #guard: ChildProcess | undefined

  constructor(options: NodeProcessOptions) {
    const { command, name, listen, join } = options
    this.name = name
    this.address = listen
    const seeds = join.flatMap(address => ["--join", address])
    const args = [...command.args, "node", "--listen", listen, "--name", name, ...seeds, ...options.extraArgs]
    this.#child = spawn(command.file, args, {
      stdio: ["pipe", "pipe", "pipe"],
      cwd: options.directory,
      env: environmentOfNode(options.directory),
    })
    this.ended = new Promise(resolve => {
      const end = (code: number | null, signal: NodeJS.Signals | null) => {
        if (this.#end) return
        this.#end = { code, signal }
        this.#endGuard()
        resolve(this.#end)
      }
      this.#child.once("exit", end)
      this.#child.once("error", error => {
        this.#remember(error.message)
        end(null, null)
      })
    })
    this.#log = options.logFile === undefined ? undefined : createWriteStream(options.logFile, { flags: "a" })
    // A log that cannot be written is no reason to end a run of minutes.
    this.#log?.on("error", () => {})
    for (const stream of [this.#child.stdout, this.#child.stderr]) if (stream) this.#keepTailOf(stream)
    // Writing to it is not meant; its other end going away is.
    this.#child.stdin?.on("error", () => {})
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** How the process ended; undefined: it lives. */
  get end(): ProcessEnd | undefined {
    return this.#end
  }

  /** The last lines that it wrote. */
  get tail(): string {
    return this.#tail.join("\n")
  }

  /** `kill -9`: no farewell. */
  kill(): void {
    this.#child.kill("SIGKILL")
  }

  /** Asks it to hand over its data and leave. */
  terminate(): void {
    this.#child.kill("SIGTERM")
  }

  /**
   * Stops the process without its knowledge, until `resume`. A stopped process cannot notice that its parent died, so a
   * shell stands by that continues it when this process resumes it or dies, whichever is first.
   */
  pause(): void {
    if (this.#end || this.pid === undefined) return
    this.#guard = spawn("sh", ["-c", 'read -r _; kill -CONT "$1"', "sh", String(this.pid)], {
      stdio: ["pipe", "ignore", "ignore"],
    })
    this.#guard.on("error", () => {})
    this.#guard.stdin?.on("error", () => {})
    this.#child.kill("SIGSTOP")
  }

  resume(): void {
    this.#child.kill("SIGCONT")
    this.#endGuard()
  }

  #endGuard(): void {
    // Ended outright rather than by closing its pipe: it must not signal a process number that is used anew.
    this.#guard?.kill("SIGKILL")
    this.#guard = undefined
  }

  #keepTailOf(stream: Readable): void {
    const lines = createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })
    lines.on("line", line => this.#remember(line))
    lines.on("error", () => {})
  }

  #remember(line: string): void {
    this.#tail.push(line)
    if (this.#tail.length > tailLines) this.#tail.shift()
    this.#log?.write(`${line}\n`)
  }
}

/** Without our own DCACHE_ settings: they are for the load tester, and a node would take them for its options. */
function environmentOfNode(directory: string): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("DCACHE_"))
  // The name is stated again in src/host/parent-watch.ts, which a black box's owner does not import.
  // Where its hints go: those of an earlier run's node at this address would lead it to a cluster that is gone.
  return { ...Object.fromEntries(inherited), DCACHE_EXIT_WITH_PARENT: "1", XDG_STATE_HOME: directory }
}
