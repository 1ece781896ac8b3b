/** `dcache top` of a cluster at work: as lines, for programs, on a terminal that `script` makes, and of nobody. */
import { deepEqual, equal, match, ok } from "node:assert/strict"
import { spawn, spawnSync } from "node:child_process"
import { test, type TestContext } from "node:test"
import { CacheClient } from "../../src/client/client.ts"
import { commandUnderTest } from "./command-under-test.ts"
import { NodeBench } from "./node-bench.ts"

const patienceMs = 60_000
const command = commandUnderTest()
const line = [command.file, ...command.args]

/** Runs to the end; types the keys when `when` is on the screen. */
function run(words: readonly string[], keys?: { readonly when: RegExp; readonly type: string }) {
  const [file = "", ...args] = words
  const child = spawn(file, args, { stdio: ["pipe", "pipe", "pipe"], timeout: patienceMs, killSignal: "SIGKILL" })
  let [out, err, typed] = ["", "", false]
  child.stdout.on("data", (text: Buffer) => {
    out += text.toString()
    if (keys === undefined || typed || !keys.when.test(out)) return
    typed = true
    child.stdin.write(keys.type)
  })
  child.stderr.on("data", (text: Buffer) => (err += text.toString()))
  return new Promise<{ code: number | null; out: string; err: string }>((resolve, reject) => {
    child.once("error", reject)
    child.once("close", code => resolve({ code, out, err }))
  })
}

test("top shows who is there and what they do", async context => {
  const bench = new NodeBench(context)
  const nodes = await bench.cluster({ name: "n1" }, { name: "n2" })
  const node = nodes[0]?.process.address ?? ""
  const cache = await CacheClient.connect(node)
  let isOver = false
  const load = (async () => {
    for (let i = 0; !isOver; i++) {
      await cache.set(`k${i % 100}`, i)
      await cache.get(`k${i % 100}`)
    }
  })()
  try {
    await looks(context, node)
  } finally {
    isOver = true
    await load
    await cache.close()
  }
})

async function looks(context: TestContext, node: string): Promise<void> {
  await context.test("--json: a line for each look", async () => {
    const { code, out, err } = await run([
      ...line,
      "top",
      "--json",
      "--count",
      "2",
      "--interval",
      "500ms",
      "--node",
      node,
    ])
    equal(code, 0, err)
    const looks = out
      .trim()
      .split("\n")
      .map(text => JSON.parse(text) as Looked)
    equal(looks.length, 2)
    for (const { members, operationsPerS, p99Ms, hitShare, agreed } of looks) {
      deepEqual(members.map(({ name }) => name).sort(), ["n1", "n2"])
      ok(agreed && operationsPerS > 10 && p99Ms > 0 && hitShare === 1, out)
      for (const { rates, node } of members) ok(rates.cpuShare > 0 && node.hasLease, out)
    }
  })

  await context.test("where there is no terminal: a line for the cluster and one for each member", async () => {
    const { code, out, err } = await run([...line, "top", "--count", "1", "--interval", "300ms", "--node", node])
    equal(code, 0, err)
    match(
      out,
      /^\S+ cluster members=2 epoch=\d+ ops\/s=\d+ p99=\S+ms hits=100% refused\/s=0 copying=0\n\S+ n1 .*\n\S+ n2 .*\n$/,
    )
  })

  const hasScript = spawnSync("script", ["--version"]).status === 0
  await context.test(
    "on a terminal: a screen of 80 columns, which q leaves as it was",
    {
      skip: hasScript ? false : "script, of bsdutils, is not installed",
    },
    async () => {
      const typed = [...line, "top", "--interval", "300ms", "--node", node].map(word => `'${word}'`).join(" ")
      const { code, out } = await run(["script", "-qefc", typed, "/dev/null"], { when: /OPS\/S/, type: "oq" })
      equal(code, 0, out)
      ok(out.includes("\x1b[?1049h") && out.trimEnd().endsWith("\x1b[?1049l"), JSON.stringify(out))
      // What the terminal itself echoes of keys that come before it was told not to is not ours.
      const drawn = out.slice(out.indexOf("\x1b[?1049h"))
      const lines = drawn
        .replaceAll("\x1b[H", "\n")
        .replaceAll(/\x1b\[[0-9;?]*[A-Za-z]/g, "")
        .split(/[\r\n]+/)
      for (const text of lines) ok(text.length <= 80, text)
      match(lines.join("\n"), /NAME +ROLE +OPS\/S +P99 +HITS +ENTRIES +MEMORY +CPU +LEADS MOVES\nn1 .*\nn2 /)
    },
  )

  for (const { args, code, says } of [
    { args: ["--interval", "1ms"], code: 2, says: /--interval 1ms: must be 100ms or more/ },
    { args: ["--count", "0"], code: 2, says: /--count 0: must be a whole number/ },
    { args: ["--node", "127.0.0.1:1"], code: 3, says: /127\.0\.0\.1:1/ },
  ])
    await context.test(`dcache top ${args.join(" ")} -> ${code}`, async () => {
      const ended = await run([...line, "top", ...args])
      equal(ended.code, code, ended.err)
      match(ended.err, says)
      ok(!ended.err.includes("    at "), ended.err)
    })
}

type Looked = {
  readonly agreed: boolean
  readonly operationsPerS: number
  readonly p99Ms: number
  readonly hitShare: number
  readonly members: readonly {
    readonly name: string
    readonly rates: { readonly cpuShare: number }
    readonly node: { readonly hasLease: boolean }
  }[]
}
