/**
 * A group over several shards of one primary: which of them has which steps, when it may commit, and whether what some of
 * them remember of it can be finished by the others. What is written, and when it is answered, is decided elsewhere ("Groups").
 */
import type { Result, Seq } from "../../protocol/message.ts"
import type { HashedKey } from "../../store/store.ts"
import type { Shard } from "./shard.ts"

/** The steps whose keys lie in one shard, by their places in the group, in order. */
export type GroupPart = { readonly shard: Shard; readonly places: readonly number[] }

/** In the order of the first step of each; undefined: some shard is not known here yet. */
export function groupPartsOf(
  keys: readonly HashedKey[],
  shardAt: (position: number) => Shard | undefined,
): readonly GroupPart[] | undefined {
  const parts = new Map<Shard, number[]>()
  for (const [place, { position }] of keys.entries()) {
    const shard = shardAt(position)
    if (shard === undefined) return undefined
    const places = parts.get(shard)
    if (places === undefined) parts.set(shard, [place])
    else places.push(place)
  }
  return [...parts].map(([shard, places]) => ({ shard, places }))
}

/** A group that was appended to several shards and has not committed: it commits in all of them in one step. */
export class OpenGroup {
  readonly #parts: { readonly shard: Shard; readonly seq: Seq }[]
  /** The part that was last seen to be wanting. */
  #wanting = 0

  constructor(parts: readonly { readonly shard: Shard; readonly seq: Seq }[]) {
    this.#parts = [...parts]
    for (const { shard, seq } of parts) shard.lead?.openGroups.push({ group: this, seq })
  }

  get parts(): readonly { readonly shard: Shard; readonly seq: Seq }[] {
    return this.#parts
  }

  /** Whether each part may commit, by its shard alone. They were appended in one order everywhere, so none waits in a circle. */
  canCommit(isCurrent: (shard: Shard) => boolean): boolean {
    const canCommitIn = ({ shard, seq }: { readonly shard: Shard; readonly seq: Seq }) =>
      shard.lead?.openGroups[0]?.group === this && shard.lead.committable() >= seq && isCurrent(shard)
    const last = this.#parts[this.#wanting]
    if (last !== undefined && !canCommitIn(last)) return false
    this.#wanting = this.#parts.findIndex(part => !canCommitIn(part))
    return this.#wanting < 0
  }

  /** The shard is lost: what becomes of its part is decided elsewhere. */
  drop(shard: Shard): void {
    const at = this.#parts.findIndex(part => part.shard === shard)
    if (at >= 0) this.#parts.splice(at, 1)
  }
}

/** What the shards that know nothing of a group are to do, given what others remember. */
export type Rest =
  /** Nobody remembers anything, or what is remembered can be done now: every condition of these shards is met. */
  | "as-found"
  /** It was not met, by a step that is remembered: nothing is written. */
  | "nothing"
  /**
   * It was done, or not met, for a reason that held in a shard that has lost it since, and does not hold now. To write over what was
   * written meanwhile would break what is promised of that key alone.
   */
  | "torn"

/** `unmetAt`: the first step of `left` whose condition is not met now. */
export function restOf(remembered: Result | undefined, left: readonly GroupPart[], unmetAt: number | undefined): Rest {
  if (remembered === undefined) return "as-found"
  if (remembered.kind === "group-done") return unmetAt === undefined ? "as-found" : "torn"
  if (remembered.kind !== "group-unmet") return "torn" // the client gave one number to two operations
  if (!left.some(({ places }) => places.includes(remembered.step))) return "nothing"
  return unmetAt === remembered.step ? "as-found" : "torn"
}
