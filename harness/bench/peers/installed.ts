/**
 * The clients of other caches, which lie in a package of their own (`clients/`) and are installed when this bench first runs. They bring
 * types of hundreds of commands; asked for here are four, so that is what they are taken for.
 */
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { createRequire } from "node:module"
import path from "node:path"
import { pathToFileURL } from "node:url"

const folder = path.join(import.meta.dirname, "clients")

/** Installs what the lock file names, once, with a line that says so. */
export function installClients(): void {
  if (existsSync(path.join(folder, "node_modules/.package-lock.json"))) return
  process.stderr.write("peers: installing the clients of other caches (npm ci, once)\n")
  const { status, stderr, error } = spawnSync("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], {
    cwd: folder,
    encoding: "utf8",
  })
  if (status !== 0) throw new Error(`npm ci in ${folder} failed: ${error?.message ?? stderr}`)
}

export type Cluster = { nodes(role: "master"): Installed["RedisConnection"][]; disconnect(): void }

/** What is used of each. */
export type Installed = {
  readonly RedisConnection: {
    getBuffer(key: string): Promise<unknown>
    set(key: string, value: Buffer): Promise<unknown>
    incr(key: string): Promise<number>
    get(key: string): Promise<string | null>
    mgetBuffer(...keys: string[]): Promise<unknown>
    mset(...words: (string | Buffer)[]): Promise<unknown>
    ping(): Promise<unknown>
    on(event: string, listener: () => void): unknown
    disconnect(): void
  }
}

/** The module, whatever it exports. */
export async function loaded<Module>(name: string): Promise<Module> {
  const found = createRequire(path.join(folder, "package.json")).resolve(name)
  return (await import(pathToFileURL(found).href)) as Module // as the caller has read in its documentation
}
