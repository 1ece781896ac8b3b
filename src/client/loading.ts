/**
 * One who loads, in the whole cluster: what a caller of `getOrSet` does, step by step. A value that is there is the answer.
 * Where there is none, callers compete for a lease on the key ("Leases" in `src/core/README.md`); one gets it and loads, the
 * others look again, soon at first and then less often, until the value is there, or the lease is free: given back because the
 * loading failed, or run out because its holder died or was slow. What was loaded is stored under the version of the lease:
 * never over what was written since, nor after a deletion.
 *
 * A value may be served for a while after its time, by whoever finds it, while one of them loads anew. Then the value is in
 * the lease's place, so that there is one more beside it, under a key of its own, which all who load that key take first.
 */
import type { Prng } from "../base/prng.ts"
import { leaseFlag, maxKeyBytes, reservedByte } from "../protocol/limits.ts"
import type { Failed } from "./call.ts"
import { ask, askOne, load, type Question, type Steps } from "./steps.ts"
import { sealed, tokensOf, untag } from "./tags.ts"
import type { StoredValue } from "./values.ts"

export type LoadingOptions = {
  readonly key: Uint8Array
  readonly tags: readonly Uint8Array[]
  /** How long a value is fresh; null: always. */
  readonly ttlMs: number | null
  /** And how long it may be served after that. */
  readonly staleForMs: number
  readonly leaseMs: number
  /** How long a caller waits for what others load. */
  readonly patienceMs: number
  readonly prng: Prng
  /** Monotonic milliseconds. */
  readonly now: () => number
}

export type Loading =
  | { readonly kind: "found"; readonly value: StoredValue }
  /** By this caller, which has the value; undefined where there was nothing to keep. */
  | { readonly kind: "loaded"; readonly value: StoredValue | undefined }
  /** The caller knows how. */
  | { readonly kind: "load-failed" }
  /** It was told, and what was to be done after that is done. */
  | { readonly kind: "told" }
  | Failed

/** What is in front of a key in that of the lease beside it. */
const leasePrefix = Uint8Array.of(reservedByte, 0x6c)

/** Between two looks at a key that somebody else is loading. */
const firstLookMs = 4
const longestLookMs = 100

export function* loading(options: LoadingOptions): Steps<Loading> {
  const { now, patienceMs, prng } = options
  const giveUpAtMs = now() + patienceMs
  for (let looks = 0; ; looks++) {
    const found = yield* look(options)
    if (found.kind === "failed") return found
    if (found.kind === "fresh") return { kind: "found", value: found.value }
    if (found.kind === "stale") {
      yield { kind: "tell", value: found.value }
      yield* refresh(options, found.version)
      return { kind: "told" }
    }
    const loaded = yield* loadAlone(options, found.version)
    if (loaded !== "taken") return loaded
    const delayMs = Math.min(longestLookMs, firstLookMs * 1.5 ** looks) * prng.between(0.7, 1.3)
    if (now() + delayMs >= giveUpAtMs) return { kind: "failed", code: "timeout", mayHaveHappened: "no" }
    yield { kind: "wait", ms: delayMs }
  }
}

type Look =
  | { readonly kind: "fresh"; readonly value: StoredValue }
  | { readonly kind: "stale"; readonly value: StoredValue; readonly version: number }
  /** `version`: of an entry that is there and counts for nothing, its tags being invalid; undefined: there is none. */
  | { readonly kind: "absent"; readonly version: number | undefined }
  | Failed

function* look({ key, staleForMs }: LoadingOptions): Steps<Look> {
  const questions: Question[] = [{ key, operation: { op: "get" } }]
  // Only then does it matter how old a value is: what is left of its time tells.
  if (staleForMs > 0) questions.push({ key, operation: { op: "ttl" } })
  const [got, left] = yield* ask(questions)
  if (got?.kind === "failed") return got
  if (got?.kind !== "value") return { kind: "absent", version: undefined }
  const { value: bytes, flags, version } = got
  const [value] = yield* untag([{ bytes, flags }])
  if (value === undefined || value === "invalidated" || value === "garbled") return { kind: "absent", version }
  if ("kind" in value) return value
  // Of another version: it was written just now.
  const isStale = left?.kind === "ttl" && left.version === version && left.ttlMs !== null && left.ttlMs <= staleForMs
  return isStale ? { kind: "stale", value, version } : { kind: "fresh", value }
}

/** The version of the lease. `version`: of the entry that it is to replace. */
function* take(key: Uint8Array, leaseMs: number, version: number | undefined): Steps<number | "taken" | Failed> {
  const outcome = yield* askOne(key, {
    ...{ op: "set", value: new Uint8Array(0), flags: leaseFlag, ttlMs: leaseMs },
    condition: version === undefined ? { if: "absent" } : { if: "version", version },
  })
  if (outcome.kind === "failed") return outcome
  return outcome.kind === "stored" ? outcome.version : "taken"
}

/** "taken": somebody else loads. `version`: of an entry that is there and counts for nothing. */
function* loadAlone(options: LoadingOptions, version: number | undefined): Steps<Loading | "taken"> {
  const beside = yield* takeBeside(options)
  if (beside !== "unneeded" && typeof beside !== "number") return beside
  const lease = yield* take(options.key, options.leaseMs, version)
  const loaded = typeof lease === "number" ? yield* loadUnder(options, lease) : lease
  if (beside !== "unneeded") yield* giveBack(leaseKeyOf(options.key), beside)
  return loaded
}

function* loadUnder(options: LoadingOptions, lease: number): Steps<Loading> {
  const { key } = options
  // Before the loading: an invalidation during it concerns what is loaded.
  const tokens = yield* tokensOf(options.tags)
  const loaded = yield* load()
  if (loaded.kind === "failed") {
    yield* giveBack(key, lease)
    return { kind: "load-failed" }
  }
  const { value } = loaded
  const stored = value === undefined || "kind" in tokens ? "not" : yield* store(options, sealed(value, tokens), lease)
  // What cannot be kept is the caller's all the same, and nobody should wait for it.
  if (stored === "not" || (typeof stored === "object" && stored.mayHaveHappened === "no")) yield* giveBack(key, lease)
  return { kind: "loaded", value }
}

/** Loads anew, if nobody else does, and replaces the version that was found too old. */
function* refresh(options: LoadingOptions, version: number): Steps<void> {
  const { key, tags } = options
  const lease = yield* takeBeside(options)
  if (typeof lease !== "number") return
  // Somebody may have been faster, and have given the lease back by now.
  const held = yield* askOne(key, { op: "ttl" })
  const tokens = yield* tokensOf(tags)
  if (held.kind === "ttl" && held.version === version && !("kind" in tokens)) {
    const loaded = yield* load()
    if (loaded.kind === "loaded" && loaded.value !== undefined)
      yield* store(options, sealed(loaded.value, tokens), version)
  }
  yield* giveBack(leaseKeyOf(key), lease)
}

/** "unneeded": no stale value is ever in the way; nor beside the longest keys, where there is no room for another. */
function* takeBeside({ key, leaseMs, staleForMs }: LoadingOptions): Steps<number | "taken" | "unneeded" | Failed> {
  if (staleForMs === 0 || leasePrefix.length + key.length > maxKeyBytes) return "unneeded"
  return yield* take(leaseKeyOf(key), leaseMs, undefined)
}

function leaseKeyOf(key: Uint8Array): Uint8Array {
  const leaseKey = new Uint8Array(leasePrefix.length + key.length)
  leaseKey.set(leasePrefix)
  leaseKey.set(key, leasePrefix.length)
  return leaseKey
}

/** "lost": something happened to the key since. That is as good: who asks next finds what is there. */
function* store(
  { key, ttlMs, staleForMs }: LoadingOptions,
  value: StoredValue,
  version: number,
): Steps<"stored" | "lost" | Failed> {
  const outcome = yield* askOne(key, {
    ...{ op: "set", value: value.bytes, flags: value.flags, ttlMs: ttlMs === null ? null : ttlMs + staleForMs },
    condition: { if: "version", version },
  })
  if (outcome.kind === "failed") return outcome
  return outcome.kind === "stored" ? "stored" : "lost"
}

function* giveBack(key: Uint8Array, version: number): Steps<void> {
  yield* askOne(key, { op: "delete", condition: { if: "version", version } })
}
