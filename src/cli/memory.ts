/**
 * How much memory a node takes when nobody says: a quarter of what the machine, or the container, has; a sixteenth
 * when the node shares the machine, which is what a taken default port means. So four nodes started without a thought
 * fit one machine, and one node alone makes some use of it.
 */

export type Machine = {
  readonly totalBytes: number
  /** Limit of the control group that the process runs in; undefined: none. */
  readonly limitBytes: number | undefined
}

const smallestBytes = 16 * 1024 * 1024

export function defaultMemoryBytes(machine: Machine, node: "alone" | "sharing"): number {
  const availableBytes = Math.min(machine.totalBytes, machine.limitBytes ?? Number.POSITIVE_INFINITY)
  const share = node === "alone" ? 1 / 4 : 1 / 16
  return Math.max(smallestBytes, Math.floor(availableBytes * share))
}
