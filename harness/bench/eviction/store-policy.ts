/**
 * The real store as a policy among others. Its limit is in bytes and covers all that it needs besides keys and values, so
 * the limit is looked for with which it holds the entries that the others hold: what is compared is the choice of victims.
 */
import { hashKeyPosition, type HashKey } from "../../../src/base/hash.ts"
import type { HashedKey, Store } from "../../../src/store/store.ts"
import { type SmallStoreOptions, smallestLimit, smallShape } from "../own-store.ts"
import type { Policy, PolicyOptions } from "./policy.ts"

export type MakeStore = (options: SmallStoreOptions) => Store

const hashKey: HashKey = [0x5eed, 0xcafe]
const keyBytes = 16

export class StorePolicy implements Policy {
  readonly #store: Store
  readonly #sizes: Uint32Array
  readonly #key = new Uint8Array(keyBytes)
  readonly #keyWords = new DataView(this.#key.buffer)
  #held = 0

  constructor(options: { make: MakeStore; maxBytes: number; capacity: number; sizes: Uint32Array }) {
    const { make, maxBytes, capacity, sizes } = options
    this.#sizes = sizes
    const dropped = (key: Uint8Array) => {
      this.#held -= this.#sizeOf(new DataView(key.buffer, key.byteOffset).getUint32(0))
    }
    const shape = shapeOf({ capacity, sizes })
    this.#store = make({ maxBytes, shape, owner: { isLed: () => true, mayDrop: () => true, dropped } })
  }

  /** In the unit of the sizes: keys and values, without what the store adds. */
  get held(): number {
    return this.#held
  }

  request(key: number): boolean {
    const hashed = this.#hashed(key)
    if (this.#store.get(hashed) !== undefined) return true
    const size = this.#sizeOf(key)
    const value = new Uint8Array(size - keyBytes)
    // Before the set, which may drop others and, where it must, this one.
    this.#held += size
    this.#store.set(hashed, { value, flags: 0, version: 1, expiresAtMs: Number.POSITIVE_INFINITY })
    return false
  }

  #hashed(key: number): HashedKey {
    this.#keyWords.setUint32(0, key)
    return { bytes: this.#key, position: hashKeyPosition(this.#key, hashKey) }
  }

  /** Keys beyond the last have the sizes of the first again. */
  #sizeOf(key: number): number {
    return this.#sizes[key % this.#sizes.length] as number // within bounds
  }
}

function shapeOf({ capacity, sizes }: PolicyOptions): SmallStoreOptions["shape"] {
  return smallShape({ storedBytes: capacity, entryBytes: sizes.reduce((most, size) => Math.max(most, size), 0) })
}

/** So near to the capacity is near enough. */
const precision = 0.002

/** The largest limit with which the store, full of what nobody asks for again, holds no more than the capacity. */
export function limitHolding({ capacity, sizes }: PolicyOptions, make: MakeStore): number {
  const smallest = smallestLimit(shapeOf({ capacity, sizes }))
  // Whatever a store needs for itself lies between nothing and this.
  let [enough, tooMuch] = [smallest, smallest + 8 * capacity]
  while (tooMuch - enough > precision * capacity) {
    const maxBytes = Math.round((enough + tooMuch) / 2)
    if (meanHeld(new StorePolicy({ make, maxBytes, capacity, sizes }), capacity, sizes) <= capacity) enough = maxBytes
    else tooMuch = maxBytes
  }
  return enough
}

/** While the second and third fill of new keys go through it. */
function meanHeld(policy: StorePolicy, capacity: number, sizes: Uint32Array): number {
  let offered = 0
  let sum = 0
  let samples = 0
  for (let key = 0; offered < 3 * capacity; key++) {
    policy.request(key)
    offered += sizes[key % sizes.length] as number // within bounds
    if (offered <= capacity) continue
    sum += policy.held
    samples += 1
  }
  return samples === 0 ? 0 : sum / samples
}
