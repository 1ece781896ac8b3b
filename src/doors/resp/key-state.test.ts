import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import { sealed } from "../../client/tags.ts"
import type { LocalCache } from "../local-cache.ts"
import { onKey, onKeys } from "./key-state.ts"
import { Entries } from "./testing/entries.ts"

const bytes = (text: string) => Buffer.from(text)
const text = (value: Uint8Array | undefined) => (value === undefined ? undefined : Buffer.from(value).toString())

const keysOf = (...names: string[]) => new Map(names.map(name => [name, bytes(name)]))
const nothing = new Map<string, number>()

test("what is done to several keys begins again when one of them was written meanwhile, and is written at once", async () => {
  const entries = new Entries()
  entries.put("a", "1")
  entries.meanwhile = () => entries.put("a", "5")
  const answer = await onKeys(entries.cache, { keys: keysOf("a", "b"), needs: "value", watched: nothing }, stateOf => {
    const a = Number(text(stateOf(bytes("a")).bytes))
    stateOf(bytes("b")).set(bytes(`${a + 1}`), null)
    return a
  })
  deepEqual([answer, entries.text("a"), entries.text("b")], [5, "5", "6"])
  deepEqual(entries.asked, ["get", "get", "group", "ttl", "get", "get", "group"])
})

test("with a watched key that was changed, read or not, nothing is done", async () => {
  const entries = new Entries()
  const version = entries.put("a", "1")
  const set = (stateOf: (key: Uint8Array) => { set(value: Uint8Array, ttlMs: null): void }) =>
    stateOf(bytes("b")).set(bytes("x"), null)
  for (const watched of [new Map([["a", version + 1]]), new Map([["b", version]]), new Map([["c", version]])])
    equal(await onKeys(entries.cache, { keys: keysOf("b"), needs: "value", watched }, set), "changed")
  equal(entries.text("b"), undefined)
  const watched = new Map([
    ["a", version],
    ["c", 0],
  ])
  equal(await onKeys(entries.cache, { keys: keysOf("b"), needs: "value", watched }, set), undefined)
  equal(entries.text("b"), "x")
})

test("one key that is only looked at is asked for once, and several are made sure of", async () => {
  const entries = new Entries()
  entries.put("a", "1")
  const look = () => "seen"
  equal(await onKeys(entries.cache, { keys: keysOf("a"), needs: "value", watched: nothing }, look), "seen")
  deepEqual(entries.asked, ["get"])
  equal(await onKeys(entries.cache, { keys: keysOf("a", "b"), needs: "value", watched: nothing }, look), "seen")
  deepEqual(entries.asked.slice(1), ["get", "get", "group"])
})

for (const [how, append] of [
  ["alone", (cache: LocalCache) => onKey(cache, bytes("a"), "value", state => state.set(bytes("new"), "keep"))],
  [
    "with others",
    (cache: LocalCache) =>
      onKeys(cache, { keys: keysOf("a", "b"), needs: "value", watched: nothing }, stateOf =>
        stateOf(bytes("a")).set(bytes("new"), "keep"),
      ),
  ],
] as const)
  test(`an entry whose tags were invalidated is in nobody's way, ${how}`, async () => {
    const entries = new Entries()
    const { bytes: value, flags } = sealed({ bytes: bytes("old"), flags: 1 }, [{ tag: bytes("red"), version: 99 }])
    entries.put("a", value, flags)
    await append(entries.cache)
    equal(entries.text("a"), "new")
  })
