/**
 * Executes operations of several keys, in one shard or in several of one primary: all conditions are judged before anything
 * is written, and a part that is known already is not done again ("Groups"). When the parts commit is for `commits.ts`.
 */
import { assert } from "../../base/assert.ts"
import { copyOf } from "../../base/bytes.ts"
import type { Config } from "../../config.ts"
import { maxGroupBytes, maxGroupFoundBytes } from "../../protocol/limits.ts"
import type { GroupOperation, GroupResult, GroupStep, GroupWrite, Reply, Result, Seq } from "../../protocol/message.ts"
import type { Entry, HashedKey } from "../../store/store.ts"
import type { Pending } from "../requests.ts"
import type { Rules } from "../rules.ts"
import type { Commits } from "./commits.ts"
import { type GroupPart, groupPartsOf, OpenGroup, restOf } from "./groups.ts"
import { foundBy } from "./key-operations.ts"
import { bytesAddedByGroup, bytesWritten, evaluateGroup, hasExpired } from "./operations.ts"
import type { LogRecord, Shard } from "./shard.ts"
import { join, standingOf } from "./standing.ts"
import { busyRetryMs, type Waiting } from "./waiting.ts"

export type GroupOperationsOptions = {
  readonly config: Config
  readonly rules: Rules
  readonly commits: Pick<Commits, "append" | "appendedTogether">
  readonly waiting: Pick<Waiting, "park">
  readonly hashed: (key: Uint8Array) => HashedKey
  readonly shardAt: (position: number) => Shard | undefined
  readonly serves: (shard: Shard, nowMs: number) => boolean
  /** Whether so many bytes more have room with all who hold the shard. */
  readonly fits: (shard: Shard, bytes: number, nowMs: number) => boolean
  /** An entry is removed because its time was over. */
  readonly countExpired: () => void
  readonly answer: (pending: Pending, reply: Reply) => void
}

/** What is there of the keys of a group, by their places. */
type Found = readonly (Entry | undefined)[]

/** What the steps of a group write, and the first whose condition is not met, by their places. */
type Judged = { readonly writes: readonly (GroupWrite | undefined)[]; readonly unmetAt: number | undefined }

export class GroupOperations {
  readonly #options: GroupOperationsOptions

  constructor(options: GroupOperationsOptions) {
    this.#options = options
  }

  /** In this very step, where this node alone holds all the shards, or not at all: `undefined`. */
  executeNow(asked: Shard, { steps }: GroupOperation, nowMs: number): Result | undefined {
    const { hashed, rules, serves, shardAt } = this.#options
    const keys = steps.map(({ key }) => hashed(key))
    const parts = groupPartsOf(keys, shardAt)
    const isRight = ({ shard }: GroupPart) => serves(shard, nowMs) && (shard.isAlone || !rules.aloneAtOnce)
    if (parts === undefined || !parts.every(isRight)) return undefined
    if (!this.#fits(steps, parts, nowMs)) return undefined
    const found = this.#find(keys, parts)
    if (found === undefined || found.some(entry => isOver(entry, nowMs))) return undefined
    const judged = this.#judge(steps, found, parts, nowMs)
    if (bytesWritten(judged.writes) > maxGroupBytes) return undefined
    for (const { shard, places } of parts) shard.applyAlone(keyedWrites(keys, judged, places), nowMs)
    return resultOf(judged.unmetAt, asked.seq)
  }

  /**
   * Several keys in one step: one operation in the order of their shard, so that no copy ever has a part of it. Where they lie in
   * several shards it is one in each, appended together.
   */
  execute({ steps }: GroupOperation, pending: Pending, nowMs: number): void {
    const { answer, commits, config, countExpired, hashed, rules, serves, shardAt } = this.#options
    const keys = steps.map(({ key }) => hashed(copyOf(key)))
    const parts = groupPartsOf(keys, shardAt)
    // A view that names this node the primary of all of them is being taken up.
    if (parts === undefined) return answer(pending, { kind: "busy", retryAfterMs: busyRetryMs })
    const late = parts.find(({ shard }) => !serves(shard, nowMs))
    if (late !== undefined) return this.#options.waiting.park(late.shard, pending, nowMs)
    const standings = parts.map(({ shard }) => standingOf(shard, pending, this.#options))
    const known = standings.filter(standing => standing.kind === "known")
    const left = parts.filter((_, i) => standings[i]?.kind === "new")
    if (known.length > 0 && parts.length > 1) pending.mayBeDone = true
    const refused = standings.find(standing => standing.kind === "refused")
    if (refused !== undefined) return answer(pending, refused.reply)
    const remembered = known[0]
    // Two executions under one number, each of which has lost a part since: neither answer is true of the whole.
    if (known.some(({ result }) => result.kind !== remembered?.result.kind)) return answer(pending, { kind: "timeout" })
    if (remembered !== undefined && (left.length === 0 || !rules.groupsAreFinished)) {
      // They were appended in this order, and so the last is likely to be the last to commit.
      const open = known.findLast(standing => standing.open !== undefined)?.open
      if (open !== undefined) return this.#await(open, parts, pending)
      const asked = shardAt(hashed(pending.request.key).position)
      const own = standings[parts.findIndex(({ shard }) => shard === asked)]
      return answer(pending, own?.kind === "known" ? own.result : remembered.result)
    }
    const isCrowded = ({ shard, places }: GroupPart) =>
      places.some(place => shard.pendingOf(placed(keys, place)) >= config.maxPendingPerKey)
    if (left.some(isCrowded)) return answer(pending, { kind: "busy", retryAfterMs: busyRetryMs })
    if (!this.#fits(steps, left, nowMs)) return answer(pending, { kind: "full" })
    const found = this.#find(keys, left)
    if (found === undefined) return answer(pending, tooLarge)
    const { writes, unmetAt } = this.#judge(steps, found, left, nowMs)
    const rest = restOf(remembered?.result, left, unmetAt)
    if (rest === "torn") return answer(pending, { kind: "timeout" })
    // Larger than what was asked by what it touches; it could not be sent to a copy.
    if (bytesWritten(writes) > maxGroupBytes) return answer(pending, tooLarge)
    for (const entry of found) if (isOver(entry, nowMs)) countExpired()
    const unmet = remembered?.result.kind === "group-unmet" ? remembered.result : undefined
    const records = left.map(part => {
      const result = unmet ?? resultOf(unmetAt, part.shard.seq + 1)
      return this.#applyPart(part, rest === "nothing" ? [] : writes, result, pending, nowMs)
    })
    const last = records.at(-1)
    assert(last !== undefined, "a group has a step")
    if (left.length > 1 && rules.groupsShowAtOnce) new OpenGroup(left.map(({ shard }) => ({ shard, seq: shard.seq })))
    this.#await(last, parts, pending)
    commits.appendedTogether(
      left.map(({ shard }) => shard),
      nowMs,
    )
  }

  /** Its answer leaves when this record has committed; where others have a part of it, they are looked at again then. */
  #await(record: LogRecord, parts: readonly GroupPart[], pending: Pending): void {
    join(record, pending, this.#options.answer)
    if (parts.length === 1) return
    pending.isInParts = true
    pending.mayBeDone = true
  }

  /** What is there of the keys of these parts, each at its place; undefined: more than is held in one step. */
  #find(keys: readonly HashedKey[], parts: readonly GroupPart[]): Found | undefined {
    const found: (Entry | undefined)[] = new Array(keys.length).fill(undefined)
    let bytes = 0
    for (const { shard, places } of parts)
      for (const place of places) {
        const entry = foundBy(shard, placed(keys, place), this.#options.rules)
        bytes += entry?.value.length ?? 0
        if (bytes > maxGroupFoundBytes) return undefined
        found[place] = entry
      }
    return found
  }

  /**
   * What the steps of these parts do, each at its place. The conditions of all of them are judged before anything is written.
   * What has expired counts as missing, and so is deleted, or written over.
   */
  #judge(steps: readonly GroupStep[], found: Found, parts: readonly GroupPart[], nowMs: number): Judged {
    const { rules } = this.#options
    const writes: (GroupWrite | undefined)[] = []
    const unmet: number[] = []
    for (const some of rules.groupsInOneStep ? [parts] : parts.map(part => [part])) {
      const judged = some.flatMap(({ places }) => places).sort((a, b) => a - b)
      const entries = judged.map(place => (isOver(found[place], nowMs) ? undefined : found[place]))
      const evaluated = evaluateGroup({ steps: judged.map(place => placed(steps, place)), entries, nowMs, rules })
      for (const [i, place] of judged.entries()) writes[place] = evaluated.writes[i]
      if (evaluated.unmetAt !== undefined) unmet.push(placed(judged, evaluated.unmetAt))
    }
    return { writes, unmetAt: unmet.length === 0 ? undefined : Math.min(...unmet) }
  }

  #applyPart(
    { shard, places }: GroupPart,
    all: Judged["writes"],
    result: GroupResult,
    { request }: Pending,
    nowMs: number,
  ): LogRecord {
    const writes = places.flatMap(place => all[place] ?? [])
    const { clientId, n, ackedBelow } = request
    const origin = { client: clientId, n, ackedBelow }
    const key: HashedKey = { bytes: new Uint8Array(0), position: shard.arc.from }
    const { groupsAreOne } = this.#options.rules
    if (!groupsAreOne) this.#appendEach(shard, writes, nowMs)
    const effect = { kind: "group", writes: groupsAreOne ? writes : [] } as const
    return shard.apply({ seq: shard.seq + 1, key: key.bytes, effect, origin, result }, key, nowMs)
  }

  /** Each shard of them by itself would hold all of it. */
  #fits(steps: readonly GroupStep[], parts: readonly GroupPart[], nowMs: number): boolean {
    const added = bytesAddedByGroup(steps)
    return added === 0 || parts.every(({ shard }) => this.#options.fits(shard, added, nowMs))
  }

  /** As a group must not be written: in parts. */
  #appendEach(shard: Shard, writes: readonly GroupWrite[], nowMs: number): void {
    for (const { key, effect } of writes)
      this.#options.commits.append(
        ...([shard, { seq: shard.seq + 1, key, effect, origin: null, result: null }] as const),
        ...([this.#options.hashed(key), undefined, nowMs] as const),
      )
  }
}

const tooLarge = { kind: "rejected", reason: "group-too-large" } as const

function isOver(entry: Entry | undefined, nowMs: number): boolean {
  return entry !== undefined && hasExpired(entry, nowMs)
}

function resultOf(unmetAt: number | undefined, version: Seq): GroupResult {
  return unmetAt === undefined ? { kind: "group-done", version } : { kind: "group-unmet", step: unmetAt }
}

function placed<T>(all: readonly T[], place: number): T {
  return all[place] as T // places are those of the steps
}

function keyedWrites(keys: readonly HashedKey[], { writes }: Judged, places: readonly number[]) {
  return places.flatMap(place => {
    const write = writes[place]
    return write === undefined ? [] : [{ key: placed(keys, place), effect: write.effect }]
  })
}
