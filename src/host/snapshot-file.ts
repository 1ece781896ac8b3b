/**
 * The file in which a node keeps what it holds while the whole cluster is stopped. Written block by block, so that the node
 * goes on ticking, into a file beside it; on the disk, and whole, before it is renamed into place. Read block by block, each
 * checked before anything believes it. Knows blocks and bytes, and nothing of what they mean.
 *
 *     "dcache snapshot 1\n"
 *     [length of the block, 4 bytes] [CRC-32 of the block, 4 bytes] [the block]      again and again, big-endian
 *
 * The first block is a head, the last an end, which counts the others: a file that was cut short says so by its absence.
 */
import { crc32 } from "node:zlib"
import { setImmediate as nextTurn } from "node:timers/promises"
import { decodeSnapshotBlock, encodeSnapshotBlock } from "../protocol/codec.ts"
import { maxFrameBytes } from "../protocol/limits.ts"
import type { SnapshotBlock, SnapshotHead, SnapshotPart } from "../protocol/message.ts"

/** As much of a file system as a snapshot needs. A test puts one in its place that fails. */
export interface FileSystem {
  /** An empty file, also where there was one. */
  create(path: string): Promise<Sink>
  open(path: string): Promise<Source>
  rename(from: string, to: string): Promise<void>
  /** Whether it is there or not. */
  remove(path: string): Promise<void>
  /** What was renamed in it outlasts the loss of power. */
  syncDirectory(path: string): Promise<void>
}

export type Sink = {
  write(bytes: Uint8Array): Promise<void>
  /** What was written outlasts the loss of power. */
  sync(): Promise<void>
  close(): Promise<void>
}

export type Source = {
  /** How many bytes it has put into `into`; 0: that was all. */
  read(into: Uint8Array): Promise<number>
  close(): Promise<void>
}

/** Why a file is no snapshot, or no longer: in words. */
export class SnapshotDamage extends Error {
  override name = "SnapshotDamage"
}

const magic = new TextEncoder().encode("dcache snapshot 1\n")
const magicOfAnyVersion = "dcache snapshot "
const blockHeaderBytes = 8
/** Written, and read, in one go. */
const goBytes = 256 * 1024
/** After so long at a stretch others get their turn: ticks, beats, questions how far it is. */
const stretchMs = 4

// ------------------------------------------------------------------------------------------------------------ writing

export type Written = { readonly bytes: number; readonly entries: number }

/**
 * Writes a snapshot to `path`, or throws and leaves nothing behind: what was there before is there still. `aside` is where
 * it is made.
 */
export async function writeSnapshot(options: {
  readonly files: FileSystem
  readonly path: string
  readonly aside: string
  readonly directory: string
  readonly head: SnapshotHead
  readonly parts: Iterable<SnapshotPart>
  readonly wallMs: () => number
  /** How many entries have been written so far. Throws: it is given up. */
  readonly onProgress: (entries: number) => void
}): Promise<Written> {
  const { aside, directory, files, path } = options
  const sink = await files.create(aside)
  let written: Written
  try {
    written = await writeBlocks(sink, options)
    await sink.sync()
  } catch (error) {
    await sink.close().catch(() => {}) // the first failure is the one to tell of
    await files.remove(aside).catch(() => {})
    throw error
  }
  try {
    await sink.close()
    await files.rename(aside, path)
  } catch (error) {
    await files.remove(aside).catch(() => {})
    throw error
  }
  await files.syncDirectory(directory)
  return written
}

async function writeBlocks(
  sink: Sink,
  { head, parts, wallMs, onProgress }: Parameters<typeof writeSnapshot>[0],
): Promise<Written> {
  const run = new Run(sink)
  let [count, entries] = [0, 0]
  await run.add(magic)
  await run.addBlock({ kind: "head", wallMs: wallMs(), head })
  let stretchEndsAtMs = performance.now() + stretchMs
  for (const part of parts) {
    count += 1
    if (part.kind === "entries") entries += part.entries.length
    await run.addBlock({ kind: "part", wallMs: wallMs(), part })
    if (performance.now() < stretchEndsAtMs) continue
    await nextTurn()
    onProgress(entries)
    stretchEndsAtMs = performance.now() + stretchMs
  }
  await run.addBlock({ kind: "end", parts: count, entries })
  await run.flush()
  return { bytes: run.bytes, entries }
}

/** Gathers blocks, and writes them in pieces that are worth a call. */
class Run {
  readonly #sink: Sink
  #waiting: Uint8Array[] = []
  #waitingBytes = 0
  bytes = 0

  constructor(sink: Sink) {
    this.#sink = sink
  }

  async addBlock(block: SnapshotBlock): Promise<void> {
    const bytes = encodeSnapshotBlock(block)
    const header = new Uint8Array(blockHeaderBytes)
    const view = new DataView(header.buffer)
    view.setUint32(0, bytes.length)
    view.setUint32(4, crc32(bytes))
    this.#keep(header)
    await this.add(bytes)
  }

  async add(bytes: Uint8Array): Promise<void> {
    this.#keep(bytes)
    if (this.#waitingBytes >= goBytes) await this.flush()
  }

  async flush(): Promise<void> {
    const bytes = Buffer.concat(this.#waiting)
    this.#waiting = []
    this.#waitingBytes = 0
    await this.#sink.write(bytes)
  }

  #keep(bytes: Uint8Array): void {
    this.#waiting.push(bytes)
    this.#waitingBytes += bytes.length
    this.bytes += bytes.length
  }
}

// ------------------------------------------------------------------------------------------------------------ reading

export type OpenSnapshot = {
  readonly head: SnapshotHead
  /** When it was begun, in ms since 1970. */
  readonly wallMs: number
  /** What follows, to be taken once: throws `SnapshotDamage`, or what the file system throws. Its bytes are windows. */
  readonly parts: AsyncGenerator<{ readonly part: SnapshotPart; readonly wallMs: number }, void, undefined>
  close(): Promise<void>
}

/** Reads as far as the head. */
export async function openSnapshot(files: FileSystem, path: string): Promise<OpenSnapshot> {
  const source = await files.open(path)
  try {
    const blocks = blocksOf(source)
    const first = await blocks.next()
    if (first.done === true || first.value.kind !== "head") throw new SnapshotDamage("it does not begin with a head")
    const { head, wallMs } = first.value
    return { head, wallMs, parts: partsOf(blocks), close: () => source.close() }
  } catch (error) {
    await source.close().catch(() => {}) // only what it held matters
    throw error
  }
}

async function* partsOf(blocks: AsyncGenerator<SnapshotBlock, void, undefined>): OpenSnapshot["parts"] {
  let [count, entries] = [0, 0]
  let stretchEndsAtMs = performance.now() + stretchMs
  for await (const block of blocks) {
    if (block.kind === "head") throw new SnapshotDamage("it begins a second time")
    if (block.kind === "end") {
      if (block.parts !== count || block.entries !== entries) throw new SnapshotDamage("blocks are missing in it")
      const more = await blocks.next()
      if (more.done !== true) throw new SnapshotDamage("it goes on after its end")
      return
    }
    count += 1
    if (block.part.kind === "entries") entries += block.part.entries.length
    yield { part: block.part, wallMs: block.wallMs }
    if (performance.now() < stretchEndsAtMs) continue
    await nextTurn()
    stretchEndsAtMs = performance.now() + stretchMs
  }
  throw new SnapshotDamage("it was cut short: its end is missing")
}

async function* blocksOf(source: Source): AsyncGenerator<SnapshotBlock, void, undefined> {
  const input = new Input(source)
  const start = await input.take(magic.length)
  if (start === undefined || Buffer.compare(start, magic) !== 0) throw new SnapshotDamage(otherStart(start))
  for (let number = 1; ; number++) {
    const header = await input.take(blockHeaderBytes)
    if (header === undefined) {
      if (input.isAtEnd) return
      throw new SnapshotDamage(`it was cut short: block ${number} is incomplete`)
    }
    const view = new DataView(header.buffer, header.byteOffset, header.byteLength)
    const length = view.getUint32(0)
    // Checked before so much memory is asked for.
    if (length > maxFrameBytes) throw new SnapshotDamage(`block ${number} is damaged: it states a length of ${length}`)
    const bytes = await input.take(length)
    if (bytes === undefined) throw new SnapshotDamage(`it was cut short: block ${number} is incomplete`)
    if (crc32(bytes) !== view.getUint32(4))
      throw new SnapshotDamage(`block ${number} is damaged: its checksum is another`)
    const decoded = decodeSnapshotBlock(bytes)
    if (decoded.kind === "malformed") throw new SnapshotDamage(`block ${number} cannot be read: ${decoded.reason}`)
    yield decoded.block
  }
}

function otherStart(start: Uint8Array | undefined): string {
  const text = new TextDecoder("latin1").decode(start)
  if (text.startsWith(magicOfAnyVersion))
    return "it was written by another version, in a form that this one does not read"
  return "it is no snapshot"
}

/** Bytes of a file in the order in which they come, as many at a time as are wanted. */
class Input {
  readonly #source: Source
  #buffer = new Uint8Array(0)
  #isOver = false

  constructor(source: Source) {
    this.#source = source
  }

  /** Nothing is left, not even a part of what was asked for. */
  get isAtEnd(): boolean {
    return this.#isOver && this.#buffer.length === 0
  }

  /** Undefined: there are not so many any more. The next call does not touch them. */
  async take(count: number): Promise<Uint8Array | undefined> {
    while (this.#buffer.length < count && !this.#isOver) await this.#more(count)
    if (this.#buffer.length < count) return undefined
    const taken = this.#buffer.subarray(0, count)
    this.#buffer = this.#buffer.subarray(count)
    return taken
  }

  async #more(wanted: number): Promise<void> {
    const had = this.#buffer.length
    const larger = new Uint8Array(Math.max(wanted, had + goBytes))
    larger.set(this.#buffer)
    const got = await this.#source.read(larger.subarray(had))
    this.#isOver = got === 0
    this.#buffer = larger.subarray(0, had + got)
  }
}
