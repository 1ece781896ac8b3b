/**
 * Tags: any number of entries made unreadable at once, by one operation. A tag is a key of its own, and its version is its
 * token: versions never come twice. An entry keeps the tokens of its tags in front of its value, and is read by asking for
 * them: a tag that is gone, or is another than it was, means that there is no entry. So to invalidate a tag is to delete it,
 * and a tag that is lost, or evicted, invalidates what bears it and never keeps anything alive.
 *
 * The tokens are taken before the value is written, and checked after it was read. An invalidation in between makes an entry
 * that nobody will read; one that is over before a read begins is seen by it.
 */
import { utf8Of } from "../base/bytes.ts"
import { reservedByte, taggedFlag } from "../protocol/limits.ts"
import type { CallOutcome, Failed } from "./call.ts"
import { ask, type Steps } from "./steps.ts"
import type { StoredValue } from "./values.ts"

/** What stands in front of a tag in its key. */
export const tagPrefix: Uint8Array = Uint8Array.of(reservedByte, 0x74)

export const mostTags = 32
export const longestTagBytes = 255

export type Token = { readonly tag: Uint8Array; readonly version: number }

export function tagKey(tag: Uint8Array): Uint8Array {
  const key = new Uint8Array(tagPrefix.length + tag.length)
  key.set(tagPrefix)
  key.set(tag, tagPrefix.length)
  return key
}

/** Throws a `TypeError` or a `RangeError` for what is no list of tags. */
export function tagBytes(tags: readonly string[]): Uint8Array[] {
  const unique = [...new Set(tags)].map(utf8Of)
  if (unique.length > mostTags) throw new RangeError(`an entry has at most ${mostTags} tags`)
  for (const tag of unique)
    if (tag.length === 0 || tag.length > longestTagBytes)
      throw new RangeError(`a tag has 1 to ${longestTagBytes} bytes`)
  return unique
}

/** The tokens of these tags as they stand; those that are missing are made. */
export function* tokensOf(tags: readonly Uint8Array[]): Steps<readonly Token[] | Failed> {
  const asked = yield* ask(tags.map(tag => ({ key: tagKey(tag), operation: { op: "ttl" } as const })))
  const missing = tags.filter((_, i) => asked[i]?.kind === "missing")
  const made = yield* ask(
    missing.map(tag => ({
      key: tagKey(tag),
      operation: { op: "set", value: new Uint8Array(0), flags: 0, ttlMs: null, condition: { if: "absent" } } as const,
    })),
  )
  const tokens: Token[] = []
  for (const [i, tag] of tags.entries()) {
    const at = missing.indexOf(tag)
    const outcome = at < 0 ? asked[i] : made[at]
    if (outcome === undefined || outcome.kind === "failed") return outcome ?? neverAnswered
    // Also of one that somebody else made in the same moment.
    if ("version" in outcome) tokens.push({ tag, version: outcome.version })
  }
  return tokens
}

const neverAnswered: Failed = { kind: "failed", code: "bad-request", mayHaveHappened: "no" }

/** What can be said of a value that may bear tags. "invalidated": there is no entry. "garbled": it is none of ours. */
export type Untagged = StoredValue | "invalidated" | "garbled" | Failed

/** Values as they were before they were tagged. Every tag is asked for once, all at the same time. */
export function* untag(values: readonly StoredValue[]): Steps<readonly Untagged[]> {
  const parts = values.map(value => (isTagged(value) ? unsealed(value) : { value, tokens: none }))
  const wanted = new Map<string, Uint8Array>()
  for (const part of parts) for (const { tag } of part?.tokens ?? none) wanted.set(nameOf(tag), tag)
  const outcomes = yield* ask(
    [...wanted.values()].map(tag => ({ key: tagKey(tag), operation: { op: "ttl" } as const })),
  )
  const standing = new Map([...wanted.keys()].map((name, i) => [name, outcomes[i]]))
  return parts.map(part => (part === undefined ? "garbled" : judged(part, standing)))
}

/** Answers to reads as they would be without tags. What is garbled is left as it is. */
export function* untagged(outcomes: readonly CallOutcome[]): Steps<readonly CallOutcome[]> {
  const tagged = outcomes.flatMap(outcome => (outcome.kind === "value" && isTagged(outcome) ? [outcome] : []))
  const values = yield* untag(tagged.map(({ value: bytes, flags }) => ({ bytes, flags })))
  return outcomes.map(outcome => {
    const at = outcome.kind === "value" ? tagged.indexOf(outcome) : -1
    const value = at < 0 ? "garbled" : (values[at] ?? "garbled")
    if (value === "garbled" || outcome.kind !== "value") return outcome
    if (value === "invalidated") return { kind: "missing" }
    return "kind" in value ? value : { ...outcome, value: value.bytes, flags: value.flags }
  })
}

function judged(part: Unsealed, standing: ReadonlyMap<string, CallOutcome | undefined>): Untagged {
  for (const { tag, version } of part.tokens) {
    const outcome = standing.get(nameOf(tag))
    if (outcome === undefined || outcome.kind === "failed") return outcome ?? neverAnswered
    if (outcome.kind !== "ttl" || outcome.version !== version) return "invalidated"
  }
  return part.value
}

export function isTagged({ flags }: { readonly flags: number }): boolean {
  return (flags & taggedFlag) !== 0
}

function nameOf(tag: Uint8Array): string {
  return String.fromCharCode(...tag)
}

// -------------------------------------------------------------------------------------------------------- on the wire

type Unsealed = { readonly value: StoredValue; readonly tokens: readonly Token[] }
const none: readonly Token[] = []
/** In front of the value: a count, and for each tag its length, the tag, and the version in 48 bits. */
const versionBytes = 6

export function sealed({ bytes, flags }: StoredValue, tokens: readonly Token[]): StoredValue {
  if (tokens.length === 0) return { bytes, flags }
  const headBytes = tokens.reduce((sum, { tag }) => sum + 1 + tag.length + versionBytes, 1)
  const all = new Uint8Array(headBytes + bytes.length)
  const view = new DataView(all.buffer)
  let at = 0
  view.setUint8(at++, tokens.length)
  for (const { tag, version } of tokens) {
    view.setUint8(at++, tag.length)
    all.set(tag, at)
    at += tag.length
    view.setUint16(at, Math.floor(version / 2 ** 32))
    view.setUint32(at + 2, version % 2 ** 32)
    at += versionBytes
  }
  all.set(bytes, at)
  return { bytes: all, flags: flags | taggedFlag }
}

/** Undefined: nobody of ours wrote it. */
export function unsealed({ bytes, flags }: StoredValue): Unsealed | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const tokens: Token[] = []
  let at = 1
  const count = bytes[0] ?? 0
  if (count === 0 || count > mostTags) return undefined
  for (let i = 0; i < count; i++) {
    const length = bytes[at] ?? 0
    const versionAt = at + 1 + length
    if (length === 0 || versionAt + versionBytes > bytes.length) return undefined
    const version = view.getUint16(versionAt) * 2 ** 32 + view.getUint32(versionAt + 2)
    tokens.push({ tag: bytes.subarray(at + 1, versionAt), version })
    at = versionAt + versionBytes
  }
  return { value: { bytes: bytes.subarray(at), flags: flags & ~taggedFlag }, tokens }
}
