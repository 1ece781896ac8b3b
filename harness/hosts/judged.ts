/**
 * What the answers of single nodes, asked all the time, say about a cut: how long the side without a majority went on answering, how
 * long it left anybody waiting, and when the other side answered again for what it holds. Pure.
 */
import type { Cut } from "./stories.ts"

/** One request to one node, and what it answered; `reply` null: nothing until the end. */
export type Asked = {
  readonly key: string
  readonly op: string
  readonly call_ns: number
  readonly return_ns: number | null
  readonly reply: string | null
  readonly detail: string
}

export type StoryFigures = {
  /** Without a majority: from the cut until the last answer that was no refusal, and the longest wait for any; null: no such side. */
  readonly minorityAnsweredForMs: number | null
  readonly minorityLongestWaitMs: number | null
  /**
   * With one: from the cut until every request for a key of which it holds a copy was answered, and every other refused, at
   * once and from then on; null: no such side.
   */
  readonly majorityServesAfterMs: number | null
  /** Requests for keys all of whose copies were on the other side that were answered as if they were here. Must be 0. */
  readonly answeredWithoutCopy: number
  readonly refusals: Readonly<Record<string, number>>
  readonly asked: number
}

export type StoryResult = StoryFigures & {
  readonly story: string
  readonly cut: string
  /** From the healing until all is as before. */
  readonly completeAfterMs: number
  readonly operations: number
  /** Keys whose history cannot be explained. Must be empty. */
  readonly violations: readonly string[]
  readonly undecided: number
  /** What was allowed for `majorityServesAfterMs`. */
  readonly servesWithinMs: number
  /** Of the machine, during the cut: bounds mean something where there was time to keep them. */
  readonly idleShare: number
}

const answers: ReadonlySet<string> = new Set(["value", "missing", "stored"])
/** An answer that takes longer than this was waited for. */
const promptMs = 400

export function judged(options: {
  readonly cut: Cut
  /** By the name of the host that was asked. */
  readonly asked: ReadonlyMap<string, readonly Asked[]>
  /** By key, the names of the hosts that held it when the cut was made. */
  readonly held: ReadonlyMap<string, readonly { readonly name: string }[]>
  readonly cutAtNs: number
  readonly healedAtNs: number
}): StoryFigures {
  const { cut, asked, held, cutAtNs, healedAtNs } = options
  const sinceCutMs = (ns: number) => (ns - cutAtNs) / 1e6
  const during = (hosts: readonly { readonly name: string }[]) =>
    hosts
      .flatMap(({ name }) => asked.get(name) ?? [])
      .filter(one => one.call_ns < healedAtNs && (one.return_ns ?? healedAtNs) > cutAtNs)

  const minority = during(cut.minority)
  let answeredForMs = 0
  let longestWaitMs = 0
  for (const { call_ns, return_ns, reply } of minority) {
    const endNs = Math.min(return_ns ?? healedAtNs, healedAtNs)
    if (return_ns !== null && return_ns < healedAtNs && answers.has(reply ?? ""))
      answeredForMs = Math.max(answeredForMs, sinceCutMs(return_ns))
    longestWaitMs = Math.max(longestWaitMs, (endNs - Math.max(call_ns, cutAtNs)) / 1e6)
  }

  const majority = during(cut.majority)
  const copiesAt = cut.copiesAt ?? cut.majority
  const isHeldThere = (key: string) => held.get(key)?.some(({ name }) => copiesAt.some(host => host.name === name))
  let servesAfterMs = 0
  let answeredWithoutCopy = 0
  for (const { key, call_ns, return_ns, reply } of majority) {
    const isAnswer = answers.has(reply ?? "") && return_ns !== null
    const isHeld = isHeldThere(key)
    const isPrompt = return_ns !== null && return_ns - call_ns < promptMs * 1e6 && (isAnswer || !isHeld)
    // What was asked just before the healing had no time to be answered.
    const isOver = call_ns > healedAtNs - promptMs * 1e6
    if (!isPrompt && !isOver)
      servesAfterMs = Math.max(servesAfterMs, sinceCutMs(Math.min(return_ns ?? healedAtNs, healedAtNs)))
    if (!isHeld && isAnswer && call_ns > cutAtNs + 1e9 && return_ns < healedAtNs) answeredWithoutCopy += 1
  }

  const refusals: Record<string, number> = {}
  for (const { reply, detail } of [...minority, ...majority]) {
    if (answers.has(reply ?? "")) continue
    const name = reply === null ? "nothing" : detail === "" ? reply : `${reply}: ${detail}`
    refusals[name] = (refusals[name] ?? 0) + 1
  }
  return {
    minorityAnsweredForMs: cut.minority.length === 0 ? null : answeredForMs,
    minorityLongestWaitMs: cut.minority.length === 0 ? null : longestWaitMs,
    majorityServesAfterMs: cut.majority.length === 0 ? null : servesAfterMs,
    ...{ answeredWithoutCopy, refusals },
    asked: minority.length + majority.length,
  }
}
