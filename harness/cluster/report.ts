/**
 * What a run showed: as one JSON object, as tables for people, and as one sentence. Pure; who draws tables and where
 * they go is told from outside.
 */
import type { Address, Epoch, NodeId } from "../../src/protocol/message.ts"
import type { FaultKind } from "./fault-plan.ts"
import { describe } from "../checker/explain.ts"
import type { Violation } from "../checker/linearizability.ts"
import type { LostWrite } from "../checker/lost-writes.ts"
import type { Memory } from "../checker/model.ts"
import { type OperationFigures, type OperationName, operationNames } from "./recorder.ts"

export type Verdict = "consistent" | "inconsistent" | "undecided"

export type FaultReport = {
  readonly kind: FaultKind
  /** Name of the node that it happened to. */
  readonly node: string
  /** When, counted from the start of the load. */
  readonly atMs: number
  /** The longest that a request to any key range concerned waited for its answer. Null: some range never answered. */
  readonly failoverMs: number | null
  /** Until every node reported the expected members and no copy was missing. Null: not within the time allowed. */
  readonly completeMs: number | null
  /** Of the load, while the fault and its repair lasted. */
  readonly failedOperations: number
  readonly longestWaitMs: number
}

export type MembershipReport = {
  /** From the first process started until every node reported the same list. Null: the cluster ran already. */
  readonly agreedAfterMs: number | null
  /** At the end of the run. */
  readonly everyNodeAgrees: boolean
  readonly epoch: Epoch
  readonly membersEpoch: Epoch
  readonly members: readonly { readonly id: NodeId; readonly name: string; readonly address: Address }[]
  /** Nodes that were voted out although nothing had happened to them. */
  readonly unexpectedRemovals: readonly string[]
}

export type StressReport = {
  readonly seed: number
  readonly nodes: number
  readonly copies: number
  readonly clients: number
  readonly keys: number
  /** Operations a second; null: as fast as they are answered. */
  readonly rate: number | null
  readonly loadMs: number
  readonly membership: MembershipReport
  readonly operations: Readonly<Record<OperationName | "all", OperationFigures>>
  readonly errorCodes: Readonly<Record<string, number>>
  readonly faults: readonly FaultReport[]
  /** By which model the answers were judged: forgetful where nodes had so little memory that they might forget. */
  readonly memory: Memory
  /** Entries that the nodes of the end had dropped for want of memory; those of nodes that died are not known. */
  readonly evicted: number
  readonly readBack: { readonly keys: number; readonly reads: number; readonly unanswered: number }
  readonly lostWrites: number
  readonly lost: readonly LostWrite[]
  readonly violations: readonly Violation[]
  /** Keys whose history was too entangled to be decided in the time given. */
  readonly undecidedKeys: readonly string[]
  /** What did not come about in the time allowed, in words. */
  readonly problems: readonly string[]
  readonly verdict: Verdict
}

/** "Undecided" is never a pass: it also covers runs in which something that had to be seen was not seen. */
export function verdictOf(
  findings: Pick<StressReport, "violations" | "lostWrites" | "undecidedKeys" | "problems" | "readBack">,
): Verdict {
  if (findings.violations.length > 0 || findings.lostWrites > 0) return "inconsistent"
  const isUndecided =
    findings.undecidedKeys.length > 0 || findings.problems.length > 0 || findings.readBack.unanswered > 0
  return isUndecided ? "undecided" : "consistent"
}

/** One sentence for somebody who never heard of linearizability. */
export function verdictSentence(report: StressReport): string {
  const { verdict, operations, faults, nodes, violations, lostWrites, undecidedKeys, problems, readBack } = report
  const answered = (operations.all.count - operations.all.errors).toLocaleString("en")
  const { memory } = report
  const through = faults.length === 0 ? "no faults were made" : `through ${counted(faults.length, "fault")}`
  switch (verdict) {
    case "consistent":
      return memory === "strict"
        ? `CONSISTENT: ${counted(nodes, "node")} gave ${answered} answers, ${through}, and each was the one that a single machine would have given; no acknowledged write was lost.`
        : `CONSISTENT: ${counted(nodes, "node")} gave ${answered} answers, ${through}, and each was the one that a single machine would have given, or that the key is missing, which nodes that forget may say at any time; no older value was seen.`
    case "inconsistent": {
      const wrong = [
        ...(violations.length > 0
          ? [`the answers for ${counted(violations.length, "key")} contradict each other`]
          : []),
        ...(lostWrites > 0
          ? [`${counted(lostWrites, "acknowledged write")} ${lostWrites === 1 ? "is" : "are"} lost`]
          : []),
      ]
      return `INCONSISTENT: ${wrong.join(" and ")}; this is a bug of dcache.`
    }
    case "undecided": {
      const open = [
        ...problems,
        ...(undecidedKeys.length > 0
          ? [`the history of ${counted(undecidedKeys.length, "key")} is too entangled to judge`]
          : []),
        ...(readBack.unanswered > 0 ? [`${counted(readBack.unanswered, "read")} at the end got no answer`] : []),
      ]
      return `UNDECIDED: nothing wrong was seen in ${answered} answers, but ${open.join("; ")}.`
    }
  }
}

export type DrawTable = (
  columns: readonly { readonly title: string; readonly align: "left" | "right" }[],
  rows: readonly (readonly string[])[],
) => string

export function reportText(report: StressReport, draw: DrawTable): string {
  const { operations, faults, membership } = report
  const left = (title: string) => ({ title, align: "left" as const })
  const right = (title: string) => ({ title, align: "right" as const })
  const perSecond = Math.round((operations.all.count / report.loadMs) * 1_000).toLocaleString("en")
  const sections = [
    `${operations.all.count.toLocaleString("en")} operations in ${(report.loadMs / 1_000).toFixed(1)} s, ${perSecond} a second\n` +
      draw(
        [left("operation"), right("count"), right("p50"), right("p99"), right("max"), right("errors")],
        [...operationNames, "all" as const].map(op => operationRow(op, operations[op])),
      ),
  ]
  if (faults.length > 0)
    sections.push(
      draw(
        [
          left("fault"),
          left("node"),
          right("failover"),
          right("copies complete"),
          right("failed operations"),
          right("longest wait"),
        ],
        faults.map(faultRow),
      ),
    )
  const removals = membership.unexpectedRemovals
  sections.push(
    [
      `${counted(membership.members.length, "member")} (list of epoch ${membership.membersEpoch}), ` +
        (membership.everyNodeAgrees ? "the same list on every node" : "NOT the same list on every node"),
      ...(removals.length > 0 ? [`voted out without cause: ${removals.join(", ")}`] : []),
      `${report.readBack.keys.toLocaleString("en")} keys read back at the end, with ${counted(report.readBack.reads, "read")} through different nodes`,
      ...Object.entries(report.errorCodes).map(
        ([code, count]) => `${counted(count, "operation")} not answered: ${code}`,
      ),
      ...(report.memory === "forgetful"
        ? [`${report.evicted.toLocaleString("en")} evictions by the nodes that are there at the end`]
        : []),
      ...report.violations
        .slice(0, shownFindings)
        .map(({ key, explanation }) => `contradiction at ${key}: ${explanation}`),
      ...report.lost.slice(0, shownFindings).map(lostLine),
      `seed ${report.seed}`,
    ].join("\n"),
  )
  return `${sections.join("\n")}\n\n${verdictSentence(report)}\n`
}

/** The rest is in the JSON report. */
const shownFindings = 5

function operationRow(name: string, { count, p50Ms, p99Ms, maxMs, errors }: OperationFigures): string[] {
  const times = count === 0 ? ["", "", ""] : [p50Ms, p99Ms, maxMs].map(milliseconds)
  return [name, count.toLocaleString("en"), ...times, errors.toLocaleString("en")]
}

function faultRow({ kind, node, failoverMs, completeMs, failedOperations, longestWaitMs }: FaultReport): string[] {
  return [
    kind,
    node,
    failoverMs === null ? "never" : milliseconds(failoverMs),
    completeMs === null ? "not in time" : `${(completeMs / 1_000).toFixed(1)} s`,
    String(failedOperations),
    milliseconds(longestWaitMs),
  ]
}

function lostLine({ write, shownBy }: LostWrite): string {
  return `lost at ${write.key}: ${describe(write)}; ${describe(shownBy)}`
}

function milliseconds(ms: number): string {
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms).toLocaleString("en")} ms`
}

function counted(count: number, noun: string): string {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`
}
