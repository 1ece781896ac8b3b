/** What a command of this door is: a row of the table that `COMMAND` tells of, and how it is carried out. */
import type { LocalCache } from "../local-cache.ts"
import type { Soon } from "../soon.ts"
import type { ClusterChannels } from "./cluster-channels.ts"
import type { Subcommand } from "./subcommands.ts"
import type { KeyState } from "./key-state.ts"
import type { Reply, RespVersion } from "./reply.ts"
import type { Memory, RespCounts } from "./shared.ts"

/** What commands know of the connection that they came by. */
export type ClientState = {
  readonly id: number
  readonly remote: string
  readonly local: string
  readonly connectedAtMs: number
  version: RespVersion
  name: string
  library: { name: string; version: string }
  /** 0 to 15. */
  database: number
  lastCommand: string
  activeAtMs: number
  /** Channels and patterns that it is subscribed to. */
  channels: number
  patterns: number
  /** Commands of the transaction that it has begun; undefined: none. */
  queued: number | undefined
  watching: number
  /** Of half a command, and of replies that it has not taken. */
  heldBytes: number
  unsentBytes: number
}

export type Context = {
  readonly cache: LocalCache
  readonly client: ClientState
  readonly server: ServerView
  readonly channels: ClusterChannels
  /** Milliseconds since 1970, by this machine's clock. */
  readonly wallMs: number
  /** The name under which the key lies in the cache: that of the database that is selected now. */
  key(word: Buffer): Uint8Array
  /** The same for as long as a command takes, whatever is selected meanwhile. */
  naming(): (word: Buffer) => Uint8Array
}

/** What commands about the server need of the door. */
export type ServerView = {
  readonly startedAtMs: number
  readonly version: string
  readonly port: number
  clients(): readonly ClientState[]
  /** Since the door was opened. */
  readonly counts: RespCounts
  readonly memory: Memory
  readonly maxConnections: number
  callsByCommand(): readonly (readonly [name: string, calls: number])[]
}

export type Arguments = readonly Buffer[]

export type Command = {
  /** Lower case. */
  readonly name: string
  /** Words, the name included; negative: that many at least. */
  readonly arity: number
  /** Where the keys are, counted from 1; `last` -1: to the end. First 0: none. */
  readonly keys: { readonly first: number; readonly last: number; readonly step: number }
  readonly flags: readonly string[]
  readonly group: "string" | "generic" | "connection" | "server" | "transactions" | "pubsub"
  readonly summary: string
  /** The version of Redis that it came with; undefined: the first. */
  readonly since?: string
  /** Concerns keys that it does not name: nothing else of its connection is under way at the same time. */
  readonly isWhole?: true
  /** Tells others, who may look at keys then: they are to find what its connection wrote before. */
  readonly isNews?: true
  /** In the older version of the protocol a connection that listens takes little else. */
  readonly isAllowedWhileSubscribed?: true
  readonly subcommands?: Readonly<Record<string, Subcommand>>
} & (
  | { readonly run: Run; readonly transact?: OnKey | OnKeys; readonly own?: undefined }
  /** Looks at its keys and changes them, nothing else: so it can be part of a transaction, too. */
  | { readonly run?: undefined; readonly transact: OnKey | OnKeys; readonly own?: undefined }
  /** Changes how the commands after it are taken: the connection itself carries it out. */
  | { readonly run?: undefined; readonly transact?: undefined; readonly own: OwnCommand }
)

export type Run = (context: Context, args: Arguments) => Soon<Reply>
export type OwnCommand =
  | ("quit" | "reset" | "multi" | "exec" | "discard" | "watch" | "unwatch")
  | ("subscribe" | "unsubscribe" | "psubscribe" | "punsubscribe")

/** What a command makes of one key, its first word. */
export type OnKey = {
  readonly needs: "value" | "value-and-ttl"
  /** `args` without the name. Pure but for `state`: it is repeated when the key changed meanwhile. Throws `CommandError`. */
  readonly work: (state: KeyState, args: Arguments, wallMs: number) => Reply
}

/** What a command makes of several keys, in one step if one node leads them all. */
export type OnKeys = {
  readonly needs: "value" | "value-and-ttl"
  /** `stateOf`: of a word that is one of its keys. */
  readonly workOnAll: (stateOf: (word: Buffer) => KeyState, args: Arguments, wallMs: number) => Reply
}

/** The words of a command that are keys; `args` without the name. */
export function keyWordsOf({ keys: { first, last, step } }: Pick<Command, "keys">, args: Arguments): Buffer[] {
  if (first === 0) return []
  const end = last < 0 ? args.length + 1 + last : last
  const words: Buffer[] = []
  for (let i = first; i <= end; i += step) {
    const word = args[i - 1]
    if (word !== undefined) words.push(word)
  }
  return words
}

export const oneKey = { first: 1, last: 1, step: 1 } as const
export const allKeys = { first: 1, last: -1, step: 1 } as const
export const noKeys = { first: 0, last: 0, step: 0 } as const
