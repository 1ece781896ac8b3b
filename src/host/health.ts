/** Whether a node can serve, in a status of HTTP and one line: for load balancers, supervisors and container engines. */
import type { Epoch, StatusReport } from "../protocol/message.ts"

export type Health = {
  readonly phase: StatusReport["phase"]
  readonly hasLease: boolean
  /** 0: no view. */
  readonly epoch: Epoch
  /** Since it became a member there was a moment when all copies of everything were there, its own among them. */
  readonly hasSettled: boolean
}

/** `undefined`: too early to say. */
export function healthAnswer(health: Health | undefined): { readonly status: 200 | 503; readonly line: string } {
  if (health === undefined) return { status: 503, line: "starting" }
  const { phase, hasLease, epoch } = health
  switch (phase) {
    case "joining":
      return { status: 503, line: "joining: not a member of a cluster yet" }
    case "leaving":
      return { status: 503, line: "leaving: it hands its data over; ask another node" }
    case "stopped":
      return { status: 503, line: "stopped: the whole cluster was, and this node writes down what it holds" }
    case "resuming":
      return { status: 503, line: "resuming: it waits for the other members to start again" }
    case "left":
      return { status: 503, line: "left: it is no member any more" }
    case "member":
      if (hasLease) return { status: 200, line: `ok: a member at epoch ${epoch}` }
      return { status: 503, line: "no lease: it does not hear from a majority of the voters, and refuses everything" }
  }
}

/**
 * Whether requests should be sent here. Stricter than health: a member that was never filled is none to count on when the
 * next one is stopped. Once it was, it stays ready while copies that others lost are made again: a load balancer that then
 * dropped every node would make a small failure a large one.
 */
export function readinessAnswer(health: Health | undefined): { readonly status: 200 | 503; readonly line: string } {
  const answer = healthAnswer(health)
  if (answer.status === 200 && health?.hasSettled === false)
    return { status: 503, line: "filling: not all copies are there yet" }
  return answer
}
