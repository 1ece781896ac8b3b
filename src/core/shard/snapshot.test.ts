/** What is written down of a shard and read back is the shard, with what had not committed still to be undone. */
import { deepEqual, equal, match, ok } from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import type { ReplicatedOp, SnapshotPart, View } from "../../protocol/message.ts"
import { MapStore } from "../../store/testing/map-store.ts"
import type { HashedKey, Store } from "../../store/store.ts"
import { arcOf } from "../ring.ts"
import { allRules } from "../rules.ts"
import { firstView } from "../testing/random-views.ts"
import { Shard, textOf } from "./shard.ts"
import { partsOf, SnapshotReader } from "./snapshot.ts"

const view: View = {
  ...firstView({ copies: 1, maxVoters: 3 }),
  shards: firstView({ copies: 1, maxVoters: 3 }).shards.slice(0, 1),
}
const config = view.shards[0] as NonNullable<View["shards"][0]>

function newStore(): Store {
  return new MapStore({
    maxBytes: 2 ** 30,
    eviction: "none",
    copiesShare: 0,
    owner: { isLed: () => true, mayDrop: () => false, dropped: () => {} },
  })
}

/** Any place on the ring will do: there is one shard. */
function hashed(bytes: Uint8Array): HashedKey {
  return { bytes, position: bytes.reduce((sum, byte) => (sum * 31 + byte) >>> 0, 7) }
}

function newShard(store: Store): Shard {
  const shard = new Shard({ index: 0, arc: arcOf(0, 1), config, store, hashed })
  shard.role = "replica"
  return shard
}

/** What readers see, what is remembered of clients, and how far the shard has come. */
function contentOf(shard: Shard, store: Store, nowMs: number) {
  const entries: [string, string, number, number][] = []
  let cursor: ReturnType<Store["scan"]>
  do {
    cursor = store.scan(shard.arc, cursor, 1_000, (key, _position, { value, version, expiresAtMs }) =>
      entries.push([textOf(key), textOf(value), version, expiresAtMs]),
    )
  } while (cursor !== undefined)
  return {
    seq: shard.seq,
    commit: shard.commit,
    entries: entries.sort(([a], [b]) => (a < b ? -1 : 1)),
    open: shard.log.map(({ op }) => op.seq),
    records: shard.dedup
      .export(nowMs)
      .map(({ client, low, results }) => ({ client, low, results: [...results].sort() })),
  }
}

function readBack(parts: readonly SnapshotPart[], agoMs: number, nowMs: number): { shard: Shard; store: Store } {
  const store = newStore()
  let shard: Shard | undefined
  const reader = new SnapshotReader({
    view,
    store,
    hashed,
    begun: begun => {
      shard = begun
    },
  })
  for (const part of parts) equal(reader.take(part, agoMs, nowMs), undefined)
  ok(shard)
  return { shard, store }
}

const operations = fc.array(
  fc.record({
    key: fc.nat(5),
    kind: fc.constantFrom("put", "delete", "none", "forget-client", "clear", "group"),
    client: fc.nat(2),
    ttl: fc.option(fc.nat(900)),
  }),
  { maxLength: 30 },
)

function opOf(
  { key, kind, client, ttl }: { key: number; kind: ReplicatedOp["effect"]["kind"]; client: number; ttl: number | null },
  seq: number,
): ReplicatedOp {
  const own = { seq, key: Uint8Array.of(key), origin: null, result: null }
  const origin = { client: `${client}`, n: seq, ackedBelow: Math.max(0, seq - 5) }
  switch (kind) {
    case "put":
      return {
        ...own,
        effect: { kind, value: Uint8Array.of(seq), flags: key, ttlLeftMs: ttl },
        origin,
        result: { kind: "stored", version: seq },
      }
    case "delete":
      return { ...own, effect: { kind }, origin, result: { kind: "deleted" } }
    case "none":
      return { ...own, effect: { kind }, origin, result: { kind: "missing" } }
    case "clear": {
      const to = { position: 2 ** 32, after: null }
      const effect = { kind, from: { position: 0, after: null }, to, prefix: Uint8Array.of(key) }
      return { ...own, effect, origin, result: { kind: "cleared", count: 0, next: null } }
    }
    case "group": {
      const value = { kind: "put", value: Uint8Array.of(seq), flags: key, ttlLeftMs: ttl } as const
      const writes = [
        { key: Uint8Array.of(key), effect: value },
        { key: Uint8Array.of((key + 1) % 6), effect: { kind: "delete" } as const },
      ]
      const result = { kind: "group-done", version: seq } as const
      return { ...own, key: new Uint8Array(), effect: { kind, writes }, origin, result }
    }
    case "forget-client":
      return { ...own, effect: { kind, client: `${client}` } }
  }
}

test("whatever was done, committed or not: what is read back is the same, and is undone to the same", () => {
  fc.assert(
    fc.property(operations, fc.nat(30), (choices, committed) => {
      const store = newStore()
      const shard = newShard(store)
      for (const [i, choice] of choices.entries()) {
        // Nobody is forgotten of whom something is still open.
        const isOpen = shard.log.some(({ op }) => op.origin?.client === `${choice.client}`)
        const op = opOf(isOpen && choice.kind === "forget-client" ? { ...choice, kind: "delete" } : choice, i + 1)
        shard.apply(op, hashed(op.key), 0)
        if (i + 1 === committed) shard.commitTo(committed)
      }
      const now = () => 100
      const parts = [...partsOf([shard], { store, now, rules: allRules })]
      const back = readBack(parts, 50, 1_000)
      const moved = (expiresAtMs: number) => expiresAtMs - 100 - 50 + 1_000
      const before = contentOf(shard, store, 100)
      const expected = {
        ...before,
        entries: before.entries.map(([k, v, s, at]) => [k, v, s, Math.max(1_000, moved(at))]),
      }
      const atLeast = contentOf(back.shard, back.store, 1_000)
      deepEqual(
        { ...atLeast, entries: atLeast.entries.map(([k, v, s, at]) => [k, v, s, Math.max(1_000, at)]) },
        expected,
      )
      shard.rollBackTo(shard.commit)
      back.shard.rollBackTo(back.shard.commit)
      const undone = contentOf(shard, store, 100)
      const undoneBack = contentOf(back.shard, back.store, 1_000)
      deepEqual(
        undoneBack.entries.map(([k, v, s]) => [k, v, s]),
        undone.entries.map(([k, v, s]) => [k, v, s]),
      )
      deepEqual(undoneBack.records, undone.records)
    }),
    { numRuns: 500 },
  )
})

test("taken twice, it is the same: nothing is used up by taking it", () => {
  const store = newStore()
  const shard = newShard(store)
  for (let seq = 1; seq <= 9; seq++) {
    const op = opOf({ key: seq % 4, kind: "put", client: 1, ttl: null }, seq)
    shard.apply(op, hashed(op.key), 0)
  }
  shard.commitTo(5)
  const taken = () => [...partsOf([shard], { store, now: () => 0, rules: allRules })]
  deepEqual(taken(), taken())
})

test("it comes in pieces, each about as large as a piece of a transfer", () => {
  const store = newStore()
  const shard = newShard(store)
  for (let seq = 1; seq <= 200; seq++) {
    const key = Uint8Array.of(seq >> 8, seq)
    const effect = { kind: "put", value: new Uint8Array(2_000), flags: 0, ttlLeftMs: null } as const
    shard.apply({ seq, key, effect, origin: null, result: null }, hashed(key), 0)
  }
  shard.commitTo(200)
  const parts = [...partsOf([shard], { store, now: () => 0, rules: allRules })]
  const counts = parts.flatMap(part => (part.kind === "entries" ? [part.entries.length] : []))
  equal(
    counts.reduce((sum, count) => sum + count, 0),
    200,
  )
  ok(Math.max(...counts) < 40, `${counts}`)
})

const begun: SnapshotPart = { kind: "shard", shard: 0, commit: 5 }
const entry = { key: Uint8Array.of(1), value: Uint8Array.of(1), flags: 0, version: 1, ttlLeftMs: null }
const wrong: readonly { readonly parts: readonly SnapshotPart[]; readonly problem: RegExp }[] = [
  { parts: [{ kind: "entries", entries: [entry] }], problem: /begin with a shard/ },
  { parts: [{ kind: "shard", shard: 7, commit: 0 }], problem: /no shard 7/ },
  { parts: [begun, begun], problem: /twice/ },
  {
    parts: [begun, { kind: "entries", entries: [{ ...entry, version: 6 }] }],
    problem: /newer than all that committed/,
  },
  {
    parts: [begun, { kind: "operations", ops: [opOf({ key: 1, kind: "put", client: 1, ttl: null }, 7)] }],
    problem: /gap/,
  },
]
for (const { parts, problem } of wrong)
  test(`what makes no sense is refused in words: ${problem.source}`, () => {
    const reader = new SnapshotReader({ view, store: newStore(), hashed, begun: () => {} })
    const problems = parts.map(part => reader.take(part, 0, 0))
    match(problems.at(-1) ?? "", problem)
  })
