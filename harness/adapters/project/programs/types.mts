/** Compiled, never run: what each framework asks of an adapter, the adapter is, by the framework's own types. */
import type { CacheClient } from "dcache"
import { DcacheStore } from "dcache/express-session"
import { KeyvDcache } from "dcache/keyv"
import { DcacheRateLimitStore, rateLimiterDcache } from "dcache/rate-limiter"
import { dcacheDriver } from "dcache/unstorage"
import type { Store } from "express-rate-limit"
import session from "express-session"
import type { KeyvStoreAdapter } from "keyv"
import { Keyv as Keyv6, type KeyvStorageAdapter } from "keyv6"
import type { EventEmitter } from "node:events"
import { RateLimiterMemcache } from "rate-limiter-flexible"
import { createStorage, type Driver } from "unstorage"

declare const cache: CacheClient
export const five: KeyvStoreAdapter = new KeyvDcache({ cache, keyv: 5 })
// What it emits by is Node.js' own emitter, whose types Keyv 6 does not take by a hair.
export const six: Omit<KeyvStorageAdapter, keyof EventEmitter | "emitSync" | "onceListeners"> = new KeyvDcache({
  nodes: ["127.0.0.1:5555"],
})
export const users = new Keyv6<string>({ store: new KeyvDcache({ cache }), namespace: "users" })
export const sessions = session({ store: new DcacheStore({ cache, ttlMs: 1_000 }), secret: "s" })
export const limits: Store = new DcacheRateLimitStore({ cache })
const Limiter = rateLimiterDcache(RateLimiterMemcache)
export const limiter = new Limiter({ storeClient: cache, points: 1, duration: 1 })
export const left: Promise<number> = limiter.consume("k").then(({ remainingPoints }) => remainingPoints)
export const driver: Driver = dcacheDriver({ nodes: "127.0.0.1:5555" })
export const storage = createStorage({ driver: dcacheDriver({ cache }) })
// @ts-expect-error: an adapter is told where its cache is
export const nowhere = new KeyvDcache({})
