/** Each checker is shown a cluster that lies to it in one thing, and says so. */
import { match, throws } from "node:assert/strict"
import { test } from "node:test"
import { CacheNode, type NodeOptions } from "../../src/core/node.ts"
import type { ShardInspection } from "../../src/core/shard/inspection.ts"
import { bytesOf } from "./client.ts"
import { type SimulatedCluster, simulatedCluster } from "./cluster.ts"
import type { SimulatedNode } from "./process.ts"

/** A real node, but for what is changed. */
type Tamper = (node: CacheNode, options: NodeOptions) => Partial<SimulatedNode>

function tampered(tamper: Tamper): (options: NodeOptions) => SimulatedNode {
  return options => {
    const node = new CacheNode(options)
    const honest: SimulatedNode = {
      get view() {
        return node.view
      },
      get phase() {
        return node.phase
      },
      get tickAtMs() {
        return node.tickAtMs
      },
      addressOf: id => node.addressOf(id),
      start: () => node.start(),
      tick: () => node.tick(),
      receive: (from, message) => node.receive(from, message),
      clientMessage: (connection, message) => node.clientMessage(connection, message),
      clientGone: connection => node.clientGone(connection),
      call: (asked, done) => node.call(asked, done),
      callNow: (key, operation) => node.callNow(key, operation),
      refuse: asked => node.refuse(asked),
      linkLost: peer => node.linkLost(peer),
      peerRefused: peer => node.peerRefused(peer),
      peerDied: peer => node.peerDied(peer),
      clockJumped: () => node.clockJumped(),
      leave: () => node.leave(),
      snapshot: () => node.snapshot(),
      snapshotWritten: () => node.snapshotWritten(),
      restore: (part, agoMs) => node.restore(part, agoMs),
      restored: () => node.restored(),
      snapshotClaimed: () => node.snapshotClaimed(),
      status: () => node.status(),
      serves: shard => node.serves(shard),
      get held() {
        return node.held
      },
      inspectShard: shard => node.inspectShard(shard),
    }
    return Object.defineProperties(honest, Object.getOwnPropertyDescriptors(tamper(node, options)))
  }
}

/** A few operations, and everything that is looked at when all is done. */
function liveThrough(cluster: SimulatedCluster): void {
  const client = cluster.client()
  for (const key of ["a", "b", "c", "d"]) client.set(key, `of ${key}`)
  cluster.run(500)
  cluster.checkAtRest()
  cluster.checkAtEnd()
  cluster.throwIfBroken()
}

const lies: readonly { readonly promise: RegExp; readonly lie: string; readonly tamper: Tamper }[] = [
  {
    promise: /one decided view per epoch/,
    lie: "a node with another content of the same epoch",
    tamper: (node, { self }) => ({
      get view() {
        return node.view && (self.name === "n2" ? { ...node.view, hash: node.view.hash + 1 } : node.view)
      },
    }),
  },
  {
    promise: /views make sense/,
    lie: "a primary that is not in sync",
    tamper: node => ({
      get view() {
        return node.view && { ...node.view, shards: node.view.shards.map(shard => ({ ...shard, inSync: ["nobody"] })) }
      },
    }),
  },
  { promise: /one server per shard/, lie: "nodes that serve everything", tamper: () => ({ serves: () => true }) },
  {
    promise: /acknowledged is held/,
    lie: "replicas that stay behind",
    tamper: node => ({
      inspectShard: shard => {
        const held = node.inspectShard(shard)
        return held && { ...held, seq: 0 }
      },
    }),
  },
  {
    promise: /replicas agree/,
    lie: "a replica with another value",
    tamper: (node, { self }) => ({
      inspectShard: shard => {
        const held = node.inspectShard(shard)
        if (held === undefined || self.name !== "n2") return held
        const entries = [...held.entries].map(([key, entry]) => [key, { ...entry, value: bytesOf("wrong") }] as const)
        return { ...held, entries: new Map(entries) }
      },
    }),
  },
  {
    promise: /has an explanation/,
    lie: "copies that all hold what nobody wrote",
    tamper: node => ({
      inspectShard: shard => {
        const held = node.inspectShard(shard)
        const entries = [...(held?.entries ?? [])].map(
          ([key, entry]) => [key, { ...entry, value: bytesOf("old") }] as const,
        )
        return held && { ...held, entries: new Map(entries) }
      },
    }),
  },
  {
    promise: /comes to rest/,
    lie: "a node without a lease",
    tamper: node => ({ status: () => ({ ...node.status(), hasLease: false }) }),
  },
  {
    promise: /nothing grows without end/,
    lie: "a node that keeps what it should have dropped",
    tamper: node => ({ status: () => ({ ...node.status(), entries: 99 }) }),
  },
  {
    promise: /no node loses track of itself/,
    lie: "a node that throws",
    tamper: node => ({
      clientMessage: (connection, message) => {
        if (message.kind === "request") throw new Error("lost")
        node.clientMessage(connection, message)
      },
    }),
  },
]

for (const { promise, lie, tamper } of lies)
  test(`${lie}: ${promise.source}`, () => {
    throws(() => liveThrough(simulatedCluster({ nodes: 3, seed: 5, makeNode: tampered(tamper) })), promise)
  })

test("with honest nodes the same few operations break no promise", () => {
  liveThrough(simulatedCluster({ nodes: 3, seed: 5, makeNode: tampered(() => ({})) }))
})

/** What a copy of the second shard of a group holds, with a lie in it. */
const liesOfPart: readonly {
  readonly says: RegExp
  readonly lie: (held: ShardInspection) => Partial<ShardInspection>
}[] = [
  { says: /knows nothing of it/, lie: () => ({ recordOf: () => undefined }) },
  { says: /remembers it as group-unmet/, lie: () => ({ recordOf: () => ({ kind: "group-unmet", step: 0 }) }) },
  {
    says: /has version 1 of it/,
    lie: ({ entries }) => ({ entries: new Map([...entries].map(([key, entry]) => [key, { ...entry, version: 1 }])) }),
  },
]

for (const { says, lie } of liesOfPart)
  test(`a copy of one part of an acknowledged group: ${says.source}`, () => {
    let second: number | undefined
    const tamper: Tamper = (node, { self }) => ({
      inspectShard: shard => {
        const held = node.inspectShard(shard)
        return (
          held && (shard === second && node.view?.shards[shard]?.primary !== self.id ? { ...held, ...lie(held) } : held)
        )
      },
    })
    const cluster = simulatedCluster({ nodes: 3, seed: 5, makeNode: tampered(tamper) })
    const client = cluster.client()
    const keys = ["a", cluster.keyBeside("a", ({ inSync }) => inSync.length === 2)] as const
    client.group(keys.map(key => ({ key, change: "set", value: "old" })))
    second = cluster.shardOf(keys[1])
    throws(() => client.group(keys.map(key => ({ key, change: "set", value: "new" }))), says)
  })

test("an answer that nobody wrote has no explanation", () => {
  const cluster = simulatedCluster({ nodes: 1, seed: 5 })
  const record = cluster.recorder.begin(1, "k", { op: "get" })
  cluster.recorder.end(record, { kind: "value", value: bytesOf("from nowhere"), flags: 0, version: 1 })
  cluster.checkAtEnd()
  match(cluster.violations[0]?.promise ?? "", /has an explanation/)
})

test("a value that is read after its end is noticed, where nothing was late, to the hundredth of a second", () => {
  const cluster = simulatedCluster({ nodes: 3, seed: 5 })
  const { recorder } = cluster
  recorder.end(recorder.begin(1, "k", { op: "set", value: "v", ttlMs: 100 }), { kind: "stored", version: 1 })
  cluster.run(120)
  recorder.end(recorder.begin(1, "k", { op: "get" }), { kind: "value", value: bytesOf("v"), flags: 0, version: 1 })
  cluster.checkAtEnd()
  match(cluster.violations[0]?.promise ?? "", /expired is gone/)
})
