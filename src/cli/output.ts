/**
 * How commands write: colours only where people look, a line of progress only on a terminal, and a reader that goes
 * away (`dcache get k | head -c 1`) is no failure. Tables are in `table.ts`, loaded by the commands that print one.
 */
import type { Writable } from "node:stream"
import picocolors from "picocolors"

export type Colours = ReturnType<typeof picocolors.createColors>
export type Env = Readonly<Record<string, string | undefined>>

/** Whether a person sees what is written here. */
export function isTerminal(stream: Writable): boolean {
  return "isTTY" in stream && stream.isTTY === true
}

/** Colours on a terminal unless NO_COLOR (no-color.org) or a dumb terminal forbids them; FORCE_COLOR asks for them anywhere. */
export function coloursFor(stream: Writable, env: Env): Colours {
  if (env["NO_COLOR"]) return picocolors.createColors(false)
  if (env["FORCE_COLOR"]) return picocolors.createColors(true)
  return picocolors.createColors(isTerminal(stream) && env["TERM"] !== "dumb")
}

/**
 * Without a handler the first write after the reader has gone ends the process with a stack trace. A client command
 * has nothing more to say then and finishes by itself; a node goes on, because its data outlives whoever read its log.
 */
export function ignoreClosedPipes(...streams: Writable[]): void {
  for (const stream of streams) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error
    })
  }
}

/** No faster than the reader takes it. False: the reader has gone. */
export async function writeAtItsPace(stream: Writable, bytes: Uint8Array): Promise<boolean> {
  const isTaken = stream.write(bytes)
  if (!isTaken && !stream.destroyed)
    await new Promise<void>(resolve => {
      // The error of a closed pipe is nobody's here (`ignoreClosedPipes`); it may be all that comes.
      const events = ["drain", "close", "error"]
      const goOn = () => {
        for (const event of events) stream.off(event, goOn)
        resolve()
      }
      for (const event of events) stream.on(event, goOn)
    })
  return stream.writable
}

/** The shortest pause between two drawings of a progress line: faster is flicker and costs the work its time. */
const redrawEveryMs = 100

/**
 * One line that is drawn over itself. Where nobody looks it writes nothing: a log of half-finished percentages helps
 * no one, and what matters is printed as lines of its own.
 */
export class Progress {
  readonly #stream: Writable
  readonly #isLive: boolean
  readonly #now: () => number
  #drawnAtMs = Number.NEGATIVE_INFINITY
  #isDrawn = false

  constructor(stream: Writable, now: () => number = () => performance.now()) {
    this.#stream = stream
    this.#isLive = isTerminal(stream)
    this.#now = now
  }

  show(line: string): void {
    if (!this.#isLive) return
    const nowMs = this.#now()
    if (nowMs - this.#drawnAtMs < redrawEveryMs) return
    this.#drawnAtMs = nowMs
    this.#isDrawn = true
    // Cut to the width: a wrapped line cannot be drawn over.
    const stated = "columns" in this.#stream && typeof this.#stream.columns === "number" ? this.#stream.columns : 0
    // Terminals that do not know their width say 0.
    const columns = stated > 0 ? stated : 80
    this.#stream.write(`\r\x1b[2K${line.slice(0, columns - 1)}`)
  }

  /** Takes the line away, so that what is printed next begins at the left. */
  clear(): void {
    if (this.#isDrawn) this.#stream.write("\r\x1b[2K")
    this.#isDrawn = false
    this.#drawnAtMs = Number.NEGATIVE_INFINITY
  }
}
