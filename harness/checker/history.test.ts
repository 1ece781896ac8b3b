import { deepEqual, equal, match } from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { Prng } from "../../src/base/prng.ts"
import type { Operation } from "./history.ts"
import { historyLine, parseHistory, parseLine } from "./history.ts"
import { rightHistory } from "./random-history.ts"

const good = `{"process":3,"key":"k","op":"set","value":"v","call_ns":1,"return_ns":2,"status":"ok"}`

test("reads the line of the format's description", () => {
  deepEqual(parseLine(good), {
    ...{ process: 3, key: "k", op: "set", value: "v" },
    ...{ callNs: 1, returnNs: 2, status: "ok" },
  })
})

/** The good line with some fields changed; undefined: left out. */
function changed(fields: Record<string, unknown>): string {
  return JSON.stringify({ ...JSON.parse(good), ...fields })
}

const bad = [
  { line: "{", problem: /not JSON/ },
  { line: "[]", problem: /one JSON object/ },
  { line: changed({ process: "3" }), problem: /process must be/ },
  { line: changed({ key: 7 }), problem: /key must be/ },
  { line: changed({ op: "put" }), problem: /op must be get, set/ },
  { line: changed({ value: undefined }), problem: /set needs the value/ },
  { line: changed({ value: ["v"] }), problem: /value must be a string or null/ },
  { line: changed({ call_ns: 1.5 }), problem: /call_ns must be/ },
  { line: changed({ call_ns: 3 }), problem: /return_ns is before call_ns/ },
  { line: changed({ return_ns: undefined }), problem: /return_ns is missing/ },
  { line: changed({ status: "unknown" }), problem: /status must be ok, fail or info/ },
  { line: changed({ op: "cas" }), problem: /cas needs expected/ },
  { line: changed({ op: "incr" }), problem: /incr needs by/ },
  { line: changed({ op: "incr", by: 1 }), problem: /answered a whole number/ },
  { line: changed({ op: "delete", found: "yes" }), problem: /found must be/ },
  { line: changed({ ttl_ms: 0 }), problem: /ttl_ms must be/ },
] as const

for (const { line, problem } of bad) {
  test(`refuses ${line}`, () => {
    const parsed = parseLine(line)
    match(typeof parsed === "string" ? parsed : "was accepted", problem)
  })
}

test("names the lines that are wrong, and reads the others", () => {
  const { operations, problems } = parseHistory(`${good}\n\n{\n${changed({ call_ns: 5, return_ns: 6 })}\n`)
  equal(operations.length, 2)
  deepEqual(
    problems.map(({ line }) => line),
    [3],
  )
})

test("a process with two operations at a time is the recorder's mistake, and is reported", () => {
  const { problems } = parseHistory(
    `${changed({ call_ns: 1, return_ns: 9 })}\n${changed({ call_ns: 4, return_ns: 12 })}`,
  )
  deepEqual(problems, [{ line: 2, problem: "process 3 had another operation open: it has one at a time" }])
})

test("a process goes on after an operation whose outcome is unknown", () => {
  const unknown = changed({ status: "info", return_ns: undefined })
  deepEqual(parseHistory(`${unknown}\n${changed({ call_ns: 2, return_ns: 3 })}`).problems, [])
})

test("numbers that others wrote as numbers are read as text", () => {
  const parsed = parseLine(changed({ op: "incr", by: 1, value: 5 }))
  equal(typeof parsed === "object" && parsed.op === "incr" && parsed.value, "5")
})

test("what is written is read back", () => {
  const mix = ["get", "set", "add", "delete", "cas", "incr"] as const
  fc.assert(
    fc.property(fc.nat(), seed => {
      const history: Operation[] = rightHistory(new Prng(seed), {
        ...{ operations: 30, processes: 4, keys: 3, mix, values: ["0", "é\n"], unknown: 0.2, longestNs: 50 },
      })
      deepEqual(parseHistory(history.map(historyLine).join("")), { operations: history, problems: [] })
    }),
  )
})
