/**
 * Do all nodes report the same member list, and is every copy there? Pure: what each node said of itself goes in, and
 * what is still in the way comes out, in words for whoever waits.
 */
import type { NodeId, StatusReport } from "../../src/protocol/message.ts"

/** What one node answered; undefined: nothing in time. */
export type Sighting = { readonly name: string; readonly report: StatusReport | undefined }

/**
 * What keeps the nodes from agreeing; undefined: every one of them reports the same list and `membersEpoch`, and the
 * list names exactly these nodes. Views move on while copies move, hence `epoch` itself may differ.
 */
/** Entries that these nodes have dropped for want of memory. */
export function evictedOf(sightings: readonly Sighting[]): number {
  return sightings.reduce((sum, { report }) => {
    const { evicted = 0, evictedCopies = 0 } = report?.forgetting ?? {}
    return sum + evicted + evictedCopies
  }, 0)
}

export function disagreement(sightings: readonly Sighting[]): string | undefined {
  const reports: StatusReport[] = []
  for (const { name, report } of sightings) {
    if (!report) return `${name} does not answer`
    if (report.phase !== "member") return `${name} is ${report.phase}`
    reports.push(report)
  }
  const [first] = reports
  if (!first) return "no node is running"
  const running = new Set(reports.map(report => report.id))
  for (const report of reports) {
    const problem = listProblem(report, running)
    if (problem) return problem
    if (report.membersEpoch !== first.membersEpoch || idsOf(report).join() !== idsOf(first).join())
      return `${report.name} has the list of epoch ${report.membersEpoch}, ${first.name} that of ${first.membersEpoch}`
  }
  return undefined
}

/** What keeps the copies from being complete; undefined: all are there, in the eyes of every node. */
export function incompleteness(sightings: readonly Sighting[]): string | undefined {
  for (const { name, report } of sightings) {
    if (!report) return `${name} does not answer`
    if (report.orphans > 0) return `${report.orphans} shards are orphans in the eyes of ${name}`
    if (report.underReplicated > 0) return `${report.underReplicated} shards lack copies in the eyes of ${name}`
  }
  return undefined
}

/** What is still moving although no copy is missing; undefined: every node serves all that it leads and moves nothing. */
export function unrest(sightings: readonly Sighting[]): string | undefined {
  for (const { name, report } of sightings) {
    if (!report) return `${name} does not answer`
    if (!report.hasLease) return `${name} has no lease`
    if (report.serving < report.leading)
      return `${name} serves ${report.serving} of the ${report.leading} shards that it leads`
    if (report.transfersOpen > 0) return `${name} moves ${report.transfersOpen} shards`
  }
  return undefined
}

/** When each member was admitted: a later number than before means that it was removed meanwhile. */
export function admissions(report: StatusReport): Map<NodeId, number> {
  return new Map(report.members.map(member => [member.id, member.since]))
}

function listProblem(report: StatusReport, running: ReadonlySet<NodeId>): string | undefined {
  const listed = new Set(idsOf(report))
  const missing = [...running].filter(id => !listed.has(id)).length
  const gone = report.members.filter(member => !running.has(member.id)).map(member => member.name)
  if (missing > 0) return `${report.name} lists ${listed.size} members, ${missing} of those running are missing`
  if (gone.length > 0) return `${report.name} still lists ${gone.join(", ")}`
  return undefined
}

function idsOf(report: StatusReport): NodeId[] {
  return report.members.map(member => member.id)
}
