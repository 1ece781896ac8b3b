/**
 * What Prometheus is told at `GET /metrics`. Everything is read when it is asked for: a node that nobody watches pays for
 * counting its operations alone. Names and units follow Prometheus' conventions (promtool finds nothing to say).
 */
import { Counter, collectDefaultMetrics, Gauge, type Metric, Registry } from "prom-client"
import type { LatencyHistogram } from "../base/histogram.ts"
import type { OperationCounts } from "../core/operation-counts.ts"
import type { StatusReport } from "../protocol/message.ts"

/** What a node tells of itself. */
export type MetricsSource = {
  status(): StatusReport
  operations(): OperationCounts
  /** By kind, since the start. */
  events(): ReadonlyMap<string, number>
  promotions(): number
  data(): { readonly expired: number; readonly transferredBytes: number }
  clients(): number
  links(): { readonly open: number; readonly dialing: number }
  /** Of the door for Redis' clients; undefined: there is none. */
  resp(): RespFigures | undefined
}

export type RespFigures = {
  readonly connections: number
  readonly commands: number
  /** Replies that were errors. */
  readonly errors: number
  /** Of half commands, commands under way, and replies that nobody has read yet. */
  readonly memoryBytes: number
  /** Connections that this side ended or refused, by the reason. */
  readonly cutoffs: ReadonlyMap<string, number>
  readonly channels: {
    readonly subscriptions: number
    readonly published: number
    readonly delivered: number
    /** Times that a member was not waited for any longer, and that one was not told for being so far behind. */
    readonly unanswered: number
    readonly skipped: number
  }
}

/** Upper ends of the buckets of latencies, in seconds: what people set alerts on, from a cache's usual to its deadlines. */
const bucketsS = [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10]
/** Coarse: finer looks wake an idle process more often. */
const eventLoopPrecisionMs = 20

export class Metrics {
  readonly #registry = new Registry()
  readonly contentType = this.#registry.contentType
  readonly #source: MetricsSource
  /** Of the scrape under way: a status looks at every shard, and a dozen figures are taken from one. */
  #status: StatusReport

  constructor(source: MetricsSource) {
    this.#source = source
    this.#status = source.status()
    // CPU, memory, event-loop delay and garbage collection of the process, under the names that dashboards know.
    collectDefaultMetrics({ register: this.#registry, eventLoopMonitoringPrecision: eventLoopPrecisionMs })
    this.#operations(source)
    this.#cluster()
    this.#node(source)
    this.#resp(source)
  }

  /** In Prometheus' text format. */
  text(): Promise<string> {
    this.#status = this.#source.status()
    return this.#registry.metrics()
  }

  #operations(source: MetricsSource): void {
    this.#counter(
      "dcache_operations_total",
      "Operations that clients asked of this node",
      ["operation", "outcome"],
      () =>
        [...source.operations().byOperation].flatMap(([operation, { outcomes }]) =>
          [...outcomes].map(([outcome, value]) => ({ labels: { operation, outcome }, value })),
        ),
    )
    const outcomeOfGets = (outcome: "value" | "missing") =>
      source.operations().byOperation.get("get")?.outcomes.get(outcome) ?? 0
    this.#counter("dcache_hits_total", "Reads through this node that found their key", [], () => [
      { labels: {}, value: outcomeOfGets("value") },
    ])
    this.#counter("dcache_misses_total", "Reads through this node that found no such key", [], () => [
      { labels: {}, value: outcomeOfGets("missing") },
    ])
    this.#histogram("dcache_operation_duration_seconds", "From the arrival of an operation to its answer", () =>
      [...source.operations().byOperation].map(([operation, { latency }]) => ({ labels: { operation }, latency })),
    )
  }

  #cluster(): void {
    const status = this.#ofStatus
    status("dcache_epoch", "Number of the newest view that this node has installed", ({ epoch }) => epoch)
    status(
      "dcache_members_epoch",
      "Number of the view in which the members last changed",
      report => report.membersEpoch,
    )
    status("dcache_members", "Members of the cluster in the eyes of this node", ({ members }) => members.length)
    status("dcache_shards", "Shards of the cluster", ({ shardCount }) => shardCount)
    status("dcache_shards_under_replicated", "Shards with fewer copies than they should have", r => r.underReplicated)
    status("dcache_shards_orphaned", "Shards that every holder is gone from: refused until one returns", r => r.orphans)
    status("dcache_shards_lost", "Shards that began anew, empty, because every holder was gone", r => r.lost.length)
    status("dcache_shards_crowded", "Shards with two copies in one zone although another has none", r => r.crowded)
  }

  #node(source: MetricsSource): void {
    const status = this.#ofStatus
    this.#gauge(
      "dcache_info",
      "Always 1; what this node is",
      () => 1,
      ["name", "id", "version", "cluster", "eviction"],
      () => {
        const { name, id, version, clusterId: cluster, forgetting } = this.#status
        return { name, id, version, cluster, eviction: forgetting?.eviction ?? "" }
      },
    )
    status("dcache_member", "1 while this node is a member of its cluster", ({ phase }) => (phase === "member" ? 1 : 0))
    status("dcache_lease", "1 while this node may serve", ({ hasLease }) => (hasLease ? 1 : 0))
    status("dcache_shards_led", "Shards that this node is the primary of", ({ leading }) => leading)
    status("dcache_shards_served", "Of those, the ones it answers for now", ({ serving }) => serving)
    status("dcache_transfers_open", "Shards that this node is copying to another one now", r => r.transfersOpen)
    status("dcache_entries", "Entries that this node holds, copies included", ({ entries }) => entries)
    status("dcache_memory_used_bytes", "Memory that entries take, with what the store adds", ({ bytes }) => bytes)
    status("dcache_memory_limit_bytes", "Memory that entries may take", ({ maxBytes }) => maxBytes)
    this.#counter(
      "dcache_evicted_total",
      "Entries dropped for want of memory: led by this node, or copies of others' (then it has too little for its share)",
      ["kind"],
      () => {
        const { forgetting } = this.#status
        return [
          { labels: { kind: "led" }, value: forgetting?.evicted ?? 0 },
          { labels: { kind: "copy" }, value: forgetting?.evictedCopies ?? 0 },
        ]
      },
    )
    this.#counter("dcache_expired_total", "Entries that this node removed because their time was over", [], () => [
      { labels: {}, value: source.data().expired },
    ])
    this.#counter("dcache_transferred_bytes_total", "Bytes of entries that this node copied to others", [], () => [
      { labels: {}, value: source.data().transferredBytes },
    ])
    this.#gauge("dcache_clients", "Clients connected to this node", () => source.clients())
    this.#gauge("dcache_links_open", "Connections to other nodes that are open", () => source.links().open)
    this.#gauge("dcache_links_dialing", "Connections to other nodes that are being made", () => source.links().dialing)
    this.#counter("dcache_promotions_total", "Shards taken over from a primary that was gone", [], () => [
      { labels: {}, value: source.promotions() },
    ])
    this.#counter("dcache_events_total", "What the log of this node tells of, by kind", ["event"], () =>
      [...source.events()].map(([event, value]) => ({ labels: { event }, value })),
    )
  }

  #resp(source: MetricsSource): void {
    const total = (of: (figures: RespFigures) => number) => () => {
      const figures = source.resp()
      return figures === undefined ? [] : [{ labels: {}, value: of(figures) }]
    }
    this.#gauge("dcache_resp_connections", "Connections of Redis' clients", () => source.resp()?.connections ?? 0)
    this.#gauge("dcache_resp_memory_bytes", "Memory that these keep under way", () => source.resp()?.memoryBytes ?? 0)
    this.#counter(
      "dcache_resp_commands_total",
      "Commands of Redis' clients",
      [],
      total(({ commands }) => commands),
    )
    this.#counter(
      "dcache_resp_errors_total",
      "Of these, the ones answered by an error",
      [],
      total(f => f.errors),
    )
    this.#counter(
      "dcache_resp_cutoffs_total",
      "Connections of Redis' clients that were ended or refused",
      ["reason"],
      () => [...(source.resp()?.cutoffs ?? [])].map(([reason, value]) => ({ labels: { reason }, value })),
    )
    this.#channels(source, total)
  }

  #channels(source: MetricsSource, total: (of: (figures: RespFigures) => number) => () => readonly Sample[]): void {
    const subscriptions = () => source.resp()?.channels.subscriptions ?? 0
    this.#gauge("dcache_resp_subscriptions", "Channels and patterns listened to by connections here", subscriptions)
    for (const [name, help, of] of [
      ["published", "Messages that were published through this node", "published"],
      ["delivered", "Messages handed to subscribers of this node", "delivered"],
      [
        "publish_unanswered",
        "Times that another node did not answer in time how many it handed a message to",
        "unanswered",
      ],
      ["publish_skipped", "Messages not sent to another node that has long not answered", "skipped"],
    ] as const)
      this.#counter(
        `dcache_resp_${name}_total`,
        help,
        [],
        total(({ channels }) => channels[of]),
      )
  }

  readonly #ofStatus = (name: string, help: string, value: (status: StatusReport) => number) =>
    this.#gauge(name, help, () => value(this.#status))

  #gauge(
    name: string,
    help: string,
    value: () => number,
    labelNames: string[] = [],
    labels: () => Record<string, string> = () => ({}),
  ): void {
    new Gauge({
      ...{ name, help, labelNames, registers: [this.#registry] },
      collect() {
        this.reset()
        this.set(labels(), value())
      },
    })
  }

  #counter(name: string, help: string, labelNames: string[], samples: () => readonly Sample[]): void {
    new Counter({
      ...{ name, help, labelNames, registers: [this.#registry] },
      collect() {
        this.reset()
        for (const { labels, value } of samples()) this.inc(labels, value)
      },
    })
  }

  #histogram(
    name: string,
    help: string,
    histograms: () => readonly { readonly labels: Labels; readonly latency: LatencyHistogram }[],
  ): void {
    const get = async () => ({
      ...{ name, help, type: "histogram", aggregator: "sum" },
      values: histograms().flatMap(({ labels, latency }) => samplesOf(name, labels, latency)),
    })
    // The registry's own histograms count by themselves, at several times the cost; it asks no more of a metric than this.
    this.#registry.registerMetric({ name, get } as unknown as Metric)
  }
}

type Labels = Record<string, string>
type Sample = { readonly labels: Labels; readonly value: number }

function samplesOf(name: string, labels: Labels, latency: LatencyHistogram): object[] {
  const buckets = bucketsS.map(le => ({
    metricName: `${name}_bucket`,
    labels: { ...labels, le },
    value: latency.countAtMost(le * 1e6),
  }))
  return [
    ...buckets,
    { metricName: `${name}_bucket`, labels: { ...labels, le: "+Inf" }, value: latency.count },
    { metricName: `${name}_sum`, labels, value: latency.sumUs / 1e6 },
    { metricName: `${name}_count`, labels, value: latency.count },
  ]
}
