import { equal } from "node:assert/strict"
import { test } from "node:test"
import type { DataMessage, ReplicatedOp, ShardConfig } from "../../protocol/message.ts"
import { MapStore } from "../../store/testing/map-store.ts"
import { type Follower, Lead } from "./lead.ts"
import { Shard } from "./shard.ts"
import type { Outgoing } from "./transfers.ts"

const config: ShardConfig = {
  q: 2,
  primary: "p",
  primarySince: 2,
  inSync: ["p"],
  learners: [{ id: "l", since: 2 }],
  orphan: false,
  resetAt: 0,
  seqBase: 0,
}

/** The lead of a shard with one learner that holds everything, and whose completion was proposed. */
function completeLearner(): { lead: Lead; shard: Shard; follower: Follower; sent: DataMessage[] } {
  const sent: DataMessage[] = []
  const hashed = (bytes: Uint8Array) => ({ bytes, position: 0 })
  const shard = new Shard({ index: 0, arc: { from: 0, to: 2 ** 32 }, config, store: new MapStore(), hashed })
  const options = {
    self: "p",
    replProbeMs: 60,
    replProbeMaxMs: 1_000,
    linkDownMs: 2_000,
    rules: { sync: true, commitNeedsAll: true },
  }
  const lead = new Lead(shard, { ...options, send: (_to, message) => sent.push(message), linkDown: () => {} }, 0)
  const transfer: Outgoing = {
    tid: 1,
    since: 2,
    cursor: undefined,
    nextIndex: 1,
    lastIndex: 0,
    endSeq: 0,
    underWayBytes: [],
    progressAtMs: 0,
    isIncluded: true,
    wasReady: true,
    readyAtMs: 0,
  }
  const follower = lead.fill("l", transfer, 0)
  return { lead, shard, follower, sent }
}

function append({ lead, shard }: { lead: Lead; shard: Shard }, count: number): void {
  for (let i = 0; i < count; i++) {
    const key = new Uint8Array([i])
    const op: ReplicatedOp = { seq: shard.seq + 1, key, effect: { kind: "none" }, origin: null, result: null }
    shard.apply(op, { bytes: key, position: i }, 0)
    lead.appended(0)
  }
}

const report = (seq: number, gap: boolean) =>
  ({ kind: "repl-ack", shard: 0, q: 2, tid: 1, seq, gap, headroom: 1 }) as const

test("an old report of a gap that has long been filled changes nothing", () => {
  const { lead, shard, follower, sent } = completeLearner()
  append({ lead, shard }, 3)
  lead.acknowledged("l", report(3, false), 100)
  shard.commitTo(lead.committable())
  const sentBefore = sent.length
  lead.acknowledged("l", report(1, true), 100)
  equal(follower.transfer?.isIncluded, true)
  equal(follower.acked, 3)
  equal(sent.length, sentBefore)
})

test("a report of a gap has everything from there sent again, once for all that tell of the same loss", () => {
  const { lead, shard, sent } = completeLearner()
  append({ lead, shard }, 3)
  sent.length = 0
  for (let i = 0; i < 3; i++) lead.acknowledged("l", report(1, true), 100)
  equal(sent.map(message => (message.kind === "repl" ? message.ops.map(({ seq }) => seq) : [])).join(" "), "2,3")
})
