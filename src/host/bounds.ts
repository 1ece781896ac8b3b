/** Bounds of a node's own connections: what each is for, and what happens there. */
import { maxFrameBytes } from "../protocol/limits.ts"

export type HostBounds = {
  /** A connection that has not greeted after so long is closed. */
  readonly greetingMs: number
  /** A dial that has not been answered by a greeting after so long is given up. */
  readonly dialMs: number
  /** The first redial comes so long after a failed one, doubling to `redialMaxMs`. */
  readonly redialMs: number
  readonly redialMaxMs: number
  /** Messages that wait for a connection are dropped after so long: what they say is old by then. */
  readonly queueMs: number
  /** What waits for one connection. Beyond: all of it is dropped, and counted as lost. */
  readonly queueBytes: number
  /** Bytes unsent on one connection: 8 MiB above the largest frame. Beyond: it is closed, and counted as lost. */
  readonly unsentBytes: number
  /**
   * Bytes unsent on a client's connection, less than `unsentBytes` by more than the largest answer. Beyond: nothing more that it asks
   * is begun, or read, until they are sent.
   */
  readonly fullBytes: number
  /** What a client asked, and was not begun for that reason, is too old after so long: the connection is closed. */
  readonly unbegunMs: number
  /** Clients' questions are worked on for so long in one turn of the event loop, and one client's for so long at a time. */
  readonly turnMs: number
  readonly shareMs: number
  /** When questions are so old by the time that they are taken up, those that have waited longest are refused, `busy`. */
  readonly patienceMs: number
  /**
   * What all clients' connections together may hold of frames of which something waits. Beyond: each may hold as much as if all shared
   * it evenly, and of what comes over one that holds more only what can be taken up at once is; the rest is refused, `busy`.
   */
  readonly waitingBytes: number
  /** Questions of clients that other nodes have forwarded, waiting, and their bytes. Beyond: `busy`. */
  readonly maxForwarded: number
  readonly forwardedBytes: number
  /** Something sent and nothing heard since for so long: ask for a sign of life. */
  readonly pingMs: number
  /** Still nothing heard: the connection is dead. Also how long a pause makes what lies in buffers too old to read. */
  readonly silenceMs: number
  /** The slowest connection that works: each so many unsent bytes allow one more ms of silence. */
  readonly slowestBytesPerMs: number
  /** The slowest frame that is waited for, beyond `silenceMs`. */
  readonly slowestFrameBytesPerMs: number
  /** What all clients' connections together, and all peers', may hold of frames that are not complete. Beyond: who holds most is cut off. */
  readonly heldBytes: number
  /** A connection to an address, not to a member, is closed when nothing passed for so long. */
  readonly idleMs: number
  /** The closing handshake may take so long; then the socket is destroyed. */
  readonly closingMs: number
  /** Connections of all kinds together. Beyond: turned away unheard. */
  readonly maxConnections: number
  /** Of these, clients'. Beyond: turned away, so that nodes, and those who look after them, find a place. */
  readonly maxClients: number
}

export const hostBounds: HostBounds = {
  greetingMs: 5_000,
  dialMs: 5_000,
  redialMs: 50,
  redialMaxMs: 1_000,
  queueMs: 500,
  queueBytes: 8 * 1024 * 1024,
  unsentBytes: maxFrameBytes + 8 * 1024 * 1024,
  fullBytes: 8 * 1024 * 1024,
  unbegunMs: 20_000,
  turnMs: 10,
  shareMs: 2,
  patienceMs: 500,
  waitingBytes: 128 * 1024 * 1024,
  maxForwarded: 4_096,
  forwardedBytes: 64 * 1024 * 1024,
  pingMs: 1_000,
  silenceMs: 5_000,
  slowestBytesPerMs: 1_024,
  slowestFrameBytesPerMs: 32,
  heldBytes: 128 * 1024 * 1024,
  idleMs: 10_000,
  closingMs: 1_000,
  maxConnections: 13_000,
  maxClients: 10_000,
}
