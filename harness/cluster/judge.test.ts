import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import { type Operation, parseHistory } from "../checker/history.ts"
import { judge } from "./judge.ts"

/** Two processes write and read one key; reading back begins at 1000. */
const sound = `
{"process":0,"key":"k","op":"set","value":"a","call_ns":10,"return_ns":20,"status":"ok"}
{"process":1,"key":"k","op":"get","value":"a","call_ns":30,"return_ns":40,"status":"ok"}
{"process":0,"key":"k","op":"cas","expected":"a","value":"b","call_ns":50,"return_ns":60,"status":"ok"}
{"process":2,"key":"k","op":"get","value":"b","call_ns":1000,"return_ns":1010,"status":"ok"}
`
const readBack = { keys: 1, reads: 1, unanswered: 0 }
const circumstances = { readBackFromNs: 1_000, readBack, problems: [], memory: "strict" } as const

const cases = [
  { because: "nothing is wrong with it", change: (line: string) => line, verdict: "consistent", lost: 0 },
  {
    because: "a read answered what had been replaced before",
    change: (line: string) => line.replace('"get","value":"b"', '"get","value":"a"'),
    verdict: "inconsistent",
    lost: 1,
  },
  {
    because: "a read answered what nobody wrote",
    change: (line: string) => line.replace('"get","value":"a"', '"get","value":"x"'),
    verdict: "inconsistent",
    lost: 0,
  },
  {
    because: "both acknowledged writes are gone at the end",
    change: (line: string) => line.replace('"get","value":"b"', '"get","value":null'),
    verdict: "inconsistent",
    lost: 2,
  },
]

for (const { because, change, verdict, lost } of cases)
  test(`a history is ${verdict}: ${because}`, () => {
    const judgement = judge(history(sound.split("\n").map(change)), circumstances)
    equal(judgement.verdict, verdict)
    equal(judgement.lostWrites, lost)
    deepEqual(
      judgement.violations.map(violation => violation.key),
      verdict === "consistent" ? [] : ["k"],
    )
  })

test("where nodes forget, a miss at the end is no lost write, and an older value is", () => {
  const lines = sound.split("\n")
  const missed = history(lines.map(line => line.replace('"get","value":"b"', '"get","value":null')))
  equal(judge(missed, { ...circumstances, memory: "forgetful" }).verdict, "consistent")
  const stale = history(lines.map(line => line.replace('"get","value":"b"', '"get","value":"a"')))
  equal(judge(stale, { ...circumstances, memory: "forgetful" }).lostWrites, 1)
})

test("a run in which something did not come about is not consistent, however sound its history", () => {
  const problems = ["n3 never came back"]
  equal(judge(history([sound]), { ...circumstances, problems }).verdict, "undecided")
})

function history(lines: readonly string[]): readonly Operation[] {
  const { operations, problems } = parseHistory(lines.join("\n"))
  deepEqual(problems, [])
  return operations
}
