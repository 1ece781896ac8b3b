/** `dcache status` for people: a summary, a row for each member, what differs, and how the copies stand. */
import { formatSize } from "../base/size.ts"
import type { ClusterStatus, MemberStatus } from "./cluster-status.ts"
import type { Colours } from "./output.ts"
import { type Column, table } from "./table.ts"

const columns: readonly Column[] = [
  { title: "NAME", align: "left" },
  { title: "ADDRESS", align: "left" },
  { title: "ROLE", align: "left" },
  { title: "ENTRIES", align: "right" },
  { title: "BYTES", align: "right" },
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
  const rows = table(
    columns,
    members.map(member => row(member, colours)),
    colours,
  )
  const agreement = status.agreed
    ? "all members list the same members"
    : differences.map(difference => colours.yellow(`differs: ${difference}`)).join("\n")
  return `${head}\n\n${rows}\n${agreement}\n${copiesText(status, colours)}\n`
}

function row(member: MemberStatus, colours: Colours): string[] {
  const { node } = member
  return [
    member.name,
    member.address,
    member.leaving ? `${member.role}, leaving` : member.role,
    node ? String(node.entries) : "-",
    node ? `${formatSize(node.bytes)} of ${formatSize(node.maxBytes)}` : "-",
    String(member.primaries),
    String(member.replicas),
    node ? (node.hasLease ? "held" : colours.yellow("none")) : colours.red("no answer"),
    node ? String(node.epoch) : "-",
  ]
}

function copiesText({ underReplicated, orphans }: ClusterStatus, colours: Colours): string {
  const lines = [
    ...(orphans > 0 ? [colours.red(`${counted(orphans, "shard")} lost all holders and waits for one to return`)] : []),
    underReplicated > 0 ? colours.yellow(`${counted(underReplicated, "shard")} being copied`) : "copies complete",
  ]
  return lines.join("\n")
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`
}
