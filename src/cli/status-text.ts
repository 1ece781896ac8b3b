/** `dcache status` for people: a summary, a row for each member, what differs, and how the copies stand. */
import { formatSize } from "../base/size.ts"
import type { DiskReport, Forgetting } from "../protocol/message.ts"
import type { ClusterStatus, MemberStatus } from "./cluster-status.ts"
import { rangesText } from "./ranges.ts"
import type { Colours } from "./output.ts"
import { type Column, table } from "./table.ts"

const columnsBefore: readonly Column[] = [
  { title: "NAME", align: "left" },
  { title: "ADDRESS", align: "left" },
]
const zoneColumn: Column = { title: "ZONE", align: "left" }
const columnsAfter: readonly Column[] = [
  { title: "ROLE", align: "left" },
  { title: "ENTRIES", align: "right" },
  { title: "BYTES", align: "right" },
  { title: "EVICTED", align: "right" },
  { title: "PRIMARIES", align: "right" },
  { title: "REPLICAS", align: "right" },
  { title: "LEASE", align: "left" },
  { title: "EPOCH", align: "right" },
]

export function statusText(status: ClusterStatus, colours: Colours): string {
  const { members, differences } = status
  const head =
    `cluster ${status.clusterId}: ${counted(members.length, "member")}, epoch ${status.epoch} ` +
    `(members since ${status.membersEpoch}), ${status.copies} copies of ${status.shardCount} shards`
  // One zone is none.
  const zones = new Set(members.map(({ zone }) => zone)).size > 1 ? "shown" : "hidden"
  const rows = table(
    [...columnsBefore, ...(zones === "shown" ? [zoneColumn] : []), ...columnsAfter],
    members.map(member => row(member, zones, colours)),
    colours,
  )
  const agreement = status.agreed
    ? "all members list the same members"
    : differences.map(difference => colours.yellow(`differs: ${difference}`)).join("\n")
  const planned = plannedLines(status, colours)
  const lines = [
    agreement,
    ...(planned.length > 0 ? planned : minorityLines(status, colours)),
    copiesText(status, colours),
  ]
  return `${head}\n\n${rows}\n${lines.join("\n")}\n`
}

/** While the whole cluster is stopped, or its members come back. */
function plannedLines({ members }: ClusterStatus, colours: Colours): string[] {
  const stopped = members.filter(({ node }) => node?.phase === "stopped")
  const resuming = members.filter(({ node }) => node?.phase === "resuming")
  if (stopped.length === 0 && resuming.length === 0) return []
  const awaited = [...new Set(resuming.flatMap(({ node }) => node?.awaited ?? []))].sort()
  return [
    ...stopped.map(({ name, node }) => colours.yellow(`stopped: ${name} ${diskText(node?.disk ?? null)}`)),
    ...(awaited.length > 0
      ? [colours.yellow(`resuming: ${counted(resuming.length, "member")} back, waiting for ${awaited.join(", ")}`)]
      : []),
    ...resuming.flatMap(({ name, node }) =>
      node?.disk?.kind === "loading" ? [colours.yellow(`resuming: ${name} ${diskText(node.disk)}`)] : [],
    ),
  ]
}

/** What a node does with its data, for a sentence about it. */
export function diskText(disk: DiskReport | null): string {
  switch (disk?.kind) {
    case "loading":
      return `reads what it wrote down (${disk.entries} entries so far)`
    case "writing":
      return `writes (${disk.entries} entries so far)`
    case "written":
      return `has written ${formatSize(disk.bytes)}`
    case "failed":
      return `cannot write: ${disk.detail}`
    case "none":
      return "keeps nothing"
    default:
      return "is about to write"
  }
}

/** What one that is cut off from most voters says is what it last knew. */
function minorityLines({ members }: ClusterStatus, colours: Colours): string[] {
  if (members.some(({ node }) => node?.hasLease)) return []
  const voters = members.filter(({ role }) => role !== "member")
  const text = `no lease: everything is refused until a majority of the ${counted(voters.length, "voter")} is heard`
  return [colours.red(`${text}; if they are gone for good: dcache help recover`)]
}

function row(member: MemberStatus, zones: "shown" | "hidden", colours: Colours): string[] {
  const { node } = member
  return [
    member.name,
    member.address,
    ...(zones === "shown" ? [member.zone || "-"] : []),
    member.leaving ? `${member.role}, leaving` : member.role,
    node ? String(node.entries) : "-",
    node ? `${formatSize(node.bytes)} of ${formatSize(node.maxBytes)}` : "-",
    evictedText(node?.forgetting),
    String(member.primaries),
    String(member.replicas),
    node ? (node.hasLease ? "held" : colours.yellow("none")) : colours.red("no answer"),
    node ? String(node.epoch) : "-",
  ]
}

/** Of what it led; "none": it forgets nothing. */
function evictedText(forgetting: Forgetting | null | undefined): string {
  if (forgetting === null || forgetting === undefined) return "-"
  return forgetting.eviction === "none" ? "none" : String(forgetting.evicted)
}

/** A node that drops copies by itself has less memory than what it backs: more than its eviction can say. */
function memoryLines(members: readonly MemberStatus[], colours: Colours): string[] {
  return members.flatMap(({ name, node }) => {
    const dropped = node?.forgetting?.evictedCopies ?? 0
    if (dropped === 0) return []
    return [
      colours.yellow(`${name} has too little memory for its share: it dropped ${dropped} copies of others' entries`),
    ]
  })
}

function copiesText(status: ClusterStatus, colours: Colours): string {
  const { crowded, lost, members, orphans, shardCount, underReplicated } = status
  const leaving = members.filter(member => member.leaving)
  const lines = [
    ...(orphans > 0 ? orphanLines(orphans, colours) : []),
    ...(lost.length > 0 ? [colours.red(lostText(lost, shardCount))] : []),
    ...leaving.map(({ name, replicas }) => `${name} is leaving: ${counted(replicas, "shard")} left to hand over`),
    underReplicated > 0 ? colours.yellow(`${counted(underReplicated, "shard")} being copied`) : "copies complete",
    // Until copies are complete they stand where there was a place at once.
    ...(crowded > 0 && underReplicated === 0
      ? [colours.yellow(`${counted(crowded, "shard")} with two copies in one zone, although there are others`)]
      : []),
    ...memoryLines(members, colours),
  ]
  return lines.join("\n")
}

/** Which key ranges: the same as the log's. */
function lostText(lost: readonly number[], shardCount: number): string {
  return `data lost: ${counted(lost.length, "shard")} of ${shardCount} had no holder left and began anew, empty: ${rangesText(lost)}`
}

/** What it means, and what to do about it. */
function orphanLines(orphans: number, colours: Colours): string[] {
  return [
    colours.red(
      `${counted(orphans, "shard")} lost all holders: their keys are refused until one of those nodes returns`,
    ),
    "  resume or reconnect those nodes; one that was restarted has lost its data. What nobody brings back begins anew, empty,",
    "  when --orphan-reset has passed, or as soon as dcache forget has named each of them",
  ]
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`
}
