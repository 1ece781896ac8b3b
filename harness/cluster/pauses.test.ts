/** A real process stands still for ten seconds while others go on; a real clock is an hour wrong. */
import { deepEqual, equal, ok } from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import { Prng } from "../../src/base/prng.ts"
import { openWay } from "./access.ts"
import { type LoadVerdict, startCheckedLoad } from "./checked-load.ts"
import { type BenchNode, NodeBench } from "./node-bench.ts"

function isClean({ verdict, violations, lostWrites }: LoadVerdict): void {
  deepEqual({ verdict, violations, lostWrites }, { verdict: "consistent", violations: [], lostWrites: 0 })
}

test("a primary stopped for ten seconds under load and continued: no stale answer, no lost write", {
  timeout: 180_000,
}, async context => {
  const bench = new NodeBench(context)
  const nodes = await bench.cluster({ name: "n1" }, { name: "n2" }, { name: "n3" }, { name: "n4" })
  const [, victim] = nodes
  ok(victim)
  // Asked through the victim as well, before and after: its connections and what lies in them are as old as it is.
  const load = await startCheckedLoad({
    ...{ nodes: bench.addressesOf(nodes), prng: new Prng(3), keyCount: 40 },
    ...{ processCount: 12, rate: 200, deadlineMs: 20_000 },
  })
  context.after(() => load.end())
  const through = await openWay({ nodes: [victim.process.address], routing: "through-dialed", deadlineMs: 20_000 })
  equal((await through.perform({ key: "through", op: "set", value: "before" })).ending.kind, "done")
  victim.process.pause()
  // What a stopped process was sent is answered when it goes on, or by nobody.
  const asked = Array.from({ length: 20 }, () => through.perform({ key: "through", op: "get" }))
  const elsewhere = await openWay({
    nodes: nodes.filter(node => node !== victim).map(({ process }) => process.address),
    ...{ routing: "to-primary", deadlineMs: 30_000 },
  })
  await sleep(5_000)
  equal((await elsewhere.perform({ key: "through", op: "set", value: "after" })).ending.kind, "done")
  await sleep(5_000)
  victim.process.resume()
  // Asked before the write began, so either value is right; what is asked now has one answer.
  for (const { ending, value } of await Promise.all(asked))
    if (ending.kind === "done") ok(value === "before" || value === "after")
  for (let i = 0; i < 20; i++) {
    const { ending, value } = await through.perform({ key: "through", op: "get" })
    if (ending.kind === "done") equal(value, "after")
  }
  await bench.complete(nodes)
  await Promise.all([through.close(), elsewhere.close()])
  isClean(await load.stop(bench.addressesOf(nodes)))
})

const faketime = spawnSync("faketime", ["--version"])
test("the wall clock of one node is an hour ahead: nothing changes", {
  timeout: 120_000,
  skip: faketime.error ? "faketime is not installed: apt-get install faketime" : false,
}, async context => {
  const bench = new NodeBench(context)
  const first = await bench.start("n1")
  const ahead = await bench.start("n2", {
    join: [first],
    args: ["--log-level", "info"],
    // Only the wall clock: a monotonic one is right by what it is.
    command: {
      file: "env",
      args: ["FAKETIME_DONT_FAKE_MONOTONIC=1", "faketime", "-f", "+1h", bench.command.file, ...bench.command.args],
    },
  })
  const third = await bench.start("n3", { join: [first], args: ["--log-level", "info"] })
  const nodes = [first, ahead, third]
  await bench.complete(nodes)
  // The lines of its log bear its own time.
  const clockOf = (node: BenchNode) => /^(\d\d):(\d\d)/m.exec(node.process.tail)?.slice(1).map(Number) ?? []
  const [[hour = 0, minute = 0], [rightHour = 0, rightMinute = 0]] = [clockOf(ahead), clockOf(third)]
  const aheadBy = (24 * 60 + 60 * (hour - rightHour) + minute - rightMinute) % (24 * 60)
  ok(aheadBy >= 58 && aheadBy <= 62, `it is ahead by ${aheadBy} minutes`)
  const load = await startCheckedLoad({
    ...{ nodes: bench.addressesOf(nodes), prng: new Prng(4), keyCount: 40 },
    ...{ processCount: 8, rate: 150, deadlineMs: 20_000 },
  })
  context.after(() => load.end())
  const way = await openWay({ nodes: [ahead.process.address], routing: "through-dialed", deadlineMs: 20_000 })
  await sleep(1_000)
  const keys = Array.from({ length: 30 }, (_, i) => `key:${i}`)
  for (const key of keys) equal((await way.perform({ key: `own ${key}`, op: "set", value: key })).ending.kind, "done")
  await sleep(1_000)
  for (const key of keys) equal((await way.perform({ key: `own ${key}`, op: "get" })).value, key)
  await way.close()
  await bench.complete(nodes)
  deepEqual((await ahead.observer.status(10_000))?.members.length, 3)
  isClean(await load.stop(bench.addressesOf(nodes)))
})
