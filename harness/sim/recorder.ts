/**
 * The history of a run in the checker's format: what each client asked, what it was told, and when in virtual time.
 */
import type { CallOutcome } from "../../src/client/session.ts"
import type { Action, Operation, Status } from "../checker/history.ts"
import type { Simulator } from "./simulator.ts"

/** What a client meant by an operation, in the checker's terms; null: the checker has no word for it. */
export type Meaning =
  | Exclude<Action, { op: "get" } | { op: "incr" }>
  | { readonly op: "get" }
  | { readonly op: "incr"; readonly by: number }

/**
 * Several keys at once: to the checker an operation on each, which all took as long. `expected`: what a part that only looks
 * has seen when the group was done; null: nothing.
 */
export type GroupMeaning = { readonly op: "group"; readonly parts: readonly GroupPart[] }
export type GroupPart = { readonly key: string; readonly meaning: Meaning; readonly expected: string | null }

export type OpenGroup = { readonly parts: readonly { readonly record: OpenRecord; readonly part: GroupPart }[] }

export type OpenRecord = {
  readonly process: number
  readonly key: string
  readonly meaning: Meaning
  readonly callNs: number
}

export class Recorder {
  readonly #simulator: Simulator
  readonly #operations: Operation[] = []
  readonly #open = new Set<OpenRecord>()
  readonly #touched = new Map<string, number[]>()
  #lastNs = 0

  constructor(simulator: Simulator) {
    this.#simulator = simulator
  }

  /** Operations that ended. */
  get operations(): readonly Operation[] {
    return this.#operations
  }

  /** Operations that clients asked for and of whose effect nobody was told. */
  get unknownCount(): number {
    const asked = this.#operations.filter(({ process, status }) => process >= 0 && status === "info")
    return asked.length + this.#open.size
  }

  get openCount(): number {
    return this.#open.size
  }

  beginGroup(process: number, { parts }: GroupMeaning): OpenGroup {
    return { parts: parts.map(part => ({ record: this.begin(process, part.key, part.meaning), part })) }
  }

  endGroup({ parts }: OpenGroup, outcome: CallOutcome): void {
    for (const [i, { record, part }] of parts.entries()) {
      const own = outcomeOfPart(part, i, outcome)
      if (own === undefined) this.abandon(record)
      else this.end(record, own)
    }
  }

  begin(process: number, key: string, meaning: Meaning): OpenRecord {
    const record = { process, key, meaning, callNs: this.nowNs() }
    this.#open.add(record)
    return record
  }

  end(record: OpenRecord, outcome: CallOutcome): void {
    this.#open.delete(record)
    const judged = judge(record.meaning, outcome)
    if (judged === undefined) return
    const { process, key, callNs } = record
    this.#operations.push({ process, key, callNs, returnNs: this.nowNs(), status: judged.status, ...judged.action })
  }

  /** It was asked, and nothing is to be said of it. */
  abandon(record: OpenRecord): void {
    this.#open.delete(record)
  }

  /** A deletion that nobody asked for and that may or may not happen from now on: data given up, or expired. */
  mayVanish(key: string, fromNs: number): void {
    const process = -1 - this.#operations.length
    this.#operations.push({
      process,
      key,
      op: "delete",
      callNs: fromNs,
      returnNs: Number.POSITIVE_INFINITY,
      status: "info",
    })
  }

  /** The time that the key's value has left is changed from now on. */
  touched(key: string): void {
    const times = this.#touched.get(key)
    if (times === undefined) this.#touched.set(key, [this.nowNs()])
    else times.push(this.nowNs())
  }

  wasTouched(key: string, sinceNs: number): boolean {
    return this.#touched.get(key)?.some(atNs => atNs >= sinceNs) ?? false
  }

  /** Everything, with what is still open as of unknown outcome. In the order of the calls. */
  history(): Operation[] {
    const open = [...this.#open].flatMap((record): Operation[] => {
      const { process, key, meaning, callNs } = record
      if (meaning.op === "get") return []
      const action: Action = meaning.op === "incr" ? { op: "incr", by: meaning.by, value: null } : meaning
      return [{ process, key, callNs, returnNs: Number.POSITIVE_INFINITY, status: "info", ...action }]
    })
    return [...this.#operations, ...open].sort((a, b) => a.callNs - b.callNs)
  }

  /** No two moments are the same: what happened first in one instant did happen first. */
  nowNs(): number {
    this.#lastNs = Math.max(this.#lastNs + 1, Math.floor(this.#simulator.nowMs * 1e6))
    return this.#lastNs
  }
}

/** Undefined: nothing is to be said of this part. */
function outcomeOfPart({ meaning, expected }: GroupPart, place: number, outcome: CallOutcome): CallOutcome | undefined {
  if (outcome.kind === "failed") return outcome
  if (outcome.kind === "group-done") {
    const { version } = outcome
    if (meaning.op === "delete") return { kind: "cleared", count: 1, next: null }
    if (meaning.op !== "get") return { kind: "stored", version }
    return expected === null ? { kind: "missing" } : { kind: "value", value: bytesOf(expected), flags: 0, version }
  }
  const isUnmet = outcome.kind === "group-unmet" && outcome.step === place
  return isUnmet && meaning.op === "cas" ? { kind: "unmet", version: 0 } : undefined
}

/** Undefined: the answer says nothing that the checker could hold against anyone. */
function judge(meaning: Meaning, outcome: CallOutcome): { status: Status; action: Action } | undefined {
  if (outcome.kind === "failed") {
    if (meaning.op === "get") return undefined
    if (outcome.mayHaveHappened === "unknown") return { status: "info", action: withoutAnswer(meaning) }
    // Of a condition, "fail" says that it was not met, which nobody found out here.
    return meaning.op === "add" || meaning.op === "cas" ? undefined : { status: "fail", action: withoutAnswer(meaning) }
  }
  switch (meaning.op) {
    case "get":
      if (outcome.kind === "value") return { status: "ok", action: { op: "get", value: textOf(outcome.value) } }
      return outcome.kind === "missing" ? { status: "ok", action: { op: "get", value: null } } : undefined
    case "set":
      return outcome.kind === "stored" ? { status: "ok", action: meaning } : undefined
    case "add":
    case "cas":
      return { status: outcome.kind === "stored" ? "ok" : "fail", action: meaning }
    case "delete":
      // Of all keys together nobody is told which were there.
      if (outcome.kind === "cleared") return { status: "ok", action: { op: "delete" } }
      return { status: "ok", action: { op: "delete", found: outcome.kind === "deleted" } }
    case "incr":
      if (outcome.kind === "counted")
        return { status: "ok", action: { op: "incr", by: meaning.by, value: String(outcome.value) } }
      return { status: "fail", action: withoutAnswer(meaning) }
  }
}

function withoutAnswer(meaning: Exclude<Meaning, { op: "get" }>): Action {
  return meaning.op === "incr" ? { op: "incr", by: meaning.by, value: null } : meaning
}

const utf8 = new TextDecoder()
const encoder = new TextEncoder()

export function bytesOf(text: string): Uint8Array {
  return encoder.encode(text)
}

export function textOf(bytes: Uint8Array): string {
  return utf8.decode(bytes)
}
