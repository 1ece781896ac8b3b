/** What the cache refuses, in the words and codes that Redis' clients know. */
import type { CallOutcome, FailureCode } from "../../client/session.ts"
import { maxGroupBytes, maxGroupFoundBytes, maxGroupKeys, maxKeyBytes, maxValueBytes } from "../../protocol/limits.ts"
import { maxGatheredBytes } from "./gathering.ts"

type Failed = { readonly kind: "failed"; readonly code: FailureCode; readonly mayHaveHappened: "no" | "unknown" }

/** A command's own refusal: `message` is the whole of the reply, code first. */
export class CommandError extends Error {
  override name = "CommandError"
}

/** The cache gave no result. */
export class CacheRefusal extends CommandError {
  override name = "CacheRefusal"

  constructor({ code, mayHaveHappened }: Failed) {
    super(mayHaveHappened === "unknown" ? `ERR outcome unknown (${code}): it may have happened` : texts[code])
  }
}

/**
 * What is to be said of several keys that were each written on their own: nothing, when none failed. Where some were written
 * the command as a whole was not without effect.
 */
export function refusalOf(outcomes: readonly CallOutcome[]): CommandError | undefined {
  const failures = outcomes.filter(outcome => outcome.kind === "failed")
  const [first] = failures
  if (first === undefined) return undefined
  const isWritten = outcomes.some(({ kind }) => kind === "stored" || kind === "deleted")
  if (isWritten) return new CommandError(`ERR outcome unknown (${first.code}): some of the keys were written`)
  return new CacheRefusal(failures.find(({ mayHaveHappened }) => mayHaveHappened === "unknown") ?? first)
}

export const keysApart =
  "ERR these keys are led by different nodes and have no common moment: give them one {tag}, as in {user:1}:name and {user:1}:age"

const texts: Readonly<Record<FailureCode, string>> = {
  busy: "BUSY the cluster is at a limit, try again",
  "too-many-calls": "BUSY this node has too many commands waiting, try again",
  full: "OOM command not allowed when used memory > 'maxmemory'.",
  minority: "CLUSTERDOWN this node cannot reach a majority of the voters",
  orphan: "CLUSTERDOWN all nodes that held this key are gone; see 'dcache status'",
  forked: "CLUSTERDOWN this node does not agree with its cluster; restart it",
  stopped: "CLUSTERDOWN the cluster is stopped",
  joining: "LOADING this node is still joining its cluster",
  timeout: "ERR timeout: no answer from the key's node",
  unreachable: "CLUSTERDOWN the key's node cannot be reached",
  "wrong-cluster": "CLUSTERDOWN this node belongs to another cluster now",
  "key-too-long": `ERR key exceeds maximum allowed size (${maxKeyBytes} bytes)`,
  "value-too-large": `ERR string exceeds maximum allowed size (${maxValueBytes} bytes)`,
  "keys-apart": keysApart,
  "group-too-large": `ERR a transaction has at most ${maxGroupKeys} keys, writes at most ${maxGroupBytes} bytes, and finds at most ${maxGroupFoundBytes}`,
  "bad-request": "ERR the cluster did not understand this command",
  duplicate: "ERR outcome unknown: the command was repeated too late",
  cancelled: "ERR cancelled",
  closed: "ERR this node is stopping",
}

export const tooMuchAtOnce = `ERR more than ${maxGatheredBytes} bytes for one command: ask for fewer keys at once`
export const syntaxError = "ERR syntax error"
export const notAnInteger = "ERR value is not an integer or out of range"
export const notAFloat = "ERR value is not a valid float"
export const noSuchKey = "ERR no such key"
