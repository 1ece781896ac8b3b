/** From the text of an option to what it means. Each failure names the option and says how to write it. */
import { type HostPort, parseAddress } from "../base/address.ts"
import { formatDuration, parseDuration } from "../base/duration.ts"
import { parseSize } from "../base/size.ts"
import { maxDeadlineMs, maxTtlMs } from "../protocol/limits.ts"
import { UsageError } from "./failure.ts"

/** An option that takes a value, as it was given. */
export type Given = { readonly flag: string; readonly text: string }

export function wholeNumber({ flag, text }: Given, bounds: { readonly min: number; readonly max: number }): number {
  const value = /^-?\d+$/.test(text) ? Number(text) : Number.NaN
  // Written so that NaN fails as well.
  if (!(value >= bounds.min && value <= bounds.max)) {
    throw new UsageError(`must be a whole number from ${bounds.min} to ${bounds.max}`, { flag, text })
  }
  return value
}

/** In milliseconds, from `minMs` to `maxMs`. */
export function duration(given: Given, { minMs, maxMs }: { readonly minMs: number; readonly maxMs: number }): number {
  const ms = checked(given, parseDuration(given.text))
  if (ms < minMs) throw new UsageError(`must be ${formatDuration(minMs)} or more`, given)
  if (ms > maxMs) throw new UsageError(`must be ${formatDuration(maxMs)} or less`, given)
  return ms
}

/** How long a command may wait for its answer. */
export function timeLimit(given: Given): number {
  return duration(given, { minMs: 1, maxMs: maxDeadlineMs })
}

/** Null: never expires. */
export function timeToLive(given: Given): number | null {
  return given.text === "never" ? null : duration(given, { minMs: 1, maxMs: maxTtlMs })
}

/** In bytes. */
export function size(given: Given): number {
  return checked(given, parseSize(given.text))
}

/** An address somebody can dial. */
export function address({ flag, text }: Given, defaultPort: number): HostPort {
  return checked({ flag, text }, parseAddress(text, { defaultPort, portZero: "refused" }))
}

/** An address to listen on; port 0 is any free one. */
export function listenAddress({ flag, text }: Given, defaultPort: number): HostPort {
  return checked({ flag, text }, parseAddress(text, { defaultPort, portZero: "allowed" }))
}

export function oneOf<T extends string>({ flag, text }: Given, choices: readonly T[]): T {
  const choice = choices.find(candidate => candidate === text)
  if (choice === undefined) throw new UsageError(`must be one of ${choices.join(", ")}`, { flag, text })
  return choice
}

/** A repeatable option; one text may carry several values between commas, because a variable cannot be repeated. */
export function listed(flag: string, texts: readonly string[] | undefined): Given[] {
  if (texts === undefined) return []
  const parts = texts.flatMap(text => text.split(",")).map(text => ({ flag, text: text.trim() }))
  const given = parts.filter(({ text }) => text !== "")
  // An empty list that somebody wrote is a variable that was not set: `--join "$SEEDS"`.
  if (given.length === 0) throw new UsageError("is empty; leave the option out or name something", { flag, text: '""' })
  return given
}

function checked<T extends number | HostPort>(given: Given, parsed: T | { readonly problem: string }): T {
  if (typeof parsed === "object" && "problem" in parsed) throw new UsageError(parsed.problem, given)
  return parsed
}
