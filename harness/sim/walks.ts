/**
 * Clients that list all keys, or clear them, while the rest goes on. Every page of a listing is a read of each key that lies
 * in its range, found or not, and a clearing is a deletion of every key: so the history says what they may be told.
 */
import type { CallOutcome } from "../../src/client/session.ts"
import type { Operation, Place, ShardId, ShardOperation } from "../../src/protocol/message.ts"
import type { SimulatedClient } from "./client.ts"
import type { SimulatedCluster } from "./cluster.ts"
import { type OpenRecord, textOf } from "./recorder.ts"

type Page = Extract<CallOutcome, { kind: "page" }>

const everyKey = new Uint8Array(0)
const timeoutMs = 5_000
/** So few that a shard takes several pages. */
const pageLimit = 2
/** Lanes of a client above those of its workload. */
const firstLane = 50

export class Walks {
  readonly #cluster: SimulatedCluster
  readonly #keys: readonly string[]
  /** Of what expires by the clock of one node a miss says nothing of what the next will say. */
  #isOver = false
  readonly #mayExpire: (key: string) => boolean
  /** Keys that a listing found, and entries that a clearing deleted. */
  found = 0
  cleared = 0

  constructor(options: { cluster: SimulatedCluster; keys: readonly string[]; mayExpire: (key: string) => boolean }) {
    this.#cluster = options.cluster
    this.#keys = options.keys
    this.#mayExpire = options.mayExpire
  }

  /** Lists everything, shard after shard. */
  list(client: SimulatedClient, done: () => void = () => {}): void {
    this.#eachShard((shard, next) => this.#listShard(client, shard, null, next), done)
  }

  #listShard(client: SimulatedClient, shard: ShardId, from: Place | null, done: () => void): void {
    const operation: Operation = {
      ...{ op: "scan", shards: [shard], from, prefix: everyKey, limit: pageLimit, want: "values" },
    }
    const records = new Map(this.#keysOf(shard, from).map((key, i) => [key, this.#begin(client, key, i, "get")]))
    client.ask({ key: "", operation, meaning: null }, { timeoutMs }, outcome => {
      for (const [key, record] of records) this.#recordRead(key, record, outcome)
      const next = outcome.kind === "page" ? outcome.next : null
      if (next === null) done()
      else this.#listShard(client, shard, next, done)
    })
  }

  #recordRead(key: string, record: OpenRecord, outcome: CallOutcome): void {
    const { recorder } = this.#cluster
    if (outcome.kind !== "page") return recorder.abandon(record)
    const found = outcome.entries.find(entry => textOf(entry.key) === key)
    if (found?.value != null) {
      this.found += 1
      recorder.end(record, { kind: "value", value: found.value, flags: 0, version: 0 })
    } else if (isBehind(outcome, this.#position(key)) && !this.#mayExpire(key))
      recorder.end(record, { kind: "missing" })
    else recorder.abandon(record)
  }

  /** Those under way ask of no further shard: one that is an orphan keeps each of them waiting for seconds. */
  stop(): void {
    this.#isOver = true
  }

  /** Deletes everything, shard after shard. */
  clear(client: SimulatedClient, done: () => void = () => {}): void {
    this.#cluster.wasCleared = true
    this.#eachShard((shard, next) => {
      const records = this.#keysOf(shard, null).map((key, i) => this.#begin(client, key, i, "delete"))
      const operation: Extract<ShardOperation, { op: "clear" }> = { op: "clear", shard, from: null, prefix: everyKey }
      this.#clearPiece(client, operation, outcome => {
        for (const record of records) this.#cluster.recorder.end(record, outcome)
        next()
      })
    }, done)
  }

  #clearPiece(
    client: SimulatedClient,
    operation: Extract<ShardOperation, { op: "clear" }>,
    done: (outcome: CallOutcome) => void,
  ): void {
    client.ask({ key: "", operation, meaning: null }, { timeoutMs }, outcome => {
      if (outcome.kind === "cleared") this.cleared += outcome.count
      if (outcome.kind === "cleared" && outcome.next !== null)
        this.#clearPiece(client, { ...operation, from: outcome.next }, done)
      // Of several pieces some may be done, whatever is said of the last.
      else done(outcome.kind === "failed" ? { ...outcome, mayHaveHappened: "unknown" } : outcome)
    })
  }

  #eachShard(walk: (shard: ShardId, next: () => void) => void, done: () => void): void {
    const { shardCount } = this.#cluster.config
    const from = (shard: ShardId) => {
      if (shard === shardCount || this.#isOver) done()
      else walk(shard, () => from(shard + 1))
    }
    from(0)
  }

  #begin(client: SimulatedClient, key: string, index: number, op: "get" | "delete"): OpenRecord {
    return this.#cluster.recorder.begin(client.number * 100 + firstLane + index, key, { op })
  }

  #keysOf(shard: ShardId, from: Place | null): string[] {
    return this.#keys.filter(
      key => this.#cluster.shardOf(key) === shard && (from === null || this.#position(key) >= from.position),
    )
  }

  #position(key: string): number {
    return this.#cluster.positionOf(key)
  }
}

function isBehind({ next }: Page, position: number): boolean {
  return next === null || position < next.position
}
