/**
 * One loader at a time in the whole cluster, handed on when it fails, dies or is slow; and tags that invalidate what was
 * stored before, through whatever happens to the nodes.
 */
import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { Prng } from "../../src/base/prng.ts"
import { sealed, tagKey, tokensOf, untagged } from "../../src/client/tags.ts"
import type { CallOutcome } from "../../src/client/session.ts"
import { bytesOf, questions, type SimulatedClient } from "./client.ts"
import { type SimulatedCluster, simulatedCluster } from "./cluster.ts"
import { Faults, type FaultKind } from "./faults.ts"
import { followIn, Loads, type LoadTimes } from "./loads.ts"
import { textOf } from "./recorder.ts"

const times: LoadTimes = { ttlMs: 10_000, staleForMs: 0, leaseMs: 500, patienceMs: 3_000 }

function clientsOf(cluster: SimulatedCluster, count: number): SimulatedClient[] {
  return Array.from({ length: count }, () => cluster.client())
}

test("of many who miss a key at once one loads, and all have what it loaded soon after", () => {
  const cluster = simulatedCluster({ nodes: 3, seed: 1 })
  const loads = new Loads(cluster, times)
  const told: (string | undefined)[] = []
  const toldAtMs: number[] = []
  const fromMs = cluster.nowMs
  for (const client of clientsOf(cluster, 20))
    loads.getOrLoad(client, "k", { takesMs: 50, ends: "well" }, value => {
      told.push(value)
      toldAtMs.push(cluster.nowMs - fromMs)
    })
  cluster.runUntil(() => told.length === 20, { withinMs: 1_000 })
  equal(loads.all.length, 1)
  deepEqual(new Set(told), new Set(["k.1"]))
  ok(Math.max(...toldAtMs) < 50 + 60, `the last had it ${Math.max(...toldAtMs).toFixed(0)} ms after the first asked`)
})

test("a loader that fails frees the key at once; the error is its own, and the next one loads", () => {
  const cluster = simulatedCluster({ nodes: 3, seed: 2 })
  const loads = new Loads(cluster, times)
  const [first, second] = clientsOf(cluster, 2) as [SimulatedClient, SimulatedClient]
  const told: string[] = []
  loads.getOrLoad(first, "k", { takesMs: 30, ends: "badly" }, (_, loaded) => told.push(`first ${loaded?.kind}`))
  cluster.run(10)
  loads.getOrLoad(second, "k", { takesMs: 30, ends: "well" }, value => told.push(`second ${value}`))
  cluster.run(200)
  deepEqual(told, ["first load-failed", "second k.2"])
  equal(loads.mostAtOnce("k"), 1)
})

test("a loader that dies holds the key for the time of its lease and no longer", () => {
  const cluster = simulatedCluster({ nodes: 3, seed: 3 })
  const loads = new Loads(cluster, times)
  const [first, second] = clientsOf(cluster, 2) as [SimulatedClient, SimulatedClient]
  loads.getOrLoad(first, "k", { takesMs: 100_000, ends: "well" }, () => {})
  cluster.run(20)
  equal(loads.all.length, 1)
  const fromMs = cluster.nowMs
  let toldAtMs = 0
  loads.getOrLoad(second, "k", { takesMs: 5, ends: "well" }, () => {
    toldAtMs = cluster.nowMs
  })
  cluster.runUntil(() => toldAtMs > 0, { withinMs: 1_500 })
  ok(toldAtMs - fromMs > 400 && toldAtMs - fromMs < 800, `after ${(toldAtMs - fromMs).toFixed(0)} ms`)
})

test("what is loaded after its lease is the loader's own, and is not stored over what is newer", () => {
  const cluster = simulatedCluster({ nodes: 3, seed: 4 })
  const loads = new Loads(cluster, times)
  const [first, second] = clientsOf(cluster, 2) as [SimulatedClient, SimulatedClient]
  const told: (string | undefined)[] = []
  loads.getOrLoad(first, "k", { takesMs: 1_000, ends: "well" }, value => told.push(value))
  cluster.run(20)
  loads.getOrLoad(second, "k", { takesMs: 5, ends: "well" }, value => told.push(value))
  cluster.run(1_500)
  deepEqual(told, ["k.2", "k.1"])
  equal(second.get("k").text, "k.2")
  // Nor is it stored where something was, and was deleted.
  first.delete("k")
  cluster.run(100)
  equal(second.get("k").kind, "missing")
})

test("what is set, or deleted, while it is being loaded stays so", () => {
  const cluster = simulatedCluster({ nodes: 3, seed: 5 })
  const loads = new Loads(cluster, times)
  const client = cluster.client()
  for (const key of ["set", "deleted"]) loads.getOrLoad(client, key, { takesMs: 100, ends: "well" }, () => {})
  cluster.run(50)
  client.set("set", "newer")
  client.delete("deleted")
  cluster.run(200)
  equal(client.get("set").text, "newer")
  equal(client.get("deleted").kind, "missing")
})

test("a stale value is served at once while one client loads anew, and not after its time", () => {
  const cluster = simulatedCluster({ nodes: 3, seed: 6 })
  const loads = new Loads(cluster, { ...times, ttlMs: 200, staleForMs: 1_000 })
  const clients = clientsOf(cluster, 5)
  const ask = (takesMs: number) => {
    const told: (string | undefined)[] = []
    const fromMs = cluster.nowMs
    let lastMs = 0
    for (const client of clients)
      loads.getOrLoad(client, "k", { takesMs, ends: "well" }, value => {
        told.push(value)
        lastMs = cluster.nowMs - fromMs
      })
    cluster.runUntil(() => told.length === clients.length, { withinMs: 1_000 })
    return { told: [...new Set(told)], lastMs }
  }
  deepEqual(ask(10).told, ["k.1"])
  cluster.run(300)
  const stale = ask(50)
  deepEqual(stale.told, ["k.1"])
  ok(stale.lastMs < 20, "nobody waits")
  cluster.run(100)
  deepEqual(ask(10).told, ["k.2"])
  equal(loads.all.length, 2)
  cluster.run(1_500)
  deepEqual(ask(10).told, ["k.3"])
  equal(cluster.violations.length, 0)
})

const faultKinds: readonly FaultKind[] = [
  ...(["primary-crash", "crash", "restart", "isolate", "client-cut", "break-links"] as const),
  ...(["spikes", "loss", "join", "leave", "pause"] as const),
]

function faultsOf(cluster: SimulatedCluster, seed: number): Faults {
  return new Faults({
    ...{ cluster, prng: new Prng(seed), kinds: faultKinds, mayLoseData: false, mostProcesses: 8, meanGapMs: 400 },
    only: undefined,
  })
}

for (const seed of [1, 2, 3, 4, 5, 6])
  test(`through faults one loads at a time, and what all are told has an explanation (seed ${seed})`, () => {
    const cluster = simulatedCluster({ nodes: 5, seed })
    const prng = new Prng(seed)
    const loads = new Loads(cluster, { ...times, ttlMs: 300, staleForMs: seed % 2 === 0 ? 200 : 0 })
    let told = 0
    let isOn = true
    let open = 0
    const goOn = (client: SimulatedClient) => {
      if (!isOn) return
      const loader = { takesMs: prng.pick([1, 20, 100, 900]), ends: prng.chance(0.8) ? "well" : "badly" } as const
      open += 1
      loads.getOrLoad(client, prng.pick(["a", "b", "c"]), loader, value => {
        open -= 1
        if (value !== undefined) told += 1
        cluster.simulator.after(prng.between(1, 60), () => goOn(client))
      })
    }
    for (const client of clientsOf(cluster, 5)) goOn(client)
    const faults = faultsOf(cluster, seed)
    faults.begin()
    cluster.run(4_000)
    faults.end()
    cluster.run(2_000)
    isOn = false
    cluster.runUntil(() => open === 0, { withinMs: 15_000 })
    ok(told > 50, `${told} calls had a value`)
    ok(loads.all.length > 20, `${loads.all.length} loads`)
    cluster.checkAtEnd()
    deepEqual(cluster.violations, [])
  })

// -------------------------------------------------------------------------------------------------------------- tags

type Written = { readonly value: string; readonly tags: readonly string[]; returnedAtMs: number }
type Invalidated = { readonly tag: string; readonly calledAtMs: number; returnedAtMs: number }

class Tagged {
  readonly written: Written[] = []
  readonly invalidated: Invalidated[] = []
  readonly stale: string[] = []
  reads = 0
  readonly #cluster: SimulatedCluster

  constructor(cluster: SimulatedCluster) {
    this.#cluster = cluster
  }

  set(client: SimulatedClient, key: string, tags: readonly string[], done: () => void): void {
    const value = `v${this.written.length}`
    const written: Written = { value, tags, returnedAtMs: Number.POSITIVE_INFINITY }
    this.written.push(written)
    followIn(this.#cluster, client, tokensOf(tags.map(bytesOf)), {
      meaningOf: () => null,
      done: tokens => {
        if ("kind" in tokens) return done()
        const { bytes, flags } = sealed({ bytes: bytesOf(value), flags: 0 }, tokens)
        const operation = { op: "set", value: bytes, flags, ttlMs: null, condition: null } as const
        client.ask({ key, operation, meaning: null }, {}, outcome => {
          if (outcome.kind === "stored") written.returnedAtMs = this.#cluster.nowMs
          done()
        })
      },
    })
  }

  invalidate(client: SimulatedClient, tag: string, done: () => void): void {
    const calledAtMs = this.#cluster.nowMs
    const question = questions.delete(textOf(tagKey(bytesOf(tag))))
    client.ask({ ...question, meaning: null }, {}, outcome => {
      if (outcome.kind !== "failed") this.invalidated.push({ tag, calledAtMs, returnedAtMs: this.#cluster.nowMs })
      done()
    })
  }

  /** What was set before a tag of it was invalidated, and is read after that, is stale. */
  get(client: SimulatedClient, key: string, done: (value: string | undefined) => void): void {
    const calledAtMs = this.#cluster.nowMs
    client.ask({ ...questions.get(key), meaning: null }, {}, outcome =>
      followIn(this.#cluster, client, untagged([outcome]), {
        meaningOf: () => null,
        done: ([read]: readonly CallOutcome[]) => {
          const value = read?.kind === "value" ? textOf(read.value) : undefined
          this.reads += value === undefined ? 0 : 1
          const written = this.written.find(each => each.value === value)
          const invalid = this.invalidated.find(
            ({ tag, calledAtMs: atMs, returnedAtMs }) =>
              written?.tags.includes(tag) && written.returnedAtMs < atMs && returnedAtMs < calledAtMs,
          )
          if (invalid !== undefined)
            this.stale.push(`${key} is read as ${value}, whose tag ${invalid.tag} was invalidated`)
          done(value)
        },
      }),
    )
  }
}

for (const seed of [1, 2, 3, 4])
  test(`through faults nothing is read that was set before its tag was invalidated (seed ${seed})`, () => {
    const cluster = simulatedCluster({ nodes: 5, seed })
    const prng = new Prng(seed)
    const tagged = new Tagged(cluster)
    const tags = ["red", "green", "blue"]
    let isOn = true
    const goOn = (client: SimulatedClient): void => {
      if (!isOn) return
      const key = `k${prng.below(4)}`
      const next = () => cluster.simulator.after(prng.between(0, 10), () => goOn(client))
      if (prng.chance(0.3)) tagged.set(client, key, prng.shuffled(tags).slice(0, 1 + prng.below(2)), next)
      else if (prng.chance(0.1)) tagged.invalidate(client, prng.pick(tags), next)
      else tagged.get(client, key, next)
    }
    for (const client of clientsOf(cluster, 4)) goOn(client)
    const faults = faultsOf(cluster, seed)
    faults.begin()
    cluster.run(4_000)
    faults.end()
    cluster.run(1_000)
    isOn = false
    ok(tagged.reads > 200, `${tagged.reads} values were read`)
    ok(tagged.invalidated.length > 20, `${tagged.invalidated.length} invalidations`)
    deepEqual(tagged.stale, [])
    deepEqual(cluster.violations, [])
  })

test("a tag whose key is lost invalidates what bears it, and its next life revives nothing", () => {
  const cluster = simulatedCluster({ nodes: 3, seed: 9 })
  const tagged = new Tagged(cluster)
  const client = cluster.client()
  const read = () => {
    let value: string | undefined = "no answer"
    tagged.get(client, "k", found => {
      value = found
    })
    cluster.run(50)
    return value
  }
  tagged.set(client, "k", ["red"], () => {})
  cluster.run(50)
  equal(read(), "v0")
  // As an eviction does.
  client.delete(textOf(tagKey(bytesOf("red"))))
  equal(read(), undefined)
  tagged.set(client, "other", ["red"], () => {})
  cluster.run(50)
  equal(read(), undefined)
})
