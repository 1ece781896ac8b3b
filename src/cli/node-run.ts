/**
 * The life of a `dcache node` process around the daemon: greets, tells people what happens, and ends in order. Words are
 * in `node-words.ts`; with JSON, everything is an event of the log instead.
 */
import type { Writable } from "node:stream"
import { totalmem } from "node:os"
import { formatAddress, isLoopback } from "../base/address.ts"
import type { NodeEvent } from "../core/ports.ts"
import { type Daemon, type DaemonOptions, startDaemon } from "../host/daemon.ts"
import type { ResumeFailure } from "../host/keeper.ts"
import { createLog, type Log } from "../host/log.ts"
import { StartFailure } from "../host/start-failure.ts"
import type { DiskReport } from "../protocol/message.ts"
import { version } from "../version.ts"
import { type ExitCode, exitCodes } from "./exit-codes.ts"
import { CommandFailure } from "./failure.ts"
import { availableBytes, defaultMemoryBytes, type Machine, memoryForEntries } from "./memory.ts"
import { NodeDoors } from "./node-doors.ts"
import type { NodeSettings } from "./node-settings.ts"
import {
  diskNotice,
  type Greeting,
  greetingLines,
  joinRefusalText,
  leavingText,
  leftTexts,
  noticeOf,
  resumptionLine,
  stillTrying,
  stoppedText,
} from "./node-words.ts"
import { isTerminal, Progress } from "./output.ts"

/** How often a node that nobody takes in says whom it tries. */
const tryingEveryMs = 5_000
/** How often the shards left are said where no line can be drawn over itself. */
const leavingEveryMs = 2_000

/** How often it is looked how far a snapshot is, and what keeps it from being written. */
const diskEveryMs = 1_000

type Ending =
  | { readonly kind: "asked-to-leave" }
  /** By somebody else, with dcache leave; it is done. */
  | { readonly kind: "was-drained" }
  /** The whole cluster was, with dcache shutdown; what is to be written is written. */
  | { readonly kind: "was-stopped" }
  | { readonly kind: "refused"; readonly text: string }
  | { readonly kind: "unable"; readonly text: string }
  /** What it started from is of no use: it starts as a new node, without. */
  | { readonly kind: "begins-again"; readonly text: string }
  | { readonly kind: "failed"; readonly error: unknown }

/** How the life of a node ended: with the process, or with the next one's beginning. */
type End =
  | { readonly kind: "exit"; readonly code: ExitCode }
  | { readonly kind: "again"; readonly settings: NodeSettings }

type Out = { readonly stdout: Writable; readonly stderr: Writable }

export async function runNode(settings: NodeSettings, out: Out): Promise<ExitCode> {
  const signals = new Signals()
  const log = logFor(settings, out)
  const teller = settings.logFormat === "json" ? new LogTeller(log) : new LineTeller(out.stdout)
  for (let next = settings; ; ) {
    const end = await live(next, { signals, log, teller })
    if (end.kind === "exit") return end.code
    next = end.settings
  }
}

async function live(
  settings: NodeSettings,
  { signals, log, teller }: { signals: Signals; log: Log; teller: Teller },
): Promise<End> {
  const ending = Promise.withResolvers<Ending>()
  signals.onFirst(() => ending.resolve({ kind: "asked-to-leave" }))
  let hasJoined = false
  let lastRefusal: string | undefined
  const onEvent = (event: NodeEvent) => {
    if (event.kind === "joined" || event.kind === "cluster-formed" || event.kind === "resumed") hasJoined = true
    if (event.kind === "join-refused") {
      lastRefusal = joinRefusalText(event.reason, event.detail)
      // Who cannot dial this node now may in a moment: it is busy, or its network comes up. And a node that was in
      // once holds data, which others may still want.
      if (event.reason !== "no-dial-back" && !hasJoined) ending.resolve({ kind: "refused", text: lastRefusal })
    }
    if (event.kind === "left") ending.resolve({ kind: "was-drained" })
    if (event.kind === "may-end") ending.resolve({ kind: "was-stopped" })
    teller.event(event)
  }
  const onResumeFailure = ({ kind, text }: ResumeFailure) =>
    ending.resolve({ kind: kind === "give-up" ? "unable" : "begins-again", text })
  // A node can fail while it leaves as well: then the ending is settled already, and this tells.
  let failure: { readonly error: unknown } | undefined
  const onFatal = (error: unknown) => {
    failure = { error }
    ending.resolve({ kind: "failed", error })
  }
  const doors = new NodeDoors()
  await doors.reserve(settings.resp)
  const daemon = await started(settings, {
    log,
    onEvent,
    onFatal,
    onResumeFailure,
    acceptResp: doors.acceptResp,
    channels: doors.channels,
    respFigures: doors.respFigures,
  }).catch(error => {
    doors.close()
    throw error
  })
  const trying = setInterval(() => {
    if (daemon.phase === "joining") teller.stillTrying(daemon, lastRefusal)
  }, tryingEveryMs)
  const looking = setInterval(() => teller.disk(daemon.disk), diskEveryMs)
  try {
    doors.open(daemon, log)
    teller.greet(daemon, settings)
    const end = await ended(await ending.promise, { daemon, teller, settings })
    if (failure) throw failure.error
    return end
  } finally {
    clearInterval(trying)
    clearInterval(looking)
    doors.close()
    await daemon.stop()
  }
}

async function ended(
  ending: Ending,
  { daemon, teller, settings }: { daemon: Daemon; teller: Teller; settings: NodeSettings },
): Promise<End> {
  switch (ending.kind) {
    case "failed":
      throw ending.error
    case "refused":
      throw new CommandFailure(exitCodes.refused, ending.text)
    case "unable":
      throw new CommandFailure(exitCodes.unreachable, ending.text)
    case "begins-again":
      teller.beginsAgain(ending.text)
      return { kind: "again", settings: settingsAgain(settings, daemon) }
    case "was-drained":
      teller.left("handed-over")
      return exit(exitCodes.done)
    case "was-stopped":
      return stopped(daemon, teller, settings)
    case "asked-to-leave": {
      const { phase } = daemon
      // Who was never taken in has nothing to hand over, and nobody to ask; what it resumes from is left as it was.
      if (phase === "joining" || phase === "resuming") return exit(exitCodes.interrupted)
      if (phase === "stopped") teller.stillWriting()
      const outcome = await daemon.leave()
      if (outcome === "stopped") return stopped(daemon, teller, settings)
      teller.left(outcome)
      return exit(outcome === "timeout" ? exitCodes.unknown : exitCodes.done)
    }
  }
}

/** What could not be written is lost: that is no orderly end. */
function stopped(daemon: Daemon, teller: Teller, { data }: NodeSettings): End {
  const { disk } = daemon
  teller.stopped(disk, data)
  return exit(disk?.kind === "failed" ? exitCodes.unreachable : exitCodes.done)
}

/** The same node at the same place, which asks the members that the old one knew. It forms no cluster by itself. */
function settingsAgain(settings: NodeSettings, daemon: Daemon): NodeSettings {
  const members = daemon.status().members.map(({ addr }) => addr)
  const seeds = [...new Set([...settings.seeds, ...members])].filter(address => address !== daemon.address)
  return { ...settings, listen: daemon.listen, seeds, formation: "careful" }
}

function exit(code: ExitCode): End {
  return { kind: "exit", code }
}

async function started(
  settings: NodeSettings,
  owner: Pick<
    DaemonOptions,
    "log" | "onEvent" | "onFatal" | "onResumeFailure" | "acceptResp" | "channels" | "respFigures"
  >,
): Promise<Daemon> {
  const { memoryBytes } = settings
  const machine = thisMachine()
  const maxBytes = (node: "alone" | "sharing") => memoryForEntries(memoryBytes ?? defaultMemoryBytes(machine, node))
  try {
    return await startDaemon({ ...settings, ...owner, maxBytes, version })
  } catch (error) {
    if (!(error instanceof StartFailure)) throw error
    if (error.kind === "bad-config") throw new CommandFailure(exitCodes.usage, error.message)
    if (error.kind === "hint-file" || error.kind === "data")
      throw new CommandFailure(exitCodes.unreachable, error.message)
    throw new CommandFailure(exitCodes.unreachable, `${error.message}; choose another address with --listen`)
  }
}

function thisMachine(): Machine {
  const limit = process.constrainedMemory()
  return { totalBytes: totalmem(), limitBytes: limit > 0 ? limit : undefined }
}

/** The first signal asks for an orderly end, the second is obeyed at once. */
class Signals {
  #onFirst: () => void = () => {}
  #isAsked = false

  constructor() {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
      process.on(signal, () => {
        if (this.#isAsked) process.exit(exitCodes.interrupted)
        this.#isAsked = true
        this.#onFirst()
      })
  }

  /** At once where it has come already. */
  onFirst(leave: () => void): void {
    this.#onFirst = leave
    if (this.#isAsked) leave()
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
  /** Now and then, whatever it is. */
  disk(report: DiskReport | null): void
  /** The process was asked to end while it writes down what it holds. */
  stillWriting(): void
  stopped(disk: DiskReport | null, directory: string | undefined): void
  beginsAgain(why: string): void
}

/** In words, for people. */
class LineTeller implements Teller {
  readonly #stdout: Writable
  readonly #progress: Progress
  #isGreeted = false
  readonly #early: string[] = []
  #saidLeavingAtMs = Number.NEGATIVE_INFINITY
  #saidOfDisk = ""

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
    this.#say(
      ...greetingLines({
        ...who,
        statedZone: zone,
        statedMemoryBytes: memoryBytes,
        availableBytes: availableBytes(thisMachine()),
      }),
    )
    if (daemon.resumption !== undefined) this.#say(resumptionLine(daemon.resumption, Date.now()))
    this.#isGreeted = true
    this.#say(...this.#early.splice(0))
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

  disk(report: DiskReport | null): void {
    const text = diskNotice(report)
    if (text === undefined || text === this.#saidOfDisk) return
    this.#saidOfDisk = text
    // How far it is changes all the time; that it cannot go on is said once.
    if (report?.kind === "failed") this.#say(text)
    else this.#progress.show(text)
  }

  stillWriting(): void {
    this.#say("the whole cluster is stopped, and this node writes down what it holds; once more stops at once, without")
  }

  stopped(disk: DiskReport | null, directory: string | undefined): void {
    this.#say(stoppedText(disk, directory))
  }

  beginsAgain(why: string): void {
    this.#say(`${why}. It joins as a new node, empty:`)
    this.#isGreeted = false
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

  greet(daemon: Daemon, { role, memoryBytes }: NodeSettings): void {
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

  disk(): void {}

  stillWriting(): void {}

  stopped(disk: DiskReport | null): void {
    this.#log.event(disk?.kind === "failed" ? "error" : "info", "ended", { outcome: "stopped", disk: disk?.kind })
  }

  beginsAgain(): void {}
}
