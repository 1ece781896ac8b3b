/**
 * A client of the cluster without its sockets: learns who leads which shard, sends each operation to its primary,
 * follows moves, repeats under the same number until an answer or the deadline, and says of every call exactly once how
 * it ended. Is told what happened and what time it is; sends through a port. So the simulator's clients are the real
 * ones. The rules are those of `src/core/README.md`, "Client protocol".
 *
 * An operation travels straight to its primary when that connection stands, and through any other node while it does
 * not: a client that can reach only the node it dialed works as well, one hop slower.
 */
import { assert, unreachable } from "../base/assert.ts"
import type { Prng } from "../base/prng.ts"
import { maxDeadlineMs, maxKeyBytes, maxKeysRead, maxOperationsAhead, protoMax, protoMin } from "../protocol/limits.ts"
import type {
  Address,
  ClientId,
  ClientMember,
  ClientToNode,
  Epoch,
  NodeId,
  NodeToClient,
  Operation,
  Refusal,
  StatusReport,
} from "../protocol/message.ts"
import type { Attempt, CallOptions, Done, CallOutcome, FailureCode } from "./call.ts"
import { Call, isRefusal, mayHaveHappened, saysNotExecuted, settled, tooLong } from "./call.ts"
import { CallQueue } from "./call-queue.ts"
import type { Contact, ContactLimits } from "./contacts.ts"
import { Contacts } from "./contacts.ts"
import { OpenCalls } from "./open-calls.ts"
import type { ClientView, Routes } from "./routes.ts"
import { afterDelta, primaryOf, routesOf, shardOfKey, shardOfOperation } from "./routes.ts"

export type { CallOutcome, FailureCode } from "./call.ts"
export { isRefusal } from "./call.ts"

/** All that a session can do to the world. None of it calls back into the session before it has returned. */
export interface SessionPorts {
  /**
   * Sends over the connection to this address, dialing one when there is none; what is sent before `connectionOpened`
   * leaves when it opens. Lost when that fails: `connectionLost` follows.
   */
  send(to: Address, message: ClientToNode): void
  /** Ends the connection to this address at once, with all that is queued on it. No `connectionLost` follows. */
  hangUp(from: Address): void
}

export type SessionLimits = ContactLimits & {
  /** Operations under way at once, and their bytes. Calls beyond wait in the queue. */
  maxInFlight: number
  maxInFlightBytes: number
  /** Calls that wait for a view or for room, records included; beyond, a call fails at once, "too-many-calls". */
  maxQueued: number
  maxQueuedBytes: number
  /** Status reports asked for at once. */
  maxStatusRequests: number
  /** Reads of many keys under way at once, each with an answer of a frame at most. Keys beyond are asked one by one. */
  maxManyReads: number
  /** A refused operation is repeated after this, doubling, with a random part. */
  firstRetryMs: number
  longestRetryMs: number
  /** Without an answer for so long, another node is asked; doubling, so that a slow cluster is not asked ever more. */
  attemptMs: number
  longestAttemptMs: number
  /** A connection that is not open, or whose node has not said who it is, after this long is given up. */
  dialMs: number
  /** A node that is joining its cluster is asked again so often. */
  joiningMs: number
  /** Connections kept when there are as many nodes, so that the loss of one leaves somebody to ask. */
  keepReady: number
  /** Beyond, primaries are reached through those that are connected. With 1, everything goes through one node. */
  maxConnections: number
  /** A reply told of a newer view: how long its push is waited for, and how often it is asked for after that. */
  pushGraceMs: number
  pullRetryMs: number
  /** A node that lets an attempt pass unanswered is probed so often, and given up after so long. */
  probeMs: number
  silentMs: number
  /** Woken later than this, the process was paused, and what lies in its buffers is too old to be sent. */
  pausedMs: number
}

export const defaultSessionLimits: SessionLimits = {
  // As far as numbers may be ahead; what bounds a pipeline is its bytes.
  maxInFlight: maxOperationsAhead,
  maxInFlightBytes: 64 * 1024 * 1024,
  maxQueued: Number.POSITIVE_INFINITY,
  maxQueuedBytes: 64 * 1024 * 1024,
  maxStatusRequests: 2_048,
  maxManyReads: 256,
  firstRetryMs: 5,
  longestRetryMs: 200,
  attemptMs: 250,
  longestAttemptMs: 2_000,
  dialMs: 2_000,
  joiningMs: 300,
  keepReady: 2,
  maxConnections: 128,
  maxAddresses: 4_096,
  firstRedialMs: 1_000,
  longestRedialMs: 30_000,
  firstUrgentMs: 25,
  longestUrgentMs: 400,
  pushGraceMs: 30,
  pullRetryMs: 200,
  probeMs: 500,
  silentMs: 5_000,
  pausedMs: 5_000,
}

/** One call, for `cancel`. */
export type CallHandle = Call

export type StatusOutcome =
  | { readonly kind: "report"; readonly report: StatusReport }
  | { readonly kind: "failed"; readonly code: FailureCode }

export type SessionView = {
  readonly clusterId: string
  readonly epoch: Epoch
  readonly membersEpoch: Epoch
  readonly members: readonly ClientMember[]
  readonly shardCount: number
  readonly hashKey: readonly [number, number]
  /** Who leads each shard: an index into `members`; one outside of it: nobody. */
  readonly primaries: readonly number[]
}

type StatusWait = {
  readonly address: Address
  readonly deadlineAtMs: number
  readonly done: (outcome: StatusOutcome) => void
}

/**
 * Reads that one node is asked to do in one message. It has no number of the client's operations: reads may be repeated at
 * will. Whatever goes wrong with it, its keys are asked for one by one, in the time that is left.
 */
type ManyRead = {
  readonly n: number
  readonly attempt: Attempt
  readonly primary: NodeId
  readonly keys: readonly Uint8Array[]
  /** What each key is called by its asker. */
  readonly indexes: readonly number[]
  readonly askAloneAtMs: number
  readonly deadlineAtMs: number
  readonly done: Done
}

const getOperation: Operation = { op: "get" }

/** So often a call waits on for a node that answers others: with usual limits for 0.75 s in all. Then this one may be lost there. */
const trustedTimeouts = 1
/** Connections being made at once while nobody can be asked: one dead address must not hold up the next. */
const dialsAtOnce = 3

export class Session {
  readonly #clientId: ClientId
  readonly #ports: SessionPorts
  readonly #prng: Prng
  readonly #now: () => number
  readonly #limits: SessionLimits
  readonly #contacts: Contacts
  readonly #queue: CallQueue
  /** Numbered and not settled, in the order of their numbers. */
  readonly #active = new OpenCalls()
  /** Few: an array is searched as fast. */
  #manyReads: ManyRead[] = []
  #nextManyN = 1
  readonly #statusWaits = new Map<number, StatusWait>()
  #nextStatusN = 1
  #routes: Routes | undefined
  /** The newest view that a reply told of, and who did. */
  #heardOf: { epoch: Epoch; from: Address } | undefined
  #pulledAtMs = Number.NEGATIVE_INFINITY
  #pullAtMs = Number.POSITIVE_INFINITY
  /** Nothing is due before this. */
  #wakeAtMs = Number.POSITIVE_INFINITY
  #phase: "new" | "running" | "closed" = "new"

  constructor(options: {
    clientId: ClientId
    seeds: readonly Address[]
    ports: SessionPorts
    prng: Prng
    /** Monotonic milliseconds. */
    now: () => number
    limits?: Partial<SessionLimits>
  }) {
    assert(options.seeds.length > 0, "a client knows at least one address")
    this.#clientId = options.clientId
    this.#ports = options.ports
    this.#prng = options.prng
    this.#now = options.now
    this.#limits = { ...defaultSessionLimits, ...options.limits }
    this.#contacts = new Contacts({ limits: this.#limits, prng: options.prng, seeds: options.seeds })
    this.#queue = new CallQueue({ maxCalls: this.#limits.maxQueued, maxBytes: this.#limits.maxQueuedBytes })
  }

  /** What is known of the cluster; undefined until the first node answered. */
  get view(): SessionView | undefined {
    if (this.#routes === undefined) return undefined
    const { clusterId, epoch, membersEpoch, members, hashKey, primaries } = this.#routes
    return { clusterId, epoch, membersEpoch, members, shardCount: primaries.length, hashKey, primaries }
  }

  /** Calls and questions for status that have not been told their outcome. */
  get openCalls(): number {
    return this.#active.count + this.#queue.count + this.#manyReads.length + this.#statusWaits.size
  }

  /** Where this member is best asked: over the connection that stands, if one does, wherever that was dialed. */
  addressOf(member: ClientMember): Address {
    return this.#contacts.readyTo(member.id)?.address ?? member.clientAddr
  }

  /** The time at which `tick` has something to do. Calling it earlier, or at a fixed pace, is as good. */
  nextWakeAtMs(): number {
    return this.#wakeAtMs
  }

  start(): void {
    assert(this.#phase === "new", "a session is started once")
    this.#phase = "running"
    this.#wakeBy(this.#tendConnections(this.#now()))
  }

  /** `done` is called once, with the outcome; before `call` returns when the outcome is known at once. */
  call(options: CallOptions): CallHandle {
    const nowMs = this.#now()
    const timeoutMs = Math.min(Math.max(options.timeoutMs, 0), maxDeadlineMs)
    const call = new Call(options, nowMs + timeoutMs)
    const refused = this.#refusedHere(call)
    if (refused !== undefined) {
      call.state = settled
      call.done({ kind: "failed", code: refused, mayHaveHappened: "no" }, call.index)
    } else {
      this.#wakeBy(call.deadlineAtMs)
      if (this.#contacts.ready.length === 0) this.#wakeBy(nowMs)
      this.#sendQueued()
    }
    return call
  }

  /**
   * Reads many keys, each by itself: `done` is called once for each, with its index among them, maybe before this returns.
   * Those of one primary travel in one message.
   */
  readMany({ keys, timeoutMs, done }: { keys: readonly Uint8Array[]; timeoutMs: number; done: Done }): void {
    const nowMs = this.#now()
    const deadlineAtMs = nowMs + Math.min(Math.max(timeoutMs, 0), maxDeadlineMs)
    const alone: number[] = []
    const together = new Map<Contact, number[]>()
    let last: { readonly contact: Contact; readonly indexes: number[] } | undefined
    for (let i = 0; i < keys.length; i++) {
      const contact = this.#readerOf(keys[i] as Uint8Array) // the index is within bounds
      if (contact === undefined) {
        alone.push(i)
        continue
      }
      if (last?.contact !== contact) {
        last = { contact, indexes: together.get(contact) ?? [] }
        together.set(contact, last.indexes)
      }
      last.indexes.push(i)
    }
    for (const [contact, indexes] of together)
      for (let from = 0; from < indexes.length; from += maxKeysRead) {
        const some = indexes.slice(from, from + maxKeysRead)
        if (some.length === 1 || this.#manyReads.length >= this.#limits.maxManyReads) alone.push(...some)
        else this.#sendRead(contact, { keys, indexes: some, nowMs, deadlineAtMs, done })
      }
    for (const i of alone) this.#readAlone(keys[i] as Uint8Array, i, deadlineAtMs, done)
  }

  /** Ends a call now, as "cancelled". What was sent may still take effect. */
  cancel(call: CallHandle): void {
    this.#fail(call, "cancelled")
  }

  /** Asks one node how things stand as it sees them, member of the cluster or not. */
  requestStatus(options: { address: Address; timeoutMs: number; done: (outcome: StatusOutcome) => void }): void {
    const { address, timeoutMs, done } = options
    if (this.#phase === "closed") return done({ kind: "failed", code: "closed" })
    if (this.#statusWaits.size >= this.#limits.maxStatusRequests)
      return done({ kind: "failed", code: "too-many-calls" })
    this.#contacts.learn([address])
    const contact = this.#contacts.get(address)
    if (contact === undefined) return done({ kind: "failed", code: "too-many-calls" })
    const n = this.#nextStatusN++
    const deadlineAtMs = this.#now() + timeoutMs
    this.#statusWaits.set(n, { address, deadlineAtMs, done })
    this.#wakeBy(deadlineAtMs)
    // Whoever asks for this very node wants to know now, however often it could not be reached before.
    if (contact.connection.kind === "none") this.#dial(contact)
    this.#ports.send(address, { kind: "status-request", n })
  }

  connectionOpened(to: Address): void {
    const contact = this.#contacts.get(to)
    if (contact?.connection.kind !== "dialing") return
    const giveUpAtMs = this.#now() + this.#limits.dialMs
    this.#contacts.move(contact, { kind: "greeting", giveUpAtMs })
    this.#wakeBy(giveUpAtMs)
  }

  connectionLost(to: Address): void {
    const contact = this.#contacts.get(to)
    if (contact !== undefined && contact.connection.kind !== "none") this.#lost(contact)
  }

  received(from: Address, message: NodeToClient): void {
    const contact = this.#contacts.get(from)
    if (this.#phase !== "running" || contact === undefined || contact.connection.kind === "none") return
    contact.heardAtMs = this.#now()
    contact.silentSinceMs = undefined
    switch (message.kind) {
      case "client-view":
        return this.#greeted(contact, message)
      case "client-view-delta": {
        if (this.#routes === undefined || contact.connection.kind !== "ready" || message.epoch <= this.#routes.epoch)
          return
        const routes = afterDelta(this.#routes, message)
        if (routes === undefined) this.#pull(contact)
        else this.#adopt(routes)
        return
      }
      case "client-not-ready":
        this.#contacts.learn(message.addresses)
        if (contact.connection.kind === "ready") this.#wakeBy(this.#now())
        this.#contacts.move(contact, { kind: "joining", askAtMs: this.#now() + this.#limits.joiningMs })
        return this.#wakeBy(this.#now())
      case "reply":
        return this.#answered(contact, message)
      case "many-read":
        return this.#manyAnswered(contact, message)
      case "status": {
        const wait = this.#statusWaits.get(message.n)
        if (wait?.address !== from) return
        this.#statusWaits.delete(message.n)
        return wait.done({ kind: "report", report: message.report })
      }
      case "admin-reply":
        return // a session orders nothing
      default:
        return unreachable(message)
    }
  }

  /** To be called when `nextWakeAtMs` has come, or every 10 to 20 ms. */
  tick(): void {
    const nowMs = this.#now()
    if (this.#phase !== "running" || nowMs < this.#wakeAtMs) return
    if (nowMs - this.#wakeAtMs > this.#limits.pausedMs) this.#hangUpAll()
    // Collected anew by everything below that sets a time.
    this.#wakeAtMs = Number.POSITIVE_INFINITY
    for (const [n, wait] of this.#statusWaits) {
      if (wait.deadlineAtMs > nowMs) this.#wakeBy(wait.deadlineAtMs)
      else this.#statusFailed(n, "timeout")
    }
    for (const call of this.#queue.waiting()) {
      if (call.deadlineAtMs > nowMs) this.#wakeBy(call.deadlineAtMs)
      else this.#expire(call)
    }
    for (const call of this.#active.all()) this.#tend(call, nowMs)
    this.#endReads(read => {
      const dueAtMs = Math.min(read.askAloneAtMs, read.deadlineAtMs)
      if (dueAtMs > nowMs) {
        this.#wakeBy(dueAtMs)
        return false
      }
      // No word on the node: one of an older version passes such a message by. Those who ask alone now find out.
      return true
    })
    this.#sendQueued()
    this.#tendPull(nowMs)
    this.#wakeBy(this.#tendConnections(nowMs))
  }

  /** Ends every call, as "closed", and every connection. */
  close(): void {
    if (this.#phase === "closed") return
    this.#phase = "closed"
    this.#wakeAtMs = Number.POSITIVE_INFINITY
    for (const contact of this.#contacts.all()) {
      if (contact.connection.kind !== "none") this.#ports.hangUp(contact.address)
    }
    for (const n of this.#statusWaits.keys()) this.#statusFailed(n, "closed")
    for (const call of this.#active.all()) this.#fail(call, "closed")
    for (const call of this.#queue.waiting()) this.#fail(call, "closed")
    this.#endReads(() => true)
  }

  // -------------------------------------------------------------------------------------------- sending calls

  /** Queues the call, or says why it is not taken at all. */
  #refusedHere(call: Call): FailureCode | undefined {
    if (this.#phase === "closed") return "closed"
    return tooLong(call.key, call.operation) ?? (this.#queue.add(call) ? undefined : "too-many-calls")
  }

  /** Numbers and sends what waits, as far as the window allows. */
  #sendQueued(): void {
    while (
      this.#routes !== undefined &&
      this.#contacts.ready.length > 0 &&
      this.#active.count < this.#limits.maxInFlight
    ) {
      const call = this.#queue.first()
      if (call === undefined) return
      if (this.#active.isFull) return
      if (this.#active.bytes + call.bytes > this.#limits.maxInFlightBytes && this.#active.count > 0) return
      const shard = shardOfOperation(this.#routes, call.key, call.operation)
      if (shard === undefined) {
        this.#fail(call, "bad-request")
        continue
      }
      this.#queue.shift()
      call.shard = shard
      call.state = { kind: "unrouted" }
      this.#active.add(call)
      this.#send(call)
    }
  }

  #send(call: Call): void {
    const nowMs = this.#now()
    const leftMs = Math.floor(call.deadlineAtMs - nowMs)
    if (leftMs < 1) return this.#expire(call)
    const contact = this.#whomToAsk(call)
    if (contact === undefined) {
      call.state = { kind: "unrouted" }
      return this.#wakeBy(call.deadlineAtMs)
    }
    const attempt: Attempt = { number: ++call.attempts, to: contact.address, sentAtMs: nowMs }
    const waitMs = this.#patienceMs(call)
    call.open = call.open.length === 0 ? [attempt] : [...call.open, attempt]
    call.state = { kind: "sent", attempt, askElsewhereAtMs: nowMs + waitMs }
    this.#wakeBy(nowMs + waitMs)
    const { n, firstEpoch, key, operation } = call
    this.#ports.send(contact.address, {
      kind: "request",
      attempt: attempt.number,
      request: {
        clientId: this.#clientId,
        n,
        ackedBelow: this.#active.oldest,
        firstEpoch,
        key,
        operation,
        deadlineMs: leftMs,
      },
    })
  }

  /** The primary when it can be asked, else anyone who may forward; dials the primary for the next time. */
  #whomToAsk(call: Call): Contact | undefined {
    assert(this.#routes !== undefined, "a call is numbered under a view")
    if (call.attempts === 0) call.firstEpoch = this.#routes.epoch
    const hint = call.hint !== undefined && call.hint.epoch > this.#routes.epoch ? call.hint : undefined
    const primary = hint?.primary ?? primaryOf(this.#routes, call.shard)?.id
    call.primary = primary
    if (primary === undefined) return this.#forwarder(call)
    const direct = this.#contacts.readyTo(primary)
    if (direct === undefined) {
      const member = this.#routes.members.find(one => one.id === primary)
      if (member !== undefined) this.#dialIfDue(member.clientAddr)
      // Who told of the primary knows it by a view that the others may not have yet.
      const guide = hint === undefined ? undefined : this.#contacts.get(hint.from)
      if (guide?.connection.kind === "ready" && call.avoid !== guide.address) return guide
    } else if (direct.silentSinceMs === undefined && direct.address !== call.avoid) {
      return direct
    }
    return this.#forwarder(call)
  }

  #forwarder(call: Call): Contact | undefined {
    const others = this.#contacts.ready.filter(contact => contact.address !== call.avoid)
    const speaking = others.filter(contact => contact.silentSinceMs === undefined)
    const choice = speaking.length > 0 ? speaking : others.length > 0 ? others : this.#contacts.ready
    return choice.length > 0 ? this.#prng.pick(choice) : undefined
  }

  // -------------------------------------------------------------------------------------------- reads of many keys

  /** Who leads the key and can be asked now; undefined: it is to be asked for alone. */
  #readerOf(key: Uint8Array): Contact | undefined {
    if (this.#routes === undefined || this.#phase !== "running" || key.length > maxKeyBytes) return undefined
    const primary = primaryOf(this.#routes, shardOfKey(this.#routes, key))
    const contact = primary === undefined ? undefined : this.#contacts.readyTo(primary.id)
    return contact?.silentSinceMs === undefined ? contact : undefined
  }

  #sendRead(
    contact: Contact,
    options: Pick<ManyRead, "keys" | "indexes" | "deadlineAtMs" | "done"> & { readonly nowMs: number },
  ): void {
    const { connection } = contact
    assert(connection.kind === "ready", "only who is ready is asked")
    const { indexes, nowMs, deadlineAtMs, done } = options
    const n = this.#nextManyN++
    const keys = indexes.map(i => options.keys[i] as Uint8Array) // indexes of these keys
    const attempt = { number: n, to: contact.address, sentAtMs: nowMs }
    const askAloneAtMs = nowMs + this.#limits.attemptMs
    this.#manyReads.push({ n, attempt, primary: connection.node, keys, indexes, askAloneAtMs, deadlineAtMs, done })
    this.#wakeBy(Math.min(askAloneAtMs, deadlineAtMs))
    this.#ports.send(contact.address, { kind: "read-many", n, keys })
  }

  #manyAnswered(contact: Contact, { n, results, epoch }: Extract<NodeToClient, { kind: "many-read" }>): void {
    this.#noteEpoch(contact, epoch)
    const at = this.#manyReads.findIndex(read => read.n === n)
    const read = this.#manyReads[at]
    if (read === undefined || read.attempt.to !== contact.address) return
    this.#manyReads.splice(at, 1)
    const { keys, indexes, deadlineAtMs, done } = read
    for (let i = 0; i < keys.length; i++) {
      const index = indexes[i] as number // one for each key
      const result = results[i]
      if (result?.kind === "value" || result?.kind === "missing") done(result, index)
      else this.#readAlone(keys[i] as Uint8Array, index, deadlineAtMs, done)
    }
  }

  /** Nothing is to be expected of those that `ended` chooses: their keys are asked for one by one. */
  #endReads(ended: (read: ManyRead) => boolean): void {
    if (this.#manyReads.length === 0) return
    const chosen = this.#manyReads.filter(ended)
    if (chosen.length === 0) return
    this.#manyReads = this.#manyReads.filter(read => !chosen.includes(read))
    for (const { keys, indexes, deadlineAtMs, done } of chosen)
      for (let i = 0; i < keys.length; i++)
        this.#readAlone(keys[i] as Uint8Array, indexes[i] as number, deadlineAtMs, done)
  }

  #readAlone(key: Uint8Array, index: number, deadlineAtMs: number, done: Done): void {
    this.call({ key, operation: getOperation, timeoutMs: deadlineAtMs - this.#now(), done, index })
  }

  // -------------------------------------------------------------------------------------------- time

  /** What time alone has made due. */
  #tend(call: Call, nowMs: number): void {
    const { state } = call
    if (state.kind === "settled" || state.kind === "queued") return
    if (call.deadlineAtMs <= nowMs) return this.#expire(call)
    this.#wakeBy(call.deadlineAtMs)
    if (state.kind === "unrouted") {
      if (this.#contacts.ready.length > 0) this.#send(call)
    } else if (state.kind === "backing-off") {
      if (state.sendAtMs <= nowMs) this.#send(call)
      else this.#wakeBy(state.sendAtMs)
    } else if (state.askElsewhereAtMs > nowMs) {
      this.#wakeBy(state.askElsewhereAtMs)
    } else if (call.timeouts < trustedTimeouts && this.#isAtWork(call, state.attempt, nowMs)) {
      call.timeouts++
      const askElsewhereAtMs = nowMs + this.#patienceMs(call)
      call.state = { ...state, askElsewhereAtMs }
      this.#wakeBy(askElsewhereAtMs)
    } else {
      // The attempt stays open: its answer is as good as another's, should it still come.
      call.timeouts++
      call.avoid = state.attempt.to
      this.#doubt(state.attempt, nowMs)
      this.#send(call)
    }
  }

  /**
   * Whether the node that was asked leads the shard and answers others meanwhile: it is late, not lost. Whoever else was asked
   * would hand the question to the same node, which would then have more to do, and for nobody.
   */
  #isAtWork(call: Call, attempt: Attempt, nowMs: number): boolean {
    const contact = this.#contacts.get(attempt.to)
    if (contact?.connection.kind !== "ready" || contact.connection.node !== call.primary) return false
    return nowMs - contact.heardAtMs < this.#limits.attemptMs
  }

  #patienceMs(call: Call): number {
    return Math.min(this.#limits.longestAttemptMs, this.#limits.attemptMs * 2 ** call.timeouts)
  }

  /** A node that said nothing at all since it was asked is passed over until it speaks. */
  #doubt(attempt: Attempt, nowMs: number): void {
    const contact = this.#contacts.get(attempt.to)
    if (contact?.connection.kind !== "ready" || contact.heardAtMs > attempt.sentAtMs) return
    if (contact.silentSinceMs !== undefined) return
    contact.silentSinceMs = nowMs
    contact.probeAtMs = nowMs
  }

  // -------------------------------------------------------------------------------------------- answers

  #answered(contact: Contact, message: Extract<NodeToClient, { kind: "reply" }>): void {
    this.#noteEpoch(contact, message.epoch)
    const call = this.#active.get(message.n)
    if (call === undefined) return
    const open = call.open.filter(one => one.number !== message.attempt || one.to !== contact.address)
    if (open.length === call.open.length) return
    call.open = open
    if (isRefusal(message.reply)) this.#refused(call, contact, message.attempt, message.reply)
    else this.#settle(call, message.reply)
  }

  #refused(call: Call, contact: Contact, attempt: number, refusal: Refusal): void {
    if (!saysNotExecuted(refusal)) call.fateUnknown = true
    switch (refusal.kind) {
      case "full":
      case "timeout":
      case "duplicate":
        return this.#fail(call, refusal.kind)
      case "rejected":
        return this.#fail(call, refusal.reason)
      case "moved":
        return this.#moved(call, contact, attempt, refusal)
      case "unavailable":
        call.lastCode = refusal.reason
        return this.#backOff(call, attempt, { avoid: contact.address, atLeastMs: 0 })
      case "busy":
        call.lastCode = "busy"
        return this.#backOff(call, attempt, { avoid: undefined, atLeastMs: refusal.retryAfterMs })
      case "retry":
        return this.#backOff(call, attempt, { avoid: undefined, atLeastMs: refusal.afterMs })
      default:
        return unreachable(refusal)
    }
  }

  #moved(call: Call, contact: Contact, attempt: number, moved: Extract<Refusal, { kind: "moved" }>): void {
    const known = Math.max(this.#routes?.epoch ?? 0, call.hint?.epoch ?? 0)
    const isNews = moved.epoch > known
    if (isNews) {
      call.hint = { primary: moved.primary, epoch: moved.epoch, from: contact.address }
      this.#pull(contact)
    }
    if (!isCurrent(call, attempt)) return
    // Each hint followed at once is of a newer view than the one before, so this ends.
    if (isNews) {
      call.avoid = undefined
      return this.#send(call)
    }
    // A node behind our own view has nothing to tell; one that is not can learn no more from being asked again.
    this.#backOff(call, attempt, { avoid: contact.address, atLeastMs: 0 })
  }

  /** Repeats the call a little later, unless a newer attempt is under way. */
  #backOff(call: Call, attempt: number, how: { avoid: Address | undefined; atLeastMs: number }): void {
    if (!isCurrent(call, attempt)) return
    const { firstRetryMs, longestRetryMs } = this.#limits
    const delayMs = Math.min(longestRetryMs, firstRetryMs * 2 ** call.refusals) * this.#prng.between(1, 1.5)
    call.refusals++
    call.avoid = how.avoid
    const sendAtMs = this.#now() + Math.max(delayMs, Math.min(how.atLeastMs, 1_000))
    call.state = { kind: "backing-off", sendAtMs }
    this.#wakeBy(sendAtMs)
  }

  // -------------------------------------------------------------------------------------------- outcomes

  #expire(call: Call): void {
    const isUnknown = mayHaveHappened(call) === "unknown"
    this.#fail(call, isUnknown ? "timeout" : (call.lastCode ?? this.#whyNothingCame(call)))
  }

  #whyNothingCame(call: Call): FailureCode {
    if (this.#contacts.ready.length > 0) return "timeout"
    const contacts = [...this.#contacts.all()]
    if (contacts.some(contact => contact.connection.kind === "joining")) return "joining"
    if (call.attempts === 0 && contacts.some(contact => contact.isForeign)) return "wrong-cluster"
    return "unreachable"
  }

  #fail(call: Call, code: FailureCode): void {
    this.#settle(call, { kind: "failed", code, mayHaveHappened: mayHaveHappened(call) })
  }

  #settle(call: Call, outcome: CallOutcome): void {
    if (call.state.kind === "settled") return
    const wasQueued = call.state.kind === "queued"
    call.state = settled
    if (wasQueued) {
      this.#queue.settled(call)
    } else {
      this.#active.remove(call)
      if (this.#phase === "running") this.#sendQueued()
    }
    call.done(outcome, call.index)
  }

  #statusFailed(n: number, code: FailureCode): void {
    const wait = this.#statusWaits.get(n)
    this.#statusWaits.delete(n)
    wait?.done({ kind: "failed", code })
  }

  // -------------------------------------------------------------------------------------------- views

  /** A node says which cluster it belongs to, and what it knows of it. */
  #greeted(contact: Contact, view: ClientView): void {
    contact.isForeign = this.#routes !== undefined && view.clusterId !== this.#routes.clusterId
    if (contact.isForeign) return this.#hangUp(contact)
    const { connection } = contact
    const isNew = connection.kind !== "ready" || connection.node !== view.self
    if (isNew) this.#contacts.move(contact, { kind: "ready", node: view.self, sinceMs: this.#now() })
    if (this.#routes === undefined || view.epoch > this.#routes.epoch) this.#adopt(routesOf(view))
    if (!isNew) return
    // There may be calls that had nobody to ask.
    this.#wakeBy(this.#now())
  }

  #adopt(routes: Routes): void {
    this.#routes = routes
    if (routes.epoch >= (this.#heardOf?.epoch ?? 0)) this.#pullAtMs = Number.POSITIVE_INFINITY
    // The address for other nodes as well: inside a private network it may be the only one that leads there.
    this.#contacts.learn([...routes.members.map(one => one.clientAddr), ...routes.members.map(one => one.addr)])
    for (const call of this.#active.all()) {
      if (call.state.kind !== "sent" && call.state.kind !== "backing-off") continue
      const primary = primaryOf(routes, call.shard)?.id
      if (primary === undefined || primary === call.primary) continue
      // Whoever was asked led the shard and no longer does: it may be gone, and its silence would cost a whole wait.
      call.refusals = 0
      call.avoid = undefined
      this.#send(call)
    }
    this.#endReads(({ primary, keys }) => keys.some(key => primaryOf(routes, shardOfKey(routes, key))?.id !== primary))
    this.#sendQueued()
  }

  /** A reply was given under a view that we do not have. */
  #noteEpoch(contact: Contact, epoch: Epoch): void {
    if (this.#routes === undefined || epoch <= this.#routes.epoch || epoch <= (this.#heardOf?.epoch ?? 0)) return
    this.#heardOf = { epoch, from: contact.address }
    if (this.#pullAtMs !== Number.POSITIVE_INFINITY) return
    this.#pullAtMs = this.#now() + this.#limits.pushGraceMs
    this.#wakeBy(this.#pullAtMs)
  }

  #pull(contact: Contact): void {
    const nowMs = this.#now()
    // One question is enough for the many operations that find the view wanting in the same moment.
    if (nowMs - this.#pulledAtMs < this.#limits.pushGraceMs) return
    this.#pulledAtMs = nowMs
    this.#ports.send(contact.address, { kind: "client-pull", have: this.#routes?.epoch ?? 0 })
  }

  #tendPull(nowMs: number): void {
    if (this.#heardOf === undefined || this.#heardOf.epoch <= (this.#routes?.epoch ?? 0)) return
    if (this.#pullAtMs <= nowMs) {
      const { from } = this.#heardOf
      const contact = this.#contacts.ready.find(one => one.address === from) ?? this.#contacts.ready[0]
      if (contact !== undefined) this.#pull(contact)
      this.#pullAtMs = nowMs + this.#limits.pullRetryMs
    }
    this.#wakeBy(this.#pullAtMs)
  }

  // -------------------------------------------------------------------------------------------- connections

  #dial(contact: Contact): void {
    const giveUpAtMs = this.#now() + this.#limits.dialMs
    contact.triedAtMs = this.#now()
    this.#contacts.move(contact, { kind: "dialing", giveUpAtMs })
    this.#wakeBy(giveUpAtMs)
    this.#ports.send(contact.address, { kind: "client-hello", clientId: this.#clientId, protoMin, protoMax })
  }

  #dialIfDue(address: Address): void {
    if (this.#contacts.connected >= this.#limits.maxConnections) return
    const contact = this.#contacts.get(address)
    if (contact !== undefined && this.#contacts.dialableAtMs(contact, "patient") <= this.#now()) this.#dial(contact)
  }

  #hangUp(contact: Contact): void {
    this.#ports.hangUp(contact.address)
    this.#lost(contact)
  }

  #hangUpAll(): void {
    for (const contact of this.#contacts.all()) {
      if (contact.connection.kind !== "none") this.#hangUp(contact)
    }
  }

  /** What was under way on the connection is of unknown fate, and is asked of another node at once. */
  #lost(contact: Contact): void {
    const wasReady = contact.connection.kind === "ready"
    this.#contacts.lost(contact, this.#now())
    if (this.#phase !== "running") return
    for (const [n, wait] of this.#statusWaits)
      if (wait.address === contact.address) this.#statusFailed(n, contact.isForeign ? "wrong-cluster" : "unreachable")
    const other = this.#contacts.ready[0]
    if (wasReady && other !== undefined) this.#pull(other)
    for (const call of this.#active.all()) this.#attemptsLost(call, contact.address)
    this.#endReads(({ attempt }) => attempt.to === contact.address)
    this.#wakeBy(this.#now())
  }

  #attemptsLost(call: Call, address: Address): void {
    const open = call.open.filter(one => one.to !== address)
    if (open.length < call.open.length) call.fateUnknown = true
    call.open = open
    if (call.state.kind !== "sent" || call.state.attempt.to !== address) return
    call.avoid = address
    this.#send(call)
  }

  /** Gives up what came to nothing, dials what is wanted, and says when to look again. */
  #tendConnections(nowMs: number): number {
    let againAtMs = Number.POSITIVE_INFINITY
    for (const contact of this.#contacts.all()) againAtMs = Math.min(againAtMs, this.#tendConnection(contact, nowMs))
    const ready = this.#contacts.ready.length
    const wanted = Math.min(this.#limits.maxConnections, ready === 0 ? dialsAtOnce : this.#limits.keepReady)
    const need = ready === 0 && this.openCalls > 0 ? "urgent" : "patient"
    while (this.#contacts.connected < wanted) {
      const contact = this.#contacts.next(nowMs, need)
      if (contact === undefined) break
      this.#dial(contact)
    }
    if (this.#contacts.connected >= wanted) return againAtMs
    for (const contact of this.#contacts.all())
      againAtMs = Math.min(againAtMs, this.#contacts.dialableAtMs(contact, need))
    return againAtMs
  }

  #tendConnection(contact: Contact, nowMs: number): number {
    const { connection } = contact
    switch (connection.kind) {
      case "none":
        return Number.POSITIVE_INFINITY
      case "dialing":
      case "greeting":
        if (connection.giveUpAtMs > nowMs) return connection.giveUpAtMs
        this.#hangUp(contact)
        return nowMs
      case "joining": {
        if (connection.askAtMs > nowMs) return connection.askAtMs
        const askAtMs = nowMs + this.#limits.joiningMs
        this.#contacts.move(contact, { kind: "joining", askAtMs })
        this.#ports.send(contact.address, { kind: "client-pull", have: 0 })
        return askAtMs
      }
      case "ready": {
        if (contact.silentSinceMs === undefined) return Number.POSITIVE_INFINITY
        if (nowMs - contact.silentSinceMs >= this.#limits.silentMs) {
          this.#hangUp(contact)
          return nowMs
        }
        if (contact.probeAtMs <= nowMs) {
          contact.probeAtMs = nowMs + this.#limits.probeMs
          // Asked as if nothing were known, so that there is something to answer.
          this.#ports.send(contact.address, { kind: "client-pull", have: 0 })
        }
        return Math.min(contact.probeAtMs, contact.silentSinceMs + this.#limits.silentMs)
      }
      default:
        return unreachable(connection)
    }
  }

  #wakeBy(atMs: number): void {
    if (atMs < this.#wakeAtMs) this.#wakeAtMs = atMs
  }
}

function isCurrent(call: Call, attempt: number): boolean {
  return call.state.kind === "sent" && call.state.attempt.number === attempt
}
