/** Transactions, and single commands that are carried out in one step. */
import { deepEqual, equal, match, ok, rejects } from "node:assert/strict"
import { test } from "node:test"
import { sealed } from "../../client/tags.ts"
import { type Command, type Context, keyWordsOf } from "./command.ts"
import type { Reply } from "./reply.ts"
import { maxValueBytes } from "../../protocol/limits.ts"
import { tooMuchAtOnce } from "./refusals.ts"
import { commandNamed } from "./table.ts"
import { Entries } from "./testing/entries.ts"
import { inOneStep, Transaction } from "./transaction.ts"

const nothingWatched = new Map<string, number>()
const noBound = () => Number.POSITIVE_INFINITY

function rowOf(name: string): Command {
  const row = commandNamed(Buffer.from(name), 0, name.length)
  if (row === undefined) throw new Error(`${name} is no command`)
  return row
}

function wordsOf(line: string): { row: Command; args: Buffer[] } {
  const [name = "", ...args] = line.split(" ")
  return { row: rowOf(name), args: args.map(arg => Buffer.from(arg)) }
}

function add(transaction: Transaction, context: Context, line: string): Reply {
  const { row, args } = wordsOf(line)
  return transaction.add(row, args, context)
}

/** As the connection carries it out. */
async function run(line: string, context: Context): Promise<Reply> {
  const { row, args } = wordsOf(line)
  if (row.run !== undefined) return row.run(context, args)
  if (row.transact === undefined) throw new Error(`${line} is the connection's own`)
  return inOneStep(row.transact, keyWordsOf(row, args), args, context)
}

for (const line of ["msetnx b 1 c 2", "rename a b", "renamenx a b", "copy a b", "append a x", "getset a x"])
  test(`${line}: is about the database that was selected when it began, whatever is selected before it ends`, async () => {
    const entries = new Entries()
    entries.put("a", "1")
    entries.isLate = (_key, { op }) => op === "get"
    const context = entries.context()
    // Somebody else writes in between, so that it begins again.
    entries.meanwhile = () => entries.put("a", "2")
    const reply = run(line, context)
    context.client.database = 3
    await entries.answerAll()
    equal((await reply).kind === "error", false)
    const names = [...entries.held.keys()]
    equal(
      names.every(name => /^[abc]$/.test(name)),
      true,
      `${names.map(name => JSON.stringify(name))}`,
    )
  })

test("EXEC is about the database in which its commands were queued", async () => {
  const entries = new Entries()
  entries.isLate = (_key, { op }) => op === "get"
  const context = entries.context()
  const transaction = new Transaction(nothingWatched, noBound)
  add(transaction, context, "set a 1")
  add(transaction, context, "append b 2")
  const reply = transaction.execute(context)
  context.client.database = 3
  await entries.answerAll()
  equal((await reply).kind, "array")
  deepEqual([...entries.held.keys()], ["a", "b"])
})

for (const line of ["set a 1", "set b 1"])
  test(`an entry whose tags were invalidated, when watched, is in no transaction's way: ${line}`, async () => {
    const entries = new Entries()
    const { bytes, flags } = sealed({ bytes: Buffer.from("old"), flags: 1 }, [{ tag: Buffer.from("red"), version: 99 }])
    entries.put("a", bytes, flags)
    const context = entries.context()
    const watched = new Map<string, number>()
    await Transaction.watch([Buffer.from("a")], context, watched)
    const transaction = new Transaction(watched, noBound)
    add(transaction, context, line)
    equal((await transaction.execute(context)).kind, "array")
    equal(entries.text(line.slice(4, 5)), "1")
  })

test("a transaction of too many bytes is refused, keeps nothing, takes nothing more, and is not executed", async () => {
  const entries = new Entries()
  const context = entries.context()
  let maxBytes = 10_000
  const transaction = new Transaction(nothingWatched, () => maxBytes)
  for (let i = 0; i < 3; i++) equal(add(transaction, context, `set k ${"v".repeat(2_000)}`).kind, "status")
  ok(transaction.queuedBytes > 6_000 && transaction.queuedBytes < 10_000)
  match(textOf(add(transaction, context, `set k ${"v".repeat(4_000)}`)), /^ERR a transaction has at most 10000 bytes/)
  deepEqual([transaction.queuedBytes, transaction.length], [0, 0])
  maxBytes = 1_000_000
  equal(textOf(add(transaction, context, `set k ${"v".repeat(2_000)}`)), "QUEUED")
  deepEqual([transaction.queuedBytes, transaction.length], [0, 0])
  match(textOf(await transaction.execute(context)), /^EXECABORT/)
  equal(entries.held.size, 0)
})

test("words without bytes, and UNWATCH, count as well", () => {
  const context = new Entries().context()
  const transaction = new Transaction(nothingWatched, () => 10_000)
  match(textOf(transaction.add(rowOf("mget"), new Array<Buffer>(100).fill(Buffer.alloc(0)), context)), /10000 bytes/)
  const other = new Transaction(nothingWatched, () => 10_000)
  const told = Array.from({ length: 100 }, () => textOf(other.addUnwatch(context)))
  ok(told.some(text => /10000 bytes/.test(text)))
})

test("what was received along with a queued command is not kept", async () => {
  const entries = new Entries()
  const context = entries.context()
  const transaction = new Transaction(nothingWatched, noBound)
  const received = Buffer.from("kv and much else")
  transaction.add(rowOf("set"), [received.subarray(0, 1), received.subarray(1, 2)], context)
  received.fill("x")
  await transaction.execute(context)
  equal(entries.text("k"), "v")
})

/** Of these eight are 64 MiB, but for what else there is to be answered. */
const large = Buffer.alloc(maxValueBytes - 10, "x")
const tooMuch = { message: tooMuchAtOnce }

test("a command that would be answered with more than 64 MiB is refused in words, and has no effect", async () => {
  for (const isLate of [false, true]) {
    const entries = new Entries()
    entries.put("k", large)
    entries.isLate = () => isLate
    const context = entries.context()
    const answered = async (count: number) => {
      const reply = run(`mget${" k".repeat(count)}`, context)
      // Fails before it is looked at.
      reply.catch(() => undefined)
      await entries.answerAll()
      return reply
    }
    equal((await answered(8)).kind, "array")
    await rejects(answered(9), tooMuch)
  }
  const entries = new Entries()
  entries.put("k", large)
  const context = entries.context()
  for (const [count, isMuch] of [
    [8, false],
    [9, true],
  ] as const)
    for (const line of ["get k", "mget k", "getrange k 0 -1"]) {
      const transaction = new Transaction(nothingWatched, noBound)
      add(transaction, context, "set done 1")
      for (let i = 0; i < count; i++) add(transaction, context, line)
      if (isMuch) await rejects(transaction.execute(context), tooMuch)
      else equal((await transaction.execute(context)).kind, "array")
      equal(entries.text("done"), isMuch ? undefined : "1")
      entries.held.delete("done")
    }
})

test("a command that would read more than 64 MiB is refused in words, and has no effect", async () => {
  const entries = new Entries()
  const keys = Array.from({ length: 9 }, (_, i) => `k${i}`)
  for (const key of keys) entries.put(key, large)
  const context = entries.context()
  await rejects(run(`msetnx ${keys.map(key => `${key} 1`).join(" ")}`, context), tooMuch)
  const transaction = new Transaction(nothingWatched, noBound)
  for (const key of keys) add(transaction, context, `set ${key} 1`)
  await rejects(transaction.execute(context), tooMuch)
  equal(entries.held.get("k0")?.value.length, large.length)
})

test("what touches no key is carried out, and its answer is left out where there is no room for it", async () => {
  const entries = new Entries()
  entries.put("k", large)
  const context = entries.context()
  const transaction = new Transaction(nothingWatched, noBound)
  for (let i = 0; i < 8; i++) add(transaction, context, "get k")
  add(transaction, context, "set done 1")
  add(transaction, context, `echo ${"x".repeat(100)}`)
  const reply = await transaction.execute(context)
  deepEqual(reply.kind === "array" && reply.items.at(-1), { kind: "error", text: tooMuchAtOnce })
  equal(entries.text("done"), "1")
})

function textOf(reply: Reply): string {
  return reply.kind === "status" || reply.kind === "error" ? reply.text : reply.kind
}
