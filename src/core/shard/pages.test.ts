import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { leaseFlag } from "../../protocol/limits.ts"
import type { Place, ReplicatedOp, ShardConfig } from "../../protocol/message.ts"
import { MapStore } from "../../store/testing/map-store.ts"
import type { HashedKey } from "../../store/store.ts"
import { type Sees, scanShards, sizeOfShards, stretchToClear } from "./pages.ts"
import { Shard } from "./shard.ts"

const config: ShardConfig = {
  ...{ q: 1, primary: "p", primarySince: 1, inSync: ["p"], learners: [], orphan: false, resetAt: 0, seqBase: 0 },
}
const half = 2 ** 31
const noPrefix = new Uint8Array(0)
const committed: Sees = (shard, key) => shard.committed(key)

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (key: Uint8Array) => new TextDecoder().decode(key)
/** Tests say where a key lies. */
const keyAt = (position: number, name: string): HashedKey => ({ bytes: bytes(name), position })

class Holder {
  readonly store = new MapStore()
  /** Two, with half of the ring each. */
  readonly shards = [0, 1].map(
    index =>
      new Shard({
        ...{ index, arc: { from: index * half, to: (index + 1) * half }, config, store: this.store },
        hashed: () => keyAt(index * half, "unused"),
      }),
  )

  apply(key: HashedKey, effect: ReplicatedOp["effect"], how: "commit" | "leave open" = "commit"): void {
    const shard = this.#shardOf(key)
    shard.apply({ seq: shard.seq + 1, key: key.bytes, effect, origin: null, result: null }, key, 0)
    if (how === "commit") shard.commitTo(shard.seq)
  }

  set(
    key: HashedKey,
    options: { value?: string; flags?: number; ttlMs?: number; how?: "commit" | "leave open" } = {},
  ): void {
    const { value = "v", flags = 3, ttlMs = null, how } = options
    this.apply(key, { kind: "put", value: bytes(value), flags, ttlLeftMs: ttlMs }, how)
  }

  delete(key: HashedKey, how?: "commit" | "leave open"): void {
    this.apply(key, { kind: "delete" }, how)
  }

  #shardOf({ position }: HashedKey): Shard {
    return this.shards[position < half ? 0 : 1] as Shard // there are two
  }

  page(from: Place | null, options: { limit?: number; prefix?: string; shards?: readonly Shard[] } = {}) {
    const { limit = 1_000, prefix = "", shards = this.shards } = options
    const operation = { op: "scan", shards: [0], from, prefix: bytes(prefix), limit, want: "keys" } as const
    return scanShards(operation, shards, { store: this.store, sees: committed, nowMs: 1_000 })
  }

  /** Of the first shard. */
  toClear() {
    const operation = { op: "clear", shard: 0, from: null, prefix: noPrefix } as const
    const shard = this.shards[0] as Shard // there are two
    return stretchToClear(operation, shard, { store: this.store, nowMs: 1_000 })
  }

  /** All pages of the first shard; `between` is called after each. */
  keys(limit: number, between = () => {}): string[] {
    const found: string[] = []
    for (let from: Place | null = null; ; ) {
      const { entries, stoppedAt }: ReturnType<Holder["page"]> = this.page(from, {
        limit,
        shards: [this.shards[0] as Shard],
      })
      found.push(...entries.map(({ key }) => text(key)))
      if (stoppedAt === null) return found
      from = stoppedAt
      between()
    }
  }
}

test("keys come by position, and by their bytes where they share one, page after page", () => {
  const holder = new Holder()
  for (const name of ["b", "a", "ab", ""]) holder.set(keyAt(7, name))
  holder.set(keyAt(half - 1, "last"))
  holder.set(keyAt(0, "first"))
  for (const limit of [1, 2, 3, 100]) deepEqual(holder.keys(limit), ["first", "", "a", "ab", "b", "last"])
})

test("a page that ends between two positions says where by a position alone", () => {
  const holder = new Holder()
  for (const position of [5, 9, 9, 12]) holder.set(keyAt(position, `${position}`))
  holder.set(keyAt(9, "9 too"))
  deepEqual(holder.page(null, { limit: 1 }).stoppedAt, { position: 9, after: null })
  deepEqual(holder.page(null, { limit: 2 }).stoppedAt, { position: 9, after: bytes("9") })
  deepEqual(holder.page(null, { limit: 3 }).stoppedAt, { position: 12, after: null })
})

test("one request goes on to the shards after the first, and says how many it walked to their end", () => {
  const holder = new Holder()
  for (const position of [1, half + 1, half + 2]) holder.set(keyAt(position, `${position}`))
  const all = holder.page(null)
  deepEqual([all.entries.length, all.done, all.stoppedAt], [3, 2, null])
  const two = holder.page(null, { limit: 2 })
  deepEqual([two.entries.length, two.done, two.stoppedAt], [2, 1, { position: half + 2, after: null }])
})

const shown = [
  { what: "a write that is not committed", make: (h: Holder) => h.set(keyAt(1, "k"), { how: "leave open" }), keys: [] },
  {
    what: "a deletion that is not committed",
    make: (h: Holder) => {
      h.set(keyAt(1, "k"))
      h.delete(keyAt(1, "k"), "leave open")
    },
    keys: ["k"],
  },
  {
    what: "a deletion that is not committed, of the last of three at one position",
    make: (h: Holder) => {
      for (const name of ["a", "b", "c"]) h.set(keyAt(1, name))
      h.delete(keyAt(1, "c"), "leave open")
    },
    keys: ["a", "b", "c"],
  },
  { what: "what has expired", make: (h: Holder) => h.set(keyAt(1, "k"), { ttlMs: 999 }), keys: [] },
  { what: "what expires later", make: (h: Holder) => h.set(keyAt(1, "k"), { ttlMs: 1_001 }), keys: ["k"] },
  { what: "a lease", make: (h: Holder) => h.set(keyAt(1, "k"), { flags: leaseFlag }), keys: [] },
  { what: "what caches keep for themselves", make: (h: Holder) => h.set(keyAt(1, "\0tag")), keys: [] },
] as const

for (const { what, make, keys } of shown)
  test(`${what} is ${keys.length === 0 ? "left out" : "listed"}, whatever the size of pages`, () => {
    const holder = new Holder()
    make(holder)
    for (const limit of [1, 100]) deepEqual(holder.keys(limit), keys)
  })

test("a prefix is compared byte by byte, and one that begins with a zero byte shows what caches keep", () => {
  const holder = new Holder()
  for (const [i, name] of ["user:1", "user:", "user", "users", "\0tag"].entries()) holder.set(keyAt(i, name))
  const listed = (prefix: string) => holder.page(null, { prefix }).entries.map(({ key }) => text(key))
  deepEqual(listed("user:"), ["user:1", "user:"])
  deepEqual(listed("\0"), ["\0tag"])
  deepEqual(listed("x"), [])
})

test("details and values come when asked for", () => {
  const holder = new Holder()
  holder.set(keyAt(1, "k"), { value: "four", ttlMs: 5_000 })
  const ask = (want: "keys" | "details" | "values") =>
    scanShards({ op: "scan", shards: [0], from: null, prefix: noPrefix, limit: 9, want }, holder.shards, {
      ...{ store: holder.store, sees: committed, nowMs: 1_000 },
    }).entries
  const details = { flags: 3, version: 1, ttlMs: 4_000, valueBytes: 4 }
  deepEqual(ask("keys"), [{ key: bytes("k"), details: null, value: null }])
  deepEqual(ask("details"), [{ key: bytes("k"), details, value: null }])
  deepEqual(ask("values"), [{ key: bytes("k"), details, value: bytes("four") }])
})

test("a request does bounded work, whatever the shard holds and whatever is asked for", () => {
  const holder = new Holder()
  const apart = 2 ** 17
  for (let n = 0; n < 10_000; n++) holder.set(keyAt(n * apart, `${n}`))
  const page = holder.page(null, { limit: 8_000 })
  ok(page.entries.length > 1_000 && page.entries.length < 2_000, `${page.entries.length} keys in a page`)
  const nothing = holder.page(null, { prefix: "x" })
  equal(nothing.entries.length, 0)
  const looks = (nothing.stoppedAt?.position ?? 0) / apart
  ok(looks > 4_000 && looks < 5_000, `${looks} entries looked at`)
  const { count, next } = holder.toClear()
  deepEqual([count, next], [256, { position: 256 * apart, after: null }])
})

test("a large value ends its page, and comes whole", () => {
  const holder = new Holder()
  for (const n of [1, 2]) holder.set(keyAt(n, `${n}`), { value: "x".repeat(1_000_000) })
  const operation = { op: "scan", shards: [0], from: null, prefix: noPrefix, limit: 9, want: "values" } as const
  const context = { store: holder.store, sees: committed, nowMs: 0 }
  deepEqual(
    scanShards(operation, holder.shards, context).entries.map(({ value }) => value?.length),
    [1_000_000],
  )
})

test("what is to be cleared is counted without what is being deleted and what has expired", () => {
  const holder = new Holder()
  for (const name of ["a", "b", "c", "d"]) holder.set(keyAt(1, name))
  holder.delete(keyAt(1, "a"), "leave open")
  holder.set(keyAt(1, "b"), { ttlMs: 999 })
  holder.set(keyAt(1, "c"), { how: "leave open" })
  deepEqual(holder.toClear(), {
    stretch: { from: { position: 0, after: null }, to: { position: half, after: null }, prefix: noPrefix },
    ...{ count: 2, next: null },
  })
})

test("a clearing of large values stops early: they are kept until it has committed", () => {
  const holder = new Holder()
  for (let n = 0; n < 10; n++) holder.set(keyAt(n, `${n}`), { value: "x".repeat(500_000) })
  deepEqual(holder.toClear().next, { position: 3, after: null })
})

test("shards are counted together", () => {
  const holder = new Holder()
  for (const position of [1, 2, half + 1]) holder.set(keyAt(position, `${position}`))
  const { entries, bytes: held, done } = sizeOfShards(holder.shards, holder.store)
  deepEqual([entries, held, done], [3, holder.store.bytes, 2])
})

test("what stays during a walk comes exactly once, whatever else comes, goes and changes between its pages", () => {
  const change = fc.record({ n: fc.nat(60), how: fc.constantFrom("set", "delete", "set openly", "delete openly") })
  fc.assert(
    fc.property(
      fc.array(change, { maxLength: 80 }),
      fc.integer({ min: 1, max: 9 }),
      fc.constantFrom(1, 3, 40),
      (changes, limit, places) => {
        // Even ones stay, odd ones come and go; several at one position.
        const key = (n: number) => keyAt(n % places, `${n}`)
        const holder = new Holder()
        for (let n = 0; n <= 60; n++) holder.set(key(n))
        let next = 0
        const listed = holder.keys(limit, () => {
          for (const { n, how } of changes.slice(next, next + 4)) {
            const commit = how.endsWith("openly") ? "leave open" : "commit"
            if (n % 2 === 0 || how.startsWith("set")) holder.set(key(n), { how: commit })
            else holder.delete(key(n), commit)
          }
          next += 4
        })
        for (let n = 0; n <= 60; n += 2)
          equal(listed.filter(name => name === `${n}`).length, 1, `${n} was there all the time`)
        equal(new Set(listed).size, listed.length, "nothing comes twice")
      },
    ),
    { numRuns: 300 },
  )
})
