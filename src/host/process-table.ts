/**
 * The processes of this machine as Linux shows them under /proc: who this one is, and what became of another. Elsewhere
 * nothing can be said, and nothing is.
 *
 * A process number alone names nobody: it is used anew, it differs between pid namespaces (in containers everybody is
 * number 1), and other machines have it too. With the boot, the namespace and the start time it names one process.
 */
import { readFileSync, readlinkSync } from "node:fs"
import { join } from "node:path"
import type { ProcessMark } from "../protocol/message.ts"

/** "unseen": it may live or not, this process is not shown it. */
export type ProcessSight = "running" | "dead" | "unseen"

export type ProcessTableOptions = {
  readonly procDirectory: string
  readonly pid: number
  /** Whether the kernel knows a process of this number in our namespace, whatever /proc hides from us. */
  readonly exists: (pid: number) => boolean
}

export class ProcessTable {
  /** This process; null: the system does not tell, or shows the processes of another namespace. */
  readonly self: ProcessMark | null
  readonly #options: ProcessTableOptions

  constructor(options: ProcessTableOptions) {
    this.#options = options
    this.self = this.#readSelf()
  }

  static ofThisSystem(): ProcessTable {
    return new ProcessTable({ procDirectory: "/proc", pid: process.pid, exists: isKnownToKernel })
  }

  /** Whether this mark is of a process whose number and start mean the same here as there. */
  isNear({ bootId, pidNamespace }: ProcessMark): boolean {
    return this.self !== null && bootId === this.self.bootId && pidNamespace === this.self.pidNamespace
  }

  /** What became of a process that is near. */
  look({ pid, startTicks }: ProcessMark): ProcessSight {
    let text: string
    try {
      text = this.#read(`${pid}/stat`)
    } catch (error) {
      if (!isGone(error)) return "unseen"
      // With `hidepid` a living process of another user looks like none at all.
      return this.#options.exists(pid) ? "unseen" : "dead"
    }
    const stat = statIn(text)
    if (stat === undefined || stat.pid !== pid) return "unseen"
    // Nothing runs on in a zombie: it waits for its parent to notice.
    return stat.startTicks === startTicks && stat.state !== "Z" && stat.state !== "X" ? "running" : "dead"
  }

  #readSelf(): ProcessMark | null {
    const { pid, procDirectory } = this.#options
    try {
      const stat = statIn(this.#read("self/stat"))
      // A /proc that was mounted for another namespace numbers us differently.
      if (stat?.pid !== pid) return null
      const bootId = this.#read("sys/kernel/random/boot_id").trim()
      const pidNamespace = readlinkSync(join(procDirectory, "self/ns/pid"))
      return { bootId, pidNamespace, pid, startTicks: stat.startTicks }
    } catch {
      return null // no Linux, or one that hides this
    }
  }

  #read(path: string): string {
    return readFileSync(join(this.#options.procDirectory, path), "latin1")
  }
}

type Stat = { readonly pid: number; readonly state: string; readonly startTicks: number }

/** Of proc_pid_stat(5): the number, a name in parentheses that may hold anything, the state, and 19 fields on the start. */
function statIn(text: string): Stat | undefined {
  const nameEnd = text.lastIndexOf(") ")
  if (nameEnd === -1) return undefined
  const fields = text.slice(nameEnd + 2).split(" ")
  const pid = Number.parseInt(text, 10)
  const startTicks = Number(fields[19])
  const state = fields[0]
  if (!Number.isSafeInteger(pid) || !Number.isSafeInteger(startTicks) || !state) return undefined
  return { pid, state, startTicks }
}

function isGone(error: unknown): boolean {
  // ESRCH: it went between the opening of the file and the reading.
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ESRCH")
}

function isKnownToKernel(pid: number): boolean {
  try {
    return process.kill(pid, 0) // sends nothing
  } catch (error) {
    return !(error instanceof Error && "code" in error && error.code === "ESRCH")
  }
}

/** What a process wrote of itself into a file. Null: it does not say, or not in a way that names a process. */
export function processMarkIn(value: unknown): ProcessMark | null {
  if (typeof value !== "object" || value === null) return null
  const { bootId, pidNamespace, pid, startTicks }: Readonly<Record<string, unknown>> = { ...value }
  if (typeof bootId !== "string" || typeof pidNamespace !== "string") return null
  return isCount(pid) && isCount(startTicks) ? { bootId, pidNamespace, pid, startTicks } : null
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0
}
