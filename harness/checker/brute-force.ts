/**
 * Linearizability by its definition: try every order. Shares nothing with the real checker, knows nothing clever, and
 * is the judge of it in tests. Exponential: for a dozen operations of one key.
 */
import type { Operation } from "./history.ts"
import type { Memory } from "./model.ts"

export function isLinearizableByBruteForce(operations: readonly Operation[], memory: Memory): boolean {
  const failed = new Set<string>()
  return canGoOn(
    operations.map((_, index) => index),
    null,
  )

  function canGoOn(left: readonly number[], register: string | null): boolean {
    const of = (index: number) => operations[index] as Operation // all are indexes of operations
    if (left.every(index => of(index).status === "info")) return true
    const here = JSON.stringify([left, register])
    if (failed.has(here)) return false
    const isExplicable = left.some(next => {
      const isFirstPossible = left.every(other => of(other).status === "info" || of(other).returnNs >= of(next).callNs)
      if (!isFirstPossible) return false
      const rest = left.filter(other => other !== next)
      return outcomes(of(next), register, memory).some(after => canGoOn(rest, after))
    })
    if (!isExplicable) failed.add(here)
    return isExplicable
  }
}

/** What the register may be after the operation happens now, answering as it did; empty: it cannot happen now. */
function outcomes(operation: Operation, register: string | null, memory: Memory): (string | null)[] {
  const found = memory === "strict" ? [register] : [register, null]
  return found.flatMap(seen => {
    const wouldBe = perform(operation, seen)
    if (operation.status === "info") return wouldBe.writes === undefined ? [register] : [wouldBe.writes]
    const isCondition = operation.op === "add" || operation.op === "cas"
    if (operation.status === "fail" && !isCondition) return [register]
    if (isCondition && wouldBe.isMet !== (operation.status === "ok")) return []
    if (operation.op === "get" && operation.value !== seen) return []
    if (operation.op === "incr" && operation.value !== wouldBe.writes) return []
    if (operation.op === "delete" && operation.found !== undefined && operation.found !== (seen !== null)) return []
    return [wouldBe.writes === undefined ? register : wouldBe.writes]
  })
}

/** What the operation does to a key in which it sees this. */
export function perform(operation: Operation, seen: string | null): { isMet: boolean; writes?: string | null } {
  switch (operation.op) {
    case "get":
      return { isMet: true }
    case "set":
      return { isMet: true, writes: operation.value }
    case "delete":
      return { isMet: true, writes: null }
    case "add":
      return seen === null ? { isMet: true, writes: operation.value } : { isMet: false }
    case "cas":
      return seen === operation.expected ? { isMet: true, writes: operation.value } : { isMet: false }
    case "incr":
      if (seen !== null && !/^-?\d+$/.test(seen)) return { isMet: false }
      return { isMet: true, writes: String(Number(seen ?? 0) + operation.by) }
  }
}
