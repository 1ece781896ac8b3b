/**
 * What a shard makes of a client's write before anything is executed: whether it has done it already, has it under way,
 * or refuses it. This is what lets a client repeat a write as often as it likes ("Data path").
 */
import { assert } from "../../base/assert.ts"
import type { Config } from "../../config.ts"
import { maxOperationsAhead } from "../../protocol/limits.ts"
import type { ClientId, Refusal, Reply, Result } from "../../protocol/message.ts"
import type { Pending } from "../requests.ts"
import type { Rules } from "../rules.ts"
import type { LogRecord, Shard } from "./shard.ts"
import { busyRetryMs } from "./waiting.ts"

export type Standing =
  | { readonly kind: "new" }
  /** It was done, or is under way: then `open` has not committed yet. */
  | { readonly kind: "known"; readonly result: Result; readonly open: LogRecord | undefined }
  | { readonly kind: "refused"; readonly reply: Refusal }

type Answer = (pending: Pending, reply: Reply) => void

export type StandingOptions = {
  readonly config: Pick<Config, "maxUncommitted" | "maxUncommittedBytes" | "maxDedupClients">
  readonly rules: Pick<Rules, "dedup" | "resetsForget" | "finishedStaysFinished">
}

/** Attempts of one operation that wait for it to commit; a client makes a few. Beyond: told to come back. */
const maxWaiters = 64
/** That of nearly every write. */
const fresh: Standing = { kind: "new" }

/** Whether a write is to be executed. Otherwise it is answered here, or when the operation that it repeats has committed. */
export function isNew(shard: Shard, pending: Pending, options: StandingOptions & { readonly answer: Answer }): boolean {
  const standing = standingOf(shard, pending, options)
  if (standing.kind === "refused") options.answer(pending, standing.reply)
  else if (standing.kind === "known" && standing.open === undefined) options.answer(pending, standing.result)
  else if (standing.kind === "known" && standing.open !== undefined) join(standing.open, pending, options.answer)
  return standing.kind === "new"
}

/** What a shard remembers of a write, and whether it takes it. */
export function standingOf(shard: Shard, { request, isInParts }: Pending, options: StandingOptions): Standing {
  const { config, rules } = options
  const { clientId, n, ackedBelow, firstEpoch } = request
  const known = rules.dedup || isInParts ? shard.dedup.find(clientId, n) : undefined
  // A reset forgot what this client did before it.
  if (firstEpoch < shard.config.resetAt && rules.resetsForget) return refused({ kind: "timeout" })
  if (known === "below" && rules.finishedStaysFinished) return refused({ kind: "duplicate" })
  if (known !== undefined && known !== "below") {
    const open = known.seq <= shard.commit ? undefined : shard.log.find(({ op }) => op.seq === known.seq)
    assert(open !== undefined || known.seq <= shard.commit, "an uncommitted operation is in the log")
    return { kind: "known", result: known.result, open }
  }
  if (n < ackedBelow) return refused({ kind: "rejected", reason: "bad-request" })
  const isFull =
    n - ackedBelow > maxOperationsAhead ||
    isCrowded(shard, clientId, config) ||
    shard.log.length >= config.maxUncommitted
  return isFull ? refused({ kind: "busy", retryAfterMs: busyRetryMs }) : fresh
}

/** Its answer leaves when this record has committed. */
export function join({ waiters }: LogRecord, pending: Pending, answer: Answer): void {
  if (waiters.length < maxWaiters) waiters.push(pending)
  else answer(pending, { kind: "retry", afterMs: busyRetryMs })
}

function isCrowded(
  shard: Shard,
  client: ClientId,
  { maxDedupClients, maxUncommittedBytes }: StandingOptions["config"],
): boolean {
  if (shard.logBytes >= maxUncommittedBytes) return true
  return shard.dedup.size >= maxDedupClients && !shard.dedup.knows(client)
}

function refused(reply: Refusal): Standing {
  return { kind: "refused", reply }
}
