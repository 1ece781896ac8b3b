/** What `dcache node` says to people: its first lines, and what happens to it. Pure; when to say it is decided elsewhere. */
import { formatDuration } from "../base/duration.ts"
import { formatSize } from "../base/size.ts"
import type { NodeEvent } from "../core/ports.ts"
import type { ListenChoice } from "../host/own-address.ts"
import { isTooLittle, memoryForEntries, processBytes } from "./memory.ts"
import type { Resumption } from "../host/resumption.ts"
import type { Address, DiskReport, JoinRefusal } from "../protocol/message.ts"
import { rangesText } from "./ranges.ts"

export type Greeting = {
  readonly version: string
  readonly name: string
  /** What other nodes dial. */
  readonly address: Address
  /** What clients dial. */
  readonly clientAddress: Address
  readonly listening: Address
  readonly choice: ListenChoice
  readonly role: "member" | "witness"
  /** Undefined: none was asked for. */
  readonly statedZone: string | undefined
  /** Of the whole process; undefined: nobody asked for so much or so little. */
  readonly statedMemoryBytes: number | undefined
  /** What this machine, or container, has. */
  readonly availableBytes: number
  /** Who can dial it. */
  readonly reach: "this machine" | "others"
}

export function greetingLines(greeting: Greeting): string[] {
  const { version, name, address, clientAddress, listening, choice, reach, role } = greeting
  const { statedZone, statedMemoryBytes, availableBytes } = greeting
  return [
    `dcache ${version}: node ${name} at ${address}`,
    `  join it:  dcache node --join ${address}`,
    `  use it:   dcache set greeting hello --node ${clientAddress}`,
    ...(role === "witness" ? ["witness: it votes on who is a member, and holds no data"] : []),
    ...(statedZone === undefined
      ? []
      : [`zone ${statedZone}: copies of its data stand in other zones, where there are any`]),
    ...(statedMemoryBytes === undefined ? [] : memoryLines(statedMemoryBytes, availableBytes)),
    ...choiceLines(choice, listening, statedMemoryBytes),
    ...(reach === "others" ? [openWarning(listening)] : []),
  ]
}

/** Taken all the same: who asks for less than a process needs, or for swap, may mean it. */
function memoryLines(memoryBytes: number, availableBytes: number): string[] {
  const [memory, entries, available] = [memoryBytes, memoryForEntries(memoryBytes), availableBytes].map(formatSize)
  if (memoryBytes > availableBytes)
    return [
      `warning: memory ${memory} is more than there is here (${available}): the system may end this node before it begins to forget`,
    ]
  if (!isTooLittle(memoryBytes)) return []
  const small = `memory ${memory}: a node takes about ${formatSize(processBytes)} by itself, so this one may take more than it was given; entries get ${entries}`
  return [small]
}

/** An address that nobody asked for is explained. */
function choiceLines(choice: ListenChoice, listening: Address, statedMemoryBytes: number | undefined): string[] {
  switch (choice.kind) {
    case "asked":
    case "default":
    case "as-before":
      return []
    case "next-port": {
      const share = statedMemoryBytes === undefined ? "; it takes less memory, since nodes share this machine" : ""
      return [`listening on ${listening}, the first port free${share}`]
    }
    case "reaches-seed":
      return [`listening on ${listening}, from where ${choice.seed} is reached; --listen chooses another`]
  }
}

/** One line; secrets and TLS will take its place when a node has them. */
function openWarning(listening: Address): string {
  return `warning: listening on ${listening} without a secret: whoever reaches it can read and write everything`
}

/** A line for what people want to know; undefined: of interest to the log alone. */
export function noticeOf(event: NodeEvent): string | undefined {
  switch (event.kind) {
    case "cluster-formed":
      return `formed a new cluster, ${event.clusterId}`
    case "joining":
      return `joining: asking ${event.asking.join(", ")}`
    case "awaiting":
      if (event.to === "resume")
        return `waiting for ${event.missing.join(", ")}: when all members are back the cluster goes on where it stopped; if one never returns: dcache recover, or --bootstrap at one of those that are started`
      return `waiting for ${event.missing.join(", ")}: when all members of before are back, they form a cluster anew, empty; if one never returns, end this node and start it with --bootstrap (what a member that still lives holds is then lost)`
    case "stopped":
      return "the whole cluster is stopped, as an operator ordered"
    case "resumed":
      return event.gone.length === 0
        ? `resumed: ${counted(event.members, "member")} go on where they stopped`
        : `resumed: ${counted(event.members, "member")} go on where they stopped, without ${event.gone.length} that did not come back`
    case "joined":
      // Who formed the cluster has said so.
      return event.members === 1 ? undefined : `joined: ${counted(event.members, "member")}`
    case "view-installed":
      return membersNotice(event)
    case "removed":
      return "the others went on without this node; joining again"
    case "data-loss":
      return `data lost: ${counted(event.shards.length, "shard")} had no holder left and began anew, empty: ${rangesText(event.shards)}`
    case "minority":
      return `no majority of the ${counted(event.voters, "voter")} is heard: everything is refused until it is; dcache status shows who does not answer`
    case "majority-again":
      return `a majority of the voters is heard again, after ${formatDuration(event.afterMs)}`
    case "disputed":
      return `this node and ${event.peer} compute different views after epoch ${event.epoch}: are they of different builds?`
    case "recovered":
      return `recovered by an operator's word: ${counted(event.members, "member")} of a new generation`
    case "left-behind":
      return `the cluster was recovered from an older state than this node's (epoch ${event.epoch}) and goes on without what it holds; restart this node to join it, empty`
    case "forked":
      return `this node cannot follow the others beyond epoch ${event.epoch} and refuses all operations: restart it, with the version that they run`
    default:
      return undefined
  }
}

function membersNotice(event: Extract<NodeEvent, { kind: "view-installed" }>): string | undefined {
  // The first view names everybody; "joined" tells of it.
  if (event.joined.length === event.members) return undefined
  const changes = [
    ...(event.joined.length > 0 ? [`${event.joined.length} joined`] : []),
    ...(event.gone.length > 0 ? [`${event.gone.length} gone`] : []),
  ]
  return changes.length > 0 ? `${counted(event.members, "member")} now: ${changes.join(", ")}` : undefined
}

/** What it begins with. */
export function resumptionLine(resumption: Resumption, nowWallMs: number): string {
  if (resumption.kind === "refused") return resumption.text
  const { entries, path, wallMs } = resumption
  const ago = formatDuration(Math.max(1, Math.round((nowWallMs - wallMs) / 1_000)) * 1_000)
  return `resuming with ${entriesText(entries)}, written to ${path} ${ago} ago`
}

/** How far a snapshot is; undefined: there is nothing to say. */
export function diskNotice(disk: DiskReport | null): string | undefined {
  switch (disk?.kind) {
    case "loading":
      return `reading what was written: ${entriesText(disk.entries)} so far`
    case "writing":
      return `writing what this node holds: ${entriesText(disk.entries)} so far`
    case "failed":
      return `what this node holds cannot be written: ${disk.detail}; it tries again, and holds it until then`
    default:
      return undefined
  }
}

/** What became of its data when the whole cluster was stopped. */
export function stoppedText(disk: DiskReport | null, path: string | undefined): string {
  switch (disk?.kind) {
    case "written":
      return `stopped: ${entriesText(disk.entries)} (${formatSize(disk.bytes)}) written to ${path}; started at the same address with the same --data, this node resumes`
    case "failed":
      return `stopped, and its data is lost: it could not be written to ${path}: ${disk.detail}`
    default:
      return "stopped: this node was given no --data, so what it held is gone with it"
  }
}

function entriesText(count: number): string {
  return count === 1 ? "1 entry" : `${count} entries`
}

/** While nobody takes this node in. `refusal`: what the last one who answered said. */
export function stillTrying(
  seeds: readonly Address[],
  from: "options" | "hint-file",
  refusal: string | undefined,
): string {
  const way = from === "hint-file" ? ", known from an earlier run; --bootstrap forms a new cluster instead" : ""
  return `still trying to join through ${seeds.join(", ")}${way}${refusal === undefined ? "" : `; ${refusal}`}`
}

export function leavingText(shardsLeft: number): string {
  return `leaving: ${counted(shardsLeft, "shard")} left to hand over; once more stops at once`
}

export const leftTexts = {
  "handed-over": "left: all data is handed over",
  last: "left: this was the last node of the cluster, and its data is gone with it",
  timeout: "could not hand everything over in time; to the others this node has crashed",
} as const

/** Why a cluster did not take this node, and what to do. `detail` is what the refusing node said. */
export function joinRefusalText(reason: JoinRefusal, detail: string): string {
  return `join refused: ${detail}; ${refusalAdvice[reason]}`
}

const refusalAdvice: Record<JoinRefusal, string> = {
  "eviction-differs": "give --eviction as on the cluster's nodes",
  "copies-differ": "leave --copies out, or state what the cluster has",
  "address-taken": "give this node an address of its own with --listen or --advertise",
  "no-dial-back": "state with --advertise an address that the others reach",
  proto: "start a node of the version that the cluster runs",
  full: "stop a node first",
  "wrong-cluster": "join nodes of one cluster",
  flapping: "look at the network between this node and the others",
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`
}
