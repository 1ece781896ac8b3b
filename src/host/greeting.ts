/**
 * What two nodes check of each other before, and while, they exchange anything else: that they speak a common version,
 * belong to one cluster, and mean each other. Pure.
 */
import type { FrameHeader } from "../protocol/codec.ts"
import { protoMax, protoMin } from "../protocol/limits.ts"
import type { ChannelMessage, Goodbye, Hello, NodeId, PeerMessage } from "../protocol/message.ts"

/** What a node knows of itself when it greets. */
export type Identity = {
  readonly id: NodeId
  /** Empty while unknown: such a node takes up with any cluster. */
  readonly clusterId: string
  readonly generation: number
}

export type Refused = Pick<Goodbye, "reason" | "detail">

/** Why this frame is not for this node, or not from its cluster. */
export function headerProblem(self: Identity, header: FrameHeader): Refused | undefined {
  if (header.to !== null && header.to !== self.id)
    return { reason: "not-for-me", detail: `this is node ${self.id}, not ${header.to}` }
  return clusterProblem(self, header)
}

/** Why no connection comes of this greeting. */
export function helloProblem(self: Identity, header: FrameHeader, hello: Hello): Refused | undefined {
  if (hello.id !== header.from) return { reason: "malformed", detail: "the greeting names another node than its frame" }
  if (hello.id === self.id) return { reason: "not-for-me", detail: "this is the node that dials" }
  if (hello.protoMax < protoMin || hello.protoMin > protoMax)
    return {
      reason: "unsupported-proto",
      detail: `this node speaks versions ${protoMin} to ${protoMax}, the other ${hello.protoMin} to ${hello.protoMax}`,
    }
  return clusterProblem(self, hello)
}

/** The newest version that both understand. */
export function commonProto(hello: Hello): number {
  return Math.min(protoMax, hello.protoMax)
}

/** By these a node of an earlier generation finds its way into the later one; everything else between the two is of another life. */
export function crossesGenerations(kind: (PeerMessage | ChannelMessage)["kind"]): boolean {
  switch (kind) {
    case "join-request":
    case "join-refused":
    case "try-also":
    case "dial-back":
    case "dial-back-ok":
    case "view-snapshot":
    case "resuming":
      return true
    default:
      return false
  }
}

/** Messages of another life of the cluster are dropped; the connection may stand, since both may meet in the newer one. */
export function isOtherGeneration(self: Identity, header: FrameHeader): boolean {
  return self.clusterId !== "" && header.clusterId !== "" && header.generation !== self.generation
}

function clusterProblem(self: Identity, other: { readonly clusterId: string }): Refused | undefined {
  if (self.clusterId === "" || other.clusterId === "" || self.clusterId === other.clusterId) return undefined
  return { reason: "wrong-cluster", detail: `this node belongs to cluster ${self.clusterId}, not ${other.clusterId}` }
}
