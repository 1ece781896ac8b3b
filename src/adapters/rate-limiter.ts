/**
 * Counters of a window for rate limiters: each hit adds to its counter exactly once, and the first one of a window says when the
 * window ends, in the same operation. So a counter without an end, which locks somebody out for good, cannot come to be.
 *
 *     rateLimit({ windowMs: 60_000, limit: 100, store: new DcacheRateLimitStore({ nodes: "127.0.0.1:5555" }) })
 *
 *     const RateLimiterDcache = rateLimiterDcache(RateLimiterMemcache)
 *     const limiter = new RateLimiterDcache({ storeClient: cache, points: 10, duration: 1 })
 *
 * The second form is handed a class of rate-limiter-flexible, so that who uses the one library need not have the other.
 */
import type { CacheClient } from "../client/client.ts"
import { type CacheSource, SourcedCache } from "./source.ts"

/** How many hits, and when the count begins anew. */
export type WindowCount = { readonly totalHits: number; readonly resetTime: Date | undefined }

export type DcacheRateLimitStoreOptions = CacheSource & {
  /** Before the client's key; another one for each limiter that shares the cache. Default: `rl:`. */
  readonly prefix?: string
}

const defaultWindowMs = 60_000

/** A store of express-rate-limit. */
export class DcacheRateLimitStore {
  /** Counters are everybody's: two limiters with one prefix count together. */
  readonly localKeys = false
  readonly prefix: string
  readonly #cache: SourcedCache
  #windowMs = defaultWindowMs

  constructor(options: DcacheRateLimitStoreOptions) {
    this.#cache = new SourcedCache(options)
    this.prefix = options.prefix ?? "rl:"
  }

  /** Called by the middleware with its own options. */
  init(options: { readonly windowMs: number }): void {
    this.#windowMs = options.windowMs
  }

  async increment(key: string): Promise<{ totalHits: number; resetTime: Date | undefined }> {
    const { count, msLeft } = await counted(await this.#cache.client(), this.prefix + key, 1, this.#windowMs)
    return { totalHits: count, resetTime: resetTimeOf(msLeft) }
  }

  async get(key: string): Promise<{ totalHits: number; resetTime: Date | undefined } | undefined> {
    const found = await lookedUp(await this.#cache.client(), this.prefix + key)
    return found === undefined ? undefined : { totalHits: found.count, resetTime: resetTimeOf(found.msLeft) }
  }

  async decrement(key: string): Promise<void> {
    const cache = await this.#cache.client()
    // A window that has ended has nothing to take back.
    if (await cache.has(this.prefix + key)) await cache.incr(this.prefix + key, -1, { ttlMs: this.#windowMs })
  }

  async resetKey(key: string): Promise<void> {
    await (await this.#cache.client()).delete(this.prefix + key)
  }

  async resetAll(): Promise<void> {
    await (await this.#cache.client()).clear({ prefix: this.prefix })
  }

  /** Gives the connection up that this store made. */
  shutdown(): Promise<void> {
    return this.#cache.close()
  }
}

/** What rate-limiter-flexible keeps of one key. `msLeft`: -1 for ever. */
type Counted = { readonly count: number; readonly msLeft: number }

/** Of what its limiters over a store share, what is relied upon; the rest stays as it is. */
type LimiterBase = new (options: object) => { readonly points: number }

/**
 * A limiter for rate-limiter-flexible, whose `storeClient` is a `CacheClient`. `StoreLimiter` is any of its limiters over a store, for
 * the class that they all extend: the library does not export that by itself.
 */
// biome-ignore lint: the options are the library's
export function rateLimiterDcache<StoreLimiter extends new (options: any) => object>(
  StoreLimiter: StoreLimiter,
): StoreLimiter {
  const Base = Object.getPrototypeOf(StoreLimiter) as LimiterBase // which has the limits, and asks for what is below
  return class RateLimiterDcache extends Base {
    readonly storeClient: CacheClient

    constructor(options: { readonly storeClient: CacheClient }) {
      super(options)
      this.storeClient = options.storeClient
    }

    _getRateLimiterRes(_key: string, changedPoints: number, { count, msLeft }: Counted) {
      return {
        consumedPoints: count,
        remainingPoints: Math.max(this.points - count, 0),
        isFirstInDuration: count === changedPoints,
        msBeforeNext: msLeft,
      }
    }

    async _upsert(key: string, points: number, msDuration: number, forceExpire = false): Promise<Counted> {
      if (!forceExpire) return counted(this.storeClient, key, points, msDuration)
      await this.storeClient.set(key, String(points), msDuration > 0 ? { ttlMs: msDuration } : {})
      return { count: points, msLeft: msDuration > 0 ? msDuration : -1 }
    }

    async _get(key: string): Promise<Counted | null> {
      return (await lookedUp(this.storeClient, key)) ?? null
    }

    _delete(key: string): Promise<boolean> {
      return this.storeClient.delete(key)
    }
  } as unknown as StoreLimiter // another one of the same kind
}

/** Adds, and says what is left of the window. `windowMs` 0: it has no end. */
async function counted(cache: CacheClient, key: string, by: number, windowMs: number): Promise<Counted> {
  const { value, ttlMs } = await cache.incrEntry(key, by, windowMs > 0 ? { ttlMs: windowMs } : {})
  return { count: value, msLeft: msLeftOf(ttlMs) }
}

async function lookedUp(cache: CacheClient, key: string): Promise<Counted | undefined> {
  const [text, ttlMs] = await Promise.all([cache.get<string>(key), cache.ttl(key)])
  return text === undefined || ttlMs === undefined ? undefined : { count: Number(text), msLeft: msLeftOf(ttlMs) }
}

function msLeftOf(ttlMs: number): number {
  return ttlMs === Number.POSITIVE_INFINITY ? -1 : Math.ceil(ttlMs)
}

function resetTimeOf(msLeft: number): Date | undefined {
  return msLeft < 0 ? undefined : new Date(Date.now() + msLeft)
}
