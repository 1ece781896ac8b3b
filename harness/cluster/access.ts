/**
 * The real client, as the load uses it: an intent becomes an operation, an outcome becomes what a history says of it.
 * The one file of this folder that knows the client.
 */
import type { CallOutcome } from "../../src/client/call.ts"
import { CacheClient, CacheError } from "../../src/client/client.ts"
import type { Address, Operation, Result } from "../../src/protocol/message.ts"
import type { Sighting } from "./agreement.ts"
import { CouldNotRun } from "./could-not-run.ts"
import type { Intent } from "./operations.ts"
import type { Ask } from "./prober.ts"
import type { Answer, CacheAccess } from "./workload.ts"

/** A client of its own. */
export type CacheWay = CacheAccess & {
  readonly ask: Ask
  /** What every member that this client knows of says of itself. */
  sightings(): Promise<Sighting[]>
  close(): Promise<void>
}

export type WayOptions = {
  readonly nodes: readonly Address[]
  /** through-dialed: nothing is asked of any node but the one that was dialed, which forwards. */
  readonly routing: "to-primary" | "through-dialed"
  /** An operation that is not answered by then has failed. */
  readonly deadlineMs: number
  /** Values are made so long on their way to the cluster, and as they were on their way back; undefined: they stay as they are. */
  readonly valueBytes?: number | undefined
  /** Nodes that were just started are waited for; an address that a person typed is not. Default: retry. */
  readonly whenUnreachable?: "retry" | "fail"
}

/** One connection that stands is as many as are wanted: then no other is dialed. */
const dialedAlone = { keepReady: 1, maxConnections: 1 }

export async function openWay({
  nodes,
  routing,
  deadlineMs,
  valueBytes,
  whenUnreachable = "retry",
}: WayOptions): Promise<CacheWay> {
  const limits = routing === "through-dialed" ? dialedAlone : {}
  const client = await CacheClient.connect(nodes, { timeoutMs: deadlineMs, limits, whenUnreachable }).catch(
    (error: unknown) => {
      throw error instanceof CacheError ? new CouldNotRun(error.message) : error
    },
  )
  return {
    perform: async intent => {
      const outcome = await client.ask(encoder.encode(intent.key), operationOf(padded(intent, valueBytes)))
      const answer = answerOf(intent, outcome)
      return { ...answer, value: unpadded(answer.value, valueBytes) }
    },
    ask: async (key, withinMs) =>
      (await client.ask(encoder.encode(key), { op: "get" }, { timeoutMs: withinMs })).kind !== "failed",
    sightings: async () =>
      (await client.status({ timeoutMs: deadlineMs })).map(({ member, report }) => ({
        name: member.addr,
        report: report ?? undefined,
      })),
    close: () => client.close(),
  }
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

const pad = "~"

/** The same operation with values that are as long as that at least: what is judged is their beginning. */
export function padded(intent: Intent, bytes: number | undefined): Intent {
  if (bytes === undefined) return intent
  switch (intent.op) {
    case "set":
    case "add":
      return { ...intent, value: intent.value.padEnd(bytes, pad) }
    case "cas":
      return { ...intent, value: intent.value.padEnd(bytes, pad), expected: intent.expected.padEnd(bytes, pad) }
    default:
      return intent
  }
}

/** What was padded, as it was. A value that was cut short, or is another's, is not: nobody ever wrote it. */
export function unpadded(value: string | null, bytes: number | undefined): string | null {
  if (value === null || bytes === undefined || !value.endsWith(pad)) return value
  const own = value.replace(/~+$/, "")
  return own.padEnd(bytes, pad) === value ? own : value
}

export function operationOf(intent: Intent): Operation {
  const unconditional = { flags: 0, ttlMs: null, condition: null }
  switch (intent.op) {
    case "get":
      return { op: "get" }
    case "set":
      return { op: "set", ...unconditional, value: encoder.encode(intent.value) }
    case "add":
      return { op: "set", ...unconditional, value: encoder.encode(intent.value), condition: { if: "absent" } }
    case "cas":
      return {
        op: "set",
        ...unconditional,
        value: encoder.encode(intent.value),
        condition: { if: "value", value: encoder.encode(intent.expected) },
      }
    case "delete":
      return { op: "delete", condition: null }
    case "incr":
      return { op: "incr", by: intent.by, ttlMs: null }
  }
}

export function answerOf(intent: Intent, outcome: CallOutcome): Answer {
  if (outcome.kind === "failed") {
    const kind = outcome.mayHaveHappened === "no" ? "refused" : "unknown"
    return { ending: { kind, code: outcome.code }, value: null }
  }
  // An answer that the operation cannot have is no outcome that a history could tell; it shows among the errors.
  return answered(intent, outcome) ?? { ending: { kind: "unknown", code: `answered "${outcome.kind}"` }, value: null }
}

function answered({ op }: Intent, result: Result): Answer | undefined {
  const done = { kind: "done" } as const
  switch (result.kind) {
    case "value":
      return op === "get" ? { ending: done, value: decoder.decode(result.value) } : undefined
    case "missing":
      if (op === "get") return { ending: done, value: null }
      if (op === "delete") return { ending: done, value: null, found: false }
      return op === "cas" ? { ending: { kind: "unmet" }, value: null } : undefined
    case "deleted":
      return op === "delete" ? { ending: done, value: null, found: true } : undefined
    case "stored":
      return op === "set" || op === "add" || op === "cas" ? { ending: done, value: null } : undefined
    case "unmet":
      return op === "add" || op === "cas" ? { ending: { kind: "unmet" }, value: null } : undefined
    case "counted":
      return op === "incr" ? { ending: done, value: String(result.value) } : undefined
    case "ttl":
    case "touched":
    case "not-a-number":
      return undefined
  }
}
