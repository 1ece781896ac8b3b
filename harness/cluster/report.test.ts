import { equal, match } from "node:assert/strict"
import { test } from "node:test"
import { progressLine } from "./progress-line.ts"
import { Recorder } from "./recorder.ts"
import { reportText, type StressReport, verdictOf, verdictSentence } from "./report.ts"

const none = new Recorder().figures("all")

const good: StressReport = {
  seed: 7,
  nodes: 20,
  copies: 2,
  clients: 64,
  keys: 1_000,
  rate: 500,
  loadMs: 10_000,
  membership: {
    agreedAfterMs: 1_200,
    everyNodeAgrees: true,
    epoch: 40,
    membersEpoch: 31,
    members: [{ id: "a", name: "n1", address: "127.0.0.1:5555" }],
    unexpectedRemovals: [],
  },
  operations: { all: { ...none, count: 5_000 }, get: none, set: none, add: none, cas: none, delete: none, incr: none },
  errorCodes: {},
  faults: [
    {
      kind: "crash",
      node: "n7",
      atMs: 900,
      failoverMs: 431.4,
      completeMs: 2_345,
      failedOperations: 0,
      longestWaitMs: 433,
    },
    {
      kind: "pause",
      node: "n2",
      atMs: 6_000,
      failoverMs: null,
      completeMs: null,
      failedOperations: 3,
      longestWaitMs: 5_000,
    },
  ],
  readBack: { keys: 1_000, reads: 3_000, unanswered: 0 },
  lostWrites: 0,
  lost: [],
  violations: [],
  undecidedKeys: [],
  problems: [],
  memory: "strict",
  evicted: 0,
  verdict: "consistent",
}

const verdicts = [
  { findings: {}, verdict: "consistent" },
  { findings: { violations: [{ key: "k", explanation: "read 1 after 2", operations: [] }] }, verdict: "inconsistent" },
  { findings: { lostWrites: 1 }, verdict: "inconsistent" },
  { findings: { lostWrites: 1, problems: ["the copies were not complete"] }, verdict: "inconsistent" },
  { findings: { undecidedKeys: ["k"] }, verdict: "undecided" },
  { findings: { problems: ["the copies were not complete"] }, verdict: "undecided" },
  { findings: { readBack: { keys: 1, reads: 3, unanswered: 1 } }, verdict: "undecided" },
] as const

for (const { findings, verdict } of verdicts)
  test(`verdict: ${JSON.stringify(findings)} is ${verdict}`, () => {
    equal(verdictOf({ ...good, ...findings }), verdict)
  })

const sentences = [
  { report: good, says: /^CONSISTENT: 20 nodes gave 5,000 answers, through 2 faults, and each was the one/ },
  { report: { ...good, faults: [] }, says: /no faults were made/ },
  {
    report: { ...good, memory: "forgetful", evicted: 1_234 },
    says: /would have given, or that the key is missing, which nodes that forget may say at any time; no older value was seen\.$/,
  },
  {
    report: {
      ...good,
      verdict: "inconsistent",
      lostWrites: 1,
      violations: [{ key: "k", explanation: "", operations: [] }],
    },
    says: /^INCONSISTENT: the answers for 1 key contradict each other and 1 acknowledged write is lost/,
  },
  { report: { ...good, verdict: "undecided", problems: ["n3 never came back"] }, says: /but n3 never came back\.$/ },
] satisfies { report: StressReport; says: RegExp }[]

for (const { report, says } of sentences)
  test(`sentence: ${says.source}`, () => {
    match(verdictSentence(report), says)
  })

test("the text has a row for each operation and fault, and ends with the sentence", () => {
  const text = reportText(good, (columns, rows) =>
    [columns.map(column => column.title), ...rows].map(row => `${row.join("|")}\n`).join(""),
  )
  match(text, /^operation\|count\|p50\|p99\|max\|errors$/m)
  match(text, /^crash\|n7\|431 ms\|2\.3 s\|0\|433 ms$/m)
  match(text, /^pause\|n2\|never\|not in time\|3\|5,000 ms$/m)
  match(text, /1 member \(list of epoch 31\), the same list on every node/)
  match(text, /CONSISTENT: .*\n$/)
  match(
    reportText({ ...good, memory: "forgetful", evicted: 1_234 }, () => ""),
    /^1,234 evictions by the nodes/m,
  )
})

test("the line that people watch names phase, members, load and the fault under way", () => {
  equal(
    progressLine({
      phase: "load",
      elapsedMs: 12_300,
      members: 19,
      load: { perSecond: 1_234.5, figures: { ...none, p50Ms: 1.25, p99Ms: 30 } },
      fault: "crash of n7",
    }),
    " 12 s  load  19 members  1,235 ops/s  p50 1.3 ms  p99 30.0 ms  crash of n7",
  )
})
