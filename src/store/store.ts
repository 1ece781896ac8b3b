/**
 * The interface of a node's memory: entries by key, on a ring of positions, with versions and expiry. Knows nothing of
 * clusters. The owner decides what an entry means: `get` and `sweep` report what has expired and drop nothing by
 * themselves (`README.md` beside this file).
 */

/** A key and its place on the ring. Computed once per request; the bytes are never kept without a copy. */
export type HashedKey = {
  readonly bytes: Uint8Array
  /** Position on the ring: the high 32 bits of the keyed hash. Unsigned. */
  readonly position: number
}

export type Entry = {
  /** Own copy; not to be written to. */
  readonly value: Uint8Array
  readonly flags: number
  /** Given by the owner; below 2^48. */
  readonly version: number
  /** On the clock of the owner, in ms; Infinity: never. */
  readonly expiresAtMs: number
}

/** A half-open arc of positions, `[from, to)`, 0 <= from < to <= 2^32. */
export type Arc = { readonly from: number; readonly to: number }

/** Where a scan goes on. Opaque, owned by the store that made it; valid through any change between two steps. */
export type Cursor = { readonly opaque: unknown }

export type Visit = (key: Uint8Array, position: number, entry: Entry) => void

export interface Store {
  /** The entry, also when it has expired. */
  get(key: HashedKey): Entry | undefined
  /** Replaces the entry. Copies the key; keeps `entry.value` as given: hand in an own copy. */
  set(key: HashedKey, entry: Entry): void
  /** Returns whether it was there. */
  delete(key: HashedKey): boolean
  /**
   * Visits entries of the arc, about `budgetBytes` of them (at least one), and says where to go on; undefined: the end.
   * An entry that is there during the whole scan is visited; one that moves or changes may be visited twice.
   */
  scan(arc: Arc, cursor: Cursor | undefined, budgetBytes: number, visit: Visit): Cursor | undefined
  /** Forgets every entry of the arc. */
  dropArc(arc: Arc): void
  /** Nominates up to `limit` entries that have expired, found by looking at a bounded number of entries. */
  sweep(nowMs: number, limit: number, visit: Visit): void
  /** Entries and bytes held in the arc. */
  countArc(arc: Arc): { entries: number; bytes: number }
  /** Entries held, and bytes that they take with their keys and what the store adds to them. */
  readonly entries: number
  readonly bytes: number
}
