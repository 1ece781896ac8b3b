import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import { type NodeSample, parsedSample, percentileMs, ratesBetween } from "./node-sample.ts"

const text = `# HELP dcache_operations_total Operations that clients asked of this node
# TYPE dcache_operations_total counter
dcache_operations_total{operation="get",outcome="value"} 90
dcache_operations_total{operation="get",outcome="missing"} 10
dcache_operations_total{operation="set",outcome="stored"} 20
dcache_operations_total{operation="set",outcome="full"} 5
dcache_hits_total 90
dcache_misses_total 10
dcache_evicted_total{kind="led"} 7
dcache_evicted_total{kind="copy"} 1
dcache_operation_duration_seconds_bucket{le="0.001",operation="get"} 100
dcache_operation_duration_seconds_bucket{le="0.01",operation="get"} 100
dcache_operation_duration_seconds_bucket{le="+Inf",operation="get"} 100
dcache_operation_duration_seconds_bucket{le="0.001",operation="set"} 0
dcache_operation_duration_seconds_bucket{le="0.01",operation="set"} 24
dcache_operation_duration_seconds_bucket{le="+Inf",operation="set"} 25
process_cpu_seconds_total 3.5
process_resident_memory_bytes 1000
dcache_info{name="odd \\"name\\" {x} 5",id="a"} 1
nonsense
`

test("of the metrics of a node, what is asked for is found, whatever stands around it", () => {
  deepEqual(parsedSample(text, 7), {
    ...{ atMs: 7, operations: 125, refused: 5, hits: 90, misses: 10, evicted: 8, cpuS: 3.5, residentBytes: 1_000 },
    latency: [
      [0.001, 100],
      [0.01, 124],
      [Number.POSITIVE_INFINITY, 125],
    ],
  } satisfies NodeSample)
  equal(parsedSample("<html>", 0).operations, 0)
})

test("rates are differences over time; a process that was started anew has none", () => {
  const before = parsedSample(text, 1_000)
  const latency = before.latency.map(([end, count]) => [end, count + (end >= 0.01 ? 100 : 0)] as const)
  const after = { ...before, atMs: 3_000, operations: 225, refused: 7, hits: 150, misses: 30, cpuS: 4.5, latency }
  const { p99Ms = 0, ...rates } = ratesBetween(before, after) ?? {}
  deepEqual(rates, { operationsPerS: 50, refusedPerS: 1, evictedPerS: 0, hitShare: 0.75, cpuShare: 0.5 })
  // All hundred took 1 to 10 ms.
  equal(p99Ms.toFixed(3), "9.910")
  equal(ratesBetween(after, before), undefined)
  equal(ratesBetween(undefined, after), undefined)
  equal(ratesBetween(before, { ...after, atMs: 1_000 }), undefined)
  equal(ratesBetween(before, { ...before, atMs: 2_000 })?.p99Ms, undefined)
})

test("what took longer than the last bucket is told as that", () => {
  equal(
    percentileMs(
      [
        [0.1, 0],
        [Number.POSITIVE_INFINITY, 4],
      ],
      0.99,
    ),
    100,
  )
})
