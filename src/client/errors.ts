/** What a client throws: one class, a closed union of codes, and whether the operation may have taken effect. */
import type { Failed, FailureCode } from "./call.ts"

export type CacheErrorCode =
  | FailureCode
  /** `incr` of a value that is not a whole number. Nothing was changed. */
  | "not-a-number"
  /** The value is not what its writer marked it as. */
  | "unreadable-value"
  /** A node of another make: the answer does not fit the question. */
  | "unexpected-answer"

export class CacheError extends Error {
  override readonly name = "CacheError"
  readonly code: CacheErrorCode
  /** "unknown": it may have taken effect, or yet may; look before doing it again. */
  readonly outcome: "not-done" | "unknown"

  constructor(options: { code: CacheErrorCode; outcome: "not-done" | "unknown"; detail: string; cause?: unknown }) {
    super(options.detail, options.cause === undefined ? {} : { cause: options.cause })
    this.code = options.code
    this.outcome = options.outcome
  }
}

/** What a call of many keys throws when some of them failed. The others took effect, and their results are in here. */
export class CacheManyError<T = unknown> extends Error {
  override readonly name = "CacheManyError"
  /** One for each key, in their order. */
  readonly results: readonly ManyResult<T>[]

  constructor(what: string, results: readonly ManyResult<T>[]) {
    const errors = results.flatMap(result => (result.status === "rejected" ? [result.reason] : []))
    const first = errors[0]
    super(
      `${what}: ${errors.length} of ${results.length} keys failed, the first: ${first?.message}`,
      first === undefined ? {} : { cause: first },
    )
    this.results = results
  }
}

/** As `Promise.allSettled` has it, with the type of what is thrown. */
export type ManyResult<T> =
  | { readonly status: "fulfilled"; readonly value: T }
  | { readonly status: "rejected"; readonly reason: CacheError }

/** `what`: the operation in words, for the message. */
export function errorOf(failed: Failed, what: string, cause?: unknown): CacheError {
  const isUnknown = failed.mayHaveHappened === "unknown"
  const detail = `${what}: ${explanations[failed.code]}${isUnknown ? "; it may have taken effect" : ""}`
  return new CacheError({ code: failed.code, outcome: isUnknown ? "unknown" : "not-done", detail, cause })
}

const explanations: Record<FailureCode, string> = {
  busy: "the cluster has more to do than it can hold",
  full: "the cluster's memory limit is reached",
  minority: "the nodes that answer cannot reach a majority of the cluster",
  orphan: "no node that holds this key is there",
  forked: "the node disagrees with the others about the cluster",
  stopped: "the whole cluster is stopped",
  joining: "the nodes that answer are still joining their cluster",
  timeout: "no answer before the deadline",
  unreachable: "no node can be reached",
  "wrong-cluster": "the addresses lead to another cluster",
  "key-too-long": "the key is too long",
  "value-too-large": "the value is too large",
  "keys-apart": "the keys lie on different nodes, and are not written in one step",
  "group-too-large": "these are more keys, or more bytes, than are judged and written in one step",
  "bad-request": "the node does not understand the request",
  duplicate: "the operation counts as finished",
  cancelled: "cancelled",
  closed: "the client was closed",
  "too-many-calls": "more calls are waiting than this client's bounds allow",
}
