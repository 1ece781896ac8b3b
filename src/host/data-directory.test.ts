/** One directory for one node: who has it, what is found in it, and what a disk that is full leaves there. */
import { deepEqual, equal, match, ok, rejects } from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { packView } from "../core/membership/view.ts"
import { firstView } from "../core/testing/random-views.ts"
import type { ProcessMark, SnapshotHead, SnapshotPart } from "../protocol/message.ts"
import { DataDirectory, problemOf } from "./data-directory.ts"
import { realFiles } from "./file-system.ts"
import type { ProcessSight } from "./process-table.ts"

const mark = (pid: number): ProcessMark => ({ bootId: "b", pidNamespace: "n", pid, startTicks: 1 })

/** As the process `pid` sees it, where the others are as `sight` says. */
function directoryOf(path: string, pid: number, sight: ProcessSight = "running"): DataDirectory {
  const processes = { self: mark(pid), isNear: () => true, look: () => sight }
  return new DataDirectory({ path, files: realFiles, processes })
}

function temporary(context: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "dcache-data-"))
  context.after(() => rmSync(path, { recursive: true }))
  return path
}

const self = {
  id: "0123456789abcdef",
  name: "n1",
  addr: "a:1",
  clientAddr: "a:1",
  zone: "",
  witness: false,
  protoMin: 1,
  protoMax: 1,
}
const head: SnapshotHead = { self, listen: "a:1", view: packView(firstView({ copies: 1, maxVoters: 3 })), entries: 0 }

function written(directory: DataDirectory, bytes: number) {
  const value = new Uint8Array(50_000)
  const entry = { key: Uint8Array.of(1), value, flags: 0, version: 1, ttlLeftMs: null }
  const parts: SnapshotPart[] = [{ kind: "shard", shard: 0, commit: 1 }]
  for (let i = 0; i < bytes; i += value.length) parts.push({ kind: "entries", entries: [entry] })
  return directory.write({ head, parts, wallMs: () => 0, onProgress: () => {} })
}

test("a second node is told whose it is; what a dead one left is free", context => {
  const path = temporary(context)
  const first = directoryOf(path, 1)
  deepEqual(first.take(), { kind: "taken" })
  deepEqual(directoryOf(path, 2).take(), { kind: "in-use", pid: 1 })
  deepEqual(directoryOf(path, 2, "dead").take(), { kind: "taken" })
  first.release()
  deepEqual(directoryOf(path, 3).take(), { kind: "taken" })
})

test("what a writer left that was killed is taken away", context => {
  const path = temporary(context)
  writeFileSync(join(path, "snapshot.new"), "half")
  directoryOf(path, 1).take()
  deepEqual(readdirSync(path), ["owner"])
})

test("an owner file that says nothing names nobody", context => {
  const path = temporary(context)
  for (const text of ["", "[]", '{"process":7}', '{"process":{"pid":1}}']) {
    writeFileSync(join(path, "owner"), text)
    equal(directoryOf(path, 2).take().kind, "taken", text)
  }
})

test("what is no snapshot is found, and of no use", async context => {
  const path = temporary(context)
  const directory = directoryOf(path, 1)
  equal((await directory.find()).kind, "none")
  writeFileSync(directory.snapshotPath, "something else altogether")
  deepEqual(await directory.find(), { kind: "unusable", detail: "it is no snapshot" })
})

test("a real disk that is full: it is said, the snapshot of before stays, and nothing half-written", async context => {
  const path = temporary(context)
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", path], { stdio: "pipe" })
  } catch {
    return context.skip("mounting a small file system is not permitted here")
  }
  try {
    const directory = directoryOf(path, 1)
    directory.take()
    await written(directory, 300_000)
    const before = readdirSync(path)
    await rejects(written(directory, 2_000_000), error => {
      equal(problemOf(error), "the disk is full")
      return true
    })
    deepEqual(readdirSync(path), before)
    const found = await directory.find()
    ok(found.kind === "found")
    let count = 0
    for await (const _ of found.snapshot.parts) count += 1
    equal(count, 7)
    await found.snapshot.close()
  } finally {
    execFileSync("umount", [path])
  }
})

for (const [code, words] of [
  ["ENOSPC", /the disk is full/],
  ["EROFS", /read-only/],
  ["EACCES", /not permitted/],
  ["EWHATEVER", /as the system says/],
] as const)
  test(`${code} in words: ${words.source}`, () => {
    match(problemOf(Object.assign(new Error("as the system says"), { code })), words)
  })
