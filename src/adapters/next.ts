/**
 * A `cacheHandler` for Next.js: pages, routes, images and fetches of all instances of an application in one cache, and their tags.
 *
 *     // next.config.mjs
 *     export default { cacheHandler: require.resolve("dcache/next"), cacheMaxMemorySize: 0 }
 *
 * finds a node by the environment variable DCACHE_NODE (`127.0.0.1:5555` when there is none). Next.js constructs a handler for
 * each request; they share one connection. An application must not fall with its cache: what cannot be asked is a miss, what
 * cannot be stored is not stored, and the first failure of each minute is told on standard error. A revalidation that fails is
 * an error of whoever asked for it: taken for done it would leave what it was to end.
 *
 * Tags. An entry is written with the time at which its rendering began, as far as this process knows it: what was rendered before a
 * revalidation and is stored after it is as old as it is. A tag is an entry of its own that says when it was last
 * revalidated. Reading compares them. A tag that an entry bears and that is not there has been forgotten (evicted), with what it
 * said: the entry counts as revalidated, so that forgetting never shows something old. Clocks of the instances must agree to
 * within the time that passes between rendering something and revalidating it.
 */
import { readFileSync } from "node:fs"
import path from "node:path"
import { deserialize, serialize } from "node:v8"
import type { CacheClient } from "../client/client.ts"
import { type CacheSource, SourcedCache } from "./source.ts"

/** What Next.js hands to the constructor, as far as it is used. */
export type NextContext = { readonly serverDistDir?: string; readonly revalidatedTags?: readonly string[] }

/** A cached page, route, image or fetch: Next.js' own affair, but for its tags. */
type NextValue = {
  readonly kind?: string
  readonly headers?: Readonly<Record<string, unknown>>
  readonly tags?: readonly string[]
}

type CacheControl = { readonly revalidate?: number | false; readonly expire?: number }

type GetContext = { readonly kind?: string; readonly tags?: readonly string[]; readonly softTags?: readonly string[] }
type SetContext = { readonly tags?: readonly string[]; readonly cacheControl?: CacheControl }

type Stored = {
  readonly lastModified: number
  /** When its rendering began; compared with tags. */
  readonly begunAtMs: number
  readonly value: NextValue | null
  readonly cacheControl?: CacheControl
}

/** When what bears it is to be rendered anew: at the next request, or, after `stale`, beside answering it with what is there. */
type Tag = { readonly expiredAtMs: number; readonly staleAtMs: number }

export type NextHandlerOptions = CacheSource & {
  /** Before every key. Default: `next:` and the id of the build, since entries of two builds are not interchangeable. */
  readonly prefix?: string
  readonly onError?: (error: unknown) => void
}

const tagsHeader = "x-next-cache-tags"
/** A page waits for nothing longer than this. */
const timeoutMs = 1_000
const saidEveryMs = 60_000

let saidAtMs = Number.NEGATIVE_INFINITY

/** When a key was last found to be rendered anew, until it is stored. Of more keys at once, the oldest count from their storing. */
const begun = new Map<string, number>()
const maxBegun = 10_000

function begins(key: string): null {
  // The first of several that render the same: whose result is stored, nobody knows.
  if (!begun.has(key)) begun.set(key, Date.now())
  for (const oldest of begun.keys()) {
    if (begun.size <= maxBegun) break
    begun.delete(oldest)
  }
  return null
}

class NextCacheHandler {
  readonly #cache: SourcedCache
  readonly #prefix: string
  readonly #onError: (error: unknown) => void
  readonly #revalidated: readonly string[]

  constructor(context: NextContext, options: NextHandlerOptions) {
    this.#cache = new SourcedCache(options)
    this.#prefix = options.prefix ?? `next:${buildId(context.serverDistDir)}:`
    this.#onError = options.onError ?? sayOnceAMinute
    this.#revalidated = context.revalidatedTags ?? []
  }

  get(key: string, context: GetContext = {}): Promise<Stored | null> {
    const name = this.#entryKey(key)
    return this.#orElse(null, async cache => {
      const bytes = await cache.get<Uint8Array>(name, { timeoutMs })
      if (bytes === undefined) return begins(name)
      const stored = deserialize(bytes) as Stored // as `set` wrote it
      const isFetch = stored.value?.kind === "FETCH"
      const own = isFetch ? [...(stored.value?.tags ?? []), ...(context.tags ?? [])] : headerTags(stored.value)
      const soft = isFetch ? (context.softTags ?? []) : []
      if ([...own, ...soft].some(tag => this.#revalidated.includes(tag))) return begins(name)
      switch (await this.#freshness(cache, { own, soft, writtenAtMs: stored.begunAtMs })) {
        case "fresh":
          return stored
        case "stale":
          begins(name)
          return { ...stored, lastModified: -1 } // Next.js' sign for: answer with it, and render anew beside
        case "expired":
          return begins(name)
      }
    })
  }

  async set(key: string, value: NextValue | null, context: SetContext = {}): Promise<void> {
    const name = this.#entryKey(key)
    const lastModified = Date.now()
    const begunAtMs = begun.get(name) ?? lastModified
    begun.delete(name)
    await this.#orElse(undefined, async cache => {
      const { cacheControl } = context
      const tags = [...new Set([...headerTags(value), ...(value?.tags ?? []), ...(context.tags ?? [])])]
      // The tags first: an entry whose tags are not there is not shown.
      if (tags.length > 0)
        await cache.setMany(
          tags.map(tag => [this.#tagKey(tag), never] as const),
          { ifAbsent: true, timeoutMs },
        )
      const tagged = value?.kind === "FETCH" ? { ...value, tags } : value
      const control = cacheControl === undefined ? {} : { cacheControl }
      const stored: Stored = { lastModified, begunAtMs, value: tagged, ...control }
      const expire = cacheControl?.expire
      await cache.set(name, serialize(stored), {
        timeoutMs,
        ...(expire !== undefined && expire > 0 ? { ttlMs: expire * 1_000 } : {}),
      })
    })
  }

  async revalidateTag(tags: string | readonly string[], durations?: { readonly expire?: number }): Promise<void> {
    const keys = [tags].flat().map(tag => this.#tagKey(tag))
    if (keys.length === 0) return
    const cache = await this.#cache.client()
    const nowMs = Date.now()
    const known = await cache.getMany<Tag>(keys)
    const entries = keys.map((key, index) => {
      const { expiredAtMs, staleAtMs } = known[index] ?? never
      if (durations === undefined) return [key, { expiredAtMs: nowMs, staleAtMs }] as const
      const later = durations.expire === undefined ? expiredAtMs : nowMs + durations.expire * 1_000
      return [key, { expiredAtMs: later, staleAtMs: nowMs }] as const
    })
    await cache.setMany(entries)
  }

  /** Nothing is kept for one request. */
  resetRequestCache(): void {}

  /** `own`: tags that the entry bears, which must be there; `soft`: those of the paths that asked. */
  async #freshness(
    cache: CacheClient,
    { own, soft, writtenAtMs }: { own: readonly string[]; soft: readonly string[]; writtenAtMs: number },
  ): Promise<"fresh" | "stale" | "expired"> {
    if (own.length + soft.length === 0) return "fresh"
    const nowMs = Date.now()
    const found = await cache.getMany<Tag>(
      [...own, ...soft].map(tag => this.#tagKey(tag)),
      { timeoutMs },
    )
    let freshness: "fresh" | "stale" = "fresh"
    for (const [index, tag] of found.entries()) {
      if (tag === undefined) {
        if (index < own.length) return "expired"
        continue
      }
      if (tag.expiredAtMs >= writtenAtMs && tag.expiredAtMs <= nowMs) return "expired"
      if (tag.staleAtMs >= writtenAtMs) freshness = "stale"
    }
    return freshness
  }

  #entryKey(key: string): string {
    return `${this.#prefix}entry:${key}`
  }

  #tagKey(tag: string): string {
    return `${this.#prefix}tag:${tag}`
  }

  async #orElse<T>(otherwise: T, work: (cache: CacheClient) => Promise<T>): Promise<T> {
    try {
      return await work(await this.#cache.client())
    } catch (error) {
      this.#onError(error)
      return otherwise
    }
  }
}

const never: Tag = { expiredAtMs: 0, staleAtMs: 0 }

function headerTags(value: NextValue | null): readonly string[] {
  const header = value?.headers?.[tagsHeader]
  return typeof header === "string" && header !== "" ? header.split(",") : []
}

/** Which build's entries these are: Next.js writes its id beside the server's files. */
function buildId(serverDistDir: string | undefined): string {
  if (serverDistDir === undefined) return "shared"
  try {
    return readFileSync(path.join(serverDistDir, "..", "BUILD_ID"), "utf8").trim()
  } catch {
    return "building" // while the build itself runs there is none yet
  }
}

function sayOnceAMinute(error: unknown): void {
  const nowMs = Date.now()
  if (nowMs - saidAtMs < saidEveryMs) return
  saidAtMs = nowMs
  process.stderr.write(`dcache: Next.js goes on without its cache: ${error instanceof Error ? error.message : error}\n`)
}

/** A handler class with a cache of your choice, to be the default export of a file that `cacheHandler` names. */
export function nextCacheHandler(options: NextHandlerOptions): new (context: NextContext) => NextCacheHandler {
  return class extends NextCacheHandler {
    constructor(context: NextContext) {
      super(context, options)
    }
  }
}

/** The one that asks the environment. */
export default class extends NextCacheHandler {
  constructor(context: NextContext) {
    super(context, {
      nodes: process.env["DCACHE_NODE"] ?? "127.0.0.1:5555",
      connect: { connectTimeoutMs: timeoutMs, whenUnreachable: "fail" },
    })
  }
}

export type { NextCacheHandler }
