/**
 * The examples of the README: they are the files of `harness/examples/`, which the compiler checks with everything else, and do what
 * they say on real nodes.
 */
import { deepEqual, equal, ok } from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import path from "node:path"
import { test } from "node:test"
import { pathToFileURL } from "node:url"
import { NodeBench } from "./node-bench.ts"

const root = path.dirname(path.dirname(import.meta.dirname))
const examples = globSync("harness/examples/*.ts", { cwd: root }).sort()

/** What each one prints. */
const printed: Readonly<Record<string, string>> = {
  "harness/examples/get-or-set.ts": "user 42 1\n2\n",
  "harness/examples/tour.ts": "Ada 1 Ada undefined\nstored\nuser:42\n1\n",
}

test("the README shows the examples as they are", () => {
  const readme = readFileSync(path.join(root, "README.md"), "utf8")
  const shown = [...readme.matchAll(/```ts\n(\/\/ (harness\/examples\/\S+)\n.*?)```\n/gs)]
  deepEqual(shown.map(([, , file]) => file).sort(), examples)
  for (const [, text, file] of shown) equal(readFileSync(path.join(root, file ?? ""), "utf8"), text, file)
})

test("the examples do what they say", { timeout: 120_000 }, async context => {
  const bench = new NodeBench(context)
  const [, second] = await bench.cluster({ name: "n1" }, { name: "n2" })
  ok(second)
  const directory = mkdtempSync(path.join(tmpdir(), "dcache-examples-"))
  context.after(() => rmSync(directory, { recursive: true, force: true }))
  for (const file of examples) {
    const program = readFileSync(path.join(root, file), "utf8")
      .replace('"dcache"', JSON.stringify(pathToFileURL(path.join(root, "src/client/client.ts")).href))
      .replace("127.0.0.1:5555", second.process.address)
    const copy = path.join(directory, path.basename(file).replace(/\.ts$/, ".mts"))
    writeFileSync(copy, program)
    deepEqual(await ran(copy), { code: 0, out: printed[file] }, file)
  }
})

async function ran(file: string): Promise<{ code: unknown; out: string }> {
  const child = spawn(process.execPath, [file], { stdio: ["ignore", "pipe", "inherit"] })
  let out = ""
  child.stdout.on("data", (chunk: Buffer) => {
    out += chunk.toString()
  })
  const [code] = await once(child, "close")
  return { code, out }
}
