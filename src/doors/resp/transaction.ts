/**
 * Commands that are carried out in one step: their keys are read, changed by each command in turn, and written if they all still are
 * what was read. One node leads them all, at whose turn it happens; others are refused in words, before anything is done.
 */
import { assert } from "../../base/assert.ts"
import { maxGroupKeys } from "../../protocol/limits.ts"
import { after, type Soon } from "../soon.ts"
import { wordAt } from "./arguments.ts"
import { type Arguments, type Command, type Context, keyWordsOf, noKeys, type OnKey, type OnKeys } from "./command.ts"
import { type KeyState, nameOf, onKey, onKeys, versionOf } from "./key-state.ts"
import { Gathering } from "./gathering.ts"
import { CommandError, keysApart, tooMuchAtOnce } from "./refusals.ts"
import { array, bytesOf, error, ok, type Reply } from "./reply.ts"

/** Commands of one transaction; more are refused. */
const maxQueued = 10_000
/** What a word costs beside its bytes, about: empty ones would be without bound otherwise. */
const wordBytes = 128

type Queued = { readonly row: Command; readonly args: Arguments }

export class Transaction {
  readonly #queue: Queued[] = []
  /** All that its commands name. */
  readonly #keys = new Map<string, Uint8Array>()
  #queuedBytes = 0
  #isSpoiled = false
  readonly #watched: ReadonlyMap<string, number>
  readonly #maxBytes: () => number

  /**
   * `watched`: keys by name, and the version that each had when that was asked for; 0: none. `maxBytes`: of what is queued, as
   * long as there is not less room.
   */
  constructor(watched: ReadonlyMap<string, number>, maxBytes: () => number) {
    this.#watched = watched
    this.#maxBytes = maxBytes
  }

  get length(): number {
    return this.#queue.length
  }

  get queuedBytes(): number {
    return this.#queuedBytes
  }

  /** Takes a command into the queue, or says why it cannot be part of a transaction. */
  add(row: Command, received: Arguments, context: Context): Reply {
    // It will never be executed.
    if (this.#isSpoiled) return queued
    // What was received lies within something larger, which would be kept as long.
    const args = received.map(arg => Buffer.from(arg))
    const bytes = args.reduce((sum, arg) => sum + arg.length + wordBytes, wordBytes)
    const problem = this.#problemOf(row, args, context, bytes)
    if (problem !== undefined) {
      this.spoil()
      return error(problem)
    }
    this.#queue.push({ row, args })
    this.#queuedBytes += bytes
    return queued
  }

  #problemOf(row: Command, args: Arguments, context: Context, bytes: number): string | undefined {
    if (this.#queue.length >= maxQueued) return `ERR a transaction has at most ${maxQueued} commands`
    const maxBytes = this.#maxBytes()
    if (this.#queuedBytes + bytes > maxBytes) return `ERR a transaction has at most ${maxBytes} bytes of commands`
    if (row.isWhole) return `ERR '${row.name}' concerns all keys, and cannot be part of a transaction here`
    if (row.name === "select") return "ERR SELECT inside MULTI is not allowed here: a transaction is of one database"
    if (row.keys.first === 0) return undefined
    if (row.transact === undefined) return `ERR '${row.name}' cannot be part of a transaction here`
    const keys = keyWordsOf(row, args).map(word => context.key(word))
    const [one = keys[0]] = this.#watched.size > 0 ? [firstOf(this.#watched)] : this.#keys.values()
    if (one !== undefined && !keys.every(key => context.cache.sharePrimary(one, key))) return keysApart
    for (const key of keys) this.#keys.set(nameOf(key), key)
    return this.#keys.size > maxGroupKeys ? `ERR a transaction has at most ${maxGroupKeys} keys` : undefined
  }

  addUnwatch(context: Context): Reply {
    return this.add(unwatch, [], context)
  }

  /** A command was refused while it was queued: EXEC will refuse all, so that nothing is kept of them. */
  spoil(): void {
    this.#isSpoiled = true
    this.#queue.length = 0
    this.#queuedBytes = 0
    this.#keys.clear()
  }

  /** Throws `CacheRefusal`. */
  async execute(context: Context): Promise<Reply> {
    if (this.#isSpoiled) return error("EXECABORT Transaction discarded because of previous errors.")
    const needsTtl = this.#queue.some(({ row }) => row.transact?.needs === "value-and-ttl")
    const asked = { keys: this.#keys, needs: needsTtl ? "value-and-ttl" : "value", watched: this.#watched } as const
    const keyOf = context.naming()
    const onAll = await onKeys(context.cache, asked, stateOf => {
      const gathered = new Gathering()
      const replies = this.#queue.map(({ row: { transact }, args }) => {
        if (transact === undefined) return undefined
        const reply = refusable(() => worked(transact, word => stateOf(keyOf(word)), args, context.wallMs))
        // Nothing is written yet.
        if (!gathered.takes(bytesOf(reply))) throw new CommandError(tooMuchAtOnce)
        return reply
      })
      return { replies, gathered }
    })
    if (onAll === "changed") return { kind: "nil-array" }
    const { replies, gathered } = onAll
    // What touches no key, as a message to a channel, is carried out when the rest is done, since the rest may be repeated.
    const all = this.#queue.map(({ row, args }, i): Soon<Reply> => {
      const done = replies[i]
      if (done !== undefined) return done
      const reply = refusable(() => row.run?.(context, args) ?? ok)
      return after(reply, reply => (gathered.takes(bytesOf(reply)) ? reply : error(tooMuchAtOnce)))
    })
    return array(await Promise.all(all))
  }

  /** Notes what version each key has now. Those that could not be part of one transaction are refused before any is noted. */
  static async watch(words: Arguments, context: Context, watched: Map<string, number>): Promise<Reply> {
    const keys = words.map(word => context.key(word))
    const names = new Set([...watched.keys(), ...keys.map(nameOf)])
    if (names.size > maxGroupKeys) return error(`ERR at most ${maxGroupKeys} keys can be watched`)
    const one = watched.size > 0 ? firstOf(watched) : keys[0]
    if (one !== undefined && !keys.every(key => context.cache.sharePrimary(one, key))) return error(keysApart)
    for (const key of keys) {
      const version = await versionOf(context.cache, key)
      if (!watched.has(nameOf(key))) watched.set(nameOf(key), version)
    }
    return ok
  }
}

/** A command that fails leaves the others their effect, as in Redis. */
function refusable(run: () => Reply): Reply
function refusable(run: () => Soon<Reply>): Soon<Reply>
function refusable(run: () => Soon<Reply>): Soon<Reply> {
  try {
    const reply = run()
    return reply instanceof Promise ? reply.catch(refused) : reply
  } catch (problem) {
    return refused(problem)
  }
}

function refused(problem: unknown): Reply {
  if (problem instanceof CommandError) return error(problem.message)
  throw problem
}

/** A command of its own, in one step. `words`: its keys. */
export function inOneStep(
  transact: OnKey | OnKeys,
  words: readonly Buffer[],
  args: Arguments,
  context: Context,
): Soon<Reply> {
  const { cache, wallMs } = context
  const keyOf = context.naming()
  if ("work" in transact) {
    return onKey(cache, keyOf(wordAt(args, 0)), transact.needs, state => transact.work(state, args, wallMs))
  }
  const keys = new Map(words.map(keyOf).map(key => [nameOf(key), key]))
  const [one] = keys.values()
  for (const key of keys.values())
    if (one !== undefined && !cache.sharePrimary(one, key)) throw new CommandError(keysApart)
  const asked = { keys, needs: transact.needs, watched: nothingWatched }
  const work = (stateOf: (key: Uint8Array) => KeyState) =>
    transact.workOnAll(word => stateOf(keyOf(word)), args, wallMs)
  return after(onKeys(cache, asked, work), reply => {
    assert(reply !== "changed", "nothing was watched")
    return reply
  })
}

function worked(transact: OnKey | OnKeys, stateOf: (word: Buffer) => KeyState, args: Arguments, wallMs: number): Reply {
  if ("work" in transact) return transact.work(stateOf(wordAt(args, 0)), args, wallMs)
  return transact.workOnAll(stateOf, args, wallMs)
}

function firstOf(watched: ReadonlyMap<string, number>): Uint8Array | undefined {
  const [name] = watched.keys()
  return name === undefined ? undefined : Buffer.from(name, "latin1")
}

const nothingWatched: ReadonlyMap<string, number> = new Map()
const queued: Reply = { kind: "status", text: "QUEUED" }

/** Within a transaction nothing is watched any more: its execution has looked. */
const unwatch: Command = {
  ...{ name: "unwatch", arity: 1, keys: noKeys, flags: [], group: "transactions", summary: "" },
  run: () => ok,
}
