/** Which of the two connections between a pair of nodes a message takes: control is never behind bulk data. */
import type { ChannelMessage, DataMessage, LinkClass, PeerMessage } from "./message.ts"

// Spelled out, so that a new kind does not compile before somebody has decided.
const isData: { readonly [K in (DataMessage | ChannelMessage)["kind"]]: true } = {
  repl: true,
  "repl-ack": true,
  stale: true,
  sync: true,
  "sync-ack": true,
  "transfer-begin": true,
  "transfer-chunk": true,
  "transfer-ack": true,
  forget: true,
  forward: true,
  "forward-reply": true,
  "channel-ask": true,
  "channel-told": true,
}

export function linkClassOf(kind: (PeerMessage | ChannelMessage)["kind"]): LinkClass {
  return Object.hasOwn(isData, kind) ? "data" : "control"
}
