/** The hint file survives crashes and bad disks, and never stops a node. */
import { deepEqual, equal } from "node:assert/strict"
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test, type TestContext } from "node:test"
import { defaultHintPath, HintFile, type Hints } from "./hint-file.ts"

const hints: Hints = { clusterId: "c1", addresses: ["10.0.0.1:5555", "[::1]:5556"] }

function directory(context: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "dcache-hints-"))
  context.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

function fileAt(path: string, failures: string[] = []): HintFile {
  return new HintFile({ path, hints: () => hints, failed: detail => failures.push(detail) })
}

test("what was written is read again, and no other file is left behind", context => {
  const folder = join(directory(context), "made", "when", "needed")
  const file = fileAt(join(folder, "hints.json"))
  file.changed()
  file.close()
  deepEqual(fileAt(file.path).read(), { kind: "hints", hints })
  deepEqual(readdirSync(folder), ["hints.json"])
})

test("without a change nothing is written, and nothing is there to read", context => {
  const file = fileAt(join(directory(context), "hints.json"))
  file.close()
  deepEqual(file.read(), { kind: "none" })
})

test("many changes are one write, after a second", async context => {
  context.mock.timers.enable({ apis: ["setTimeout"] })
  let asked = 0
  const path = join(directory(context), "hints.json")
  const file = new HintFile({
    path,
    hints: () => {
      asked += 1
      return hints
    },
    failed: () => {},
  })
  for (let i = 0; i < 100; i++) file.changed()
  equal(asked, 0)
  context.mock.timers.tick(1_000)
  equal(asked, 1)
  const deadline = performance.now() + 5_000
  while (!existsSync(path) && performance.now() < deadline) await new Promise(setImmediate)
  deepEqual(JSON.parse(readFileSync(path, "utf8")), hints)
})

test("a removed file stays removed", context => {
  const file = fileAt(join(directory(context), "hints.json"))
  file.changed()
  file.close()
  file.remove()
  file.changed()
  file.close()
  deepEqual(file.read(), { kind: "none" })
})

const damaged = [
  "",
  "{",
  "null",
  "[]",
  "7",
  '{"clusterId":7,"addresses":[]}',
  '{"clusterId":"c1","addresses":"10.0.0.1:5555"}',
  '{"clusterId":"c1","addresses":[1]}',
  '{"clusterId":"c1","addresses":["10.0.0.1:99999"]}',
  '{"clusterId":"c1","addresses":["not an address"]}',
]

for (const text of damaged) {
  test(`a file that holds ${text === "" ? "nothing" : text} is called damaged`, context => {
    const path = join(directory(context), "hints.json")
    writeFileSync(path, text)
    equal(fileAt(path).read().kind, "damaged")
  })
}

test("a disk that takes no file is told of once", context => {
  const failures: string[] = []
  const blocker = join(directory(context), "file")
  writeFileSync(blocker, "")
  // A folder cannot be made where a file is, whoever runs this.
  const file = fileAt(join(blocker, "hints.json"), failures)
  file.changed()
  file.close()
  file.remove()
  equal(failures.length, 1)
})

test("each listen address has a file of its own, with a name that any disk takes", () => {
  const env = { XDG_STATE_HOME: "/state" }
  equal(defaultHintPath({ host: "127.0.0.1", port: 5555 }, env), "/state/dcache/hints-127.0.0.1-5555.json")
  equal(defaultHintPath({ host: "::1", port: 1 }, env), "/state/dcache/hints-__1-1.json")
})
