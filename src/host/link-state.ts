/**
 * The states of one link, the way from this node to one peer for one class of messages, and how they follow each other.
 * Also who wins when both ends dial at once. Pure: dials nothing, is told the time and the chance.
 */
import { unreachable } from "../base/assert.ts"
import type { NodeId } from "../protocol/message.ts"

/** `failures`: dials in a row that led to nothing, or to a connection that did not last. */
export type LinkState =
  | { readonly kind: "idle" }
  | { readonly kind: "dialing"; readonly failures: number; readonly giveUpAtMs: number }
  | { readonly kind: "open"; readonly dialedBy: "us" | "them"; readonly failures: number; readonly openedAtMs: number }
  /** `then`: whether to dial anyway, to learn what became of the peer, or when something is to be sent. */
  | {
      readonly kind: "waiting"
      readonly then: "redial" | "rest"
      readonly failures: number
      readonly redialAtMs: number
    }
  | { readonly kind: "closed" }

export type LinkEvent =
  | { readonly kind: "dial-requested" }
  /** Both ends have greeted. */
  | { readonly kind: "opened"; readonly dialedBy: "us" | "them" }
  /** The dial failed, or the connection ended. */
  | { readonly kind: "dropped" }
  /** The other end said why it wants no connection. */
  | { readonly kind: "turned-away" }
  | { readonly kind: "close-requested" }

export type LinkTimes = {
  readonly nowMs: number
  /** In [0, 1), drawn for this step. */
  readonly chance: number
  readonly dialMs: number
  readonly redialMs: number
  readonly redialMaxMs: number
}

export const idle: LinkState = { kind: "idle" }

/** A connection that lasted so long was a good one; one that ended sooner counts as a failed dial. */
const lastingMs = 1_000

/** One row per state, one decision per event; a pair that means nothing changes nothing. */
export function nextLinkState(state: LinkState, event: LinkEvent, times: LinkTimes): LinkState {
  if (event.kind === "close-requested") return { kind: "closed" }
  switch (state.kind) {
    case "idle":
      if (event.kind === "dial-requested") return dialing(0, times)
      return event.kind === "opened" ? opened(event.dialedBy, 0, times) : state
    case "dialing":
      if (event.kind === "opened") return opened(event.dialedBy, state.failures, times)
      return event.kind === "dial-requested" ? state : waiting("rest", state.failures + 1, times)
    case "open":
      // A peer that lost us dials anew before we notice: the newer connection stands.
      if (event.kind === "opened") return opened(event.dialedBy, 0, times)
      if (event.kind === "turned-away") return waiting("rest", state.failures + 1, times)
      if (event.kind !== "dropped") return state
      // Whether the peer's process is gone shows soonest by dialing again, at once where nothing is known against it.
      return times.nowMs - state.openedAtMs >= lastingMs
        ? { kind: "waiting", then: "redial", failures: 0, redialAtMs: times.nowMs }
        : waiting("redial", state.failures + 1, times)
    case "waiting":
      if (event.kind === "dial-requested" && times.nowMs >= state.redialAtMs) return dialing(state.failures, times)
      return event.kind === "opened" ? opened(event.dialedBy, state.failures, times) : state
    case "closed":
      return state
    default:
      return unreachable(state)
  }
}

function dialing(failures: number, times: LinkTimes): LinkState {
  return { kind: "dialing", failures, giveUpAtMs: times.nowMs + times.dialMs }
}

function opened(dialedBy: "us" | "them", failures: number, times: LinkTimes): LinkState {
  return { kind: "open", dialedBy, failures, openedAtMs: times.nowMs }
}

function waiting(then: "redial" | "rest", failures: number, times: LinkTimes): LinkState {
  // Delays double, with a random part. Without it, twenty nodes that lost the same peer would all knock in the same
  // millisecond when it returns.
  const delayMs = Math.min(times.redialMaxMs, times.redialMs * 2 ** (failures - 1)) * (0.5 + times.chance / 2)
  return { kind: "waiting", then, failures, redialAtMs: times.nowMs + delayMs }
}

/**
 * Whether a connection that the peer dialed becomes the one between the two.
 *
 * A peer dials when it has no connection, so whatever this node still holds of an older one is dead: the newer one is
 * taken. But when both dial at once, each would drop its own for the other's; then the dial of the lower id stands. Such
 * a tie shows as a dial under way, or as one of ours that was answered while the peer's own was still on its way here.
 */
export function contest(
  state: LinkState,
  { self, peer, nowMs, dialMs }: { self: NodeId; peer: NodeId; nowMs: number; dialMs: number },
): "take" | "refuse" {
  if (state.kind === "closed") return "refuse"
  if (peer < self) return "take"
  if (state.kind === "dialing") return "refuse"
  const isOurNewDial = state.kind === "open" && state.dialedBy === "us" && nowMs - state.openedAtMs < dialMs
  return isOurNewDial ? "refuse" : "take"
}
