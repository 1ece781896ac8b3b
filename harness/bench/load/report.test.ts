import { equal, match } from "node:assert/strict"
import { test } from "node:test"
import { benchProgressLine, benchText } from "./report.ts"
import type { BenchReport, OperationReport } from "./run.ts"

const figures: OperationReport = {
  ...{ count: 1_200, perSecond: 400, p50Ms: 0.5, p90Ms: 1, p99Ms: 12.34, p999Ms: 99.99, maxMs: 1_234, failed: 0 },
}
const nothing: OperationReport = {
  ...{ count: 0, perSecond: 0, p50Ms: 0, p90Ms: 0, p99Ms: 0, p999Ms: 0, maxMs: 0, failed: 0 },
}
const report: BenchReport = {
  ...{ clients: 4, pipeline: 16, setShare: 0, valueBytes: 100, keys: 10, distribution: { kind: "uniform" }, seed: 1 },
  ...{ durationMs: 3_000, elapsedMs: 3_000, timeoutMs: 5_000, ttlMs: 1, rate: null, dropped: 0, members: 3 },
  ...{ operations: { get: figures, set: nothing, all: figures }, hitRatio: 0.5, failures: {}, clientCpuUs: 12 },
}
const plain = (columns: readonly { readonly title: string }[], rows: readonly (readonly string[])[]) =>
  [columns.map(({ title }) => title), ...rows].map(cells => cells.join(" | ")).join("\n")

test("a row for each operation that happened, times as people read them", () => {
  const text = benchText(report, plain)
  match(text, /^get \| 1,200 \| 400 \| 0\.50 ms \| 1\.00 ms \| 12\.3 ms \| 100\.0 ms \| 1,234 ms \| 0$/m)
  equal(/^set/m.test(text), false)
  match(text, /50\.0 % of the reads found their key/)
})

test("an open load says whether its rate was reached", () => {
  match(benchText({ ...report, rate: 400 }, plain), /^400 of 400 operations a second$/m)
  match(benchText({ ...report, rate: 900, dropped: 70 }, plain), /^400 of 900 .*; 70 fell due and could not be asked/m)
})

test("why operations failed is said, by code", () => {
  match(benchText({ ...report, failures: { busy: 1_500 } }, plain), /^1,500 operations failed: busy$/m)
})

test("the line to watch: how far the writing is, then what the last second was like", () => {
  equal(benchProgressLine({ phase: "filling", written: 5, keys: 10 }), "writing keys: 50 %")
  const window = { perSecond: 12_345, p50Ms: 1, p99Ms: 20 }
  equal(benchProgressLine({ phase: "load", elapsedMs: 3_000, window }), "  3 s  12,345 ops/s  p50 1.00 ms  p99 20.0 ms")
  equal(benchProgressLine({ phase: "load", elapsedMs: 3_000, window: undefined }), "  3 s  no answers")
})
