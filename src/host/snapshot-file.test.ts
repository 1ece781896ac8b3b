/** A snapshot is there whole or not at all, whatever fails, and whenever; what is not whole is refused in words. */
import { deepEqual, equal, match, rejects } from "node:assert/strict"
import { test } from "node:test"
import type { SnapshotHead, SnapshotPart, View } from "../protocol/message.ts"
import { packView } from "../core/membership/view.ts"
import { firstView } from "../core/testing/random-views.ts"
import { type FileSystem, openSnapshot, SnapshotDamage, writeSnapshot } from "./snapshot-file.ts"

const view: View = { ...firstView({ copies: 2, maxVoters: 3 }), stopped: true }
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
const head: SnapshotHead = { self, listen: "a:1", view: packView(view), entries: 200 }

/** Of about `count` entries, in several blocks. */
function partsOf(count: number): SnapshotPart[] {
  const entries = Array.from({ length: count }, (_, i) => ({
    key: Uint8Array.of(i, i >> 8),
    value: new Uint8Array(100).fill(i),
    flags: 0,
    version: i + 1,
    ttlLeftMs: i % 2 === 0 ? null : i,
  }))
  return [
    { kind: "shard", shard: 0, commit: count },
    { kind: "records", records: [{ client: self.id, low: 1, idleMs: 5, results: [[2, { kind: "deleted" }]] }] },
    { kind: "entries", entries: entries.slice(0, count / 2) },
    { kind: "entries", entries: entries.slice(count / 2) },
    { kind: "shard", shard: 1, commit: 0 },
  ]
}

class Crash extends Error {}

/**
 * A disk as it is after a crash at any moment: what was not synced may be lost, and a name that was changed may be the old
 * one again. Fails, or crashes, at the n-th thing that is asked of it.
 */
class ModelDisk implements FileSystem {
  /** As processes see it, and as it outlasts the loss of power. */
  readonly names = new Map<string, { bytes: Uint8Array; synced: Uint8Array }>()
  #durableNames = new Map<string, { bytes: Uint8Array; synced: Uint8Array }>()
  steps = 0
  readonly #failAt: number
  readonly #error: Error
  #isOver = false

  constructor(failAt = Number.POSITIVE_INFINITY, error: Error = new Crash()) {
    this.#failAt = failAt
    this.#error = error
  }

  #step(): void {
    this.steps += 1
    if (this.#isOver) throw this.#error
    if (this.steps !== this.#failAt) return
    // A full disk is full for whoever asks next, and lets files be removed; a crash is the end.
    if (this.#error instanceof Crash) this.#isOver = true
    throw this.#error
  }

  async create(path: string) {
    this.#step()
    const file = { bytes: new Uint8Array(0), synced: new Uint8Array(0) }
    this.names.set(path, file)
    return {
      write: async (bytes: Uint8Array) => {
        try {
          this.#step()
        } catch (error) {
          // As much of it as there was room for.
          file.bytes = Buffer.concat([file.bytes, bytes.subarray(0, bytes.length / 2)])
          throw error
        }
        file.bytes = Buffer.concat([file.bytes, bytes])
      },
      sync: async () => {
        this.#step()
        file.synced = file.bytes
      },
      close: async () => this.#step(),
    }
  }

  async open(path: string) {
    const file = this.names.get(path)
    if (file === undefined) throw Object.assign(new Error("none"), { code: "ENOENT" })
    let at = 0
    return {
      // A few at a time, as a slow disk gives them.
      read: async (into: Uint8Array) => {
        const some = file.bytes.subarray(at, at + Math.min(into.length, 1_000))
        into.set(some)
        at += some.length
        return some.length
      },
      close: async () => {},
    }
  }

  async rename(from: string, to: string): Promise<void> {
    this.#step()
    const file = this.names.get(from)
    if (file === undefined) throw new Error("none")
    this.names.delete(from)
    this.names.set(to, file)
  }

  async remove(path: string): Promise<void> {
    this.#step()
    this.names.delete(path)
  }

  async syncDirectory(): Promise<void> {
    this.#step()
    this.#durableNames = new Map(this.names)
  }

  /** What is there when the power is back: of names that were changed the old or the new ones, of files what was synced. */
  afterPowerLoss(names: "old" | "new"): ModelDisk {
    const disk = new ModelDisk()
    for (const [path, { synced }] of names === "old" ? this.#durableNames : this.names)
      disk.names.set(path, { bytes: synced, synced })
    return disk
  }

  /** The process was killed: the kernel still has all that it was given. */
  afterKill(): ModelDisk {
    const disk = new ModelDisk()
    for (const [path, file] of this.names) disk.names.set(path, file)
    return disk
  }
}

async function write(files: FileSystem, parts: readonly SnapshotPart[], wallMs = 1_000) {
  const where = { files, path: "d/snapshot", aside: "d/snapshot.new", directory: "d" }
  return writeSnapshot({ ...where, head, parts, wallMs: () => wallMs, onProgress: () => {} })
}

async function read(files: FileSystem) {
  const snapshot = await openSnapshot(files, "d/snapshot")
  const parts: SnapshotPart[] = []
  for await (const { part } of snapshot.parts) parts.push(structuredClone(part))
  return { head: snapshot.head, wallMs: snapshot.wallMs, parts }
}

/** How many entries the snapshot has that a start would find; undefined: none. Anything else is a failure. */
async function foundEntries(disk: ModelDisk): Promise<number | undefined> {
  if (!disk.names.has("d/snapshot")) return undefined
  const { parts } = await read(disk)
  return parts.reduce((sum, part) => sum + (part.kind === "entries" ? part.entries.length : 0), 0)
}

async function contentOf(bytes: Uint8Array): Promise<unknown> {
  const disk = new ModelDisk()
  disk.names.set("d/snapshot", { bytes, synced: bytes })
  return read(disk)
}

async function writtenBytes(count = 40): Promise<Uint8Array> {
  const disk = new ModelDisk()
  await write(disk, partsOf(count))
  return disk.names.get("d/snapshot")?.bytes ?? new Uint8Array(0)
}

test("what was written is read", async () => {
  const disk = new ModelDisk()
  const written = await write(disk, partsOf(200))
  equal(written.entries, 200)
  equal(written.bytes, disk.names.get("d/snapshot")?.bytes.length)
  deepEqual(await read(disk), { head, wallMs: 1_000, parts: partsOf(200) })
  deepEqual([...disk.names.keys()], ["d/snapshot"])
})

test("large values, larger than what is written in one go", async () => {
  const disk = new ModelDisk()
  const value = new Uint8Array(3 * 1024 * 1024).fill(7)
  const parts: SnapshotPart[] = [
    { kind: "shard", shard: 0, commit: 1 },
    { kind: "entries", entries: [{ key: Uint8Array.of(1), value, flags: 0, version: 1, ttlLeftMs: null }] },
  ]
  await write(disk, parts)
  deepEqual((await read(disk)).parts, parts)
})

test("cut short anywhere, it says so", async () => {
  const bytes = await writtenBytes()
  for (let length = 0; length < bytes.length; length++)
    await rejects(contentOf(bytes.subarray(0, length)), SnapshotDamage, `${length} of ${bytes.length} bytes`)
})

test("with any one byte changed, it says so", async () => {
  const bytes = await writtenBytes(20)
  for (let at = 0; at < bytes.length; at++) {
    const damaged = Uint8Array.from(bytes)
    damaged[at] = (damaged[at] as number) ^ 0x10
    await rejects(contentOf(damaged), SnapshotDamage, `byte ${at} of ${bytes.length}`)
  }
})

for (const { change, words } of [
  { change: (bytes: Buffer) => Buffer.from("hello, world, this is something else"), words: /it is no snapshot/ },
  {
    change: (bytes: Buffer) => Buffer.from(bytes.toString("latin1").replace("snapshot 1", "snapshot 2"), "latin1"),
    words: /written by another version/,
  },
  { change: (bytes: Buffer) => Buffer.concat([bytes, Buffer.of(0, 0, 0, 0, 0, 0, 0, 0)]), words: /block|goes on/ },
  {
    change: (bytes: Buffer) => Buffer.concat([bytes.subarray(0, 18), Buffer.of(0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0)]),
    words: /states a length of 2147483647/,
  },
])
  test(`refused in words: ${words.source}`, async () => {
    await rejects(contentOf(change(Buffer.from(await writtenBytes()))), (error: Error) => {
      match(error.message, words)
      return error instanceof SnapshotDamage
    })
  })

/** How many things are asked of a disk for one snapshot after another. */
async function stepsOfTwo(): Promise<{ first: number; both: number }> {
  const disk = new ModelDisk()
  await write(disk, partsOf(4))
  const first = disk.steps
  await write(disk, partsOf(4_000))
  return { first, both: disk.steps }
}

test("killed, or without power, at whatever moment: the old snapshot is there or the new one, whole", async () => {
  const { first, both } = await stepsOfTwo()
  const found = new Set<number | undefined>()
  for (let crashAt = first + 1; crashAt <= both; crashAt++) {
    const disk = new ModelDisk(crashAt)
    await write(disk, partsOf(4))
    await rejects(write(disk, partsOf(4_000)), Crash)
    for (const after of [disk.afterKill(), disk.afterPowerLoss("old"), disk.afterPowerLoss("new")]) {
      const entries = await foundEntries(after)
      equal(entries === 4 || entries === 4_000, true, `crash at step ${crashAt}: ${entries} entries`)
      found.add(entries)
    }
  }
  deepEqual(found, new Set([4, 4_000]))
})

test("killed, or without power, at the first snapshot: it is there whole, or there is none", async () => {
  const { first } = await stepsOfTwo()
  for (let crashAt = 1; crashAt <= first; crashAt++) {
    const disk = new ModelDisk(crashAt)
    await rejects(write(disk, partsOf(4)), Crash)
    for (const after of [disk.afterKill(), disk.afterPowerLoss("old"), disk.afterPowerLoss("new")])
      equal([undefined, 4].includes(await foundEntries(after)), true, `crash at step ${crashAt}`)
  }
})

test("once it is done, it outlasts the loss of power", async () => {
  const disk = new ModelDisk()
  await write(disk, partsOf(4))
  equal(await foundEntries(disk.afterPowerLoss("old")), 4)
})

test("a disk that is full, or fails, at whatever moment: it is said, the old snapshot stays, and nothing half-written", async () => {
  const { first, both } = await stepsOfTwo()
  const full = Object.assign(new Error("no space left on device"), { code: "ENOSPC" })
  for (let failAt = first + 1; failAt < both; failAt++) {
    const disk = new ModelDisk(failAt, full)
    await write(disk, partsOf(4))
    await rejects(write(disk, partsOf(4_000)), (error: unknown) => error === full)
    equal(await foundEntries(disk), 4, `step ${failAt}`)
    deepEqual([...disk.names.keys()], ["d/snapshot"], `step ${failAt}`)
    // And when there is room again, it works.
    await write(disk, partsOf(4_000))
    equal(await foundEntries(disk), 4_000)
  }
})

test("whoever gives it up leaves nothing behind", async () => {
  const disk = new ModelDisk()
  const where = { files: disk, path: "d/snapshot", aside: "d/snapshot.new", directory: "d" }
  const parts = function* (): Generator<SnapshotPart> {
    yield* partsOf(4)
    throw new Error("the node has ended")
  }
  await rejects(writeSnapshot({ ...where, head, parts: parts(), wallMs: () => 0, onProgress: () => {} }), /has ended/)
  deepEqual([...disk.names.keys()], [])
})
