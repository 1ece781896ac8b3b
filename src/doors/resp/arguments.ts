/** The words of a command as what they mean. Whatever they should be and are not is refused in Redis' words. */
import { maxTtlMs } from "../../protocol/limits.ts"
import { CommandError, notAnInteger, syntaxError } from "./refusals.ts"

const [least64, most64] = [-(2n ** 63n), 2n ** 63n - 1n]

/** A whole number of 64 bits, as Redis writes one. */
export function int64Of(word: Uint8Array): bigint {
  const text = word.length > 20 ? "" : Buffer.from(word.buffer, word.byteOffset, word.length).toString("latin1")
  if (!/^(0|-?[1-9][0-9]{0,18})$/.test(text)) throw new CommandError(notAnInteger)
  const value = BigInt(text)
  if (value < least64 || value > most64) throw new CommandError(notAnInteger)
  return value
}

export function isInt64(value: bigint): boolean {
  return value >= least64 && value <= most64
}

/** The same for what is compared, not counted: beyond 2^53 it need not be exact. */
export function integerOf(word: Buffer | undefined): number {
  return Number(int64Of(word ?? Buffer.alloc(0)))
}

export function textOf(word: Buffer | undefined): string {
  return (word ?? Buffer.alloc(0)).toString("latin1")
}

/** Options are words in any case. */
export function optionOf(word: Buffer | undefined): string {
  return textOf(word).toUpperCase()
}

export function wordAt(words: readonly Buffer[], index: number): Buffer {
  const word = words[index]
  if (word === undefined) throw new CommandError(syntaxError)
  return word
}

export type TimeUnit = "EX" | "PX" | "EXAT" | "PXAT"

export function isTimeUnit(option: string): option is TimeUnit {
  return option === "EX" || option === "PX" || option === "EXAT" || option === "PXAT"
}

/** The time to live, in ms from `wallMs`, that a word and its unit ask for. May be 0 or less: gone already. */
export function ttlFrom(word: Buffer | undefined, unit: TimeUnit, wallMs: number, command: string): number {
  const value = integerOf(word)
  const ms = unit === "EX" || unit === "EXAT" ? value * 1_000 : value
  const ttlMs = unit === "EXAT" || unit === "PXAT" ? ms - wallMs : ms
  if (Math.abs(ttlMs) > maxTtlMs) throw new CommandError(`ERR invalid expire time in '${command}' command`)
  return ttlMs
}

/** The same where 0 and less is an error: what is stored shall live. */
export function positiveTtlFrom(word: Buffer | undefined, unit: TimeUnit, wallMs: number, command: string): number {
  if (integerOf(word) <= 0) throw new CommandError(`ERR invalid expire time in '${command}' command`)
  // A moment that has just passed: as good as gone at once.
  return Math.max(1, ttlFrom(word, unit, wallMs, command))
}
