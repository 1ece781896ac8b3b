/**
 * How the protocol grows: a cluster of N nodes that join within one second, rests, loses ten at once. Times are virtual: what
 * the rules cost, on machines that are fast enough; the work that a machine does shows in the messages. No operations run.
 */
import type { Config } from "../../src/config.ts"
import { apply } from "../../src/core/layout.ts"
import { CacheNode, type NodeOptions, type SharedLayout } from "../../src/core/node.ts"
import { Placement } from "../../src/core/ring.ts"
import type { Member, NodeId, PeerMessage, View } from "../../src/protocol/message.ts"
import { SimulatedCluster } from "./cluster.ts"
import type { SimulatedProcess } from "./process.ts"

export type ScaleReport = {
  readonly nodes: number
  readonly shards: number
  /** From the first of N - 1 joins, which all come within one second, until every node holds one view of all. */
  readonly oneViewMs: number
  readonly views: number
  /** From then on until every copy is complete. */
  readonly completeMs: number
  /** From the end of ten at once (a tenth of fewer) until no node's view has them: processes killed, machines without power. */
  readonly ended: number
  readonly killedRemovedMs: number
  readonly darkRemovedMs: number
  /** Sent per node and second when nothing happens. */
  readonly restMessages: { readonly voter: number; readonly other: number }
  /** Shards led by a member: the most, against the mean; and the standard deviation against the mean. */
  readonly balance: { readonly largest: number; readonly deviation: number }
  /** Share of all copies that another node holds when one more joins, and the least that this could be. */
  readonly moved: { readonly share: number; readonly least: number }
  readonly memoryPerNodeBytes: number
  readonly tookSeconds: number
}

/** What this process has used so far. */
export type Meter = { readonly nowMs: () => number; readonly residentBytes: () => number }

export function scaleRun(nodes: number, shards: number, { nowMs, residentBytes }: Meter): ScaleReport {
  const beganAtMs = nowMs()
  const counts = new Map<SimulatedProcess, number>()
  const config: Partial<Config> = { shardCount: shards, orphanResetMs: Number.POSITIVE_INFINITY }
  const before = residentBytes()
  const shared = sharedLayout()
  const makeNode = (options: NodeOptions) => new CacheNode({ ...options, shared })
  const cluster = new SimulatedCluster({ nodes, seed: 1, config, checkers: [], makeNode })
  cluster.lose((from: SimulatedProcess, _to: SimulatedProcess | undefined, _message: PeerMessage) => {
    counts.set(from, (counts.get(from) ?? 0) + 1)
    return false
  })
  const first = cluster.start({ seeds: [] })
  cluster.run(100)
  const joinsFromMs = cluster.nowMs
  for (let i = 1; i < nodes; i++) {
    // Through whoever is there, members or not yet.
    const seed = cluster.prng.pick(cluster.processes)
    cluster.simulator.at(
      joinsFromMs + (i * 1_000) / nodes,
      () => void cluster.start({ seeds: [seed.address, first.address] }),
    )
  }
  cluster.run(1_000)
  cluster.runUntil(() => cluster.hasAgreed(), { withinMs: 300_000, everyMs: 10, orElse: "one view" })
  const oneViewMs = cluster.nowMs - joinsFromMs
  const agreedAtMs = cluster.nowMs
  cluster.runUntil(() => cluster.hasConverged(), { withinMs: 600_000, everyMs: 50, orElse: "complete copies" })
  const completeMs = cluster.nowMs - agreedAtMs
  const views = cluster.newestView.epoch

  cluster.run(3_000)
  counts.clear()
  const restMs = 6_000
  cluster.run(restMs)
  const voters = new Set(cluster.voters())
  const mean = (who: readonly SimulatedProcess[]) =>
    who.reduce((sum, one) => sum + (counts.get(one) ?? 0), 0) / Math.max(1, who.length) / (restMs / 1_000)
  const everyone = cluster.alive()
  const restMessages = {
    voter: mean(everyone.filter(one => voters.has(one))),
    other: mean(everyone.filter(one => !voters.has(one))),
  }
  const after = residentBytes()

  const ended = Math.min(10, Math.ceil(nodes / 10))
  const killedRemovedMs = removalMs(cluster, ended, "process")
  const darkRemovedMs = removalMs(cluster, ended, "machine")
  return {
    ...{ nodes, shards, oneViewMs, views, completeMs, restMessages, ended, killedRemovedMs, darkRemovedMs },
    ...placementOf(cluster.newestView.members, shards),
    memoryPerNodeBytes: (after - before) / nodes,
    tookSeconds: (nowMs() - beganAtMs) / 1_000,
  }
}

/** Voters are spared: their loss is another story. */
function removalMs(cluster: SimulatedCluster, count: number, what: "process" | "machine"): number {
  const voters = new Set(cluster.voters())
  const others = cluster.alive().filter(one => !voters.has(one))
  for (const victim of cluster.prng.shuffled(others).slice(0, count)) cluster.crash(victim, what)
  const endedAtMs = cluster.nowMs
  cluster.runUntil(() => cluster.hasAgreed(), { withinMs: 120_000, everyMs: 10, orElse: "they are removed" })
  return cluster.nowMs - endedAtMs
}

/** What the ring alone decides. */
function placementOf(members: readonly Member[], shardCount: number): Pick<ScaleReport, "balance" | "moved"> {
  const placement = new Placement()
  const shards = { length: shardCount }
  const before = placement.targets({ members, copies: 2, shards })
  const led = new Map<NodeId, number>(members.map(({ id }) => [id, 0]))
  for (const [primary] of before) if (primary !== undefined) led.set(primary, (led.get(primary) ?? 0) + 1)
  const mean = shardCount / members.length
  const variance = [...led.values()].reduce((sum, count) => sum + (count - mean) ** 2, 0) / members.length
  const [someone] = members
  if (someone === undefined) throw new Error("a cluster has members")
  const joiner: Member = { ...someone, id: "f".repeat(16), addr: "joiner:7000", clientAddr: "joiner:8000" }
  const after = placement.targets({ members: [...members, joiner], copies: 2, shards })
  let moved = 0
  for (const [shard, holders] of after.entries()) moved += holders.filter(id => !before[shard]?.includes(id)).length
  return {
    balance: { largest: Math.max(...led.values()) / mean, deviation: Math.sqrt(variance) / mean },
    moved: { share: moved / (2 * shardCount), least: 1 / (members.length + 1) },
  }
}

export function scaleLines(reports: readonly ScaleReport[]): string[] {
  const rows: readonly (readonly [string, (report: ScaleReport) => string])[] = [
    ["nodes", ({ nodes }) => String(nodes)],
    ["shards", ({ shards }) => String(shards)],
    ["one view of all, joining within 1 s", ({ oneViewMs, views }) => `${ms(oneViewMs)}, ${views} views`],
    ["then all copies (empty) complete", ({ completeMs }) => ms(completeMs)],
    ["killed at once, until removed", ({ ended, killedRemovedMs }) => `${ended}: ${ms(killedRemovedMs)}`],
    ["without power at once, until removed", ({ ended, darkRemovedMs }) => `${ended}: ${ms(darkRemovedMs)}`],
    ["messages sent at rest, each second: voter", ({ restMessages }) => restMessages.voter.toFixed(0)],
    ["other member", ({ restMessages }) => restMessages.other.toFixed(1)],
    [
      "shards led: largest, deviation / mean",
      ({ balance }) => `${balance.largest.toFixed(2)}, ${balance.deviation.toFixed(2)}`,
    ],
    ["copies that move for one more (least)", ({ moved }) => `${percent(moved.share)} (${percent(moved.least)})`],
    [
      "memory of the simulator, each node",
      ({ memoryPerNodeBytes }) => `${(memoryPerNodeBytes / 2 ** 20).toFixed(1)} MiB`,
    ],
    ["time this took", ({ tookSeconds }) => `${tookSeconds.toFixed(0)} s`],
  ]
  return rows.map(([name, of]) => `| ${name} | ${reports.map(of).join(" | ")} |`)
}

function ms(value: number): string {
  return `${value.toLocaleString("en", { maximumFractionDigits: 0 })} ms`
}

function percent(share: number): string {
  return `${(share * 100).toFixed(2)} %`
}

/**
 * One placement and one `apply` for all nodes: each of them computes the same views from the same commands, and a simulator need
 * not do that a thousand times. Keyed by what an acceptor compares as well: the view's hash and the commands.
 */
function sharedLayout(): SharedLayout {
  const results = new Map<string, View>()
  return {
    placement: new Placement(),
    apply: (view, commands, placement, rules) => {
      const key = `${view.epoch} ${view.hash} ${JSON.stringify(commands)}`
      const known = results.get(key)
      if (known !== undefined) return known
      const next = apply(view, commands, placement, rules)
      results.set(key, next)
      if (results.size > resultsKept) results.delete(results.keys().next().value ?? "")
      return next
    },
  }
}

const resultsKept = 64
