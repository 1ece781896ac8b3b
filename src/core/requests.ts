/**
 * One client operation from arrival to answer: executed here, forwarded once to its primary, or refused. Also the
 * node's side of client connections: greeting, the view that they route by, status ("Client protocol").
 */
import { assert } from "../base/assert.ts"
import type { Prng } from "../base/prng.ts"
import {
  maxDeadlineMs,
  maxGroupBytes,
  maxGroupKeys,
  maxKeyBytes,
  maxTtlMs,
  maxValueBytes,
  softFrameBytes,
} from "../protocol/limits.ts"
import type {
  AdminCommand,
  AdminOutcome,
  ClientId,
  ClientToNode,
  DataMessage,
  Epoch,
  GroupOperation,
  KeyOperation,
  NodeId,
  NodeToClient,
  Operation,
  Refusal,
  Rejection,
  Reply,
  Request,
  Result,
  ShardId,
  ShardOperation,
  StatusReport,
  View,
} from "../protocol/message.ts"
import type { Phase, ViewChange } from "./membership/membership.ts"
import { clientView, clientViewDelta } from "./membership/view.ts"
import { OperationCounts } from "./operation-counts.ts"
import { type OwnCall, OwnCalls } from "./own-calls.ts"
import type { ConnectionId } from "./ports.ts"
import { arcOf, positionOf, shardOf, shardOfKey } from "./ring.ts"
import type { Rules } from "./rules.ts"
import { isOfShards } from "./shard/operations.ts"
import { textOf } from "./shard/shard.ts"
import type { Shards } from "./shard/shards.ts"

/** An operation under way at this node, and where its answer goes. */
export type Pending = {
  readonly origin:
    | { readonly kind: "client"; readonly connection: ConnectionId; readonly attempt: number }
    | { readonly kind: "own"; readonly call: OwnCall }
    | { readonly kind: "peer"; readonly id: NodeId; readonly n: number }
  readonly request: Request
  readonly arrivedAtMs: number
  readonly deadlineAtMs: number
  /** Since when it waits; undefined: it never had to. */
  parkedAtMs?: number
  /** It was forwarded to a node that never answered and may have executed it, or some of it was appended here: no refusal says that it was not done. */
  mayBeDone?: true
  /** A group of which several shards have a part: answered when all of these have committed. */
  isInParts?: true
}

/** An operation as it arrives. */
export type Asked =
  | {
      readonly kind: "client"
      readonly from: ConnectionId
      readonly message: Extract<ClientToNode, { kind: "request" }>
    }
  | { readonly kind: "peer"; readonly from: NodeId; readonly message: Extract<DataMessage, { kind: "forward" }> }

export type RequestsOptions = {
  readonly self: NodeId
  readonly now: () => number
  readonly prng: Prng
  readonly rules: Rules
  readonly maxForwards: number
  readonly maxOwnCalls: number
  readonly shards: () => Shards
  readonly view: () => View | undefined
  readonly phase: () => Phase
  readonly isForked: () => boolean
  readonly hasLease: (nowMs: number) => boolean
  /** Without a lease for so long, this node refuses what it cannot answer itself, `minority`. */
  readonly parkWithoutLeaseMs: number
  /** Addresses that a client may try while this node is no member. */
  readonly otherAddresses: () => readonly string[]
  readonly status: () => StatusReport
  readonly obey: (command: AdminCommand, nowMs: number) => AdminOutcome
  readonly pull: (from: NodeId, nowMs: number) => void
  readonly send: (to: NodeId, message: DataMessage) => void
  readonly sendToClient: (connection: ConnectionId, message: NodeToClient) => void
}

type Connection = { readonly clientId: ClientId; epochSent: Epoch }

const getOperation: Operation = { op: "get" }

/** How long a client waits before it asks again a node that cannot serve yet. */
const retryMs = 20
/** The same of one that is asked more than it can do. */
const overloadedRetryMs = 200
/** How often forwards are looked through for those whose client no longer waits. */
const expireEveryMs = 100

export class Requests {
  readonly #options: RequestsOptions
  /** Of the operations that clients asked of this node, wherever they were executed. */
  readonly counts = new OperationCounts()
  /** Of this process itself. */
  readonly own: OwnCalls
  readonly #connections = new Map<ConnectionId, Connection>()
  readonly #forwards = new Map<number, { readonly pending: Pending; readonly to: NodeId }>()
  #lastForward = 0
  /** When this node was last seen to have a lease, from its first tick on. */
  #leasedAtMs: number | undefined
  #expireAtMs = Number.NEGATIVE_INFINITY

  constructor(options: RequestsOptions) {
    this.#options = options
    this.own = new OwnCalls({
      self: options.self,
      prng: options.prng,
      maxOpen: options.maxOwnCalls,
      laneOf: (key, operation) => {
        const view = options.view()
        if (view === undefined) return undefined
        if (operation.op !== "group") return routeOf(key, operation, view).shard
        const shards = shardsOf(operation, view)
        // One more than there are shards: each of them then knows this process by one more client, not by one for each other shard.
        return shards.size === 1 ? routeOf(key, operation, view).shard : view.shards.length
      },
      epoch: () => options.view()?.epoch ?? 0,
      rules: options.rules,
      run: (pending, nowMs) => this.run(pending, nowMs),
    })
  }

  // ------------------------------------------------------------------------------------------------ clients

  clientMessage(connection: ConnectionId, message: ClientToNode, nowMs: number): void {
    const known = this.#connections.get(connection)
    switch (message.kind) {
      case "client-hello":
        this.#connections.set(connection, { clientId: message.clientId, epochSent: 0 })
        return this.#sendView(connection)
      case "client-pull":
        if (known !== undefined && message.have < (this.#options.view()?.epoch ?? 0)) this.#sendView(connection)
        return
      case "status-request":
        return this.#options.sendToClient(connection, { kind: "status", n: message.n, report: this.#options.status() })
      case "admin": {
        const outcome = this.#options.obey(message.command, nowMs)
        return this.#options.sendToClient(connection, { kind: "admin-reply", n: message.n, outcome })
      }
      case "read-many":
        if (known !== undefined) this.#readMany(connection, message, nowMs)
        return
      case "request": {
        const { request, attempt } = message
        const deadlineAtMs = nowMs + Math.min(request.deadlineMs, maxDeadlineMs)
        const pending: Pending = {
          origin: { kind: "client", connection, attempt },
          request,
          arrivedAtMs: nowMs,
          deadlineAtMs,
        }
        if (known?.clientId !== request.clientId)
          return this.answer(pending, { kind: "rejected", reason: "bad-request" })
        return this.run(pending, nowMs)
      }
    }
  }

  get clientCount(): number {
    return this.#connections.size
  }

  clientGone(connection: ConnectionId): void {
    this.#connections.delete(connection)
  }

  /** Clients route by the view: each is told what changed. */
  viewInstalled({ before, after }: ViewChange, nowMs: number): void {
    this.#forwardAnew(after, nowMs)
    if (this.#connections.size === 0) return
    const delta = before === undefined ? undefined : clientViewDelta(before, after)
    for (const [connection, known] of this.#connections) {
      if (delta === undefined || known.epochSent !== before?.epoch) this.#sendView(connection)
      else {
        known.epochSent = after.epoch
        this.#options.sendToClient(connection, delta)
      }
    }
  }

  #sendView(connection: ConnectionId): void {
    const { phase, view, otherAddresses, self, sendToClient } = this.#options
    const current = view()
    const known = this.#connections.get(connection)
    if (current === undefined || phase() === "joining" || known === undefined)
      return sendToClient(connection, { kind: "client-not-ready", addresses: otherAddresses() })
    known.epochSent = current.epoch
    sendToClient(connection, clientView(current, self))
  }

  // ------------------------------------------------------------------------------------------------ operations

  /** Takes an operation from its beginning: where it goes depends on the view of this moment. */
  run(pending: Pending, nowMs: number): void {
    const { view, phase, isForked, self, shards } = this.#options
    const current = view()
    const { request } = pending
    if (current === undefined || phase() === "joining")
      return this.answer(pending, { kind: "unavailable", reason: "joining" })
    if (current.stopped) return this.answer(pending, { kind: "unavailable", reason: "stopped" })
    if (isForked()) return this.answer(pending, { kind: "unavailable", reason: "forked" })
    const reason = request.n < 1 ? "bad-request" : problemOf(request.key, request.operation, current)
    if (reason !== undefined) return this.answer(pending, { kind: "rejected", reason })
    if (nowMs >= pending.deadlineAtMs) return this.answer(pending, { kind: "busy", retryAfterMs: retryMs })
    const { shard, position } = routeOf(request.key, request.operation, current)
    const config = current.shards[shard]
    assert(config !== undefined, "every key has a shard")
    if (config.primary === null) return this.answer(pending, { kind: "unavailable", reason: "orphan" })
    const obstacle =
      request.operation.op === "group" ? obstacleOf(request.operation, config.primary, current) : undefined
    if (obstacle !== undefined) return this.answer(pending, obstacle)
    if (config.primary === self) return shards().execute(shard, pending, { bytes: request.key, position }, nowMs)
    if (pending.origin.kind === "peer")
      return this.answer(pending, { kind: "moved", shard, primary: config.primary, epoch: current.epoch })
    this.#forward(config.primary, pending, nowMs)
  }

  /**
   * An operation of this process itself, if it can be executed in this very step: read here, or written where nobody else
   * holds a copy. Then it needs no number, since nobody could ever repeat it. Undefined: nothing has happened.
   */
  runNow(key: Uint8Array, operation: Operation, nowMs: number): Result | undefined {
    const { view, phase, isForked, self, shards } = this.#options
    const current = view()
    if (current === undefined || phase() === "joining" || isForked()) return undefined
    if (isOfShards(operation) || problemOf(key, operation, current) !== undefined) return undefined
    const { shard, position } = routeOf(key, operation, current)
    if (current.shards[shard]?.primary !== self) return undefined
    if (operation.op === "group" && obstacleOf(operation, self, current) !== undefined) return undefined
    const result = shards().executeNow(shard, operation, { bytes: key, position }, nowMs)
    if (result !== undefined) this.counts.record(operation.op, result.kind, 0)
    return result
  }

  /**
   * What can be read in this very step, each key by itself. What cannot, for whatever reason, and what would make the answer
   * too large, the client asks for alone: only then does anything wait, or go to another node.
   */
  #readMany(connection: ConnectionId, { n, keys }: Extract<ClientToNode, { kind: "read-many" }>, nowMs: number): void {
    const results: (Result | null)[] = []
    let bytes = 0
    for (const key of keys) {
      const result = bytes < softFrameBytes ? (this.runNow(key, getOperation, nowMs) ?? null) : null
      if (result?.kind === "value") bytes += result.value.length
      results.push(result)
    }
    const epoch = this.#options.view()?.epoch ?? 0
    this.#options.sendToClient(connection, { kind: "many-read", n, results, epoch })
  }

  answer(pending: Pending, answered: Reply): void {
    const { origin, request } = pending
    // That the successor did not execute it is no word on what its predecessor did.
    const reply: Reply =
      pending.mayBeDone && refusals.has(answered.kind) ? { kind: "retry", afterMs: retryMs } : answered
    const epoch = this.#options.view()?.epoch ?? 0
    if (origin.kind === "peer")
      return this.#options.send(origin.id, { kind: "forward-reply", n: origin.n, reply, epoch })
    const nowMs = this.#options.now()
    if (origin.kind === "own") {
      this.counts.record(request.operation.op, reply.kind, nowMs - pending.arrivedAtMs)
      this.own.answered(origin.call, reply, nowMs)
    } else if (this.#connections.has(origin.connection)) {
      this.counts.record(request.operation.op, reply.kind, nowMs - pending.arrivedAtMs)
      this.#options.sendToClient(origin.connection, {
        kind: "reply",
        n: request.n,
        attempt: origin.attempt,
        reply,
        epoch,
      })
    }
  }

  // ------------------------------------------------------------------------------------------------ forwarding

  #forward(to: NodeId, pending: Pending, nowMs: number): void {
    // Whoever cannot reach the voters rarely reaches the primary; the client finds it through somebody who can.
    if (this.#isCutOff(nowMs)) return this.answer(pending, { kind: "unavailable", reason: "minority" })
    if (this.#forwards.size >= this.#options.maxForwards)
      return this.answer(pending, { kind: "busy", retryAfterMs: retryMs })
    this.#lastForward += 1
    this.#forwards.set(this.#lastForward, { pending, to })
    const deadlineMs = pending.deadlineAtMs - nowMs
    this.#options.send(to, { kind: "forward", n: this.#lastForward, request: { ...pending.request, deadlineMs } })
  }

  /**
   * What was forwarded to somebody who no longer leads goes to the successor, which has the record of it if it was
   * executed: the old one may never answer, and its connection take seconds to be given up.
   */
  #forwardAnew(view: View, nowMs: number): void {
    for (const [n, { pending, to }] of this.#forwards) {
      if (view.shards[routeOf(pending.request.key, pending.request.operation, view).shard]?.primary === to) continue
      this.#forwards.delete(n)
      if (this.#options.rules.openForwards) pending.mayBeDone = true
      this.run(pending, nowMs)
    }
  }

  forwarded(from: NodeId, { n, request }: Extract<DataMessage, { kind: "forward" }>, nowMs: number): void {
    const deadlineAtMs = nowMs + Math.min(request.deadlineMs, maxDeadlineMs)
    this.run({ origin: { kind: "peer", id: from, n }, request, arrivedAtMs: nowMs, deadlineAtMs }, nowMs)
  }

  /** Not taken up: more is asked than can be done. */
  refuse(asked: Asked): void {
    const nowMs = this.#options.now()
    const { message } = asked
    const origin: Pending["origin"] =
      asked.kind === "peer"
        ? { kind: "peer", id: asked.from, n: asked.message.n }
        : { kind: "client", connection: asked.from, attempt: asked.message.attempt }
    const pending = { origin, request: message.request, arrivedAtMs: nowMs, deadlineAtMs: nowMs }
    this.answer(pending, { kind: "busy", retryAfterMs: overloadedRetryMs })
  }

  forwardReplied(from: NodeId, message: Extract<DataMessage, { kind: "forward-reply" }>, nowMs: number): void {
    if (message.epoch > (this.#options.view()?.epoch ?? 0)) this.#options.pull(from, nowMs)
    const forward = this.#forwards.get(message.n)
    if (forward === undefined || forward.to !== from) return
    this.#forwards.delete(message.n)
    // The client asks again; by then this node, or the one asked, has caught up. A `moved` certainly did nothing.
    const reply: Reply = message.reply.kind === "moved" ? { kind: "busy", retryAfterMs: retryMs } : message.reply
    this.answer(forward.pending, reply)
  }

  /** What was under way to this peer may have been executed or not. */
  linkLost(peer: NodeId): void {
    for (const [n, { pending, to }] of this.#forwards) {
      if (to !== peer) continue
      this.#forwards.delete(n)
      this.answer(pending, { kind: "retry", afterMs: retryMs })
    }
  }

  get forwardCount(): number {
    return this.#forwards.size
  }

  /** Whether nothing here comes due by time. */
  get isAtRest(): boolean {
    return this.#forwards.size === 0 && this.own.openCount === 0
  }

  tick(nowMs: number): void {
    this.own.tick(nowMs)
    if (this.#options.hasLease(nowMs)) this.#leasedAtMs = nowMs
    this.#leasedAtMs ??= nowMs
    if (nowMs < this.#expireAtMs) return
    this.#expireAtMs = nowMs + expireEveryMs
    const isCutOff = this.#isCutOff(nowMs)
    for (const [n, { pending }] of this.#forwards) {
      if (!isCutOff && nowMs < pending.deadlineAtMs) continue
      this.#forwards.delete(n)
      // It may have been executed, or yet be; at its deadline nobody waits for an answer any more.
      if (nowMs < pending.deadlineAtMs) this.answer(pending, { kind: "retry", afterMs: retryMs })
    }
  }

  #isCutOff(nowMs: number): boolean {
    const { hasLease, parkWithoutLeaseMs } = this.#options
    return nowMs - (this.#leasedAtMs ?? nowMs) > parkWithoutLeaseMs && !hasLease(nowMs)
  }
}

/** Each says that an operation was certainly not executed where it was said. */
const refusals: ReadonlySet<Reply["kind"]> = new Set(["moved", "busy", "full", "unavailable", "rejected"])

/** The shard that a request goes to, and where its key lies; the beginning of the shard where it names no key. */
function routeOf(
  key: Uint8Array,
  operation: Operation,
  view: View,
): { readonly shard: ShardId; readonly position: number } {
  const shardCount = view.shards.length
  const named = isOfShards(operation) ? firstShardOf(operation) : undefined
  if (named !== undefined && named < shardCount) return { shard: named, position: arcOf(named, shardCount).from }
  const position = positionOf(key, { hashKey: view.hashKey, shardCount })
  return { shard: shardOf(position, shardCount), position }
}

function firstShardOf(operation: ShardOperation): ShardId | undefined {
  return operation.op === "clear" ? operation.shard : operation.shards[0]
}

/** What the codec lets pass and this node still refuses. */
function problemOf(key: Uint8Array, operation: Operation, view: View): Rejection | undefined {
  if (key.length > maxKeyBytes) return "key-too-long"
  if (operation.op === "set" && operation.value.length > maxValueBytes) return "value-too-large"
  if (isOfShards(operation)) return problemOfShards(operation, view.shards.length)
  if (operation.op === "group") return problemOfGroup(key, operation)
  return hasBadNumber(operation) ? "bad-request" : undefined
}

/** What it finds, and so what its touches write, the primary alone can say. */
function problemOfGroup(key: Uint8Array, { steps }: GroupOperation): Rejection | undefined {
  if (steps.length > maxGroupKeys) return "group-too-large"
  const keys = new Set(steps.map(step => textOf(step.key)))
  if (steps.length === 0 || keys.size < steps.length || !keys.has(textOf(key))) return "bad-request"
  let bytes = 0
  for (const { key: each, operation } of steps) {
    if (each.length > maxKeyBytes) return "key-too-long"
    if (operation.op !== "check" && hasBadNumber(operation)) return "bad-request"
    bytes += each.length + (operation.op === "set" ? operation.value.length : 0)
    if (operation.condition?.if === "value") bytes += operation.condition.value.length
  }
  return bytes > maxGroupBytes ? "group-too-large" : undefined
}

/** Why nobody executes this group now, given who leads the shard of its request's key. */
function obstacleOf(operation: GroupOperation, primary: NodeId, view: View): Refusal | undefined {
  const primaries = [...shardsOf(operation, view)].map(shard => view.shards[shard]?.primary)
  if (primaries.includes(null)) return { kind: "unavailable", reason: "orphan" }
  return primaries.every(one => one === primary) ? undefined : { kind: "rejected", reason: "keys-apart" }
}

function shardsOf({ steps }: GroupOperation, { shards, hashKey }: View): Set<ShardId> {
  return new Set(steps.map(({ key }) => shardOfKey(key, { hashKey, shardCount: shards.length })))
}

function problemOfShards(operation: ShardOperation, shardCount: number): "key-too-long" | "bad-request" | undefined {
  if (operation.op !== "size" && operation.prefix.length > maxKeyBytes) return "key-too-long"
  const shards = operation.op === "clear" ? [operation.shard] : operation.shards
  const first = shards[0]
  if (first === undefined || shards.some(shard => shard >= shardCount)) return "bad-request"
  if (operation.op === "scan" && operation.limit < 1) return "bad-request"
  const from = operation.op === "size" ? null : operation.from
  if (from === null) return undefined
  const arc = arcOf(first, shardCount)
  return from.position >= arc.from && from.position < arc.to ? undefined : "bad-request"
}

function hasBadNumber(operation: KeyOperation): boolean {
  if (operation.op === "incr" && !Number.isSafeInteger(operation.by)) return true
  if (operation.op !== "set" && operation.op !== "touch" && operation.op !== "incr") return false
  const { ttlMs } = operation
  return ttlMs !== null && ttlMs !== "keep" && !(ttlMs >= 0 && ttlMs <= maxTtlMs)
}
