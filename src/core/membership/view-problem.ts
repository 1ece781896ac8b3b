/**
 * What must hold of every view, and of every step from one to the next. Views that arrive are checked with it; so is
 * each step of a simulation. `README.md`, "Views".
 */
import { maxMembers, maxShards } from "../../protocol/limits.ts"
import type { Epoch, NodeId, ShardConfig, View } from "../../protocol/message.ts"
import { maxResets, seqBaseStep } from "../layout.ts"
import { viewHash } from "../view-hash.ts"
import { compareAge } from "./member-list.ts"

/** The first thing wrong with a view, in words. */
export function viewProblem(view: View): string | undefined {
  return headProblem(view) ?? membersProblem(view) ?? shardsProblem(view) ?? hashProblem(view)
}

/** The first thing wrong with a step from one view to the next. */
export function stepProblem(before: View, after: View): string | undefined {
  if (after.epoch !== before.epoch + 1) return "epochs are numbered one after another"
  if (before.shards.length !== after.shards.length) return "the number of shards is fixed"
  if (after.stopped && after.members !== before.members) return "nobody comes or goes while all is stopped"
  if (after.stopped && after.shards.some((config, shard) => config !== before.shards[shard]))
    return "no shard changes while all is stopped"
  if (after.members !== before.members && after.membersEpoch !== after.epoch)
    return "membersEpoch is the epoch in which the members last changed"
  const members = new Set(after.members.map(member => member.id))
  for (const [shard, config] of after.shards.entries()) {
    const former = before.shards[shard]
    const step = { epoch: after.epoch, members, resumes: before.stopped && !after.stopped }
    const problem = former === undefined ? "it is new" : configStepProblem(former, config, step)
    if (problem !== undefined) return `shard ${shard}: ${problem}`
  }
  return undefined
}

function headProblem(view: View): string | undefined {
  if (!isCount(view.epoch, 1)) return "epochs count from 1"
  if (!isCount(view.baseEpoch, 0) || view.baseEpoch >= view.epoch)
    return "a generation begins after what it goes on from"
  if (!isCount(view.membersEpoch, 1) || view.membersEpoch > view.epoch) return "membersEpoch lies in the future"
  if (!isCount(view.copies, 1) || view.copies > 7) return "a shard has 1 to 7 copies"
  if (!isCount(view.maxVoters, 1) || view.maxVoters > 9) return "a cluster has 1 to 9 voters"
  if (!isCount(view.generation, 0) || !isCount(view.proto, 1) || !isCount(view.layoutVersion, 1))
    return "generation, proto and layoutVersion are counts"
  if (view.hashKey.some(word => !isCount(word, 0) || word > 0xffff_ffff)) return "hashKey is two words of 32 bits"
  return undefined
}

function membersProblem(view: View): string | undefined {
  const { members } = view
  if (members.length === 0 || members.length > maxMembers) return `a cluster has 1 to ${maxMembers} members`
  if (new Set(members.map(member => member.id)).size !== members.length) return "two members have one id"
  if (new Set(members.map(member => member.addr)).size !== members.length) return "two members have one address"
  const voterCount = members.filter(member => member.voter).length
  if (voterCount === 0) return "nobody votes"
  if (voterCount > view.maxVoters) return "too many vote"
  for (const [place, member] of members.entries()) {
    const older = members[place - 1]
    if (older !== undefined && compareAge(older, member) >= 0) return "members are ordered by age, then by id"
    if (!isCount(member.since, 1) || member.since > view.membersEpoch) return `member ${member.id} is of the future`
    if (view.proto < member.protoMin || view.proto > member.protoMax)
      return `member ${member.id} speaks another protocol`
  }
  return undefined
}

function shardsProblem(view: View): string | undefined {
  if (view.shards.length === 0 || view.shards.length > maxShards) return `a cluster has 1 to ${maxShards} shards`
  const members = new Map(view.members.map(member => [member.id, member]))
  for (const [shard, config] of view.shards.entries()) {
    const problem = epochsProblem(config, view.epoch) ?? holdersProblem(config, members)
    if (problem !== undefined) return `shard ${shard}: ${problem}`
  }
  return undefined
}

function epochsProblem(config: ShardConfig, epoch: Epoch): string | undefined {
  const { q, primarySince, resetAt, seqBase, learners } = config
  if (!isCount(q, 1) || q > epoch) return "q lies in the future"
  if (!isCount(primarySince, 1) || primarySince > q) return "primarySince is later than q"
  if (!isCount(resetAt, 0) || resetAt > primarySince) return "a reset renews primarySince"
  if (learners.some(({ since }) => !isCount(since, 1) || since > q)) return "a learner is of the future"
  const resets = seqBase / seqBaseStep
  if (!isCount(resets, 0) || resets > maxResets || resets > 0 !== resetAt > 0) return "seqBase counts the resets"
  return undefined
}

function holdersProblem(
  config: ShardConfig,
  members: ReadonlyMap<NodeId, View["members"][number]>,
): string | undefined {
  const { primary, inSync, learners, orphan } = config
  if (inSync.length === 0) return "nobody holds it, nobody did"
  const all = [...inSync, ...learners.map(learner => learner.id)]
  if (new Set(all).size !== all.length) return "a replica is named twice"
  if (orphan) {
    if (primary !== null || learners.length > 0) return "an orphan has neither primary nor learners"
    return inSync.some(id => members.has(id)) ? "a holder of an orphan is a member" : undefined
  }
  if (primary === null || primary !== inSync[0]) return "the primary is the first in sync"
  for (const id of all) {
    const member = members.get(id)
    if (member === undefined) return `replica ${id} is no member`
    if (member.witness) return `replica ${id} is a witness`
  }
  return undefined
}

function hashProblem(view: View): string | undefined {
  return view.hash === viewHash(view) ? undefined : "the hash is another content's"
}

function configStepProblem(
  before: ShardConfig,
  after: ShardConfig,
  { epoch, members, resumes }: { epoch: Epoch; members: ReadonlySet<NodeId>; resumes: boolean },
): string | undefined {
  if (resumes && after.primarySince !== epoch) return "every primary begins anew when the cluster resumes"
  if (after === before) return undefined
  if (after.q !== epoch) return "a change renews q"
  const isReset = after.resetAt === epoch
  const isNewPrimary = after.primary !== before.primary
  if (after.primarySince !== (isNewPrimary || isReset || resumes ? epoch : before.primarySince))
    return "primarySince is the epoch of the last change of primary"
  if (isReset) {
    if (!before.orphan || before.inSync.some(id => members.has(id))) return "only an orphan without a holder is reset"
    return after.seqBase === before.seqBase + seqBaseStep ? undefined : "a reset raises seqBase by one step"
  }
  if (after.resetAt !== before.resetAt || after.seqBase !== before.seqBase) return "seqBase and resetAt go together"
  if (after.orphan && before.inSync.some(id => members.has(id))) return "a shard with a holder is no orphan"
  const couldHold = new Set([...before.inSync, ...before.learners.map(learner => learner.id)])
  if (after.inSync.some(id => !couldHold.has(id))) return "a replica is in sync that was never filled"
  const sameLearner = after.learners.find(learner => before.learners.some(other => other.id === learner.id))
  if (sameLearner !== undefined && !before.learners.some(other => other.since === sameLearner.since))
    return "a learner keeps its since"
  return undefined
}

function isCount(value: number, least: number): boolean {
  return Number.isSafeInteger(value) && value >= least
}
