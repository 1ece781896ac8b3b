/**
 * Where an adapter's cache comes from: a connected client that the program has, or addresses of nodes, to which the adapter
 * connects when it is first used. Adapters that name the same addresses share one client, however often they are
 * constructed and from however many copies of this package: frameworks make them anew for each request or worker bundle.
 */
import { type CallOptions, CacheClient, type ConnectOptions } from "../client/client.ts"

export type CacheSource =
  | { /** Yours: the adapter never closes it. */ readonly cache: CacheClient }
  | {
      /** `host:port` of one node or of several; the others are learned from it. */
      readonly nodes: string | readonly string[]
      readonly connect?: ConnectOptions
    }

/** What makes it connect; fails as `CacheClient.connect` does, and tries again when next asked. */
export class SourcedCache {
  readonly #source: CacheSource
  #lease: Shared | undefined
  #isClosed = false

  constructor(source: CacheSource) {
    this.#source = source
  }

  client(): Promise<CacheClient> {
    if (this.#isClosed) return Promise.reject(new Error("this adapter was closed"))
    if ("cache" in this.#source) return Promise.resolve(this.#source.cache)
    this.#lease ??= shared(this.#source.nodes, this.#source.connect)
    return this.#lease.client()
  }

  /** Gives the connection up; the last adapter that shares it closes it. A client that was handed in stays open. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#lease?.release()
  }
}

/** One client and those who use it. */
class Shared {
  users = 0
  readonly #connect: () => Promise<CacheClient>
  readonly #unused: () => void
  #client: Promise<CacheClient> | undefined

  constructor(options: { connect: () => Promise<CacheClient>; unused: () => void }) {
    this.#connect = options.connect
    this.#unused = options.unused
  }

  client(): Promise<CacheClient> {
    if (this.#client === undefined) {
      const client = this.#connect()
      this.#client = client
      // Nobody was there: the next call tries again, this one is told.
      client.catch(() => {
        if (this.#client === client) this.#client = undefined
      })
    }
    return this.#client
  }

  async release(): Promise<void> {
    this.users -= 1
    if (this.users > 0) return
    this.#unused()
    const client = await this.#client?.catch(() => undefined)
    await client?.close()
  }
}

function shared(nodes: string | readonly string[], connect: ConnectOptions | undefined): Shared {
  const addresses = [nodes].flat()
  const name = JSON.stringify([...addresses].sort())
  const all = sharedByName()
  let found = all.get(name)
  if (found === undefined) {
    found = new Shared({
      connect: () => CacheClient.connect(addresses, connect),
      unused: () => all.delete(name),
    })
    all.set(name, found)
  }
  found.users += 1
  return found
}

/** In one place of the process, since a bundler may give each part of a program its own copy of this file. */
function sharedByName(): Map<string, Shared> {
  const place = Symbol.for("dcache.shared-clients.1")
  const home = globalThis as { [place]?: Map<string, Shared> } // ours by its name
  home[place] ??= new Map()
  return home[place]
}

/** Options of each call that an adapter makes; left out: the client's own deadline. */
export type AdapterCallOptions = Pick<CallOptions, "timeoutMs">
