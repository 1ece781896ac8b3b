/** What a daemon does about a planned stop, on a real directory and with a node that only takes notes. */
import { deepEqual, equal, match, ok } from "node:assert/strict"
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { packView } from "../core/membership/view.ts"
import { firstView } from "../core/testing/random-views.ts"
import type { SnapshotHead, SnapshotPart } from "../protocol/message.ts"
import { DataDirectory } from "./data-directory.ts"
import { realFiles } from "./file-system.ts"
import type { HostEvent } from "./host-event.ts"
import { Keeper, type ResumeFailure } from "./keeper.ts"
import type { ProcessTable } from "./process-table.ts"
import type { FileSystem } from "./snapshot-file.ts"

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
const view = { ...firstView({ copies: 2, maxVoters: 3 }), stopped: true }
const head: SnapshotHead = { self, listen: "a:1", view: packView(view), entries: 3 }
const entry = { key: Uint8Array.of(1), value: new Uint8Array(50_000), flags: 0, version: 1, ttlLeftMs: null }
const parts: readonly SnapshotPart[] = [
  { kind: "shard", shard: 0, commit: 9 },
  ...Array.from({ length: 40 }, () => ({ kind: "entries", entries: [entry] }) as const),
]

const alone: Pick<ProcessTable, "self" | "isNear" | "look"> = { self: null, isNear: () => false, look: () => "unseen" }

/** `files`: what a test changes of the real ones. */
function bench(context: TestContext, files: Partial<FileSystem> = {}, given: "directory" | "nothing" = "directory") {
  const path = mkdtempSync(join(tmpdir(), "dcache-keeper-"))
  const directory = new DataDirectory({ path, files: { ...realFiles, ...files }, processes: alone })
  const told: string[] = []
  const events: HostEvent[] = []
  const failures: ResumeFailure[] = []
  const restored: { part: SnapshotPart; agoMs: number }[] = []
  const node = {
    problem: undefined as string | undefined,
    snapshot: () => parts.values() as Generator<SnapshotPart, void, undefined>,
    snapshotWritten: () => told.push("written"),
    restore: (part: SnapshotPart, agoMs: number) => {
      restored.push({ part, agoMs })
      return restored.length > 3 ? node.problem : undefined
    },
    restored: () => {
      told.push("restored")
      return undefined
    },
    snapshotClaimed: () => told.push("claimed"),
  }
  const clock = { wallMs: 1_000 }
  const keeper = new Keeper({
    directory: given === "nothing" ? undefined : directory,
    node: () => node,
    head: () => head,
    guarded: step => step(),
    event: event => events.push(event),
    failed: failure => failures.push(failure),
    wallMs: () => clock.wallMs,
    times: { retryEveryMs: 5, giveUpAfterMs: 300, shownMs: 1 },
  })
  context.after(async () => {
    await keeper.close()
    rmSync(path, { recursive: true })
  })
  return { path, directory, keeper, told, events, failures, restored, node, clock }
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 20_000
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited in vain for: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 2))
  }
}

const full = () => Promise.reject(Object.assign(new Error("no space left on device"), { code: "ENOSPC" }))

test("without a directory there is nothing to write, and nothing to wait for", async context => {
  const { keeper, told } = bench(context, {}, "nothing")
  keeper.writeDown()
  await until("the node to be told", () => told.length > 0)
  deepEqual([told, keeper.report], [["written"], { kind: "none" }])
})

test("what is written is found by the next start, read with its age, claimed, and then gone", async context => {
  const { path, directory, keeper, told, restored, clock } = bench(context)
  keeper.writeDown()
  await until("the node to be told", () => told.length > 0)
  const { report } = keeper
  ok(report.kind === "written" && report.entries === 40 && report.bytes > 40 * 50_000, JSON.stringify(report))

  clock.wallMs = 61_000
  const found = await directory.find()
  ok(found.kind === "found" && found.snapshot.wallMs === 1_000)
  keeper.read(found.snapshot)
  await until("the node to be told", () => told.includes("restored"))
  deepEqual(
    restored.map(({ part }) => part.kind),
    parts.map(({ kind }) => kind),
  )
  equal(restored[0]?.agoMs, 60_000)

  keeper.claim()
  await until("the claim", () => told.includes("claimed"))
  equal((await directory.find()).kind, "none")
  ok(directory.usedAtMs() !== undefined)
  keeper.resumed()
  await until("nothing to be left", () => readdirSync(path).length === 0)
})

test("a calendar that went back ages nothing", async context => {
  const { directory, keeper, told, restored, clock } = bench(context)
  keeper.writeDown()
  await until("the node to be told", () => told.length > 0)
  clock.wallMs = 0
  const found = await directory.find()
  ok(found.kind === "found")
  keeper.read(found.snapshot)
  await until("the node to be told", () => told.includes("restored"))
  equal(restored[0]?.agoMs, 0)
})

test("a full disk is said, and tried again until there is room", async context => {
  let attempts = 0
  const { keeper, told, events, path } = bench(context, {
    create: async place => {
      const sink = await realFiles.create(place)
      attempts += 1
      return attempts < 4 ? { ...sink, sync: full } : sink
    },
  })
  keeper.writeDown()
  await until("it to fail", () => keeper.report.kind === "failed")
  deepEqual(keeper.report, { kind: "failed", detail: "the disk is full" })
  deepEqual(told, [])
  await until("the node to be told", () => told.length > 0)
  equal(keeper.report.kind, "written")
  deepEqual(
    events.map(({ kind }) => kind),
    ["snapshot-not-written", "snapshot-not-written", "snapshot-not-written", "snapshot-written"],
  )
  deepEqual(readdirSync(path), ["snapshot"])
})

test("a disk that stays full does not keep the node for ever", async context => {
  const { keeper, told, path } = bench(context, { create: full })
  keeper.writeDown()
  await until("the node to be told", () => told.length > 0)
  equal(keeper.report.kind, "failed")
  deepEqual(readdirSync(path), [])
})

test("ended in the middle of writing, it leaves nothing behind and says nothing to the node", async context => {
  const { keeper, told, path } = bench(context, {
    create: async place => {
      const sink = await realFiles.create(place)
      return {
        ...sink,
        write: async bytes => {
          await sink.write(bytes)
          await new Promise(resolve => setTimeout(resolve, 5))
        },
      }
    },
  })
  keeper.writeDown()
  await until("it to have begun", () => existsSync(join(path, "snapshot.new")))
  await keeper.close()
  deepEqual([told, readdirSync(path)], [[], []])
})

test("what makes no sense to the node is put aside, and the node begins again", async context => {
  const { directory, keeper, node, told, failures, path } = bench(context)
  keeper.writeDown()
  await until("the node to be told", () => told.length > 0)
  const found = await directory.find()
  ok(found.kind === "found")
  node.problem = "shard 7 comes twice"
  keeper.read(found.snapshot)
  await until("it to be refused", () => failures.length > 0)
  equal(failures[0]?.kind, "begin-again")
  match(failures[0]?.text ?? "", /snapshot cannot be used: shard 7 comes twice; it is kept as .*snapshot\.refused$/)
  deepEqual(readdirSync(path), ["snapshot.refused"])
  equal(told.includes("restored"), false)
})

test("refused while it is read, it is read no further", async context => {
  const { directory, keeper, told, failures, restored } = bench(context)
  keeper.writeDown()
  await until("the node to be told", () => told.length > 0)
  const found = await directory.find()
  ok(found.kind === "found")
  keeper.read(found.snapshot)
  await until("it to have begun", () => restored.length > 0)
  keeper.refuse("the cluster has gone on without this node")
  keeper.refuse("and so says another")
  await until("it to be refused", () => failures.length > 0)
  match(failures[0]?.text ?? "", /^the cluster has gone on/)
  ok(restored.length < parts.length)
  equal(failures.length, 1)
})

test("what cannot be taken out of use is not used", async context => {
  const readOnly = () => Promise.reject(Object.assign(new Error("read-only"), { code: "EROFS" }))
  const { keeper, told, failures } = bench(context, { rename: readOnly })
  keeper.claim()
  await until("it to be said", () => failures.length > 0)
  equal(failures[0]?.kind, "give-up")
  match(failures[0]?.text ?? "", /cannot be taken out of use.*the file system is read-only$/)
  deepEqual(told, [])
})
