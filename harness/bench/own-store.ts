/** The store of a node, as the benches want it. */
import { MapStore } from "../../src/store/map-store.ts"
import type { Store, StoreOwner } from "../../src/store/store.ts"

const onlyOwner: StoreOwner = { isLed: () => true, mayDrop: () => true, dropped: () => {} }

export function evictingStore({ maxBytes, owner = onlyOwner }: { maxBytes: number; owner?: StoreOwner }): Store {
  return new MapStore({ maxBytes, owner, eviction: "s3fifo", copiesShare: 0 })
}
