/**
 * A second, simple opinion beside the checker: after a run, does each key still hold what its last acknowledged write
 * left there? Necessary for linearizability and far from sufficient, but a reader can verify it by eye, and it names
 * the write that is gone.
 */
import { integerOf, type Operation } from "../checker/history.ts"

export type LostWrite = {
  readonly key: string
  /** What was read at the end; null: a miss. */
  readonly found: string | null
  /** What the last writes could have left there; null: a miss. */
  readonly expected: readonly (string | null)[]
}

/** `finals`: what was read of each key after all of `operations` had ended. */
export function lostWrites(
  operations: readonly Operation[],
  finals: readonly { readonly key: string; readonly value: string | null }[],
): LostWrite[] {
  const writesByKey = Map.groupBy(operations.filter(isWrite), operation => operation.key)
  return finals.flatMap(({ key, value }) => {
    const last = lastWrites(writesByKey.get(key) ?? [])
    if (last.some(write => leaves(write, value))) return []
    return [{ key, found: value, expected: last.map(left).filter(expected => expected !== undefined) }]
  })
}

type Write = Operation | "nothing written"

/** Those that no acknowledged write followed. Unknown outcomes stay among them: they may take effect at any time. */
function lastWrites(writes: readonly Operation[]): Write[] {
  const acknowledged = writes.filter(write => write.status === "ok")
  const lastCallNs = acknowledged.reduce((latest, write) => Math.max(latest, write.callNs), Number.NEGATIVE_INFINITY)
  const last = writes.filter(write => write.status === "info" || write.returnNs >= lastCallNs)
  return acknowledged.length === 0 ? [...last, "nothing written"] : last
}

function leaves(write: Write, value: string | null): boolean {
  const expected = left(write)
  return expected === undefined ? integerOf(value) !== undefined : expected === value
}

/** The value that a write leaves; undefined: some number. */
function left(write: Write): string | null | undefined {
  if (write === "nothing written" || write.op === "delete") return null
  if (write.op === "incr" && write.status === "info") return undefined
  return write.value
}

/** A condition that was not met, and what certainly had no effect, wrote nothing. */
function isWrite(operation: Operation): boolean {
  return operation.op !== "get" && operation.status !== "fail"
}
