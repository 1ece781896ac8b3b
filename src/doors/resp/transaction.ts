/**
 * Commands that are carried out in one step: all of them on one key, whose entry is read, changed by each in turn, and
 * written if it is still what was read. Keys of different shards have no common moment here, so a transaction over several
 * is refused in words, before anything is done.
 */
import type { Soon } from "../soon.ts"
import { wordAt } from "./arguments.ts"
import { type Arguments, type Command, type Context, noKeys, type OnKey } from "./command.ts"
import { KeyState, onKey, readKey } from "./key-state.ts"
import { CommandError } from "./refusals.ts"
import { array, error, ok, type Reply } from "./reply.ts"

/** Commands of one transaction; more are refused. */
const maxQueued = 10_000

type Queued = { readonly row: Command; readonly args: Arguments; readonly key: Uint8Array | undefined }

export class Transaction {
  readonly #queue: Queued[] = []
  #isSpoiled = false

  get length(): number {
    return this.#queue.length
  }

  /** Takes a command into the queue, or says why it cannot be part of a transaction. */
  add(row: Command, args: Arguments, context: Context): Reply {
    if (this.#queue.length >= maxQueued) return this.#refuse(`ERR a transaction has at most ${maxQueued} commands`)
    if (row.keys.first === 0) {
      this.#queue.push({ row, args, key: undefined })
      return { kind: "status", text: "QUEUED" }
    }
    if (row.transact === undefined)
      return this.#refuse(`ERR '${row.name}' cannot be part of a transaction here: it is not one step on one key`)
    const key = context.key(wordAt(args, 0))
    if (args.length > 1 && row.keys.last !== 1 && row.keys.first === 1) return this.#refuse(severalKeys)
    const [other] = this.#queue.flatMap(queued => (queued.key === undefined ? [] : [queued.key]))
    if (other !== undefined && Buffer.compare(other, key) !== 0) return this.#refuse(severalKeys)
    this.#queue.push({ row, args, key })
    return { kind: "status", text: "QUEUED" }
  }

  addUnwatch(): Reply {
    this.#queue.push({ row: unwatch, args: [], key: undefined })
    return { kind: "status", text: "QUEUED" }
  }

  /** A command was refused while it was queued: EXEC will refuse all. */
  spoil(): void {
    this.#isSpoiled = true
  }

  /** `watched`: keys, one character a byte, and the version that each had; 0: none. Throws `CacheRefusal`. */
  async execute(context: Context, watched: ReadonlyMap<string, number>): Promise<Reply> {
    if (this.#isSpoiled) return error("EXECABORT Transaction discarded because of previous errors.")
    const key = this.#queue.find(queued => queued.key !== undefined)?.key
    const name = key && nameOf(key)
    if ([...watched.keys()].some(other => other !== name) && name !== undefined) return error(severalWatched)
    if (key === undefined) return this.#withoutKeys(context, watched)
    return onKey(context.cache, key, "value-and-ttl", state => {
      const seen = watched.get(nameOf(key))
      if (seen !== undefined && seen !== (state.before?.version ?? 0)) return { kind: "nil-array" }
      return array(this.#queue.map(queued => this.#step(queued, state, context)))
    })
  }

  async #withoutKeys(context: Context, watched: ReadonlyMap<string, number>): Promise<Reply> {
    for (const [name, version] of watched) {
      const held = await readKey(context.cache, Buffer.from(name, "latin1"), "value")
      if ((held?.version ?? 0) !== version) return { kind: "nil-array" }
    }
    const replies: Reply[] = []
    for (const { row, args } of this.#queue) replies.push((await row.run?.(context, args)) ?? ok)
    return array(replies)
  }

  /** A command that fails leaves the others their effect, as in Redis. */
  #step({ row, args }: Queued, state: KeyState, context: Context): Reply {
    try {
      if (row.transact !== undefined) return row.transact.work(state, args, context.wallMs)
      const reply = row.run?.(context, args) ?? ok
      return reply instanceof Promise ? error(`ERR '${row.name}' cannot be part of this transaction`) : reply
    } catch (problem) {
      if (problem instanceof CommandError) return error(problem.message)
      throw problem
    }
  }

  #refuse(text: string): Reply {
    this.spoil()
    return error(text)
  }

  /** A command of its own, in one step. */
  static single(command: OnKey, args: Arguments, context: Context): Soon<Reply> {
    const key = context.key(wordAt(args, 0))
    return onKey(context.cache, key, command.needs, state => command.work(state, args, context.wallMs))
  }

  /** Notes what version each key has now. */
  static async watch(keys: Arguments, context: Context, watched: Map<string, number>): Promise<Reply> {
    for (const word of keys) {
      const key = context.key(word)
      const held = await readKey(context.cache, key, "value")
      if (!watched.has(nameOf(key))) watched.set(nameOf(key), held?.version ?? 0)
    }
    return ok
  }
}

/** Within a transaction nothing is watched any more: its execution has looked. */
const unwatch: Command = {
  ...{ name: "unwatch", arity: 1, keys: noKeys, flags: [], group: "transactions", summary: "" },
  run: () => ok,
}

const severalKeys = "ERR a transaction holds commands on one key here: keys of different shards have no common moment"
const severalWatched = "ERR only the key of the transaction can be watched here: others may change in between"

function nameOf(key: Uint8Array): string {
  return Buffer.from(key).toString("latin1")
}
