/**
 * Listings and clearings of a whole cluster through what happens to its nodes. Random runs have them too; here are the moments
 * that they are made for.
 */
import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import type { Place } from "../../src/protocol/message.ts"
import { questions, type SimulatedClient } from "./client.ts"
import { type SimulatedCluster, simulatedCluster } from "./cluster.ts"
import { textOf } from "./recorder.ts"
import { Walks } from "./walks.ts"

const everyKey = new Uint8Array(0)
const names = Array.from({ length: 60 }, (_, i) => `k${i}`)

/** One page of a shard, by whoever leads it now. */
function page(cluster: SimulatedCluster, client: SimulatedClient, shard: number, from: Place | null) {
  const operation = { op: "scan", shards: [shard], from, prefix: everyKey, limit: 2, want: "keys" } as const
  let answer: { keys: string[]; next: Place | null } | undefined
  client.ask({ key: "", operation, meaning: null }, {}, outcome => {
    if (outcome.kind === "page") answer = { keys: outcome.entries.map(({ key }) => textOf(key)), next: outcome.next }
  })
  cluster.runUntil(() => answer !== undefined, { withinMs: 6_000, orElse: "a page is answered" })
  return answer ?? { keys: [], next: null }
}

test("a listing goes on where it was, though every primary dies between two of its pages, and meets each key once", () => {
  const cluster = simulatedCluster({ nodes: 5, seed: 1, config: { copies: 3 } })
  const client = cluster.client()
  for (const name of names) client.set(name, "v")
  const listed: string[] = []
  for (let shard = 0; shard < cluster.config.shardCount; shard++) {
    let from: Place | null = null
    for (let pages = 0; pages === 0 || from !== null; pages++) {
      const { keys, next } = page(cluster, client, shard, from)
      listed.push(...keys)
      from = next
      if (shard !== 3 && shard !== 9) continue
      cluster.crash(cluster.primaryOfSome(shard))
      cluster.start({ seeds: cluster.alive().map(({ address }) => address) })
      cluster.runUntil(() => cluster.hasConverged(), { withinMs: 15_000, orElse: "the copies are made again" })
    }
  }
  deepEqual(listed.sort(), [...names].sort())
})

for (const rules of [{}, { committedReads: false }])
  test(`a deletion that may yet be undone hides nothing from a listing${"committedReads" in rules ? ": without committedReads it does" : ""}`, () => {
    const cluster = simulatedCluster({ nodes: 5, seed: 2, rules })
    const [writer, reader] = [cluster.client(), cluster.client()]
    const walks = new Walks({ cluster, keys: ["user:42"], mayExpire: () => false })
    writer.set("user:42", "v")
    reader.get("user:42")
    const primary = cluster.primaryOf("user:42")
    cluster.lose((from, _to, { kind }) => from === primary && (kind === "repl" || kind === "sync"))
    writer.ask(questions.delete("user:42"), { timeoutMs: 300 }, () => {})
    cluster.run(20)
    walks.list(reader)
    cluster.run(50)
    cluster.crash(primary)
    cluster.run(1_500)
    equal(reader.get("user:42").text, "v")
    cluster.checkAtEnd()
    equal(cluster.violations.length, "committedReads" in rules ? 1 : 0)
  })

for (const rules of [{}, { dedup: false }])
  test(`a clearing that arrives once more, late, deletes nothing${"dedup" in rules ? ": without dedup it does" : ""}`, () => {
    const cluster = simulatedCluster({ nodes: 3, seed: 3, rules })
    const client = cluster.client()
    const walks = new Walks({ cluster, keys: names, mayExpire: () => false })
    for (const name of names) client.set(name, "before")
    client.duplicates = { chance: 1, withinMs: 4_000 }
    let isDone = false
    walks.clear(client, () => {
      isDone = true
    })
    cluster.runUntil(() => isDone, { withinMs: 3_000 })
    equal(walks.cleared, names.length)
    client.duplicates = { chance: 0, withinMs: 0 }
    for (const name of names) client.set(name, "after")
    cluster.run(4_500)
    for (const name of names) client.get(name)
    cluster.checkAtEnd()
    equal(cluster.violations.length > 0, "dedup" in rules)
  })

test("clearing while primaries die leaves nothing of what was there", () => {
  const cluster = simulatedCluster({ nodes: 5, seed: 4 })
  const client = cluster.client()
  const walks = new Walks({ cluster, keys: names, mayExpire: () => false })
  for (const name of names) client.set(name, "v")
  let isDone = false
  walks.clear(client, () => {
    isDone = true
  })
  cluster.run(3)
  cluster.crash(cluster.primaryOfSome(5))
  cluster.runUntil(() => isDone, { withinMs: 10_000 })
  walks.list(client)
  cluster.run(500)
  equal(walks.found, 0)
  cluster.checkAtEnd()
  deepEqual(cluster.violations, [])
})

test("clearing deletes also what a copy remembers and its primary has forgotten", () => {
  // Room for a dozen small entries on the first machine, for all on the others; and no copy is told what is forgotten.
  const cluster = simulatedCluster({ nodes: 3, seed: 3, memory: machine => (machine === 0 ? 2_700 : undefined) })
  cluster.lose((_from, _to, { kind }) => kind === "forget")
  const client = cluster.client()
  const many = Array.from({ length: 300 }, (_, i) => `key${i}`)
  for (const name of many) client.set(name, "to be cleared")
  cluster.run(200)
  const [first] = cluster.processes
  const walks = new Walks({ cluster, keys: many, mayExpire: () => false })
  ok(first)
  const ledByFirst = many.filter(name => cluster.primaryOf(name) === first)
  const forgotten = ledByFirst.filter(name => client.get(name).kind === "missing")
  ok(forgotten.length > 10, `${forgotten.length} of ${ledByFirst.length} keys are forgotten`)
  let isDone = false
  walks.clear(client, () => {
    isDone = true
  })
  cluster.runUntil(() => isDone, { withinMs: 5_000 })
  cluster.crash(first)
  for (const name of forgotten) equal(client.get(name).kind, "missing")
  cluster.checkAtEnd()
  deepEqual(cluster.violations, [])
})
