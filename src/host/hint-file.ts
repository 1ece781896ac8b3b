/**
 * A small file that tells which cluster this node belonged to and where its members were, and no data. It keeps a first
 * node that is restarted without seeds from forming a second cluster beside the one that is still there, and lets a whole
 * cluster that stopped find together again.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { rename, rm, writeFile } from "node:fs/promises"
import { homedir } from "node:os"
import { dirname, isAbsolute, join } from "node:path"
import { formatAddress, type HostPort } from "../base/address.ts"
import { maxMembers, maxNameChars } from "../protocol/limits.ts"
import type { ColdHint, ProcessMark } from "../protocol/message.ts"
import { makeDirectory } from "./make-directory.ts"
import { parsedAddresses } from "./own-address.ts"
import { type ProcessTable, processMarkIn } from "./process-table.ts"

export type HintsRead =
  | { readonly kind: "hints"; readonly hints: ColdHint }
  | { readonly kind: "none" }
  | { readonly kind: "damaged"; readonly detail: string }
  /** Another process that runs here writes it. */
  | { readonly kind: "in-use"; readonly pid: number }

export type HintFileOptions = {
  readonly path: string
  /** Asked when it is time to write; undefined: there is nothing to say yet. */
  readonly hints: () => ColdHint | undefined
  /** Told once, of the first failure. */
  readonly failed: (detail: string) => void
  /** Who writes is noted in the file, so that two nodes that were given one file notice. */
  readonly processes: Pick<ProcessTable, "self" | "isNear" | "look">
}

/** Members come in bursts; the file follows at most so often. */
const writeEveryMs = 200

export class HintFile {
  readonly path: string
  readonly #options: HintFileOptions
  #timer: NodeJS.Timeout | undefined
  #writtenText = ""
  #hasFailed = false
  #isWriting = false
  #isClosed = false

  constructor(options: HintFileOptions) {
    this.path = options.path
    this.#options = options
  }

  read(): HintsRead {
    let text: string
    try {
      text = readFileSync(this.path, "utf8")
    } catch (error) {
      // ENOTDIR: what should be its directory is a file.
      if (isNodeError(error) && (error.code === "ENOENT" || error.code === "ENOTDIR")) return { kind: "none" }
      return { kind: "damaged", detail: messageOf(error) }
    }
    const content = contentIn(text)
    if (content === undefined) return { kind: "damaged", detail: "it is not a hint file" }
    const { writer, hints } = content
    return this.#isOthers(writer) ? { kind: "in-use", pid: writer.pid } : { kind: "hints", hints }
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

  /** What to write; undefined: nothing new. Throws when the file is another's. */
  #due(): string | undefined {
    const hints = this.#options.hints()
    if (hints === undefined) return undefined
    const text = `${JSON.stringify({ ...hints, writer: this.#options.processes.self })}\n`
    if (text === this.#writtenText) return undefined
    const read = this.read()
    if (read.kind === "in-use")
      throw new Error(`process ${read.pid}, another node, writes it as well: give each a file of its own`)
    return text
  }

  #isOthers(writer: ProcessMark | null): writer is ProcessMark {
    const { processes } = this.#options
    if (writer === null || !processes.isNear(writer)) return false
    return writer.pid !== processes.self?.pid && processes.look(writer) === "running"
  }

  #write(): void {
    const temporary = `${this.path}.${process.pid}.last.tmp`
    try {
      const text = this.#due()
      if (text === undefined) return
      makeDirectory(dirname(this.path))
      // Renamed into place when it is on the disk: a crash leaves the old file or the new one, never half of one.
      writeFileSync(temporary, text, { flush: true })
      renameSync(temporary, this.path)
    } catch (error) {
      this.#failure(error)
      removeIfThere(temporary)
    }
  }

  /** The same beside other work: a slow disk must not hold up beats. */
  async #writeAside(): Promise<void> {
    if (this.#isWriting) return
    this.#isWriting = true
    const temporary = `${this.path}.${process.pid}.tmp`
    try {
      const text = this.#due()
      if (text === undefined) return
      makeDirectory(dirname(this.path))
      await writeFile(temporary, text, { flush: true })
      if (this.#isClosed)
        await rm(temporary, { force: true }) // what was written last, or removed, stays so
      else {
        await rename(temporary, this.path)
        this.#writtenText = text
      }
    } catch (error) {
      this.#failure(error)
      removeIfThere(temporary)
    } finally {
      this.#isWriting = false
    }
  }

  /** A full or read-only disk is no reason to stop serving, and worth saying once. */
  #failure(error: unknown): void {
    if (!this.#hasFailed) this.#options.failed(messageOf(error))
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

type Content = { readonly hints: ColdHint; readonly writer: ProcessMark | null }

/** Undefined: this is no hint file. */
function contentIn(text: string): Content | undefined {
  const fields = fieldsOf(jsonIn(text))
  const { clusterId, generation, epoch, copies, addresses } = fields
  if (typeof clusterId !== "string" || clusterId.length > maxNameChars) return undefined
  if (!isCount(generation) || !isCount(epoch) || !isCount(copies)) return undefined
  if (!Array.isArray(addresses) || addresses.length > maxMembers) return undefined
  const known = parsedAddresses(addresses.filter(address => typeof address === "string")).map(formatAddress)
  if (known.length !== addresses.length) return undefined
  const hints: ColdHint = { clusterId, generation, epoch, copies, addresses: known }
  return { hints, writer: processMarkIn(fields["writer"]) }
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? { ...value } : {}
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // which is no hints either
  }
}

/** What a full disk took a part of. */
function removeIfThere(path: string): void {
  try {
    rmSync(path, { force: true })
  } catch {
    // Where no file can be made, none is left.
  }
}

function isNodeError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "code" in error
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
