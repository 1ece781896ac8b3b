/**
 * The stores that are compared, behind what all of them do: from a key's bytes, as they come with a request, to a value. A
 * Map compares strings, not bytes, so that a text is made of the key; ours places the key on the ring first. A value that
 * comes in is a window onto a frame, so that those copy it that do not do so by themselves.
 */
import { LRUCache } from "lru-cache"
import { type HashKey, hashKeyPosition } from "../../../src/base/hash.ts"
import type { Entry, HashedKey, Store } from "../../../src/store/store.ts"
import { roomyStore } from "../own-store.ts"

export interface Engine {
  get(key: Uint8Array): Uint8Array | undefined
  set(key: Uint8Array, value: Uint8Array): void
}

export const engineNames = ["map", "lru-cache", "dcache"] as const
export type EngineName = (typeof engineNames)[number]

/** V8's `Map`, on which lru-cache stands too, has room for 2^24 and throws at the next. */
const mostInMap = 2 ** 24

export function mostEntries(name: EngineName): number {
  return name === "dcache" ? Number.POSITIVE_INFINITY : mostInMap
}

export function makeEngine(name: EngineName, entries: number): Engine {
  if (name === "map") return new MapEngine()
  return name === "lru-cache" ? new LruCacheEngine(entries) : new StoreEngine(roomyStore())
}

type Held = { readonly value: Buffer; readonly expiresAtMs: number; readonly version: number }

class MapEngine implements Engine {
  readonly #held = new Map<string, Held>()
  #version = 0

  get(key: Uint8Array): Uint8Array | undefined {
    const held = this.#held.get(nameOf(key))
    return held !== undefined && held.expiresAtMs > 0 ? held.value : undefined
  }

  set(key: Uint8Array, value: Uint8Array): void {
    this.#version += 1
    this.#held.set(nameOf(key), {
      value: Buffer.from(value),
      expiresAtMs: Number.POSITIVE_INFINITY,
      version: this.#version,
    })
  }
}

const anHourMs = 3_600_000

class LruCacheEngine implements Engine {
  readonly #held: LRUCache<string, { readonly value: Buffer; readonly version: number }>
  #version = 0

  constructor(entries: number) {
    this.#held = new LRUCache({ max: entries, ttl: anHourMs })
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#held.get(nameOf(key))?.value
  }

  set(key: Uint8Array, value: Uint8Array): void {
    this.#version += 1
    this.#held.set(nameOf(key), { value: Buffer.from(value), version: this.#version })
  }
}

/** Of the cluster; any will do. */
const hashKey: HashKey = [0x5eed, 0xcafe]

export class StoreEngine implements Engine {
  readonly #store: Store
  #version = 0

  constructor(store: Store) {
    this.#store = store
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#store.get(hashed(key))?.value
  }

  set(key: Uint8Array, value: Uint8Array): void {
    this.#version += 1
    const entry: Entry = { value, flags: 0, version: this.#version, expiresAtMs: Number.POSITIVE_INFINITY }
    this.#store.set(hashed(key), entry)
  }
}

export function hashed(bytes: Uint8Array): HashedKey {
  return { bytes, position: hashKeyPosition(bytes, hashKey) }
}

/** One character a byte. */
function nameOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1")
}
