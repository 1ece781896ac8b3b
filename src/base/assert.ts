/**
 * Assertions that stay on in the shipped binary. A cache node that has lost track of itself is better gone than wrong:
 * its replicas hold copies.
 */

/** What `assert` throws; the host turns it into a crash with its own exit code, the simulator into a violation. */
export class AssertionFailure extends Error {
  override name = "AssertionFailure"
}

/** States what must hold, in words. */
export function assert(condition: unknown, statement: string): asserts condition {
  if (!condition) throw new AssertionFailure(`must hold: ${statement}`)
}

/** Marks the branch of a closed union that cannot be reached; the compiler finds it when a case is added. */
export function unreachable(value: never): never {
  throw new AssertionFailure(`unreachable: ${JSON.stringify(value)}`)
}
