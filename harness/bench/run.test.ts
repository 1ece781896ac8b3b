import { equal, match } from "node:assert/strict"
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
  for (const name of ["throughput", "eviction"]) match(stdout, new RegExp(`^  ${name} +\\w`, "m"))
})

test("--help says what the options are, and starts nothing", () => {
  const { status, stdout } = bench("eviction", "--help")
  equal(status, 0)
  match(stdout, /^ {2}--keys/m)
})

const mistyped = [
  { args: ["speed"], says: /there is no bench "speed"/ },
  { args: ["eviction", "--sizes", "5"], says: /--sizes/ },
  { args: ["eviction", "--keys", "5 M"], says: /--keys: "5 M" is no whole number above 0/ },
  { args: ["eviction", "--only", "zopf"], says: /--only: no workload begins so; there are "zipf 0.8"/ },
]
for (const { args, says } of mistyped)
  test(`${args.join(" ")}: refused in words`, () => {
    const { status, stderr } = bench(...args)
    equal(status, 2)
    match(stderr, says)
  })
