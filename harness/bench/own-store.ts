/** The store of a node, as the benches want it. */
import { ArenaStore, ownedAlone, type Shape, shapeFor } from "../../src/store/arena-store.ts"
import type { Store, StoreOwner } from "../../src/store/store.ts"

/** More than any bench puts into it. */
const roomyBytes = 16 * 2 ** 30

export function roomyStore(): ArenaStore {
  return evictingStore(roomyBytes)
}

export function evictingStore(maxBytes: number): ArenaStore {
  return new ArenaStore({ ...ownedAlone, maxBytes, eviction: "s3fifo" })
}

export type SmallStoreOptions = {
  readonly maxBytes: number
  readonly shape: Shape
  readonly owner: StoreOwner
}

export function smallStore(options: SmallStoreOptions): Store {
  return new ArenaStore({ ...ownedAlone, ...options, eviction: "s3fifo" })
}

const segmentCount = 256
const entriesPerSegment = 4
/** Of keys and values, what the store needs for a record of its own besides. */
const recordOverheadBytes = 24
/** A store has no less. */
const fewestSegments = 16

/**
 * A model of a large store, in proportion: about as many segments as one of 256 MiB has, as long as a few of the largest
 * entries go into each. A node's own smallest segments would make of a cache of a hundred entries two.
 */
export function smallShape(options: { readonly storedBytes: number; readonly entryBytes: number }): Shape {
  const { storedBytes, entryBytes } = options
  const segmentBytes = Math.max(storedBytes / segmentCount, entriesPerSegment * (entryBytes + recordOverheadBytes))
  const shape = shapeFor(storedBytes)
  return { ...shape, segmentBytes: 2 ** Math.floor(Math.log2(segmentBytes)) }
}

/** Below, such a store cannot be made. */
export function smallestLimit({ segmentBytes, partitionBits }: Shape): number {
  return fewestSegments * segmentBytes + 1_024 * 2 ** partitionBits
}
