import { deepEqual, equal, match } from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { test } from "node:test"
import { fileURLToPath } from "node:url"

function bench(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const script = fileURLToPath(new URL("run.ts", import.meta.url))
  return spawnSync(process.execPath, [script, ...args], { encoding: "utf8", timeout: 60_000 })
}

test("without a name: what there is", () => {
  const { status, stdout } = bench()
  equal(status, 0)
  for (const name of ["throughput", "store", "eviction"]) match(stdout, new RegExp(`^  ${name} +\\w`, "m"))
})

test("--help says what the options are, and starts nothing", () => {
  const { status, stdout } = bench("store", "--help")
  equal(status, 0)
  match(stdout, /^ {2}--entries/m)
})

const mistyped = [
  { args: ["speed"], says: /there is no bench "speed"/ },
  { args: ["store", "--entires", "5"], says: /--entires/ },
  { args: ["store", "--entries", "1,5 M"], says: /--entries: "5 M" is no whole number above 0/ },
  { args: ["store", "--engines", "redis"], says: /--engines: no "redis"; there are map, lru-cache, dcache/ },
  { args: ["store", "--key-bytes", "17"], says: /--key-bytes/ },
  { args: ["store", "--limit", "much"], says: /--limit: not a size/ },
  { args: ["growth", "--sizes", "10B,much"], says: /--sizes: "much": not a size/ },
  { args: ["growth", "--callers", "0"], says: /--callers: "0" is no whole number above 0/ },
  { args: ["peers", "--parts", "sped"], says: /--parts: no "sped"; there are speed, memory, failover/ },
  { args: ["peers", "--only", "mongo"], says: /--only: no cache begins so; there are "dcache, 1 node"/ },
  { args: ["startup", "--rounds", "few"], says: /--rounds: "few" is no whole number above 0/ },
  { args: ["idle", "--seconds", "-1"], says: /--seconds/ },
  { args: ["eviction", "--keys", "5 M"], says: /--keys: "5 M" is no whole number above 0/ },
  { args: ["eviction", "--only", "zopf"], says: /--only: no workload begins so; there are "zipf 0.8"/ },
]
for (const { args, says } of mistyped)
  test(`${args.join(" ")}: refused in words`, () => {
    const { status, stderr } = bench(...args)
    equal(status, 2)
    match(stderr, says)
  })

test("store: every engine, in a process of its own, for people", () => {
  const { status, stdout, stderr } = bench("store", "--entries", "2000", "--operations", "2000")
  deepEqual([status, stderr], [0, ""])
  // In the tables of memory, times and pauses.
  for (const engine of ["map", "lru-cache", "dcache"])
    equal(stdout.match(new RegExp(`^2,000 +16 B +${engine} +\\d`, "gm"))?.length, 3)
  match(stdout, /get, hit +[\d.]+ of a Map's \(aim: at most 1\)/)
})

test("store: one engine, in figures for programs, and what cannot be measured is left out in words", () => {
  const { stdout } = bench("store", "--entries", "2000,17e6", "--operations", "2000", "--engines", "map", "--json")
  const { measured, leftOut, aims } = JSON.parse(stdout)
  deepEqual([measured.length, aims], [1, []])
  equal(measured[0].engine, "map")
  deepEqual(leftOut, ["map with 17,000,000 entries: it ends at 16,777,216"])
})

test("store --expiry and --limit: whether the aims are met", () => {
  match(
    bench("store", "--expiry", "--entries", "2000").stdout,
    /until all are gone +\d+ ms \(aim: 2000 ms\): (met|MISSED)/,
  )
  match(bench("store", "--limit", "64MiB", "--seconds", "1").stdout, /% of the limit \(aim: 110 %\): (met|MISSED)/)
})
