/**
 * A node with nothing under way is called when the next thing that it waits for is due, and not before: what a cluster costs
 * that does nothing. Whatever it is told brings the next call near.
 */
import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { defaultConfig, simulatedConfig } from "../../src/config.ts"
import { CacheNode, type NodeOptions } from "../../src/core/node.ts"
import { allRules } from "../../src/core/rules.ts"
import { Prng } from "../../src/base/prng.ts"
import { simulatedCluster } from "./cluster.ts"

class CountingNode extends CacheNode {
  ticks = 0

  override tick(): void {
    this.ticks += 1
    super.tick()
  }
}

test("a cluster at rest calls its voters between beats, the others at their beats alone", () => {
  const nodes = new Map<string, CountingNode>()
  const makeNode = (options: NodeOptions) => {
    const node = new CountingNode(options)
    nodes.set(node.id, node)
    return node
  }
  const cluster = simulatedCluster({ nodes: 10, seed: 3, makeNode })
  cluster.run(12_000)
  for (const node of nodes.values()) node.ticks = 0
  cluster.run(3_000)

  const voters = new Set(cluster.voters().map(({ id }) => id))
  const beats = 3_000 / defaultConfig.beatMs
  for (const [id, { ticks }] of nodes)
    if (voters.has(id)) ok(ticks <= 2.5 * beats, `a voter was called ${ticks} times`)
    else ok(ticks <= 1.3 * beats, `a member was called ${ticks} times`)
  deepEqual(cluster.violations, [])
})

test("a death is noticed from rest as soon as silence says so", () => {
  const cluster = simulatedCluster({ nodes: 10, seed: 4 })
  cluster.run(12_000)
  const voters = new Set(cluster.voters())
  const victim = cluster.alive().find(process => !voters.has(process))
  ok(victim, "ten members are more than the voters")
  const diedAtMs = cluster.nowMs
  cluster.crash(victim, "machine")
  cluster.runUntil(() => !cluster.isMember(victim), { withinMs: 5_000, orElse: "it is removed" })
  const tookMs = cluster.nowMs - diedAtMs
  // The limit of silence, counted from its last beat; telling, one batch, and a decision.
  ok(tookMs < defaultConfig.suspectMs + defaultConfig.batchMs + 100, `it took ${tookMs} ms`)
})

test("whatever a node is told but beats brings its next call near", () => {
  let nowMs = 0
  let sooner = 0
  const id = "0000000000000001"
  const info = { name: "n", addr: "a:1", clientAddr: "a:1", zone: "z", witness: false, protoMin: 1, protoMax: 1 }
  const node = new CacheNode({
    config: simulatedConfig,
    self: { id, ...info },
    ...{ version: "test", seeds: [], wantedCopies: null, prng: new Prng(1), now: () => nowMs, rules: allRules },
    newCluster: { clusterId: "1".repeat(16), hashKey: [1, 2] },
    ports: {
      send: () => {},
      sendToAddress: () => {},
      sendToClient: () => {},
      event: () => {},
      tickSooner: () => (sooner += 1),
      claimSnapshot: () => {},
    },
  })
  equal(node.tickAtMs, Number.POSITIVE_INFINITY)
  node.start()
  equal(sooner, 1)
  const rest = () => {
    for (let ticks = 0; node.tickAtMs <= nowMs + simulatedConfig.tickMs; ticks++) {
      ok(ticks < 1_000, "it comes to rest")
      nowMs = Math.max(nowMs, node.tickAtMs)
      node.tick()
    }
  }
  const told: readonly (readonly [string, () => void])[] = [
    ["a message", () => node.receive("0000000000000002", { kind: "view-pull", have: 1 })],
    ["a client's", () => node.clientMessage(1, { kind: "client-pull", have: 1 })],
    ["a call", () => node.call({ key: new Uint8Array(1), operation: { op: "get" }, timeoutMs: 100 }, () => {})],
    ["a lost connection", () => node.linkLost("0000000000000002")],
    ["a refused one", () => node.peerRefused("0000000000000002")],
    ["a death", () => node.peerDied("0000000000000002")],
    ["a jump of the clock", () => node.clockJumped()],
  ]
  for (const [what, tell] of told) {
    rest()
    sooner = 0
    tell()
    equal(sooner, 1, what)
    ok(node.tickAtMs <= nowMs + simulatedConfig.tickMs, what)
  }
  rest()
  sooner = 0
  node.receive("0000000000000002", { kind: "beat-ack", n: 1, epoch: 1 })
  equal(sooner, 0)
})
