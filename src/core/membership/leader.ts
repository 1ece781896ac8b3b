/**
 * What the leader puts into the next view, and when. "Leader" is a hint, not a power: the first voter, by (since, id),
 * that is not silent. Competing leaders are safe, consensus decides. Commands that wait are checked against the view at
 * every look, and repeated by whoever wants them; removals and voters are computed afresh each time, so that no stale
 * one lies in a queue ("Consensus").
 */
import { maxMembers } from "../../protocol/limits.ts"
import type { Epoch, Member, MemberInfo, NodeId, ShardId, View, ViewCommand } from "../../protocol/message.ts"
import { effectiveCommands, isEffective } from "../layout.ts"
import type { Rules } from "../rules.ts"

/** Commands that wait at most; beyond, new ones are dropped: their originators repeat them. */
const maxWaiting = 100_000
/** Reports of broken links that are kept. */
const maxBrokenLinks = 1_024
/** A command that nobody has repeated for so long is dropped. */
const forgetAfterMs = 1_000
/** Between the end of the last lease on a shard and its reset, when its last holders are dead. */
const afterFenceMs = 100

export type LeaderOptions = {
  readonly batchMs: number
  readonly batchMaxMs: number
  readonly readyIntervalMs: number
  readonly orphanResetMs: number
}

export type Situation = {
  readonly view: View
  readonly nowMs: number
  /** Members that enough voters report as silent, and such that only some do. */
  readonly failed: readonly { readonly id: NodeId; readonly since: Epoch }[]
  readonly doubted: readonly NodeId[]
  /** Whether this node hears the member (itself it always does). */
  readonly hears: (id: NodeId) => boolean
  /** Whether the process is dead for certain. */
  readonly isDead: (id: NodeId) => boolean
  /** How long any lease may last that was granted before now. */
  readonly fenceMs: number
  /** Whether the process may join, or was voted out too often lately. */
  readonly mayJoin: (id: NodeId) => boolean
  /** Whether it hears the member, and the member has shown an epoch in which it is one. */
  readonly isReadyToVote: (member: Member) => boolean
}

/** Of a link: a member, and since when. One that was removed and is back may reach the other now. */
export type LinkEnd = Pick<Member, "id" | "since">

type LeaderRules = Pick<
  Rules,
  "batchKeepsMajority" | "linkDown" | "leaveHandsOver" | "resetWaits" | "votersReplaced" | "votersShow"
>

export class Leader {
  readonly #options: LeaderOptions
  readonly #rules: LeaderRules
  readonly #waiting = new Map<string, { command: ViewCommand; atMs: number }>()
  #firstAtMs: number | null = null
  #lastReadyAtMs = Number.NEGATIVE_INFINITY
  /** That were heard at any time. */
  #mostVoters = 0
  /** When this node first saw each shard without holders. */
  readonly #orphanedAtMs = new Map<ShardId, number>()
  readonly #brokenLinks = new Map<string, { readonly from: LinkEnd; readonly to: LinkEnd; readonly atMs: number }>()

  constructor(options: LeaderOptions, rules: LeaderRules) {
    this.#options = options
    this.#rules = rules
  }

  receive(commands: readonly ViewCommand[], nowMs: number): void {
    for (const command of commands) {
      // Computed, never queued: a stale one would be obeyed.
      if (command.kind === "remove" || command.kind === "voter" || command.kind === "resume") continue
      const key = keyOf(command)
      if (this.#waiting.size < maxWaiting || this.#waiting.has(key)) this.#waiting.set(key, { command, atMs: nowMs })
    }
  }

  /** A primary, `from`, cannot reach a replica that it needs, `to`. */
  linkDown({ from, to, nowMs }: { from: LinkEnd; to: LinkEnd; nowMs: number }): void {
    if (this.#brokenLinks.size < maxBrokenLinks && this.#rules.linkDown)
      this.#brokenLinks.set(`${from.id} ${to.id}`, { from, to, atMs: nowMs })
  }

  /** Whether nothing here comes due by time. */
  isAtRest(nowMs: number): boolean {
    if (this.#firstAtMs !== null || this.#orphanedAtMs.size > 0) return false
    for (const { atMs } of this.#waiting.values()) if (nowMs - atMs <= forgetAfterMs) return false
    for (const { atMs } of this.#brokenLinks.values()) if (nowMs - atMs <= forgetAfterMs) return false
    return true
  }

  viewInstalled(view: View, changed: Iterable<ShardId>, nowMs: number): void {
    for (const shard of changed)
      if (view.shards[shard]?.orphan !== true) this.#orphanedAtMs.delete(shard)
      else if (!this.#orphanedAtMs.has(shard)) this.#orphanedAtMs.set(shard, nowMs)
    for (const [key, { command, atMs }] of this.#waiting)
      if (nowMs - atMs > forgetAfterMs || isDone(view, command)) this.#waiting.delete(key)
  }

  /** The commands to propose now; undefined: nothing is due yet. */
  due(situation: Situation): ViewCommand[] | undefined {
    const { view, nowMs, doubted } = situation
    if (view.stopped) return undefined
    const urgent = this.#urgent(situation)
    const completions: ViewCommand[] = []
    let stop: ViewCommand | undefined
    for (const [key, { command, atMs }] of this.#waiting) {
      // Whoever wants it repeats it. An old one may say what is no longer wanted: the join of a process long dead.
      if (nowMs - atMs > forgetAfterMs) this.#waiting.delete(key)
      else if (!isEffective(view, command) && !isJoinBehindRemoval(view, command, urgent)) continue
      else if (command.kind === "ready") completions.push(command)
      else if (command.kind === "stop") stop = command
      else if (command.kind !== "join") urgent.push(command)
      else if (view.members.length < maxMembers && situation.mayJoin(command.member.id)) urgent.push(command)
    }
    if (urgent.length === 0) {
      this.#firstAtMs = null
      // It takes effect alone.
      if (stop !== undefined && completions.length === 0) return [stop]
      if (completions.length === 0 || nowMs - this.#lastReadyAtMs < this.#options.readyIntervalMs) return undefined
    } else {
      this.#firstAtMs ??= nowMs
      const waitMs = doubted.length > 0 ? this.#options.batchMaxMs : this.#options.batchMs
      if (nowMs - this.#firstAtMs < waitMs) return undefined
    }
    // What remains without a removal may have depended on it: the join at the same address, the voter in the same place.
    const batch =
      keepsMajority(situation, urgent) || !this.#rules.batchKeepsMajority
        ? urgent
        : effectiveCommands(
            view,
            urgent.filter(command => !removesVoter(view, command)),
          )
    if (batch.length === 0 && completions.length === 0) return undefined
    this.#firstAtMs = null
    if (completions.length > 0) this.#lastReadyAtMs = nowMs
    return [...completions, ...batch]
  }

  /** What the leader wants by itself. */
  #urgent(situation: Situation): ViewCommand[] {
    const { view, nowMs, failed, isReadyToVote } = situation
    const commands: ViewCommand[] = failed.map(({ id, since }) => ({ kind: "remove", id, since }))
    const gone = new Set(failed.map(({ id }) => id))
    const cutOff = this.#cutOff(situation, gone)
    if (cutOff !== undefined) {
      commands.push({ kind: "remove", id: cutOff.id, since: cutOff.since })
      gone.add(cutOff.id)
    }
    if (view.members.some(member => member.leaving)) {
      const holding = holders(view)
      for (const { id, since, leaving } of view.members)
        if (leaving && (!holding.has(id) || !this.#rules.leaveHandsOver) && !gone.has(id)) {
          commands.push({ kind: "remove", id, since })
          gone.add(id)
        }
    }
    const isReady = (member: Member) => isReadyToVote(member) || !this.#rules.votersShow
    const voterCount = view.members.filter(({ id, voter }) => voter && !gone.has(id)).length
    this.#mostVoters = Math.max(this.#mostVoters, voterCount)
    if (voterCount === this.#mostVoters || this.#rules.votersReplaced)
      commands.push(...votersWanted(view, gone, isReady))
    const proto = Math.min(...view.members.map(member => member.protoMax))
    // Effective only if every member that stays speaks it: from then on nobody may join that does not.
    if (proto > view.proto) commands.push({ kind: "set-proto", proto })
    for (const [shard, atMs] of this.#orphanedAtMs) {
      const config = view.shards[shard]
      if (config?.orphan !== true) continue
      // Nobody can bring it back. Not before every lease on it has ended, however certain the deaths are.
      const leaseMs = this.#rules.resetWaits ? situation.fenceMs + afterFenceMs : 0
      const isBeyondHope = config.inSync.every(situation.isDead) && nowMs - atMs > leaseMs
      if (isBeyondHope || nowMs - atMs > this.#options.orphanResetMs)
        commands.push({ kind: "reset", shard, q: config.q })
    }
    // As a batch: the voter that replaces a failed one is due only together with the removal.
    return effectiveCommands(view, commands)
  }

  /**
   * Of two members that the voters hear, and that do not reach each other, the younger goes; but not if that would leave
   * a shard without a holder. Both would wait for each other for as long as the link is down. One at a time: what the
   * next view is like decides who else must go.
   */
  #cutOff({ view, nowMs, hears }: Situation, gone: ReadonlySet<NodeId>): Member | undefined {
    for (const [key, { atMs }] of this.#brokenLinks) if (nowMs - atMs > forgetAfterMs) this.#brokenLinks.delete(key)
    for (const { from, to } of this.#brokenLinks.values()) {
      if (!hears(from.id) || !hears(to.id)) continue
      const pair = view.members.filter(member => isEnd(member, from) || isEnd(member, to)) // in order of age
      if (pair.length < 2 || gone.has(from.id) || gone.has(to.id)) continue
      const isLastHolder = (id: NodeId) =>
        view.shards.some(({ inSync }) => inSync.includes(id) && inSync.every(other => other === id || gone.has(other)))
      const younger = pair.reverse().find(({ id }) => !isLastHolder(id))
      if (younger !== undefined) return younger
    }
    return undefined
  }
}

/**
 * Voters to appoint: as many as are missing, and one for each that leaves, oldest members first; else one in a zone that
 * has two voters fewer than another.
 */
function votersWanted(
  view: View,
  gone: ReadonlySet<NodeId>,
  isReadyToVote: (member: Member) => boolean,
): ViewCommand[] {
  const staying = view.members.filter(member => !gone.has(member.id) && !member.leaving)
  const voters = staying.filter(member => member.voter)
  const candidates = staying.filter(member => !member.voter && isReadyToVote(member))
  if (candidates.length === 0) return []
  const perZone = new Map<string, number>()
  for (const { zone } of voters) perZone.set(zone, (perZone.get(zone) ?? 0) + 1)
  const votersIn = (member: MemberInfo) => perZone.get(member.zone) ?? 0
  const chosen: Member[] = []
  for (let open = view.maxVoters - voters.length; open > 0 && candidates.length > 0; open--) {
    // The zone with the fewest voters first; within it the oldest member: `members` is ordered by age.
    const next = candidates.reduce((best, candidate) => (votersIn(candidate) < votersIn(best) ? candidate : best))
    candidates.splice(candidates.indexOf(next), 1)
    perZone.set(next.zone, votersIn(next) + 1)
    chosen.push(next)
  }
  if (chosen.length === 0) {
    const most = Math.max(...perZone.values())
    const lagging = candidates.find(candidate => votersIn(candidate) <= most - 2)
    if (lagging !== undefined) chosen.push(lagging)
  }
  return chosen.map(({ id, since }) => ({ kind: "voter", id, since }))
}

/**
 * Whether the voters that are heard are a majority of those that the batch leaves. Of five voters with two dead, removing
 * a third that is only slow would leave two of four: enough to decide it, and never anything again. The dead ones are
 * reported a moment later, and go with it.
 */
function keepsMajority({ view, hears }: Situation, commands: readonly ViewCommand[]): boolean {
  const voters = new Set(view.members.filter(({ voter }) => voter).map(({ id }) => id))
  for (const command of commands) if (command.kind === "remove") voters.delete(command.id)
  for (const command of commands) if (command.kind === "voter") voters.add(command.id)
  return [...voters].filter(hears).length > voters.size / 2
}

function removesVoter(view: View, command: ViewCommand): boolean {
  return command.kind === "remove" && view.members.some(({ id, voter }) => id === command.id && voter)
}

function isEnd({ id, since }: Member, end: LinkEnd): boolean {
  return id === end.id && since === end.since
}

function holders(view: View): Set<NodeId> {
  const holding = new Set<NodeId>()
  for (const { inSync, learners } of view.shards) {
    for (const id of inSync) holding.add(id)
    for (const { id } of learners) holding.add(id)
  }
  return holding
}

/** Whether `view` shows what the command wanted, or has overtaken it; whoever wants it again later will say so. */
function isDone(view: View, command: ViewCommand): boolean {
  if (command.kind === "join") return view.members.some(({ id }) => id === command.member.id)
  return command.kind === "ready" && !isEffective(view, command)
}

/** The address of a restarted node is still its predecessor's, who is removed by the same batch. */
function isJoinBehindRemoval(view: View, command: ViewCommand, urgent: readonly ViewCommand[]): boolean {
  if (command.kind !== "join") return false
  const { id, addr } = command.member
  const holder = view.members.find(member => member.addr === addr || member.id === id)
  return (
    holder !== undefined &&
    holder.id !== id &&
    urgent.some(other => other.kind === "remove" && other.id === holder.id && other.since === holder.since)
  )
}

function keyOf(command: ViewCommand): string {
  switch (command.kind) {
    case "ready":
      return `ready ${command.shard} ${command.q} ${command.node} ${command.since}`
    case "join":
      return `join ${command.member.id}`
    case "reset":
      return `reset ${command.shard} ${command.q}`
    case "set-proto":
      return `set-proto ${command.proto}`
    case "set-layout":
      return `set-layout ${command.version}`
    case "stop":
    case "resume":
      return command.kind
    default:
      return `${command.kind} ${command.id}`
  }
}
