/** Commands on keys, whatever their values: existence, expiry, names. */
import type { CallOutcome } from "../../client/session.ts"
import type { Operation, Result } from "../../protocol/message.ts"
import { after, allOf, type Soon } from "../soon.ts"
import { int64Of, integerOf, optionOf, type TimeUnit, ttlFrom, wordAt } from "./arguments.ts"
import { allKeys, type Arguments, type Command, type Context, oneKey, type OnKeys, type Run } from "./command.ts"
import { type Held, readKey, ttlOperation } from "./key-state.ts"
import { CacheRefusal, CommandError, noSuchKey, refusalOf, syntaxError } from "./refusals.ts"
import { family } from "./subcommands.ts"
import { inOneStep } from "./transaction.ts"
import { bulk, error, integer, nil, ok, type Reply } from "./reply.ts"

const copying: OnKeys = {
  needs: "value-and-ttl",
  workOnAll: (stateOf, args) => {
    const { how, database } = copyOptionsOf(args)
    if (database !== undefined) throw new CommandError("ERR COPY with DB cannot be part of a transaction here")
    const [from, to] = [stateOf(wordAt(args, 0)), stateOf(wordAt(args, 1))]
    if (from === to) throw new CommandError("ERR source and destination objects are the same")
    if (from.bytes === undefined || (to.bytes !== undefined && how === "if-absent")) return integer(0)
    to.set(from.bytes, from.ttlMs, from.flags)
    return integer(1)
  },
}

export const keyCommands: readonly Command[] = [
  counting("del", ["write"], "Deletes one or more keys. Not atomic across keys.", { op: "delete", condition: null }),
  counting("unlink", ["write", "fast"], "Deletes one or more keys. Not atomic across keys.", {
    op: "delete",
    condition: null,
  }),
  counting("exists", ["readonly", "fast"], "Determines whether one or more keys exist.", ttlOperation),
  counting("touch", ["readonly", "fast"], "Returns the number of existing keys out of those specified.", ttlOperation),
  {
    ...{ name: "type", arity: 2, keys: oneKey, flags: ["readonly", "fast"], group: "generic" },
    summary: "Determines the type of value stored at a key: string, or none.",
    run: (context, args) =>
      after(ask(context, args[0], ttlOperation), found => (found.kind === "ttl" ? typeString : typeNone)),
    transact: {
      needs: "value",
      work: state => (state.bytes === undefined ? typeNone : typeString),
    },
  },
  expiring("expire", "EX"),
  expiring("pexpire", "PX"),
  expiring("expireat", "EXAT"),
  expiring("pexpireat", "PXAT"),
  remaining("ttl", "Returns the expiration time in seconds of a key.", ttlMs => Math.round(ttlMs / 1_000)),
  remaining("pttl", "Returns the expiration time in milliseconds of a key.", ttlMs => Math.round(ttlMs)),
  remaining("expiretime", "Returns the expiration time of a key as a Unix timestamp.", (ttlMs, wallMs) =>
    Math.round((wallMs + ttlMs) / 1_000),
  ),
  remaining("pexpiretime", "Returns the expiration time of a key as a Unix milliseconds timestamp.", (ttlMs, wallMs) =>
    Math.round(wallMs + ttlMs),
  ),
  {
    ...{ name: "persist", arity: 2, keys: oneKey, flags: ["write", "fast"], group: "generic" },
    summary: "Removes the expiration time of a key.",
    transact: {
      needs: "value-and-ttl",
      work: state => {
        if (state.bytes === undefined || state.ttlMs === null) return integer(0)
        state.expire(null)
        return integer(1)
      },
    },
  },
  {
    ...{ name: "rename", arity: 3, keys: { first: 1, last: 2, step: 1 }, flags: ["write"], group: "generic" },
    summary: "Renames a key and overwrites the destination. In one step if both lie in one shard.",
    ...renaming("overwrite", () => ok),
  },
  {
    ...{ name: "renamenx", arity: 3, keys: { first: 1, last: 2, step: 1 }, flags: ["write", "fast"] },
    group: "generic",
    summary: "Renames a key only when the target key name doesn't exist. In one step if both lie in one shard.",
    ...renaming("if-absent", done => integer(done ? 1 : 0)),
  },
  {
    ...{ name: "copy", arity: -3, keys: { first: 1, last: 2, step: 1 }, flags: ["write", "denyoom"], group: "generic" },
    summary: "Copies the value of a key to a new key. In one step if both lie in one shard.",
    run: copy,
    transact: copying,
  },
  {
    ...{ name: "object", arity: -2, keys: { first: 2, last: 2, step: 1 }, flags: ["readonly"], group: "generic" },
    ...{ summary: "Tells how a value is kept.", since: "2.2.3" },
    ...family("object", {
      encoding: {
        ...{ arity: 3, summary: "Returns the encoding that Redis would choose for the value." },
        run: (context, args) =>
          after(heldAt(context, args), held => (held === undefined ? nil : encodingOf(held.bytes))),
      },
      freq: {
        ...{ arity: 3, summary: "Refused: how often an entry is used is not told." },
        run: (context, args) => after(heldAt(context, args), held => (held === undefined ? nil : error(noFrequency))),
      },
      idletime: {
        ...{ arity: 3, summary: "Refused: when an entry was used last is not told." },
        run: (context, args) => after(heldAt(context, args), held => (held === undefined ? nil : error(noIdleTime))),
      },
      refcount: {
        ...{ arity: 3, summary: "Returns 1: nothing is shared." },
        run: (context, args) => after(heldAt(context, args), held => (held === undefined ? nil : integer(1))),
      },
    }),
  },
]

function ask(context: Context, word: Buffer | undefined, operation: Operation): Soon<Result> {
  return after(context.cache.ask(context.key(word ?? nothing), operation), answered)
}

const nothing = Buffer.alloc(0)

function answered(outcome: CallOutcome): Result {
  if (outcome.kind === "failed") throw new CacheRefusal(outcome)
  return outcome
}

const typeString: Reply = { kind: "status", text: "string" }
const typeNone: Reply = { kind: "status", text: "none" }

/** Asks each key on its own and counts those that were there. */
function counting(name: string, flags: readonly string[], summary: string, operation: Operation): Command {
  return {
    ...{ name, arity: -2, keys: allKeys, flags, group: "generic", summary },
    run: (context, keys) =>
      after(allOf(keys.map(key => context.cache.ask(context.key(key), operation))), outcomes => {
        const refusal = refusalOf(outcomes)
        if (refusal !== undefined) throw refusal
        return integer(outcomes.filter(({ kind }) => kind !== "missing").length)
      }),
    transact: {
      needs: "value",
      workOnAll: (stateOf, keys) => {
        let count = 0
        for (const state of keys.map(stateOf)) {
          if (state.bytes === undefined) continue
          count += 1
          if (operation.op === "delete") state.delete()
        }
        return integer(count)
      },
    },
  }
}

// ----------------------------------------------------------------------------------------------------------- expiry

function expiring(name: string, unit: TimeUnit): Command {
  return {
    ...{ name, arity: -3, keys: oneKey, flags: ["write", "fast"], group: "generic" },
    summary: "Sets the expiration time of a key.",
    transact: {
      needs: "value-and-ttl",
      work: (state, args, wallMs) => {
        const ttlMs = ttlFrom(args[1], unit, wallMs, name)
        const conditions = conditionsOf(args)
        if (state.bytes === undefined || !conditions.every(isMet => isMet(state.ttlMs, ttlMs))) return integer(0)
        if (ttlMs > 0) state.expire(ttlMs)
        else state.delete()
        return integer(1)
      },
    },
  }
}

/** Whether the expiry that there is, null for none, lets it be changed to this one. */
type ExpiryCondition = (before: number | null, after: number) => boolean

const expiryConditions: Readonly<Record<string, ExpiryCondition>> = {
  NX: before => before === null,
  XX: before => before !== null,
  // Without an expiry a key lives for ever.
  GT: (before, after) => before !== null && after > before,
  LT: (before, after) => before === null || after < before,
}

function conditionsOf(args: Arguments): ExpiryCondition[] {
  const options = args.slice(2).map(optionOf)
  const conditions = options.map((option, i) => {
    const condition = Object.hasOwn(expiryConditions, option) ? expiryConditions[option] : undefined
    if (condition === undefined) throw new CommandError(`ERR Unsupported option ${args[i + 2]?.toString("latin1")}`)
    return condition
  })
  if (options.includes("NX") && options.length > 1)
    throw new CommandError("ERR NX and XX, GT or LT options at the same time are not compatible")
  if (options.includes("GT") && options.includes("LT"))
    throw new CommandError("ERR GT and LT options at the same time are not compatible")
  return conditions
}

function remaining(name: string, summary: string, told: (ttlMs: number, wallMs: number) => number): Command {
  const reply = (isThere: boolean, ttlMs: number | null, wallMs: number): Reply => {
    if (!isThere) return integer(-2)
    return integer(ttlMs === null ? -1 : told(ttlMs, wallMs))
  }
  return {
    ...{ name, arity: 2, keys: oneKey, flags: ["readonly", "fast"], group: "generic", summary },
    run: (context, args) =>
      after(ask(context, args[0], ttlOperation), found =>
        reply(found.kind === "ttl", found.kind === "ttl" ? found.ttlMs : null, context.wallMs),
      ),
    transact: {
      needs: "value-and-ttl",
      work: (state, _args, wallMs) => reply(state.bytes !== undefined, state.ttlMs, wallMs),
    },
  }
}

// ------------------------------------------------------------------------------------------------------------ names

type Overwriting = "overwrite" | "if-absent"

/** In one step where that can be; elsewhere the value is seen under both names for a moment. */
function renaming(how: Overwriting, replyTo: (done: boolean) => Reply) {
  const transact: OnKeys = {
    needs: "value-and-ttl",
    workOnAll: (stateOf, args) => {
      const [from, to] = [stateOf(wordAt(args, 0)), stateOf(wordAt(args, 1))]
      if (from.bytes === undefined) throw new CommandError(noSuchKey)
      if (from === to) return replyTo(how === "overwrite")
      if (to.bytes !== undefined && how === "if-absent") return replyTo(false)
      to.set(from.bytes, from.ttlMs, from.flags)
      from.delete()
      return replyTo(true)
    },
  }
  const run: Run = (context, args) =>
    shareShard(context, args)
      ? inOneStep(transact, args, args, context)
      : after(renameApart(context, args, how), replyTo)
  return { run, transact }
}

function shareShard(context: Context, args: Arguments): boolean {
  return context.cache.shareShard(context.key(wordAt(args, 0)), context.key(wordAt(args, 1)))
}

/** The value appears under its new name before it goes from the old one: whoever looks in between sees both. */
async function renameApart(context: Context, args: Arguments, how: Overwriting): Promise<boolean> {
  const [from, to] = [context.key(wordAt(args, 0)), context.key(wordAt(args, 1))]
  const held = await readKey(context.cache, from, "value-and-ttl")
  if (held === undefined) throw new CommandError(noSuchKey)
  if (!(await put(context, to, held, how))) return false
  // Written to meanwhile: the newer value stays under the old name.
  const condition = { if: "version", version: held.version } as const
  const deleted = await context.cache.ask(from, { op: "delete", condition })
  // The value lies under its new name by now: whatever became of the old one, this was not without effect.
  if (deleted.kind === "failed") throw new CacheRefusal({ ...deleted, mayHaveHappened: "unknown" })
  return true
}

/** `database` undefined: not stated. */
function copyOptionsOf(args: Arguments): { readonly how: Overwriting; readonly database: number | undefined } {
  let database: number | undefined
  let how: Overwriting = "if-absent"
  for (let i = 2; i < args.length; i++) {
    const option = optionOf(args[i])
    if (option === "REPLACE") how = "overwrite"
    else if (option === "DB") database = databaseOf(wordAt(args, ++i))
    else throw new CommandError(syntaxError)
  }
  return { how, database }
}

function copy(context: Context, args: Arguments): Soon<Reply> {
  const { how, database = context.client.database } = copyOptionsOf(args)
  const isHere = database === context.client.database
  if (isHere && shareShard(context, args)) return inOneStep(copying, args.slice(0, 2), args, context)
  return copyApart(context, args, how, database)
}

async function copyApart(context: Context, args: Arguments, how: Overwriting, database: number): Promise<Reply> {
  const [from, to] = [context.key(wordAt(args, 0)), keyOfDatabase(database, wordAt(args, 1))]
  const held = await readKey(context.cache, from, "value-and-ttl")
  if (held === undefined) return integer(0)
  return integer((await put(context, to, held, how)) ? 1 : 0)
}

async function put(
  { cache }: Context,
  key: Uint8Array,
  { bytes, flags, ttlMs }: { bytes: Uint8Array; flags: number; ttlMs: number | null },
  how: Overwriting,
): Promise<boolean> {
  const condition = how === "overwrite" ? null : ({ if: "absent" } as const)
  const stored = await cache.ask(key, { op: "set", value: bytes, flags, ttlMs, condition })
  if (stored.kind === "failed") throw new CacheRefusal(stored)
  return stored.kind === "stored"
}

const noFrequency =
  "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."
const noIdleTime = "ERR when an entry was used last is not known here"

function heldAt(context: Context, args: Arguments): Soon<Held | undefined> {
  return readKey(context.cache, context.key(wordAt(args, 0)), "value")
}

function encodingOf(bytes: Uint8Array): Reply {
  try {
    int64Of(bytes)
    return bulk("int")
  } catch {
    // No number: a text. Its length alone decides.
    return bulk(bytes.length <= longestEmbedded ? "embstr" : "raw")
  }
}

const longestEmbedded = 44

// -------------------------------------------------------------------------------------------------------- databases

export const databaseCount = 16

export function databaseOf(word: Buffer): number {
  const index = integerOf(word)
  if (index < 0 || index >= databaseCount) throw new CommandError("ERR DB index is out of range")
  return index
}

/**
 * Database 0 is the cache itself, shared with every other kind of client. The others lie beside it, under a prefix that
 * no printable key begins with.
 */
export function keyOfDatabase(database: number, word: Buffer): Buffer {
  return database === 0 ? word : Buffer.concat([databasePrefix(database), word])
}

export function databasePrefix(database: number): Buffer {
  return database === 0 ? nothing : Buffer.from([0, database, 0])
}
