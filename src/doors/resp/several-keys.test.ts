/** Commands that write several keys, each on its own: what is answered when some of them cannot be written. */
import { deepEqual, equal, rejects } from "node:assert/strict"
import { test } from "node:test"
import { LocalCache } from "../local-cache.ts"
import { commandNamed } from "./table.ts"
import { Entries } from "./testing/entries.ts"

const refused = { kind: "failed", code: "busy", mayHaveHappened: "no" } as const
const lost = { kind: "failed", code: "timeout", mayHaveHappened: "unknown" } as const

/** As the connection carries it out, asked of a node that leads none of the keys. */
async function asked(entries: Entries, line: string, context = entries.context()): Promise<unknown> {
  entries.isLate = () => true
  const [name = "", ...words] = line.split(" ")
  const row = commandNamed(Buffer.from(name), 0, name.length)
  const reply = row?.run?.(
    context,
    words.map(word => Buffer.from(word)),
  )
  const settled = Promise.allSettled([reply])
  await entries.answerAll()
  await settled
  return reply
}

for (const [name, line] of [
  ["MSET", "mset a 1 b 2 c 3"],
  ["DEL", "del a b c"],
  ["UNLINK", "unlink a b c"],
] as const) {
  test(`${name}: where some keys were written and others refused, the answer says so`, async () => {
    for (const failed of [refused, lost]) {
      const entries = new Entries()
      for (const key of ["a", "b", "c"]) entries.put(key, "0")
      entries.failureOf = key => (key === "b" ? failed : undefined)
      const message = `ERR outcome unknown (${failed.code}): some of the keys were written`
      await rejects(asked(entries, line), { message })
      equal(entries.text("b"), "0")
      equal(entries.text("c"), name === "MSET" ? "3" : undefined)
    }
  })

  test(`${name}: where nothing was written, it was refused without effect, unless nobody knows`, async () => {
    const entries = new Entries()
    entries.failureOf = () => refused
    await rejects(asked(entries, line), /^CacheRefusal: BUSY /)
    entries.failureOf = key => (key === "b" ? lost : refused)
    await rejects(asked(entries, line), /^CacheRefusal: ERR outcome unknown \(timeout\)/)
  })
}

test("DEL of keys that were not there has no effect, so that the refusal of another is one", async () => {
  const entries = new Entries()
  entries.failureOf = key => (key === "b" ? refused : undefined)
  await rejects(asked(entries, "del a b"), /^CacheRefusal: BUSY /)
})

test("a command on several keys has its answer when the last of them has, though an earlier one failed", async () => {
  const entries = new Entries()
  entries.isLate = () => true
  entries.failureOf = key => (key === "a" ? refused : undefined)
  for (const line of ["mset a 1 b 2", "mget a b", "exists a b"]) {
    const [name = "", ...words] = line.split(" ")
    const reply = commandNamed(Buffer.from(name), 0, name.length)?.run?.(
      entries.context(),
      words.map(word => Buffer.from(word)),
    )
    let isAnswered = false
    const ended = Promise.allSettled([reply]).then(() => {
      isAnswered = true
    })
    const [first, second] = entries.late.splice(0)
    first?.answer()
    await new Promise(setImmediate)
    equal(isAnswered, false, line)
    second?.answer()
    await ended
  }
})

for (const [name, line] of [
  ["RENAME", "rename a b"],
  ["RENAMENX", "renamenx a b"],
] as const)
  test(`${name} across shards: when the old name cannot be deleted, the new one is there, and it is not said that nothing happened`, async () => {
    const entries = new Entries()
    entries.put("a", "1")
    entries.failureOf = (_key, { op }) => (op === "delete" ? refused : undefined)
    const message = "ERR outcome unknown (busy): it may have happened"
    await rejects(asked(entries, line, entries.context(apart(entries.cache))), { message })
    deepEqual([entries.text("a"), entries.text("b")], ["1", "1"])
    // What fails before is what it says.
    entries.held.delete("b")
    entries.failureOf = (_key, { op }) => (op === "set" ? refused : undefined)
    await rejects(asked(entries, line, entries.context(apart(entries.cache))), /^CacheRefusal: BUSY /)
  })

/** The same of a cluster in which no two keys lie together. */
function apart(cache: LocalCache): LocalCache {
  return Object.assign(cache, { shareShard: () => false, sharePrimary: () => false })
}
