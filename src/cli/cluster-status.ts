/**
 * What the answers of all nodes say together: the members, and where the nodes disagree about them. Pure: asking and
 * printing are elsewhere, so that a test can lay out any disagreement.
 */
import type { Address, Member, NodeId, StatusReport } from "../protocol/message.ts"

/** What one node answered; `null`: nothing, for the reason given. */
export type NodeAnswer =
  | { readonly address: Address; readonly report: StatusReport }
  | { readonly address: Address; readonly report: null; readonly problem: string }

export type ClusterStatus = {
  readonly clusterId: string
  readonly epoch: number
  readonly membersEpoch: number
  readonly copies: number
  readonly shardCount: number
  /** Shards with fewer copies than they should have. */
  readonly underReplicated: number
  /** Shards that lost all their holders. */
  readonly orphans: number
  /** Shards that began anew, empty, because every holder was gone. */
  readonly lost: readonly number[]
  /** Shards with two copies in one zone although another zone has none. */
  readonly crowded: number
  /** Every member answered and all of them list the same members. */
  readonly agreed: boolean
  /** One sentence each. */
  readonly differences: readonly string[]
  readonly members: readonly MemberStatus[]
}

export type MemberStatus = {
  readonly id: NodeId
  readonly name: string
  readonly address: Address
  readonly clientAddress: Address
  readonly zone: string
  readonly role: "voter" | "member" | "witness"
  readonly leaving: boolean
  readonly primaries: number
  readonly replicas: number
  /** What it says of itself; null: it did not answer. */
  readonly node: Omit<StatusReport, "id" | "name" | "addr" | "members" | "copies" | "shardCount" | "lost"> | null
}

/** `undefined`: nobody who answered is a member of a cluster. */
export function clusterStatus(answers: readonly NodeAnswer[]): ClusterStatus | undefined {
  const reports = answers.flatMap(answer => (answer.report ? [answer.report] : []))
  const newest = newestOf(reports)
  if (!newest) return undefined
  const byId = new Map(reports.map(report => [report.id, report]))
  const differences = [
    ...reports.flatMap(report => differenceOf(report, newest)),
    ...answers.flatMap(answer => (answer.report ? [] : [`${answer.address} does not answer: ${answer.problem}`])),
  ]
  return {
    clusterId: newest.clusterId,
    epoch: newest.epoch,
    membersEpoch: newest.membersEpoch,
    copies: newest.copies,
    shardCount: newest.shardCount,
    underReplicated: newest.underReplicated,
    orphans: newest.orphans,
    lost: newest.lost,
    crowded: newest.crowded,
    agreed: differences.length === 0 && newest.members.every(member => byId.has(member.id)),
    differences,
    members: newest.members.map(member => memberStatus(member, byId.get(member.id))),
  }
}

/** The view that the others are compared with. Ties are broken by id: the answers come in any order. */
function newestOf(reports: readonly StatusReport[]): StatusReport | undefined {
  return [...reports].filter(report => report.epoch > 0).sort((a, b) => b.epoch - a.epoch || (a.id < b.id ? -1 : 1))[0]
}

function differenceOf(report: StatusReport, newest: StatusReport): string[] {
  const who = `${report.name} (${report.addr})`
  if (report.epoch === 0) return [`${who} is not a member yet: ${report.phase}`]
  if (report.clusterId !== newest.clusterId) return [`${who} belongs to another cluster, ${report.clusterId}`]
  const lacks = missingFrom(report.members, newest.members)
  const keeps = missingFrom(newest.members, report.members)
  const parts = [
    ...(lacks.length > 0 ? [`does not list ${lacks.join(", ")}`] : []),
    ...(keeps.length > 0 ? [`still lists ${keeps.join(", ")}`] : []),
  ]
  return parts.length === 0 ? [] : [`${who} is at epoch ${report.epoch} of ${newest.epoch} and ${parts.join(" and ")}`]
}

function missingFrom(list: readonly Member[], wanted: readonly Member[]): string[] {
  const ids = new Set(list.map(member => member.id))
  return wanted.filter(member => !ids.has(member.id)).map(member => `${member.name} (${member.addr})`)
}

function memberStatus(member: StatusReport["members"][number], report: StatusReport | undefined): MemberStatus {
  return {
    id: member.id,
    name: member.name,
    address: member.addr,
    clientAddress: member.clientAddr,
    zone: member.zone,
    role: member.witness ? "witness" : member.voter ? "voter" : "member",
    leaving: member.leaving,
    primaries: member.primaries,
    replicas: member.replicas,
    node: report ? ofItself(report) : null,
  }
}

function ofItself(report: StatusReport): MemberStatus["node"] {
  const { id: _id, name: _name, addr: _addr, members: _members, copies: _copies, ...more } = report
  // Of the cluster, and said once.
  const { shardCount: _shards, lost: _lost, ...rest } = more
  return rest
}
