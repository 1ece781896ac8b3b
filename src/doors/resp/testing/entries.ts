/** A cache of one node for tests of commands, as far as they ask for it: entries, what fails, and what is answered late. */
import type { CallOutcome } from "../../../client/session.ts"
import type { Condition, Operation, Result, StatusReport } from "../../../protocol/message.ts"
import { LocalCache } from "../../local-cache.ts"
import type { ClusterChannels } from "../cluster-channels.ts"
import type { Context, ServerView } from "../command.ts"
import { keyOfDatabase } from "../keys.ts"
import { nameOf } from "../key-state.ts"

type Failed = Extract<CallOutcome, { kind: "failed" }>
type Late = { readonly key: string; readonly operation: Operation; answer(): void }

export class Entries {
  readonly held = new Map<string, { value: Uint8Array; flags: number; version: number }>()
  readonly asked: string[] = []
  #version = 0
  /** Done once before the next write, as somebody else would. */
  meanwhile: (() => void) | undefined
  /** What is done to a key of another node, which is not answered at once but when the test says so. */
  isLate: (key: string, operation: Operation) => boolean = () => false
  /** How what is late fails. */
  failureOf: (key: string, operation: Operation) => Failed | undefined = () => undefined
  readonly late: Late[] = []

  put(key: string, value: string | Uint8Array, flags = 1): number {
    this.#version += 1
    this.held.set(key, { value: typeof value === "string" ? Buffer.from(value) : value, flags, version: this.#version })
    return this.#version
  }

  text(key: string): string | undefined {
    const held = this.held.get(key)
    return held && Buffer.from(held.value).toString()
  }

  /** Answers what is late, and what is asked after that, in the order in which it was asked. */
  async answerAll(): Promise<void> {
    for (let late = this.late.shift(); late !== undefined; late = this.late.shift()) {
      late.answer()
      await new Promise(setImmediate)
    }
  }

  ask(key: Uint8Array, operation: Operation): Result {
    this.asked.push(operation.op)
    const held = this.held.get(nameOf(key))
    if (operation.op === "get") return held === undefined ? { kind: "missing" } : { kind: "value", ...held }
    if (operation.op === "ttl")
      return held === undefined ? { kind: "missing" } : { kind: "ttl", ttlMs: null, version: held.version }
    const { meanwhile } = this
    this.meanwhile = undefined
    meanwhile?.()
    if (operation.op === "group") {
      const step = operation.steps.findIndex(each => !this.#isMet(nameOf(each.key), each.operation.condition))
      if (step >= 0) return { kind: "group-unmet", step }
      for (const each of operation.steps) this.#write(nameOf(each.key), each.operation)
      return { kind: "group-done", version: this.#version }
    }
    if (operation.op !== "set" && operation.op !== "delete") throw new Error("nobody asks for it")
    if (!this.#isMet(nameOf(key), operation.condition)) return { kind: "unmet", version: held?.version ?? 0 }
    this.#write(nameOf(key), operation)
    if (operation.op === "set") return { kind: "stored", version: this.#version }
    return { kind: held === undefined ? "missing" : "deleted" }
  }

  #isMet(key: string, condition: Condition | null): boolean {
    const version = this.held.get(key)?.version
    if (condition?.if === "absent") return version === undefined
    return condition?.if === "version" ? version === condition.version : true
  }

  #write(key: string, operation: { readonly op: string; readonly value?: Uint8Array; readonly flags?: number }): void {
    if (operation.op === "delete") this.held.delete(key)
    else if (operation.value !== undefined) this.put(key, operation.value, operation.flags)
  }

  get cache(): LocalCache {
    return new LocalCache({
      status: () => ({}) as StatusReport, // nobody asks for it
      reads: () => ({ hits: 0, misses: 0 }),
      beforeInput: () => {},
      routes: () => undefined,
      callNow: (key, operation) => (this.isLate(nameOf(key), operation) ? undefined : this.ask(key, operation)),
      call: ({ key, operation }, done) => {
        const name = nameOf(key)
        const answer = () => done(this.failureOf(name, operation) ?? this.ask(key, operation))
        this.late.push({ key: name, operation, answer })
      },
    })
  }

  /** Of a connection. Nobody asks for its server and its channels. */
  context(cache = this.cache): Context {
    const client: Context["client"] = {
      ...{ id: 1, remote: "", local: "", connectedAtMs: 0, version: 2, name: "", library: { name: "", version: "" } },
      ...{ database: 0, lastCommand: "", activeAtMs: 0, channels: 0, patterns: 0, queued: undefined, watching: 0 },
      ...{ heldBytes: 0, unsentBytes: 0 },
    }
    const naming = () => {
      const { database } = client
      return (word: Buffer) => keyOfDatabase(database, word)
    }
    const [server, channels] = [{} as ServerView, {} as ClusterChannels]
    return { cache, client, server, channels, wallMs: 0, key: word => naming()(word), naming }
  }
}
