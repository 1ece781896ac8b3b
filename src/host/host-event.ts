/** What happens to a node's connections, for the log. Like the core's events: fixed names, numbers with units. */
import type { Address, Goodbye, LinkClass, NodeId } from "../protocol/message.ts"
import type { SocketEnd } from "./frame-socket.ts"

export type HostEvent =
  | { kind: "link-opened"; peer: NodeId; link: LinkClass; dialedBy: "us" | "them" }
  | { kind: "link-ended"; peer: NodeId | Address; link: LinkClass; why: SocketEnd["kind"]; detail: string }
  /** We turned the other end away. */
  | { kind: "link-refused"; remote: string; reason: Goodbye["reason"]; detail: string }
  /** The other end turned us away. */
  | { kind: "turned-away"; peer: NodeId | Address; reason: Goodbye["reason"]; detail: string }
  /** Kinds of messages that this build does not know were skipped. */
  | { kind: "unsupported-messages"; peer: NodeId; numbers: readonly number[] }
  /** A message that no frame can hold was not sent. */
  | { kind: "message-too-large"; to: NodeId | Address; message: string; bytes: number }
  | { kind: "client-ended"; remote: string; why: SocketEnd["kind"]; detail: string }
  | { kind: "connection-refused"; remote: string; reason: string }
  | { kind: "paused"; pausedForMs: number }
  /** After a planned stop: what this node held is on its disk. */
  | { kind: "snapshot-written"; path: string; entries: number; bytes: number; tookMs: number }
  /** It is not, and this node tries again. */
  | { kind: "snapshot-not-written"; path: string; detail: string }
  | { kind: "snapshot-read"; entries: number; tookMs: number }
  /** This node begins as a new one, empty. */
  | { kind: "snapshot-unusable"; detail: string }

/** One word more than its kind, for people. */
export function detailOf(end: SocketEnd): string {
  switch (end.kind) {
    case "refused":
      return "nobody listens there"
    case "overflow":
      return `${end.unsentBytes} bytes unsent`
    case "silent":
      return `nothing heard for ${Math.round(end.silentForMs)} ms`
    case "closed-by-peer":
      return end.detail === "" ? `code ${end.code}` : `code ${end.code}, ${end.detail}`
    default:
      return end.detail
  }
}
