import { deepEqual, equal, ok, rejects } from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { hashKeyPosition } from "../base/hash.ts"
import { Prng } from "../base/prng.ts"
import { arcOf, shardOf } from "../core/ring.ts"
import type { PageEntry, Place, ShardId, ShardOperation } from "../protocol/message.ts"
import type { CallOutcome } from "./call.ts"
import { type Asking, clear, pageFrom, pagesOf, sizeOf, WalkFailure, type WalkView } from "./walk.ts"

const shardCount = 16
const hashKey = [5, 6] as const
const bytes = (text: string) => new TextEncoder().encode(text)
const text = (key: Uint8Array) => new TextDecoder().decode(key)
const noPrefix = new Uint8Array(0)
const beginning: Place = { position: 0, after: null }

/** Nodes that answer for whole shards as real ones do, a few keys a page; who leads what changes when a test says so. */
class Nodes {
  readonly keys = new Set<string>()
  readonly asked: ShardOperation[] = []
  underWay = 0
  mostUnderWay = 0
  pageLimit = 3
  failing: CallOutcome | undefined
  beforeAnswer = () => {}
  view: WalkView = {
    ...{ epoch: 1, hashKey },
    primaries: Array.from({ length: shardCount }, (_, shard) => shard % 3),
  }

  move(primaries: readonly number[]): void {
    this.view = { ...this.view, epoch: this.view.epoch + 1, primaries }
  }

  readonly asking: Asking = {
    view: () => this.view,
    ask: async operation => {
      this.asked.push(operation)
      this.underWay += 1
      this.mostUnderWay = Math.max(this.mostUnderWay, this.underWay)
      await null
      this.beforeAnswer()
      this.underWay -= 1
      return this.failing ?? this.#answer(operation)
    },
  }

  #answer(operation: ShardOperation): CallOutcome {
    if (operation.op === "clear") {
      const keys = this.#keysIn(operation.shard, operation.from).filter(key => key.startsWith(text(operation.prefix)))
      const taken = keys.slice(0, this.pageLimit)
      for (const key of taken) this.keys.delete(key)
      return {
        kind: "cleared",
        count: taken.length,
        next: keys.length > taken.length ? placeOf(keys[taken.length]) : null,
      }
    }
    const led = this.#ledRun(operation.shards)
    const rest = beginningOf(operation.shards[led.length])
    if (operation.op === "size")
      return { kind: "size", entries: led.flatMap(shard => this.#keysIn(shard, null)).length, bytes: 0, next: rest }
    const limit = Math.min(this.pageLimit, operation.limit)
    const entries: PageEntry[] = []
    for (const [i, shard] of led.entries())
      for (const key of this.#keysIn(shard, i === 0 ? operation.from : null)) {
        if (entries.length === limit) return { kind: "page", entries, next: placeOf(key) }
        if (key.startsWith(text(operation.prefix))) entries.push({ key: bytes(key), details: null, value: null })
      }
    return { kind: "page", entries, next: rest }
  }

  #ledRun(shards: readonly ShardId[]): ShardId[] {
    const leader = this.view.primaries[shards[0] ?? 0]
    const end = shards.findIndex(shard => this.view.primaries[shard] !== leader)
    return end < 0 ? [...shards] : shards.slice(0, end)
  }

  #keysIn(shard: ShardId, from: Place | null): string[] {
    return [...this.keys]
      .filter(key => shardOf(positionOf(key), shardCount) === shard && positionOf(key) >= (from?.position ?? 0))
      .sort((a, b) => positionOf(a) - positionOf(b))
  }
}

const positions = new Map<string, number>()
function positionOf(key: string): number {
  const position = positions.get(key) ?? hashKeyPosition(bytes(key), hashKey)
  positions.set(key, position)
  return position
}

function placeOf(key: string | undefined): Place | null {
  return key === undefined ? null : { position: positionOf(key), after: null }
}

function beginningOf(shard: ShardId | undefined): Place | null {
  return shard === undefined ? null : { position: arcOf(shard, shardCount).from, after: null }
}

async function listed(nodes: Nodes, prefix = noPrefix): Promise<string[]> {
  const keys: string[] = []
  for await (const page of pagesOf(nodes.asking, { prefix, want: "keys" }))
    keys.push(...page.map(({ key }) => text(key)))
  return keys.sort()
}

test("an empty cluster is walked with one question for each that leads", async () => {
  const nodes = new Nodes()
  deepEqual(await listed(nodes), [])
  equal(nodes.asked.length, 3)
  equal(nodes.mostUnderWay, 3)
})

test("a walk meets each key once, however primaries change meanwhile", async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(200), fc.integer({ min: 1, max: 5 }), fc.nat(), async (count, pageLimit, seed) => {
      const prng = new Prng(seed)
      const nodes = new Nodes()
      nodes.pageLimit = pageLimit
      for (let n = 0; n < count; n++) nodes.keys.add(`key ${n}`)
      nodes.beforeAnswer = () => {
        if (prng.chance(0.2))
          nodes.move(nodes.view.primaries.map(leader => (prng.chance(0.3) ? prng.below(4) : leader)))
      }
      deepEqual(await listed(nodes), [...nodes.keys].sort())
      deepEqual(await sizeOf(nodes.asking), { entries: count, bytes: 0 })

      const inOrder: string[] = []
      for (let place: Place | null = beginning; place !== null; ) {
        const { entries, next }: Awaited<ReturnType<typeof pageFrom>> = await pageFrom(nodes.asking, place, {
          ...{ prefix: noPrefix, want: "keys", limit: pageLimit },
        })
        inOrder.push(...entries.map(({ key }) => text(key)))
        place = next
      }
      deepEqual(
        inOrder,
        [...nodes.keys].sort((a, b) => positionOf(a) - positionOf(b)),
      )

      equal(await clear(nodes.asking, noPrefix), count)
      equal(nodes.keys.size, 0)
    }),
    { numRuns: 25 },
  )
})

test("a clearing tells every shard, and reads no keys but tags", async () => {
  const nodes = new Nodes()
  equal(await clear(nodes.asking, noPrefix), 0)
  const cleared = nodes.asked.flatMap(operation => (operation.op === "clear" ? [operation.shard] : []))
  deepEqual(cleared.sort((a, b) => a - b), Array.from({ length: shardCount }, (_, shard) => shard)) // biome-ignore format: one line says it
  equal(nodes.asked.filter(({ op }) => op === "scan").length, 3)
  for (const name of ["a:1", "a:2", "b:1"]) nodes.keys.add(name)
  equal(await clear(nodes.asking, bytes("a:")), 2)
  deepEqual([...nodes.keys], ["b:1"])
})

test("a page from a place looks ahead, so that a walk through empty shards is short", async () => {
  const nodes = new Nodes()
  nodes.keys.add("the only one")
  const { entries, next } = await pageFrom(nodes.asking, beginning, { prefix: noPrefix, want: "keys", limit: 10 })
  deepEqual(entries.map(({ key }) => text(key)), ["the only one"]) // biome-ignore format: one line says it
  equal(next, null)
})

test("what a node refuses ends the walk, and what was under way is not left to reject unheard", async () => {
  const nodes = new Nodes()
  for (let n = 0; n < 50; n++) nodes.keys.add(`key ${n}`)
  const pages = pagesOf(nodes.asking, { prefix: noPrefix, want: "keys" })
  await pages.next()
  nodes.failing = { kind: "failed", code: "minority", mayHaveHappened: "no" }
  await rejects(
    async () => {
      for await (const _ of pages);
    },
    (error: unknown) => error instanceof WalkFailure && error.failed.code === "minority",
  )
  await rejects(clear(nodes.asking, noPrefix), WalkFailure)
})

test("an answer that does not fit the question is said to be one", async () => {
  const nodes = new Nodes()
  nodes.failing = { kind: "missing" }
  await rejects(sizeOf(nodes.asking), /does not fit/)
})

test("a walk that is given up asks for nothing more", async () => {
  const nodes = new Nodes()
  for (let n = 0; n < 100; n++) nodes.keys.add(`key ${n}`)
  for await (const page of pagesOf(nodes.asking, { prefix: noPrefix, want: "keys" })) {
    ok(page.length > 0)
    break
  }
  const asked = nodes.asked.length
  await new Promise(resolve => setImmediate(resolve))
  equal(nodes.asked.length, asked)
})
