/**
 * What may go wrong where nodes forget: each moment staged, with the rule that is there for it and without. Machines are
 * small or large by their number; what a small one leads is forgotten, what a large one backs is not.
 */
import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import type { Rules } from "../../src/core/rules.ts"
import type { PeerMessage } from "../../src/protocol/message.ts"
import { questions, type SimulatedClient } from "./client.ts"
import { BrokenPromise, type SimulatedCluster, simulatedCluster } from "./cluster.ts"
import type { SimulatedProcess } from "./process.ts"

/** Room for a dozen small entries on the first machine, for all on the others. */
const smallFirst = (machine: number) => (machine === 0 ? 2_700 : undefined)

/** Keys led by the first machine, as many as asked for. */
function keysOfFirst(cluster: SimulatedCluster, count: number): string[] {
  const keys: string[] = []
  for (let i = 0; keys.length < count; i++)
    if (cluster.primaryOf(`key${i}`) === cluster.processes[0]) keys.push(`key${i}`)
  return keys
}

function holds(cluster: SimulatedCluster, process: SimulatedProcess, key: string): string | undefined {
  const entry = process.node.inspectShard(cluster.shardOf(key))?.entries.get(key)
  return entry && new TextDecoder().decode(entry.value)
}

/** Writes other keys of the first machine until it has no memory for this one, or for any of these, any more. */
function crowdOut(cluster: SimulatedCluster, client: SimulatedClient, keys: readonly string[]): void {
  const [first] = cluster.processes
  ok(first)
  for (const other of keysOfFirst(cluster, 200)) {
    if (keys.some(key => holds(cluster, first, key) === undefined)) return
    if (!keys.includes(other)) equal(client.set(other, "something else that takes room").kind, "stored")
  }
  ok(false, "a small machine forgets")
}

/** What was broken, if anything was, when all is at rest again. */
function broken(cluster: SimulatedCluster): string | undefined {
  try {
    cluster.runUntil(() => cluster.hasConverged(), { withinMs: 30_000, orElse: "the cluster comes to rest" })
    cluster.run(500)
    cluster.checkAtRest()
    cluster.checkAtEnd()
  } catch (error) {
    if (!(error instanceof BrokenPromise)) throw error
  }
  return cluster.violations[0]?.promise
}

function withAndWithout(rule: keyof Rules): Partial<Rules>[] {
  return [{}, { [rule]: false }]
}

function named(rules: Partial<Rules>): string {
  const [rule] = Object.keys(rules)
  return rule === undefined ? "" : `, which is missed without ${rule}`
}

const losesForgetting = (_from: SimulatedProcess, _to: unknown, { kind }: PeerMessage) => kind === "forget"

test("what a primary forgets, its copies forget", () => {
  const cluster = simulatedCluster({ nodes: 3, seed: 1, memory: smallFirst })
  const client = cluster.client()
  const [key = ""] = keysOfFirst(cluster, 1)
  client.set(key, "v")
  const [copy] = cluster.backupsOf(key)
  ok(copy)
  cluster.run(200)
  equal(holds(cluster, copy, key), "v")
  crowdOut(cluster, client, [key])
  cluster.run(100)
  equal(client.get(key).kind, "missing")
  equal(holds(cluster, copy, key), undefined)
  equal(broken(cluster), undefined)
})

test("a copy that was not told goes on remembering, and what it remembers is the latest", () => {
  const cluster = simulatedCluster({ nodes: 3, seed: 2, memory: smallFirst })
  cluster.lose(losesForgetting)
  const client = cluster.client()
  const [key = ""] = keysOfFirst(cluster, 1)
  client.set(key, "old")
  client.set(key, "new")
  cluster.run(200)
  crowdOut(cluster, client, [key])
  equal(client.get(key).kind, "missing")
  cluster.crash(cluster.primaryOf(key))
  equal(client.get(key).text, "new")
  equal(broken(cluster), undefined)
})

for (const rules of withAndWithout("missIsWritten"))
  test(`a delete that finds nothing deletes what copies remember${named(rules)}`, () => {
    const cluster = simulatedCluster({ nodes: 3, seed: 3, memory: smallFirst, rules })
    cluster.lose(losesForgetting)
    const client = cluster.client()
    const keys = keysOfFirst(cluster, 1)
    for (const key of keys) client.set(key, "to be invalidated")
    cluster.run(200)
    crowdOut(cluster, client, keys)
    for (const key of keys) equal(client.delete(key).kind, "missing")
    cluster.crash(cluster.primaryOf(keys[0] ?? ""))
    const seen = keys.map(key => client.get(key).kind)
    deepEqual(seen, [rules.missIsWritten === false ? "value" : "missing"])
    equal(broken(cluster), rules.missIsWritten === false ? "what clients were told has an explanation" : undefined)
  })

for (const rules of withAndWithout("forgetsExactly"))
  test(`a copy that is told to forget a value keeps what was written since${named(rules)}`, () => {
    const cluster = simulatedCluster({ nodes: 3, seed: 8, memory: smallFirst, rules })
    const client = cluster.client()
    const [key = ""] = keysOfFirst(cluster, 1)
    const [copy] = cluster.backupsOf(key)
    ok(copy)
    // It is told at the end of a turn: by then there may be a new value.
    const held: PeerMessage[] = []
    cluster.lose((_from, to, message) => message.kind === "forget" && to === copy && held.push(message) > 0)
    client.set(key, "old")
    cluster.run(200)
    crowdOut(cluster, client, [key])
    cluster.run(100)
    client.set(key, "new")
    cluster.run(200)
    for (const message of held) copy.receive(cluster.primaryOf(key).id, message)
    equal(holds(cluster, copy, key), rules.forgetsExactly === false ? undefined : "new")
    equal(broken(cluster), rules.forgetsExactly === false ? "replicas agree at rest" : undefined)
  })

test("a write that its primary could not replicate is undone where its key had been forgotten, too", () => {
  const cluster = simulatedCluster({ nodes: 4, seed: 4, memory: smallFirst })
  const stopLosing = cluster.lose(losesForgetting)
  const [writer, reader] = [cluster.client(), cluster.client()]
  const [key = ""] = keysOfFirst(cluster, 1)
  writer.set(key, "kept")
  cluster.run(200)
  crowdOut(cluster, writer, [key])
  const [first] = cluster.processes
  ok(first)
  // It writes into nothing, alone, is taken for dead, and comes back as a copy.
  writer.ask(questions.set(key, "never acknowledged"), { timeoutMs: 100 }, () => {})
  const cuts = cluster.isolate(first)
  cluster.runUntil(() => !cluster.isMember(first), { withinMs: 5_000 })
  stopLosing()
  cluster.heal(cuts)
  equal(broken(cluster), undefined)
  ok(["value", "missing"].includes(reader.get(key).kind))
})

test("what a deposed primary says is to be forgotten is not", () => {
  const cluster = simulatedCluster({ nodes: 4, seed: 5, memory: smallFirst })
  const client = cluster.client()
  const [key = ""] = keysOfFirst(cluster, 1)
  const shard = cluster.shardOf(key)
  client.set(key, "v")
  cluster.run(200)
  const [first] = cluster.processes
  const [copy] = cluster.backupsOf(key)
  ok(first && copy)
  const order = (epoch: number, version: number): PeerMessage => ({
    kind: "forget",
    epoch,
    entries: [[new TextEncoder().encode(key), version]],
  })
  const { epoch } = cluster.newestView
  const version = copy.node.inspectShard(shard)?.entries.get(key)?.version ?? 0
  cluster.isolate(first)
  cluster.runUntil(() => cluster.newestView.shards[shard]?.primary === copy.id, { withinMs: 5_000 })
  copy.receive(first.id, order(epoch, version))
  for (const other of cluster.alive()) if (other !== first) other.receive(first.id, order(99, version))
  equal(holds(cluster, copy, key), "v")
  cluster.heal()
  equal(broken(cluster), undefined)
})

for (const rules of withAndWithout("forgottenStays"))
  test(`a learner forgets what a piece that is still under way holds an older value of${named(rules)}`, () => {
    // The connection delivers out of order, which the protocol survives: the write and the forgetting overtake a piece.
    const roomy = (machine: number) => (machine === 0 ? 12_000 : undefined)
    const config = { transferTimeoutMs: 60_000, chunkBytes: 64, eviction: "lru" } as const
    const cluster = simulatedCluster({ nodes: 2, seed: 6, memory: roomy, rules, config })
    const client = cluster.client()
    const [first] = cluster.processes
    ok(first)
    for (const key of keysOfFirst(cluster, 20)) client.set(key, "old")
    cluster.run(300)

    type Piece = Extract<PeerMessage, { kind: "transfer-chunk" }>
    const held: { to: SimulatedProcess; piece: Piece }[] = []
    const stopHolding = cluster.lose((from, to, message) => {
      if (message.kind !== "transfer-chunk" || from !== first || to === undefined) return false
      held.push({ to, piece: message })
      return true
    })
    const newcomer = cluster.join([first])
    cluster.runUntil(() => held.some(({ piece }) => piece.entries.length > 0), { withinMs: 10_000 })
    cluster.run(500)
    const key = String.fromCharCode(
      ...(held.find(({ piece }) => piece.entries.length > 0)?.piece.entries[0]?.key ?? []),
    )
    equal(cluster.primaryOf(key), first)
    equal(client.set(key, "new").kind, "stored")
    cluster.run(300)
    equal(holds(cluster, newcomer, key), "new")
    crowdOut(cluster, client, [key])
    cluster.run(100)
    equal(holds(cluster, newcomer, key), undefined)

    stopHolding()
    for (const { to, piece } of held) to.receive(first.id, piece)
    cluster.run(100)
    equal(holds(cluster, newcomer, key), rules.forgottenStays === false ? "old" : undefined)
    // The other copy is told later, as it happens, or never.
    equal(broken(cluster), rules.forgottenStays === false ? "replicas agree at rest" : undefined)
  })

for (const rules of withAndWithout("uncommittedStays"))
  test(`the end of a burst of operations builds on its beginning${named(rules)}`, () => {
    // In one frame: nothing of it has committed when its end is executed, and other keys take all the memory meanwhile.
    const cluster = simulatedCluster({ nodes: 3, seed: 7, memory: () => 3_000, rules })
    const client = cluster.client()
    const [counter = "", ...others] = keysOfFirst(cluster, 41)
    client.get(counter)
    cluster.run(200)
    const sums: number[] = []
    const increment = (lane: number) =>
      client.ask(questions.incr(counter, 1), { lane }, outcome => {
        if (outcome.kind === "counted") sums.push(outcome.value)
      })
    increment(0)
    for (const [lane, other] of others.entries())
      client.ask(questions.set(other, "something else"), { lane: 1 + lane }, () => {})
    increment(others.length + 1)
    cluster.run(1_000)
    deepEqual(sums, rules.uncommittedStays === false ? [1, 1] : [1, 2])
    // Clients are promised no more than that an entry may be forgotten at any time.
    equal(broken(cluster), undefined)
  })
