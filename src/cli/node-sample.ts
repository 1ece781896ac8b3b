/**
 * What a node has done since it started, read from its `/metrics`, and what that comes to between two looks: operations a second,
 * the latency that 99 of 100 keep, hits, CPU. Asking and arithmetic; what it looks like is elsewhere.
 */
import { get } from "node:http"
import type { Address } from "../protocol/message.ts"

/** Counts since the start of the process, and figures of the moment. */
export type NodeSample = {
  readonly atMs: number
  readonly operations: number
  /** Of those, refused or ended without an answer that a client can use. */
  readonly refused: number
  readonly hits: number
  readonly misses: number
  readonly evicted: number
  readonly cpuS: number
  readonly residentBytes: number
  /** Upper ends in seconds, rising, with how many operations took no longer; the last end is Infinity. */
  readonly latency: readonly (readonly [endS: number, count: number])[]
}

export type NodeRates = {
  readonly operationsPerS: number
  readonly refusedPerS: number
  readonly evictedPerS: number
  /** Of reads; undefined: there were none. */
  readonly hitShare: number | undefined
  /** Undefined: there were no operations. */
  readonly p99Ms: number | undefined
  /** Of one core. */
  readonly cpuShare: number
}

/** Outcomes that answer what was asked, with yes or with no. */
const answers = new Set([
  ...["value", "missing", "ttl", "stored", "deleted", "touched", "counted", "unmet", "not-a-number"],
  ...["page", "cleared", "size"],
])

const maxTextChars = 4 * 1024 * 1024

/** Undefined: it does not answer, or with something else. */
export function sampleOf(node: Address, options: { readonly timeoutMs: number }): Promise<NodeSample | undefined> {
  const signal = AbortSignal.timeout(options.timeoutMs)
  return new Promise(resolve => {
    const request = get(`http://${node}/metrics`, { signal, agent: false }, response => {
      let text = ""
      response.setEncoding("utf8")
      response.on("data", (chunk: string) => {
        text += chunk
        if (text.length > maxTextChars) response.destroy()
      })
      response.on("error", () => resolve(undefined))
      response.on("close", () => resolve(undefined))
      response.on("end", () => resolve(response.statusCode === 200 ? parsedSample(text, performance.now()) : undefined))
    })
    request.on("error", () => resolve(undefined))
  })
}

const samplePattern = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/
const labelPattern = /([a-z_]+)="((?:[^"\\]|\\.)*)"/g

/** Of Prometheus' text format, the lines that are looked for. */
export function parsedSample(text: string, atMs: number): NodeSample {
  let operations = 0
  let refused = 0
  const latency = new Map<number, number>()
  const single = new Map<string, number>()
  for (const line of text.split("\n")) {
    const [, name = "", labelText = "", valueText = ""] = samplePattern.exec(line) ?? []
    const value = Number(valueText)
    if (name === "" || Number.isNaN(value)) continue
    const labels = new Map([...labelText.matchAll(labelPattern)].map(([, label = "", of = ""]) => [label, of]))
    if (name === "dcache_operations_total") {
      operations += value
      if (!answers.has(labels.get("outcome") ?? "")) refused += value
    } else if (name === "dcache_operation_duration_seconds_bucket") {
      const endS = labels.get("le") === "+Inf" ? Number.POSITIVE_INFINITY : Number(labels.get("le"))
      latency.set(endS, (latency.get(endS) ?? 0) + value)
    } else single.set(name, (single.get(name) ?? 0) + value)
  }
  return {
    ...{ atMs, operations, refused },
    hits: single.get("dcache_hits_total") ?? 0,
    misses: single.get("dcache_misses_total") ?? 0,
    evicted: single.get("dcache_evicted_total") ?? 0,
    cpuS: single.get("process_cpu_seconds_total") ?? 0,
    residentBytes: single.get("process_resident_memory_bytes") ?? 0,
    latency: [...latency].sort(([a], [b]) => a - b),
  }
}

/** Undefined: nothing can be said yet, or the process was started anew between the two. */
export function ratesBetween(before: NodeSample | undefined, after: NodeSample | undefined): NodeRates | undefined {
  if (before === undefined || after === undefined) return undefined
  const s = (after.atMs - before.atMs) / 1_000
  if (s <= 0 || after.operations < before.operations || after.cpuS < before.cpuS) return undefined
  const reads = after.hits + after.misses - before.hits - before.misses
  return {
    operationsPerS: (after.operations - before.operations) / s,
    refusedPerS: (after.refused - before.refused) / s,
    evictedPerS: (after.evicted - before.evicted) / s,
    hitShare: reads > 0 ? (after.hits - before.hits) / reads : undefined,
    p99Ms: percentileMs(latencyBetween([[before, after]]), 0.99),
    cpuShare: (after.cpuS - before.cpuS) / s,
  }
}

/** How many operations took no longer than each end, over all pairs of looks. */
export function latencyBetween(
  pairs: readonly (readonly [NodeSample, NodeSample])[],
): readonly (readonly [endS: number, count: number])[] {
  const sums = new Map<number, number>()
  for (const [before, after] of pairs) {
    const earlier = new Map(before.latency)
    for (const [endS, count] of after.latency)
      sums.set(endS, (sums.get(endS) ?? 0) + Math.max(0, count - (earlier.get(endS) ?? 0)))
  }
  return [...sums].sort(([a], [b]) => a - b)
}

/** Within a bucket operations are taken to be spread evenly; beyond the last end that is a number, that end. */
export function percentileMs(
  latency: readonly (readonly [endS: number, count: number])[],
  share: number,
): number | undefined {
  const all = latency.at(-1)?.[1] ?? 0
  if (all === 0) return undefined
  const wanted = share * all
  let [beginS, below] = [0, 0]
  for (const [endS, count] of latency) {
    if (count >= wanted) {
      if (endS === Number.POSITIVE_INFINITY) return beginS * 1_000
      return 1_000 * (beginS + ((endS - beginS) * (wanted - below)) / Math.max(1, count - below))
    }
    ;[beginS, below] = [endS, count]
  }
  return beginS * 1_000
}
