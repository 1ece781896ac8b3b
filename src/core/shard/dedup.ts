/**
 * What a shard remembers of each client's operations, so that a retry is answered instead of executed again (after Lee
 * et al., Implementing Linearizability at Large Scale and Low Latency, 2015). Every replica keeps the same records: they
 * travel with the operation that they belong to, and are undone with it ("Data path").
 */
import type { ClientId, DedupRecord, Result, Seq } from "../../protocol/message.ts"

type Client = {
  low: number
  readonly results: Map<number, { readonly result: Result; readonly seq: Seq }>
  usedAtMs: number
}

export class Dedup {
  /** The client used longest ago comes first. */
  readonly #clients = new Map<ClientId, Client>()
  /** Which comes last. */
  #newest: Client | undefined

  /** What is known of an operation: "below" means finished long ago, as its client said. */
  find(client: ClientId, n: number): "below" | { readonly result: Result; readonly seq: Seq } | undefined {
    const known = this.#clients.get(client)
    if (known === undefined) return undefined
    const found = known.results.get(n)
    if (found !== undefined) return found
    return n < known.low ? "below" : undefined
  }

  knows(client: ClientId): boolean {
    return this.#clients.has(client)
  }

  record(client: ClientId, n: number, result: Result, seq: Seq, nowMs: number): void {
    const known = this.#clients.get(client) ?? { low: 0, results: new Map(), usedAtMs: nowMs }
    known.results.set(n, { result, seq })
    known.usedAtMs = nowMs
    // Mostly one client after another does many: to move it each time would cost more than all the rest.
    if (known === this.#newest) return
    this.#newest = known
    this.#clients.delete(client)
    this.#clients.set(client, known)
  }

  /** Undoes `record`. */
  unrecord(client: ClientId, n: number): void {
    const known = this.#clients.get(client)
    if (known === undefined) return
    known.results.delete(n)
    if (known.results.size === 0 && known.low === 0) this.#clients.delete(client)
  }

  /** A committed operation said that all of its client below are finished; only now is forgetting them certain. */
  finished(client: ClientId, ackedBelow: number): void {
    const known = this.#clients.get(client)
    if (known === undefined || ackedBelow <= known.low) return
    known.low = ackedBelow
    for (const n of known.results.keys()) if (n < ackedBelow) known.results.delete(n)
  }

  /** Returns what was forgotten, to be handed to `restore` if the operation that forgets is undone. */
  forget(client: ClientId): Client | undefined {
    const known = this.#clients.get(client)
    this.#clients.delete(client)
    return known
  }

  restore(client: ClientId, forgotten: Client): void {
    this.#newest = forgotten
    this.#clients.set(client, forgotten)
  }

  /** The client that was used longest ago, if that is before `beforeMs` and nothing of it is above `commit`. */
  idleSince(beforeMs: number, commit: Seq): ClientId | undefined {
    for (const [client, { usedAtMs, results }] of this.#clients) {
      if (usedAtMs >= beforeMs) return undefined
      for (const { seq } of results.values()) if (seq > commit) return undefined
      return client
    }
    return undefined
  }

  /** Of the client of which most is remembered. For checkers. */
  get mostResults(): number {
    let most = 0
    for (const { results } of this.#clients.values()) most = Math.max(most, results.size)
    return most
  }

  get size(): number {
    return this.#clients.size
  }

  clear(): void {
    this.#clients.clear()
  }

  export(nowMs: number): DedupRecord[] {
    return [...this.#clients].map(([client, known]) => recordOf(client, known, Number.POSITIVE_INFINITY, nowMs))
  }

  /** As if nothing after `commit` had happened; `forgotten`: clients that were forgotten since. */
  exportCommitted(commit: Seq, forgotten: Iterable<readonly [ClientId, Client]>, nowMs: number): DedupRecord[] {
    const records = [...forgotten, ...this.#clients].map(([client, known]) => recordOf(client, known, commit, nowMs))
    return records.filter(({ low, results }) => low > 0 || results.length > 0)
  }

  /** `seq`: all of what is imported was applied at or before it. */
  import(records: readonly DedupRecord[], seq: Seq, nowMs: number): void {
    this.#clients.clear()
    this.add(records, seq, nowMs)
  }

  /** The same beside what is there: clients that were used later than those. */
  add(records: readonly DedupRecord[], seq: Seq, nowMs: number): void {
    this.#newest = undefined
    for (const { client, low, idleMs, results } of records)
      this.#clients.set(client, {
        low,
        results: new Map(results.map(([n, result]) => [n, { result, seq }])),
        usedAtMs: nowMs - idleMs,
      })
  }
}

function recordOf(client: ClientId, { low, results, usedAtMs }: Client, upTo: Seq, nowMs: number): DedupRecord {
  const kept = [...results].filter(([, { seq }]) => seq <= upTo)
  return {
    client,
    low,
    idleMs: Math.max(0, nowMs - usedAtMs),
    results: kept.map(([n, { result }]) => [n, result] as const),
  }
}

export type ForgottenClient = Client
