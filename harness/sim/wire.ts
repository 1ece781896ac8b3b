/**
 * What happens to a message between its sender and its receiver. Handing over the very object is fastest; freezing it
 * first shows a node that writes to what it sent or got; passing it through the real codec shows what does not survive
 * the bytes.
 */
import { assert } from "../../src/base/assert.ts"
import {
  decodeForClient,
  decodeForNode,
  decodeLinkFrame,
  encodeClientFrame,
  encodeLinkFrame,
  packForClient,
  packForNode,
  packLinkMessage,
} from "../../src/protocol/codec.ts"
import { protoMax } from "../../src/protocol/limits.ts"
import type { ClientToNode, NodeId, NodeToClient, PeerMessage } from "../../src/protocol/message.ts"

export type WireKind = "shared" | "frozen" | "encoded"

export type Wire = {
  toPeer(message: PeerMessage, from: NodeId): PeerMessage
  toNode(message: ClientToNode): ClientToNode
  toClient(message: NodeToClient): NodeToClient
}

export function wireOf(kind: WireKind): Wire {
  switch (kind) {
    case "shared":
      return { toPeer: message => message, toNode: message => message, toClient: message => message }
    case "frozen":
      return { toPeer: frozen, toNode: frozen, toClient: frozen }
    case "encoded":
      return encoded
  }
}

const encoded: Wire = {
  toPeer: (message, from) => {
    const header = { proto: protoMax, clusterId: "", generation: 0, from, to: null }
    const decoded = decodeLinkFrame(encodeLinkFrame(header, [packLinkMessage(message)]))
    assert(decoded.kind === "frame", `a node's message is well-formed: ${JSON.stringify(decoded)}`)
    const arrived = decoded.messages[0]
    assert(arrived !== undefined && arrived.kind === message.kind, "it arrives as what it was")
    // Of the kind of a peer's message, hence one.
    return arrived as PeerMessage
  },
  toNode: message => {
    const decoded = decodeForNode(encodeClientFrame([packForNode(message)]))
    assert(decoded.kind === "messages", `a client's message is well-formed: ${JSON.stringify(decoded)}`)
    return theOne(decoded.messages)
  },
  toClient: message => {
    const decoded = decodeForClient(encodeClientFrame([packForClient(message)]))
    assert(decoded.kind === "messages", `an answer is well-formed: ${JSON.stringify(decoded)}`)
    return theOne(decoded.messages)
  },
}

function theOne<T>(messages: readonly T[]): T {
  const [message] = messages
  assert(message !== undefined && messages.length === 1, "one message was sent")
  return message
}

function frozen<T>(value: T): T {
  freeze(value)
  return value
}

function freeze(value: unknown): void {
  // Bytes cannot be frozen; a node that writes to them is found by the runs that encode.
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value) || Object.isFrozen(value)) return
  Object.freeze(value)
  for (const part of Object.values(value)) freeze(part)
}
