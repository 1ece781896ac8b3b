import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import type { Host } from "./hosts.ts"
import { type Asked, judged } from "./judged.ts"

/** What is looked at of a host is its name. */
const host = (name: string) => ({ name }) as Host
const [a, b, c] = [host("a"), host("b"), host("c")]
const cut = { describe: "a against b and c", links: [], minority: [a], majority: [b, c] }
const cutAtNs = 10e9
const healedAtNs = 15e9

/** Times in seconds since the cut. */
function asked(callS: number, returnS: number | null, reply: string | null, key = "k"): Asked {
  const ns = (s: number) => cutAtNs + s * 1e9
  return { key, op: "get", call_ns: ns(callS), return_ns: returnS === null ? null : ns(returnS), reply, detail: "" }
}

function figures(answers: Record<string, Asked[]>, heldBy: readonly Host[] = [b]) {
  return judged({
    ...{ cut, cutAtNs, healedAtNs },
    asked: new Map(Object.entries(answers)),
    held: new Map([["k", heldBy]]),
  })
}

test("the minority: until when it answered, and the longest that anybody waited, those who asked before included", () => {
  const { minorityAnsweredForMs, minorityLongestWaitMs } = figures({
    a: [asked(-1, 0.3, "value"), asked(-0.5, 0.7, "unavailable"), asked(1, 1.01, "unavailable")],
  })
  equal(minorityAnsweredForMs, 300)
  equal(minorityLongestWaitMs, 700)
})

test("the minority: an answer that never comes was waited for until the healing", () => {
  equal(figures({ a: [asked(1, null, null)] }).minorityLongestWaitMs, 4_000)
})

test("the majority: from when on every request was answered at once", () => {
  const late = asked(0.1, 0.9, "value")
  equal(figures({ b: [late, asked(1, 1.01, "value")], c: [asked(2, 2.1, "stored")] }).majorityServesAfterMs, 900)
  equal(figures({ b: [asked(1, 1.01, "value"), asked(2, 2.01, "unavailable")] }).majorityServesAfterMs, 2_010)
  equal(figures({ b: [asked(1, null, null)] }).majorityServesAfterMs, 5_000)
})

test("the majority: what it has no copy of is to be refused at once, and an answer is counted", () => {
  const refused = figures({ b: [asked(0.1, 0.6, "retry"), asked(2, 2.01, "unavailable")] }, [a])
  equal(refused.majorityServesAfterMs, 600)
  equal(refused.answeredWithoutCopy, 0)
  equal(figures({ b: [asked(2, 2.01, "value")] }, [a]).answeredWithoutCopy, 1)
})

test("what is neither before the healing nor after the cut is not judged", () => {
  const { asked: count, majorityServesAfterMs } = figures({ b: [asked(-2, -1, "retry"), asked(6, 9, "retry")] })
  deepEqual([count, majorityServesAfterMs], [0, 0])
})
