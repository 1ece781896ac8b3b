/**
 * Goes through all keys of a cluster: each primary is asked for its shards, page after page, and what it cannot answer is asked
 * of whoever leads it by then. Where a walk stands is kept here and nowhere else, so that nodes may come and go meanwhile:
 * a key that stays during the whole walk is met exactly once ("Walks" in `src/core/README.md`). Shared by the client and by
 * the doors of a node, which hand in how they ask.
 */
import { assert } from "../base/assert.ts"
import { arcOf, shardOf, shardOfKey as shardOfKeyIn } from "../core/ring.ts"
import { maxPageEntries } from "../protocol/limits.ts"
import type { PageEntry, Place, ShardId, ShardOperation, ShardResult } from "../protocol/message.ts"
import type { CallOutcome, Failed } from "./call.ts"
import { tagPrefix } from "./tags.ts"

/** Who leads what: of `primaries`, one for each shard, it matters who has the same. */
export type WalkView = {
  readonly epoch: number
  readonly hashKey: readonly [number, number]
  readonly primaries: readonly number[]
}

export type Asking = {
  /** The newest that is known. */
  readonly view: () => WalkView
  readonly ask: (operation: ShardOperation) => Promise<CallOutcome>
}

/** `prefix` empty: all keys but those that begin with a zero byte. */
export type Wanted = { readonly prefix: Uint8Array; readonly want: "keys" | "details" | "values" }

/** What ended a walk. */
export class WalkFailure extends Error {
  override readonly name = "WalkFailure"
  readonly failed: Failed

  constructor(failed: Failed) {
    super(`a walk through the cluster ended: ${failed.code}`)
    this.failed = failed
  }
}

/** A node of another make: the answer does not fit the question. */
export class UnexpectedAnswer extends Error {
  override readonly name = "UnexpectedAnswer"

  constructor(answer: string) {
    super(`answered with ${answer}, which does not fit the question`)
  }
}

/** Most requests under way at once: one for each primary, and a bound for large clusters. */
const mostUnderWay = 16
/** Shards of one primary that are cleared at the same time. */
const shardsAtOnce = 64
/** A page of this many keys says which shards hold something, without carrying much of it. */
const samplesPerLook = 32

/** All keys, in pages and in no particular order. Like all walks it throws a `WalkFailure`, or an `UnexpectedAnswer`. */
export async function* pagesOf(asking: Asking, { prefix, want }: Wanted): AsyncGenerator<readonly PageEntry[]> {
  const pages = walk(asking, async (shards, from) =>
    expected(await asking.ask({ op: "scan", shards, from, prefix, limit: maxPageEntries, want }), "page"),
  )
  for await (const { entries } of pages) if (entries.length > 0) yield entries
}

/** About how much the cluster holds, each entry counted once, however many copies it has. */
export async function sizeOf(asking: Asking): Promise<{ entries: number; bytes: number }> {
  const total = { entries: 0, bytes: 0 }
  const sizes = walk(asking, async shards => expected(await asking.ask({ op: "size", shards }), "size"))
  for await (const { entries, bytes } of sizes) {
    total.entries += entries
    total.bytes += bytes
  }
  return total
}

/**
 * Deletes what is there, where it is, and says how many entries that were: each key at one moment between the call and its
 * end. Every shard is told, also where its primary holds nothing: a copy may remember what the primary has forgotten for want
 * of memory. With everything, the tags go that entries bore.
 */
export async function clear(asking: Asking, prefix: Uint8Array): Promise<number> {
  let count = 0
  const steps = walk(asking, async shards => {
    const some = shards.slice(0, shardsAtOnce)
    const cleared = await Promise.all(some.map(shard => clearShard(asking, shard, prefix)))
    const following = shards[some.length]
    return { next: following === undefined ? null : beginningOf(asking.view(), following), count: sumOf(cleared) }
  })
  for await (const step of steps) count += step.count
  if (prefix.length === 0) await clearFound(asking, tagPrefix)
  return count
}

/** The same for what does no harm where it is remembered: a shard in which nothing is found costs no write. */
async function clearFound(asking: Asking, prefix: Uint8Array): Promise<void> {
  const steps = walk(asking, async (shards, from) => {
    const look = await asking.ask({ op: "scan", shards, from, prefix, limit: samplesPerLook, want: "keys" })
    const { entries, next } = expected(look, "page")
    const held = new Set(entries.map(({ key }) => shardOfKey(asking.view(), key)))
    // The look ended inside this one: there may be more in it.
    if (next !== null && !isBeginning(asking.view(), next)) held.add(shardAt(asking.view(), next))
    await Promise.all([...held].map(shard => clearShard(asking, shard, prefix)))
    return { next: next === null ? null : beginningAfter(asking.view(), shards, next) }
  })
  for await (const _ of steps);
}

async function clearShard(asking: Asking, shard: ShardId, prefix: Uint8Array): Promise<number> {
  let count = 0
  for (let from: Place | null = null; ; ) {
    const cleared: Extract<ShardResult, { kind: "cleared" }> = expected(
      await asking.ask({ op: "clear", shard, from, prefix }),
      "cleared",
    )
    count += cleared.count
    if (cleared.next === null) return count
    from = cleared.next
  }
}

/**
 * About `limit` keys from a place on, in the order of places, and where to go on; null: the end. For walks that somebody else
 * keeps track of, by a number: most places are a position alone, and a page ends in one if it can.
 */
export async function pageFrom(
  asking: Asking,
  from: Place,
  options: Wanted & { readonly limit: number },
): Promise<{ readonly entries: readonly PageEntry[]; readonly next: Place | null }> {
  const { prefix, want, limit } = options
  const entries: PageEntry[] = []
  let place: Place | null = from
  // Twice as many shards each time: one step where they are full, few where most hold nothing.
  for (let width = 1; place !== null && entries.length < limit && width <= mostShardsAhead; width *= 2) {
    const runs = runsFrom(asking.view(), place, width)
    const start: Place = place
    const pages = await Promise.all(
      runs.map(async (shards, i) => {
        const operation: ShardOperation = { op: "scan", shards, from: i === 0 ? start : null, prefix, limit, want }
        return { shards, page: expected(await asking.ask(operation), "page") }
      }),
    )
    place = afterRuns(asking.view(), runs)
    for (const { shards, page } of pages) {
      if (entries.length >= limit) {
        place = beginningOf(asking.view(), shards[0])
        break
      }
      entries.push(...page.entries)
      if (page.next === null) continue
      place = page.next
      break
    }
  }
  return { entries, next: place }
}

const mostShardsAhead = 256

/** So many shards from a place on, those next to each other that one member leads as one list. */
function runsFrom({ primaries }: WalkView, place: Place, width: number): ShardId[][] {
  const first = shardOf(place.position, primaries.length)
  const runs: ShardId[][] = []
  for (let shard = first; shard < Math.min(primaries.length, first + width); shard++) {
    const run = runs.at(-1)
    if (run !== undefined && primaries[shard] === primaries[shard - 1]) run.push(shard)
    else runs.push([shard])
  }
  return runs
}

function afterRuns(view: WalkView, runs: readonly (readonly ShardId[])[]): Place | null {
  const last = runs.at(-1)?.at(-1)
  return last === undefined || last + 1 >= view.primaries.length ? null : beginningOf(view, last + 1)
}

// ---------------------------------------------------------------------------------------------------- all of them

type Step = { readonly next: Place | null }
type Errand = { readonly leader: number; readonly shards: readonly ShardId[] }
/** A promise that is not waited for yet must not reject: nobody would hear it. */
type Told<S> =
  | { readonly kind: "told"; readonly errand: Errand; readonly step: S }
  | { readonly kind: "failed"; readonly errand: Errand; readonly error: unknown }

/** Asks for all shards, every primary for its own at the same time, and again for what is left. */
async function* walk<S extends Step>(
  asking: Asking,
  ask: (shards: readonly ShardId[], from: Place | null) => Promise<S>,
): AsyncGenerator<S> {
  const left = new ShardsLeft(asking.view())
  const underWay = new Map<number, Promise<Told<S>>>()
  const begin = () => {
    while (underWay.size < mostUnderWay) {
      const errand = left.take(asking.view(), leader => underWay.has(leader))
      if (errand === undefined) return
      underWay.set(
        errand.leader,
        ask(errand.shards, errand.from).then(
          step => ({ kind: "told", errand, step }),
          (error: unknown) => ({ kind: "failed", errand, error }),
        ),
      )
    }
  }
  for (begin(); underWay.size > 0; ) {
    const told = await Promise.race(underWay.values())
    underWay.delete(told.errand.leader)
    if (told.kind === "failed") throw told.error
    left.putBack(told.errand, told.step.next, asking.view())
    // Before this step is handed out: the next is on its way while its reader works.
    begin()
    yield told.step
  }
}

/** The shards that are not done and that nobody was sent for, by who leads them; and where those stand that were begun. */
class ShardsLeft {
  #byLeader = new Map<number, ShardId[]>()
  #epoch: number
  readonly #begun = new Map<ShardId, Place>()

  constructor(view: WalkView) {
    this.#epoch = view.epoch
    for (let shard = 0; shard < view.primaries.length; shard++) this.#add(shard, view)
  }

  /** All that can be asked of one leader by one request. */
  take(view: WalkView, isBusy: (leader: number) => boolean): (Errand & { from: Place | null }) | undefined {
    this.#regroup(view)
    for (const [leader, shards] of this.#byLeader) {
      const first = shards[0]
      if (first === undefined || isBusy(leader)) continue
      // One that was begun can only come first.
      const end = shards.findIndex((shard, i) => i > 0 && this.#begun.has(shard))
      const taken = shards.splice(0, end < 0 ? shards.length : end)
      const from = this.#begun.get(first) ?? null
      this.#begun.delete(first)
      return { leader, shards: taken, from }
    }
    return undefined
  }

  putBack({ shards }: Errand, next: Place | null, view: WalkView): void {
    if (next === null) return
    const first = shardAt(view, next)
    const at = shards.indexOf(first)
    if (at < 0) throw new UnexpectedAnswer("a place outside of what was asked for")
    if (!isBeginning(view, next)) this.#begun.set(first, next)
    this.#regroup(view)
    // In front of what came back earlier: the order is that of the ring as far as it can be.
    for (const shard of shards.slice(at)) this.#add(shard, view)
  }

  #add(shard: ShardId, view: WalkView): void {
    const leader = view.primaries[shard] ?? -1
    const shards = this.#byLeader.get(leader)
    if (shards === undefined) this.#byLeader.set(leader, [shard])
    else shards.push(shard)
  }

  #regroup(view: WalkView): void {
    if (view.epoch === this.#epoch) return
    this.#epoch = view.epoch
    const shards = [...this.#byLeader.values()].flat()
    this.#byLeader = new Map()
    for (const shard of shards) this.#add(shard, view)
  }
}

// --------------------------------------------------------------------------------------------------------- places

function shardAt({ primaries }: WalkView, { position }: Place): ShardId {
  return shardOf(position, primaries.length)
}

function shardOfKey({ hashKey, primaries }: WalkView, key: Uint8Array): ShardId {
  return shardOfKeyIn(key, { hashKey, shardCount: primaries.length })
}

function beginningOf({ primaries }: WalkView, shard: ShardId | undefined): Place {
  assert(shard !== undefined, "a list of shards is not empty")
  return { position: arcOf(shard, primaries.length).from, after: null }
}

function isBeginning(view: WalkView, place: Place): boolean {
  return place.after === null && place.position === beginningOf(view, shardAt(view, place)).position
}

/** The shard that the place lies in is done, unless the place is its beginning; null: it was the last. */
function beginningAfter(view: WalkView, shards: readonly ShardId[], place: Place): Place | null {
  if (isBeginning(view, place)) return place
  const following = shards[shards.indexOf(shardAt(view, place)) + 1]
  return following === undefined ? null : beginningOf(view, following)
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0)
}

function expected<K extends ShardResult["kind"]>(outcome: CallOutcome, kind: K): Extract<ShardResult, { kind: K }> {
  if (outcome.kind === "failed") throw new WalkFailure(outcome)
  if (outcome.kind !== kind) throw new UnexpectedAnswer(`"${outcome.kind}"`)
  return outcome as Extract<ShardResult, { kind: K }> // of this kind
}
