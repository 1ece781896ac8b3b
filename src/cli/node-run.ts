/**
 * The life of a `dcache node` process around the daemon: greets, tells people what happens, and ends in order. Words are
 * in `node-words.ts`; with JSON, everything is an event of the log instead.
 */
import type { Writable } from "node:stream"
import { totalmem } from "node:os"
import { formatAddress, isLoopback } from "../base/address.ts"
import type { NodeEvent } from "../core/ports.ts"
import { type Daemon, type DaemonOptions, StartFailure, startDaemon } from "../host/daemon.ts"
import { createLog, type Log } from "../host/log.ts"
import { version } from "../version.ts"
import { type ExitCode, exitCodes } from "./exit-codes.ts"
import { CommandFailure } from "./failure.ts"
import { defaultMemoryBytes, memoryForEntries } from "./memory.ts"
import { NodeDoors } from "./node-doors.ts"
import type { NodeSettings } from "./node-settings.ts"
import {
  type Greeting,
  greetingLines,
  joinRefusalText,
  leavingText,
  leftTexts,
  noticeOf,
  stillTrying,
} from "./node-words.ts"
import { isTerminal, Progress } from "./output.ts"

/** How often a node that nobody takes in says whom it tries. */
const tryingEveryMs = 5_000
/** How often the shards left are said where no line can be drawn over itself. */
const leavingEveryMs = 2_000

type Ending =
  | { readonly kind: "asked-to-leave" }
  /** By somebody else, with dcache leave; it is done. */
  | { readonly kind: "was-drained" }
  | { readonly kind: "refused"; readonly text: string }
  | { readonly kind: "failed"; readonly error: unknown }

export async function runNode(settings: NodeSettings, out: { stdout: Writable; stderr: Writable }): Promise<ExitCode> {
  const ending = Promise.withResolvers<Ending>()
  endOnSignals(() => ending.resolve({ kind: "asked-to-leave" }))
  const log = logFor(settings, out)
  const teller = settings.logFormat === "json" ? new LogTeller(log) : new LineTeller(out.stdout)
  let hasJoined = false
  let lastRefusal: string | undefined
  const onEvent = (event: NodeEvent) => {
    if (event.kind === "joined" || event.kind === "cluster-formed") hasJoined = true
    if (event.kind === "join-refused") {
      lastRefusal = joinRefusalText(event.reason, event.detail)
      // Who cannot dial this node now may in a moment: it is busy, or its network comes up. And a node that was in
      // once holds data, which others may still want.
      if (event.reason !== "no-dial-back" && !hasJoined) ending.resolve({ kind: "refused", text: lastRefusal })
    }
    if (event.kind === "left") ending.resolve({ kind: "was-drained" })
    teller.event(event)
  }
  // A node can fail while it leaves as well: then the ending is settled already, and this tells.
  let failure: { readonly error: unknown } | undefined
  const onFatal = (error: unknown) => {
    failure = { error }
    ending.resolve({ kind: "failed", error })
  }
  const doors = new NodeDoors()
  const daemon = await started(settings, { log, onEvent, onFatal, acceptResp: doors.acceptResp })
  const trying = setInterval(() => {
    if (daemon.status().phase === "joining") teller.stillTrying(daemon, lastRefusal)
  }, tryingEveryMs)
  try {
    await doors.open(daemon, { log, resp: settings.resp })
    teller.greet(daemon, settings)
    const exitCode = await ended(await ending.promise, daemon, teller)
    if (failure) throw failure.error
    return exitCode
  } finally {
    clearInterval(trying)
    doors.close()
    await daemon.stop()
  }
}

async function ended(ending: Ending, daemon: Daemon, teller: Teller): Promise<ExitCode> {
  switch (ending.kind) {
    case "failed":
      throw ending.error
    case "refused":
      throw new CommandFailure(exitCodes.refused, ending.text)
    case "was-drained":
      teller.left("handed-over")
      return exitCodes.done
    case "asked-to-leave": {
      // Who was never taken in has nothing to hand over, and nobody to ask.
      if (daemon.status().phase === "joining") return exitCodes.interrupted
      const outcome = await daemon.leave()
      teller.left(outcome)
      return outcome === "timeout" ? exitCodes.unknown : exitCodes.done
    }
  }
}

async function started(
  settings: NodeSettings,
  owner: Pick<DaemonOptions, "log" | "onEvent" | "onFatal" | "acceptResp">,
): Promise<Daemon> {
  const { memoryBytes } = settings
  const limit = process.constrainedMemory()
  const machine = { totalBytes: totalmem(), limitBytes: limit > 0 ? limit : undefined }
  const maxBytes = (node: "alone" | "sharing") => memoryForEntries(memoryBytes ?? defaultMemoryBytes(machine, node))
  try {
    return await startDaemon({ ...settings, ...owner, maxBytes, version })
  } catch (error) {
    if (!(error instanceof StartFailure)) throw error
    if (error.kind === "bad-config") throw new CommandFailure(exitCodes.usage, error.message)
    if (error.kind === "hint-file") throw new CommandFailure(exitCodes.unreachable, error.message)
    throw new CommandFailure(exitCodes.unreachable, `${error.message}; choose another address with --listen`)
  }
}

/** The first signal asks for an orderly end, the second is obeyed at once. */
function endOnSignals(leave: () => void): void {
  let isAsked = false
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      if (isAsked) process.exit(exitCodes.interrupted)
      isAsked = true
      leave()
    })
  }
}

function logFor(
  { logFormat, logLevel }: NodeSettings,
  { stdout, stderr }: { stdout: Writable; stderr: Writable },
): Log {
  if (logFormat === "json")
    return createLog({ stream: stdout, format: "json", level: logLevel ?? "info", wallMs: Date.now })
  // People at a terminal are told in words; the log adds what is wrong.
  const level = logLevel ?? (isTerminal(stderr) ? "warn" : "info")
  return createLog({ stream: stderr, format: "text", level, wallMs: Date.now })
}

// ------------------------------------------------------------------------------------------------------------ telling

interface Teller {
  greet(daemon: Daemon, settings: NodeSettings): void
  event(event: NodeEvent): void
  stillTrying(daemon: Daemon, refusal: string | undefined): void
  left(outcome: keyof typeof leftTexts): void
}

/** In words, for people. */
class LineTeller implements Teller {
  readonly #stdout: Writable
  readonly #progress: Progress
  #isGreeted = false
  readonly #early: string[] = []
  #saidLeavingAtMs = Number.NEGATIVE_INFINITY

  constructor(stdout: Writable) {
    this.#stdout = stdout
    this.#progress = new Progress(stdout)
  }

  greet(daemon: Daemon, { memoryBytes, role, zone }: NodeSettings): void {
    const { address, clientAddress, name } = daemon
    const listening = formatAddress(daemon.listen)
    const reach: Greeting["reach"] = isLoopback(daemon.listen.host) ? "this machine" : "others"
    const choice = daemon.listenChoice
    const who = { version, name, address, clientAddress, listening, choice, reach, role }
    this.#say(...greetingLines({ ...who, statedZone: zone, statedMemoryBytes: memoryBytes }))
    this.#isGreeted = true
    this.#say(...this.#early)
  }

  event(event: NodeEvent): void {
    if (event.kind === "leave-progress") return this.#leaving(event.shardsLeft)
    const notice = noticeOf(event)
    if (notice === undefined) return
    // Who it is comes before what happens to it.
    if (this.#isGreeted) this.#say(notice)
    else this.#early.push(notice)
  }

  stillTrying({ seeds, seedsFrom }: Daemon, refusal: string | undefined): void {
    this.#say(stillTrying(seeds, seedsFrom, refusal))
  }

  left(outcome: keyof typeof leftTexts): void {
    this.#say(leftTexts[outcome])
  }

  #leaving(shardsLeft: number): void {
    const text = leavingText(shardsLeft)
    if (isTerminal(this.#stdout)) return this.#progress.show(text)
    if (performance.now() - this.#saidLeavingAtMs < leavingEveryMs) return
    this.#saidLeavingAtMs = performance.now()
    this.#say(text)
  }

  #say(...lines: readonly string[]): void {
    this.#progress.clear()
    for (const line of lines) this.#stdout.write(`${line}\n`)
  }
}

/** As events; those of the node are in the log already. */
class LogTeller implements Teller {
  readonly #log: Log

  constructor(log: Log) {
    this.#log = log
  }

  greet(daemon: Daemon, { role }: NodeSettings): void {
    const { id, name, address, clientAddress, listen } = daemon
    const listening = formatAddress(listen)
    this.#log.event("info", "listening", { id, name, address, clientAddress, listening, role, version })
    if (!isLoopback(listen.host)) this.#log.event("warn", "open-without-secret", { listening })
  }

  event(): void {}

  stillTrying({ seeds, seedsFrom }: Daemon, refusal: string | undefined): void {
    this.#log.event("warn", "still-joining", {
      asking: seeds,
      seedsFrom,
      ...(refusal === undefined ? {} : { refusal }),
    })
  }

  left(outcome: keyof typeof leftTexts): void {
    this.#log.event(outcome === "timeout" ? "warn" : "info", "ended", { outcome })
  }
}
