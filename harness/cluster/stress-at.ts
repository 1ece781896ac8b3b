/**
 * A cluster that runs already is loaded and checked: no node is started, hurt or ended, so the answers are judged with
 * whatever happens to it meanwhile. Keys are this run's own, and are deleted at the end.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { Prng } from "../../src/base/prng.ts"
import type { Address } from "../../src/protocol/message.ts"
import { type CacheWay, openWay, type WayOptions } from "./access.ts"
import { disagreement, evictedOf, type Sighting } from "./agreement.ts"
import { judge } from "./judge.ts"
import { LiveProgress } from "./live-progress.ts"
import { OperationChooser } from "./operations.ts"
import { readBack } from "./read-back.ts"
import { operationFigures, Recorder } from "./recorder.ts"
import { type StressReport } from "./report.ts"
import type { StressOptions, StressResult, StressWatcher } from "./stress.ts"
import { Workload } from "./workload.ts"

export type StressAtOptions = Pick<StressOptions, "clients" | "keys" | "durationMs" | "rate" | "seed"> & {
  /** Nodes of the cluster; one is enough. */
  readonly at: readonly Address[]
}

const clientCount = 4
const deadlineMs = 5_000
/** Deletions under way at the end. */
const sweepers = 16

/** Rejects with `CouldNotRun` when nobody answers, and with the signal's reason when it is aborted. */
export async function runStressAt(
  options: StressAtOptions,
  watcher: StressWatcher,
  signal: AbortSignal,
): Promise<StressResult> {
  const prng = new Prng(options.seed)
  const startNs = process.hrtime.bigint()
  const nowNs = () => Number(process.hrtime.bigint() - startNs)
  const recorder = new Recorder()
  const ways: CacheWay[] = []
  const open = async (nodes: readonly Address[], routing: WayOptions["routing"]) => {
    signal.throwIfAborted()
    const way = await openWay({ nodes, routing, deadlineMs, whenUnreachable: "fail" })
    ways.push(way)
    return way
  }
  let memberCount = 0
  const live = new LiveProgress({
    recorder,
    memberCount: () => memberCount,
    nowMs: () => nowNs() / 1e6,
    show: state => watcher.progress(state),
  })
  // Ends every operation under way, and with them the load.
  const abort = () => void Promise.all(ways.map(way => way.close()))
  signal.addEventListener("abort", abort)
  try {
    const accesses: CacheWay[] = []
    for (let i = 0; i < clientCount; i++) accesses.push(await open(options.at, "to-primary"))
    const [first] = accesses
    if (!first) throw new RangeError("a load needs a way to the cluster")
    const before = await first.sightings()
    memberCount = before.length
    watcher.line(`${memberCount} ${memberCount === 1 ? "member" : "members"} at ${options.at.join(", ")}`)

    live.phase = "load"
    // Nobody else's keys, and no earlier run's: a history begins with every key absent.
    const keyPrefix = `stress:${prng.fork().hex64()}:${Date.now().toString(36)}:`
    const chooser = new OperationChooser({ prng: prng.fork(), keyCount: options.keys, keyPrefix })
    const loadFromNs = nowNs()
    const { clients, rate, durationMs } = options
    const load = new Workload({ chooser, recorder, accesses, processCount: clients, rate, nowNs })
    await sleep(durationMs, undefined, { signal }).finally(() => load.stop())
    const loadMs = (nowNs() - loadFromNs) / 1e6

    live.phase = "reading back"
    const readBackFromNs = nowNs()
    const readings = new Recorder()
    const through = await waysThroughEach(before, accesses, open)
    const read = await readBack({
      ...{ keys: chooser.keys, ways: through, prng, recorder: readings, firstProcess: clients, nowNs },
    })
    const after = await first.sightings()

    live.phase = "deleting the keys"
    await sweep(chooser.keys, accesses)

    live.phase = "judging"
    const history = [...recorder.history(), ...readings.history()]
    watcher.line(`judging ${history.length.toLocaleString("en")} operations`)
    const problem = disagreement(after)
    const judgement = judge(history, {
      readBackFromNs,
      readBack: { keys: chooser.keys.length, ...read },
      problems: problem === undefined ? [] : [problem],
      memory: mayHaveForgotten(before, after) ? "forgetful" : "strict",
    })
    const report: StressReport = {
      ...{ seed: options.seed, nodes: after.length, copies: after[0]?.report?.copies ?? 0, clients },
      ...{ keys: options.keys, rate: rate ?? null, loadMs, membership: membershipOf(after) },
      operations: operationFigures(recorder),
      errorCodes: recorder.errorCodes(),
      faults: [],
      evicted: evictedOf(after) - evictedOf(before),
      ...judgement,
    }
    return { report, history }
  } finally {
    signal.removeEventListener("abort", abort)
    live.stop()
    await Promise.all(ways.map(way => way.close()))
  }
}

/** Whether some node forgot anything meanwhile, as far as can be told: one that came, went or does not say may have. */
function mayHaveForgotten(before: readonly Sighting[], after: readonly Sighting[]): boolean {
  const counts = (sightings: readonly Sighting[]) =>
    sightings
      .map(({ name, report }) => {
        const { eviction = "", evicted = 0, evictedCopies = 0 } = report?.forgetting ?? {}
        return `${name} ${report?.id} ${eviction} ${evicted} ${evictedCopies}`
      })
      .sort()
      .join()
  if (after.every(({ report }) => report?.forgetting?.eviction === "none")) return false
  return counts(before) !== counts(after) || after.some(({ report }) => report?.forgetting == null)
}

/** One through each member that can be dialed from here; where none can, those that the load had. */
async function waysThroughEach(
  sightings: readonly Sighting[],
  otherwise: readonly CacheWay[],
  open: (nodes: readonly Address[], routing: WayOptions["routing"]) => Promise<CacheWay>,
): Promise<readonly CacheWay[]> {
  const addresses = sightings.flatMap(({ report }) => (report ? [report.addr] : []))
  const opened = await Promise.allSettled(addresses.map(address => open([address], "through-dialed")))
  const through = opened.flatMap(way => (way.status === "fulfilled" ? [way.value] : []))
  return through.length > 0 ? through : otherwise
}

/** What is not answered stays: nothing depends on it. */
async function sweep(keys: readonly string[], ways: readonly CacheWay[]): Promise<void> {
  const left = [...keys]
  const sweeper = async (way: CacheWay) => {
    for (let key = left.pop(); key !== undefined; key = left.pop()) await way.perform({ key, op: "delete" })
  }
  await Promise.all(ways.flatMap(way => Array.from({ length: sweepers / ways.length }, () => sweeper(way))))
}

function membershipOf(sightings: readonly Sighting[]): StressReport["membership"] {
  const reports = sightings.flatMap(({ report }) => (report ? [report] : []))
  const newest = reports.toSorted((a, b) => b.membersEpoch - a.membersEpoch || b.epoch - a.epoch)[0]
  return {
    agreedAfterMs: null,
    everyNodeAgrees: disagreement(sightings) === undefined,
    epoch: newest?.epoch ?? 0,
    membersEpoch: newest?.membersEpoch ?? 0,
    members: (newest?.members ?? []).map(({ id, name, addr }) => ({ id, name, address: addr })),
    unexpectedRemovals: [],
  }
}
