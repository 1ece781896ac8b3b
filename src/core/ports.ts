/**
 * The whole border between a node and the world: what it may do (`NodePorts`), and what it says of itself
 * (`NodeEvent`). Calls take effect at once and return nothing that must be awaited, so that what a step checked at its
 * top still holds at its bottom.
 */
import type { Address, Epoch, JoinRefusal, NodeId, NodeToClient, PeerMessage, ShardId } from "../protocol/message.ts"

/** Names one client connection of this node; chosen by the host, never reused. */
export type ConnectionId = number

export interface NodePorts {
  /** Queues a message to a member, or to a process that has a connection to us. Lost when there is no way to it. */
  send(to: NodeId, message: PeerMessage): void
  /** The same over a connection dialed to exactly this address, whoever answers there. */
  sendToAddress(address: Address, message: PeerMessage): void
  sendToClient(connection: ConnectionId, message: NodeToClient): void
  event(event: NodeEvent): void
  /** The next `tick` is wanted at `CacheNode.tickAtMs`, which is sooner now than it was. */
  tickSooner(): void
  /**
   * Puts what this node started from where no start finds it; `snapshotClaimed` is to be called when that would outlast the
   * loss of power. Asked of a node that resumes, once.
   */
  claimSnapshot(): void
}

/** What happens to a node, for the log, the command line and the simulator's trace. Fixed names, numbers with units. */
export type NodeEvent =
  | {
      kind: "view-installed"
      epoch: Epoch
      membersEpoch: Epoch
      members: number
      joined: NodeId[]
      gone: NodeId[]
      gap: boolean
      underReplicated: number
    }
  | { kind: "cluster-formed"; clusterId: string }
  | { kind: "joining"; asking: Address[] }
  /** Restarted: before a new cluster is formed, or the old one resumed, there must be a process at these addresses, too. */
  | { kind: "awaiting"; missing: Address[]; to: "form" | "resume" }
  | { kind: "joined"; epoch: Epoch; members: number }
  | { kind: "join-refused"; reason: JoinRefusal; detail: string; from: NodeId }
  /** The view no longer names this node; it asks to be admitted again. */
  | { kind: "removed"; epoch: Epoch; orphansHeld: number }
  | { kind: "suspected"; subject: NodeId; silentForMs: number }
  /** It was seen to be gone, or an operator vouched for that. */
  | { kind: "death-known"; peer: NodeId }
  | { kind: "proposed"; epoch: Epoch; commands: string[] }
  /** By an operator's word: this node and those that it hears are a new generation of the cluster. */
  | { kind: "recovered"; generation: number; members: number }
  /** The cluster went on as another generation, without what this node knows. */
  | { kind: "left-behind"; generation: number; epoch: Epoch }
  | { kind: "lease-lost" }
  | { kind: "lease-gained" }
  /** Without a lease for so long that operations are refused; and that is over. */
  | { kind: "minority"; voters: number }
  | { kind: "majority-again"; afterMs: number }
  | { kind: "shard-orphaned"; shards: ShardId[] }
  | { kind: "data-loss"; shards: ShardId[]; epoch: Epoch }
  /** The peer makes another view of the same commands than this node: they are of different builds, or one is broken. */
  | { kind: "disputed"; epoch: Epoch; peer: NodeId }
  /** The decided view is not what this node makes of its commands; it refuses everything. */
  | { kind: "forked"; epoch: Epoch; peer: NodeId }
  | { kind: "self-distrust"; lateByMs: number }
  /** A peer sent a view that cannot be. */
  | { kind: "snapshot-refused"; from: NodeId; problem: string }
  | { kind: "leave-progress"; shardsLeft: number }
  /** The node is no longer a member and may exit; `last`: nobody is left to hand data to. */
  | { kind: "left"; last: boolean }
  /** A stop was decided, and nothing changes here any more: what this node holds can be written down. */
  | { kind: "stopped"; epoch: Epoch }
  /** The others know of the stop, as far as they can be told: the process may end. */
  | { kind: "may-end" }
  /** Started with what it wrote down at a stop, it asks for the other members. */
  | { kind: "resuming"; epoch: Epoch; members: number }
  /** The cluster goes on where it stopped; `gone`: without these. */
  | { kind: "resumed"; epoch: Epoch; members: number; gone: NodeId[] }
  /** It has gone on without this node, or stopped again since: what this node started from is out of date. */
  | { kind: "resume-refused"; stoppedEpoch: Epoch; generation: number; epoch: Epoch }
  /** All copies of all shards are there. */
  | { kind: "copies-complete"; epoch: Epoch }
