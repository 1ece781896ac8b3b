/** Waiting for something with an end to it: what does not answer costs a bench its own row, and no more. */

/** Rejects when the work takes longer. The work itself goes on, and its failure is then nobody's concern. */
export async function within<T>(ms: number, what: string, work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error(`${what}: not done within ${ms / 1_000} s`)), ms)
  try {
    return await Promise.race([work, late.promise])
  } finally {
    clearTimeout(timer)
    work.catch(() => {})
  }
}

/** What went wrong, and why that did: the first line of each. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const [line = ""] = error.message.split("\n", 1)
  return error.cause === undefined ? line : `${line} ${reasonOf(error.cause)}`
}
