/**
 * The directory of one node, in which it keeps its snapshot over a planned stop, and what becomes of that: it is written,
 * found by the next start, taken out of use when the cluster resumes, or put aside when it is of no use. One node, one
 * directory: a second one that is given it is told so.
 *
 *     snapshot           what the next start resumes from
 *     snapshot.new       being written
 *     snapshot.used      what this cluster resumed from, until it has: no start looks at it
 *     snapshot.refused   the last one that could not be used
 *     owner              which process the directory belongs to
 */
import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { ProcessMark, SnapshotHead, SnapshotPart } from "../protocol/message.ts"
import { type ProcessTable, processMarkIn } from "./process-table.ts"
import {
  type FileSystem,
  type OpenSnapshot,
  openSnapshot,
  SnapshotDamage,
  writeSnapshot,
  type Written,
} from "./snapshot-file.ts"

export type SnapshotFound =
  | { readonly kind: "none" }
  | { readonly kind: "found"; readonly snapshot: OpenSnapshot }
  /** It is there and of no use: why, in words. */
  | { readonly kind: "unusable"; readonly detail: string }

export class DataDirectory {
  readonly path: string
  readonly #files: FileSystem
  readonly #processes: Pick<ProcessTable, "self" | "isNear" | "look">

  constructor(options: {
    readonly path: string
    readonly files: FileSystem
    readonly processes: Pick<ProcessTable, "self" | "isNear" | "look">
  }) {
    this.path = options.path
    this.#files = options.files
    this.#processes = options.processes
  }

  get snapshotPath(): string {
    return join(this.path, "snapshot")
  }

  get refusedPath(): string {
    return this.#path("refused")
  }

  /** Makes it this process'. Throws what the file system throws; or says which process has it. */
  take(): { readonly kind: "taken" } | { readonly kind: "in-use"; readonly pid: number } {
    const owner = this.#ownerMark()
    const { self } = this.#processes
    if (owner !== null && this.#processes.isNear(owner) && owner.pid !== self?.pid)
      if (this.#processes.look(owner) === "running") return { kind: "in-use", pid: owner.pid }
    // Also the proof that this node may write here, now and not when everything stops.
    writeFileSync(this.#ownerPath, `${JSON.stringify({ process: self })}\n`)
    rmSync(this.#path("new"), { force: true })
    return { kind: "taken" }
  }

  release(): void {
    rmSync(this.#ownerPath, { force: true })
  }

  async find(): Promise<SnapshotFound> {
    try {
      return { kind: "found", snapshot: await openSnapshot(this.#files, this.snapshotPath) }
    } catch (error) {
      if (isCode(error, "ENOENT")) return { kind: "none" }
      return { kind: "unusable", detail: problemOf(error) }
    }
  }

  /** When a snapshot was taken out of use by a start whose cluster never got to resume; undefined: none was. */
  usedAtMs(): number | undefined {
    try {
      return statSync(this.#path("used")).ctimeMs
    } catch {
      return undefined // nothing is there, or nothing that could be told of
    }
  }

  async write(options: {
    readonly head: SnapshotHead
    readonly parts: Iterable<SnapshotPart>
    readonly wallMs: () => number
    readonly onProgress: (entries: number) => void
  }): Promise<Written> {
    const where = { files: this.#files, path: this.snapshotPath, aside: this.#path("new"), directory: this.path }
    return writeSnapshot({ ...options, ...where })
  }

  /** No start finds it from here on, also if the power fails now. */
  async takeOutOfUse(): Promise<void> {
    await this.#files.rename(this.snapshotPath, this.#path("used"))
    await this.#files.syncDirectory(this.path)
  }

  /** The cluster has resumed: what it resumed from is the past. */
  async forgetUsed(): Promise<void> {
    await this.#files.remove(this.#path("used"))
  }

  /** It is of no use to this node; somebody may still want to look at it. */
  async putAside(): Promise<void> {
    await this.#files.rename(this.snapshotPath, this.#path("refused"))
    await this.#files.syncDirectory(this.path)
  }

  get #ownerPath(): string {
    return join(this.path, "owner")
  }

  #path(state: "new" | "used" | "refused"): string {
    return `${this.snapshotPath}.${state}`
  }

  /** Null: there is none, or none that names a process. */
  #ownerMark(): ProcessMark | null {
    try {
      const owner: unknown = JSON.parse(readFileSync(this.#ownerPath, "utf8"))
      return typeof owner === "object" && owner !== null && "process" in owner ? processMarkIn(owner.process) : null
    } catch {
      return null // a file that nobody wrote whole is nobody's
    }
  }
}

/** What went wrong with a file, in words for whoever has to do something about it. */
export function problemOf(error: unknown): string {
  if (error instanceof SnapshotDamage) return error.message
  for (const [code, words] of Object.entries(codesInWords)) if (isCode(error, code)) return words
  return error instanceof Error ? error.message : String(error)
}

const codesInWords: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  EFBIG: "the file would be larger than is allowed",
  EACCES: "that is not permitted",
  EPERM: "that is not permitted",
  EROFS: "the file system is read-only",
  EIO: "the disk reports an error",
  ENOENT: "it is not there, and cannot be made",
  EEXIST: "a file of that name is there",
  ENOTDIR: "a part of the path is no directory",
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code
}
