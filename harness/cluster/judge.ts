/** From the history of a run to what is wrong with it. Pure: the checker's opinion, the lost writes, and the verdict. */
import type { Operation } from "../checker/history.ts"
import { checkLinearizability } from "../checker/linearizability.ts"
import { lostWrites } from "../checker/lost-writes.ts"
import { type StressReport, verdictOf } from "./report.ts"

export type Judgement = Pick<
  StressReport,
  "verdict" | "violations" | "undecidedKeys" | "lostWrites" | "lost" | "readBack" | "problems" | "memory"
>

/** `readBackFromNs`: from then on there were only reads. */
export function judge(
  history: readonly Operation[],
  circumstances: Pick<StressReport, "readBack" | "problems" | "memory"> & { readonly readBackFromNs: number },
): Judgement {
  const { readBackFromNs, readBack, problems, memory } = circumstances
  const { violations, undecidedKeys } = checkLinearizability(history, { memory })
  const lost = lostWrites(history, { readBackFromNs, memory })
  const findings = { violations, undecidedKeys, lostWrites: lost.length, readBack, problems, memory }
  return { ...findings, lost, verdict: verdictOf(findings) }
}
