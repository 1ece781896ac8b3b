/** Moments of groups: several keys in one step, through failovers, retries and unmet conditions. */
import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import { assert } from "../../src/base/assert.ts"
import type { Rules } from "../../src/core/rules.ts"
import { questions } from "./client.ts"
import { BrokenPromise, type ClusterSettings, type SimulatedCluster, simulatedCluster } from "./cluster.ts"
import { textOf } from "./recorder.ts"

/** By their tag they lie in one shard. */
const keys = ["{pair}.1", "{pair}.2"] as const

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

function both(keys: readonly string[], value: string, expected?: string | null) {
  return keys.map(key => ({ key, change: "set", value, ...(expected === undefined ? {} : { expected }) }) as const)
}

const threeCopies: Omit<ClusterSettings, "rules"> = { nodes: 4, seed: 1, config: { copies: 3 } }

test("whoever has a part of a group has all of it: without groupsAreOne a failover leaves half", () => {
  const story: Story = cluster => {
    cluster.writesTogether(keys)
    const [writer, reader] = [cluster.client(), cluster.client()]
    equal(writer.group(both(keys, "old", null)).kind, "group-done")
    cluster.run(500)
    const primary = cluster.primaryOf(keys[0])
    // What travels with the second key alone never arrives.
    cluster.lose((from, _to, message) => {
      if (from !== primary || message.kind !== "repl") return false
      return message.ops.some(({ key }) => textOf(key) === keys[1])
    })
    writer.ask(questions.group(both(keys, "new", "old")), { timeoutMs: 300 }, () => {})
    cluster.run(20)
    cluster.crash(primary)
    cluster.run(1_500)
    equal(reader.get(keys[0]).text, reader.get(keys[1]).text)
    cluster.runUntil(() => cluster.hasConverged(), { withinMs: 10_000 })
    cluster.run(500)
    cluster.checkAtRest()
  }
  equal(broken(story, threeCopies, {}), undefined)
  equal(broken(story, threeCopies, { groupsAreOne: false }), "a group is there whole or not at all")
})

test("a group that one of two replicas had and the next primary had not is undone whole", () => {
  const ends = [0, 1].map(place => {
    let end = ""
    const story: Story = cluster => {
      cluster.writesTogether(keys)
      const [writer, reader] = [cluster.client(), cluster.client()]
      equal(writer.group(both(keys, "old")).kind, "group-done")
      cluster.run(500)
      const primary = cluster.primaryOf(keys[0])
      const deaf = cluster.backupsOf(keys[0])[place]
      cluster.lose((from, to, { kind }) => from === primary && to === deaf && kind === "repl")
      writer.ask(questions.group(both(keys, "new")), { timeoutMs: 300 }, () => {})
      cluster.run(20)
      cluster.crash(primary)
      cluster.run(1_500)
      end = keys.map(key => reader.get(key).text).join(" ")
      cluster.runUntil(() => cluster.hasConverged(), { withinMs: 10_000 })
      cluster.run(500)
      cluster.checkAtRest()
    }
    equal(broken(story, threeCopies, {}), undefined)
    return end
  })
  // One of the two replicas leads next: if it had heard of the group, all of it is there.
  deepEqual(ends.sort(), ["new new", "old old"])
})

test("when one condition is not met nothing is done, and the answer names it: without groupsAllOrNothing, some is", () => {
  const story: Story = cluster => {
    const [here, gone] = keys
    const client = cluster.client()
    equal(client.set(here, "1").kind, "stored")
    const outcome = client.group([
      { key: here, change: "set", value: "2", expected: "1" },
      { key: gone, change: "set", value: "2", expected: "1" },
    ])
    deepEqual(outcome, { kind: "group-unmet", step: 1 })
    client.get(here)
    client.get(gone)
  }
  equal(broken(story, { nodes: 3, seed: 2 }, {}), undefined)
  const seen = "what clients were told has an explanation"
  equal(broken(story, { nodes: 3, seed: 2 }, { groupsAllOrNothing: false }), seen)
})

test("repeated under its number after a failover, a group is not done again, nor refused for what it did itself", () => {
  const cluster = simulatedCluster({ nodes: 4, seed: 3 })
  const primary = cluster.primaryOf(keys[0])
  const [client, reader] = [cluster.client([primary]), cluster.client()]
  equal(client.get(keys[0]).kind, "missing")
  equal(reader.get(keys[0]).kind, "missing")
  cluster.cut([primary], [client], "stalls")
  let outcome: string | undefined
  client.ask(questions.group(both(keys, "mine", null)), { timeoutMs: 10_000 }, ({ kind }) => {
    outcome = kind
  })
  cluster.run(50)
  equal(reader.get(keys[1]).text, "mine")
  cluster.crash(primary)
  cluster.runUntil(() => outcome !== undefined, { withinMs: 10_500 })
  equal(outcome, "group-done")
  equal(reader.get(keys[0]).text, "mine")
  cluster.checkAtEnd()
  deepEqual(cluster.violations, [])
})

test("keys of different shards are refused in a word, before anything is done", () => {
  const cluster = simulatedCluster({ nodes: 3, seed: 4 })
  const client = cluster.client()
  const apart = Array.from({ length: 40 }, (_, i) => `k${i}`).find(key => cluster.shardOf(key) !== cluster.shardOf("a"))
  assert(apart !== undefined, "there are sixteen shards")
  const outcome = client.group(both(["a", apart], "x"))
  deepEqual(outcome, { kind: "failed", code: "keys-apart", mayHaveHappened: "no" })
  const twice = client.group(both(["a", "a"], "x"))
  deepEqual(twice, { kind: "failed", code: "bad-request", mayHaveHappened: "no" })
  equal(client.get("a").kind, "missing")
})
