/** The hint file survives crashes and bad disks, and never stops a node. */
import { deepEqual, equal } from "node:assert/strict"
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test, type TestContext } from "node:test"
import type { ColdHint, ProcessMark } from "../protocol/message.ts"
import { defaultHintPath, HintFile, type HintFileOptions } from "./hint-file.ts"

const hints: ColdHint = {
  clusterId: "c1",
  generation: 2,
  epoch: 9,
  copies: 3,
  addresses: ["10.0.0.1:5555", "[::1]:5556"],
}
const self: ProcessMark = { bootId: "b", pidNamespace: "n", pid: 10, startTicks: 1 }
const other: ProcessMark = { ...self, pid: 20 }
/** Everybody is near and lives. */
const processes: HintFileOptions["processes"] = { self, isNear: () => true, look: () => "running" }

function directory(context: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "dcache-hints-"))
  context.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

function fileAt(path: string, options: { failures?: string[]; by?: Partial<typeof processes> } = {}): HintFile {
  const { failures = [], by = {} } = options
  return new HintFile({
    path,
    hints: () => hints,
    failed: detail => failures.push(detail),
    processes: { ...processes, ...by },
  })
}

/** What a node writes that has nothing else to do. */
function write(path: string, by: Partial<typeof processes> = {}): void {
  const file = fileAt(path, { by })
  file.changed()
  file.close()
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

test("many changes are one write, after a moment", async context => {
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
    processes,
  })
  for (let i = 0; i < 100; i++) file.changed()
  equal(asked, 0)
  context.mock.timers.tick(200)
  equal(asked, 1)
  const deadline = performance.now() + 5_000
  while (!existsSync(path) && performance.now() < deadline) await new Promise(setImmediate)
  deepEqual(fileAt(path).read(), { kind: "hints", hints })
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

const good = JSON.stringify(hints)
const damaged = [
  "",
  "{",
  "null",
  "[]",
  "7",
  good.slice(0, 40),
  good.replace('"c1"', "7"),
  good.replace('"epoch":9', '"epoch":-1'),
  good.replace('"generation":2', '"generation":"2"'),
  good.replace('"copies":3,', ""),
  good.replace(/"addresses":.*]/, '"addresses":{}'),
  good.replace("10.0.0.1:5555", "10.0.0.1:99999"),
  good.replace("10.0.0.1:5555", "not an address"),
  good.replace('"10.0.0.1:5555"', "1"),
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
  const file = fileAt(join(blocker, "hints.json"), { failures })
  file.changed()
  file.close()
  file.remove()
  equal(failures.length, 1)
})

test("a file that another node of this machine writes is found to be in use, until that node is gone", context => {
  const path = join(directory(context), "hints.json")
  write(path, { self: other })
  deepEqual(fileAt(path).read(), { kind: "in-use", pid: 20 })
  deepEqual(fileAt(path, { by: { look: () => "dead" } }).read(), { kind: "hints", hints })
  deepEqual(fileAt(path, { by: { isNear: () => false } }).read(), { kind: "hints", hints })
  deepEqual(fileAt(path, { by: { self: null, isNear: () => false } }).read(), { kind: "hints", hints })
})

test("of two nodes that were given one file, the second one says so and leaves it alone", context => {
  const path = join(directory(context), "hints.json")
  const failures: string[] = []
  const second = fileAt(path, { failures })
  write(path, { self: other })
  second.changed()
  second.close()
  deepEqual(failures, ["process 20, another node, writes it as well: give each a file of its own"])
  deepEqual(fileAt(path, { by: { self: other } }).read(), { kind: "hints", hints })
})

test("each listen address has a file of its own, with a name that any disk takes", () => {
  const env = { XDG_STATE_HOME: "/state" }
  equal(defaultHintPath({ host: "127.0.0.1", port: 5555 }, env), "/state/dcache/hints-127.0.0.1-5555.json")
  equal(defaultHintPath({ host: "::1", port: 1 }, env), "/state/dcache/hints-__1-1.json")
})
