/** Transactions, and single commands that are carried out in one step. */
import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import { sealed } from "../../client/tags.ts"
import { type Command, type Context, keyWordsOf } from "./command.ts"
import type { Reply } from "./reply.ts"
import { commandNamed } from "./table.ts"
import { Entries } from "./testing/entries.ts"
import { inOneStep, Transaction } from "./transaction.ts"

const nothingWatched = new Map<string, number>()

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
  const transaction = new Transaction(nothingWatched)
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
    const transaction = new Transaction(watched)
    add(transaction, context, line)
    equal((await transaction.execute(context)).kind, "array")
    equal(entries.text(line.slice(4, 5)), "1")
  })
