/**
 * A driver for unstorage, and so for Nitro and Nuxt: values as they come, times to live in seconds, names in unstorage's form
 * (`a:b:c`), all of them under a base if one is stated.
 *
 *     const storage = createStorage({ driver: dcacheDriver({ nodes: "127.0.0.1:5555", base: "app" }) })
 */
import type { CacheClient } from "../client/client.ts"
import { type CacheSource, SourcedCache } from "./source.ts"

export type DcacheDriverOptions = CacheSource & {
  /** Before every name, with a colon between. Default: none. */
  readonly base?: string
  /** Of entries that state none, in seconds. Default: they do not expire. */
  readonly ttl?: number
}

type Transaction = { readonly ttl?: unknown } | undefined

/** What unstorage takes as a driver. */
export type DcacheDriver = {
  readonly name: "dcache"
  readonly options: DcacheDriverOptions
  getInstance(): Promise<CacheClient>
  hasItem(key: string): Promise<boolean>
  getItem(key: string): Promise<string | null>
  getItemRaw(key: string): Promise<unknown>
  getItems(items: { readonly key: string }[]): Promise<{ key: string; value: string | null }[]>
  getMeta(key: string): Promise<{ ttl?: number } | null>
  setItem(key: string, value: string, options?: Transaction): Promise<void>
  setItemRaw(key: string, value: unknown, options?: Transaction): Promise<void>
  removeItem(key: string): Promise<void>
  getKeys(base?: string): Promise<string[]>
  clear(base?: string): Promise<void>
  dispose(): Promise<void>
}

export function dcacheDriver(options: DcacheDriverOptions): DcacheDriver {
  const cache = new SourcedCache(options)
  const prefix = options.base === undefined || options.base === "" ? "" : `${options.base.replace(/:+$/, "")}:`
  const named = (key: string) => prefix + key

  const life = (transaction: Transaction): { ttlMs?: number } => {
    const seconds = transaction?.ttl ?? options.ttl
    return typeof seconds === "number" && seconds > 0 ? { ttlMs: seconds * 1_000 } : {}
  }

  return {
    name: "dcache",
    options,
    getInstance: () => cache.client(),
    async hasItem(key) {
      return (await cache.client()).has(named(key))
    },
    async getItem(key) {
      return textOf(await (await cache.client()).get(named(key)))
    },
    async getItemRaw(key) {
      return (await (await cache.client()).get(named(key))) ?? null
    },
    async getItems(items) {
      const values = await (await cache.client()).getMany(items.map(({ key }) => named(key)))
      return items.map(({ key }, index) => ({ key, value: textOf(values[index]) }))
    },
    async getMeta(key) {
      const ttlMs = await (await cache.client()).ttl(named(key))
      if (ttlMs === undefined) return null
      return ttlMs === Number.POSITIVE_INFINITY ? {} : { ttl: Math.ceil(ttlMs / 1_000) }
    },
    async setItem(key, value, transaction) {
      await (await cache.client()).set(named(key), value, life(transaction))
    },
    async setItemRaw(key, value, transaction) {
      await (await cache.client()).set(named(key), value, life(transaction))
    },
    async removeItem(key) {
      await (await cache.client()).delete(named(key))
    },
    async getKeys(base = "") {
      const keys: string[] = []
      for await (const key of (await cache.client()).keys({ prefix: named(base) })) keys.push(key.slice(prefix.length))
      return keys
    },
    async clear(base = "") {
      await (await cache.client()).clear({ prefix: named(base) })
    },
    dispose: () => cache.close(),
  }
}

/** unstorage parses texts by itself; what was stored raw and is read as an item is given as text. */
function textOf(value: unknown): string | null {
  if (value === undefined) return null
  if (typeof value === "string") return value
  return value instanceof Uint8Array ? new TextDecoder().decode(value) : JSON.stringify(value)
}
