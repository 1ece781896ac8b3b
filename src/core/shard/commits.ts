/**
 * The order of operations in the shards that are led here: puts them into it, and commits what everyone required has
 * acknowledged, a group in all its shards in one step. Whoever waits for one is answered then. Does not know what an
 * operation does, nor whose acknowledgements it takes (`lead.ts`).
 */
import { assert } from "../../base/assert.ts"
import type { ReplicatedOp, Reply, Seq } from "../../protocol/message.ts"
import type { HashedKey } from "../../store/store.ts"
import type { Pending } from "../requests.ts"
import type { Shard } from "./shard.ts"
import type { Waiting } from "./waiting.ts"

export type CommitsOptions = {
  readonly waiting: Pick<Waiting, "unpark">
  /** Whether this node may commit anything now. */
  readonly mayCommit: (nowMs: number) => boolean
  /** Whether the shard is as the present view says. */
  readonly isCurrent: (shard: Shard) => boolean
  readonly answer: (pending: Pending, reply: Reply) => void
  /** Takes an operation up again from its beginning. */
  readonly rerun: (pending: Pending, nowMs: number) => void
}

export class Commits {
  readonly #options: CommitsOptions
  readonly #active = new Set<Shard>()

  constructor(options: CommitsOptions) {
    this.#options = options
  }

  /** Shards led here in which something is under way. */
  get active(): ReadonlySet<Shard> {
    return this.#active
  }

  /** From here on the shard is looked at with each tick, until nothing is under way in it. */
  watch(shard: Shard): void {
    this.#active.add(shard)
  }

  unwatch(shard: Shard): void {
    this.#active.delete(shard)
  }

  /** Puts an operation into the shard's order. `waiter` is answered when it has committed, or taken up again. */
  append(shard: Shard, op: ReplicatedOp, key: HashedKey, waiter: Pending | undefined, nowMs: number): void {
    assert(shard.lead !== null, "only a primary orders operations")
    const record = shard.apply(op, key, nowMs)
    if (waiter !== undefined) record.waiters.push(waiter)
    this.appended(shard, nowMs)
  }

  /** The shard has applied operations of its own. */
  appended(shard: Shard, nowMs: number): void {
    this.#send(shard, nowMs)
    this.tryCommit(shard, nowMs)
  }

  /** Each of these shards has applied its part of one group. */
  appendedTogether(shards: readonly Shard[], nowMs: number): void {
    // Nothing commits before each part is on its way to all that it must reach, and nothing else is done before that.
    const freed: Pending[] = []
    for (const shard of shards) this.#send(shard, nowMs)
    for (const shard of shards) this.#commit(shard, freed, nowMs)
    for (const pending of freed) this.#options.rerun(pending, nowMs)
  }

  /** Something that the shard's next operation waited for may have come. */
  tryCommit(shard: Shard, nowMs: number): void {
    const freed: Pending[] = []
    this.#commit(shard, freed, nowMs)
    for (const pending of freed) this.#options.rerun(pending, nowMs)
  }

  tryCommitAll(nowMs: number): void {
    for (const shard of this.#active) this.tryCommit(shard, nowMs)
  }

  tick(nowMs: number): void {
    for (const shard of this.#active) {
      this.tryCommit(shard, nowMs)
      if (shard.lead === null || (shard.lead.tick(nowMs) === "idle" && shard.log.length === 0))
        this.#active.delete(shard)
    }
  }

  #send(shard: Shard, nowMs: number): void {
    shard.lead?.appended(nowMs)
    this.#active.add(shard)
  }

  /** Commits what everyone required has acknowledged, and answers it. `freed`: what is to be taken up again. */
  #commit(shard: Shard, freed: Pending[], nowMs: number): void {
    const { lead } = shard
    if (lead === null || !this.#options.mayCommit(nowMs)) return
    if (lead.openGroups.length === 0) this.#commitTo(shard, lead.committable(), freed, nowMs)
    else this.#commitGroups(shard, freed, nowMs)
  }

  /** The same where operations commit together with others in other shards. What these held up there may follow, and so on. */
  #commitGroups(asked: Shard, freed: Pending[], nowMs: number): void {
    const shards = [asked]
    for (const shard of shards)
      for (;;) {
        const { lead } = shard
        if (lead === null) break
        const seq = lead.committable()
        const [first] = lead.openGroups
        // A view is taken up shard by shard: one that has not been yet waits.
        if (first === undefined || first.seq > seq || !first.group.canCommit(this.#options.isCurrent)) {
          this.#commitTo(shard, Math.min(seq, (first?.seq ?? Number.POSITIVE_INFINITY) - 1), freed, nowMs)
          break
        }
        for (const part of first.group.parts) {
          part.shard.lead?.openGroups.shift()
          this.#commitTo(part.shard, part.seq, freed, nowMs)
          if (part.shard !== shard) shards.push(part.shard)
        }
      }
  }

  #commitTo(shard: Shard, seq: Seq, freed: Pending[], nowMs: number): void {
    if (seq <= shard.commit) return
    const done = shard.commitTo(seq)
    shard.lead?.committed(nowMs)
    for (const { op, waiters } of done)
      for (const pending of waiters)
        if (op.origin === null || op.result === null || pending.isInParts) freed.push(pending)
        else this.#options.answer(pending, op.result)
    this.#options.waiting.unpark(shard, freed)
  }
}
