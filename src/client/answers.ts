/** Answers of nodes as a program sees them: values, or what the client throws. */
import type { Result } from "../protocol/message.ts"
import type { Failed } from "./call.ts"
import { CacheError, errorOf } from "./errors.ts"
import { isTagged } from "./tags.ts"
import { fromStored, type StoredValue } from "./values.ts"

/** Text as UTF-8, or any bytes; at most 4096 of them. */
export type Key = string | Uint8Array

export type Entry<T> = { readonly value: T; readonly version: number }

/** Whole, and never more than was asked for: a node keeps an entry to the end of its last millisecond. Infinity: it does not expire. */
export function lifeLeftMs(ttlMs: number | null): number {
  return ttlMs === null ? Number.POSITIVE_INFINITY : Math.floor(ttlMs)
}

/** `ttlMs`: what is left of its life; Infinity: it does not expire. */
export type Counted = { readonly value: number; readonly version: number; readonly ttlMs: number }

/** `version` of an unmet condition is that of the entry that is there; undefined: there is none. */
export type SetResult =
  | { readonly kind: "stored"; readonly version: number }
  | { readonly kind: "unmet"; readonly version: number | undefined }

export function valueOf(result: Result, key: Key): unknown {
  if (result.kind === "missing") return undefined
  if (result.kind !== "value") throw unexpected(result, key)
  return decoded({ bytes: result.value, flags: result.flags }, key)
}

export function decoded(value: StoredValue, key: Key): unknown {
  try {
    if (isTagged(value)) throw new TypeError("the tags in front of it are none that this client wrote")
    return fromStored(value)
  } catch (cause) {
    const detail = `get ${named(key)}: the stored bytes are not what they are marked as`
    throw new CacheError({ code: "unreadable-value", outcome: "not-done", detail, cause })
  }
}

export function entryOf(result: Result, key: Key): Entry<unknown> | undefined {
  return result.kind === "value" ? { value: valueOf(result, key), version: result.version } : missing(result, key)
}

function missing(result: Result, key: Key): undefined {
  if (result.kind !== "missing") throw unexpected(result, key)
}

export function ttlLeft(result: Result, key: Key): number | undefined {
  return result.kind === "ttl" ? lifeLeftMs(result.ttlMs) : missing(result, key)
}

export function setResult(result: Result, key: Key): SetResult {
  switch (result.kind) {
    case "stored":
      return { kind: "stored", version: result.version }
    case "unmet":
      return { kind: "unmet", version: result.version }
    case "missing":
      return { kind: "unmet", version: undefined }
    default:
      throw unexpected(result, key)
  }
}

export function wasDeleted(result: Result, key: Key): boolean {
  if (result.kind !== "deleted" && result.kind !== "missing" && result.kind !== "unmet") throw unexpected(result, key)
  return result.kind === "deleted"
}

export function sumOf(result: Result, key: Key): number {
  return counted(result, key).value
}

export function counted(result: Result, key: Key): Counted {
  if (result.kind === "counted") {
    const { value, version, ttlMs } = result
    return { value, version, ttlMs: lifeLeftMs(ttlMs) }
  }
  if (result.kind !== "not-a-number") throw unexpected(result, key)
  const detail = `incr ${named(key)}: the value is not a whole number, or would leave the range of those`
  throw new CacheError({ code: "not-a-number", outcome: "not-done", detail })
}

/** `what` was done to the key. */
export function failure(failed: Failed, what: string, key: Key, signal: AbortSignal | undefined): CacheError {
  const cause: unknown = failed.code === "cancelled" ? signal?.reason : undefined
  return errorOf(failed, `${what} ${named(key)}`, cause)
}

/** Keys may be long, and anything: enough of it to be recognised. */
export function named(key: Key): string {
  const text = typeof key === "string" ? key : new TextDecoder().decode(key.subarray(0, 64))
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}...` : text)
}

export function unexpected(result: Result, key: Key): CacheError {
  const detail = `${named(key)}: answered with "${result.kind}", which does not fit the question`
  return new CacheError({ code: "unexpected-answer", outcome: "unknown", detail })
}
