import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { type Config, simulatedConfig } from "../../config.ts"
import { maxFrameBytes, maxValueBytes } from "../../protocol/limits.ts"
import type { DataMessage, NodeId, Operation, ReplicatedOp, Reply, ShardConfig, View } from "../../protocol/message.ts"
import { initialView } from "../layout.ts"
import { hashKeyPosition } from "../../base/hash.ts"
import type { Pending } from "../requests.ts"
import { allRules } from "../rules.ts"
import { MapStore } from "../../store/testing/map-store.ts"
import { bytesOf } from "./shard.ts"
import { Shards } from "./shards.ts"

const member = (id: NodeId) => ({
  id,
  name: id,
  addr: `${id}:1`,
  clientAddr: `${id}:1`,
  zone: "",
  witness: false,
  protoMin: 1,
  protoMax: 1,
})

/** A shard that one node holds alone; tests change what they are about. */
const base: ShardConfig = {
  q: 1,
  primary: "p",
  primarySince: 1,
  inSync: ["p"],
  learners: [],
  orphan: false,
  resetAt: 0,
  seqBase: 0,
}

/** A view in which the last of `shardCount` shards is as `config` says; the others are led by somebody else. */
function viewOf(epoch: number, members: readonly NodeId[], config: ShardConfig, shardCount = 1): View {
  const cluster = { clusterId: "c", generation: 1, copies: 2, maxVoters: 7, hashKey: [1, 2], shardCount } as const
  const founded = initialView({ ...cluster, member: member("z") })
  return {
    ...founded,
    epoch,
    members: members.map(id => ({ ...member(id), since: 1, voter: false, leaving: false })),
    shards: [...founded.shards.slice(0, -1), config],
  }
}

/** The shards of one node, and all that they send, propose and answer. */
function nodeOf(self: NodeId, settings: Partial<Config> = {}) {
  const sent: { to: NodeId; message: DataMessage }[] = []
  const answers: Reply[] = []
  const lease = { isHeld: true }
  let view: View | undefined
  let operations = 0
  const shards = new Shards({
    self,
    config: { ...simulatedConfig, ...settings },
    rules: allRules,
    makeStore: options => new MapStore(options),
    send: (to, message) => sent.push({ to, message }),
    hasLease: () => lease.isHeld,
    isFenced: () => false,
    unfence: () => {},
    pull: () => {},
    propose: () => {},
    linkDown: () => {},
    answer: (_pending, reply) => answers.push(reply),
    rerun: (pending, nowMs) => shards.execute(last(), pending, hashed(pending.request.key), nowMs),
  })
  const hashed = (bytes: Uint8Array) => ({ bytes, position: hashKeyPosition(bytes, [1, 2]) })
  const last = () => (view?.shards.length ?? 1) - 1
  return {
    shards,
    sent,
    answers,
    lease,
    install(after: View, nowMs: number, how: "contiguous" | "gap" = "contiguous") {
      const before = view
      view = after
      shards.viewInstalled({ before, after, gap: how === "gap", changed: [last()] }, nowMs)
    },
    /** The same operation once more. */
    askAgain(operation: Operation, nowMs: number) {
      operations -= 1
      this.ask(operation, nowMs)
    },
    ask(operation: Operation, nowMs: number, clientId = "c", keyByte = 1) {
      operations += 1
      const key = new Uint8Array([keyByte])
      const request = { clientId, n: operations, ackedBelow: 1, firstEpoch: 1, key, operation, deadlineMs: 5_000 }
      const pending: Pending = {
        origin: { kind: "client", connection: 1, attempt: 1 },
        request,
        arrivedAtMs: nowMs,
        deadlineAtMs: nowMs + 5_000,
      }
      shards.execute(last(), pending, hashed(request.key), nowMs)
    },
    inspect: () => shards.inspect(last()),
    /** What was sent last of this kind. */
    lastSent<Kind extends DataMessage["kind"]>(kind: Kind): Extract<DataMessage, { kind: Kind }> {
      const found = sent.findLast(({ message }) => message.kind === kind)?.message
      ok(found?.kind === kind, `a ${kind} was sent`)
      return found as Extract<DataMessage, { kind: Kind }> // its kind was compared
    },
  }
}

const write = (bytes: number): Operation => ({
  op: "set",
  value: new Uint8Array(bytes),
  flags: 0,
  ttlMs: null,
  condition: null,
})
const put = (seq: number, bytes: number): ReplicatedOp => ({
  seq,
  key: new Uint8Array([seq]),
  effect: { kind: "put", value: new Uint8Array(bytes), flags: 0, ttlLeftMs: null },
  origin: null,
  result: null,
})

/** A transfer of nothing, from its beginning to its end. */
function fill(node: ReturnType<typeof nodeOf>, from: NodeId, q: number): void {
  const transfer = { shard: 0, q, tid: 1 }
  node.shards.receive(from, { kind: "transfer-begin", ...transfer, since: q, baseSeq: 0, commit: 0, dedup: [] }, 0)
  node.shards.receive(from, { kind: "transfer-chunk", ...transfer, index: 0, entries: [], fin: true, endSeq: 0 }, 0)
}

// ------------------------------------------------------------------------------------------------------ roles

for (const how of ["contiguous", "gap"] as const)
  test(`a learner whose completion is decided together with the loss of all holders is a last holder (${how})`, () => {
    const node = nodeOf("l")
    node.install(viewOf(2, ["p", "l"], { ...base, q: 2, learners: [{ id: "l", since: 2 }] }), 0, "gap")
    fill(node, "p", 2)
    node.shards.receive("p", { kind: "repl", shard: 0, q: 2, tid: 1, ops: [put(1, 10)], commit: 1, last: 1 }, 0)
    // The batch was: ready of the learner, removal of the primary, removal of the learner.
    const lost = { ...base, q: 3, primary: null, primarySince: 3, inSync: ["p", "l"], orphan: true }
    node.install(viewOf(how === "gap" ? 9 : 3, ["z"], lost), 0, how)
    equal(node.inspect()?.role, "orphan")
    equal(node.inspect()?.entries.size, 1)
  })

test("a replica that is made equal to a new primary never lacks what it has acknowledged, between any two messages", () => {
  const three = { ...base, q: 3, inSync: ["p", "n", "b"] }
  const failedOver = { ...base, q: 4, primary: "n", primarySince: 4, inSync: ["n", "b"] }
  const replicas = ["n", "b"].map(id => {
    const node = nodeOf(id)
    node.install(viewOf(2, ["p", "n", "b"], { ...base, q: 2, learners: [{ id, since: 2 }] }), 0, "gap")
    fill(node, "p", 2)
    node.install(viewOf(3, ["p", "n", "b"], three), 0)
    // More than fits one message of the stream. Once both have acknowledged it, the primary answers, and dies.
    const ops = [1, 2, 3].map(seq => put(seq, 100_000))
    node.shards.receive("p", { kind: "repl", shard: 0, q: 3, tid: 0, ops, commit: 0, last: 3 }, 0)
    equal(node.lastSent("repl-ack").seq, 3)
    return node
  })
  const [next, other] = replicas
  ok(next && other)
  for (const node of replicas) node.install(viewOf(4, ["n", "b"], failedOver), 10)
  for (let i = 0; i < next.sent.length; i++) {
    const { to, message } = next.sent[i] ?? {}
    if (to === "b" && (message?.kind === "sync" || message?.kind === "repl")) other.shards.receive("n", message, 10)
    equal(other.inspect()?.seq, 3)
  }
  equal(other.lastSent("sync-ack").seq, 3)
})

// ---------------------------------------------------------------------------------------------------- bounds

test("what a shard holds uncommitted fits one frame, whatever its clients write; beyond, they are asked to wait", () => {
  // Just below the bound comes one that is as large as can be.
  const bound = simulatedConfig.maxUncommittedBytes
  for (const { sizes, because } of [
    { sizes: [maxValueBytes, maxValueBytes], because: "one large value is enough" },
    { sizes: [bound - 200, maxValueBytes, 1], because: "the last may go beyond" },
    { sizes: new Array<number>(simulatedConfig.maxUncommitted + 1).fill(0), because: "small ones are counted" },
  ]) {
    const node = nodeOf("p", { maxBytes: 2 ** 30, maxPendingPerKey: Number.POSITIVE_INFINITY })
    node.install(viewOf(1, ["p"], base), 0)
    node.install(viewOf(2, ["p", "b"], { ...base, q: 2, learners: [{ id: "b", since: 2 }] }), 0)
    node.shards.tick(0)
    const { tid } = node.lastSent("transfer-chunk")
    // The learner is complete, so that it must acknowledge every write; and it does no more.
    node.shards.receive("b", { kind: "transfer-ack", shard: 0, q: 2, tid, index: 0 }, 0)
    for (const size of sizes) node.ask(write(size), 0)
    deepEqual(
      node.answers.map(({ kind }) => kind),
      ["busy"],
      because,
    )
    const ops = node.sent.flatMap(({ message }) => (message.kind === "repl" ? message.ops : []))
    ok(ops.reduce((sum, op) => sum + bytesOf(op), 0) < maxFrameBytes, because)
  }
})

for (const { what, values, bytes, step, isTaken } of [
  { what: "touches values that fit one frame", values: 2, bytes: 3 * 2 ** 20, step: "touch", isTaken: true },
  { what: "touches values that together do not", values: 3, bytes: 3 * 2 ** 20, step: "touch", isTaken: false },
  { what: "deletes values that may be held until then", values: 4, bytes: 7 * 2 ** 20, step: "delete", isTaken: true },
  { what: "deletes values that are too much for that", values: 5, bytes: 7 * 2 ** 20, step: "delete", isTaken: false },
  {
    what: "checks values that are too much for one step",
    values: 5,
    bytes: 7 * 2 ** 20,
    step: "check",
    isTaken: false,
  },
] as const)
  test(`a group that ${what} is ${isTaken ? "done" : "refused before anything is"}`, () => {
    const operations = {
      touch: { op: "touch", ttlMs: 5, condition: null },
      delete: { op: "delete", condition: null },
      check: { op: "check", condition: { if: "present" } },
    } as const
    const keys = Array.from({ length: values }, (_, i) => new Uint8Array([i + 1]))
    const group: Operation = { op: "group", steps: keys.map(key => ({ key, operation: operations[step] })) }
    const nodeWithValues = () => {
      const node = nodeOf("p", { maxBytes: 2 ** 30 })
      node.install(viewOf(1, ["p"], base), 0)
      for (const [keyByte] of keys) node.ask(write(bytes), 0, "c", keyByte)
      return node
    }
    const asked = nodeWithValues()
    asked.ask(group, 0)
    const version = values + 1
    const refusal = { kind: "rejected", reason: "group-too-large" }
    deepEqual(asked.answers.at(-1), isTaken ? { kind: "group-done", version } : refusal)
    equal(asked.inspect()?.seq, isTaken ? version : values)
    const own = nodeWithValues()
    const result = own.shards.executeNow(0, group, { bytes: new Uint8Array([1]), position: 0 }, 0)
    deepEqual(result, isTaken ? { kind: "group-done", version } : undefined)
    equal(own.inspect()?.seq, isTaken ? version : values)
  })

test("of messages for a view that has not come, the first so many are kept and taken up with it; pieces are not", () => {
  const node = nodeOf("b")
  node.install(viewOf(2, ["p", "b"], { ...base, q: 2, learners: [{ id: "b", since: 2 }] }), 0, "gap")
  fill(node, "p", 2)
  const after = viewOf(3, ["p", "b"], { ...base, q: 3, inSync: ["p", "b"] })
  const chunk = { kind: "transfer-chunk", shard: 0, q: 3, tid: 1, index: 0, entries: [], fin: true, endSeq: 0 } as const
  for (let i = 0; i < 2_000; i++) node.shards.receive("p", chunk, 0)
  for (let seq = 1; seq <= 2_000; seq++)
    node.shards.receive("p", { kind: "repl", shard: 0, q: 3, tid: 0, ops: [put(seq, 1)], commit: 0, last: seq }, 0)
  node.install(after, 0)
  equal(node.inspect()?.seq, 1_024)
})

test("clients that fall silent are forgotten as fast as they came, also where writes never pause", () => {
  // Ten new clients a second, each of which writes once to the same shard: a command-line tool in a loop. With this many
  // shards each one is looked at every 5 s. There is always a write that its replica has not acknowledged yet.
  const shardCount = 4_096
  const node = nodeOf("p", { dedupIdleMs: 10_000 })
  const alone = { ...base, q: 2 }
  node.install(viewOf(1, ["p"], base, shardCount), 0)
  node.install(viewOf(2, ["p", "b"], { ...alone, learners: [{ id: "b", since: 2 }] }, shardCount), 0)
  node.shards.tick(0)
  const shard = shardCount - 1
  const { tid } = node.lastSent("transfer-chunk")
  node.shards.receive("b", { kind: "transfer-ack", shard, q: 2, tid, index: 0 }, 0)
  for (let nowMs = 0; nowMs < 40_000; nowMs += 20) {
    const acknowledged = { kind: "repl-ack", shard, q: 2, tid, gap: false, headroom: 2 ** 30 } as const
    node.shards.receive("b", { ...acknowledged, seq: node.inspect()?.seq ?? 0 }, nowMs)
    if (nowMs % 100 === 0) node.ask(write(1), nowMs, `${nowMs}`)
    node.shards.tick(nowMs)
  }
  const { dedupClients = 0 } = node.inspect() ?? {}
  ok(dedupClients >= 100, "none before its time")
  ok(dedupClients < 160, `${dedupClients} clients are remembered, of which 100 may ask again`)
})

// -------------------------------------------------------------------------------------------------- forgetting

/** A primary with little memory and one complete copy, which acknowledges everything at once. */
function crowded(settings: Partial<Config> = {}) {
  const node = nodeOf("p", { maxBytes: 2_000, eviction: "lru", ...settings })
  node.install(viewOf(1, ["p"], base), 0)
  node.install(viewOf(2, ["p", "b"], { ...base, q: 2, learners: [{ id: "b", since: 2 }] }), 0)
  node.shards.tick(0)
  const { tid } = node.lastSent("transfer-chunk")
  node.shards.receive("b", { kind: "transfer-ack", shard: 0, q: 2, tid, index: 0 }, 0)
  const acknowledge = (headroom = 0) => {
    const seq = node.inspect()?.seq ?? 0
    node.shards.receive("b", { kind: "repl-ack", shard: 0, q: 2, tid, seq, gap: false, headroom }, 0)
  }
  return { node, acknowledge, orders: () => node.sent.filter(({ message }) => message.kind === "forget") }
}

test("what a primary has no memory for is told to its copies, a tick's worth in one message; a full copy stops nobody", () => {
  const { node, acknowledge, orders } = crowded()
  for (let key = 1; key <= 12; key++) {
    node.ask(write(100), 0, "c", key)
    acknowledge()
  }
  equal(node.answers.filter(({ kind }) => kind === "stored").length, 12)
  equal(orders().length, 0)
  node.shards.tick(20)
  const [order] = orders()
  deepEqual([orders().length, order?.to], [1, "b"])
  const held = node.inspect()?.entries ?? new Map()
  ok(order?.message.kind === "forget")
  const gone = order.message.entries.map(([key]) => String.fromCharCode(...key))
  equal(gone.length + held.size, 12)
  ok(gone.every(key => !held.has(key)))
})

test("a primary tells nobody what it forgot when it leads no more", () => {
  const { node, acknowledge, orders } = crowded()
  for (let key = 1; key <= 12; key++) {
    node.ask(write(100), 0, "c", key)
    acknowledge()
  }
  node.install(viewOf(3, ["p", "b"], { ...base, q: 3, primary: "b", primarySince: 3, inSync: ["b", "p"] }), 10)
  node.shards.tick(20)
  equal(orders().length, 0)
})

test("what is not committed is not dropped, however little memory there is", () => {
  const { node, orders } = crowded()
  for (let key = 1; key <= 12; key++) node.ask(write(100), 0, "c", key)
  node.shards.tick(20)
  equal(node.inspect()?.entries.size, 12)
  equal(orders().length, 0)
})

test("where nothing is forgotten a primary refuses what does not fit it, or a copy that said so, before it has a number", () => {
  for (const maxBytes of [2_000, 2 ** 20]) {
    const { node, acknowledge, orders } = crowded({ eviction: "none", maxBytes })
    for (let key = 1; key <= 12; key++) {
      node.ask(write(100), 0, "c", key)
      acknowledge()
    }
    const stored = node.answers.filter(({ kind }) => kind === "stored").length
    deepEqual([node.answers.at(-1)?.kind, node.inspect()?.seq], ["full", stored])
    // The copy has room for nothing, and says so with its first acknowledgement.
    equal(stored, maxBytes === 2_000 ? stored : 1)
    node.shards.tick(20)
    equal(orders().length, 0)
  }
})

test("a copy forgets at its primary's word: the version named, when nothing is open, and nobody else's", () => {
  const node = nodeOf("b")
  node.install(viewOf(2, ["p", "b"], { ...base, q: 2, primarySince: 2, learners: [{ id: "b", since: 2 }] }), 0, "gap")
  fill(node, "p", 2)
  node.install(viewOf(3, ["p", "b"], { ...base, q: 3, primarySince: 2, inSync: ["p", "b"] }), 0)
  const repl = { kind: "repl", shard: 0, q: 3, tid: 0 } as const
  const forget = (from: NodeId, key: number, version: number, epoch = 3) =>
    node.shards.forget(from, { kind: "forget", epoch, entries: [[new Uint8Array([key]), version]] })
  const keys = () => [...(node.inspect()?.entries.keys() ?? [])].map(key => key.charCodeAt(0)).sort()
  node.shards.receive("p", { ...repl, ops: [put(1, 1), put(2, 1), put(3, 1)], commit: 2, last: 3 }, 0)
  forget("p", 1, 2)
  forget("z", 1, 1)
  forget("p", 1, 1, 1)
  forget("p", 3, 3)
  deepEqual(keys(), [1, 2, 3])
  forget("p", 1, 1)
  forget("p", 2, 2, 2)
  deepEqual(keys(), [3])
  // Nobody is answered, told that it is late, or kept waiting.
  equal(node.sent.filter(({ message }) => message.kind === "stale").length, 0)
})

// ------------------------------------------------------------------------------------------- no longer held

/** A replica of two thousand entries that a view takes from it. */
function released() {
  const node = nodeOf("b")
  node.install(viewOf(2, ["p", "b"], { ...base, q: 2, learners: [{ id: "b", since: 2 }] }), 0, "gap")
  fill(node, "p", 2)
  node.install(viewOf(3, ["p", "b"], { ...base, q: 3, inSync: ["p", "b"] }), 0)
  const ops = Array.from({ length: 2_000 }, (_, i) => ({ ...put(i + 1, 1), key: new Uint8Array([i, i >> 8]) }))
  node.shards.receive("p", { kind: "repl", shard: 0, q: 3, tid: 0, ops, commit: 2_000, last: 2_000 }, 0)
  equal(node.shards.store?.entries, 2_000)
  node.install(viewOf(4, ["p", "b"], { ...base, q: 4, inSync: ["p"] }), 0)
  return node
}

test("what a node no longer holds goes in slices, not in the step that takes it away", () => {
  const node = released()
  equal(node.shards.store?.entries, 2_000)
  const left: (number | undefined)[] = []
  for (; node.shards.hasWork; node.shards.work(0)) left.push(node.shards.store?.entries)
  equal(node.shards.store?.entries, 0)
  ok(left.length === 2 && (left[1] ?? 0) > 500, `${left}`)
})

test("a node that is given back what it no longer held begins with nothing, at once", () => {
  const node = released()
  node.shards.work(0)
  node.install(viewOf(5, ["p", "b"], { ...base, q: 5, learners: [{ id: "b", since: 5 }] }), 0)
  equal(node.shards.store?.entries, 0)
  const transfer = { shard: 0, q: 5, tid: 2 }
  node.shards.receive("p", { kind: "transfer-begin", ...transfer, since: 5, baseSeq: 0, commit: 0, dedup: [] }, 0)
  const entries = [{ key: new Uint8Array([1]), value: new Uint8Array(1), flags: 0, version: 9, ttlLeftMs: null }]
  node.shards.receive("p", { kind: "transfer-chunk", ...transfer, index: 0, entries, fin: true, endSeq: 9 }, 0)
  while (node.shards.hasWork) node.shards.work(0)
  node.shards.work(0)
  equal(node.shards.store?.entries, 1)
})

// ---------------------------------------------------------------------------------------------------- expiry

const fleeting = (ttlMs: number): Operation => ({ ...set1, ttlMs })
const set1 = { op: "set", value: new Uint8Array(1), flags: 0, condition: null } as const

for (const eviction of ["lru", "none"] as const)
  test(`what expires at one instant goes in slices, as long as somebody has nothing better to do (${eviction})`, () => {
    const node = nodeOf("p", { eviction, sweepBatch: 100 })
    node.install(viewOf(1, ["p"], base), 0)
    for (let key = 0; key < 256; key++) node.ask(fleeting(1_000), 0, "c", key)
    node.shards.tick(999)
    deepEqual([node.inspect()?.entries.size, node.shards.hasWork], [256, false])
    const left: (number | undefined)[] = []
    for (node.shards.tick(1_000); node.shards.hasWork; node.shards.work(1_000)) left.push(node.inspect()?.entries.size)
    deepEqual(left, [156, 56])
    equal(node.inspect()?.entries.size, 0)
  })

test("where nothing is forgotten expired entries are deleted by their primary, no faster than its copies follow, and clients come first", () => {
  const { node, acknowledge } = crowded({ eviction: "none", maxBytes: 2 ** 20, maxUncommitted: 80, sweepBatch: 100 })
  for (let key = 0; key < 50; key++) {
    node.ask(fleeting(1_000), 0, "c", key)
    acknowledge(2 ** 20)
  }
  const left = () => node.inspect()?.entries.size
  node.shards.tick(1_000)
  deepEqual([left(), node.inspect()?.uncommitted], [30, 20])
  node.shards.tick(1_020)
  equal(left(), 30)
  node.ask(write(1), 1_020, "c", 200)
  equal(node.inspect()?.uncommitted, 21)
  acknowledge(2 ** 20)
  node.shards.tick(1_040)
  equal(left(), 11)
})

test("a copy waits for its primary to delete what has expired, or forgets it by its own clock where anything may be forgotten", () => {
  for (const eviction of ["none", "s3fifo"] as const) {
    const node = nodeOf("b", { eviction })
    node.install(viewOf(2, ["p", "b"], { ...base, q: 2, learners: [{ id: "b", since: 2 }] }), 0, "gap")
    fill(node, "p", 2)
    node.install(viewOf(3, ["p", "b"], { ...base, q: 3, inSync: ["p", "b"] }), 0)
    const effect = { kind: "put", value: new Uint8Array(1), flags: 0, ttlLeftMs: 500 } as const
    const ops = [1, 2].map(seq => ({ ...put(seq, 1), effect }))
    node.shards.receive("p", { kind: "repl", shard: 0, q: 3, tid: 0, ops, commit: 1, last: 2 }, 0)
    node.shards.tick(600)
    // What is still open stays in any case.
    equal(node.inspect()?.entries.size, eviction === "none" ? 2 : 1)
  }
})

// --------------------------------------------------------------------------------------------------- waiting

test("an operation that waits for a lease goes on by itself when the lease was lost and regained unseen", () => {
  const node = nodeOf("p")
  node.install(viewOf(1, ["p"], base), 0)
  node.lease.isHeld = false
  node.ask({ op: "get" }, 100)
  deepEqual(node.answers, [])
  // The grant arrives between two ticks: whoever compares one tick with the next sees no change, and tells nobody.
  node.lease.isHeld = true
  node.shards.tick(120)
  deepEqual(node.answers, [{ kind: "missing" }])
  equal(node.inspect()?.parked, 0)
})

test("an operation that waits for a lease is refused after a while, and not before", () => {
  const node = nodeOf("p", { parkWithoutLeaseMs: 200 })
  node.install(viewOf(1, ["p"], base), 0)
  node.lease.isHeld = false
  node.ask({ op: "get" }, 100)
  node.shards.tick(300)
  deepEqual(node.answers, [])
  node.shards.tick(301)
  deepEqual(node.answers, [{ kind: "unavailable", reason: "minority" }])
})

// ------------------------------------------------------------------------------------------------------ waiting

/** A primary with one operation that its replica does not acknowledge. */
function withOneOpen() {
  const node = nodeOf("n")
  node.install(viewOf(2, ["p", "n"], { ...base, q: 2, learners: [{ id: "n", since: 2 }] }), 0, "gap")
  fill(node, "p", 2)
  node.install(viewOf(3, ["p", "n", "r"], { ...base, q: 3, inSync: ["p", "n", "r"] }), 0)
  node.install(viewOf(4, ["n", "r"], { ...base, q: 4, primary: "n", primarySince: 4, inSync: ["n", "r"] }), 0)
  node.shards.receive("r", { kind: "sync-ack", shard: 0, q: 4, seq: 0 }, 0)
  node.ask(write(10), 0)
  equal(node.answers.length, 0)
  return node
}

test("who waits for an operation that does not commit is told so at the deadline, once, and the operation stays", () => {
  const node = withOneOpen()
  for (let nowMs = 20; nowMs <= 4_980; nowMs += 20) node.shards.tick(nowMs)
  equal(node.answers.length, 0)
  for (let nowMs = 5_000; nowMs <= 5_200; nowMs += 20) node.shards.tick(nowMs)
  deepEqual(node.answers, [{ kind: "timeout" }])
  equal(node.inspect()?.uncommitted, 1)
})

test("of one operation that does not commit so many attempts wait; others are told to come back", () => {
  const node = withOneOpen()
  for (let i = 1; i < 100; i++) node.askAgain(write(10), 0)
  deepEqual(node.answers, new Array(100 - 64).fill({ kind: "retry", afterMs: 20 }))
})

test("without a lease those who wait are not left waiting: its fate is open, and asked again it is refused", () => {
  const node = withOneOpen()
  node.shards.tick(20)
  node.lease.isHeld = false
  for (let nowMs = 40; nowMs <= 200; nowMs += 20) node.shards.tick(nowMs)
  equal(node.answers.length, 0)
  for (let nowMs = 220; nowMs <= 300; nowMs += 20) node.shards.tick(nowMs)
  deepEqual(node.answers, [{ kind: "retry", afterMs: 20 }])
  node.ask(write(10), 320)
  for (let nowMs = 340; nowMs <= 600; nowMs += 20) node.shards.tick(nowMs)
  deepEqual(node.answers.at(-1), { kind: "unavailable", reason: "minority" })
  equal(node.inspect()?.uncommitted, 1)
})

test("an attempt at a transfer that is lost in silence makes the next one wait longer; broken connections do not", () => {
  const timeoutMs = simulatedConfig.transferTimeoutMs
  for (const { lost, isBegunAgain } of [
    { lost: "in silence", isBegunAgain: false },
    { lost: "with its connection", isBegunAgain: true },
  ] as const) {
    const node = nodeOf("p")
    node.install(viewOf(1, ["p"], base), 0)
    node.install(viewOf(2, ["p", "b"], { ...base, q: 2, learners: [{ id: "b", since: 2 }] }), 0)
    node.shards.tick(0)
    const begun = () => node.sent.filter(({ message }) => message.kind === "transfer-begin").length
    let nowMs = 0
    for (let attempt = 1; attempt <= 4; attempt++) {
      equal(begun(), attempt)
      nowMs += lost === "in silence" ? timeoutMs * 2 ** (attempt - 1) + 1 : 1
      if (lost === "with its connection") node.shards.linkLost("b")
      node.shards.tick(nowMs)
    }
    node.shards.tick(nowMs + timeoutMs + 1)
    equal(begun(), isBegunAgain ? 6 : 5, lost)
  }
})
