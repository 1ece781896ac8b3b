import { equal, match } from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { OperationCounts } from "../core/operation-counts.ts"
import type { StatusReport } from "../protocol/message.ts"
import { Metrics } from "./metrics.ts"

const status: StatusReport = {
  ...{
    id: "00000000000000a1",
    name: 'quote " and \\ slash',
    addr: "127.0.0.1:5555",
    phase: "member",
    version: "1.2.3",
  },
  ...{
    clusterId: "c1",
    epoch: 9,
    membersEpoch: 7,
    copies: 2,
    proto: 1,
    lost: [3],
    shardCount: 16,
    underReplicated: 3,
    orphans: 1,
  },
  ...{ members: [], hasLease: true, leading: 8, serving: 7, entries: 42, bytes: 4_200, maxBytes: 1_000_000 },
  ...{ transfersOpen: 2, crowded: 0, forgetting: { eviction: "s3fifo", evicted: 7, evictedCopies: 3 } },
  ...{ disk: { kind: "none" }, awaited: [] },
}

function watched() {
  const operations = new OperationCounts()
  operations.record("get", "value", 0.3)
  operations.record("get", "value", 700)
  operations.record("get", "missing", 0.2)
  operations.record("set", "busy", 3)
  return {
    status: () => status,
    operations: () => operations,
    events: () => new Map([["suspected", 2]]),
    promotions: () => 5,
    data: () => ({ expired: 6, transferredBytes: 7_000 }),
    clients: () => 3,
    links: () => ({ open: 4, dialing: 1 }),
    resp: () => ({
      connections: 2,
      commands: 9,
      errors: 1,
      memoryBytes: 70,
      cutoffs: new Map([["protocol-error", 3]]),
      channels: { subscriptions: 4, published: 5, delivered: 6, unanswered: 7, skipped: 8 },
    }),
  }
}

const lines = [
  'dcache_operations_total{operation="get",outcome="value"} 2',
  'dcache_operations_total{operation="set",outcome="busy"} 1',
  "dcache_hits_total 2",
  "dcache_misses_total 1",
  'dcache_operation_duration_seconds_bucket{operation="get",le="0.0001"} 0',
  'dcache_operation_duration_seconds_bucket{operation="get",le="0.0005"} 2',
  'dcache_operation_duration_seconds_bucket{operation="get",le="1"} 3',
  'dcache_operation_duration_seconds_bucket{operation="get",le="+Inf"} 3',
  'dcache_operation_duration_seconds_count{operation="get"} 3',
  "dcache_epoch 9",
  "dcache_shards_under_replicated 3",
  "dcache_shards_orphaned 1",
  "dcache_shards_lost 1",
  "dcache_memory_limit_bytes 1000000",
  'dcache_evicted_total{kind="led"} 7',
  'dcache_evicted_total{kind="copy"} 3',
  "dcache_links_open 4",
  "dcache_promotions_total 5",
  "dcache_expired_total 6",
  "dcache_transferred_bytes_total 7000",
  'dcache_events_total{event="suspected"} 2',
  "dcache_resp_subscriptions 4",
  "dcache_resp_published_total 5",
  "dcache_resp_delivered_total 6",
  "dcache_resp_publish_unanswered_total 7",
  "dcache_resp_publish_skipped_total 8",
]

for (const line of lines)
  test(`says ${line}`, async () => {
    const text = await new Metrics(watched()).text()
    equal(text.split("\n").includes(line), true, text)
  })

test("tells of the process what dashboards for Node.js look for", async () => {
  const text = await new Metrics(watched()).text()
  for (const name of ["process_cpu_seconds_total", "process_resident_memory_bytes", "nodejs_eventloop_lag_p99_seconds"])
    match(text, new RegExp(`^${name} `, "m"))
})

test("a second reading is as fresh as the first: nothing is counted twice", async () => {
  const source = watched()
  const metrics = new Metrics(source)
  await metrics.text()
  source.operations().record("get", "value", 1)
  match(await metrics.text(), /^dcache_hits_total 3$/m)
})

test("the dashboard asks for nothing that is not there", async () => {
  const dashboard = readFileSync(new URL("grafana-dashboard.json", import.meta.url), "utf8")
  const text = await new Metrics(watched()).text()
  const asked = new Set(dashboard.match(/\b(?:dcache|nodejs|process)_[a-z0-9_]+/g))
  equal(asked.size > 10, true)
  for (const name of asked) match(text, new RegExp(`^${name}[ {]`, "m"), name)
})

const promtool = spawnSync("promtool", ["--version"])
test("promtool finds nothing to say", {
  skip: promtool.error ? "promtool is not installed: apt-get install prometheus" : false,
}, async () => {
  const text = await new Metrics(watched()).text()
  const { status, stderr } = spawnSync("promtool", ["check", "metrics"], { input: text, encoding: "utf8" })
  // What Node.js' own figures are called is not ours to choose, and known to every dashboard.
  const ours = stderr.split("\n").filter(line => line.startsWith("dcache"))
  equal(ours.join("\n"), "")
  equal([0, 3].includes(status ?? -1), true, stderr)
})
