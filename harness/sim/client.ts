/**
 * A client in the simulation: the real session on imagined connections, on a machine of its own, with a clock of its
 * own. What it asks and is told goes into the history.
 */
import { assert } from "../../src/base/assert.ts"
import type { Prng } from "../../src/base/prng.ts"
import { type CallOutcome, Session } from "../../src/client/session.ts"
import type {
  Address,
  ClientToNode,
  Condition,
  GroupStep,
  NodeToClient,
  Operation,
} from "../../src/protocol/message.ts"
import { MachineClock } from "./clock.ts"
import { dialer } from "./network.ts"
import type { ClientNetwork, ClientTraffic } from "./process.ts"
import { bytesOf, type GroupMeaning, type GroupPart, type Meaning, type Recorder, textOf } from "./recorder.ts"
import type { Millis, Simulator } from "./simulator.ts"
import type { Stream } from "./stream.ts"
import { brief, type Trace } from "./trace.ts"
import type { Host } from "./weather.ts"
import type { Wire } from "./wire.ts"

type Connection =
  | { readonly kind: "dialing"; readonly waiting: ClientToNode[] }
  | { readonly kind: "open"; readonly stream: Stream<ClientTraffic> }

/** One question: what goes to the cluster, and how the checker understands it. Null: not for the checker. */
export type Question = {
  readonly key: string
  readonly operation: Operation
  readonly meaning: Meaning | GroupMeaning | null
}

/**
 * How often a request is delivered once more, and at most how much later: as an attempt that was slow on its way through
 * another node is, when the client has long had its answer. A connection is closed after five seconds.
 */
export type Duplicates = { readonly chance: number; readonly withinMs: Millis }

export class SimulatedClient {
  readonly number: number
  readonly name: string
  readonly host: Host
  readonly session: Session
  duplicates: Duplicates = { chance: 0, withinMs: 0 }
  readonly #simulator: Simulator
  readonly #network: ClientNetwork
  readonly #wire: Wire
  readonly #prng: Prng
  readonly #clock: MachineClock
  readonly #recorder: Recorder
  readonly #trace: Trace
  readonly #throwIfBroken: () => void
  readonly #connections = new Map<Address, Connection>()
  /** What the client was told will never happen: each attempt was answered so, and a connection repeats nothing. */
  readonly #refused = new WeakSet<Operation>()
  #wakeAtMs = Number.POSITIVE_INFINITY
  #open = 0
  #reads = 0

  constructor(options: {
    number: number
    simulator: Simulator
    network: ClientNetwork
    wire: Wire
    prng: Prng
    seeds: readonly Address[]
    recorder: Recorder
    trace: Trace
    throwIfBroken: () => void
  }) {
    this.number = options.number
    this.name = `c${options.number}`
    this.host = options.network.weather.hostAt(`${this.name}:0`)
    this.#simulator = options.simulator
    this.#network = options.network
    this.#wire = options.wire
    this.#prng = options.prng
    this.#recorder = options.recorder
    this.#trace = options.trace
    this.#throwIfBroken = options.throwIfBroken
    this.#clock = MachineClock.random(options.simulator, options.prng, 0.01)
    this.session = new Session({
      clientId: options.prng.hex64(),
      seeds: options.seeds,
      prng: options.prng.fork(),
      now: () => this.#clock.nowMs(),
      ports: { send: (to, message) => this.#send(to, message), hangUp: address => this.#hangUp(address) },
    })
    this.session.start()
    this.#arm()
  }

  /** Operations asked and not answered. */
  get open(): number {
    return this.#open
  }

  get isConnected(): boolean {
    return [...this.#connections.values()].some(({ kind }) => kind === "open")
  }

  /** Asks; the answer comes later. `lane` tells apart what one client has under way at once. */
  ask(question: Question, options: { timeoutMs?: Millis; lane?: number }, done: (outcome: CallOutcome) => void): void {
    const { key, operation, meaning } = question
    const process = this.number * 100 + (options.lane ?? 0)
    const record = meaning === null ? undefined : noted(this.#recorder, process, key, meaning)
    this.#open += 1
    this.#trace.note(this.name, "asks", () => `${key} ${brief(operation)}`)
    const told = (outcome: CallOutcome) => {
      this.#open -= 1
      this.#trace.note(this.name, "is told", () => `${key} ${operation.op}: ${brief(outcome)}`)
      record?.end(outcome)
      if (outcome.kind === "failed" && outcome.mayHaveHappened === "no") this.#refused.add(operation)
      done(outcome)
    }
    const timeoutMs = options.timeoutMs ?? 5_000
    const bytes = bytesOf(key)
    // Every other read is one of many keys. That they are the same makes one node answer for both.
    if (operation.op === "get" && ++this.#reads % 2 === 0)
      this.session.readMany({
        keys: [bytes, bytes],
        timeoutMs,
        done: (outcome, index) => (index === 0 ? told(outcome) : undefined),
      })
    else this.session.call({ key: bytes, operation, timeoutMs, done: told })
    this.#arm()
  }

  // ------------------------------------------------------------------------ the words of stories: asked and answered

  get(key: string): CallOutcome & { text?: string } {
    const outcome = this.#complete(questions.get(key))
    return outcome.kind === "value" ? { ...outcome, text: textOf(outcome.value) } : outcome
  }

  set(key: string, value: string, options: { ttlMs?: number } = {}): CallOutcome {
    return this.#complete(questions.set(key, value, options))
  }

  add(key: string, value: string): CallOutcome {
    return this.#complete(questions.add(key, value))
  }

  cas(key: string, expected: string | null, value: string): CallOutcome {
    return this.#complete(questions.cas(key, expected, value))
  }

  delete(key: string): CallOutcome {
    return this.#complete(questions.delete(key))
  }

  incr(key: string, by = 1): CallOutcome {
    return this.#complete(questions.incr(key, by))
  }

  group(parts: readonly Part[]): CallOutcome {
    return this.#complete(questions.group(parts))
  }

  #complete(question: Question): CallOutcome {
    let outcome: CallOutcome | undefined
    this.ask(question, {}, answer => {
      outcome = answer
    })
    // A little more than the deadline: the client's own clock decides, and it may be slow.
    this.#simulator.runUntil(() => outcome !== undefined, { withinMs: 5_500 })
    this.#throwIfBroken()
    assert(outcome !== undefined, "every call ends by its deadline")
    return outcome
  }

  // --------------------------------------------------------------------------------------------------- connections

  #send(to: Address, message: ClientToNode): void {
    const connection = this.#connections.get(to)
    if (connection?.kind === "open") this.#sendNow(connection.stream, message)
    else if (connection?.kind === "dialing") connection.waiting.push(message)
    else this.#dial(to, message)
  }

  #sendNow(stream: Stream<ClientTraffic>, message: ClientToNode): void {
    const onTheWire = this.#wire.toNode(message)
    stream.send(dialer, onTheWire)
    const { chance, withinMs } = this.duplicates
    if (chance === 0 || message.kind !== "request" || !this.#prng.chance(chance)) return
    this.#simulator.after(this.#prng.between(0, withinMs), () => {
      if (this.#refused.has(message.request.operation)) return
      this.#trace.note(this.name, "repeats an old request", () => brief(message))
      this.#anyOpen()?.send(dialer, onTheWire)
    })
  }

  #anyOpen(): Stream<ClientTraffic> | undefined {
    const streams = [...this.#connections.values()].flatMap(one => (one.kind === "open" ? [one.stream] : []))
    return streams.length === 0 ? undefined : this.#prng.pick(streams)
  }

  #dial(address: Address, first: ClientToNode): void {
    const dialing: Connection = { kind: "dialing", waiting: [first] }
    this.#connections.set(address, dialing)
    this.#network.dial(this.host, address, {
      greeting: { node: undefined },
      lane: "control",
      isWanted: () => this.#connections.get(address) === dialing,
      opened: (_answer, stream) => {
        this.#connections.set(address, { kind: "open", stream })
        stream.attach(dialer, {
          receive: traffic => this.#received(address, stream, traffic as NodeToClient), // what comes from a node's end
          closed: () => {
            if (this.#streamTo(address) === stream) this.#lost(address)
          },
        })
        for (const message of dialing.waiting) this.#sendNow(stream, message)
        this.session.connectionOpened(address)
        this.#arm()
      },
      failed: () => {
        if (this.#connections.get(address) === dialing) this.#lost(address)
      },
    })
  }

  #streamTo(address: Address): Stream<ClientTraffic> | undefined {
    const connection = this.#connections.get(address)
    return connection?.kind === "open" ? connection.stream : undefined
  }

  #received(address: Address, stream: Stream<ClientTraffic>, message: NodeToClient): void {
    if (this.#streamTo(address) !== stream) return
    this.session.received(address, this.#wire.toClient(message))
    this.#arm()
  }

  #lost(address: Address): void {
    this.#connections.delete(address)
    this.session.connectionLost(address)
    this.#arm()
  }

  #hangUp(address: Address): void {
    this.#streamTo(address)?.close(dialer)
    this.#connections.delete(address)
  }

  /** Sees to it that the session is woken when it wants to be. */
  #arm(): void {
    const inMs = this.session.nextWakeAtMs() - this.#clock.nowMs()
    if (inMs === Number.POSITIVE_INFINITY) return
    // A clock that runs a little slow must not be woken too early for ever.
    const wakeAtMs = this.#simulator.nowMs + Math.max(0, inMs * 1.01) + 0.01
    if (wakeAtMs >= this.#wakeAtMs) return
    this.#wakeAtMs = wakeAtMs
    this.#simulator.at(wakeAtMs, () => {
      if (this.#wakeAtMs !== wakeAtMs) return
      this.#wakeAtMs = Number.POSITIVE_INFINITY
      this.session.tick()
      this.#arm()
    })
  }
}

export { bytesOf }

/** Operations as clients mean them, each with its meaning for the checker. */
export const questions = {
  get: (key: string): Question => ({ key, operation: { op: "get" }, meaning: { op: "get" } }),
  set: (key: string, value: string, options: { ttlMs?: number } = {}): Question => ({
    key,
    operation: write(value, null, options.ttlMs),
    meaning: { op: "set", value, ...options },
  }),
  add: (key: string, value: string): Question => ({
    key,
    operation: write(value, { if: "absent" }),
    meaning: { op: "add", value },
  }),
  cas: (key: string, expected: string | null, value: string): Question => ({
    key,
    operation: write(value, expected === null ? { if: "absent" } : { if: "value", value: bytesOf(expected) }),
    meaning: { op: "cas", expected, value },
  }),
  delete: (key: string): Question => ({ key, operation: { op: "delete", condition: null }, meaning: { op: "delete" } }),
  incr: (key: string, by: number): Question => ({
    key,
    operation: { op: "incr", by, ttlMs: null },
    meaning: { op: "incr", by },
  }),
  touch: (key: string, ttlMs: number | null): Question => ({
    key,
    operation: { op: "touch", ttlMs, condition: null },
    meaning: null,
  }),
  group: (parts: readonly Part[]): Question => ({
    key: parts[0]?.key ?? "",
    operation: { op: "group", steps: parts.map(stepOf) },
    meaning: { op: "group", parts: parts.map(meaningOf) },
  }),
  ttl: (key: string): Question => ({ key, operation: { op: "ttl" }, meaning: null }),
}

/** What becomes of one key of a group: it is written, or deleted, or only looked at. */
export type Part = {
  readonly key: string
  /** What is there; null: nothing; undefined: it does not matter. */
  readonly expected?: string | null
} & ({ readonly change: "set"; readonly value: string } | { readonly change: "delete" } | { readonly change: "none" })

function stepOf(part: Part): GroupStep {
  const { expected } = part
  const condition: Condition | null =
    expected === undefined ? null : expected === null ? { if: "absent" } : { if: "value", value: bytesOf(expected) }
  const key = bytesOf(part.key)
  if (part.change === "set")
    return { key, operation: { op: "set", value: bytesOf(part.value), flags: 0, ttlMs: null, condition } }
  if (part.change === "delete") return { key, operation: { op: "delete", condition } }
  assert(condition !== null, "what is only looked at is expected to be something")
  return { key, operation: { op: "check", condition } }
}

function meaningOf(part: Part): GroupPart {
  const { key, expected = null } = part
  if (part.change === "delete") return { key, expected, meaning: { op: "delete" } }
  if (part.change === "none") return { key, expected, meaning: { op: "get" } }
  const { value } = part
  if (part.expected === undefined) return { key, expected, meaning: { op: "set", value } }
  return { key, expected, meaning: { op: "cas", expected, value } }
}

/** Begins the record of a question, and says how it ends. */
export function noted(recorder: Recorder, process: number, key: string, meaning: Meaning | GroupMeaning) {
  if (meaning.op === "group") {
    const group = recorder.beginGroup(process, meaning)
    return { end: (outcome: CallOutcome) => recorder.endGroup(group, outcome) }
  }
  const record = recorder.begin(process, key, meaning)
  return { end: (outcome: CallOutcome) => recorder.end(record, outcome) }
}

function write(value: string, condition: Condition | null, ttlMs?: number): Operation {
  return { op: "set", value: bytesOf(value), flags: 0, ttlMs: ttlMs ?? null, condition }
}
