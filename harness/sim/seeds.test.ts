/**
 * Random runs, as many as fit a minute. What fails prints its seed and the command that replays it with a trace.
 */
import { equal, notEqual } from "node:assert/strict"
import { test } from "node:test"
import { randomRun } from "./random-run.ts"

const runs = 300
/** Runs in one test, so that a failure names a few seeds and the list of tests stays short. */
const perTest = 25

for (let from = 1; from <= runs; from += perTest)
  test(`seeds ${from} to ${from + perTest - 1} keep every promise`, () => {
    for (let seed = from; seed < from + perTest; seed++) {
      const { violations } = randomRun({ seed })
      const said = violations.map(({ promise, what, atMs }) => `at ${atMs.toFixed(2)} ms: ${promise}: ${what}`)
      equal(violations.length, 0, `replay with: npm run sim -- --seed ${seed}\n${said.join("\n")}`)
    }
  })

test("one seed gives one run, event for event", () => {
  for (const seed of [3, 17, 42, 101]) {
    const [first, second] = [randomRun({ seed }), randomRun({ seed })]
    equal(first.traceHash, second.traceHash, `seed ${seed}`)
    equal(first.steps, second.steps)
    notEqual(first.traceHash, randomRun({ seed: seed + 1_000 }).traceHash)
  }
})
