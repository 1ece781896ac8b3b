/** The commands that load a cluster which runs already: `stress --at` judges its answers, `bench` times them. */
import { deepEqual, equal, match, ok } from "node:assert/strict"
import { test } from "node:test"
import { CacheClient } from "../../src/client/client.ts"
import type { BenchReport } from "../bench/load/run.ts"
import { checkRow, startCommand } from "./command-row.ts"
import { NodeBench } from "./node-bench.ts"
import type { StressReport } from "./report.ts"
import { until } from "./until.ts"

test("a running cluster is checked and timed, and is left as it was", { timeout: 120_000 }, async context => {
  const bench = new NodeBench(context)
  const { command } = bench
  const [first, second] = await bench.cluster({ name: "n1" }, { name: "n2" })
  ok(first && second)
  const at = second.process.address

  await context.test(
    "stress --at: every answer is judged, every member read through, and its keys are gone",
    async () => {
      const args = ["stress", "--at", at, "--duration", "1s", "--rate", "500", "--keys", "200", "--json"]
      const { code, out, err } = await startCommand(command, args).answer
      equal(code, 0, err)
      const report: StressReport = JSON.parse(out.toString())
      equal(report.verdict, "consistent")
      ok(report.operations.all.count > 100)
      equal(report.operations.all.errors, 0)
      deepEqual(report.readBack, { keys: 200, reads: 400, unanswered: 0 })
      deepEqual(report.membership.members.map(({ name }) => name).toSorted(), ["n1", "n2"])
      const status = await first.observer.status(10_000)
      equal(status?.entries, 0)
    },
  )

  await context.test(
    "many keys in one call, whichever nodes lead them, are read back through the other node",
    async () => {
      await using writer = await CacheClient.connect(at)
      await using reader = await CacheClient.connect(first.process.address)
      const entries = Array.from({ length: 5_000 }, (_, i) => [`many-${i}`, i] as const)
      const keys = entries.map(([key]) => key)
      const stored = await writer.setMany(entries)
      ok(stored.every(({ kind }) => kind === "stored"))
      deepEqual(
        await reader.getMany(keys),
        entries.map(([, value]) => value),
      )
      const gone = await reader.deleteMany(keys)
      ok(gone.every(Boolean))
      ok((await writer.getMany(keys)).every(value => value === undefined))
    },
  )

  await context.test("bench: prints what it measured, for programs and for people", async () => {
    const args = ["bench", "--node", at, "--duration", "300ms", "--keys", "100"]
    const answer = await startCommand(command, [...args, "--json"]).answer
    equal(answer.code, 0, answer.err)
    const report: BenchReport = JSON.parse(answer.out.toString())
    equal(report.members, 2)
    equal(report.hitRatio, 1)
    deepEqual(report.failures, {})
    ok(report.operations.get.count > 0 && report.operations.set.count > 0)
    const { out } = await startCommand(command, args).answer
    match(out.toString(), /^operation +count +a second/m)
  })

  await context.test("Ctrl-C ends a bench long before its time", async () => {
    const bench = startCommand(command, ["bench", "--node", at, "--duration", "1h", "--keys", "1"])
    await until(() => bench.errSoFar().includes("writing"), { withinMs: 30_000, what: "the bench to begin" })
    bench.child.kill("SIGINT")
    const { code } = await bench.answer
    equal(code, 130)
  })

  const nobody = ["--duration", "1s"]
  for (const name of ["--at", "--node"]) {
    const command = name === "--at" ? "stress" : "bench"
    await context.test(`${command} ${name} where nobody listens: one line, exit 3`, () =>
      checkRow(bench.command, {
        args: [command, name, "127.0.0.1:9", ...nobody],
        code: 3,
        err: /127\.0\.0\.1:9/,
        because: "nobody is there",
      }),
    )
  }
})
