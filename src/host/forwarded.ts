/**
 * What other nodes forward for their clients: waits its turn like what a client asks, so as not to be in the way of what these nodes
 * say themselves. Their links are read on meanwhile, so that what waits is bounded here, in number and in bytes.
 */
import { packLinkMessage } from "../protocol/codec.ts"
import type { NodeId, PeerMessage } from "../protocol/message.ts"
import { Backlog, type BacklogOptions } from "./backlog.ts"
import type { HostBounds } from "./bounds.ts"

export type Forward = Extract<PeerMessage, { kind: "forward" }>
type From = { readonly from: NodeId; readonly message: Forward }

export type ForwardedOptions = {
  readonly take: (from: NodeId, message: Forward) => void
  /** Instead, for want of time or room. */
  readonly refuse: (from: NodeId, message: Forward) => void
  readonly turns: BacklogOptions<From>["turns"]
  readonly nowMs: () => number
  readonly bounds: Pick<HostBounds, "patienceMs" | "maxForwarded" | "forwardedBytes">
}

export class Forwarded {
  readonly #bounds: ForwardedOptions["bounds"]
  readonly #backlog: Backlog<From>

  constructor({ take, refuse, turns, nowMs, bounds }: ForwardedOptions) {
    this.#bounds = bounds
    this.#backlog = new Backlog({
      turns,
      take: ({ from, message }) => take(from, message),
      refuse: ({ from, message }) => refuse(from, message),
      mayAnswer: () => true,
      pause: () => {},
      resume: () => {},
      nowMs,
      lagMs: () => 0,
      forgetLag: () => {},
      patienceMs: bounds.patienceMs,
    })
  }

  receive(from: NodeId, message: Forward): void {
    const { forwardedBytes, maxForwarded } = this.#bounds
    const { bytes } = packLinkMessage(message)
    const hasRoom = this.#backlog.length < maxForwarded && this.#backlog.bytes + bytes <= forwardedBytes
    this.#backlog.add([{ from, message }], { bytes, otherwise: hasRoom ? "wait" : "refuse" })
  }

  /** Nothing of it is wanted any more. */
  close(): void {
    this.#backlog.close()
  }
}
