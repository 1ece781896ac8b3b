/** How loudly, and how often, the log says what happens to a node. A kind of event without a level does not compile. */
import type { NodeEvent } from "../core/ports.ts"
import type { HostEvent } from "./host-event.ts"
import type { LogLevel } from "./log.ts"

export const eventLevels: { readonly [K in (NodeEvent | HostEvent)["kind"]]: LogLevel } = {
  "view-installed": "info",
  "cluster-formed": "info",
  joining: "info",
  awaiting: "warn",
  joined: "info",
  "join-refused": "warn",
  removed: "warn",
  suspected: "info",
  "death-known": "info",
  proposed: "debug",
  "snapshot-refused": "warn",
  recovered: "warn",
  "left-behind": "error",
  // Every change of the voters may cost a lease for a moment; what anybody feels is a minority.
  "lease-lost": "info",
  "lease-gained": "info",
  minority: "warn",
  "majority-again": "warn",
  "shard-orphaned": "error",
  "data-loss": "error",
  disputed: "error",
  forked: "error",
  "self-distrust": "info",
  "leave-progress": "info",
  left: "info",
  stopped: "info",
  "may-end": "info",
  resuming: "info",
  resumed: "info",
  "resume-refused": "warn",
  "copies-complete": "info",

  "link-opened": "debug",
  "link-ended": "debug",
  "link-refused": "warn",
  "turned-away": "warn",
  "unsupported-messages": "warn",
  "message-too-large": "error",
  "client-ended": "info",
  "connection-refused": "warn",
  paused: "warn",
  "snapshot-written": "info",
  "snapshot-not-written": "error",
  "snapshot-read": "info",
  "snapshot-unusable": "warn",
}

/** What makes two events the same to a reader; undefined: each is news. */
export function repeatKey(event: NodeEvent | HostEvent): string | undefined {
  switch (event.kind) {
    case "join-refused":
      return `${event.kind} ${event.reason} ${event.from}`
    case "self-distrust":
      return event.kind
    case "link-refused":
      return `${event.kind} ${event.reason} ${hostOf(event.remote)}`
    case "turned-away":
      return `${event.kind} ${event.reason} ${event.peer}`
    case "connection-refused":
      return `${event.kind} ${event.reason} ${hostOf(event.remote)}`
    case "unsupported-messages":
      return `${event.kind} ${event.peer}`
    case "message-too-large":
      return `${event.kind} ${event.message} ${event.to}`
    default:
      return undefined
  }
}

/** Whoever dials again does so from another port. */
function hostOf(remote: string): string {
  return remote.slice(0, remote.lastIndexOf(":"))
}
