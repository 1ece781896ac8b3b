/**
 * Commands on the keys of a whole database, wherever in the cluster they are. They go through it page by page, so that no
 * node holds still for them: a key that stays during the whole command is met exactly once, one that comes or goes may be.
 */
import { clear, pageFrom, pagesOf, sizeOf, WalkFailure } from "../../client/walk.ts"
import type { Place } from "../../protocol/message.ts"
import { integerOf, optionOf, textOf, wordAt } from "./arguments.ts"
import { type Arguments, type Command, type Context, noKeys } from "./command.ts"
import { globOf, literalPrefix } from "./glob.ts"
import { databaseCount, databasePrefix } from "./keys.ts"
import { CacheRefusal, CommandError, syntaxError } from "./refusals.ts"
import { array, bulk, integer, nil, ok, type Reply } from "./reply.ts"

/** Above, DBSIZE tells what the nodes count anyway: all databases, and some of what has just expired. */
const countedKeys = 100_000
/** KEYS answers with so many bytes of keys at most. */
const maxKeysBytes = 64 * 1024 * 1024
/** What a client may ask one SCAN for; a larger COUNT is taken for this one. */
const maxScanCount = 10_000
const usualScanCount = 10
/** One SCAN looks at so many pages at most, however little it finds: three go through a cluster of few keys. */
const mostPages = 4
const positions = 2 ** 32

export const wholeCommands: readonly Command[] = [
  {
    ...{ name: "dbsize", arity: 1, keys: noKeys, flags: ["readonly", "fast"], group: "server", isWhole: true },
    summary: `Returns the number of keys in the database; of more than ${countedKeys}, about how many all databases have.`,
    run: context => walked(dbsize(context)),
  },
  {
    ...{ name: "flushdb", arity: -1, keys: noKeys, flags: ["write"], group: "server", isWhole: true },
    summary: "Removes all keys from the current database.",
    run: (context, args) => walked(flush(context, args, [context.client.database])),
  },
  {
    ...{ name: "flushall", arity: -1, keys: noKeys, flags: ["write"], group: "server", isWhole: true },
    summary: "Removes all keys from all databases.",
    run: (context, args) => walked(flush(context, args, [...Array(databaseCount).keys()])),
  },
  {
    ...{ name: "randomkey", arity: 1, keys: noKeys, flags: ["readonly"], group: "generic", isWhole: true },
    summary: "Returns a random key name from the database.",
    run: context => walked(randomKey(context)),
  },
  {
    ...{ name: "keys", arity: 2, keys: noKeys, flags: ["readonly"], group: "generic", isWhole: true },
    summary: "Returns all key names that match a pattern.",
    run: (context, args) => walked(keys(context, wordAt(args, 0))),
  },
  {
    ...{ name: "scan", arity: -2, keys: noKeys, flags: ["readonly"], group: "generic", isWhole: true },
    ...{ summary: "Iterates over the key names in the database.", since: "2.8.0" },
    run: (context, args) => walked(scan(context, args)),
  },
]

/** What the walk could not go on for is said as every command says it. */
async function walked(reply: Promise<Reply>): Promise<Reply> {
  try {
    return await reply
  } catch (problem) {
    if (problem instanceof WalkFailure) throw new CacheRefusal(problem.failed)
    throw problem
  }
}

async function dbsize({ cache, client }: Context): Promise<Reply> {
  const asking = cache.asking()
  const { entries } = await sizeOf(asking)
  if (entries > countedKeys) return integer(entries)
  let count = 0
  for await (const page of pagesOf(asking, { prefix: databasePrefix(client.database), want: "keys" }))
    count += page.length
  return integer(count)
}

async function flush({ cache }: Context, args: Arguments, databases: readonly number[]): Promise<Reply> {
  const how = args[0] === undefined ? "SYNC" : optionOf(args[0])
  if (args.length > 1 || (how !== "SYNC" && how !== "ASYNC")) throw new CommandError(syntaxError)
  const asking = cache.asking()
  for (const database of databases) await clear(asking, databasePrefix(database))
  return ok
}

async function randomKey({ cache, client }: Context): Promise<Reply> {
  const asking = cache.asking()
  const wanted = { prefix: databasePrefix(client.database), want: "keys", limit: 1 } as const
  const from = Math.floor(Math.random() * positions)
  // From a place found by chance to the end, and if nothing is there, from the beginning to that place.
  for (const start of [from, 0])
    for (let place: Place | null = { position: start, after: null }; place; ) {
      const page = await pageFrom(asking, place, wanted)
      const [found] = page.entries
      if (found !== undefined) return bulk(found.key.subarray(wanted.prefix.length))
      place = page.next
    }
  return nil
}

async function keys({ cache, client }: Context, glob: Buffer): Promise<Reply> {
  const skipped = databasePrefix(client.database).length
  const pattern = textOf(glob)
  const matches = globOf(pattern)
  const prefix = prefixOf(client.database, pattern)
  const found: Reply[] = []
  let bytes = 0
  for await (const page of pagesOf(cache.asking(), { prefix, want: "keys" }))
    for (const { key } of page) {
      const name = Buffer.from(key).subarray(skipped)
      if (!matches(name.toString("latin1"))) continue
      found.push(bulk(name))
      bytes += name.length + keyOverheadBytes
      if (bytes > maxKeysBytes) throw new CommandError("ERR too many keys for one answer: go through them with SCAN")
    }
  return array(found)
}

/** What a key takes here besides itself. */
const keyOverheadBytes = 100

async function scan({ cache, client }: Context, args: Arguments): Promise<Reply> {
  const position = cursorOf(args[0])
  let matches: (name: string) => boolean = () => true
  let prefix = databasePrefix(client.database)
  let limit = usualScanCount
  let isOfOurType = true
  for (let i = 1; i < args.length; i += 2) {
    const option = optionOf(args[i])
    const value = args[i + 1]
    if (value === undefined) throw new CommandError(syntaxError)
    if (option === "MATCH") {
      matches = globOf(textOf(value))
      prefix = prefixOf(client.database, textOf(value))
    } else if (option === "COUNT") {
      limit = Math.min(integerOf(value), maxScanCount)
      if (limit < 1) throw new CommandError(syntaxError)
    } else if (option === "TYPE") isOfOurType = optionOf(value) === "STRING"
    else throw new CommandError(syntaxError)
  }
  // All that is here are strings.
  if (!isOfOurType) return array([bulk("0"), array([])])
  const asking = cache.asking()
  const found: Uint8Array[] = []
  let place: Place | null = { position, after: null }
  for (let pages = 1; place !== null; pages++) {
    const page: Awaited<ReturnType<typeof pageFrom>> = await pageFrom(asking, place, { prefix, want: "keys", limit })
    for (const { key } of page.entries) found.push(key)
    place = page.next
    // A cursor is a position alone: keys of one position are told together.
    if (place?.after === null && (found.length >= limit || pages >= mostPages)) break
  }
  const skipped = databasePrefix(client.database).length
  const names = found.map(key => Buffer.from(key).subarray(skipped)).filter(name => matches(name.toString("latin1")))
  return array([bulk(String(place?.position ?? 0)), array(names.map(name => bulk(name)))])
}

/** What all that matches begins with. In the first database names that begin with a zero byte are those of the others. */
function prefixOf(database: number, glob: string): Buffer {
  const literal = literalPrefix(glob)
  const isOthers = database === 0 && literal.startsWith("\0")
  return Buffer.concat([databasePrefix(database), Buffer.from(isOthers ? "" : literal, "latin1")])
}

function cursorOf(word: Buffer | undefined): number {
  const text = textOf(word)
  if (!/^\d{1,20}$/.test(text)) throw new CommandError("ERR invalid cursor")
  // One that was never handed out: nothing comes after it.
  return Math.min(Number(text), positions - 1)
}
