/**
 * A small file with the addresses of the cluster that this node belongs to, and no data. It keeps a first node that is
 * restarted without seeds from forming a second cluster beside the one that is still there.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { mkdir, rename, rm, writeFile } from "node:fs/promises"
import { homedir } from "node:os"
import { dirname, isAbsolute, join } from "node:path"
import { formatAddress, type HostPort } from "../base/address.ts"
import { maxMembers, maxNameChars } from "../protocol/limits.ts"
import type { Address } from "../protocol/message.ts"
import { parsedAddresses } from "./own-address.ts"

export type Hints = { readonly clusterId: string; readonly addresses: readonly Address[] }

export type HintsRead =
  | { readonly kind: "hints"; readonly hints: Hints }
  | { readonly kind: "none" }
  | { readonly kind: "damaged"; readonly detail: string }

/** Views come in bursts; the file follows at most so often. */
const writeEveryMs = 1_000

export class HintFile {
  readonly path: string
  readonly #hints: () => Hints | undefined
  readonly #failed: (detail: string) => void
  #timer: NodeJS.Timeout | undefined
  #writtenText = ""
  #hasFailed = false
  #isWriting = false
  #isClosed = false

  /** `hints` is asked when it is time to write; `failed` is told once, of the first failure. */
  constructor(options: { path: string; hints: () => Hints | undefined; failed: (detail: string) => void }) {
    this.path = options.path
    this.#hints = options.hints
    this.#failed = options.failed
  }

  read(): HintsRead {
    let text: string
    try {
      text = readFileSync(this.path, "utf8")
    } catch (error) {
      if (isNodeError(error) && error.code === "ENOENT") return { kind: "none" }
      return { kind: "damaged", detail: messageOf(error) }
    }
    const hints = hintsIn(text)
    return hints === undefined ? { kind: "damaged", detail: "not a hint file" } : { kind: "hints", hints }
  }

  /** To be called when the members may have changed. */
  changed(): void {
    if (this.#isClosed) return
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      void this.#writeAside()
    }, writeEveryMs).unref()
  }

  /** Writes what is still to be written, and nothing afterwards. */
  close(): void {
    if (this.#isClosed) return
    const isDue = this.#timer !== undefined || this.#isWriting
    this.#end()
    if (isDue) this.#write()
  }

  /** The cluster is no more: the next start forms a new one. */
  remove(): void {
    this.#end()
    try {
      rmSync(this.path, { force: true })
    } catch (error) {
      this.#failure(error)
    }
  }

  #end(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #write(): void {
    const hints = this.#hints()
    if (hints === undefined) return
    const text = `${JSON.stringify(hints)}\n`
    if (text === this.#writtenText) return
    try {
      mkdirSync(dirname(this.path), { recursive: true })
      // Renamed into place, so that a crash leaves the old file or the new one, never half of one.
      const temporary = `${this.path}.${process.pid}.last.tmp`
      writeFileSync(temporary, text)
      renameSync(temporary, this.path)
    } catch (error) {
      this.#failure(error)
    }
  }

  /** The same beside other work: a slow disk must not hold up beats. */
  async #writeAside(): Promise<void> {
    const hints = this.#hints()
    if (hints === undefined) return
    const text = `${JSON.stringify(hints)}\n`
    if (text === this.#writtenText || this.#isWriting) return
    this.#isWriting = true
    try {
      await mkdir(dirname(this.path), { recursive: true })
      const temporary = `${this.path}.${process.pid}.tmp`
      await writeFile(temporary, text)
      if (this.#isClosed)
        await rm(temporary, { force: true }) // what was written last, or removed, stays so
      else {
        await rename(temporary, this.path)
        this.#writtenText = text
      }
    } catch (error) {
      this.#failure(error)
    } finally {
      this.#isWriting = false
    }
  }

  /** A full or read-only disk is no reason to stop serving, and worth saying once. */
  #failure(error: unknown): void {
    if (!this.#hasFailed) this.#failed(messageOf(error))
    this.#hasFailed = true
  }
}

/** Where the file of a node that listens there is kept unless somebody says otherwise. */
export function defaultHintPath(listen: HostPort, env: Readonly<Record<string, string | undefined>>): string {
  const state = env.XDG_STATE_HOME
  const base = state !== undefined && isAbsolute(state) ? state : join(homedir(), ".local", "state")
  const name = `${listen.host}-${listen.port}`.replace(/[^\w.-]/g, "_")
  return join(base, "dcache", `hints-${name}.json`)
}

function hintsIn(text: string): Hints | undefined {
  const parsed = jsonIn(text)
  if (typeof parsed !== "object" || parsed === null || !("clusterId" in parsed) || !("addresses" in parsed)) return
  const { clusterId, addresses } = parsed
  if (typeof clusterId !== "string" || clusterId.length > maxNameChars) return
  if (!Array.isArray(addresses) || addresses.length > maxMembers) return
  if (!addresses.every(address => typeof address === "string")) return
  const readable = parsedAddresses(addresses)
  if (readable.length !== addresses.length) return
  return { clusterId, addresses: readable.map(formatAddress) }
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // which is no hints either
  }
}

function isNodeError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "code" in error
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
