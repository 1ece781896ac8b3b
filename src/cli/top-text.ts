/**
 * What `dcache top` shows, as lines that fit: a summary and a row for each member. Pure: the width, the height and the
 * colours come in, so that a test can look at any terminal.
 */
import type { ClusterStatus, MemberStatus } from "./cluster-status.ts"
import { latencyBetween, type NodeRates, type NodeSample, percentileMs, ratesBetween } from "./node-sample.ts"
import type { Colours } from "./output.ts"

export type TopRow = {
  readonly member: MemberStatus
  /** Undefined: it has answered once at most. */
  readonly rates: NodeRates | undefined
  readonly sample: NodeSample | undefined
}

/** One look at the cluster, compared with the one before. */
export type Look = {
  readonly status: ClusterStatus
  readonly rows: readonly TopRow[]
  readonly operationsPerS: number
  readonly refusedPerS: number
  readonly evictedPerS: number
  readonly p99Ms: number | undefined
  readonly hitShare: number | undefined
}

export type Order = "name" | "operations" | "p99" | "memory"

export function lookAt(
  status: ClusterStatus,
  before: ReadonlyMap<string, NodeSample>,
  after: ReadonlyMap<string, NodeSample>,
): Look {
  const rows = status.members.map(member => ({
    member,
    sample: after.get(member.id),
    rates: ratesBetween(before.get(member.id), after.get(member.id)),
  }))
  const pairs = rows.flatMap(({ member, rates, sample }) => {
    const earlier = before.get(member.id)
    return rates === undefined || earlier === undefined || sample === undefined ? [] : [[earlier, sample] as const]
  })
  const total = (of: (rates: NodeRates) => number) =>
    rows.reduce((sum, { rates }) => sum + (rates === undefined ? 0 : of(rates)), 0)
  const grown = (of: (sample: NodeSample) => number) => pairs.reduce((sum, [a, b]) => sum + of(b) - of(a), 0)
  const reads = grown(({ hits, misses }) => hits + misses)
  return {
    status,
    rows,
    operationsPerS: total(rates => rates.operationsPerS),
    refusedPerS: total(rates => rates.refusedPerS),
    evictedPerS: total(rates => rates.evictedPerS),
    p99Ms: percentileMs(latencyBetween(pairs), 0.99),
    hitShare: reads > 0 ? grown(({ hits }) => hits) / reads : undefined,
  }
}

type Column = {
  readonly title: string
  readonly width: number
  readonly align: "left" | "right"
  readonly text: (row: TopRow) => string
}

const columns: readonly Column[] = [
  { title: "NAME", width: 15, align: "left", text: ({ member }) => member.name },
  { title: "ROLE", width: 7, align: "left", text: ({ member }) => (member.leaving ? "leaving" : member.role) },
  { title: "OPS/S", width: 7, align: "right", text: ({ rates }) => countText(rates?.operationsPerS) },
  { title: "P99", width: 7, align: "right", text: ({ rates }) => latencyText(rates?.p99Ms) },
  { title: "HITS", width: 4, align: "right", text: ({ rates }) => shareText(rates?.hitShare) },
  { title: "ENTRIES", width: 7, align: "right", text: ({ member }) => countText(member.node?.entries) },
  { title: "MEMORY", width: 10, align: "right", text: ({ member }) => memoryText(member) },
  { title: "CPU", width: 4, align: "right", text: ({ rates }) => shareText(rates?.cpuShare) },
  { title: "LEADS", width: 5, align: "right", text: ({ member }) => countText(member.node?.leading) },
  { title: "MOVES", width: 5, align: "right", text: ({ member }) => countText(member.node?.transfersOpen) },
]

/** Without a line end each. `height`: rows that find no room are counted instead. */
export function screenLines(
  look: Look,
  options: { readonly width: number; readonly height: number; readonly order: Order; readonly colours: Colours },
): string[] {
  const { width, height, order, colours } = options
  const head = summaryLines(look).map(line => cut(line, width))
  const alarms = alarmLines(look).map(line => colours.red(cut(line, width)))
  const title = columns.map(({ title, ...column }) => padded(title, column)).join(" ")
  const rows = [...look.rows].sort(comparisons[order])
  const room = Math.max(1, height - head.length - alarms.length - 3)
  const shown = rows.slice(0, rows.length > room ? room - 1 : room)
  return [
    ...head,
    ...alarms,
    "",
    colours.bold(cut(title, width)),
    ...shown.map(row => rowLine(row, width, colours)),
    ...(shown.length < rows.length ? [cut(`and ${rows.length - shown.length} more`, width)] : []),
    colours.dim(cut("q quit   order by: n name  o operations  p p99  m memory", width)),
  ]
}

/** Where nobody looks at a screen: a line for the cluster and one for each member. */
export function plainLines(look: Look, time: string): string[] {
  const { status, operationsPerS, refusedPerS, p99Ms, hitShare } = look
  const cluster =
    `${time} cluster members=${status.members.length} epoch=${status.epoch} ops/s=${Math.round(operationsPerS)} ` +
    `p99=${latencyText(p99Ms)} hits=${shareText(hitShare)} refused/s=${Math.round(refusedPerS)} copying=${status.underReplicated}`
  const rows = look.rows.map(({ member, rates }) => {
    const { node } = member
    if (node === null) return `${time} ${member.name} no answer`
    return (
      `${time} ${member.name} ops/s=${countText(rates?.operationsPerS)} p99=${latencyText(rates?.p99Ms)} entries=${node.entries} ` +
      `bytes=${node.bytes} cpu=${shareText(rates?.cpuShare)} leads=${node.leading} moves=${node.transfersOpen}`
    )
  })
  return [cluster, ...rows]
}

function summaryLines({ status, operationsPerS, refusedPerS, evictedPerS, p99Ms, hitShare }: Look): string[] {
  const copies = status.underReplicated === 0 ? "copies complete" : `${status.underReplicated} shards being copied`
  return [
    `cluster ${status.clusterId}: ${status.members.length} members, epoch ${status.epoch}, ${copies}`,
    `${countText(operationsPerS)} operations/s   p99 ${latencyText(p99Ms)}   hits ${shareText(hitShare)}   ` +
      `refused ${countText(refusedPerS)}/s   evicted ${countText(evictedPerS)}/s`,
  ]
}

function alarmLines({ status }: Look): string[] {
  const lost = status.members.every(({ node }) => node?.hasLease !== true)
  return [
    ...(lost ? ["no node has a lease: everything is refused"] : []),
    ...(status.orphans > 0 ? [`${status.orphans} shards lost all holders: dcache status says what to do`] : []),
    ...status.differences,
  ]
}

function rowLine(row: TopRow, width: number, colours: Colours): string {
  const { node } = row.member
  if (node === null) {
    const name = padded(row.member.name, { width: 15, align: "left" })
    return colours.red(cut(`${name} no answer`, width))
  }
  const line = cut(columns.map(column => padded(column.text(row), column)).join(" "), width)
  return node.hasLease ? line : colours.yellow(line)
}

const comparisons: Record<Order, (a: TopRow, b: TopRow) => number> = {
  name: byName,
  operations: (a, b) => (b.rates?.operationsPerS ?? -1) - (a.rates?.operationsPerS ?? -1) || byName(a, b),
  p99: (a, b) => (b.rates?.p99Ms ?? -1) - (a.rates?.p99Ms ?? -1) || byName(a, b),
  memory: (a, b) => (b.member.node?.bytes ?? -1) - (a.member.node?.bytes ?? -1) || byName(a, b),
}

function byName(a: TopRow, b: TopRow): number {
  return a.member.name < b.member.name ? -1 : a.member.name > b.member.name ? 1 : 0
}

/** At most seven characters, whatever it counts. */
export function countText(count: number | undefined): string {
  if (count === undefined) return "-"
  for (const [unit, size] of [
    ["G", 1e9],
    ["M", 1e6],
    ["k", 1e5],
  ] as const) {
    if (count < size) continue
    const scale = unit === "k" ? 1e3 : size
    return `${(count / scale).toFixed(unit === "k" ? 0 : 1)}${unit}`
  }
  return count > 0 && count < 10 && !Number.isInteger(count) ? count.toFixed(1) : String(Math.round(count))
}

function latencyText(ms: number | undefined): string {
  if (ms === undefined) return "-"
  if (ms >= 1_000) return `${(ms / 1_000).toFixed(1)}s`
  return `${ms.toFixed(ms < 10 ? 1 : 0)}ms`
}

function shareText(share: number | undefined): string {
  return share === undefined ? "-" : `${Math.round(100 * share)}%`
}

function memoryText({ node }: MemberStatus): string {
  if (node === null) return "-"
  return `${sizeText(node.bytes)} ${shareText(node.bytes / Math.max(1, node.maxBytes))}`
}

/** At most five characters, in powers of 1024. */
function sizeText(bytes: number): string {
  for (const [unit, size] of [
    ["T", 2 ** 40],
    ["G", 2 ** 30],
    ["M", 2 ** 20],
    ["K", 2 ** 10],
  ] as const)
    if (bytes >= size) return `${(bytes / size).toFixed(bytes < 10 * size ? 1 : 0)}${unit}`
  return `${bytes}B`
}

function padded(text: string, { width, align }: Pick<Column, "width" | "align">): string {
  const fitting = cut(text, width)
  return align === "left" ? fitting.padEnd(width) : fitting.padStart(width)
}

/** Names may hold anything; what is shown moves no cursor. */
function cut(text: string, width: number): string {
  const shown = text.replace(/\p{Cc}+/gu, " ")
  return shown.length > width ? `${shown.slice(0, Math.max(0, width - 1))}…` : shown
}
