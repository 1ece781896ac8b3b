/** What the exit status of every command means: one table, so that a script can tell "no" from "nobody there". */
export const exitCodes = {
  done: 0,
  no: 1,
  usage: 2,
  unreachable: 3,
  unknown: 4,
  refused: 5,
  /** A mistake of ours; EX_SOFTWARE of BSD's sysexits. */
  internal: 70,
  /** 128 + SIGINT, as shells report it. SIGTERM that cuts work short answers the same: one meaning, one number. */
  interrupted: 130,
} as const

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes]

/** The table as `dcache --help` shows it. */
export const exitCodeMeanings: ReadonlyMap<ExitCode, string> = new Map([
  [exitCodes.done, "done"],
  [exitCodes.no, "the answer is no: key missing, condition unmet, history inconsistent"],
  [exitCodes.usage, "wrong usage"],
  [exitCodes.unreachable, "nobody reachable, or could not run"],
  [exitCodes.unknown, "outcome unknown, or undecided"],
  [exitCodes.refused, "refused: busy, full, minority, too large"],
  [exitCodes.internal, "internal failure"],
  [exitCodes.interrupted, "interrupted"],
])
