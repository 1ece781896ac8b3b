/**
 * `npm test`, the one gate: types, format, build, every test. `npm test -- FILE...` runs the named test files alone.
 *
 * Tests of real processes measure time, so they have the machine for themselves and run one after another, after all
 * the others. That is the only order there is: a test depends on no other.
 */
import { spawnSync } from "node:child_process"
import { availableParallelism } from "node:os"
import path from "node:path"
import { PassThrough } from "node:stream"
import { run } from "node:test"
import { spec } from "node:test/reporters"
import { build } from "../build.mjs"
import { announce, report, root, setUp, stop } from "./setup.mjs"

await setUp()
process.chdir(root)
// An older Node.js, under which this file is read before set-up changes to the right one, does not have it.
const { globSync } = await import("node:fs")
const chosen = process.argv.slice(2)

// A test of code that does not type-check tells nothing new, so the first failure here ends the run.
check("types", "tsc", ["-p", ".", "--pretty", String(process.stdout.isTTY === true)])
if (chosen.length === 0) check("format", "biome", ["format", "--colors=off", "."])
await build()

const alone = globSync("harness/{adapters,bench,cluster,doors,hosts}/**/*.test.ts", { exclude: ["**/node_modules/**"] })
const all = globSync(["src/**/*.test.ts", "harness/**/*.test.ts"], { exclude: ["**/node_modules/**"] }).sort()
const files = chosen.length === 0 ? all : chosen.map(file => path.normalize(file))
const totals = { passed: 0, failed: 0, skipped: 0 }
const failures = []
/** A test that hangs must fail here, with its name, and not in whatever runs this. */
const testTimeoutMs = 300_000
/** So must a file that goes on after its tests. All files together are to take no longer. */
const fileTimeoutMs = 600_000
await runTests(
  "side by side",
  files.filter(file => !alone.includes(file)),
  availableParallelism(),
)
await runTests(
  "one at a time",
  files.filter(file => alone.includes(file)),
  1,
)

// Again at the end, where they are found without scrolling.
if (failures.length > 0) process.stdout.write(`\nFailed:\n${failures.map(failure => `  ${failure}\n`).join("")}`)
// The line that a script may look for: all of this run, where the runner's own counts are those of one part.
process.stdout.write(`\n${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped\n`)
process.exitCode = totals.failed === 0 && totals.passed > 0 ? 0 : 1

function check(phase, tool, args) {
  const startedAtMs = performance.now()
  const result = spawnSync(path.join("node_modules/.bin", tool), args, { encoding: "utf8" })
  if (result.status === 0) return report(phase, "no complaints", startedAtMs)
  stop(`${result.stdout}${result.stderr}\n${phase}: ${tool} complains, see above. Nothing was built or tested.`)
}

/** Prints each test as it ends, and adds each file's counts to the totals. */
async function runTests(how, testFiles, concurrency) {
  if (testFiles.length === 0) return
  const startedAtMs = performance.now()
  announce("tests", `${testFiles.length} files, ${how}`)
  const queue = testFiles.values()
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      for (const file of queue)
        if (concurrency === 1) await runFile(file, text => process.stdout.write(text))
        else await runFileInOnePiece(file)
    }),
  )
  report("tests", how, startedAtMs)
}

/** What several files print at once is told file by file. */
async function runFileInOnePiece(file) {
  const told = []
  await runFile(file, text => told.push(text))
  process.stdout.write(told.join(""))
}

/**
 * One file, which has its own process and its own time. The runner's `timeout` fails a test and leaves the process: what a failed test
 * left running would hold up everything. Its `signal` ends the process, also one that never comes back to its event loop.
 */
async function runFile(file, tell) {
  // A reporter of its own: it takes all that it is told for one tree of tests.
  const events = new PassThrough({ objectMode: true })
  const shown = show(events, tell)
  const options = { files: [file], timeout: testTimeoutMs, signal: AbortSignal.timeout(fileTimeoutMs) }
  for await (const event of run(options)) {
    const { type, data } = event
    if (type === "test:summary" && data.file === undefined) {
      totals.passed += data.counts.passed
      totals.failed += data.counts.failed + data.counts.cancelled
      totals.skipped += data.counts.skipped + data.counts.todo
    }
    // A suite fails with its tests; those are what there is to look at.
    if (type === "test:fail" && data.details.type !== "suite" && data.todo === undefined)
      failures.push(`${path.relative(root, data.file ?? "")}: ${data.name}`)
    // The runner's own counts, of a run of one file, tell nothing.
    const isOfRun = data.file === undefined && (type === "test:summary" || type === "test:diagnostic")
    if (!isOfRun) events.write(event)
  }
  events.end()
  await shown
}

async function show(events, tell) {
  for await (const text of events.compose(new spec())) tell(text)
}
