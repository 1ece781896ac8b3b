/**
 * One random run. Its seed chooses everything: how large the cluster is, how the network behaves, what clients do, what
 * goes wrong. Two acts: first faults, during which nothing wrong may ever be said; then they end, and the cluster must
 * come back within a stated time, and everything must add up.
 */
import { Prng } from "../../src/base/prng.ts"
import type { Config } from "../../src/config.ts"
import type { Rules } from "../../src/core/rules.ts"
import { questions } from "./client.ts"
import { BrokenPromise, type ClusterSettings, SimulatedCluster, type Violation } from "./cluster.ts"
import { type FaultKind, Faults, faultKinds, type PlannedFault } from "./faults.ts"
import type { Tally } from "./tally.ts"
import type { Millis } from "./simulator.ts"
import { Walks } from "./walks.ts"
import { Workload } from "./workload.ts"

export type RunOptions = {
  readonly seed: number
  readonly rules?: Partial<Rules>
  readonly print?: (line: string) => void
  /** Replaces what the seed chose. */
  readonly config?: Partial<Config>
  readonly nodes?: number
  readonly kinds?: readonly FaultKind[]
  /** Whether nodes have so little memory that they forget throughout. */
  readonly memory?: "scarce" | "plenty"
  /** Of the faults that the seed plans, those that strike, by their places. */
  readonly onlyFaults?: ReadonlySet<number>
}

export type RunReport = {
  readonly seed: number
  readonly violations: readonly Violation[]
  readonly traceHash: string
  readonly operations: number
  readonly answered: number
  readonly views: number
  readonly faults: ReadonlyMap<FaultKind, number>
  readonly planned: readonly PlannedFault[]
  readonly tally: Tally
  /** Operations of which nobody was told whether they took effect. */
  readonly unknown: number
  readonly processes: number
  readonly steps: number
  readonly virtualMs: Millis
  /**
   * It lost half of its voters before a view could replace them, as a run of bad luck may. Mostly an operator then has the
   * survivors go on; where the dead alone knew the newest view nobody can vouch for what they held, and the second act was left out.
   */
  readonly isStopped: boolean
  /** From the end of the faults until every node agreed, and until every copy was complete. */
  readonly agreedAfterMs: Millis
  readonly restAfterMs: Millis
}

/** Ends a run whose cluster can go on by an operator's word alone. */
class Stopped extends Error {}

/**
 * After faults ended, or an operator helped: the times in which everything must be as if nothing had been. Mostly all agree within
 * a beat or two. The rest is waiting that is meant: who was left out asks around after 2 s without a lease; one that was voted out
 * again and again stays out for 2 s at most in these runs; a member whose beats had come late for a while, or that died as soon as it had
 * joined, is allowed a silence of 2 s. What one of these ends may find itself at the beginning of another.
 */
const agreement = { withinMs: 5_000, everyMs: 10 }
/** Shards that wait for being begun anew are not counted while they do. */
const rest = { withinMs: 5_000, everyMs: 10 }
/** And any operation of one who is connected. */
const answerWithinMs = 1_000
const mostNodes = 25
/** What was under way when the faults ended may still have consequences for so long. */
const aftermathMs = 1_500

export function randomRun(options: RunOptions): RunReport {
  const prng = new Prng(options.seed)
  const { settings, actMs, clientCount, kinds, mayLoseData, slowness } = chooseRun(options, prng)
  const cluster = new SimulatedCluster(settings)
  const ofGroups = new Prng(options.seed ^ 0x67726f)
  const shape = { ...chooseShape(prng), groups: ofGroups.below(3), apart: ofGroups.pick([0, 0.05, 0.2]) }
  const workload = new Workload({ cluster, prng: prng.fork(), shape })
  const walks = new Walks({ cluster, keys: workload.allKeys, mayExpire: key => workload.isFleeting(key) })
  const faults = new Faults({
    cluster,
    prng: prng.fork(),
    kinds,
    mayLoseData,
    mostProcesses: prng.chance(0.05) ? mostNodes : settings.nodes + 4,
    meanGapMs: prng.pick([200, 500, 1_200]),
    only: options.onlyFaults,
  })
  let agreedAfterMs = Number.NaN
  let restAfterMs = Number.NaN
  let isStopped = false
  let resetAtMs = Number.NEGATIVE_INFINITY
  cluster.onReset = shard => {
    resetAtMs = cluster.nowMs
    const fromNs = cluster.recorder.nowNs()
    for (const key of workload.allKeys) if (cluster.shardOf(key) === shard) cluster.recorder.mayVanish(key, fromNs)
  }
  try {
    const first = cluster.start({ seeds: [] })
    for (let i = 1; i < settings.nodes; i++) {
      // One after another, or all at once through the first, or through one that is itself still joining.
      if (prng.chance(0.3)) cluster.run(prng.between(0, 100))
      cluster.start({ seeds: prng.chance(0.7) ? [first.address] : [prng.pick(cluster.alive()).address] })
    }
    cluster.runUntil(() => cluster.hasConverged(), { withinMs: 15_000, orElse: "the first nodes find each other" })

    for (let i = 0; i < clientCount; i++) {
      const client = cluster.client(prng.chance(0.5) ? undefined : prng.pick(cluster.alive()))
      if (prng.chance(0.3)) client.duplicates = { chance: 0.05, withinMs: 4_500 }
      workload.begin(client)
    }
    for (let i = prng.below(3); i > 0; i--) workload.begin(cluster.resident())
    workload.fill(cluster.client())
    cluster.run(prng.between(100, 400))
    faults.begin()
    for (let left = actMs; left > 0; left -= 1_000) {
      workload.pace(slowness * prng.pick([0.3, 1, 1, 5]))
      if (prng.chance(shape.lists)) walks.list(prng.pick(cluster.clients))
      if (prng.chance(shape.clears)) walks.clear(prng.pick(cluster.clients))
      cluster.run(Math.min(left, 1_000))
    }

    faults.end()
    cluster.giveUpOnStranded()
    let helpedAtMs = cluster.nowMs
    workload.pace(3)
    let since = stateAfter(cluster, aftermathMs)
    cluster.giveUpOnStranded()
    if (cluster.hasStopped()) {
      if (cluster.recover() === "unwise") throw new Stopped()
      helpedAtMs = cluster.nowMs
      since = stateAfter(cluster, aftermathMs)
    }
    cluster.runUntil(() => cluster.hasAgreed(), { ...agreement, orElse: "all nodes agree on who is a member" })
    agreedAfterMs = (since.agreedAtMs ?? cluster.nowMs) - helpedAtMs
    const atRestAtMs = settle(cluster, since.atRestAtMs)
    // A shard that nobody holds any more waits for as long as it was told to.
    restAfterMs = atRestAtMs - Math.max(helpedAtMs, Math.min(resetAtMs, atRestAtMs))
    if (restAfterMs > rest.withinMs) cluster.violate("the cluster comes back", `at rest after ${restAfterMs} ms`)

    workload.stop()
    walks.stop()
    readEverythingBack(cluster, workload)
    settle(cluster)
    // A primary that deletes what has expired may do so in this very moment. Copies that stay behind are found all the same.
    cluster.comesTrue(() => isNothingUnderWay(cluster), { withinMs: 100 })
    cluster.checkAtRest()
  } catch (error) {
    if (error instanceof Stopped) isStopped = true
    else if (!(error instanceof BrokenPromise) && cluster.violations.length === 0) {
      const what = error instanceof Error ? (error.stack ?? error.message) : String(error)
      cluster.violate("the run can be carried out", what)
    }
  }
  cluster.checkAtEnd()
  return {
    seed: options.seed,
    violations: cluster.violations,
    traceHash: cluster.trace.hash,
    operations: workload.asked,
    answered: workload.answered,
    views: cluster.hasView ? cluster.newestView.epoch : 0,
    faults: faults.struck,
    planned: faults.planned,
    tally: cluster.tally,
    unknown: cluster.recorder.unknownCount,
    processes: cluster.processes.length,
    steps: cluster.simulator.steps,
    virtualMs: cluster.nowMs,
    isStopped,
    agreedAfterMs,
    restAfterMs,
  }
}

/** Lets so much time pass; says since when all agree, and since when all is at rest; undefined: not yet. */
function stateAfter(cluster: SimulatedCluster, forMs: Millis) {
  let agreedAtMs: Millis | undefined = cluster.nowMs
  let atRestAtMs: Millis | undefined = cluster.nowMs
  for (let passedMs = 0; passedMs < forMs; passedMs += 10) {
    cluster.run(10)
    agreedAtMs = cluster.hasAgreed() ? (agreedAtMs ?? cluster.nowMs) : undefined
    atRestAtMs = cluster.hasConverged() ? (atRestAtMs ?? cluster.nowMs) : undefined
  }
  return { agreedAtMs, atRestAtMs }
}

/** Waits until the cluster is at rest and stays there; says since when. */
function settle(cluster: SimulatedCluster, restingSinceMs?: Millis): Millis {
  const { orphanResetMs } = cluster.config
  const resetWaitMs = orphanResetMs === Number.POSITIVE_INFINITY ? 0 : orphanResetMs
  let sinceMs = restingSinceMs
  for (;;) {
    if (sinceMs === undefined) {
      cluster.runUntil(() => cluster.hasConverged(), {
        ...{ withinMs: rest.withinMs + resetWaitMs, everyMs: rest.everyMs, orElse: "every copy is complete" },
      })
      sinceMs = cluster.nowMs
    }
    if (!cluster.comesTrue(() => !cluster.hasConverged(), { withinMs: aftermathMs, everyMs: 10 })) return sinceMs
    sinceMs = undefined
  }
}

/** Whether all copies of each shard have come as far as its primary. */
function isNothingUnderWay(cluster: SimulatedCluster): boolean {
  return cluster.newestView.shards.every(({ orphan, inSync }, shard) => {
    const seqs = new Set(inSync.map(id => cluster.livingProcess(id)?.node.inspectShard(shard)?.seq))
    return orphan || seqs.size <= 1
  })
}

/** Every call under way ends, and a newcomer finds every key. */
function readEverythingBack(cluster: SimulatedCluster, workload: Workload): void {
  const askers = [...cluster.clients, ...cluster.residents]
  // A walk waits for each shard that is lost as long as for one that is slow.
  const lost = cluster.newestView.shards.filter(shard => cluster.isLost(shard)).length
  cluster.runUntil(() => askers.every(({ open }) => open === 0), {
    withinMs: 8_000 + 5_000 * lost,
    orElse: "every call ends by its deadline",
  })
  const reader = cluster.client()
  cluster.runUntil(() => reader.isConnected, { withinMs: 6_000, orElse: "a newcomer finds a node" })
  for (const key of workload.allKeys) {
    if (cluster.isKeyLost(key)) continue
    let kind: string | undefined
    reader.ask(questions.get(key), {}, outcome => {
      kind = outcome.kind
    })
    cluster.runUntil(() => kind !== undefined, { withinMs: answerWithinMs, orElse: `${key} is read back` })
    if (kind === "failed") cluster.violate("the cluster comes back", `${key} cannot be read when all is at rest`)
    cluster.throwIfBroken()
  }
}

function chooseRun(options: RunOptions, prng: Prng) {
  const mayLoseData = prng.chance(0.15)
  const copies = prng.pick([2, 2, 2, 3])
  // With leases that end before anybody is suspected, mistakes in who waits for them stay hidden.
  const isLeaseLong = prng.chance(0.35)
  const kindCount = prng.pick([0, 1, 2, 4, 8, faultKinds.length])
  const config: Partial<Config> = {
    copies,
    shardCount: prng.pick([8, 16, 16, 64]),
    maxVoters: prng.pick([3, 5, 7]),
    leaseMs: isLeaseLong ? 1_500 : 500,
    // Pieces so small that a transfer takes several, and begins again while its first pieces are still on their way.
    chunkBytes: prng.pick([64 * 1024, 64]),
    transferTimeoutMs: prng.pick([1_000, 1_000, 60]),
    orphanResetMs: mayLoseData ? prng.pick([3_000, 4_500]) : Number.POSITIVE_INFINITY,
    ...options.config,
  }
  const usualNodes = prng.pick([3, 3, 4, 5, 5, 6, 7])
  const scale = chooseScale(options, new Prng(options.seed ^ 0x73697a65))
  const nodes = options.nodes ?? scale.nodes ?? usualNodes
  const memory = chooseMemory(options, new Prng(options.seed ^ 0x6d656d))
  const settings: ClusterSettings = {
    nodes,
    ...(memory === undefined ? {} : { memory: memory.sizes }),
    seed: options.seed,
    config: memory === undefined ? config : { eviction: memory.eviction, ...config },
    frames: prng.chance(0.7) ? "joined" : "single",
    wire: prng.pick(["shared", "shared", "shared", "shared", "shared", "shared", "frozen", "encoded"]),
    zones: prng.pick([0, 0, 2, 3]),
    climate: prng.pick([
      { baseMs: 0.1, jitterMs: 0.2 },
      { baseMs: 0.5, jitterMs: 1 },
      { baseMs: 1, jitterMs: 5 },
    ]),
    ...(options.rules === undefined ? {} : { rules: options.rules }),
    ...(options.print === undefined ? {} : { print: options.print }),
  }
  return {
    settings,
    actMs: scale.actFactor * prng.pick([2_000, 4_000, 6_000]),
    slowness: scale.actFactor,
    clientCount: 2 + prng.below(4),
    kinds: options.kinds ?? prng.shuffled(faultKinds).slice(0, kindCount),
    mayLoseData,
  }
}

/**
 * In chance of its own: a seed is the same run but for this. A few runs are of two nodes, of many, or long enough for the longest
 * pauses; those with stated faults are not, since they are made to be many.
 */
function chooseScale({ kinds }: RunOptions, prng: Prng): { nodes: number | undefined; actFactor: number } {
  const usual = { nodes: undefined, actFactor: 1 }
  if (kinds !== undefined) return usual
  const fraction = prng.fraction()
  if (fraction < 0.05) return { ...usual, nodes: 2 }
  if (fraction < 0.08) return { ...usual, nodes: 10 + prng.below(mostNodes - 9) }
  return fraction < 0.1 ? { ...usual, actFactor: 8 } : usual
}

/** In chance of its own: a seed is the same run but for this. Some machines have room for a few entries, some for all. */
function chooseMemory({ memory }: RunOptions, prng: Prng) {
  if (memory === "plenty" || (memory === undefined && prng.chance(0.75))) return undefined
  // Where nothing is forgotten, writes are refused, and nothing is lost.
  const eviction: Config["eviction"] = memory === undefined ? prng.pick(["s3fifo", "s3fifo", "lru", "none"]) : "s3fifo"
  const bytes = Array.from({ length: 16 }, () => prng.pick([2_000, 2_000, 2_700, 6_000, 1_000_000]))
  return { eviction, sizes: (machine: number) => bytes[machine % bytes.length] }
}

function chooseShape(prng: Prng) {
  return {
    keys: 1 + prng.below(4),
    counters: prng.below(3),
    fleeting: prng.chance(0.4) ? 1 + prng.below(2) : 0,
    cold: prng.pick([0, 10, 60]),
    thinkMs: prng.pick([5, 10, 30]),
    reads: prng.pick([0.2, 0.5, 0.8]),
    lanes: prng.pick([1, 1, 3]),
    timeoutMs: prng.pick([500, 2_000, 5_000]),
    // Chances in each second that a client lists all keys, or clears them.
    lists: prng.pick([0, 0.5]),
    clears: prng.pick([0, 0, 0, 0.1]),
  }
}
