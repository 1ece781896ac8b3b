/**
 * Sessions of express-session in the cache, as JSON under `sess:` and the session's id. An entry lives as long as its cookie
 * says, a day when that says nothing; each request that only reads renews it by one small operation.
 *
 *     app.use(session({ store: new DcacheStore({ nodes: "127.0.0.1:5555" }), secret, resave: false, saveUninitialized: false }))
 */
import session from "express-session"
import { type CacheSource, SourcedCache } from "./source.ts"

export type DcacheStoreOptions = CacheSource & {
  /** Before the id of a session; another one for each application that shares the cache. Default: `sess:`. */
  readonly prefix?: string
  /** Life of a session whose cookie ends with the browser. Default: a day. */
  readonly ttlMs?: number
}

type Callback<T> = (error?: unknown, result?: T) => void

const dayMs = 24 * 3_600_000
/** Sessions read at once by `all`. */
const pageSize = 500

export class DcacheStore extends session.Store {
  readonly #cache: SourcedCache
  readonly #prefix: string
  readonly #ttlMs: number

  constructor(options: DcacheStoreOptions) {
    super()
    this.#cache = new SourcedCache(options)
    this.#prefix = options.prefix ?? "sess:"
    this.#ttlMs = options.ttlMs ?? dayMs
  }

  override get(sid: string, callback: Callback<session.SessionData | null>): void {
    this.#tell(callback, async () => {
      const text = await (await this.#cache.client()).get<string>(this.#key(sid))
      return text === undefined ? null : parsed(text)
    })
  }

  override set(sid: string, data: session.SessionData, callback?: Callback<void>): void {
    this.#tell(callback, async () => {
      const cache = await this.#cache.client()
      const ttlMs = this.#lifeMs(data)
      // A cookie of the past is how a session is ended.
      if (ttlMs <= 0) await cache.delete(this.#key(sid))
      else await cache.set(this.#key(sid), JSON.stringify(data), { ttlMs })
    })
  }

  override destroy(sid: string, callback?: Callback<void>): void {
    this.#tell(callback, async () => {
      await (await this.#cache.client()).delete(this.#key(sid))
    })
  }

  /** Nothing but the end of its life has changed: a session that was destroyed meanwhile stays so. */
  override touch(sid: string, data: session.SessionData, callback?: Callback<void>): void {
    this.#tell(callback, async () => {
      const ttlMs = this.#lifeMs(data)
      if (ttlMs > 0) await (await this.#cache.client()).touch(this.#key(sid), ttlMs)
    })
  }

  override all(callback: Callback<session.SessionData[]>): void {
    this.#tell(callback, async () => {
      const cache = await this.#cache.client()
      const sessions: session.SessionData[] = []
      for (let keys = await this.#keys(); keys.length > 0; keys = keys.slice(pageSize))
        for (const text of await cache.getMany<string>(keys.slice(0, pageSize)))
          if (text !== undefined) sessions.push(parsed(text))
      return sessions
    })
  }

  override length(callback: Callback<number>): void {
    this.#tell(callback, async () => (await this.#keys()).length)
  }

  override clear(callback?: Callback<void>): void {
    this.#tell(callback, async () => {
      await (await this.#cache.client()).clear({ prefix: this.#prefix })
    })
  }

  /** Gives the connection up that this store made. */
  close(): Promise<void> {
    return this.#cache.close()
  }

  #key(sid: string): string {
    return this.#prefix + sid
  }

  async #keys(): Promise<string[]> {
    const keys: string[] = []
    for await (const key of (await this.#cache.client()).keys({ prefix: this.#prefix })) keys.push(key)
    return keys
  }

  #lifeMs({ cookie }: session.SessionData): number {
    const { expires } = cookie
    if (expires === undefined || expires === null) return this.#ttlMs
    return new Date(expires).getTime() - Date.now()
  }

  /** What a callback throws is its own affair, and must not come back to it as an error of the store. */
  #tell<T>(callback: Callback<T> | undefined, work: () => Promise<T>): void {
    work().then(
      result => callback && process.nextTick(callback, null, result),
      error => callback && process.nextTick(callback, error),
    )
  }
}

function parsed(text: string): session.SessionData {
  return JSON.parse(text) as session.SessionData // as `set` wrote it
}
