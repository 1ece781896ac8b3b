/**
 * The hash ring: where a key lies, which shard that is, and which members should hold a shard. The last is a wish
 * (the target); who does hold a shard is history and stands in the view. Everything here is a function of its arguments,
 * so that all nodes give the same answer in whatever order they learned of the members.
 * `README.md`, "Ring and layout".
 */
import { assert } from "../base/assert.ts"
import { hashKeyPosition, mix32, type HashKey } from "../base/hash.ts"
import type { Address, Member, NodeId, ShardId, View } from "../protocol/message.ts"

/** Positions on the ring: 0 to 2^32. */
const ringSize = 0x1_0000_0000

/** What places keys: the same for all nodes and clients of a cluster, as long as it lives. */
export type KeyPlacement = { readonly hashKey: HashKey; readonly shardCount: number }

/**
 * Where a key lies: by its hash; if it has a tag, in the shard of the tag, and there at a place of its own. So keys with the same
 * tag can be written in one step, and are as easily told apart as others.
 */
export function positionOf(key: Uint8Array, { hashKey, shardCount }: KeyPlacement): number {
  const position = hashKeyPosition(key, hashKey)
  const tag = tagOf(key)
  if (tag === undefined) return position
  const { from, to } = arcOf(shardOf(hashKeyPosition(tag, hashKey), shardCount), shardCount)
  return from + Math.floor((position / ringSize) * (to - from))
}

export function shardOfKey(key: Uint8Array, placement: KeyPlacement): ShardId {
  return shardOf(positionOf(key, placement), placement.shardCount)
}

/**
 * What stands between the first `{` of a key and the first `}` after it; undefined: nothing does. It is the rule of Redis
 * Cluster, so that programs that were written for one already name their keys so.
 */
export function tagOf(key: Uint8Array): Uint8Array | undefined {
  const open = key.indexOf(openBrace)
  if (open < 0) return undefined
  const close = key.indexOf(closeBrace, open + 1)
  return close > open + 1 ? key.subarray(open + 1, close) : undefined
}

const openBrace = 0x7b
const closeBrace = 0x7d

/** The shard whose arc holds the position. Below 2^48, so exact. */
export function shardOf(position: number, shardCount: number): ShardId {
  return Math.floor((position * shardCount) / ringSize)
}

/** The positions of a shard: from (included) to (excluded). */
export function arcOf(shard: ShardId, shardCount: number): { readonly from: number; readonly to: number } {
  return {
    from: Math.ceil((shard * ringSize) / shardCount),
    to: Math.ceil(((shard + 1) * ringSize) / shardCount),
  }
}

/**
 * Points of each member on the ring that places primaries. Not a setting: all nodes must agree. With 128 the busiest of twenty members
 * leads 1.25 times the mean of 1024 shards; clusters of few shards exist in tests alone, where speed counts.
 */
export function tokensFor(shardCount: number): number {
  return shardCount >= 512 ? 128 : 16
}

/** The newest rule of placement that this build knows; a view says by which one it was made. */
export const newestLayout = 1

/** For each shard the members that should hold it, the primary first; fewer than `copies` where members are few. */
export type Targets = readonly (readonly NodeId[])[]

/** Members that may be given shards. */
export function isActive(member: Member): boolean {
  return !member.leaving && !member.witness
}

type Shape = { readonly shardCount: number; readonly copies: number }
type Remembered = { readonly active: readonly Member[]; readonly shape: Shape; readonly targets: Targets }

/** Sets of members remembered: the present one, the next, those of late proposals, and those rehearsed: one per member. */
const rememberedTargets = 32
/** Addresses whose tokens are remembered: those of the largest cluster and as many former ones. */
const rememberedAddresses = 2_048

/** Computes targets and remembers the last few: views change often, the set of active members seldom. */
export class Placement {
  /** The most recently used last. */
  readonly #recent: Remembered[] = []
  readonly #tokens = new Map<Address, Float64Array>()

  targets(view: Pick<View, "members" | "copies"> & { readonly shards: { readonly length: number } }): Targets {
    const shape = { shardCount: view.shards.length, copies: view.copies }
    const active = view.members.filter(isActive)
    const at = this.#recent.findIndex(remembered => isSamePlacement(remembered, active, shape))
    const found =
      this.#recent.splice(at, at < 0 ? 0 : 1)[0] ??
      ({ active, shape, targets: computeTargets(active, shape, this.#tokensOf) } satisfies Remembered)
    this.#recent.push(found)
    if (this.#recent.length > rememberedTargets) this.#recent.shift()
    return found.targets
  }

  readonly #tokensOf = (address: Address, count: number): Float64Array => {
    const known = this.#tokens.get(address)
    if (known?.length === count) return known
    if (this.#tokens.size >= rememberedAddresses) this.#tokens.clear()
    const tokens = Float64Array.from({ length: count }, (_, i) => addressPosition(`${address}#${i}`))
    this.#tokens.set(address, tokens)
    return tokens
  }
}

function isSamePlacement(remembered: Remembered, active: readonly Member[], shape: Shape): boolean {
  if (remembered.shape.shardCount !== shape.shardCount || remembered.shape.copies !== shape.copies) return false
  if (remembered.active.length !== active.length) return false
  return remembered.active.every((known, i) => {
    const member = active[i]
    return known.id === member?.id && known.addr === member.addr && known.zone === member.zone
  })
}

/** Room for the index of a member below a position; both fit an exact integer. */
const indexRoom = 0x10_0000

function computeTargets(
  active: readonly Member[],
  shape: Shape,
  tokensOf: (address: Address, count: number) => Float64Array,
): Targets {
  if (active.length === 0) return new Array<readonly NodeId[]>(shape.shardCount).fill([])
  // In the order of ids, so that of two equal positions the one of the lower id comes first.
  const members = active.toSorted((a, b) => (a.id < b.id ? -1 : 1))

  const perMember = tokensFor(shape.shardCount)
  const points = new Float64Array(members.length * perMember)
  members.forEach((member, index) => {
    tokensOf(member.addr, perMember).forEach((token, i) => {
      points[index * perMember + i] = token * indexRoom + index
    })
  })
  points.sort()

  const choices = targetChoices(members, shape.copies)
  const targets: (readonly NodeId[])[] = []
  let next = 0
  for (let shard = 0; shard < shape.shardCount; shard++) {
    const from = arcOf(shard, shape.shardCount).from
    while (next < points.length && (points[next] as number) < from * indexRoom) next++ // below length
    const point = points[next === points.length ? 0 : next] as number // there is at least one point
    const lists = choices[point % indexRoom]
    const target = lists?.[mix32(shard) % lists.length]
    assert(target !== undefined, "every member has its lists of copies")
    targets.push(target)
  }
  return targets
}

/**
 * For each member, as a primary, the lists of members that may hold its shards; a shard takes one by its own hash.
 *
 * Copies stand on the successors of the primary on a second ring with one point per member. The next owners of the same
 * arc would make every member a copy of every other: larger fan-out, smaller batches, and any two crashes at once would
 * lose data (copysets: Cidon et al., "Copysets: Reducing the Frequency of Data Loss in Cloud Storage", 2013).
 */
function targetChoices(members: readonly Member[], copies: number): readonly (readonly (readonly NodeId[])[])[] {
  const places = Float64Array.from(members, (member, index) => addressPosition(member.addr) * indexRoom + index).sort()
  const ring = Array.from(places, place => members[place % indexRoom] as Member) // made from these indexes
  const zoneCount = new Set(members.map(member => member.zone)).size
  const byMember = new Map(ring.map((primary, at) => [primary.id, listsOf(primary, ring, at, { copies, zoneCount })]))
  return members.map(member => byMember.get(member.id) ?? [])
}

type Wanted = { readonly copies: number; readonly zoneCount: number }

/** `at` is the place of the primary on the ring. */
function listsOf(primary: Member, ring: readonly Member[], at: number, wanted: Wanted): readonly (readonly NodeId[])[] {
  // Two at least, so that the load of a dead member falls on two.
  const spread = Math.max(2, wanted.copies - 1)
  const nearest: Member[] = []
  for (const member of successors(ring, at)) {
    if (nearest.length === spread) break
    if (wanted.zoneCount === 1 || member.zone !== primary.zone) nearest.push(member)
  }
  if (wanted.copies === 1 || nearest.length === 0) return [[primary.id]]
  return nearest.map((_, start) => {
    const turned = [...nearest.slice(start), ...nearest.slice(0, start)]
    return [primary, ...pickCopies(primary, turned, () => successors(ring, at), wanted)].map(member => member.id)
  })
}

/** Everyone else, clockwise. A generator: of a thousand members the first few are enough. */
function* successors(ring: readonly Member[], at: number): Generator<Member> {
  for (let i = at + 1; i < ring.length; i++) yield ring[i] as Member // within bounds
  for (let i = 0; i < at; i++) yield ring[i] as Member // likewise
}

/** The first in as many zones as there are, then the first of the rest: of the nearest, then of all others. */
function pickCopies(
  primary: Member,
  nearest: readonly Member[],
  others: () => Iterable<Member>,
  { copies, zoneCount }: Wanted,
): Set<Member> {
  const chosen = new Set<Member>()
  const zones = new Set([primary.zone])
  for (const candidates of [nearest, others()])
    for (const member of candidates) {
      if (chosen.size === copies - 1 || zones.size === zoneCount) break
      if (zones.has(member.zone)) continue
      zones.add(member.zone)
      chosen.add(member)
    }
  for (const candidates of [nearest, others()])
    for (const member of candidates) {
      if (chosen.size === copies - 1) break
      chosen.add(member)
    }
  return chosen
}

/**
 * Members are placed by their address, not by their id, so that a restarted process is given what its predecessor held;
 * and by a key of their own, so that the placement can be computed before a cluster has one.
 */
const addressKey: HashKey = [0x6d656d62, 0x65727321]
const utf8 = new TextEncoder()

function addressPosition(text: string): number {
  return hashKeyPosition(utf8.encode(text), addressKey)
}
