/**
 * The port of a real node under those who mean it ill, or know no better, while others use the cluster: it neither ends nor grows without
 * bound, and nobody else notices. What was done and what came of it is printed.
 */
import { deepEqual, equal, ok } from "node:assert/strict"
import { spawn, spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { type TestContext, test } from "node:test"
import { fileURLToPath } from "node:url"
import { Prng } from "../../src/base/prng.ts"
import { openWay } from "../cluster/access.ts"
import { startCheckedLoad } from "../cluster/checked-load.ts"
import { cpuSecondsOf } from "../cluster/cpu.ts"
import { type BenchNode, NodeBench } from "../cluster/node-bench.ts"
import { until } from "../cluster/until.ts"
import { attacks } from "./attacks.ts"

const isLinux = process.platform === "linux"
/** A slow machine is no effect of the attack; an answer that never comes is. */
const longestWaitMs = 5_000
/** What a node may hold of half frames and half commands, by its bounds, and what the collector leaves lying about. */
const mostGrowthMib = 900

function residentMib(node: BenchNode): number {
  if (!isLinux) return 0
  const status = readFileSync(`/proc/${node.process.pid}/status`, "utf8")
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1_024
}

/** Asks a node for the same key, again and again; the longest that an answer took. */
async function watchful(node: BenchNode) {
  const way = await openWay({ nodes: [node.process.address], routing: "through-dialed", deadlineMs: 30_000 })
  let longestMs = 0
  let [asked, failed] = [0, 0]
  let isOn = true
  const asking = (async () => {
    while (isOn) {
      const fromMs = performance.now()
      const { ending } = await way.perform({ key: "watched", op: asked % 2 === 0 ? "get" : "incr", by: 1 })
      longestMs = Math.max(longestMs, performance.now() - fromMs)
      asked += 1
      if (ending.kind !== "done") failed += 1
      await new Promise(resolve => setTimeout(resolve, 20))
    }
  })()
  return {
    /** Since this was asked last. */
    figures() {
      const figures = { asked, failed, longestMs: Math.round(longestMs) }
      ;[longestMs, asked, failed] = [0, 0, 0]
      return figures
    },
    async end() {
      isOn = false
      await asking
      await way.close()
    },
  }
}

test("whatever is sent to a node, others do not notice", { timeout: 240_000 }, async context => {
  const bench = new NodeBench(context)
  const nodes = await bench.cluster({ name: "n1" }, { name: "n2" }, { name: "n3" })
  const [target] = nodes
  ok(target)
  const seed = process.pid
  const prng = new Prng(seed)
  const load = await startCheckedLoad({
    ...{ nodes: bench.addressesOf(nodes), prng: prng.fork(), keyCount: 60 },
    ...{ processCount: 6, rate: 100, deadlineMs: 20_000 },
  })
  const watch = await watchful(target)
  const atFirstMib = residentMib(target)
  for (const attack of attacks)
    await context.test(attack.name, async attackContext => {
      watch.figures()
      const { made, ended } = await attack.run(target.process.address, prng.fork())
      const { asked, failed, longestMs } = watch.figures()
      const mib = residentMib(target)
      attackContext.diagnostic(
        `${attack.name}: ${made} connections, ${ended} ended by the node; ${asked} answers to another client meanwhile, the longest ` +
          `after ${longestMs} ms; the node has ${mib.toFixed(0)} MiB, ${atFirstMib.toFixed(0)} at first (seed ${seed})`,
      )
      equal(target.process.end, undefined, target.process.tail)
      equal(failed, 0)
      ok(asked > 0 && longestMs < longestWaitMs, `${asked} answers, the longest after ${longestMs} ms`)
      ok(mib - atFirstMib < mostGrowthMib, `${mib} MiB`)
    })
  await watch.end()
  const [report] = await bench.complete(nodes)
  equal(report?.members.length, 3)
  const { verdict, violations, lostWrites, errorCodes } = await load.stop(bench.addressesOf(nodes))
  deepEqual(
    { verdict, violations, lostWrites, errorCodes },
    { verdict: "consistent", violations: [], lostWrites: 0, errorCodes: {} },
  )
})

/** File descriptors that a process here may have: each connection takes one at either end. */
function mostDescriptors(): number {
  const text = spawnSync("sh", ["-c", "ulimit -Hn"], { encoding: "utf8" }).stdout.trim()
  return text === "unlimited" ? Number.POSITIVE_INFINITY : Number(text)
}

const wantedCrowd = 10_000
const crowdSize = Math.min(wantedCrowd, mostDescriptors() - 1_000)

test("ten thousand idle clients of one node cost little, and it serves others, and nodes, as ever", {
  timeout: 180_000,
  skip: crowdSize < wantedCrowd && "fewer than 11,000 file descriptors are allowed here: ulimit -Hn",
}, async context => {
  const bench = new NodeBench(context)
  const [target] = await bench.cluster({ name: "n1" })
  ok(target)
  const pid = target.process.pid ?? 0
  const beforeMib = residentMib(target)
  const crowd = await idleCrowd(context, target, crowdSize)
  const mib = residentMib(target)
  const figures = isLinux ? await restingShare(pid) : Number.NaN
  context.diagnostic(
    `${crowd.standing()} idle clients: ${beforeMib.toFixed(0)} to ${mib.toFixed(0)} MiB, ` +
      `${((1_024 * (mib - beforeMib)) / crowd.standing()).toFixed(1)} KiB each; ${(100 * figures).toFixed(1)} % of a core at rest`,
  )
  ok(mib - beforeMib < 500, `${mib - beforeMib} MiB`)

  const watch = await openWay({ nodes: [target.process.address], routing: "through-dialed", deadlineMs: 20_000 }).then(
    () => "was taken",
    () => "was turned away",
  )
  equal(watch, "was turned away", "one client more has no place")
  // A node has: it joins through it, and what a client asks of the new one is served by both.
  const second = await bench.start("n2", { join: [target] })
  await bench.report(second, "a member", ({ phase }) => phase === "member")
  const way = await openWay({ nodes: [second.process.address], routing: "through-dialed", deadlineMs: 30_000 })
  for (let i = 0; i < 50; i++) equal((await way.perform({ key: `k${i}`, op: "set", value: "v" })).ending.kind, "done")
  await way.close()
  ok(crowd.standing() > 0.99 * crowdSize, `${crowd.standing()} still stand`)
  await crowd.end()
  await bench.complete([target, second])
})

/** Until all of them stand, or no more do. */
async function idleCrowd(context: TestContext, node: BenchNode, count: number) {
  const script = fileURLToPath(new URL("idle-crowd.ts", import.meta.url))
  const child = spawn(process.execPath, [script, node.process.address, String(count)], {
    stdio: ["pipe", "pipe", "inherit"],
  })
  context.after(() => child.kill("SIGKILL"))
  let standing = 0
  child.stdout.on("data", (chunk: Buffer) => {
    standing = Number(chunk.toString().trim().split("\n").at(-1))
  })
  await until(() => standing >= count, {
    withinMs: 120_000,
    everyMs: 100,
    what: () => `${count} clients to stand, not ${standing}`,
  })
  return {
    standing: () => standing,
    async end() {
      const ended = new Promise(resolve => child.once("close", resolve))
      child.stdin.end()
      await ended
    },
  }
}

async function restingShare(pid: number): Promise<number> {
  const [fromMs, from] = [performance.now(), cpuSecondsOf(pid)]
  await new Promise(resolve => setTimeout(resolve, 2_000))
  return (cpuSecondsOf(pid) - from) / ((performance.now() - fromMs) / 1_000)
}
