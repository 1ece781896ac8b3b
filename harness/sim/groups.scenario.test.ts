/** Moments of groups: several keys in one step, through failovers, retries and unmet conditions. */
import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { assert } from "../../src/base/assert.ts"
import type { Rules } from "../../src/core/rules.ts"
import type { CallOutcome } from "../../src/client/session.ts"
import type { ShardConfig } from "../../src/protocol/message.ts"
import { type Part, questions, type SimulatedClient } from "./client.ts"
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

test("keys of different primaries are refused in a word, before anything is done", () => {
  const cluster = simulatedCluster({ nodes: 3, seed: 4 })
  const client = cluster.client()
  const primary = cluster.primaryOf("a").id
  const apart = cluster.keyWhere(config => config.primary !== primary)
  const outcome = client.group(both(["a", apart], "x"))
  deepEqual(outcome, { kind: "failed", code: "keys-apart", mayHaveHappened: "no" })
  const twice = client.group(both(["a", "a"], "x"))
  deepEqual(twice, { kind: "failed", code: "bad-request", mayHaveHappened: "no" })
  equal(client.get("a").kind, "missing")
})

test("where one node leads everything any keys are written in one step, whoever asks", () => {
  const cluster = simulatedCluster({ nodes: 1, seed: 5 })
  const names = Array.from({ length: 20 }, (_, i) => `k${i}`)
  const client = cluster.client()
  equal(client.group(both(names, "theirs", null)).kind, "group-done")
  const outcomes: string[] = []
  for (const expected of ["theirs", "nobody's"])
    cluster.resident().ask(questions.group(both(names, "own", expected)), {}, ({ kind }) => outcomes.push(kind))
  cluster.run(100)
  deepEqual(outcomes, ["group-done", "group-unmet"])
  deepEqual(new Set(names.map(name => client.get(name).text)), new Set(["own"]))
  cluster.checkAtEnd()
  deepEqual(cluster.violations, [])
})

test("over the shards of one primary a group is as isolated: without groupsInOneStep, what two move between two keys is lost", () => {
  const story: Story = cluster => {
    const from = cluster.keyWhere(({ inSync }) => inSync.length === 2)
    const keys = [from, cluster.keyBeside(from)] as const
    equal(
      cluster.client().group([
        { key: keys[0], change: "set", value: "1000" },
        { key: keys[1], change: "set", value: "1000" },
      ]).kind,
      "group-done",
    )
    const counts = { done: 0, unmet: 0, seen: 0 }
    for (const by of [3, -7]) moves(cluster, keys, by, counts)
    looks(cluster, keys, counts)
    cluster.run(3_000)
    ok(counts.done > 50 && counts.unmet > 50 && counts.seen > 20, JSON.stringify(counts))
  }
  equal(broken(story, { nodes: 4, seed: 6 }, {}), undefined)
  equal(broken(story, { nodes: 4, seed: 6 }, { groupsInOneStep: false }), "the sum stays the same")
})

/** Moves an amount from one key to the other, if they are what was seen, again and again. */
function moves(
  cluster: SimulatedCluster,
  keys: readonly [string, string],
  by: number,
  counts: { done: number; unmet: number },
) {
  const client = cluster.client()
  const again = () =>
    look(client, keys, (a, b) => {
      const parts = [
        { key: keys[0], change: "set", expected: String(a), value: String(a - by) },
        { key: keys[1], change: "set", expected: String(b), value: String(b + by) },
      ] as const
      client.ask(questions.group(parts), {}, ({ kind }) => {
        if (kind === "group-done") counts.done += 1
        else if (kind === "group-unmet") counts.unmet += 1
        again()
      })
    })
  again()
}

/** Looks at both keys in one step, again and again: what is found is what there was in one moment. */
function looks(cluster: SimulatedCluster, keys: readonly [string, string], counts: { seen: number }) {
  const client = cluster.client()
  const again = () =>
    look(client, keys, (a, b) => {
      const parts = [
        { key: keys[0], change: "none", expected: String(a) },
        { key: keys[1], change: "none", expected: String(b) },
      ] as const
      client.ask(questions.group(parts), {}, ({ kind }) => {
        if (kind === "group-done") {
          counts.seen += 1
          if (a + b !== 2_000) cluster.violate("the sum stays the same", `${keys[0]} ${a}, ${keys[1]} ${b}`)
        }
        again()
      })
    })
  again()
}

function look(client: SimulatedClient, keys: readonly [string, string], then: (a: number, b: number) => void): void {
  client.ask(questions.get(keys[0]), {}, first =>
    client.ask(questions.get(keys[1]), {}, second => {
      const [a, b] = [first, second].map(one => (one.kind === "value" ? Number(textOf(one.value)) : Number.NaN))
      assert(a !== undefined && b !== undefined, "two were asked for")
      then(a, b)
    }),
  )
}

test("nobody sees a part of a group before the rest: without groupsShowAtOnce, whoever reads one key after the other does", () => {
  const story: Story = cluster => {
    const first = cluster.keyWhere(({ inSync }) => inSync.length === 2)
    const keys = [first, cluster.keyBeside(first, sameHolders)] as const
    const [writer, reader] = [cluster.client(), cluster.client()]
    equal(writer.group(both(keys, "old", null)).kind, "group-done")
    cluster.run(500)
    const [primary, late] = [cluster.primaryOf(first), cluster.shardOf(keys[1])]
    const arrives = cluster.lose((from, _to, message) => {
      if (from !== primary || message.kind !== "repl") return false
      return message.shard === late
    })
    let outcome: string | undefined
    writer.ask(questions.group(both(keys, "new")), {}, ({ kind }) => {
      outcome = kind
    })
    cluster.run(100)
    const seen = () => keys.map(key => reader.get(key).text).join(" ")
    if (seen() !== "old old") cluster.violate("a group is seen whole", seen())
    arrives()
    cluster.runUntil(() => outcome !== undefined, { withinMs: 1_000 })
    equal(outcome, "group-done")
    equal(seen(), "new new")
  }
  equal(broken(story, { nodes: 4, seed: 6 }, {}), undefined)
  equal(broken(story, { nodes: 4, seed: 6 }, { groupsShowAtOnce: false }), "a group is seen whole")
})

/** A group under way when its primary dies, of which the part of the second key has reached nobody. Returns what the writer is told. */
function halfReplicated(
  cluster: SimulatedCluster,
  keys: readonly [string, string],
  parts: readonly Part[],
  writerIs: "cut-off" | "connected" = "connected",
): () => CallOutcome | undefined {
  const primary = cluster.primaryOf(keys[0])
  cluster.run(500)
  const late = cluster.shardOf(keys[1])
  cluster.lose((from, _to, message) => from === primary && message.kind === "repl" && message.shard === late)
  const writer = cluster.client([primary])
  let outcome: CallOutcome | undefined
  writer.get(keys[0])
  writer.ask(questions.group(parts), { timeoutMs: 8_000 }, told => {
    outcome = told
  })
  cluster.run(20)
  equal(outcome, undefined)
  if (writerIs === "cut-off") cluster.partition([cluster.alive(), [writer]])
  cluster.crash(primary)
  return () => outcome
}

const sameHolders = (a: ShardConfig, b: ShardConfig) => a.inSync.join() === b.inSync.join()
const otherBackup = (a: ShardConfig, b: ShardConfig) => !b.inSync.some(id => id !== b.primary && a.inSync.includes(id))

test("half of a group outlives its primary: who leads both shards next finishes it; without groupsAreFinished, half is acknowledged", () => {
  const story: Story = cluster => {
    const first = cluster.keyWhere(({ inSync }) => inSync.length === 2)
    const keys = [first, cluster.keyBeside(first, sameHolders)] as const
    equal(cluster.client().group(both(keys, "old", null)).kind, "group-done")
    const told = halfReplicated(cluster, keys, both(keys, "new", "old"))
    cluster.runUntil(() => told() !== undefined, { withinMs: 8_500 })
    equal(told()?.kind, "group-done")
    const reader = cluster.client()
    deepEqual(
      keys.map(key => reader.get(key).text),
      ["new", "new"],
    )
  }
  equal(broken(story, { nodes: 4, seed: 7 }, {}), undefined)
  const seen = "what is acknowledged is held by every in-sync replica"
  equal(broken(story, { nodes: 4, seed: 7 }, { groupsAreFinished: false }), seen)
})

test("half of a group is not finished over what was written since: its outcome is unknown, and each key has its own history", () => {
  const cluster = simulatedCluster({ nodes: 4, seed: 7 })
  const first = cluster.keyWhere(({ inSync }) => inSync.length === 2)
  const keys = [first, cluster.keyBeside(first, sameHolders)] as const
  const other = cluster.client()
  equal(other.group(both(keys, "old", null)).kind, "group-done")
  const primary = cluster.primaryOf(keys[0])
  const told = halfReplicated(cluster, keys, both(keys, "new", "old"), "cut-off")
  cluster.runUntil(() => cluster.primaryOf(keys[0]) !== primary, { withinMs: 3_000 })
  equal(other.set(keys[1], "newer").kind, "stored")
  cluster.heal()
  cluster.runUntil(() => told() !== undefined, { withinMs: 8_500 })
  deepEqual(told(), { kind: "failed", code: "timeout", mayHaveHappened: "unknown" })
  deepEqual(
    keys.map(key => other.get(key).text),
    ["new", "newer"],
  )
  cluster.checkAtEnd()
  deepEqual(cluster.violations, [])
})

test("half of a group whose shards have no common primary any more is of unknown outcome", () => {
  const cluster = simulatedCluster({ nodes: 5, seed: 8 })
  const first = cluster.keyWhere(({ inSync }) => inSync.length === 2)
  const keys = [first, cluster.keyBeside(first, otherBackup)] as const
  equal(cluster.client().group(both(keys, "old", null)).kind, "group-done")
  const told = halfReplicated(cluster, keys, both(keys, "new", "old"))
  cluster.runUntil(() => told() !== undefined, { withinMs: 8_500 })
  deepEqual(told(), { kind: "failed", code: "keys-apart", mayHaveHappened: "unknown" })
  const reader = cluster.client()
  deepEqual(
    keys.map(key => reader.get(key).text),
    ["new", "old"],
  )
  cluster.checkAtEnd()
  deepEqual(cluster.violations, [])
})

test("a group over two shards is not done again after a failover, nor refused for what it did itself", () => {
  const cluster = simulatedCluster({ nodes: 4, seed: 9 })
  const first = cluster.keyWhere(({ inSync }) => inSync.length === 2)
  const keys = [first, cluster.keyBeside(first, sameHolders)] as const
  const primary = cluster.primaryOf(first)
  const [client, reader] = [cluster.client([primary]), cluster.client()]
  equal(client.get(keys[0]).kind, "missing")
  equal(reader.get(keys[0]).kind, "missing")
  cluster.cut([primary], [client], "stalls")
  let outcome: string | undefined
  client.ask(questions.group(both(keys, "mine", null)), { timeoutMs: 10_000 }, ({ kind }) => {
    outcome = kind
  })
  cluster.run(50)
  deepEqual(
    keys.map(key => reader.get(key).text),
    ["mine", "mine"],
  )
  cluster.crash(primary)
  equal(reader.set(keys[1], "later").kind, "stored")
  cluster.runUntil(() => outcome !== undefined, { withinMs: 10_500 })
  equal(outcome, "group-done")
  deepEqual(
    keys.map(key => reader.get(key).text),
    ["mine", "later"],
  )
  cluster.checkAtEnd()
  deepEqual(cluster.violations, [])
})

test("a copy that was filled after a group holds it as acknowledged, whatever the shard has done in between", () => {
  const cluster = simulatedCluster({ nodes: 4, seed: 9 })
  const first = cluster.keyWhere(({ inSync }) => inSync.length === 2)
  const keys = [first, cluster.keyBeside(first, sameHolders)] as const
  const primary = cluster.primaryOf(first)
  const [client, other] = [cluster.client([primary]), cluster.client()]
  equal(client.get(keys[0]).kind, "missing")
  equal(other.get(keys[0]).kind, "missing")
  cluster.cut([primary], [client], "stalls")
  let outcome: string | undefined
  client.ask(questions.group(both(keys, "mine", null)), { timeoutMs: 20_000 }, ({ kind }) => {
    outcome = kind
  })
  cluster.run(50)
  cluster.partition([cluster.alive(), [client]])
  // It takes a number and leaves the key as the group has written it.
  equal(other.cas(keys[1], "nobody's", "later").kind, "unmet")
  const [backup] = cluster.backupsOf(keys[1])
  assert(backup !== undefined, "there are two copies")
  cluster.crash(backup)
  cluster.run(2_000)
  cluster.runUntil(() => cluster.hasConverged(), { withinMs: 10_000 })
  equal(cluster.primaryOf(keys[1]), primary)
  equal(cluster.backupsOf(keys[1]).length, 1)
  equal(outcome, undefined)
  cluster.heal()
  cluster.runUntil(() => outcome !== undefined, { withinMs: 10_000 })
  equal(outcome, "group-done")
  cluster.checkAtEnd()
  deepEqual(cluster.violations, [])
})
