/**
 * The interface of a node's memory: entries by key, on a ring of positions, with versions and expiry. Knows nothing of
 * clusters. The owner decides what an entry means: `get` and `sweep` report what has expired and drop nothing by
 * themselves; what is dropped for want of memory is asked for first and told afterwards (`README.md` beside this file).
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

/**
 * Where a scan goes on: the first position that it has not visited. A number that means the same to every store of the
 * cluster and in every process, so that a scan may go on elsewhere, and later.
 */
export type Cursor = number

/** Key and entry are copies. The visitor changes nothing. */
export type Visit = (key: Uint8Array, position: number, entry: Entry) => void
/** The key is a copy. The visitor may delete entries, the nominated one as well, and nothing else. */
export type Nominate = (key: Uint8Array, position: number, version: number) => void

/** What is forgotten when memory ends: entries by S3-FIFO or by age of use, or nothing (then writes do not fit). */
export type Eviction = "s3fifo" | "lru" | "none"

/**
 * Whom a store asks and tells when it wants memory back. Called in the middle of a store's own step: none of these may
 * call the store. Keys are windows, valid during the call alone.
 */
export interface StoreOwner {
  /**
   * Whether entries at this position are used here. Others are copies kept for somebody else: they have no uses by which to
   * judge them, and go when the owner says so (`forget`), or oldest first when they take more than their share.
   */
  isLed(position: number): boolean
  /** Whether the entry may go now. Not while it is uncommitted. */
  mayDrop(key: Uint8Array, position: number): boolean
  /** It is gone. `isCopy`: one of somebody else's, for want of memory here. */
  dropped(key: Uint8Array, position: number, version: number, isCopy: boolean): void
}

export type StoreOptions = {
  /** Most bytes that the store may take, everything counted. With eviction it holds at any time; with "none" it is the owner's part to ask `fits`. */
  readonly maxBytes: number
  readonly eviction: Eviction
  /** Of `maxBytes`, the part that copies (see `isLed`) may keep when the rest is wanted. 0 to 1. */
  readonly copiesShare: number
  readonly owner: StoreOwner
}

/** Counts since the store was made. */
export type StoreCounts = {
  /** Entries forgotten for want of memory that were used here. */
  readonly evicted: number
  /** And copies kept for others. Above 0: this node has less memory than what it backs. */
  readonly evictedCopies: number
}

export interface Store {
  /** The entry, also when it has expired; counts as a use. */
  get(key: HashedKey): Entry | undefined
  /** Replaces the entry. Copies the key; may keep `entry.value` as given: hand in an own copy. What does not `fit` at all is forgotten. */
  set(key: HashedKey, entry: Entry): void
  /** Returns whether it was there. */
  delete(key: HashedKey): boolean
  /** Drops the entry if it still has this version: its user has forgotten it. Returns whether it was there. */
  forget(key: HashedKey, version: number): boolean
  /** Whether so many more bytes of key and value find room without forgetting anything; with eviction, whether one entry may have so many. */
  fits(bytes: number): boolean
  /** About how many more bytes `fits` would say yes to. */
  readonly headroomBytes: number
  /**
   * Visits entries of the arc in the order of their positions, about `budgetBytes` of them (at least one), and says where to go
   * on; undefined: the end. Entries of one position are in any order and are never divided between two steps. So what is there
   * during the whole scan is visited exactly once, changed or not.
   */
  scan(arc: Arc, cursor: Cursor | undefined, budgetBytes: number, visit: Visit): Cursor | undefined
  /** Forgets up to `limit` entries of the arc, in the order of their positions, without telling the owner. Returns whether there may be more. */
  dropArc(arc: Arc, limit: number): boolean
  /** Nominates up to `limit` entries that have expired, found by looking at a bounded number of entries. */
  sweep(nowMs: number, limit: number, visit: Nominate): void
  /** Does up to about `budgetBytes` of the tidying that would otherwise fall to the next writes. */
  tidy(budgetBytes: number): void
  /** Entries and bytes held in the arc. */
  countArc(arc: Arc): { entries: number; bytes: number }
  /** A number equal for equal sets of (key, version) in the arc; of unequal ones almost never. */
  digestArc(arc: Arc): number
  /** Entries held, and bytes that they take with their keys and what the store adds to them. */
  readonly entries: number
  readonly bytes: number
  readonly counts: StoreCounts
}
