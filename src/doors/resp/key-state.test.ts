import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import type { CallOutcome } from "../../client/session.ts"
import { sealed } from "../../client/tags.ts"
import type { Condition, Operation, StatusReport } from "../../protocol/message.ts"
import { LocalCache } from "../local-cache.ts"
import { nameOf, onKey, onKeys } from "./key-state.ts"

const bytes = (text: string) => Buffer.from(text)
const text = (value: Uint8Array | undefined) => (value === undefined ? undefined : Buffer.from(value).toString())

/** A cache of one node, as far as these commands ask for it. */
class Entries {
  readonly held = new Map<string, { value: Uint8Array; flags: number; version: number }>()
  readonly asked: string[] = []
  #version = 0
  /** Done once before the next write, as somebody else would. */
  meanwhile: (() => void) | undefined

  put(key: string, value: string | Uint8Array, flags = 1): number {
    this.#version += 1
    this.held.set(key, { value: typeof value === "string" ? bytes(value) : value, flags, version: this.#version })
    return this.#version
  }

  text(key: string): string | undefined {
    return text(this.held.get(key)?.value)
  }

  ask(key: Uint8Array, operation: Operation): CallOutcome {
    this.asked.push(operation.op)
    const held = this.held.get(nameOf(key))
    if (operation.op === "get") return held === undefined ? { kind: "missing" } : { kind: "value", ...held }
    if (operation.op === "ttl")
      return held === undefined ? { kind: "missing" } : { kind: "ttl", ttlMs: null, version: held.version }
    const { meanwhile } = this
    this.meanwhile = undefined
    meanwhile?.()
    if (operation.op === "group") {
      const step = operation.steps.findIndex(each => !this.#isMet(nameOf(each.key), each.operation.condition))
      if (step >= 0) return { kind: "group-unmet", step }
      for (const each of operation.steps) this.#write(nameOf(each.key), each.operation)
      return { kind: "group-done", version: this.#version }
    }
    if (operation.op !== "set" && operation.op !== "delete") throw new Error("nobody asks for it")
    if (!this.#isMet(nameOf(key), operation.condition)) return { kind: "unmet", version: held?.version ?? 0 }
    this.#write(nameOf(key), operation)
    return operation.op === "set" ? { kind: "stored", version: this.#version } : { kind: "deleted" }
  }

  #isMet(key: string, condition: Condition | null): boolean {
    const version = this.held.get(key)?.version
    if (condition?.if === "absent") return version === undefined
    return condition?.if === "version" ? version === condition.version : true
  }

  #write(key: string, operation: { readonly op: string; readonly value?: Uint8Array; readonly flags?: number }): void {
    if (operation.op === "delete") this.held.delete(key)
    else if (operation.value !== undefined) this.put(key, operation.value, operation.flags)
  }

  get cache(): LocalCache {
    return new LocalCache({
      status: () => ({}) as StatusReport, // nobody asks for it
      reads: () => ({ hits: 0, misses: 0 }),
      beforeInput: () => {},
      routes: () => undefined,
      callNow: (key, operation) => this.ask(key, operation) as Exclude<CallOutcome, { kind: "failed" }>, // none fails
      call: () => {
        throw new Error("all is answered at once")
      },
    })
  }
}

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
