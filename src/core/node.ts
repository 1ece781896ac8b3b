/** The node: receives an event, hands it to the part that owns it. (Being written; this is its public shape.) */
import type { Config } from "../config.ts"
import type { Prng } from "../base/prng.ts"
import type { Address, ClientToNode, MemberInfo, NodeId, PeerMessage, ShardId, StatusReport, View } from "../protocol/message.ts"
import type { ConnectionId, NodePorts } from "./ports.ts"
import type { Rules } from "./rules.ts"

export type NodeOptions = {
  readonly config: Config
  readonly self: MemberInfo
  /** Build version, for status reports. */
  readonly version: string
  /** Addresses of other nodes; empty: form a cluster with `clusterId` and `hashKey`. Its own address counts as none. */
  readonly seeds: readonly Address[]
  readonly newCluster: { readonly clusterId: string; readonly hashKey: readonly [number, number] }
  /** A joiner that asks for another number of copies is refused; null: whatever the cluster has. */
  readonly wantedCopies: number | null
  readonly ports: NodePorts
  readonly prng: Prng
  /** Monotonic milliseconds of this machine. */
  readonly now: () => number
  readonly rules: Rules
}

export declare class CacheNode {
  constructor(options: NodeOptions)
  readonly id: NodeId
  /** The newest view that this node has installed. */
  get view(): View | undefined
  /** Empty until known. */
  get clusterId(): string
  get generation(): number
  get phase(): "joining" | "member" | "leaving" | "left"
  /** Where to dial a member; undefined: not known. */
  addressOf(id: NodeId): Address | undefined
  /** Forms a cluster, or begins to join one. Call once, when the ports are ready. */
  start(): void
  /** To be called every `config.tickMs`. */
  tick(): void
  receive(from: NodeId, message: PeerMessage): void
  clientMessage(connection: ConnectionId, message: ClientToNode): void
  clientGone(connection: ConnectionId): void
  /** A connection to this peer broke: what was under way on it is lost. */
  linkLost(peer: NodeId): void
  /** A connection to this peer broke and redialing was refused: nobody listens there. */
  peerRefused(peer: NodeId): void
  /** The machine slept: its monotonic clock stood still while others' ran. All grants count as lost. */
  clockJumped(): void
  /** Hands its data over and leaves; events `leave-progress` and `left` follow. */
  leave(): void
  status(): StatusReport
  /** Whether an operation on this shard would be answered now. For checkers. */
  serves(shard: ShardId): boolean
}
