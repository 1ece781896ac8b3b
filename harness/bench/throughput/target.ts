/** What a throughput run asks of a cache, so that every cache is asked the same. */
export type Target = {
  readonly name: string
  get(key: string): Promise<unknown>
  set(key: string, value: Uint8Array): Promise<unknown>
  getMany(keys: readonly string[]): Promise<unknown>
  setMany(entries: readonly (readonly [string, Uint8Array])[]): Promise<unknown>
  /** Processes whose CPU is the servers'. */
  readonly pids: readonly number[]
  close(): Promise<void>
}

/** Why a target has no row in the table. */
export type Skipped = { readonly skipped: string }
