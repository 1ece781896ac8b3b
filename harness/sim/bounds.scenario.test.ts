/** Stories of more than there is room for: what is beyond a bound is refused in words, and whoever lifts the bound is noticed. */
import { equal, ok } from "node:assert/strict"
import { test } from "node:test"
import type { Config } from "../../src/config.ts"
import { questions } from "./client.ts"
import { simulatedCluster } from "./cluster.ts"

type Flood = {
  readonly what: string
  readonly config: Partial<Config>
  readonly keys: number
  readonly clients: number
  /** Of a primary whose replica does not answer; of one that has no lease. */
  readonly obstacle: "replica" | "lease"
}

const floods: readonly Flood[] = [
  { what: "parked", config: { maxParked: 20 }, keys: 8, clients: 2, obstacle: "lease" },
  { what: "uncommitted", config: { maxUncommitted: 8 }, keys: 400, clients: 2, obstacle: "replica" },
  { what: "uncommittedBytes", config: { maxUncommittedBytes: 2_000 }, keys: 400, clients: 2, obstacle: "replica" },
  { what: "pendingOfKey", config: { maxPendingPerKey: 4 }, keys: 1, clients: 2, obstacle: "replica" },
  { what: "dedupClients", config: { maxDedupClients: 3 }, keys: 1, clients: 100, obstacle: "replica" },
]

/** Clients ask a primary for much while it can finish nothing. How many were told that it is busy; what the checkers say. */
function flooded({ config, keys, clients: count, obstacle }: Flood, bounds: boolean) {
  const cluster = simulatedCluster({ nodes: 3, seed: 3, rules: { bounds }, config: { shardCount: 1, ...config } })
  const primary = cluster.primaryOf("k0")
  const clients = Array.from({ length: count }, () => cluster.client(primary))
  cluster.run(500)
  if (obstacle === "replica") cluster.lose((from, _to, { kind }) => from === primary && kind === "repl")
  else {
    cluster.lose((from, to, { kind }) => (from === primary || to === primary) && kind.startsWith("beat"))
    cluster.run(cluster.config.leaseMs)
  }
  let busy = 0
  const large = "x".repeat(obstacle === "replica" && config.maxUncommittedBytes !== undefined ? 2_000 : 1)
  for (const [i, client] of clients.entries())
    for (let n = 0; n < 400 / count; n++) {
      const question = questions.set(`k${n % keys}`, `${i}.${n}.${large}`)
      client.ask({ ...question, meaning: null }, { timeoutMs: 150, lane: 100 + n }, outcome => {
        if (outcome.kind === "failed" && outcome.code === "busy") busy += 1
      })
    }
  const isSeen = () => cluster.violations.length > 0
  for (let i = 0; i < 20 && !isSeen(); i++) cluster.simulator.runUntil(isSeen, { withinMs: 10, everyMs: 1 })
  return { busy, violations: cluster.violations }
}

for (const flood of floods)
  test(`more ${flood.what} than there is room for is refused, busy; without bounds it is noticed`, () => {
    const { busy, violations } = flooded(flood, true)
    equal(violations.length, 0, violations[0]?.what)
    ok(busy > 0, `${busy} are refused`)
    const [violation] = flooded(flood, false).violations
    equal(violation?.promise, "queues are bounded")
    ok(violation.what.includes(` ${flood.what},`), violation.what)
  })
