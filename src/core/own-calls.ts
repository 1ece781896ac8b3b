/**
 * What this process itself asks of the cluster: the doors through which other protocols than ours come in. Each operation
 * is numbered, goes the way of every other ("Client protocol" in `README.md`), is repeated under its number while it is
 * refused for a moment, and ends exactly once: with a result, or with what is known of its fate.
 *
 * To each shard this process is a client of its own. So the record of a shard holds hardly more than what is under way,
 * and operations that wait for one shard use up no numbers of another's. For groups over several shards it is one more.
 */
import { assert, unreachable } from "../base/assert.ts"
import type { Prng } from "../base/prng.ts"
import { maxDeadlineMs, maxOperationsAhead } from "../protocol/limits.ts"
import type { ClientId, Epoch, NodeId, Operation, Refusal, Reply, Request, Result } from "../protocol/message.ts"
import type { Pending } from "./requests.ts"
import { changesNothing } from "./shard/operations.ts"

/** Why an own operation failed. The names are those that a client's calls have (`src/client/call.ts`). */
export type OwnFailure =
  | "busy"
  | "full"
  | "minority"
  | "orphan"
  | "forked"
  | "stopped"
  | "joining"
  | "timeout"
  | "key-too-long"
  | "value-too-large"
  | "keys-apart"
  | "group-too-large"
  | "bad-request"
  | "duplicate"
  | "closed"

export type OwnOutcome =
  | Result
  | {
      readonly kind: "failed"
      readonly code: OwnFailure
      /** Whether it may have taken effect, or yet may. Reads have none. */
      readonly mayHaveHappened: "no" | "unknown"
    }

export type OwnCallsOptions = {
  readonly self: NodeId
  readonly prng: Prng
  readonly maxOpen: number
  /** Its shard, or for what lies in several another number; undefined: no view is known yet. */
  readonly laneOf: (key: Uint8Array, operation: Operation) => number | undefined
  readonly epoch: () => Epoch
  readonly rules: { readonly ownNumbers: boolean }
  /** Takes an operation from its beginning; `answered` follows, at once or later, or never once its deadline has passed. */
  readonly run: (pending: Pending, nowMs: number) => void
}

/** How long a refused operation waits before it is repeated, doubling. A tick of the node is the least that makes sense. */
const firstRetryMs = 20
const longestRetryMs = 200
/** How often calls are looked through for those whose time is over. */
const expireEveryMs = 100

export class OwnCall {
  readonly key: Uint8Array
  readonly operation: Operation
  readonly deadlineAtMs: number
  readonly done: (outcome: OwnOutcome) => void
  state: "waiting" | "asked" | "settled" = "waiting"
  againAtMs = 0
  /** Of the lane: 0 until the operation is numbered, and for reads, which need none. */
  n = 0
  lane: Lane | undefined
  firstEpoch: Epoch = 0
  refusals = 0
  /** An attempt was answered by what does not tell whether it was executed. */
  isFateUnknown = false
  lastCode: OwnFailure | undefined

  constructor(key: Uint8Array, operation: Operation, deadlineAtMs: number, done: (outcome: OwnOutcome) => void) {
    this.key = key
    this.operation = operation
    this.deadlineAtMs = deadlineAtMs
    this.done = done
  }
}

/** The client that this process is to one shard, or to whatever shards it writes in one step. */
type Lane = { readonly clientId: ClientId; nextN: number; ackedBelow: number; readonly open: Set<number> }

export class OwnCalls {
  readonly #options: OwnCallsOptions
  readonly #lanes = new Map<number, Lane>()
  readonly #open = new Set<OwnCall>()
  readonly #waiting = new Set<OwnCall>()
  #expireAtMs = Number.NEGATIVE_INFINITY
  #isClosed = false

  constructor(options: OwnCallsOptions) {
    this.#options = options
  }

  get openCount(): number {
    return this.#open.size
  }

  /**
   * `done` is called once, maybe before this returns, always in the middle of a step of the node: it must not call the
   * node. The bytes handed in must not change before.
   */
  call(
    asked: { readonly key: Uint8Array; readonly operation: Operation; readonly timeoutMs: number },
    done: (outcome: OwnOutcome) => void,
    nowMs: number,
  ): void {
    const { key, operation, timeoutMs } = asked
    if (this.#isClosed) return done({ kind: "failed", code: "closed", mayHaveHappened: "no" })
    if (this.#open.size >= this.#options.maxOpen) return done({ kind: "failed", code: "busy", mayHaveHappened: "no" })
    const call = new OwnCall(key, operation, nowMs + Math.min(timeoutMs, maxDeadlineMs), done)
    this.#open.add(call)
    this.#ask(call, nowMs)
  }

  answered(call: OwnCall, reply: Reply, nowMs: number): void {
    if (call.state === "settled") return
    call.state = "waiting"
    switch (reply.kind) {
      case "moved":
      case "retry":
      case "busy":
      case "full":
      case "unavailable":
      case "timeout":
      case "duplicate":
      case "rejected":
        return this.#refused(call, reply, nowMs)
      default:
        return this.#settle(call, reply)
    }
  }

  tick(nowMs: number): void {
    for (const call of this.#waiting) if (call.againAtMs <= nowMs) this.#ask(call, nowMs)
    if (nowMs < this.#expireAtMs) return
    this.#expireAtMs = nowMs + expireEveryMs
    for (const call of this.#open) if (call.deadlineAtMs <= nowMs) this.#expire(call)
  }

  /** Ends every call. */
  close(): void {
    this.#isClosed = true
    for (const call of this.#open) this.#fail(call, "closed")
  }

  #ask(call: OwnCall, nowMs: number): void {
    if (call.deadlineAtMs <= nowMs) return this.#expire(call)
    const request = this.#requestOf(call, nowMs)
    if (request === undefined) return this.#wait(call, 0, nowMs)
    this.#waiting.delete(call)
    call.state = "asked"
    const { deadlineAtMs } = call
    this.#options.run({ origin: { kind: "own", call }, request, arrivedAtMs: nowMs, deadlineAtMs }, nowMs)
  }

  /** Undefined: it cannot be numbered now. */
  #requestOf(call: OwnCall, nowMs: number): Request | undefined {
    const { key, operation, deadlineAtMs } = call
    const deadlineMs = deadlineAtMs - nowMs
    if (changesNothing(operation))
      return { clientId: this.#options.self, n: 1, ackedBelow: 1, firstEpoch: 0, key, operation, deadlineMs }
    const lane = (this.#options.rules.ownNumbers ? call.lane : undefined) ?? this.#number(call)
    if (lane === undefined) return undefined
    const { clientId, ackedBelow } = lane
    return { clientId, n: call.n, ackedBelow, firstEpoch: call.firstEpoch, key, operation, deadlineMs }
  }

  #number(call: OwnCall): Lane | undefined {
    const number = this.#options.laneOf(call.key, call.operation)
    if (number === undefined) {
      call.lastCode = "joining"
      return undefined
    }
    let lane = this.#lanes.get(number)
    if (lane === undefined) {
      lane = { clientId: clientIdFor(this.#options.self, number), nextN: 1, ackedBelow: 1, open: new Set() }
      this.#lanes.set(number, lane)
    }
    if (lane.nextN - lane.ackedBelow >= maxOperationsAhead) {
      call.lastCode = "busy"
      return undefined
    }
    call.n = lane.nextN++
    call.lane = lane
    call.firstEpoch = this.#options.epoch()
    lane.open.add(call.n)
    return lane
  }

  #refused(call: OwnCall, refusal: Refusal, nowMs: number): void {
    switch (refusal.kind) {
      case "full":
        return this.#fail(call, "full")
      case "rejected":
        return this.#fail(call, refusal.reason)
      case "timeout":
      case "duplicate":
        call.isFateUnknown = true
        return this.#fail(call, refusal.kind)
      case "retry":
        call.isFateUnknown = true
        return this.#wait(call, refusal.afterMs, nowMs)
      case "busy":
        call.lastCode = "busy"
        return this.#wait(call, refusal.retryAfterMs, nowMs)
      case "unavailable":
        call.lastCode = refusal.reason
        return this.#wait(call, 0, nowMs)
      case "moved":
        return assert(false, "a node follows the view itself: nobody tells it of moves")
      default:
        return unreachable(refusal)
    }
  }

  #wait(call: OwnCall, atLeastMs: number, nowMs: number): void {
    const delayMs = Math.min(longestRetryMs, firstRetryMs * 2 ** call.refusals) * this.#options.prng.between(0.5, 1)
    call.refusals += 1
    call.againAtMs = nowMs + Math.max(delayMs, Math.min(atLeastMs, 1_000))
    call.state = "waiting"
    this.#waiting.add(call)
  }

  #expire(call: OwnCall): void {
    this.#fail(call, this.#isOpenEnded(call) ? "timeout" : (call.lastCode ?? "timeout"))
  }

  /** Whether it may have been executed, or yet be. */
  #isOpenEnded(call: OwnCall): boolean {
    return !changesNothing(call.operation) && (call.isFateUnknown || call.state === "asked")
  }

  #fail(call: OwnCall, code: OwnFailure): void {
    this.#settle(call, { kind: "failed", code, mayHaveHappened: this.#isOpenEnded(call) ? "unknown" : "no" })
  }

  #settle(call: OwnCall, outcome: OwnOutcome): void {
    call.state = "settled"
    this.#open.delete(call)
    this.#waiting.delete(call)
    const { lane } = call
    if (lane !== undefined) {
      lane.open.delete(call.n)
      while (lane.ackedBelow < lane.nextN && !lane.open.has(lane.ackedBelow)) lane.ackedBelow += 1
    }
    call.done(outcome)
  }
}

/** The id of a node is chance; with the number of the lane added it is as unlike every other client's. */
function clientIdFor(self: NodeId, lane: number): ClientId {
  const low = (Number.parseInt(self.slice(8), 16) + lane + 1) >>> 0
  return self.slice(0, 8) + low.toString(16).padStart(8, "0")
}
