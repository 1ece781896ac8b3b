/** How loudly the log says what happens to a node. A kind of event without a level does not compile. */
import type { NodeEvent } from "../core/ports.ts"
import type { HostEvent } from "./host-event.ts"
import type { LogLevel } from "./log.ts"

export const eventLevels: { readonly [K in (NodeEvent | HostEvent)["kind"]]: LogLevel } = {
  "view-installed": "info",
  "cluster-formed": "info",
  joining: "info",
  joined: "info",
  "join-refused": "warn",
  removed: "warn",
  suspected: "info",
  proposed: "debug",
  "lease-lost": "warn",
  "lease-gained": "info",
  "shard-orphaned": "error",
  "data-loss": "error",
  forked: "error",
  "self-distrust": "warn",
  "leave-progress": "info",
  left: "info",
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
}
