/**
 * What may follow the name of a command, as `COMMAND DOCS` tells it, which is what redis-cli completes by. One line a command:
 *
 *     key seconds             two words; what they are is told by their names, or stated: increment<double>
 *     GET                     this very word
 *     COUNT count             this very word, and one after it
 *     condition:NX|XX         one of these
 *     pair:(key value)        these together
 *     [...]  ...              may be missing; may be repeated
 */
import { assert } from "../../base/assert.ts"
import { array, bulk, bulkMap, integer, type Reply } from "./reply.ts"

const ttl = "EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds"
const ifTime = "[condition:NX|XX|GT|LT]"
const flush = "[async:ASYNC|SYNC]"

/** By names, those of subcommands with that of their family. What is not here takes no words. */
const lines: Readonly<Record<string, string>> = {
  append: "key value",
  auth: "[username] password",
  "client|list": "[TYPE client-type:NORMAL|MASTER|REPLICA|PUBSUB] [ID id:(client-id...)]",
  "client|no-evict": "enabled:ON|OFF",
  "client|no-touch": "enabled:ON|OFF",
  "client|setinfo": "attr:LIB-NAME libname|LIB-VER libver",
  "client|setname": "connection-name",
  "command|docs": "[command-name...]",
  "command|getkeys": "command [arg...]",
  "command|info": "[command-name...]",
  "config|get": "parameter:(parameter)...",
  "config|set": "parameter_value:(parameter value)...",
  copy: "source destination [DB destination-db] [REPLACE]",
  decr: "key",
  decrby: "key decrement",
  del: "key...",
  echo: "message",
  exists: "key...",
  expire: `key seconds ${ifTime}`,
  expireat: `key unix-time-seconds ${ifTime}`,
  expiretime: "key",
  flushall: flush,
  flushdb: flush,
  get: "key",
  getdel: "key",
  getex: `key [expiration:${ttl}|PERSIST]`,
  getrange: "key start end",
  getset: "key value",
  hello: "[arguments:(protover [AUTH username_password:(username password)] [SETNAME clientname])]",
  incr: "key",
  incrby: "key increment",
  incrbyfloat: "key increment<double>",
  info: "[section...]",
  keys: "pattern",
  mget: "key...",
  mset: "key_value:(key value)...",
  msetnx: "key_value:(key value)...",
  "object|encoding": "key",
  "object|freq": "key",
  "object|idletime": "key",
  "object|refcount": "key",
  persist: "key",
  pexpire: `key milliseconds ${ifTime}`,
  pexpireat: `key unix-time-milliseconds ${ifTime}`,
  pexpiretime: "key",
  ping: "[message]",
  psetex: "key milliseconds value",
  psubscribe: "pattern:(pattern)...",
  pttl: "key",
  publish: "channel message",
  "pubsub|channels": "[pattern]",
  "pubsub|numsub": "[channel...]",
  punsubscribe: "[pattern...]",
  rename: "key newkey",
  renamenx: "key newkey",
  scan: "cursor [MATCH pattern] [COUNT count] [TYPE type]",
  select: "index",
  set: `key value [condition:NX|XX] [GET] [expiration:${ttl}|KEEPTTL]`,
  setex: "key seconds value",
  setnx: "key value",
  setrange: "key offset value",
  strlen: "key",
  subscribe: "channel...",
  substr: "key start end",
  touch: "key...",
  ttl: "key",
  type: "key",
  unlink: "key...",
  unsubscribe: "[channel...]",
  watch: "key...",
}

type ArgumentType =
  | ("key" | "string" | "integer" | "double" | "pattern" | "unix-time" | "pure-token")
  /** One of the arguments, or all of them together. */
  | ("oneof" | "block")

export type Argument = {
  readonly name: string
  readonly type: ArgumentType
  /** The very word that it is, or that stands before it. */
  readonly token?: string
  readonly flags: readonly ("optional" | "multiple")[]
  readonly arguments?: readonly Argument[]
}

const integers = [
  "seconds",
  "milliseconds",
  "start",
  "end",
  "offset",
  "increment",
  "decrement",
  "cursor",
  "count",
].concat(["index", "destination-db", "protover", "client-id"])
const keys = ["key", "newkey", "source", "destination"]
/** The second of two keys that do not mean the same. */
const secondKeys = ["newkey", "destination"]

function typeOf(name: string): ArgumentType {
  if (keys.includes(name)) return "key"
  if (integers.includes(name)) return "integer"
  if (name === "pattern") return "pattern"
  return name.startsWith("unix-time") ? "unix-time" : "string"
}

/** What may follow this command; `name` of a subcommand with that of its family: `client|list`. */
export function argumentsOf(name: string): readonly Argument[] {
  return new Line(lines[name] ?? "").arguments()
}

/** Names that are told of here: for a test. */
export const namesWithSyntax: readonly string[] = Object.keys(lines)

/** As `COMMAND DOCS` has it; undefined: no words follow. */
export function argumentsReply(name: string): Reply | undefined {
  const found = argumentsOf(name)
  return found.length === 0 ? undefined : array(found.map(replyOf))
}

function replyOf({ name, type, token, flags, arguments: parts }: Argument): Reply {
  return bulkMap({
    ...{ name: bulk(name), type: bulk(type) },
    ...(type === "key" ? { key_spec_index: integer(secondKeys.includes(name) ? 1 : 0) } : {}),
    ...(token === undefined ? {} : { token: bulk(token) }),
    ...(flags.length === 0 ? {} : { flags: { kind: "set", items: flags.map(text => ({ kind: "status", text })) } }),
    ...(parts === undefined ? {} : { arguments: array(parts.map(replyOf)) }),
  })
}

class Line {
  readonly #marks: readonly string[]
  #at = 0

  constructor(text: string) {
    this.#marks = text.match(/\.\.\.|[[\]()|]|<[a-z-]+>|[A-Za-z][\w-]*:?/g) ?? []
  }

  arguments(): Argument[] {
    const found: Argument[] = []
    while (this.#at < this.#marks.length && this.#next !== "]" && this.#next !== ")") found.push(this.#argument())
    return found
  }

  get #next(): string {
    return this.#marks[this.#at] ?? ""
  }

  #take(): string {
    return this.#marks[this.#at++] ?? ""
  }

  #skip(mark: string): void {
    assert(this.#take() === mark, `a line of syntax has ${mark} in its place`)
  }

  #argument(): Argument {
    if (this.#next !== "[") return this.#repeated(this.#plain())
    this.#skip("[")
    const argument = this.#repeated(this.#plain())
    this.#skip("]")
    return { ...argument, flags: ["optional", ...argument.flags] }
  }

  #repeated(argument: Argument): Argument {
    if (this.#next !== "...") return argument
    this.#skip("...")
    return { ...argument, flags: [...argument.flags, "multiple"] }
  }

  #plain(): Argument {
    const word = this.#take()
    if (word.endsWith(":")) return this.#group(word.slice(0, -1))
    if (/^[A-Z]/.test(word)) {
      if (!/^[a-z]/.test(this.#next)) return { name: word.toLowerCase(), type: "pure-token", token: word, flags: [] }
      return { ...this.#plain(), token: word }
    }
    const stated = /^<(.*)>$/.exec(this.#next)?.[1]
    if (stated !== undefined) this.#at += 1
    return { name: word, type: stated === "double" ? stated : typeOf(word), flags: [] }
  }

  #group(name: string): Argument {
    if (this.#next === "(") {
      this.#skip("(")
      const parts = this.arguments()
      this.#skip(")")
      return { name, type: "block", flags: [], arguments: parts }
    }
    const parts = [this.#plain()]
    while (this.#next === "|") {
      this.#skip("|")
      parts.push(this.#plain())
    }
    return { name, type: "oneof", flags: [], arguments: parts }
  }
}
