/**
 * The whole run: nodes are started and must agree, a load goes on while one fault after another happens, every key is
 * read back, and the history of it all is judged. Prints nothing itself: who watches is told what goes on.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { Prng } from "../../src/base/prng.ts"
import type { Address } from "../../src/protocol/message.ts"
import type { Operation } from "../checker/history.ts"
import type { Memory } from "../checker/model.ts"
import { type CacheWay, openWay, type WayOptions } from "./access.ts"
import { disagreement, evictedOf, type Sighting } from "./agreement.ts"
import { type FaultKind, nextFault } from "./fault-plan.ts"
import { type FaultOutcome, makeFault } from "./faults.ts"
import { Fleet } from "./fleet.ts"
import { judge } from "./judge.ts"
import { LiveProgress } from "./live-progress.ts"
import type { CommandLine } from "./node-process.ts"
import { OperationChooser } from "./operations.ts"
import type { ProgressState } from "./progress-line.ts"
import { readBack as readBackKeys } from "./read-back.ts"
import { operationFigures, Recorder } from "./recorder.ts"
import { type FaultReport, type MembershipReport, type StressReport } from "./report.ts"
import { startCluster } from "./start.ts"
import { Workload } from "./workload.ts"

export type StressOptions = {
  readonly nodes: number
  readonly copies: number
  /** Processes of the load; each has one operation at a time. */
  readonly clients: number
  readonly keys: number
  /** The load goes on at least so long, until every kind of fault has happened, and until so many faults have. */
  readonly durationMs: number
  readonly faultCount?: number
  /** Operations a second; undefined: as fast as they are answered. */
  readonly rate: number | undefined
  readonly seed: number
  readonly faults: readonly FaultKind[]
  /** Forgetful: the nodes are given so little memory that they may forget. */
  readonly memory: Memory
  /** Every value is made so long; undefined: a few dozen bytes, as they come. */
  readonly valueBytes?: number | undefined
  /** What starts a node, and further arguments for it. */
  readonly command: CommandLine
  readonly nodeArgs: readonly string[]
  /** An existing directory for the nodes' logs. */
  readonly logDirectory?: string | undefined
}

/** Whoever watches. */
export interface StressWatcher {
  /** Something is done, in a sentence. */
  line(text: string): void
  /** Called a few times a second. */
  progress(state: ProgressState): void
}

export type StressResult = { readonly report: StressReport; readonly history: readonly Operation[] }

/** Connections of the load: one client a process would be what nobody does, one for all would hide what differs between two. */
const clientCount = 4
/** Before each fault the load runs undisturbed for so long, or a fault would be charged with the one before it. */
const calmMs = 1_500
const settleWithinMs = 60_000
/** An operation of the load that waits longer has failed. */
const deadlineMs = 5_000

/**
 * Ends every process that it started, however it ends. Rejects when the cluster does not come up, with the last words of
 * the node concerned, and with the signal's reason when it is aborted.
 */
export async function runStress(
  options: StressOptions,
  watcher: StressWatcher,
  signal: AbortSignal,
): Promise<StressResult> {
  const prng = new Prng(options.seed)
  const nodeArgs = ["--copies", String(options.copies), ...options.nodeArgs]
  const { command, logDirectory } = options
  const fleet = new Fleet({ command, nodeArgs, logDirectory, prng: prng.fork(), signal })
  const ways: CacheWay[] = []
  const startNs = process.hrtime.bigint()
  const nowNs = () => Number(process.hrtime.bigint() - startNs)
  const recorder = new Recorder()
  const live = new LiveProgress({
    recorder,
    memberCount: () => fleet.nodes.length,
    nowMs: () => nowNs() / 1e6,
    show: state => watcher.progress(state),
  })
  try {
    const run: Run = { options, watcher, signal, prng, fleet, ways, recorder, live, nowNs, problems: [] }
    return await wholeRun(run)
  } finally {
    live.stop()
    // Closing them ends every operation under way, so that nothing waits for nodes that are about to go.
    await Promise.all(ways.map(way => way.close()))
    await fleet.endAll()
  }
}

/** What the phases of a run share. */
type Run = {
  readonly options: StressOptions
  readonly watcher: StressWatcher
  readonly signal: AbortSignal
  readonly prng: Prng
  readonly fleet: Fleet
  /** Every way to the cluster ever opened. */
  readonly ways: CacheWay[]
  readonly recorder: Recorder
  readonly live: LiveProgress
  readonly nowNs: () => number
  readonly problems: string[]
}

async function wholeRun(run: Run): Promise<StressResult> {
  const { options, watcher, fleet, recorder, live, nowNs, prng, problems } = run
  await fleet.reservePorts(options.nodes)
  watcher.line(`starting ${options.nodes} nodes`)
  const agreedAfterMs = await startCluster(fleet, {
    nodeCount: options.nodes,
    prng: prng.fork(),
    nowMs: () => nowNs() / 1e6,
  })
  watcher.line(
    `${options.nodes} nodes report the same ${options.nodes} members after ${(agreedAfterMs / 1_000).toFixed(1)} s`,
  )
  await atRest(run)

  live.phase = "load"
  const chooser = new OperationChooser({ prng: prng.fork(), keyCount: options.keys })
  const loadFromNs = nowNs()
  const faults = await loadAndFaults(run, chooser)
  const loadMs = (nowNs() - loadFromNs) / 1e6

  live.phase = "reading back"
  const sightings = await atRest(run)
  const readBackFromNs = nowNs()
  // Apart: these reads are no part of the load, and would hide what it felt.
  const readings = new Recorder()
  const read = await readBackThroughNodes(run, chooser.keys, readings)

  live.phase = "judging"
  // The nodes have nothing more to say, and the checker can use the machine.
  await fleet.endAll()
  const history = [...recorder.history(), ...readings.history()]
  watcher.line(`judging ${history.length.toLocaleString("en")} operations`)
  const readBack = { keys: chooser.keys.length, ...read }
  const { memory } = options
  const judgement = judge(history, { readBackFromNs, readBack, problems, memory })
  const { seed, nodes, copies, clients, keys, rate = null } = options
  const report: StressReport = {
    ...{ seed, nodes, copies, clients, keys, rate, loadMs },
    membership: membershipOf(fleet, sightings, agreedAfterMs),
    operations: operationFigures(recorder),
    errorCodes: recorder.errorCodes(),
    faults: faults.map(fault => faultReport(fault, recorder, loadFromNs)),
    evicted: evictedOf(sightings),
    ...judgement,
  }
  return { report, history }
}

async function loadAndFaults(run: Run, chooser: OperationChooser): Promise<FaultOutcome[]> {
  const { options, fleet, recorder, nowNs, prng } = run
  const accesses = await openWays(
    run,
    Array.from({ length: Math.min(clientCount, options.clients) }, () => prng.shuffled(fleet.addresses)),
    "to-primary",
  )
  const { clients, rate } = options
  const load = new Workload({ chooser, recorder, accesses, processCount: clients, rate, nowNs })
  try {
    return await makeFaults(run)
  } finally {
    // When the run is aborted the ways are closed first, by its owner, and this ends at once.
    if (!run.signal.aborted) await load.stop()
    else void load.stop()
  }
}

async function makeFaults(run: Run): Promise<FaultOutcome[]> {
  const { options, fleet, prng, nowNs, signal, live, watcher, problems } = run
  const [prober] = await openWays(run, [fleet.addresses], "to-primary")
  if (!prober) throw new RangeError("one list of addresses, one way")
  const outcomes: FaultOutcome[] = []
  const endAtNs = nowNs() + options.durationMs * 1e6
  for (;;) {
    const done = outcomes.map(outcome => outcome.kind)
    const leftMs = Math.max(0, (endAtNs - nowNs()) / 1e6)
    const kind = nextFault(options.faults, done, { atStart: options.nodes, now: fleet.nodes.length })
    // What comes next is what happened least, so one seen means all seen.
    const isWanted = kind !== undefined && (!done.includes(kind) || done.length < (options.faultCount ?? 0))
    const isDue = kind !== undefined && (leftMs > calmMs || isWanted)
    // After a fault that was not repaired in time, the next would show nothing but that.
    if (!isDue || problems.length > 0) {
      await sleep(leftMs, undefined, { signal })
      return outcomes
    }
    await sleep(calmMs, undefined, { signal })
    const onStage = (stage: string) => {
      live.fault = stage
    }
    const outcome = await makeFault(kind, { fleet, prng, ask: prober.ask, nowNs, signal, onStage })
    live.fault = undefined
    outcomes.push(outcome)
    watcher.line(faultLine(outcome))
    if (outcome.problem) problems.push(outcome.problem)
    else await atRest(run)
  }
}

/** One way for each list of addresses. All are closed at the end of the run. */
async function openWays(
  { options, ways }: Run,
  lists: readonly (readonly Address[])[],
  routing: WayOptions["routing"],
): Promise<CacheWay[]> {
  return Promise.all(
    lists.map(async nodes => {
      const way = await openWay({ nodes, routing, deadlineMs, valueBytes: options.valueBytes })
      ways.push(way)
      return way
    }),
  )
}

/** Waits until nothing moves any more. What every node says then; a problem of the run if that takes too long. */
async function atRest({ fleet, live, problems, signal }: Run): Promise<Sighting[]> {
  try {
    return await fleet.atRest(settleWithinMs, obstacle => {
      live.fault = obstacle
    })
  } catch (error) {
    signal.throwIfAborted()
    problems.push(error instanceof Error ? error.message : String(error))
    return fleet.sightings()
  } finally {
    live.fault = undefined
  }
}

async function readBackThroughNodes(
  run: Run,
  keys: readonly string[],
  recorder: Recorder,
): Promise<{ reads: number; unanswered: number }> {
  const { fleet, prng, nowNs, options } = run
  const each = fleet.addresses.map(address => [address])
  const through = await openWays(run, each, "through-dialed")
  return readBackKeys({ keys, ways: through, prng, recorder, firstProcess: options.clients, nowNs })
}

function membershipOf(fleet: Fleet, sightings: readonly Sighting[], agreedAfterMs: number): MembershipReport {
  // The newest list; the same as all others unless the nodes disagree, which is then said.
  const newest = sightings
    .flatMap(({ report }) => (report ? [report] : []))
    .toSorted((a, b) => b.membersEpoch - a.membersEpoch || b.epoch - a.epoch)[0]
  return {
    agreedAfterMs,
    everyNodeAgrees: disagreement(sightings) === undefined,
    epoch: newest?.epoch ?? 0,
    membersEpoch: newest?.membersEpoch ?? 0,
    members: (newest?.members ?? []).map(({ id, name, addr }) => ({ id, name, address: addr })),
    unexpectedRemovals: fleet.unexpectedRemovals,
  }
}

function faultReport(fault: FaultOutcome, recorder: Recorder, loadFromNs: number): FaultReport {
  const { kind, node, fromNs, toNs, failoverMs, completeMs } = fault
  return { kind, node, atMs: (fromNs - loadFromNs) / 1e6, failoverMs, completeMs, ...recorder.impact({ fromNs, toNs }) }
}

function faultLine({ kind, node, failoverMs, completeMs }: FaultOutcome): string {
  const answered = failoverMs === null ? "not answered again" : `longest unanswered ${failoverMs.toFixed(0)} ms`
  const complete =
    completeMs === null ? "copies not complete in time" : `copies complete after ${(completeMs / 1_000).toFixed(1)} s`
  return `${kind} of ${node}: ${answered}, ${complete}`
}
