/**
 * The log: one event a line, JSON for machines, words for people. A fixed name, then numbers with units; never a line
 * per operation. Our own rather than a library: it is these few lines, and the known ones start a worker, which a
 * single executable makes hard.
 */

export const logLevels = ["debug", "info", "warn", "error"] as const
export type LogLevel = (typeof logLevels)[number]

export type Log = {
  event(level: LogLevel, name: string, fields?: object): void
}

export type LogOptions = {
  readonly stream: NodeJS.WritableStream
  readonly format: "json" | "text"
  /** What is below is not written. */
  readonly level: LogLevel
  readonly wallMs: () => number
}

export function createLog({ stream, format, level, wallMs }: LogOptions): Log {
  const least = logLevels.indexOf(level)
  const line = format === "json" ? jsonLine : textLine
  // Whoever read the log went away. A node outlives that; and there is nobody left to tell.
  stream.on("error", () => {})
  return {
    event: (level, name, fields = {}) => {
      if (logLevels.indexOf(level) >= least) stream.write(line(new Date(wallMs()), level, name, fields))
    },
  }
}

/** For whoever wants no log. */
export const silentLog: Log = { event: () => {} }

function jsonLine(time: Date, level: LogLevel, event: string, fields: object): string {
  return `${JSON.stringify({ time: time.toISOString(), level, event, ...fields })}\n`
}

function textLine(time: Date, level: LogLevel, event: string, fields: object): string {
  const words = Object.entries(fields).map(([name, value]) => `${name}=${inWords(value)}`)
  return `${[time.toISOString().slice(11, 23), level.padEnd(5), event, ...words].join(" ")}\n`
}

/** Quoted where it would not read as one word; quoting also keeps what moves a cursor off the terminal. */
function inWords(value: unknown): string {
  if (typeof value === "number") return String(Math.round(value * 10) / 10)
  if (Array.isArray(value) && value.length > 8) return `[${value.slice(0, 8).map(inWords)},...${value.length}]`
  if (Array.isArray(value)) return `[${value.map(inWords)}]`
  const text = typeof value === "string" ? value : JSON.stringify(value)
  return /^[\w.:,/@+-]+$/.test(text) ? text : JSON.stringify(text)
}
