/**
 * `dcache bench`: connects, writes every key once, loads the cluster for a time, and says what that was like. Prints
 * nothing itself.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { CacheClient, CacheError } from "../../../src/client/client.ts"
import { Prng } from "../../../src/base/prng.ts"
import type { Address } from "../../../src/protocol/message.ts"
import { type Distribution, keyPicker } from "./distribution.ts"
import { Load, type LoadAnswer, type LoadOperation, type LoadWindow, type OperationLoad } from "./load.ts"

export type BenchOptions = {
  readonly nodes: readonly Address[]
  /** Connections to the cluster, and calls that each has under way at most. */
  readonly clients: number
  readonly pipeline: number
  /** Of all operations, from 0 to 1. */
  readonly setShare: number
  readonly valueBytes: number
  readonly keys: number
  readonly distribution: Distribution
  readonly durationMs: number
  /** Operations a second; undefined: as fast as they are answered. */
  readonly rate: number | undefined
  readonly seed: number
  /** Deadline of one operation, and of connecting. */
  readonly timeoutMs: number
  /** Of every entry written, so that nothing stays behind. */
  readonly ttlMs: number
}

export interface BenchWatcher {
  line(text: string): void
  /** A few times a second. */
  progress(state: BenchProgress): void
}

export type BenchProgress =
  | { readonly phase: "filling"; readonly written: number; readonly keys: number }
  | { readonly phase: "load"; readonly elapsedMs: number; readonly window: LoadWindow | undefined }

export type OperationReport = {
  readonly count: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p90Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
  readonly maxMs: number
  readonly failed: number
}

export type BenchReport = Omit<BenchOptions, "nodes" | "rate"> & {
  readonly members: number
  readonly rate: number | null
  readonly elapsedMs: number
  readonly operations: Readonly<Record<"get" | "set" | "all", OperationReport>>
  /** Of the reads that were answered. Null: nothing was read. */
  readonly hitRatio: number | null
  readonly failures: Readonly<Record<string, number>>
  /** Of an open load: fell due and were never asked. */
  readonly dropped: number
  /** CPU time of this process, an operation. */
  readonly clientCpuUs: number
}

const showEveryMs = 250
/** While filling: what one client has under way. */
const fillPipeline = 64

/** Rejects with a `CacheError` when the cluster cannot be reached or does not take the keys, and when it is aborted. */
export async function runBench(
  options: BenchOptions,
  watcher: BenchWatcher,
  signal: AbortSignal,
): Promise<BenchReport> {
  const { timeoutMs, nodes } = options
  const clients: CacheClient[] = []
  try {
    for (let i = 0; i < options.clients; i++)
      clients.push(await CacheClient.connect(nodes, { timeoutMs, whenUnreachable: "fail", signal }))
    const members = clients[0]?.members.length ?? 0
    watcher.line(
      `${members} ${members === 1 ? "member" : "members"}; writing ${options.keys.toLocaleString("en")} keys`,
    )
    const caches = new Caches(options, clients)
    await fill(caches, options, watcher, signal)
    return { ...(await load(caches, options, watcher, signal)), members }
  } finally {
    await Promise.all(clients.map(client => client.close()))
  }
}

/** Gets and sets by the number of a key. */
class Caches {
  readonly #clients: readonly CacheClient[]
  readonly #value: Uint8Array
  readonly #ttlMs: number

  constructor({ valueBytes, seed, ttlMs }: BenchOptions, clients: readonly CacheClient[]) {
    this.#clients = clients
    this.#ttlMs = ttlMs
    const prng = new Prng(seed)
    this.#value = Uint8Array.from({ length: valueBytes }, () => prng.below(256))
  }

  async set(index: number, client: number): Promise<void> {
    await this.#client(client).set(keyOf(index), this.#value, { ttlMs: this.#ttlMs })
  }

  async perform(operation: LoadOperation, index: number, client: number): Promise<LoadAnswer> {
    try {
      if (operation === "get")
        return { kind: (await this.#client(client).get(keyOf(index))) === undefined ? "miss" : "hit" }
      await this.set(index, client)
      return { kind: "stored" }
    } catch (error) {
      if (error instanceof CacheError) return { kind: "failed", code: error.code }
      throw error
    }
  }

  #client(index: number): CacheClient {
    const client = this.#clients[index % this.#clients.length]
    if (!client) throw new RangeError("a bench has one client or more")
    return client
  }
}

/** 16 bytes, as the figures of other caches are measured with. */
function keyOf(index: number): string {
  return `bench:${String(index).padStart(10, "0")}`
}

async function fill(caches: Caches, options: BenchOptions, watcher: BenchWatcher, signal: AbortSignal): Promise<void> {
  const { keys } = options
  let next = 0
  let written = 0
  const timer = setInterval(() => watcher.progress({ phase: "filling", written, keys }), showEveryMs)
  const writer = async (client: number) => {
    while (next < keys) {
      signal.throwIfAborted()
      await caches.set(next++, client)
      written++
    }
  }
  try {
    await Promise.all(Array.from({ length: options.clients * fillPipeline }, (_, i) => writer(i % options.clients)))
  } finally {
    next = keys // the other writers stop when one has failed
    clearInterval(timer)
  }
}

async function load(
  caches: Caches,
  options: BenchOptions,
  watcher: BenchWatcher,
  signal: AbortSignal,
): Promise<Omit<BenchReport, "members">> {
  const { nodes: _nodes, rate, ...settings } = options
  const prng = new Prng(options.seed)
  const nowMs = () => performance.now()
  const cpuBefore = process.cpuUsage()
  const running = new Load({
    ...{ clients: options.clients, pipeline: options.pipeline, setShare: options.setShare, rate, nowMs },
    pickKey: keyPicker(options.distribution, options.keys, prng.fork()),
    prng: prng.fork(),
    perform: (operation, index, client) => caches.perform(operation, index, client),
  })
  const startedAtMs = nowMs()
  const timer = setInterval(
    () => watcher.progress({ phase: "load", elapsedMs: nowMs() - startedAtMs, window: running.takeWindow() }),
    1_000,
  )
  try {
    // An interruption ends the load, not the report: what was measured until then is worth printing.
    await sleep(options.durationMs, undefined, { signal }).catch(() => {})
  } finally {
    clearInterval(timer)
  }
  const result = await running.stop()
  const cpu = process.cpuUsage(cpuBefore)
  const { elapsedMs, hits, failures, dropped } = result
  const gets = result.get.count - result.get.failed
  return {
    ...{ ...settings, rate: rate ?? null, elapsedMs, failures, dropped },
    operations: {
      get: reportOf(result.get, elapsedMs),
      set: reportOf(result.set, elapsedMs),
      all: reportOf(result.all, elapsedMs),
    },
    hitRatio: gets === 0 ? null : hits / gets,
    clientCpuUs: result.all.count === 0 ? 0 : (cpu.user + cpu.system) / result.all.count,
  }
}

function reportOf({ count, failed, latency }: OperationLoad, elapsedMs: number): OperationReport {
  const ms = (percent: number) => latency.percentileUs(percent) / 1_000
  const perSecond = ((count - failed) / elapsedMs) * 1_000
  return {
    ...{ count, perSecond, failed },
    ...{ p50Ms: ms(50), p90Ms: ms(90), p99Ms: ms(99), p999Ms: ms(99.9), maxMs: latency.maxUs / 1_000 },
  }
}
