/**
 * The cache as a program uses it.
 *
 *     const cache = await CacheClient.connect("127.0.0.1:5555")
 *     await cache.set("user:42", { name: "Ada" }, { ttlMs: 60_000 })
 *     const user = await cache.get<User>("user:42")
 *
 * Any node will do to begin with; the client learns of the others from it. Every call has a deadline and ends by it,
 * with an answer or a `CacheError` that says whether the operation may have taken effect. A missing key is `undefined`
 * and an unmet condition is an answer; neither is an error. What is decided is decided in `session.ts`; here are
 * promises, values, sockets and the one timer.
 */
import { unreachable } from "../base/assert.ts"
import { defaultPort, formatAddress, parseAddress } from "../base/address.ts"
import { copyOf } from "../base/bytes.ts"
import { Prng } from "../base/prng.ts"
import { assertCarried } from "../protocol/codec.ts"
import { maxDeadlineMs, maxTtlMs } from "../protocol/limits.ts"
import type {
  Address,
  ClientMember,
  Condition,
  NodeToClient,
  Operation,
  PageEntry,
  Result,
  StatusReport,
} from "../protocol/message.ts"
import {
  type CallOutcome,
  type Done,
  type Failed,
  type FailureCode,
  type CallOptions as SessionCall,
  tooLong,
} from "./call.ts"
import {
  type Counted,
  counted,
  decoded,
  type Entry,
  entryOf,
  failure,
  type Key,
  lifeLeftMs,
  type SetResult,
  setResult,
  sumOf,
  ttlLeft,
  unexpected,
  valueOf,
  wasDeleted,
} from "./answers.ts"
import { CacheError, CacheManyError, errorOf, type ManyResult } from "./errors.ts"
import { asking, follow, type World } from "./follow.ts"
import { loading, type LoadingOptions } from "./loading.ts"
import { type CallHandle, Session, type SessionLimits, type SessionView } from "./session.ts"
import { Sockets, socketLimits } from "./sockets.ts"
import { isTagged, sealed, tagBytes, tagKey, type Token, tokensOf, untagged } from "./tags.ts"
import { keyBytes, nameOfKey, type StoredValue, textOfKey, toStored } from "./values.ts"
import { type Asking, clear, pagesOf, sizeOf, UnexpectedAnswer, WalkFailure } from "./walk.ts"

export type { Address, ClientMember, Operation, Result, StatusReport } from "../protocol/message.ts"
export type { Counted, Entry, Key, SetResult } from "./answers.ts"
export type { CallOutcome, FailureCode } from "./call.ts"
export { CacheError, type CacheErrorCode, CacheManyError, type ManyResult } from "./errors.ts"
export type { SessionLimits, SessionView } from "./session.ts"

export type CallOptions = {
  /** Default: the client's, 5 seconds. At most a minute. */
  timeoutMs?: number
  /** Ends the call at once. What was sent may still take effect: the error says so. */
  signal?: AbortSignal
}

/** At most one of them. */
export type Conditions = {
  ifAbsent?: true
  ifPresent?: true
  /** The version that `getEntry` or an earlier `set` answered. */
  ifVersion?: number
  /** Compares what is stored, byte for byte. */
  ifValue?: unknown
}

export type SetOptions = CallOptions &
  Conditions & {
    /** Infinity or left out: does not expire. */
    ttlMs?: number
    /** `invalidateTag` of any of them makes the entry unreadable. At most 32, of 255 bytes. */
    tags?: readonly string[]
  }
/** `ttlMs`: of an entry that is made by it; one that is there keeps its own. Infinity or left out: does not expire. */
export type IncrOptions = CallOptions & { ttlMs?: number }
export type DeleteOptions = CallOptions & Pick<Conditions, "ifVersion" | "ifValue">

export type LoadOptions = Pick<SetOptions, "ttlMs" | "tags"> & {
  /** How long to wait for what others load, and for each answer of the cluster; what `load` takes is not counted. */
  timeoutMs?: number
  /** Ends the waiting, not the loading. */
  signal?: AbortSignal
  /** After its time a value is served for so long, while one caller loads anew. Default: not at all. */
  staleForMs?: number
  /** After so long without a value the next caller loads. Default: 3 seconds. Longer than loading takes, mostly. */
  leaseMs?: number
  /** The cluster does not answer. "load": each caller for itself. Default: "throw". */
  whenUnavailable?: "throw" | "load"
  /** Told what `load` threw when nobody waited for it, since a stale value had been served. Default: nobody is told. */
  onRefreshError?: (error: unknown) => void
}

type Loads = Omit<LoadingOptions, "key" | "now" | "prng"> & { readonly onRefreshError: (error: unknown) => void }

type SharedLoad =
  /** `made`: what the caller that loaded has. */
  | {
      readonly kind: "value"
      readonly value: StoredValue | undefined
      readonly made: { readonly value: unknown } | undefined
    }
  | { readonly kind: "threw"; readonly error: unknown }
  | Failed

/** The deadline is that of each step. */
export type WalkOptions = CallOptions & { /** Keys that begin with it; left out: all. */ readonly prefix?: Key }

export type ListedEntry<T> = Entry<T> & {
  readonly key: string /** Infinity: does not expire. */
  readonly ttlMs: number
}

export type ConnectOptions = {
  /** Deadline of calls that state none. */
  timeoutMs?: number
  /** How long `connect` may take. Default: the same. */
  connectTimeoutMs?: number
  /** When none of the addresses can be reached: try again until the deadline, or give up after trying each once. */
  whenUnreachable?: "retry" | "fail"
  signal?: AbortSignal
  limits?: Partial<SessionLimits>
}

export type MemberStatus =
  | { readonly member: ClientMember; readonly report: StatusReport }
  /** It did not answer. */
  | { readonly member: ClientMember; readonly report: null; readonly code: FailureCode }

const defaultTimeoutMs = 5_000
const noOptions: SetOptions = {}

export class CacheClient implements AsyncDisposable {
  readonly #seeds: readonly Address[]
  readonly #timeoutMs: number
  readonly #session: Session
  readonly #sockets: Sockets
  readonly #prng: Prng
  /** By key: what callers of this process wait for together. */
  readonly #loads = new Map<string, Promise<SharedLoad>>()
  /** Why each address could not be used when it was last tried. */
  readonly #problems = new Map<Address, string>()
  #timer: { readonly timeout: NodeJS.Timeout; readonly atMs: number } | undefined
  #connecting: { readonly looked: () => void } | undefined

  /** Resolves when a member of the cluster has answered. */
  static async connect(addresses: Address | readonly Address[], options: ConnectOptions = {}): Promise<CacheClient> {
    const client = new CacheClient([addresses].flat(), options)
    try {
      await client.#connected(options)
      return client
    } catch (error) {
      await client.close()
      throw error
    }
  }

  private constructor(addresses: readonly Address[], options: ConnectOptions) {
    this.#seeds = addresses.map(dialableAddress)
    if (this.#seeds.length === 0) throw new TypeError("name at least one node to connect to")
    this.#timeoutMs = checkedTimeoutMs(options.timeoutMs ?? defaultTimeoutMs)
    const events = {
      step: (work: () => void) => this.#step(work),
      opened: (to: Address) => this.#session.connectionOpened(to),
      lost: (to: Address, reason: string) => this.#lost(to, reason),
      received: (from: Address, message: NodeToClient) => this.#received(from, message),
    }
    this.#prng = new Prng(crypto.getRandomValues(new Uint32Array(1))[0] ?? 0)
    this.#sockets = new Sockets({ events, nowMs, limits: socketLimits })
    this.#session = new Session({
      clientId: randomId(),
      seeds: this.#seeds,
      ports: this.#sockets,
      prng: this.#prng.fork(),
      now: nowMs,
      ...(options.limits === undefined ? {} : { limits: options.limits }),
    })
  }

  /** The cluster as this client knows it: its members, and the numbers of its newest view. */
  get view(): SessionView {
    const { view } = this.#session
    // A client is handed out once it has a view, and keeps it.
    if (view === undefined) throw new Error("not connected")
    return view
  }

  get members(): readonly ClientMember[] {
    return this.view.members
  }

  // -------------------------------------------------------------------------------------------- operations

  /** The value, or undefined. The type is the caller's word: nothing checks what is stored against it. */
  get<T = unknown>(key: Key, options?: CallOptions): Promise<T | undefined> {
    return this.#do(key, getOperation, options, valueOf) as Promise<T | undefined> // as the caller says
  }

  /** The value with its version, for a later `ifVersion`. */
  getEntry<T = unknown>(key: Key, options?: CallOptions): Promise<Entry<T> | undefined> {
    return this.#do(key, getOperation, options, entryOf) as Promise<Entry<T> | undefined> // as the caller says
  }

  has(key: Key, options?: CallOptions): Promise<boolean> {
    return this.#do(key, ttlOperation, options, (result, key) => ttlLeft(result, key) !== undefined)
  }

  /** What is left of the entry's life in ms, Infinity when it does not expire, undefined when there is none. */
  ttl(key: Key, options?: CallOptions): Promise<number | undefined> {
    return this.#do(key, ttlOperation, options, ttlLeft)
  }

  /** Strings and bytes are stored as they are, other values as CBOR. */
  set(key: Key, value: unknown, options: SetOptions = noOptions): Promise<SetResult> {
    try {
      const how = lifeAndCondition(options)
      const stored = toStored(value)
      if (options.tags === undefined) return this.#do(key, setOperation(stored, how), options, setResult)
      return this.#setTagged(keyBytes(key), stored, how, { ...options, tags: options.tags })
    } catch (error) {
      return Promise.reject(error) // a value that cannot be stored, or two conditions
    }
  }

  /** Whether there was an entry, which met the condition if one was stated, and is gone now. */
  async delete(key: Key, options: DeleteOptions = {}): Promise<boolean> {
    return this.#do(key, { op: "delete", condition: conditionOf(options) }, options, wasDeleted)
  }

  /** Gives the entry a new life; Infinity: it does not expire. False: there is none. */
  async touch(key: Key, ttlMs: number, options?: CallOptions): Promise<boolean> {
    const operation: Operation = { op: "touch", ttlMs: ttlOf(ttlMs), condition: null }
    return this.#do(key, operation, options, (result, key) => {
      if (result.kind !== "touched" && result.kind !== "missing") throw unexpected(result, key)
      return result.kind === "touched"
    })
  }

  /** Adds to a whole number kept as text, 0 when there is none, exactly once however often it must be sent. */
  async incr(key: Key, by = 1, options?: IncrOptions): Promise<number> {
    if (!Number.isSafeInteger(by)) throw new RangeError("incr adds whole numbers below 2^53")
    return this.#do(key, { op: "incr", by, ttlMs: ttlOf(options?.ttlMs) }, options, sumOf)
  }

  /** The same, and with the sum what is left of the time to live: what a rate limiter needs to know, in one operation. */
  async incrEntry(key: Key, by = 1, options?: IncrOptions): Promise<Counted> {
    if (!Number.isSafeInteger(by)) throw new RangeError("incr adds whole numbers below 2^53")
    return this.#do(key, { op: "incr", by, ttlMs: ttlOf(options?.ttlMs) }, options, counted)
  }

  // -------------------------------------------------------------------------------------------- many keys

  /**
   * The values of many keys in their order, undefined where there is none. The keys may be any: each node that leads some of
   * them is asked at once, in one frame. Each key is read by itself, so this is no snapshot. If some fail, throws a
   * `CacheManyError` that holds what came of each; so do the two below.
   */
  async getMany<T = unknown>(keys: readonly Key[], options?: CallOptions): Promise<(T | undefined)[]> {
    const values = await this.#many("getMany", keys, () => getOperation, options, valueOf, "reads")
    return values as (T | undefined)[] // as the caller says
  }

  /** Sets many keys, each by itself: not one transaction. A key that is named twice is set twice, in either order. */
  async setMany(entries: Iterable<readonly [Key, unknown]>, options: SetOptions = {}): Promise<SetResult[]> {
    const pairs = [...entries]
    const how = lifeAndCondition(options)
    const values = pairs.map(([, value]) => toStored(value))
    const keys = pairs.map(([key]) => key)
    const tokens = options.tags === undefined ? [] : await this.#tokensOf("setMany", tagBytes(options.tags), options)
    const operations = values.map(value => setOperation(sealed(value, tokens), how))
    // One operation for each key.
    return this.#many("setMany", keys, index => operations[index] as Operation, options, setResult)
  }

  /** For each key whether there was an entry, which is gone now. */
  async deleteMany(keys: readonly Key[], options?: CallOptions): Promise<boolean[]> {
    return this.#many("deleteMany", keys, () => deleteOperation, options, wasDeleted)
  }

  // -------------------------------------------------------------------------------------------- loading, tags

  /**
   * The value, or what `load` makes of it, by one caller at a time in the whole cluster: the others wait until it is there.
   * Who loads holds a lease on the key; if it fails, or dies, or takes longer than the lease, the next one loads. What it
   * made is then stored only if nothing has happened to the key since: a `set` or a `delete` that comes meanwhile wins.
   * `load` is called once at most; what it throws is thrown here, and to those of this process that wait for it. The type
   * of a value that is found is the caller's word, as with `get`.
   */
  async getOrSet<T>(key: Key, load: () => T | Promise<T>, options: LoadOptions = {}): Promise<T> {
    const { signal, whenUnavailable = "throw" } = options
    if (signal?.aborted) throw failure(cancelledBefore, "getOrSet", key, signal)
    const name = nameOfKey(keyBytes(key))
    const others = this.#loads.get(name)
    const shared = others ?? this.#load(name, key, load, checkedLoading(options, this.#timeoutMs))
    const loaded = await (signal === undefined ? shared : orAborted(shared, signal, key))
    switch (loaded.kind) {
      case "value":
        // Who made it has it; the others have one each.
        if (others === undefined && loaded.made !== undefined) return loaded.made.value as T // what `load` returned
        return (loaded.value === undefined ? undefined : decoded(loaded.value, key)) as T // as the caller says
      case "threw":
        throw loaded.error
      case "failed":
        if (whenUnavailable === "load") return load()
        throw failure(loaded, "getOrSet", key, signal)
      default:
        return unreachable(loaded)
    }
  }

  /**
   * Makes every entry that bears one of these tags unreadable: what was set before this call, and what is being set
   * meanwhile. Costs one operation a tag, however many entries bear it; they go when they expire or are evicted.
   */
  async invalidateTag(tag: string | readonly string[], options?: CallOptions): Promise<void> {
    const keys = tagBytes([tag].flat()).map(tagKey)
    await this.#many("invalidateTag", keys, () => deleteOperation, options, wasDeleted)
  }

  // -------------------------------------------------------------------------------------------- all keys

  /**
   * The keys of the whole cluster, in no particular order: one that is there from the first to the last step comes exactly
   * once, through whatever happens to the nodes; one that comes or goes meanwhile may. A few pages are held at a time, however
   * many keys there are. Keys that are no UTF-8, which only clients of other kinds write, come from `as: "bytes"` alone.
   */
  keys(options?: WalkOptions & { readonly as?: "text" }): AsyncGenerator<string, void>
  keys(options: WalkOptions & { readonly as: "bytes" }): AsyncGenerator<Uint8Array, void>
  async *keys(options: WalkOptions & { readonly as?: "text" | "bytes" } = {}): AsyncGenerator<Key, void> {
    for await (const page of this.#pages("keys", options, "keys"))
      for (const { key } of page) {
        const named = options.as === "bytes" ? copyOf(key) : textOfKey(key)
        if (named !== undefined) yield named
      }
  }

  /** The same with the values. The type is the caller's word. A value that is not what it is marked as ends the walk. */
  async *entries<T = unknown>(options: WalkOptions = {}): AsyncGenerator<ListedEntry<T>, void> {
    for await (const page of this.#pages("entries", options, "values"))
      for (const { name, outcome, ttlMs } of await this.#untaggedPage(page, options)) {
        if (outcome.kind === "failed") throw failure(outcome, "entries", name, options.signal)
        if (outcome.kind !== "value") continue
        const value = valueOf(outcome, name) as T // as the caller says
        yield { key: name, value, version: outcome.version, ttlMs }
      }
  }

  /** About how many entries the cluster holds, and their bytes; each counts once, however many copies it has. */
  async size(options: CallOptions = {}): Promise<{ entries: number; bytes: number }> {
    return this.#walking("size", options, asking => sizeOf(asking))
  }

  /**
   * Deletes all keys, or those that begin with `prefix`, where they are, and says how many there were. Each is deleted at one
   * moment between the call and its end, not all at the same: what is written meanwhile may stay, what was there before does
   * not. If it fails, some are gone.
   */
  async clear(options: WalkOptions = {}): Promise<number> {
    return this.#walking("clear", options, asking => clear(asking, prefixOf(options)))
  }

  /**
   * One operation as it travels, with any outcome as a value: for tools that tell outcomes apart by themselves. The
   * bytes handed in must not change before the answer; those of an answer are a window onto a larger buffer. Tags in
   * front of a value are left there, unread. Rejects for an operation that no message can carry.
   */
  async ask(key: Uint8Array, operation: Operation, options?: CallOptions): Promise<CallOutcome> {
    const request = { clientId: "0".repeat(16), n: 1, ackedBelow: 1, firstEpoch: 1, deadlineMs: 1, key, operation }
    // What is too long is an outcome, and told as one.
    if (tooLong(key, operation) === undefined) assertCarried({ kind: "request", attempt: 1, request })
    return this.#ask(key, operation, options)
  }

  /** What every member says of itself and of the cluster, each asked on its own. */
  async status(options: { timeoutMs?: number } = {}): Promise<readonly MemberStatus[]> {
    const timeoutMs = checkedTimeoutMs(options.timeoutMs ?? this.#timeoutMs)
    return Promise.all(this.members.map(member => this.#statusOf(member, timeoutMs)))
  }

  /** Ends every call, as "closed", and every connection. */
  async close(): Promise<void> {
    this.#session.close()
    clearTimeout(this.#timer?.timeout)
    this.#timer = undefined
    await this.#sockets.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  // -------------------------------------------------------------------------------------------- inside

  /** One promise and one function a call: there may be a hundred thousand a second. What `read` throws rejects. */
  #do<R>(
    key: Key,
    operation: Operation,
    options: CallOptions | undefined,
    read: (result: Result, key: Key) => R,
  ): Promise<R> {
    return new Promise((resolve, reject) => {
      const done = (outcome: CallOutcome, _index = 0, tags: "unread" | "read" = "unread") => {
        if (tags === "unread" && outcome.kind === "value" && isTagged(outcome)) {
          // The rest of the time that the call has.
          const ask = this.#askBy(call?.deadlineAtMs ?? nowMs(), options?.signal)
          follow(untagged([outcome]), asking(ask)).then(([untagged = outcome]) => done(untagged, 0, "read"), reject)
        } else if (outcome.kind === "failed") reject(failure(outcome, operation.op, key, options?.signal))
        else
          try {
            resolve(read(outcome, key))
          } catch (error) {
            reject(error) // an answer that does not fit, or bytes that are not what they are marked as
          }
      }
      const call = this.#start(keyBytes(key), operation, options, done)
    })
  }

  #askBy(deadlineAtMs: number, signal: AbortSignal | undefined): World["ask"] {
    return ({ key, operation }) => {
      const timeoutMs = Math.max(1, deadlineAtMs - nowMs())
      return this.#ask(key, operation, signal === undefined ? { timeoutMs } : { timeoutMs, signal })
    }
  }

  #deadlineOf(options: CallOptions | undefined): number {
    return nowMs() + (options?.timeoutMs === undefined ? this.#timeoutMs : checkedTimeoutMs(options.timeoutMs))
  }

  async #tokensOf(what: string, tags: readonly Uint8Array[], options: CallOptions): Promise<readonly Token[]> {
    const ask = this.#askBy(this.#deadlineOf(options), options.signal)
    const tokens = await follow(tokensOf(tags), asking(ask))
    if ("kind" in tokens) throw errorOf(tokens, `${what}: its tags`, options.signal?.reason)
    return tokens
  }

  async #setTagged(
    key: Uint8Array,
    value: StoredValue,
    how: LifeAndCondition,
    options: SetOptions & { tags: readonly string[] },
  ): Promise<SetResult> {
    const deadlineAtMs = this.#deadlineOf(options)
    const tokens = await this.#tokensOf("set", tagBytes(options.tags), options)
    const rest = { ...options, timeoutMs: Math.max(1, deadlineAtMs - nowMs()) }
    return this.#do(key, setOperation(sealed(value, tokens), how), rest, setResult)
  }

  /** Those who come while it goes on wait for it as well. Does not reject. */
  #load(name: string, key: Key, load: () => unknown, options: Loads): Promise<SharedLoad> {
    const shared = new Promise<SharedLoad>(resolve => {
      const end = (loaded: SharedLoad) => {
        this.#loads.delete(name)
        resolve(loaded)
      }
      let made: { readonly value: unknown } | undefined
      let problem: { readonly error: unknown } | undefined
      const giveUpAtMs = nowMs() + options.patienceMs
      const world: World = {
        // Once it has loaded, nobody's patience counts any more, and what was made should be kept.
        ask: question =>
          this.#askBy(made === undefined ? giveUpAtMs : nowMs() + options.patienceMs, undefined)(question),
        wait: ms => new Promise(waited => setTimeout(waited, ms)),
        load: async () => {
          try {
            made = { value: await load() }
            return { kind: "loaded", value: made.value === undefined ? undefined : toStored(made.value) }
          } catch (error) {
            problem = { error }
            return { kind: "failed" }
          }
        },
        tell: value => end({ kind: "value", value, made: undefined }),
      }
      const steps = loading({ ...options, key: keyBytes(key), now: nowMs, prng: this.#prng })
      void follow(steps, world).then(loaded => {
        switch (loaded.kind) {
          case "found":
            return end({ kind: "value", value: loaded.value, made: undefined })
          case "loaded":
            return end({ kind: "value", value: loaded.value, made })
          case "load-failed":
            return end({ kind: "threw", error: problem?.error })
          case "failed":
            return end(loaded)
          case "told":
            return problem === undefined ? undefined : options.onRefreshError(problem.error)
          default:
            return unreachable(loaded)
        }
      })
    })
    this.#loads.set(name, shared)
    return shared
  }

  async #many<R>(
    what: string,
    keys: readonly Key[],
    operationOf: (index: number) => Operation,
    options: CallOptions | undefined,
    read: (result: Result, key: Key) => R,
    how: "reads" | "operations" = "operations",
  ): Promise<R[]> {
    if (keys.length === 0) return []
    const bytes = keys.map(keyBytes)
    const deadlineAtMs = this.#deadlineOf(options)
    let outcomes: readonly CallOutcome[] = await new Promise<CallOutcome[]>(resolve => {
      const outcomes = new Array<CallOutcome>(keys.length)
      let missing = keys.length
      const done = (outcome: CallOutcome, index: number) => {
        outcomes[index] = outcome
        missing -= 1
        if (missing === 0) resolve(outcomes)
      }
      if (how === "reads" && options?.signal === undefined) {
        const timeoutMs = options?.timeoutMs === undefined ? this.#timeoutMs : checkedTimeoutMs(options.timeoutMs)
        this.#session.readMany({ keys: bytes, timeoutMs, done })
        this.#arm()
      } else bytes.forEach((key, index) => this.#start(key, operationOf(index), options, done, index))
    })
    if (outcomes.some(outcome => outcome.kind === "value" && isTagged(outcome)))
      outcomes = await follow(untagged(outcomes), asking(this.#askBy(deadlineAtMs, options?.signal)))
    const values: R[] = []
    const results = outcomes.map((outcome, index): ManyResult<R> => {
      const key = keys[index] as Key // an outcome for each key
      try {
        if (outcome.kind === "failed") throw failure(outcome, operationOf(index).op, key, options?.signal)
        const value = read(outcome, key)
        values.push(value)
        return { status: "fulfilled", value }
      } catch (error) {
        if (error instanceof CacheError) return { status: "rejected", reason: error }
        throw error
      }
    })
    if (values.length < results.length) throw new CacheManyError(what, results)
    return values
  }

  #ask(key: Uint8Array, operation: Operation, options: CallOptions | undefined): Promise<CallOutcome> {
    return new Promise(resolve => this.#start(key, operation, options, resolve))
  }

  #start(
    key: Uint8Array,
    operation: Operation,
    options: CallOptions | undefined,
    done: Done,
    index = 0,
  ): CallHandle | undefined {
    const timeoutMs = options?.timeoutMs === undefined ? this.#timeoutMs : checkedTimeoutMs(options.timeoutMs)
    const signal = options?.signal
    const call =
      signal === undefined
        ? this.#session.call({ key, operation, timeoutMs, done, index })
        : this.#startAbortable({ key, operation, timeoutMs, done, index }, signal)
    this.#arm()
    return call
  }

  #startAbortable(options: SessionCall, signal: AbortSignal): CallHandle | undefined {
    if (signal.aborted) {
      options.done(cancelledBefore, options.index ?? 0)
      return undefined
    }
    const cancel = () => this.#step(() => this.#session.cancel(handle))
    const done: Done = (outcome, index) => {
      signal.removeEventListener("abort", cancel)
      options.done(outcome, index)
    }
    signal.addEventListener("abort", cancel)
    const handle = this.#session.call({ ...options, done })
    return handle
  }

  async *#pages(what: string, options: WalkOptions, want: "keys" | "values"): AsyncGenerator<readonly PageEntry[]> {
    try {
      yield* pagesOf(this.#walkAsking(options), { prefix: prefixOf(options), want })
    } catch (error) {
      throw walkError(error, what, options)
    }
  }

  async #untaggedPage(page: readonly PageEntry[], options: CallOptions) {
    const entries = page.flatMap(({ key, details, value }) => {
      const name = textOfKey(key)
      if (name === undefined || details === null || value === null) return []
      const { flags, version, ttlMs } = details
      const outcome: CallOutcome = { kind: "value", value, flags, version }
      return [{ name, outcome, ttlMs: lifeLeftMs(ttlMs) }]
    })
    const ask = this.#askBy(this.#deadlineOf(options), options.signal)
    const outcomes = await follow(untagged(entries.map(({ outcome }) => outcome)), asking(ask))
    return entries.map((entry, i) => ({ ...entry, outcome: outcomes[i] ?? entry.outcome }))
  }

  async #walking<R>(what: string, options: CallOptions, walk: (asking: Asking) => Promise<R>): Promise<R> {
    try {
      return await walk(this.#walkAsking(options))
    } catch (error) {
      throw walkError(error, what, options)
    }
  }

  #walkAsking(options: CallOptions): Asking {
    return { view: () => this.view, ask: operation => this.#ask(noKey, operation, options) }
  }

  #statusOf(member: ClientMember, timeoutMs: number): Promise<MemberStatus> {
    return new Promise(resolve => {
      this.#session.requestStatus({
        address: this.#session.addressOf(member),
        timeoutMs,
        done: outcome => {
          if (outcome.kind === "report") resolve({ member, report: outcome.report })
          else resolve({ member, report: null, code: outcome.code })
        },
      })
      this.#arm()
    })
  }

  #connected(options: ConnectOptions): Promise<void> {
    const { signal } = options
    const timeoutMs = checkedTimeoutMs(options.connectTimeoutMs ?? this.#timeoutMs)
    return new Promise((resolve, reject) => {
      const fail = (code: FailureCode, cause?: unknown) => {
        end()
        const problems = this.#seeds.map(seed => `${seed}: ${this.#problems.get(seed) ?? "no answer"}`).join("; ")
        const detail =
          code === "cancelled" ? "connect: cancelled" : `connect: no node of a cluster could be reached (${problems})`
        reject(new CacheError({ code, outcome: "not-done", detail, cause }))
      }
      const isJoining = () => [...this.#problems.values()].includes(stillJoining)
      const timer = setTimeout(() => fail(isJoining() ? "joining" : "unreachable"), timeoutMs)
      const aborted = () => fail("cancelled", signal?.reason)
      const end = () => {
        clearTimeout(timer)
        signal?.removeEventListener("abort", aborted)
        this.#connecting = undefined
      }
      const looked = () => {
        if (this.#session.view !== undefined) {
          end()
          resolve()
        } else if (
          options.whenUnreachable === "fail" &&
          this.#seeds.every(seed => this.#problems.has(seed)) &&
          !isJoining()
        ) {
          fail("unreachable")
        }
      }
      this.#connecting = { looked }
      if (signal?.aborted) return aborted()
      signal?.addEventListener("abort", aborted)
      this.#step(() => this.#session.start())
    })
  }

  #lost(to: Address, reason: string): void {
    this.#problems.set(to, reason)
    this.#session.connectionLost(to)
  }

  #received(from: Address, message: NodeToClient): void {
    if (message.kind === "client-not-ready") this.#problems.set(from, stillJoining)
    this.#session.received(from, message)
  }

  /** Whatever happens goes through here, so that the timer is right afterwards. */
  #step(work: () => void): void {
    work()
    this.#connecting?.looked()
    this.#arm()
  }

  /** One timer, for the earliest thing that the session waits for. Alone it does not keep an idle process alive. */
  #arm(): void {
    const atMs = this.#session.nextWakeAtMs()
    if (this.#timer === undefined || atMs < this.#timer.atMs) {
      clearTimeout(this.#timer?.timeout)
      this.#timer = undefined
      if (atMs === Number.POSITIVE_INFINITY) return
      const timeout = setTimeout(() => this.#wake(), Math.max(0, Math.ceil(atMs - nowMs())))
      this.#timer = { timeout, atMs }
    }
    if (this.#session.openCalls > 0) this.#timer.timeout.ref()
    else this.#timer.timeout.unref()
  }

  #wake(): void {
    this.#timer = undefined
    this.#step(() => this.#session.tick())
  }
}

const stillJoining = "still joining its cluster"

function nowMs(): number {
  return performance.now()
}

function randomId(): string {
  const words = crypto.getRandomValues(new Uint32Array(2))
  return [...words].map(word => word.toString(16).padStart(8, "0")).join("")
}

function dialableAddress(text: string): Address {
  const parsed = parseAddress(text, { defaultPort, portZero: "refused" })
  if ("problem" in parsed) throw new TypeError(`${JSON.stringify(text)} is ${parsed.problem}`)
  return formatAddress(parsed)
}

function checkedTimeoutMs(timeoutMs: number): number {
  if (timeoutMs > 0 && timeoutMs <= maxDeadlineMs) return timeoutMs
  throw new RangeError(`a deadline is above 0 and at most ${maxDeadlineMs} ms`)
}

function ttlOf(ttlMs: number | undefined): number | null {
  if (ttlMs === undefined || ttlMs === Number.POSITIVE_INFINITY) return null
  if (ttlMs > 0 && ttlMs <= maxTtlMs) return ttlMs
  throw new RangeError(`a time to live is above 0 and at most ${maxTtlMs} ms, or Infinity`)
}

const getOperation: Operation = { op: "get" }
const ttlOperation: Operation = { op: "ttl" }
const deleteOperation: Operation = { op: "delete", condition: null }

type LifeAndCondition = { readonly ttlMs: number | null; readonly condition: Condition | null }
const foreverAndAlways: LifeAndCondition = { ttlMs: null, condition: null }

function lifeAndCondition(options: SetOptions): LifeAndCondition {
  if (options === noOptions) return foreverAndAlways
  return { ttlMs: ttlOf(options.ttlMs), condition: conditionOf(options) }
}

function setOperation({ bytes, flags }: StoredValue, { ttlMs, condition }: LifeAndCondition): Operation {
  return { op: "set", value: bytes, flags, ttlMs, condition }
}

const noKey = new Uint8Array(0)
const defaultLeaseMs = 3_000
const cancelledBefore: Failed = { kind: "failed", code: "cancelled", mayHaveHappened: "no" }

function checkedLoading(options: LoadOptions, defaultTimeoutMs: number): Loads {
  const { staleForMs = 0, leaseMs = defaultLeaseMs, tags = [], timeoutMs, onRefreshError = () => {} } = options
  const ttlMs = ttlOf(options.ttlMs)
  if (!(staleForMs >= 0 && staleForMs + (ttlMs ?? 0) <= maxTtlMs))
    throw new RangeError(`staleForMs is from 0 to what is left of the longest time to live, ${maxTtlMs} ms`)
  if (!(leaseMs > 0 && leaseMs <= maxTtlMs)) throw new RangeError(`leaseMs is above 0 and at most ${maxTtlMs} ms`)
  const patienceMs = timeoutMs === undefined ? defaultTimeoutMs : checkedTimeoutMs(timeoutMs)
  return { ttlMs, staleForMs, leaseMs, tags: tagBytes(tags), patienceMs, onRefreshError }
}

/** The promise, or that its caller no longer waits for it. */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal, key: Key): Promise<T> {
  return new Promise((resolve, reject) => {
    const aborted = () => reject(failure(cancelledBefore, "getOrSet", key, signal))
    signal.addEventListener("abort", aborted, { once: true })
    void promise.then(resolve).finally(() => signal.removeEventListener("abort", aborted))
  })
}

function prefixOf({ prefix = "" }: WalkOptions): Uint8Array {
  return keyBytes(prefix)
}

/** What a walk throws, as a client says it. */
function walkError(error: unknown, what: string, options: CallOptions): unknown {
  if (error instanceof WalkFailure)
    return errorOf(error.failed, what, error.failed.code === "cancelled" ? options.signal?.reason : undefined)
  if (error instanceof UnexpectedAnswer)
    return new CacheError({ code: "unexpected-answer", outcome: "unknown", detail: `${what}: ${error.message}` })
  return error
}

// ------------------------------------------------------------------------------------------------ checking options

function conditionOf({ ifAbsent, ifPresent, ifVersion, ifValue }: Conditions): Condition | null {
  const conditions: Condition[] = []
  if (ifAbsent === true) conditions.push({ if: "absent" })
  if (ifPresent === true) conditions.push({ if: "present" })
  if (ifVersion !== undefined) conditions.push({ if: "version", version: checkedVersion(ifVersion) })
  if (ifValue !== undefined) conditions.push({ if: "value", value: toStored(ifValue).bytes })
  if (conditions.length > 1) throw new TypeError("state one condition: absent, present, a version or a value")
  return conditions[0] ?? null
}

function checkedVersion(version: number): number {
  if (Number.isInteger(version) && version >= 0 && version < 2 ** 48) return version
  throw new RangeError("a version is a whole number, as getEntry and set answer it")
}
