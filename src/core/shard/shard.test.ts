import { deepEqual, equal, ok, throws } from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import type { ReplicatedOp, ShardConfig } from "../../protocol/message.ts"
import { MapStore } from "../../store/testing/map-store.ts"
import type { HashedKey } from "../../store/store.ts"
import { newFilling, takePiece } from "./filling.ts"
import type { Stretch } from "./places.ts"
import { Shard, textOf } from "./shard.ts"

const config: ShardConfig = {
  q: 1,
  primary: "p",
  primarySince: 1,
  inSync: ["p"],
  learners: [],
  orphan: false,
  resetAt: 0,
  seqBase: 0,
}
const arc = { from: 0, to: 2 ** 32 }
const hashed = (name: string): HashedKey => ({
  bytes: new TextEncoder().encode(name),
  position: name.charCodeAt(0) << 20,
})

function shardOf(): { shard: Shard; store: MapStore } {
  const store = new MapStore()
  return {
    shard: new Shard({ index: 0, arc, config, store, hashed: key => hashed(new TextDecoder().decode(key)) }),
    store,
  }
}

function put(shard: Shard, name: string, text: string, n?: number): void {
  const op: ReplicatedOp = {
    seq: shard.seq + 1,
    key: hashed(name).bytes,
    effect: { kind: "put", value: new TextEncoder().encode(text), flags: 0, ttlLeftMs: null },
    origin: n === undefined ? null : { client: "c", n, ackedBelow: 1 },
    result: n === undefined ? null : { kind: "stored", version: shard.seq + 1 },
  }
  shard.apply(op, hashed(name), 0)
}

const read = (shard: Shard, name: string, which: "newest" | "committed") => {
  const entry = which === "newest" ? shard.newest(hashed(name)) : shard.committed(hashed(name))
  return entry === undefined ? undefined : textOf(entry.value)
}

test("readers see what has committed, writers what is newest", () => {
  const { shard } = shardOf()
  put(shard, "a", "1")
  put(shard, "a", "2")
  equal(read(shard, "a", "committed"), undefined)
  shard.commitTo(1)
  equal(read(shard, "a", "committed"), "1")
  equal(read(shard, "a", "newest"), "2")
})

test("an operation out of order is an error of our own, not a state", () => {
  const { shard } = shardOf()
  const op: ReplicatedOp = { seq: 2, key: hashed("a").bytes, effect: { kind: "none" }, origin: null, result: null }
  throws(() => shard.apply(op, hashed("a"), 0), /in order/)
})

test("what is committed is never undone", () => {
  const { shard } = shardOf()
  put(shard, "a", "1")
  shard.commitTo(1)
  throws(() => shard.rollBackTo(0), /never undone/)
})

test("an operation is sent again with what is left of its time to live", () => {
  const { shard } = shardOf()
  const effect = { kind: "put", value: new Uint8Array(1), flags: 0, ttlLeftMs: 100 } as const
  const record = shard.apply({ seq: 1, key: hashed("a").bytes, effect, origin: null, result: null }, hashed("a"), 1_000)
  deepEqual(shard.outgoing(record, 1_030).effect, { ...effect, ttlLeftMs: 70 })
  deepEqual(shard.outgoing(record, 1_200).effect, { ...effect, ttlLeftMs: 0 })
})

/** From one name up to, and with, another. */
function stretch(from: string, to: string): Stretch {
  const prefix = new Uint8Array(0)
  const [first, last] = [hashed(from), hashed(to)]
  return {
    from: { position: first.position, after: null },
    to: { position: last.position, after: last.bytes },
    prefix,
  }
}

test("a stretch is cleared by one operation: readers see it full until that has committed, and it can be undone", () => {
  const { shard } = shardOf()
  for (const name of ["a", "b", "c", "d"]) put(shard, name, `of ${name}`)
  shard.commitTo(4)
  const all = (which: "newest" | "committed") => ["a", "b", "c", "d"].map(name => read(shard, name, which))
  const clear = { ...{ seq: 5, key: new Uint8Array(0), origin: null, result: null } }
  shard.apply({ ...clear, effect: { kind: "clear", ...stretch("b", "c") } }, hashed("a"), 0)
  deepEqual(all("newest"), ["of a", undefined, undefined, "of d"])
  deepEqual(all("committed"), ["of a", "of b", "of c", "of d"])
  shard.rollBackTo(4)
  deepEqual(all("newest"), ["of a", "of b", "of c", "of d"])
  shard.apply({ ...clear, effect: { kind: "clear", ...stretch("b", "c") } }, hashed("a"), 0)
  put(shard, "c", "new")
  shard.commitTo(5)
  deepEqual(all("committed"), ["of a", undefined, undefined, "of d"])
  shard.commitTo(6)
  deepEqual(all("committed"), ["of a", undefined, "new", "of d"])
  equal(shard.logBytes, 0)
})

test("what a group deletes or writes over counts as uncommitted as long as it is kept", () => {
  const { shard } = shardOf()
  for (const name of ["a", "b"]) put(shard, name, "x".repeat(100_000))
  shard.commitTo(2)
  equal(shard.logBytes, 0)
  const effect = { kind: "put", value: new Uint8Array(1), flags: 0, ttlLeftMs: null } as const
  const writes = [
    { key: hashed("a").bytes, effect: { kind: "delete" } as const },
    { key: hashed("b").bytes, effect },
  ]
  const group = { key: new Uint8Array(0), effect: { kind: "group", writes }, origin: null, result: null } as const
  shard.apply({ seq: 3, ...group }, hashed("a"), 0)
  ok(shard.logBytes > 200_000)
  shard.rollBackTo(2)
  equal(shard.logBytes, 0)
  shard.apply({ seq: 3, ...group }, hashed("a"), 0)
  shard.commitTo(3)
  equal(shard.logBytes, 0)
})

test("a learner takes nothing of a stretch that was cleared from a piece that was read before, and all from a later one", () => {
  const { shard, store } = shardOf()
  shard.filling = { ...newFilling(1), tid: 1 }
  const piece = (index: number, endSeq: number, name: string, version: number) =>
    takePiece(
      shard,
      "p",
      {
        ...{ kind: "transfer-chunk", shard: 0, q: 1, tid: 1, index, endSeq, fin: false },
        entries: [{ ...{ key: hashed(name).bytes, value: new Uint8Array(1), flags: 0, version, ttlLeftMs: null } }],
      },
      0,
      { store, hashed: key => hashed(textOf(key)), send: () => {}, rules: { transferIds: true, piecesYield: true } },
    )
  shard.seq = 4
  const clear: ReplicatedOp["effect"] = { kind: "clear", ...stretch("b", "c") }
  shard.apply({ seq: 5, key: new Uint8Array(0), effect: clear, origin: null, result: null }, hashed("a"), 0)
  piece(0, 4, "b", 3)
  piece(1, 4, "d", 4)
  deepEqual([read(shard, "b", "newest"), read(shard, "d", "newest")], [undefined, "\0"])
  piece(2, 6, "c", 6)
  equal(read(shard, "c", "newest"), "\0")
  deepEqual(shard.filling?.clearings, [])
})

test("undoing and committing in any order give what applying the surviving operations alone would give", () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ what: fc.constant("put" as const), at: fc.nat(3) }) },
    { weight: 2, arbitrary: fc.record({ what: fc.constant("delete" as const), at: fc.nat(3) }) },
    { weight: 1, arbitrary: fc.record({ what: fc.constant("none" as const), at: fc.nat(3) }) },
    { weight: 1, arbitrary: fc.record({ what: fc.constant("clear" as const), at: fc.nat(3) }) },
    { weight: 1, arbitrary: fc.record({ what: fc.constant("forget" as const), at: fc.nat(0) }) },
    { weight: 2, arbitrary: fc.record({ what: fc.constant("commit" as const), at: fc.nat(100) }) },
    { weight: 2, arbitrary: fc.record({ what: fc.constant("undo" as const), at: fc.nat(100) }) },
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), steps => {
      const { shard, store } = shardOf()
      const names = ["a", "b", "c", "d"]
      /** The model: every operation that stands, in order. */
      let standing: ReplicatedOp[] = []
      let number = 0
      for (const { what, at } of steps) {
        if (what === "commit") {
          shard.commitTo(shard.commit + (at % (shard.seq - shard.commit + 1)))
          continue
        }
        if (what === "undo") {
          const to = shard.commit + (at % (shard.seq - shard.commit + 1))
          shard.rollBackTo(to)
          standing = standing.filter(({ seq }) => seq <= to)
          continue
        }
        number += 1
        const key = hashed(names[at] as string)
        const effect: ReplicatedOp["effect"] =
          what === "put"
            ? { kind: "put", value: new TextEncoder().encode(`v${number}`), flags: 0, ttlLeftMs: null }
            : what === "forget"
              ? { kind: "forget-client", client: "c" }
              : what === "clear"
                ? { kind: "clear", ...stretch(names[at] as string, "c") }
                : { kind: what }
        const isForgetting = what === "forget"
        const op: ReplicatedOp = {
          seq: shard.seq + 1,
          key: isForgetting ? new Uint8Array(0) : key.bytes,
          effect,
          origin: isForgetting ? null : { client: "c", n: number, ackedBelow: 1 },
          result: isForgetting ? null : { kind: "missing" },
        }
        shard.apply(op, key, 0)
        standing.push(op)
      }
      const expect = shardOf()
      for (const op of standing)
        expect.shard.apply(op, { ...hashed("a"), bytes: op.key, position: hashed(textOf(op.key) || "a").position }, 0)
      equal(shard.seq, expect.shard.seq)
      for (const name of names) equal(read(shard, name, "newest"), read(expect.shard, name, "newest"))
      equal(store.entries, expect.store.entries)
      for (let n = 1; n <= number; n++)
        equal(shard.dedup.find("c", n) === undefined, expect.shard.dedup.find("c", n) === undefined, `record ${n}`)
      shard.commitTo(shard.seq)
      for (const name of names) equal(read(shard, name, "committed"), read(shard, name, "newest"))
      equal(shard.log.length, 0)
    }),
    { numRuns: 500 },
  )
})
