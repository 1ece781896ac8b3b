/**
 * Which acknowledged writes are gone at the end of a run. Coarser than linearizability and easier to believe: a write
 * counts as lost when a read that began after everything else had returned shows what was there before that write.
 */
import type { NumberedOperation } from "./explain.ts"
import type { Operation } from "./history.ts"
import { integerOf } from "./history.ts"
import { byKey, numbered } from "./linearizability.ts"
import type { Memory } from "./model.ts"

export type LostWrite = { readonly write: NumberedOperation; readonly shownBy: NumberedOperation }

/**
 * `readBackFromNs`: from then on there were only reads. Where nodes forget, a miss shows nothing. Values should be written once each: where the value that is
 * shown was written again, or may have been by an operation with an unknown outcome, nothing is counted.
 */
export function lostWrites(
  history: readonly Operation[],
  options: { readonly readBackFromNs: number; readonly memory: Memory },
): LostWrite[] {
  const lost: LostWrite[] = []
  for (const indexes of byKey(history).values()) {
    const operations = numbered(history, indexes)
    const writes = operations.filter(({ op, status }) => op !== "get" && status !== "fail")
    const seen = new Map<number, LostWrite>()
    for (const read of operations) {
      if (read.op !== "get" || read.status !== "ok" || read.callNs < options.readBackFromNs) continue
      if (read.value === null && options.memory === "forgetful") continue
      const shownUntilNs = lastWrittenNs(read.value, writes)
      if (shownUntilNs === undefined) continue
      for (const write of writes)
        if (write.status === "ok" && write.callNs > shownUntilNs && write.returnNs < read.callNs)
          if (!seen.has(write.number)) seen.set(write.number, { write, shownBy: read })
    }
    lost.push(...seen.values())
  }
  return lost.sort((a, b) => a.write.number - b.write.number)
}

/** When the value was written at the latest; undefined: by nobody, so that it is no older state but a wrong one. */
function lastWrittenNs(value: string | null, writes: readonly Operation[]): number | undefined {
  // Every key begins without a value.
  let latestNs = value === null ? -Infinity : undefined
  for (const write of writes) {
    const isUnknownSum = write.op === "incr" && write.status === "info"
    const isMaker = isUnknownSum
      ? integerOf(value) !== undefined
      : write.op === "delete"
        ? value === null
        : write.op !== "get" && write.value === value
    if (isMaker) latestNs = Math.max(latestNs ?? -Infinity, write.status === "info" ? Infinity : write.returnNs)
  }
  return latestNs
}
