/** Whether a node can serve, in a status of HTTP and one line: for load balancers, supervisors and container engines. */
import type { Epoch, StatusReport } from "../protocol/message.ts"

export type Health = {
  readonly phase: StatusReport["phase"]
  readonly hasLease: boolean
  /** 0: no view. */
  readonly epoch: Epoch
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
    case "left":
      return { status: 503, line: "left: it is no member any more" }
    case "member":
      if (hasLease) return { status: 200, line: `ok: a member at epoch ${epoch}` }
      return { status: 503, line: "no lease: it does not hear from a majority of the voters, and refuses everything" }
  }
}
