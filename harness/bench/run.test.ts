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
  { args: ["eviction", "--keys", "5 M"], says: /--keys: "5 M" is no whole number above 0/ },
  { args: ["eviction", "--only", "zopf"], says: /--only: no workload begins so; there are "zipf 0.8"/ },
]
for (const { args, says } of mistyped)
  test(`${args.join(" ")}: refused in words`, () => {
    const { status, stderr } = bench(...args)
    equal(status, 2)
    match(stderr, says)
  })

test("store: every engine, in a process of its own, in figures for programs", () => {
  const { status, stdout, stderr } = bench("store", "--entries", "2000", "--operations", "2000", "--json")
  deepEqual([status, stderr], [0, ""])
  const { measured, aims } = JSON.parse(stdout)
  deepEqual(
    measured.map(({ engine }: { engine: string }) => engine),
    ["map", "lru-cache", "dcache"],
  )
  equal(aims.length, 1)
})

test("store --expiry and --limit: whether the aims are met", () => {
  match(bench("store", "--expiry", "--entries", "2000").stdout, /until all are gone +\d+ ms \(aim: 2000 ms\): met/)
  match(bench("store", "--limit", "64MiB", "--seconds", "1").stdout, /% of the limit \(aim: 110 %\): (met|MISSED)/)
})
