/**
 * Histories that a person can read, for tests. Each step is one operation of the key "k"; one after the other unless a
 * step says when: `3-9 get a` runs from 3 to 9.
 *
 *     set a · get a · get nothing · add a · add a! (unmet) · cas a b · cas a b! · incr 5 (answered, by 1)
 *     delete · delete found · delete missing · set a? (outcome unknown)
 *
 * `read` is another word for `get`.
 */
import type { Action, Operation, Status } from "./history.ts"

export function operations(steps: readonly string[]): Operation[] {
  return steps.map((step, index) => {
    const [, times, words = ""] = /^(?:(\d+-\d*) )?(.*)$/.exec(step) ?? []
    const [call, end] = times === undefined ? [10 * index, 10 * index + 5] : times.split("-").map(Number)
    const mark = words.at(-1)
    const status: Status = mark === "?" ? "info" : mark === "!" ? "fail" : "ok"
    const action = actionOf(status === "ok" ? words : words.slice(0, -1), status)
    const returnNs = status === "info" ? Infinity : (end ?? 0)
    return { ...action, process: index, key: "k", callNs: call ?? 0, returnNs, status }
  })
}

function actionOf(words: string, status: Status): Action {
  const [op, first = "", second = ""] = words.split(" ")
  const value = (word: string) => (word === "nothing" ? null : word)
  switch (op) {
    case "get":
    case "read":
      return { op: "get", value: value(first) }
    case "set":
    case "add":
      return { op, value: first }
    case "cas":
      return { op, expected: value(first), value: second }
    case "incr":
      return { op, by: 1, value: status === "ok" ? first : null }
    case "delete":
      return first === "" ? { op } : { op, found: first === "found" }
    default:
      throw new Error(`not a step: ${words}`)
  }
}
