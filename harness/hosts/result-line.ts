/** What came of a story, in one line. */
import type { StoryResult } from "./judged.ts"

export function told(result: StoryResult): string {
  const { minorityAnsweredForMs, minorityLongestWaitMs, majorityServesAfterMs, completeAfterMs, violations } = result
  const minority =
    minorityAnsweredForMs === null
      ? []
      : [
          `minority answered for ${whole(minorityAnsweredForMs)} ms, longest wait ${whole(minorityLongestWaitMs ?? 0)} ms`,
        ]
  const majority = majorityServesAfterMs === null ? [] : [`majority serves after ${whole(majorityServesAfterMs)} ms`]
  return [
    `${result.story} (${result.cut})`,
    ...minority,
    ...majority,
    `complete ${whole(completeAfterMs)} ms after healing`,
    `${result.operations} operations with ${violations.length} contradictions, ${result.asked} single requests`,
    `${result.answeredWithoutCopy} answered without a copy`,
    `${whole(result.idleShare * 100)} % of the machine idle`,
  ].join("; ")
}

function whole(value: number): string {
  return Math.round(value).toLocaleString("en")
}
