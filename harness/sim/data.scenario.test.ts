/**
 * Moments of the data path that random runs do not hit, or not often enough: each is staged once with the rule that it is about, and
 * once without, when a checker must notice.
 */
import { equal } from "node:assert/strict"
import { test } from "node:test"
import { assert } from "../../src/base/assert.ts"
import { apply } from "../../src/core/layout.ts"
import { Placement } from "../../src/core/ring.ts"
import type { Rules } from "../../src/core/rules.ts"
import type { PeerMessage } from "../../src/protocol/message.ts"
import { questions } from "./client.ts"
import { BrokenPromise, type ClusterSettings, type SimulatedCluster, simulatedCluster } from "./cluster.ts"
import type { SimulatedProcess } from "./process.ts"

type Story = (cluster: SimulatedCluster) => void

/** The promise that the story breaks; undefined: none. */
function broken(story: Story, settings: Omit<ClusterSettings, "rules">, rules: Partial<Rules>): string | undefined {
  const cluster = simulatedCluster({ ...settings, rules })
  try {
    story(cluster)
    cluster.checkAtEnd()
  } catch (error) {
    if (!(error instanceof BrokenPromise)) throw error
  }
  return cluster.violations[0]?.promise
}

/** Told with the rule, and without it. */
function staged(rule: keyof Rules, seen: string, settings: Omit<ClusterSettings, "rules">, story: Story): void {
  equal(broken(story, settings, {}), undefined)
  equal(broken(story, settings, { [rule]: false }), seen, `without ${rule}`)
}

/** Who leads the key when its primary is gone. */
function successorOf(cluster: SimulatedCluster, key: string): SimulatedProcess {
  const view = cluster.newestView
  const member = view.members.find(({ id }) => id === cluster.primaryOf(key).id)
  assert(member !== undefined, "a primary is a member")
  const after = apply(view, [{ kind: "remove", id: member.id, since: member.since }], new Placement())
  const successor = cluster.processOf(after.shards[cluster.shardOf(key)]?.primary ?? "")
  assert(successor !== undefined, "there are other copies")
  return successor
}

test("a write that one of two replicas had and the next primary had not is undone: what was there before is there", () => {
  staged("undo", "replicas agree at rest", { nodes: 4, seed: 1, config: { copies: 3 } }, cluster => {
    const [writer, reader] = [cluster.client(), cluster.client()]
    const primary = cluster.primaryOf("user:42")
    equal(writer.set("user:42", "old").kind, "stored")
    // All know that it has committed: only what comes now can be undone.
    cluster.run(500)
    const successor = successorOf(cluster, "user:42")
    cluster.lose((from, to, { kind }) => from === primary && to === successor && kind === "repl")
    writer.ask(questions.set("user:42", "new"), { timeoutMs: 300 }, () => {})
    cluster.run(20)
    cluster.crash(primary)
    cluster.run(1_500)
    equal(reader.get("user:42").text, "old")
    cluster.runUntil(() => cluster.hasConverged(), { withinMs: 10_000 })
    cluster.run(500)
    cluster.checkAtRest()
  })
})

test("a replica that knows a newer view takes nothing from the primary of before, though that one still has its lease", () => {
  const settings = { nodes: 6, seed: 1, config: { copies: 3, leaseMs: 1_500 } }
  staged("configSpeaks", "what clients were told has an explanation", settings, cluster => {
    const old = cluster.primaryOf("user:42")
    const [late, writer] = [cluster.client(old), cluster.client()]
    equal(late.set("user:42", "first").kind, "stored")
    writer.get("user:42")
    cluster.run(500)
    const successor = successorOf(cluster, "user:42")
    const other = cluster.backupsOf("user:42").find(process => process !== successor)
    assert(other !== undefined, "there are three copies")
    cluster.partition([[late], cluster.alive().filter(process => process !== old)])
    // All that it can do is send operations to one of the two.
    cluster.lose((from, to, { kind }) => (from === old || to === old) && !(to === other && kind === "repl"))
    cluster.runUntil(() => !cluster.isMember(old), { withinMs: 1_200 })
    // The successor has made the other equal, and waits for the lease of the old one to end.
    cluster.run(100)
    late.ask(questions.cas("user:42", "first", "late"), { timeoutMs: 300 }, () => {})
    cluster.run(20)
    equal(writer.set("user:42", "second").kind, "stored")
    // Nobody else has a copy yet.
    cluster.crash(successor)
    cluster.run(3_000)
    writer.get("user:42")
  })
})

test("a miss of an expired entry is a miss for the next primary as well, though its copy has not expired", () => {
  const settings = { nodes: 4, seed: 2, config: { suspectMs: 2_000 } }
  staged("expiryCommits", "what clients were told has an explanation", settings, cluster => {
    const key = "session"
    const [primary, replica] = [cluster.primaryOf(key), cluster.backupsOf(key)[0]]
    assert(replica !== undefined, "there is a copy")
    const [writer, reader] = [cluster.client(), cluster.client()]
    reader.get(key)
    // The copy was long on its way, so it goes by a later end than its primary.
    cluster.weather.slowDown(primary.host, replica.host, 10_000)
    const writtenAtMs = cluster.nowMs
    equal(writer.set(key, "here", { ttlMs: 1_200 }).kind, "stored")
    // What the primary does about the end of the entry reaches nobody any more.
    cluster.lose((from, to, { kind }) => from === primary && to === replica && kind === "repl")
    cluster.run(writtenAtMs + 1_300 - cluster.nowMs)
    reader.ask(questions.get(key), {}, () => {})
    cluster.run(20)
    cluster.crash(primary, "machine")
    for (const process of cluster.alive()) process.peerDied(primary.id)
    cluster.runUntil(() => replica.node.serves(cluster.shardOf(key)), { withinMs: 2_000, orElse: "the copy leads" })
    cluster.client([replica]).get(key)
    cluster.run(3_000)
  })
})

test("the deletion of an expired entry waits for a write of its key that is under way, and does not follow it", () => {
  staged("expirySparesNewer", "what clients were told has an explanation", { nodes: 4, seed: 3 }, cluster => {
    const [writer, reader] = [cluster.client(), cluster.client()]
    const primary = cluster.primaryOf("session")
    reader.get("session")
    equal(writer.set("session", "old", { ttlMs: 300 }).kind, "stored")
    const replicateAgain = cluster.lose((from, _to, { kind }) => from === primary && kind === "repl")
    let written: string | undefined
    writer.ask(questions.set("session", "new"), {}, ({ kind }) => {
      written = kind
    })
    cluster.run(350)
    reader.ask(questions.get("session"), {}, () => {})
    cluster.run(50)
    replicateAgain()
    cluster.runUntil(() => written !== undefined, { withinMs: 5_000 })
    equal(written, "stored")
    cluster.run(1_000)
    reader.get("session")
  })
})

test("an attempt that began before its shard was reset is not executed after it: its first may have been", () => {
  const settings = { nodes: 5, seed: 4, config: { orphanResetMs: 1_500 } }
  staged("resetsForget", "what clients were told has an explanation", settings, cluster => {
    const key = cluster.keyWhere(({ inSync }) => !inSync.includes(cluster.leader().id))
    cluster.onReset = shard => {
      if (shard === cluster.shardOf(key)) cluster.recorder.mayVanish(key, cluster.recorder.nowNs())
    }
    const [counter, reader] = [cluster.client(), cluster.client()]
    const holders = [cluster.primaryOf(key), ...cluster.backupsOf(key)]
    equal(reader.incr(key).kind, "counted")
    counter.get(key)
    // It counts, and never hears of it.
    cluster.cut(cluster.alive(), [counter], "stalls")
    let counted: string | undefined
    counter.ask(questions.incr(key, 1), { timeoutMs: 20_000 }, outcome => {
      counted = outcome.kind
    })
    cluster.run(50)
    equal(reader.get(key).text, "2")
    for (const holder of holders) {
      cluster.weather.breakConnections(holder.host, counter.host)
      cluster.crash(holder)
    }
    cluster.heal()
    cluster.runUntil(() => counted !== undefined, { withinMs: 21_000 })
  })
})

test("an older value of a piece does not replace what the live stream has brought, nor bring back what it has deleted", () => {
  staged("piecesYield", "replicas agree at rest", { nodes: 4, seed: 5 }, cluster => {
    const writer = cluster.client()
    const keys = Array.from({ length: 40 }, (_, i) => `k${i}`)
    for (const key of keys) equal(writer.set(key, "first").kind, "stored")
    const late: { from: SimulatedProcess; to: SimulatedProcess; message: PeerMessage }[] = []
    // On one connection nothing overtakes; what is held here comes after what was said later all the same.
    const holdNoMore = cluster.lose((from, to, message) => {
      if (message.kind !== "transfer-chunk" || message.entries.length === 0 || to === undefined) return false
      return late.push({ from, to, message }) > 0
    })
    cluster.join()
    cluster.runUntil(() => late.length > 0, { withinMs: 2_000, orElse: "somebody is filled" })
    cluster.run(30)
    holdNoMore()
    for (const [i, key] of keys.entries())
      equal(i % 2 === 0 ? writer.set(key, "second").kind : writer.delete(key).kind, i % 2 === 0 ? "stored" : "deleted")
    for (const { from, to, message } of late) to.receive(from.id, message)
    cluster.runUntil(() => cluster.hasConverged(), { withinMs: 10_000 })
    cluster.run(1_000)
    cluster.checkAtRest()
  })
})

/** The least number of in-sync replicas that any shard has while a member leaves. */
function fewestCopies(rules: Partial<Rules>): number {
  const cluster = simulatedCluster({ nodes: 5, seed: 6, rules })
  const leaving = cluster.alive().find(process => process !== cluster.leader())
  assert(leaving !== undefined, "five nodes were started")
  // Nothing is filled for a while.
  const fillAgain = cluster.lose((_from, _to, { kind }) => kind === "transfer-begin")
  cluster.simulator.after(400, fillAgain)
  cluster.leave(leaving)
  let fewest = Number.POSITIVE_INFINITY
  cluster.runUntil(
    () => {
      for (const { inSync } of cluster.newestView.shards) fewest = Math.min(fewest, inSync.length)
      return !leaving.isAlive
    },
    { withinMs: 10_000 },
  )
  return fewest
}

test("while a member leaves no shard ever has a copy less", () => {
  equal(fewestCopies({}), 2)
  equal(fewestCopies({ leaveHandsOver: false }), 1)
})

/** Both holders of a shard are cut off and vouched for as dead, which they are not: whether one has a lease when the shard begins anew. */
function isHeldAtReset(rules: Partial<Rules>): boolean {
  const cluster = simulatedCluster({ nodes: 6, seed: 7, rules, config: { leaseMs: 1_500, orphanResetMs: 60_000 } })
  const key = cluster.keyWhere(({ inSync }) => !inSync.includes(cluster.leader().id))
  const holders = [cluster.primaryOf(key), ...cluster.backupsOf(key)]
  const others = cluster.alive().filter(process => !holders.includes(process))
  cluster.partition([holders, others])
  for (const other of others) for (const holder of holders) other.peerDied(holder.id)
  let isHeld: boolean | undefined
  cluster.onReset = () => {
    isHeld ??= holders.some(({ node }) => node.status().hasLease)
  }
  cluster.runUntil(() => isHeld !== undefined, { withinMs: 5_000 })
  assert(isHeld !== undefined, "the shard begins anew")
  return isHeld
}

test("a shard begins anew when every lease on it has ended, however certain the deaths of its holders are", () => {
  equal(isHeldAtReset({}), false)
  equal(isHeldAtReset({ resetWaits: false }), true)
})
