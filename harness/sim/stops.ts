/**
 * Planned stops and what follows, in words for stories; and a random run around one: load, a stop in the middle of it with
 * whatever may go wrong, a restart in any order, load again. What clients were told is judged across all of it.
 */
import { Prng } from "../../src/base/prng.ts"
import type { Config } from "../../src/config.ts"
import type { Rules } from "../../src/core/rules.ts"
import type { ColdHint } from "../../src/protocol/message.ts"
import { questions } from "./client.ts"
import { BrokenPromise, SimulatedCluster, type Violation } from "./cluster.ts"
import type { Resumption, SimulatedProcess } from "./process.ts"
import { Workload } from "./workload.ts"

/** A process that has ended, and what it wrote down of its newest view. */
export type Ended = { readonly process: SimulatedProcess; readonly hint: ColdHint | undefined }

/** As an operator would, through whoever is there. */
export function orderStop(cluster: SimulatedCluster, how: "complete" | "as-it-is" = "complete"): void {
  for (const { node, state } of cluster.alive())
    if (state === "running") node.clientMessage(0, { kind: "admin", n: 1, command: { kind: "stop", how } })
}

/** Orders it until every process that knows of it has written down what it holds, and ended. Who is paused is left behind. */
export function stop(cluster: SimulatedCluster, options: { readonly withinMs?: number } = {}): Ended[] {
  const isOver = () => {
    if (!cluster.newestView.stopped) orderStop(cluster)
    return cluster.alive().every(({ state }) => state === "paused")
  }
  cluster.runUntil(isOver, { withinMs: options.withinMs ?? 30_000, everyMs: 50, orElse: "the whole cluster stops" })
  const members = cluster.newestView.members.flatMap(({ id }) => cluster.processOf(id) ?? [])
  return members.filter(({ isAlive }) => !isAlive).map(process => ({ process, hint: hintOf(process) }))
}

/** Starts a process where that one was, with what it wrote down. */
export function startAgain(
  cluster: SimulatedCluster,
  { process, hint }: Ended,
  goesOn: Resumption["goesOn"] = "when-all-are-back",
): SimulatedProcess {
  return cluster.start({ seeds: [], address: process.address, goesOn, ...(hint === undefined ? {} : { hint }) })
}

export function hintOf({ node }: SimulatedProcess): ColdHint | undefined {
  if (node.view === undefined) return undefined
  const { clusterId, generation, membersEpoch: epoch, copies, members } = node.view
  return { clusterId, generation, epoch, copies, addresses: members.map(({ addr }) => addr) }
}

// ------------------------------------------------------------------------------------------------------ random runs

export type StopRunReport = {
  readonly seed: number
  readonly violations: readonly Violation[]
  readonly answered: number
  readonly unknown: number
}

export function randomStop(options: {
  readonly seed: number
  readonly rules?: Partial<Rules>
  readonly config?: Partial<Config>
  readonly print?: (line: string) => void
}): StopRunReport {
  const prng = new Prng(options.seed)
  const copies = prng.pick([2, 2, 3])
  // Some have so little memory that they forget: then a miss is no fault, and an older value is.
  const memory = prng.chance(0.25) ? { memory: () => prng.pick([2_000, 8_000]) } : {}
  const cluster = new SimulatedCluster({
    seed: options.seed,
    nodes: copies + 1 + prng.below(4),
    disks: "one-each",
    ...memory,
    config: {
      copies,
      shardCount: prng.pick([8, 16]),
      maxVoters: prng.pick([3, 5, 7]),
      // A shard that nobody has is a loss, and there must be none.
      orphanResetMs: 20_000,
      leaseMs: prng.pick([500, 1_500]),
      ...options.config,
    },
    frames: prng.chance(0.7) ? "joined" : "single",
    wire: prng.pick(["shared", "frozen", "encoded"]),
    climate: prng.pick([
      { baseMs: 0.1, jitterMs: 0.2 },
      { baseMs: 0.5, jitterMs: 1 },
      { baseMs: 1, jitterMs: 5 },
    ]),
    ...(options.rules === undefined ? {} : { rules: options.rules }),
    ...(options.print === undefined ? {} : { print: options.print }),
  })
  const workload = new Workload({
    cluster,
    prng: prng.fork(),
    shape: {
      keys: 1 + prng.below(4),
      counters: 1 + prng.below(3),
      fleeting: prng.below(3),
      groups: 1,
      apart: 0.1,
      cold: 60,
      thinkMs: prng.pick([2, 5, 20]),
      reads: prng.pick([0.2, 0.5]),
      lanes: prng.pick([1, 3]),
      timeoutMs: prng.pick([500, 2_000, 5_000]),
    },
  })
  try {
    live(cluster, workload, prng)
  } catch (error) {
    if (!(error instanceof BrokenPromise) && cluster.violations.length === 0)
      cluster.violate(
        "the run can be carried out",
        error instanceof Error ? (error.stack ?? error.message) : String(error),
      )
  }
  cluster.checkAtEnd()
  return {
    seed: options.seed,
    violations: cluster.violations,
    answered: workload.answered,
    unknown: cluster.recorder.unknownCount,
  }
}

function live(cluster: SimulatedCluster, workload: Workload, prng: Prng): void {
  begin(cluster)
  for (let i = 0; i < 2 + prng.below(3); i++) workload.begin(cluster.client())
  workload.fill(cluster.client())
  const rounds = prng.pick([1, 1, 2])
  for (let round = 0; round < rounds; round++) {
    cluster.run(prng.between(300, 1_500))
    const fate = prng.pick(["one-dies", "one-dies", "one-sleeps", "all-is-well", "all-is-well"] as const)
    const sleeper = fate === "one-sleeps" ? putOneToSleep(cluster, prng) : undefined
    if (fate === "one-dies") loseOneWhileStopping(cluster, prng)
    const ended = stop(cluster)
    cluster.run(prng.pick([0, 0, 500, 5_000]))
    comeBack(cluster, ended, sleeper, prng)
  }
  cluster.run(prng.between(200, 1_000))
  workload.stop()
  settle(cluster)
  readEverythingBack(cluster, workload)
  settle(cluster)
  // What was written for a while is gone by then, and its deletion is everywhere.
  cluster.run(3_000)
  cluster.checkAtRest()
}

function begin(cluster: SimulatedCluster): void {
  const first = cluster.start({ seeds: [] })
  for (let i = 1; i < cluster.nodeCount; i++) cluster.start({ seeds: [first.address] })
  settle(cluster)
}

function settle(cluster: SimulatedCluster): void {
  cluster.runUntil(() => cluster.hasConverged(), { withinMs: 90_000, everyMs: 10, orElse: "every copy is complete" })
}

/** One dies after the stop was decided, before it has written down what it holds, or on the way to that. */
function loseOneWhileStopping(cluster: SimulatedCluster, prng: Prng): void {
  cluster.runUntil(
    () => {
      orderStop(cluster)
      return cluster.newestView.stopped
    },
    { withinMs: 10_000, everyMs: 1 },
  )
  const victim = prng.pick(cluster.alive())
  cluster.run(prng.pick([0, 0, 1, 5, 20]))
  // It may have been done, and gone.
  if (victim.isAlive) cluster.crash(victim)
}

/** One sleeps through the stop, if it is decided before the others have voted it out. */
function putOneToSleep(cluster: SimulatedCluster, prng: Prng): SimulatedProcess {
  const sleeper = prng.pick(cluster.alive())
  orderStop(cluster)
  cluster.run(prng.between(0, 60))
  cluster.pause(sleeper)
  return sleeper
}

function comeBack(
  cluster: SimulatedCluster,
  ended: readonly Ended[],
  sleeper: SimulatedProcess | undefined,
  prng: Prng,
): void {
  for (const one of prng.shuffled(ended)) {
    cluster.run(prng.pick([0, 0, 10, 300, 3_000]))
    const process = startAgain(cluster, one)
    if (!prng.chance(0.15)) continue
    // Killed while it waits for others, it has done nothing that it could not do again.
    cluster.run(prng.between(0, 300))
    if (process.node.phase !== "resuming") continue
    cluster.crash(process)
    cluster.run(prng.pick([0, 100, 2_000]))
    startAgain(cluster, one)
  }
  if (sleeper !== undefined) wake(cluster, sleeper)
  settle(cluster)
}

/** Where it was a member still, it learns of the stop from those who wait for it, stops, and is started again. */
function wake(cluster: SimulatedCluster, sleeper: SimulatedProcess): void {
  cluster.resume(sleeper)
  if (!cluster.newestView.members.some(({ id }) => id === sleeper.id) || !sleeper.isAlive) return
  const isDecided = () => !sleeper.isAlive || !cluster.newestView.stopped
  cluster.runUntil(isDecided, { withinMs: 30_000, everyMs: 10, orElse: "the sleeper learns of the stop" })
  if (!sleeper.isAlive) startAgain(cluster, { process: sleeper, hint: hintOf(sleeper) })
}

function readEverythingBack(cluster: SimulatedCluster, workload: Workload): void {
  cluster.runUntil(() => cluster.clients.every(client => client.open === 0), { withinMs: 8_000 })
  const reader = cluster.client()
  for (const key of workload.allKeys) {
    let kind: string | undefined
    reader.ask(questions.get(key), {}, outcome => {
      kind = outcome.kind
    })
    cluster.runUntil(() => kind !== undefined, { withinMs: 6_000, orElse: `${key} is read back` })
    if (kind === "failed") cluster.violate("the cluster comes back", `${key} cannot be read when all is at rest`)
    cluster.throwIfBroken()
  }
}
