/** The store of a node, as the benches want it. */
import { ArenaStore } from "../../src/store/arena-store.ts"
import type { Store, StoreOwner } from "../../src/store/store.ts"

const onlyOwner: StoreOwner = { isLed: () => true, mayDrop: () => true, dropped: () => {} }

/** More than any bench puts into it. */
const roomyBytes = 16 * 2 ** 30

export function evictingStore({ maxBytes, owner = onlyOwner }: { maxBytes: number; owner?: StoreOwner }): Store {
  return new ArenaStore({ maxBytes, owner, eviction: "s3fifo", copiesShare: 0 })
}

export function roomyStore(): Store {
  return evictingStore({ maxBytes: roomyBytes })
}
