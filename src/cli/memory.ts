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

/** Of a whole process: of less there would be too little left to be a cache. */
export const smallestMemoryBytes = 16 * 1024 * 1024

/**
 * What a node takes with nothing in it: 100 to 120 MiB resident, most of it the program itself, and what is under way
 * between sockets and entries.
 */
export const processBytes = 128 * 1024 * 1024

/** Of the memory of the whole process, what entries may take. With little of it that is a quarter, and the process takes more than it was told. */
export function memoryForEntries(memoryBytes: number): number {
  return Math.max(memoryBytes - processBytes, Math.floor(memoryBytes / 4))
}

/** Whether the process takes more than this by itself. */
export function isTooLittle(memoryBytes: number): boolean {
  return memoryBytes - processBytes < memoryBytes / 4
}

/** What a process can have at most, on this machine or in this container. */
export function availableBytes({ totalBytes, limitBytes }: Machine): number {
  return Math.min(totalBytes, limitBytes ?? Number.POSITIVE_INFINITY)
}

export function defaultMemoryBytes(machine: Machine, node: "alone" | "sharing"): number {
  const share = node === "alone" ? 1 / 4 : 1 / 16
  return Math.max(smallestMemoryBytes, Math.floor(availableBytes(machine) * share))
}
