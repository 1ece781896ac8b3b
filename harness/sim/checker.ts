/**
 * What a checker is: it watches a run and says which promise was broken, when. One promise a file, in `checkers/`.
 */
import type { NodeEvent } from "../../src/core/ports.ts"
import type { GroupResult, KeyResult, NodeId, PeerMessage, Request, Seq } from "../../src/protocol/message.ts"
import type { SimulatedCluster } from "./cluster.ts"
import type { SimulatedProcess } from "./process.ts"

export type Checker = {
  event?(process: SimulatedProcess, event: NodeEvent): void
  /**
   * A process answers a request with what its execution gave. Looked at before the answer leaves: what holds at this
   * instant is what it rests on. The first to say so is the primary; others may pass it on.
   */
  answers?(process: SimulatedProcess, request: Request, result: KeyResult | GroupResult): void
  /** A message goes onto the wire: the very object that will arrive. */
  sent?(message: PeerMessage): void
  /** A message of another process has arrived, and is about to be taken. */
  received?(process: SimulatedProcess, from: NodeId, message: PeerMessage): void
  /** A process has dropped an entry for want of memory, by itself. */
  dropped?(process: SimulatedProcess, key: string, version: Seq): void
  /** Now and then, whatever happens. */
  glance?(): void
  /** The run is over, however it went. */
  atEnd?(): void
  /** Faults have ended, the cluster has come to rest, and all that clients asked is answered. */
  atRest?(): void
}

export type MakeChecker = (cluster: SimulatedCluster) => Checker
