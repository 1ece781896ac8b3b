import { equal, match, ok } from "node:assert/strict"
import { test } from "node:test"
import { randomRun } from "./random-run.ts"
import { runMany } from "./run-many.ts"
import { Account, plainReport, summaryLines } from "./summary.ts"

test("the account of several runs is the sum of each, whoever made them", async () => {
  const account = new Account()
  for (const seed of [1, 2, 3, 4]) account.add(plainReport(randomRun({ seed })))
  const summary = await runMany({ from: 1, to: 4, threads: 2, run: {}, progress: () => {} })
  equal(JSON.stringify(sorted(summary.tally)), JSON.stringify(sorted(account.summary.tally)))
  equal(summary.operations, account.summary.operations)
  equal(summary.seeds, 4)
})

test("a broken run and the faults that struck are found at a glance, in lines that fit a terminal", async () => {
  const summary = await runMany({
    ...{ from: 1, to: 12, threads: 1, progress: () => {} },
    run: { kinds: ["isolate", "primary-crash", "pause"], rules: { lease: false }, config: { leaseMs: 1_500 } },
  })
  ok(summary.broken.length > 0, "a run without leases was caught")
  const lines = summaryLines(summary)
  match(lines[0] ?? "", new RegExp(`^runs +12: ${summary.broken.length} with a broken promise, 0 undecided$`))
  ok(lines.some(line => /isolate \d+, pause \d+, primary-crash \d+$/.test(line)))
  ok(lines.every(line => line.length <= 130))
})

function sorted(counts: Readonly<Record<string, number>>): [string, number][] {
  return Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1))
}
