/**
 * A storage adapter for Keyv, and so for whatever takes a Keyv: cache-manager, NestJS, got.
 *
 *     const keyv = new Keyv({ store: new KeyvDcache({ nodes: "127.0.0.1:5555" }), namespace: "users" })
 *
 * Keyv 6 states when an entry ends, and leaves namespaces to the adapter; Keyv 5 states how long it lives, and puts the namespace
 * before the key by itself: `keyv: 5` says that it is the one. Both lead to the same names in the cache, `namespace:key`, and
 * expiry is the cache's own. An adapter has one namespace at a time, its Keyv's: give each Keyv its own adapter, which
 * shares its connection with the others.
 */
import { EventEmitter } from "node:events"
import type { CacheClient } from "../client/client.ts"
import { type CacheSource, SourcedCache } from "./source.ts"

export type KeyvDcacheOptions = CacheSource & { /** The version of Keyv. Default: 6. */ readonly keyv?: 5 | 6 }

type KeyvEntry = { readonly key: string; readonly value: unknown; readonly expires?: number; readonly ttl?: number }

type Method = { exists: boolean; methodType: "async" }
type Methods = "get" | "getMany" | "has" | "hasMany" | "set" | "setMany" | "delete" | "deleteMany" | "clear"
type Capabilities = {
  compatible: boolean
  store: "keyvStorage"
  methods: Record<Methods | "disconnect" | "iterator", Method>
  expires: true
}

const there: Method = { exists: true, methodType: "async" }
const capabilities: Capabilities = {
  compatible: true,
  store: "keyvStorage",
  methods: {
    ...{ get: there, getMany: there, has: there, hasMany: there, set: there, setMany: there },
    ...{ delete: there, deleteMany: there, clear: there, disconnect: there, iterator: there },
  },
  expires: true,
}

/** Keys whose values `iterator` reads at once. */
const pageSize = 500

/** An emitter, as Keyv asks: it has nothing to tell, since failures are thrown to whoever called. */
export class KeyvDcache extends EventEmitter {
  /** Set by its Keyv. */
  namespace: string | undefined
  /**
   * Keyv 5 iterates only over stores whose dialect it has heard of, of which this is the most alike; it reads nothing else
   * from here but what it puts in.
   */
  readonly opts: Record<string, unknown>
  /** Keyv 6 looks here: this is a whole store, and ends of entries are stated to it as instants. */
  readonly capabilities: Capabilities | undefined
  readonly #version: 5 | 6
  readonly #cache: SourcedCache

  constructor(options: KeyvDcacheOptions) {
    super()
    this.#version = options.keyv ?? 6
    this.#cache = new SourcedCache(options)
    this.opts = this.#version === 5 ? { dialect: "redis", url: "" } : {}
    this.capabilities = this.#version === 6 ? capabilities : undefined
  }

  async get<Value>(key: string): Promise<Value | undefined> {
    return (await this.#client()).get<Value>(this.#name(key))
  }

  async getMany<Value>(keys: string[]): Promise<(Value | undefined)[]> {
    return (await this.#client()).getMany<Value>(keys.map(key => this.#name(key)))
  }

  /** `until`: for Keyv 6 the instant at which it ends, for Keyv 5 how long it lives; both in ms. */
  async set(key: string, value: unknown, until?: number): Promise<boolean> {
    const cache = await this.#client()
    const ttlMs = this.#lifeMs(until)
    if (value === undefined || ttlMs <= 0) await cache.delete(this.#name(key))
    else await cache.set(this.#name(key), value, { ttlMs })
    return true
  }

  /** Keyv 5 asks for nothing in answer, Keyv 6 for each whether it was stored. */
  setMany(entries: KeyvEntry[]): Promise<boolean[] & void>
  async setMany(entries: KeyvEntry[]): Promise<boolean[]> {
    // Lives may differ, which one call of many keys has no words for; what is asked in one turn leaves together anyway.
    return Promise.all(entries.map(({ key, value, expires, ttl }) => this.set(key, value, expires ?? ttl)))
  }

  async delete(key: string): Promise<boolean> {
    return (await this.#client()).delete(this.#name(key))
  }

  /** Keyv 5 asks whether any was there, Keyv 6 of each. */
  deleteMany(keys: string[]): Promise<boolean & boolean[]>
  async deleteMany(keys: string[]): Promise<boolean | boolean[]> {
    const deleted = await (await this.#client()).deleteMany(keys.map(key => this.#name(key)))
    return this.#version === 5 ? deleted.some(Boolean) : deleted
  }

  async has(key: string): Promise<boolean> {
    return (await this.#client()).has(this.#name(key))
  }

  async hasMany(keys: string[]): Promise<boolean[]> {
    const cache = await this.#client()
    return Promise.all(keys.map(key => cache.has(this.#name(key))))
  }

  /** Everything of the namespace; without one, everything that there is. */
  async clear(): Promise<void> {
    await (await this.#client()).clear({ prefix: this.#prefix })
  }

  async *iterator<Value>(): AsyncGenerator<[string, Value], void> {
    const cache = await this.#client()
    const prefix = this.#prefix
    let page: string[] = []
    for await (const key of cache.keys({ prefix })) {
      page.push(key)
      if (page.length < pageSize) continue
      yield* this.#entries<Value>(cache, page)
      page = []
    }
    yield* this.#entries<Value>(cache, page)
  }

  /** Gives the connection up that this adapter made. */
  disconnect(): Promise<void> {
    return this.#cache.close()
  }

  async *#entries<Value>(cache: CacheClient, names: readonly string[]): AsyncGenerator<[string, Value], void> {
    const values = await cache.getMany<Value>(names)
    for (const [index, name] of names.entries()) {
      const value = values[index]
      // Keyv 5 takes the namespace off by itself.
      if (value !== undefined) yield [this.#version === 5 ? name : name.slice(this.#prefix.length), value]
    }
  }

  #client(): Promise<CacheClient> {
    return this.#cache.client()
  }

  get #prefix(): string {
    return this.namespace === undefined || this.namespace === "" ? "" : `${this.namespace}:`
  }

  #name(key: string): string {
    return this.#version === 5 ? key : this.#prefix + key
  }

  #lifeMs(until: number | undefined): number {
    if (until === undefined || until === 0) return Number.POSITIVE_INFINITY
    return this.#version === 5 ? until : until - Date.now()
  }
}
