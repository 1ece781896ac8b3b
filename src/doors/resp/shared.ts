/** What the connections of the Redis door share: one writer, counts, a bound on what they keep in memory together. */
import { assert } from "../../base/assert.ts"
import type { LocalCache } from "../local-cache.ts"
import type { ClusterChannels } from "./cluster-channels.ts"
import type { ServerView } from "./command.ts"
import type { HalfCommands } from "./half-commands.ts"
import type { ReplyWriter } from "./reply.ts"

export type Shared = {
  readonly cache: LocalCache
  readonly server: ServerView
  readonly channels: ClusterChannels
  readonly writer: ReplyWriter
  readonly turnEnd: TurnEnd
  readonly memory: Memory
  readonly counts: RespCounts
  readonly halves: HalfCommands<Half>
  /** Something is under way that is to be looked at now and then. */
  readonly busy: () => void
  readonly wallMs: () => number
  readonly nowMs: () => number
  /** Before anything is done with what arrived. */
  readonly beforeInput: () => void
  /** An exception that is nobody's wrong input. */
  readonly failed: (error: unknown) => void
}

/** A connection that has begun a command. */
export type Half = { readonly heldBytes: number; endHalf(): void }

/** Why a connection was ended, or refused, by this side. */
export type Cutoff = "too-many-connections" | "protocol-error" | "memory" | "slow-reader" | "half-command"

/** Since the door was opened. */
export type RespCounts = {
  connections: number
  /** By the index of the command. */
  readonly commands: number[]
  unknownCommands: number
  /** Replies that were errors. */
  errors: number
  readonly cutoffs: Map<Cutoff, number>
}

/** What several connections keep together. */
export type SharedBytes = { readonly bytes: number; holders: number }

/**
 * Bytes of half commands, of commands that are queued or under way, and of replies and messages that nobody has read yet, of all
 * connections. A message counts once however many have yet to take it.
 */
export class Memory {
  readonly #maxBytes: number
  #bytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Then each connection makes do with little. */
  get isCrowded(): boolean {
    return this.#bytes > this.#maxBytes
  }

  change(bytes: number): void {
    this.#bytes += bytes
  }

  hold(shared: SharedBytes): void {
    if (shared.holders === 0) this.#bytes += shared.bytes
    shared.holders += 1
  }

  release(shared: SharedBytes): void {
    assert(shared.holders > 0, "only what is held is released")
    shared.holders -= 1
    if (shared.holders === 0) this.#bytes -= shared.bytes
  }
}

/** Work for the end of this turn of the event loop: what was answered in it leaves in one write of each connection. */
export class TurnEnd {
  #due: (() => void)[] = []

  defer(step: () => void): void {
    if (this.#due.length === 0) setImmediate(() => this.#run())
    this.#due.push(step)
  }

  #run(): void {
    const due = this.#due
    this.#due = []
    for (const step of due) step()
  }
}
