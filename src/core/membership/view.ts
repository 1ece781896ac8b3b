/**
 * Questions to a view, and its forms on the wire: whole for nodes (`packView`), and what a client needs to route
 * (`clientView`). A packed view that arrives is checked before anything believes it. `README.md`, "Views".
 */
import { maxMembers, maxShards } from "../../protocol/limits.ts"
import type {
  Epoch,
  Learner,
  Member,
  NodeId,
  NodeToClient,
  PackedView,
  ShardConfig,
  ShardId,
  View,
} from "../../protocol/message.ts"
import { seqBaseStep } from "../layout.ts"
import { isActive } from "../ring.ts"
import { viewProblem } from "./view-problem.ts"

// ---------------------------------------------------------------------------------------------------- questions

const indexes = new WeakMap<readonly Member[], ReadonlyMap<NodeId, Member>>()

function indexOf(members: readonly Member[]): ReadonlyMap<NodeId, Member> {
  const known = indexes.get(members)
  if (known !== undefined) return known
  const index = new Map(members.map(member => [member.id, member]))
  indexes.set(members, index)
  return index
}

export function memberOf(view: View, id: NodeId): Member | undefined {
  return indexOf(view.members).get(id)
}

export function isMember(view: View, id: NodeId): boolean {
  return indexOf(view.members).has(id)
}

/** The oldest first: their rank as leaders. */
export function votersOf(view: View): readonly NodeId[] {
  return view.members.filter(member => member.voter).map(member => member.id)
}

/** The least number that any two groups of share one: more than half. */
export function majorityOf(count: number): number {
  return Math.floor(count / 2) + 1
}

/** Members that may be given shards. */
export function activeMembers(view: View): readonly Member[] {
  return view.members.filter(isActive)
}

export type ShardRole = "primary" | "backup" | "learner" | "orphan-holder" | "none"

/** What `id` is to a shard. An orphan's last holders keep its data, members or not. */
export function roleIn(config: ShardConfig, id: NodeId): ShardRole {
  if (config.primary === id) return "primary"
  if (config.inSync.includes(id)) return config.orphan ? "orphan-holder" : "backup"
  return config.learners.some(learner => learner.id === id) ? "learner" : "none"
}

/** Whether a shard would lose a replica with `id`. A leaving member may go when no shard would. */
export function holds(view: View, id: NodeId): boolean {
  return view.shards.some(config => config.inSync.includes(id))
}

export type ShardCounts = { readonly primaries: number; readonly replicas: number }

/** For each member how many shards it leads, and how many it holds in sync, those included. */
export function shardCounts(view: View): ReadonlyMap<NodeId, ShardCounts> {
  const counts = new Map(view.members.map(member => [member.id, { primaries: 0, replicas: 0 }]))
  for (const config of view.shards) {
    const primary = config.primary === null ? undefined : counts.get(config.primary)
    if (primary !== undefined) primary.primaries++
    for (const id of config.inSync) {
      const member = counts.get(id)
      if (member !== undefined) member.replicas++
    }
  }
  return counts
}

export function orphans(view: View): ShardId[] {
  return view.shards.flatMap((config, shard) => (config.orphan ? [shard] : []))
}

/** How many shards have two copies in one zone although another zone could have taken one. */
export function crowded(view: View): number {
  const zoneCount = new Set(activeMembers(view).map(({ zone }) => zone)).size
  let count = 0
  for (const { inSync, orphan } of view.shards) {
    if (orphan) continue
    const zones = new Set(inSync.map(id => memberOf(view, id)?.zone))
    if (zones.size < Math.min(inSync.length, zoneCount)) count++
  }
  return count
}

// ---------------------------------------------------------------------------------------------------- between nodes

// A shard is a row of cells. Ids are places in the table `ids`, which begins with the members; epochs are distances to
// an epoch already written, so that most numbers are small, and small numbers take one byte:
//
//   head: number of in-sync replicas * 8 + flags
//   epoch - q
//   q - primarySince
//   in-sync replicas, the primary first
//   hasLearners:  number of learners, then of each: id, q - since
//   wasReset:     primarySince - resetAt, seqBase / 2^40

const isOrphan = 1
const hasLearners = 2
const wasReset = 4

export function packView(view: View): PackedView {
  const { shards, ...rest } = view
  const places = new Map(view.members.map((member, place) => [member.id, place]))
  const placeOf = (id: NodeId): number => {
    const known = places.get(id)
    if (known !== undefined) return known
    places.set(id, places.size)
    return places.size - 1
  }
  const cells: number[] = [shards.length]
  for (const config of shards) packShard(view.epoch, config, placeOf, cells)
  return { ...rest, ids: [...places.keys()], cells }
}

function packShard(epoch: Epoch, config: ShardConfig, placeOf: (id: NodeId) => number, cells: number[]): void {
  const { q, primarySince, inSync, learners, orphan, resetAt, seqBase } = config
  const flags = (orphan ? isOrphan : 0) + (learners.length > 0 ? hasLearners : 0) + (resetAt > 0 ? wasReset : 0)
  cells.push(inSync.length * 8 + flags, epoch - q, q - primarySince)
  for (const id of inSync) cells.push(placeOf(id))
  if (learners.length > 0) {
    cells.push(learners.length)
    for (const learner of learners) cells.push(placeOf(learner.id), q - learner.since)
  }
  if (resetAt > 0) cells.push(primarySince - resetAt, seqBase / seqBaseStep)
}

/** The view, or in words what is wrong with it. */
export function unpackView(packed: PackedView): View | string {
  const { ids, cells, ...rest } = packed
  if (ids.length > maxMembers + maxShards) return "the table of ids is too long"
  if (packed.members.some((member, place) => ids[place] !== member.id)) return "the table of ids begins otherwise"
  if (new Set(ids).size !== ids.length) return "an id stands twice in the table"
  if (cells.some(cell => !Number.isSafeInteger(cell) || cell < 0)) return "a cell is no count"

  const reader = new CellReader(cells, ids)
  const shardCount = reader.count(maxShards)
  const shards: ShardConfig[] = []
  for (let shard = 0; shard < shardCount; shard++) {
    const config = unpackShard(reader, packed.epoch)
    if (reader.problem !== undefined) return `shard ${shard}: ${reader.problem}`
    shards.push(config)
  }
  if (reader.problem !== undefined) return reader.problem
  if (!reader.isAtEnd) return "cells are left over"

  const view = { ...rest, shards }
  return viewProblem(view) ?? view
}

/** Meaningless once the reader has a problem. */
function unpackShard(reader: CellReader, epoch: Epoch): ShardConfig {
  const head = reader.count(8 * maxMembers + 7)
  const q = reader.before(epoch)
  const primarySince = reader.before(q)
  const inSync = Array.from({ length: head >>> 3 }, () => reader.id())
  const learners: Learner[] = []
  if (head & hasLearners) {
    const count = reader.count(maxMembers)
    for (let i = 0; i < count; i++) learners.push({ id: reader.id(), since: reader.before(q) })
  }
  const orphan = (head & isOrphan) !== 0
  const resetAt = head & wasReset ? reader.before(primarySince) : 0
  const seqBase = head & wasReset ? reader.count(0xff) * seqBaseStep : 0
  const primary = orphan ? null : (inSync[0] ?? null)
  return { q, primary, primarySince, inSync, learners, orphan, resetAt, seqBase }
}

/** Reads cells one after another and remembers the first thing wrong; from then on it gives zeros. */
class CellReader {
  readonly #cells: readonly number[]
  readonly #ids: readonly NodeId[]
  #at = 0
  problem: string | undefined

  constructor(cells: readonly number[], ids: readonly NodeId[]) {
    this.#cells = cells
    this.#ids = ids
  }

  get isAtEnd(): boolean {
    return this.#at === this.#cells.length
  }

  count(most: number): number {
    const cell = this.#cells[this.#at++]
    if (cell === undefined) this.problem ??= "cells are missing"
    else if (cell > most) this.problem ??= `a count of ${cell} is above ${most}`
    return this.problem === undefined && cell !== undefined ? cell : 0
  }

  /** An epoch, as the distance to a later one. Views are numbered from 1. */
  before(epoch: Epoch): Epoch {
    return epoch - this.count(epoch - 1)
  }

  id(): NodeId {
    return this.#ids[this.count(this.#ids.length - 1)] ?? ""
  }
}

// ---------------------------------------------------------------------------------------------------- to clients

/** In the place of a primary: the shard has none. */
export const noPrimary = 0xffff

export type ClientView = Extract<NodeToClient, { readonly kind: "client-view" }>
export type ClientViewDelta = Extract<NodeToClient, { readonly kind: "client-view-delta" }>

export function clientView(view: View, self: NodeId): ClientView {
  const { clusterId, proto, epoch, membersEpoch, hashKey } = view
  const placeOf = placesOf(view)
  return {
    kind: "client-view",
    self,
    clusterId,
    proto,
    epoch,
    membersEpoch,
    hashKey,
    members: view.members.map(({ id, name, addr, clientAddr }) => ({ id, name, addr, clientAddr })),
    primaries: view.shards.map(config => placeOf(config.primary)),
  }
}

/** What to tell a client that has `before`; undefined: the members changed, it needs the whole view. */
export function clientViewDelta(before: View, after: View): ClientViewDelta | undefined {
  if (before.membersEpoch !== after.membersEpoch || before.shards.length !== after.shards.length) return undefined
  const placeOf = placesOf(after)
  const changes: number[] = []
  for (const [shard, config] of after.shards.entries())
    if (config.primary !== before.shards[shard]?.primary) changes.push(shard, placeOf(config.primary))
  return { kind: "client-view-delta", from: before.epoch, epoch: after.epoch, changes }
}

function placesOf(view: View): (id: NodeId | null) => number {
  const places = new Map(view.members.map((member, place) => [member.id, place]))
  return id => (id === null ? noPrimary : (places.get(id) ?? noPrimary))
}
