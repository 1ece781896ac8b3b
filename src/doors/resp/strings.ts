/** Commands on values. Plain reads and writes are one operation of the cache; the rest read, compute and write if unchanged. */
import type { CallOutcome } from "../../client/session.ts"
import { maxValueBytes } from "../../protocol/limits.ts"
import type { Condition } from "../../protocol/message.ts"
import { int64Of, integerOf, isInt64, isTimeUnit, optionOf, positiveTtlFrom, textOf, wordAt } from "./arguments.ts"
import { after, allOf, type Soon } from "../soon.ts"
import { allKeys, type Arguments, type Command, type Context, oneKey } from "./command.ts"
import { decimalSum } from "./decimal.ts"
import { flagsOf, getOperation, type KeyState, onKey } from "./key-state.ts"
import { Gathering } from "./gathering.ts"
import { CacheRefusal, CommandError, notAFloat, refusalOf, syntaxError, tooMuchAtOnce } from "./refusals.ts"
import { array, bulk, bytesOf, integer, nil, ok, type Reply } from "./reply.ts"

export const stringCommands: readonly Command[] = [
  {
    ...{ name: "get", arity: 2, keys: oneKey, flags: ["readonly", "fast"], group: "string" },
    summary: "Returns the string value of a key.",
    run: (context, args) => get(context, wordAt(args, 0)),
    transact: { needs: "value", work: state => valueOf(state) },
  },
  {
    ...{ name: "set", arity: -3, keys: oneKey, flags: ["write", "denyoom"], group: "string" },
    summary: "Sets the string value of a key, ignoring its type. The key is created if it doesn't exist.",
    run: runSet,
    transact: { needs: "value-and-ttl", work: (state, args, wallMs) => setOnKey(state, setOf(args, wallMs)) },
  },
  {
    ...{ name: "setnx", arity: 3, keys: oneKey, flags: ["write", "denyoom", "fast"], group: "string" },
    summary: "Sets the string value of a key only when the key doesn't exist.",
    run: (context, args) => {
      const set: SetCommand = { ...plainSet(args[1]), condition: { if: "absent" } }
      return after(store(context, args[0], set), stored => integer(stored === "stored" ? 1 : 0))
    },
    transact: {
      needs: "value",
      work: (state, [, value]) => {
        if (state.bytes !== undefined) return integer(0)
        state.set(checkedSize(value), null)
        return integer(1)
      },
    },
  },
  setWithTtl("setex", "EX"),
  setWithTtl("psetex", "PX"),
  {
    ...{ name: "getset", arity: 3, keys: oneKey, flags: ["write", "denyoom", "fast"], group: "string" },
    summary: "Returns the previous string value of a key after setting it to a new value.",
    transact: {
      needs: "value",
      work: (state, [, value]) => {
        const before = valueOf(state)
        state.set(checkedSize(value), null)
        return before
      },
    },
  },
  {
    ...{ name: "getdel", arity: 2, keys: oneKey, flags: ["write", "fast"], group: "string" },
    summary: "Returns the string value of a key after deleting the key.",
    transact: {
      needs: "value",
      work: state => {
        const before = valueOf(state)
        if (state.bytes !== undefined) state.delete()
        return before
      },
    },
  },
  {
    ...{ name: "getex", arity: -2, keys: oneKey, flags: ["write", "fast"], group: "string" },
    summary: "Returns the string value of a key after setting its expiration time.",
    transact: { needs: "value", work: getex },
  },
  {
    ...{ name: "mget", arity: -2, keys: allKeys, flags: ["readonly", "fast"], group: "string" },
    summary: "Returns the string values of one or more keys. Not atomic across keys.",
    run: (context, keys) => {
      const gathered = new Gathering()
      const getEach = (key: Buffer) => after(get(context, key), reply => (gathered.takes(bytesOf(reply)) ? reply : nil))
      return after(allOf(keys.map(getEach)), replies => {
        if (gathered.isTooMuch) throw new CommandError(tooMuchAtOnce)
        return array(replies)
      })
    },
    transact: { needs: "value", workOnAll: (stateOf, keys) => array(keys.map(key => valueOf(stateOf(key)))) },
  },
  {
    ...{ name: "mset", arity: -3, keys: { first: 1, last: -1, step: 2 }, flags: ["write", "denyoom"], group: "string" },
    summary: "Sets the string values of one or more keys. Not atomic across keys.",
    run: (context, args) => {
      // All are looked at before the first is written.
      const sets = pairs(args, "mset").map(([key, value]) => ({ key, set: plainSet(value) }))
      return after(allOf(sets.map(({ key, set }) => askToStore(context, key, set))), outcomes => {
        const refusal = refusalOf(outcomes)
        if (refusal !== undefined) throw refusal
        return ok
      })
    },
    transact: {
      needs: "value",
      workOnAll: (stateOf, args) => {
        for (const [key, value] of pairs(args, "mset")) stateOf(key).set(checkedSize(value), null)
        return ok
      },
    },
  },
  {
    ...{ name: "msetnx", arity: -3, keys: { first: 1, last: -1, step: 2 }, flags: ["write", "denyoom"] },
    group: "string",
    summary: "Sets one or more keys that one node leads, in one step, if none of them exists.",
    transact: {
      needs: "value",
      workOnAll: (stateOf, args) => {
        const sets = pairs(args, "msetnx")
        if (sets.some(([key]) => stateOf(key).bytes !== undefined)) return integer(0)
        for (const [key, value] of sets) stateOf(key).set(checkedSize(value), null)
        return integer(1)
      },
    },
  },
  {
    ...{ name: "append", arity: 3, keys: oneKey, flags: ["write", "denyoom", "fast"], group: "string" },
    summary: "Appends a string to the value of a key. Creates the key if it doesn't exist.",
    transact: {
      needs: "value",
      work: (state, [, tail]) => {
        const before = state.bytes ?? Buffer.alloc(0)
        const after = checkedSize(Buffer.concat([before, tail ?? Buffer.alloc(0)]))
        if (state.bytes === undefined || after.length > before.length) state.set(after, "keep")
        return integer(after.length)
      },
    },
  },
  {
    ...{ name: "strlen", arity: 2, keys: oneKey, flags: ["readonly", "fast"], group: "string" },
    summary: "Returns the length of a string value.",
    transact: { needs: "value", work: state => integer(state.bytes?.length ?? 0) },
  },
  range("getrange"),
  range("substr"),
  {
    ...{ name: "setrange", arity: 4, keys: oneKey, flags: ["write", "denyoom"], group: "string" },
    summary: "Overwrites a part of a string value with another by an offset. Creates the key if it doesn't exist.",
    transact: { needs: "value", work: setRange },
  },
  counter("incr", 2, () => 1n),
  counter("incrby", 3, args => int64Of(wordAt(args, 1))),
  counter("decr", 2, () => -1n),
  counter("decrby", 3, args => {
    const by = -int64Of(wordAt(args, 1))
    if (!isInt64(by)) throw new CommandError("ERR decrement would overflow")
    return by
  }),
  {
    ...{ name: "incrbyfloat", arity: 3, keys: oneKey, flags: ["write", "denyoom", "fast"], group: "string" },
    summary:
      "Increments the floating point value of a key by a number. Uses 0 as initial value if the key doesn't exist.",
    transact: {
      needs: "value",
      work: (state, args) => {
        const before = state.bytes === undefined ? "0" : textOf(Buffer.from(state.bytes))
        const by = textOf(args[1])
        if (/^[+-]?inf(inity)?$/i.test(by)) throw new CommandError("ERR increment would produce NaN or Infinity")
        const sum = decimalSum(before, by)
        if (sum === undefined) throw new CommandError(notAFloat)
        const text = Buffer.from(sum)
        state.set(text, "keep")
        return bulk(text)
      },
    },
  },
]

// ---------------------------------------------------------------------------------------------------------- reading

function get(context: Context, word: Buffer): Soon<Reply> {
  return after(context.cache.ask(context.key(word), getOperation), valueReply)
}

function valueReply(found: CallOutcome): Reply {
  if (found.kind === "failed") throw new CacheRefusal(found)
  return found.kind === "value" ? { kind: "bulk", bytes: found.value } : nil
}

function valueOf({ bytes }: KeyState): Reply {
  return bytes === undefined ? nil : { kind: "bulk", bytes }
}

function range(name: "getrange" | "substr"): Command {
  return {
    ...{ name, arity: 4, keys: oneKey, flags: ["readonly"], group: "string" },
    summary: "Returns a substring of the string stored at a key.",
    transact: {
      needs: "value",
      work: ({ bytes = new Uint8Array() }, [, from, to]) => {
        const first = placeIn(bytes.length, integerOf(from))
        const last = placeIn(bytes.length, integerOf(to))
        return bulk(bytes.subarray(Math.max(0, first), Math.max(0, last + 1)))
      },
    },
  }
}

/** Negative: from the end. */
function placeIn(length: number, index: number): number {
  return index < 0 ? length + index : index
}

// ---------------------------------------------------------------------------------------------------------- writing

type SetCommand = {
  readonly value: Buffer
  readonly ttlMs: number | null | "keep"
  readonly condition: Condition | null
  readonly answers: "status" | "before"
}

function plainSet(value: Buffer | undefined): SetCommand {
  return { value: checkedSize(value), ttlMs: null, condition: null, answers: "status" }
}

/** `args`: key, value, and options in any order. */
function setOf(args: Arguments, wallMs: number): SetCommand {
  let { ttlMs, condition, answers, value }: { -readonly [K in keyof SetCommand]: SetCommand[K] } = plainSet(args[1])
  let hasTtl = false
  for (let i = 2; i < args.length; i++) {
    const option = optionOf(args[i])
    if (option === "GET") answers = "before"
    else if ((option === "NX" || option === "XX") && condition === null)
      condition = { if: option === "NX" ? "absent" : "present" }
    else if (option === "KEEPTTL" && !hasTtl) [ttlMs, hasTtl] = ["keep", true]
    else if (isTimeUnit(option) && !hasTtl)
      [ttlMs, hasTtl] = [positiveTtlFrom(wordAt(args, ++i), option, wallMs, "set"), true]
    else throw new CommandError(syntaxError)
  }
  return { value, ttlMs, condition, answers }
}

function runSet(context: Context, args: Arguments): Soon<Reply> {
  const set = args.length === 2 ? plainSet(args[1]) : setOf(args, context.wallMs)
  if (set.answers === "status") return after(store(context, args[0], set), stored => (stored === "stored" ? ok : nil))
  return onKey(context.cache, context.key(wordAt(args, 0)), "value", state => setOnKey(state, set))
}

function setOnKey(state: KeyState, set: SetCommand): Reply {
  const before = valueOf(state)
  const isMet = set.condition === null || (set.condition.if === "absent") === (state.bytes === undefined)
  if (isMet) state.set(set.value, set.ttlMs)
  if (set.answers === "before") return before
  return isMet ? ok : nil
}

/** In one operation. "unmet": the condition was not. */
function store(context: Context, word: Buffer | undefined, set: SetCommand): Soon<"stored" | "unmet"> {
  return after(askToStore(context, word, set), isStored)
}

function askToStore(context: Context, word: Buffer | undefined, set: SetCommand): Soon<CallOutcome> {
  const { value, ttlMs, condition } = set
  const key = context.key(word ?? Buffer.alloc(0))
  return context.cache.ask(key, { op: "set", value, flags: flagsOf(value), ttlMs, condition })
}

function isStored(outcome: CallOutcome): "stored" | "unmet" {
  if (outcome.kind === "failed") throw new CacheRefusal(outcome)
  return outcome.kind === "stored" ? "stored" : "unmet"
}

function setWithTtl(name: "setex" | "psetex", unit: "EX" | "PX"): Command {
  const setOf = ([, time, value]: Arguments, wallMs: number): SetCommand => ({
    ...plainSet(value),
    ttlMs: positiveTtlFrom(time, unit, wallMs, name),
  })
  return {
    ...{ name, arity: 4, keys: oneKey, flags: ["write", "denyoom"], group: "string" },
    summary: "Sets the string value and expiration time of a key. Creates the key if it doesn't exist.",
    run: (context, args) => after(store(context, args[0], setOf(args, context.wallMs)), () => ok),
    transact: { needs: "value", work: (state, args, wallMs) => setOnKey(state, setOf(args, wallMs)) },
  }
}

function getex(state: KeyState, args: Arguments, wallMs: number): Reply {
  const option = args.length > 1 ? optionOf(args[1]) : undefined
  let change: number | null | undefined
  if (option === "PERSIST" && args.length === 2) change = null
  else if (option !== undefined && isTimeUnit(option) && args.length === 3)
    change = positiveTtlFrom(args[2], option, wallMs, "getex")
  else if (option !== undefined) throw new CommandError(syntaxError)
  if (state.bytes !== undefined && change !== undefined) state.expire(change)
  return valueOf(state)
}

function setRange(state: KeyState, [, at, piece = Buffer.alloc(0)]: Arguments): Reply {
  const offset = integerOf(at)
  if (offset < 0) throw new CommandError("ERR offset is out of range")
  const before = state.bytes ?? new Uint8Array()
  if (piece.length === 0) return integer(before.length)
  const length = Math.max(before.length, offset + piece.length)
  if (length > maxValueBytes) throw tooLarge()
  const after = Buffer.alloc(length)
  after.set(before)
  after.set(piece, offset)
  state.set(after, "keep")
  return integer(length)
}

/** Most sums are exact as the cache counts; beyond 2^53 it is the value that is read, added to, and written. */
function counter(name: string, arity: 2 | 3, byOf: (args: Arguments) => bigint): Command {
  const work = (state: KeyState, args: Arguments) => {
    const sum = (state.bytes === undefined ? 0n : int64Of(state.bytes)) + byOf(args)
    if (!isInt64(sum)) throw new CommandError("ERR increment or decrement would overflow")
    state.set(Buffer.from(String(sum)), "keep")
    return integer(sum)
  }
  return {
    ...{ name, arity, keys: oneKey, flags: ["write", "denyoom", "fast"], group: "string" },
    summary: "Adds to the integer value of a key. Uses 0 as initial value if the key doesn't exist.",
    run: (context, args) => {
      const key = context.key(wordAt(args, 0))
      const by = Number(byOf(args))
      if (!Number.isSafeInteger(by)) return onKey(context.cache, key, "value", state => work(state, args))
      return after(context.cache.ask(key, { op: "incr", by, ttlMs: null }), counted => {
        if (counted.kind === "failed") throw new CacheRefusal(counted)
        if (counted.kind === "counted") return integer(counted.value)
        return onKey(context.cache, key, "value", state => work(state, args))
      })
    },
    transact: { needs: "value", work },
  }
}

function pairs(args: Arguments, command: string): (readonly [Buffer, Buffer])[] {
  if (args.length % 2 !== 0) throw new CommandError(`ERR wrong number of arguments for '${command}' command`)
  const pairs: (readonly [Buffer, Buffer])[] = []
  for (let i = 0; i < args.length; i += 2) pairs.push([wordAt(args, i), wordAt(args, i + 1)])
  return pairs
}

function checkedSize(value: Buffer = Buffer.alloc(0)): Buffer {
  if (value.length > maxValueBytes) throw tooLarge()
  return value
}

function tooLarge(): CommandError {
  return new CommandError(`ERR string exceeds maximum allowed size (${maxValueBytes} bytes)`)
}
