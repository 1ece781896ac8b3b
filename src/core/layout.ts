/**
 * From one view to the next: `apply(view, commands)`. Pure, and the same on every node; a voter refuses a view whose
 * hash it does not compute itself. Each shard moves toward its target step by step, and only through replicas that are
 * known to hold all of its data (`README.md`, "Ring and layout" and "Views").
 */
import { assert, unreachable } from "../base/assert.ts"
import { maxShards } from "../protocol/limits.ts"
import type {
  Epoch,
  Learner,
  MemberInfo,
  NodeId,
  ShardConfig,
  ShardId,
  View,
  ViewCommand,
} from "../protocol/message.ts"
import { MemberList } from "./membership/member-list.ts"
import { newestLayout, type Placement } from "./ring.ts"
import { allRules, type Rules } from "./rules.ts"
import { hashChangedShards, viewHash } from "./view-hash.ts"

/** A reset moves the sequence numbers of its shard up by this, beyond any that the lost data may have had. */
export const seqBaseStep = 2 ** 40

/** Sequence numbers end at 2^48. A shard that lost its data more often needs a new cluster. */
export const maxResets = 255

export type LayoutRules = Pick<Rules, "learnersWait" | "primarySince">

export type NewCluster = Pick<View, "clusterId" | "generation" | "copies" | "maxVoters" | "hashKey"> & {
  readonly shardCount: number
  readonly member: MemberInfo
}

/** The view that a cluster begins with: one member, which votes and leads every shard. */
export function initialView(cluster: NewCluster): View {
  const { clusterId, generation, copies, maxVoters, hashKey, shardCount, member } = cluster
  assert(shardCount >= 1 && shardCount <= maxShards, "a cluster has 1 to maxShards shards")
  assert(!member.witness, "the first member holds the shards")
  const config: ShardConfig = {
    q: 1,
    primary: member.id,
    primarySince: 1,
    inSync: [member.id],
    learners: [],
    orphan: false,
    resetAt: 0,
    seqBase: 0,
  }
  const view = {
    clusterId,
    generation,
    baseEpoch: 0,
    epoch: 1,
    membersEpoch: 1,
    copies,
    maxVoters,
    hashKey,
    proto: member.protoMax,
    layoutVersion: newestLayout,
    stopped: false,
    members: [{ ...member, since: 1, voter: true, leaving: false }],
    shards: new Array<ShardConfig>(shardCount).fill(config),
  }
  return { ...view, hash: viewHash(view) }
}

/** The next view. An empty batch is a batch: the epoch counts up. */
export function apply(
  view: View,
  commands: readonly ViewCommand[],
  placement: Pick<Placement, "targets">,
  rules: LayoutRules = allRules,
): View {
  const epoch = view.epoch + 1
  const { effective, list, proto, layoutVersion, stopped } = takeEffect(view, commands)
  const members = list.change === "none" ? view.members : list.toArray()
  const targets = placement.targets({ members, copies: view.copies, shards: view.shards })
  const isMember = (id: NodeId) => list.has(id)
  const named = commandsByShard(effective)
  const resumes = view.stopped && !stopped
  const touchesAll = list.change === "holders" || layoutVersion !== view.layoutVersion || resumes
  const touched = touchesAll ? view.shards.keys() : named.keys()

  const shards = [...view.shards]
  const changed: ShardId[] = []
  for (const shard of touched) {
    const before = shardAt(view, shard)
    const target = targets[shard] ?? []
    const commands = named.get(shard) ?? none
    if (commands === none && !resumes && isSettled(before, target)) continue // most shards, when one of many members comes or goes
    const next = nextConfig(before, { epoch, target, isMember, commands, rules })
    // Whoever leads begins anew: what was written down may hold operations that never committed.
    const after = resumes ? { ...next, q: epoch, primarySince: epoch } : next
    if (after === before) continue
    shards[shard] = after
    changed.push(shard)
  }
  if (changed.length > 0) {
    hashChangedShards(view.shards, shards, changed)
    changesTo.set(shards, { from: view.shards, changed: changed.sort((a, b) => a - b) })
  }

  const next = {
    ...view,
    epoch,
    membersEpoch: list.change === "none" ? view.membersEpoch : epoch,
    proto,
    layoutVersion,
    stopped,
    members,
    shards: changed.length > 0 ? shards : view.shards,
  }
  return { ...next, hash: viewHash(next) }
}

/** Whether the command, alone, would do anything in the next view; what is done already, or overtaken, would not. */
export function isEffective(view: View, command: ViewCommand): boolean {
  // The leader asks for thousands of these after a join; they need no member list.
  if (command.kind === "ready") return !view.stopped && isReady(view.shards[command.shard], command)
  return effectiveCommands(view, [command]).length > 0
}

/** The commands of a batch that would do something together: a voter may take the place of one removed with it. */
export function effectiveCommands(view: View, commands: readonly ViewCommand[]): ViewCommand[] {
  return takeEffect(view, commands).effective
}

/** For each former primary, the shards that it no longer leads. */
export function primariesLost(before: View, after: View): Map<NodeId, ShardId[]> {
  const lost = new Map<NodeId, ShardId[]>()
  for (const shard of changedShards(before, after)) {
    const primary = shardAt(before, shard).primary
    if (primary === null || primary === shardAt(after, shard).primary) continue
    const shards = lost.get(primary)
    if (shards === undefined) lost.set(primary, [shard])
    else shards.push(shard)
  }
  return lost
}

// Asked for several times in each view change, and known to `apply` already: shards are immutable, so it stays right.
const changesTo = new WeakMap<
  readonly ShardConfig[],
  { readonly from: readonly ShardConfig[]; readonly changed: readonly ShardId[] }
>()

/** By identity: `apply` keeps the configs that it does not change. After a snapshot every shard counts as changed. */
export function changedShards(before: View, after: View): readonly ShardId[] {
  if (before.shards === after.shards) return []
  const known = changesTo.get(after.shards)
  if (known?.from === before.shards) return known.changed
  const changed: ShardId[] = []
  for (const [shard, config] of after.shards.entries()) if (config !== before.shards[shard]) changed.push(shard)
  changesTo.set(after.shards, { from: before.shards, changed })
  return changed
}

/** Shards that have fewer in-sync replicas than their target has members. */
export function underReplicated(view: View, placement: Pick<Placement, "targets">): number {
  const known = missingIn.get(view)
  if (known !== undefined) return known
  const targets = placement.targets(view)
  let count = 0
  for (let shard = 0; shard < view.shards.length; shard++) {
    const config = shardAt(view, shard)
    if (config.orphan || config.inSync.length < (targets[shard]?.length ?? 0)) count++
  }
  missingIn.set(view, count)
  return count
}

const missingIn = new WeakMap<View, number>()

// ---------------------------------------------------------------------------------------------------- commands

/**
 * Commands take effect kind by kind, whatever their order in the batch; within a kind in their order. Ready first: a
 * learner completed just before its primary dies saves the shard. Join after Remove: a restarted process takes the
 * address of the one that it replaces. Voter after both: a failed voter is replaced in the view that removes it.
 */
const order: readonly ViewCommand["kind"][] = [
  "ready",
  "leave",
  "remove",
  "join",
  "voter",
  "reset",
  "set-proto",
  "set-layout",
  "stop",
  "resume",
]

type Effect = Pick<View, "proto" | "layoutVersion" | "stopped"> & {
  readonly list: MemberList
  /** The commands whose precondition holds. */
  readonly effective: ViewCommand[]
}

function takeEffect(view: View, commands: readonly ViewCommand[]): Effect {
  const list = new MemberList(view)
  let { proto, layoutVersion, stopped } = view
  // A stopped cluster stays as it is until it resumes; who is not back is removed with that.
  const resumes = stopped && commands.some(({ kind }) => kind === "resume")
  const takes = (command: ViewCommand): boolean => {
    if (view.stopped && !(resumes && (command.kind === "remove" || command.kind === "resume"))) return false
    switch (command.kind) {
      case "ready":
        return isReady(view.shards[command.shard], command)
      case "leave":
        return list.leave(command.id)
      case "remove":
        return list.remove(command.id, command.since)
      case "join":
        return list.join(command.member)
      case "voter":
        return list.addVoter(command.id, command.since)
      case "reset":
        return isResettable(view.shards[command.shard], command) && list.hasActive()
      case "set-proto":
        if (command.proto <= proto || !list.supportsProto(command.proto)) return false
        proto = command.proto
        return true
      case "set-layout":
        if (command.version <= layoutVersion || command.version > newestLayout) return false
        layoutVersion = command.version
        return true
      case "stop":
        // Alone in its view: what others mean for the copies is seen in the next.
        if (commands.some(({ kind }) => kind !== "stop")) return false
        if (command.how === "complete" && !isComplete(view)) return false
        stopped = true
        return true
      case "resume":
        stopped = false
        return resumes
      default:
        return unreachable(command)
    }
  }
  const effective = order.flatMap(kind => commands.filter(command => command.kind === kind && takes(command)))
  list.ensureVoter()
  return { list, effective, proto, layoutVersion, stopped }
}

/** Nobody is on his way out, and every shard is where it should be. */
function isComplete({ members, shards }: View): boolean {
  return (
    !members.some(({ leaving }) => leaving) && !shards.some(({ orphan, learners }) => orphan || learners.length > 0)
  )
}

/** `q` and `since` name the config and the assignment that the command talks about; another one's is stale. */
function isReady(config: ShardConfig | undefined, command: ReadyCommand): boolean {
  return (
    config?.q === command.q &&
    config.learners.some(learner => learner.id === command.node && learner.since === command.since)
  )
}

function isResettable(config: ShardConfig | undefined, command: ResetCommand): boolean {
  return config?.q === command.q && config.orphan && config.seqBase < maxResets * seqBaseStep
}

// ---------------------------------------------------------------------------------------------------- shards

type ShardCommand = Extract<ViewCommand, { readonly kind: "ready" | "reset" }>
type ReadyCommand = Extract<ViewCommand, { readonly kind: "ready" }>
type ResetCommand = Extract<ViewCommand, { readonly kind: "reset" }>

const none: readonly ShardCommand[] = []

function commandsByShard(commands: readonly ViewCommand[]): Map<ShardId, ShardCommand[]> {
  const byShard = new Map<ShardId, ShardCommand[]>()
  for (const command of commands) {
    if (command.kind !== "ready" && command.kind !== "reset") continue
    const others = byShard.get(command.shard)
    if (others === undefined) byShard.set(command.shard, [command])
    else others.push(command)
  }
  return byShard
}

type ShardStep = {
  readonly epoch: Epoch
  /** Empty when no member is active. */
  readonly target: readonly NodeId[]
  readonly isMember: (id: NodeId) => boolean
  /** Those of this shard whose precondition holds. */
  readonly commands: readonly ShardCommand[]
  readonly rules: LayoutRules
}

/** The same object when nothing changes. */
function nextConfig(before: ShardConfig, step: ShardStep): ShardConfig {
  const { epoch, target, isMember, commands, rules } = step
  const inSync = [...before.inSync]
  // In the order of the learners, whatever that of the commands: the list must give one view however it travelled.
  for (const { id } of before.learners)
    if (commands.some(command => command.kind === "ready" && command.node === id)) inSync.push(id)

  let holders = inSync.filter(isMember)
  let { resetAt, seqBase } = before
  const first = target[0]
  if (holders.length === 0) {
    const isReset = commands.some(command => command.kind === "reset")
    const unready = rules.learnersWait ? undefined : before.learners.find(learner => isMember(learner.id))
    if (isReset && first !== undefined) {
      holders = [first]
      resetAt = epoch
      seqBase += seqBaseStep
    } else if (unready !== undefined) {
      holders = [unready.id]
    } else {
      // The last holders stay noted: should one of them come back, nothing is lost.
      return before.orphan ? before : orphaned(before, inSync, epoch, rules)
    }
  }

  const primary = nextPrimary(before.primary, holders, target)
  // Nothing is dropped before all of the target is there.
  const kept = target.length > 0 && target.every(id => holders.includes(id)) ? target : holders
  const after = {
    primary,
    inSync: sameSet(kept, before.inSync) && primary === before.primary ? before.inSync : primaryFirst(primary, kept),
    learners: nextLearners(before.learners, target, kept, epoch),
    orphan: false,
    resetAt,
    seqBase,
  }
  if (
    after.inSync === before.inSync &&
    after.learners === before.learners &&
    !before.orphan &&
    resetAt === before.resetAt
  )
    return before

  const isNewPrimary = primary !== before.primary && rules.primarySince
  return { ...after, q: epoch, primarySince: isNewPrimary || resetAt === epoch ? epoch : before.primarySince }
}

function orphaned(before: ShardConfig, inSync: readonly NodeId[], epoch: Epoch, rules: LayoutRules): ShardConfig {
  const { resetAt, seqBase } = before
  const primarySince = rules.primarySince ? epoch : before.primarySince
  return { q: epoch, primary: null, primarySince, inSync, learners: [], orphan: true, resetAt, seqBase }
}

/** Exactly the target holds the shard, so that nothing remains to be done. */
function isSettled({ orphan, primary, inSync, learners }: ShardConfig, target: readonly NodeId[]): boolean {
  if (orphan || learners.length > 0 || target.length === 0 || inSync.length !== target.length) return false
  if (primary !== target[0]) return false
  for (let i = 0; i < target.length; i++) if (inSync[i] !== target[i]) return false
  return true
}

function nextPrimary(before: NodeId | null, holders: readonly NodeId[], target: readonly NodeId[]): NodeId {
  const wanted = target[0]
  if (wanted !== undefined && holders.includes(wanted)) return wanted
  if (before !== null && holders.includes(before)) return before
  const next = target.find(id => holders.includes(id)) ?? holders[0]
  assert(next !== undefined, "a shard that is no orphan has a holder")
  return next
}

function nextLearners(
  before: readonly Learner[],
  target: readonly NodeId[],
  inSync: readonly NodeId[],
  epoch: Epoch,
): readonly Learner[] {
  const wanted = target.filter(id => !inSync.includes(id))
  if (wanted.length === before.length && wanted.every(id => before.some(learner => learner.id === id))) return before
  return wanted.map(id => before.find(learner => learner.id === id) ?? { id, since: epoch })
}

/** The primary leads the list; the rest keep their order. Shares the target's own list where it can. */
function primaryFirst(primary: NodeId, ids: readonly NodeId[]): readonly NodeId[] {
  return ids[0] === primary ? ids : [primary, ...ids.filter(id => id !== primary)]
}

function sameSet(a: readonly NodeId[], b: readonly NodeId[]): boolean {
  return a.length === b.length && a.every(id => b.includes(id))
}

function shardAt(view: View, shard: ShardId): ShardConfig {
  const config = view.shards[shard]
  assert(config !== undefined, "a shard of the view")
  return config
}
