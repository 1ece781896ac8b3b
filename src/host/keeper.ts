/**
 * What a daemon does about a planned stop: has its node's data written when the cluster has stopped, read when the node
 * starts again, and taken out of use when the cluster resumes. Beside the node's ticks, a piece at a time; says how far it
 * is, and what went wrong, in words ("Planned stop" and "Resuming" in `src/core/README.md`).
 */
import { setTimeout as sleep } from "node:timers/promises"
import type { CacheNode } from "../core/node.ts"
import type { DiskReport, SnapshotHead, SnapshotPart } from "../protocol/message.ts"
import { type DataDirectory, problemOf } from "./data-directory.ts"
import type { HostEvent } from "./host-event.ts"
import { type OpenSnapshot, SnapshotDamage } from "./snapshot-file.ts"

export type ResumeFailure =
  /** What this node started from is of no use: it is to be stopped, and started as a new one. */
  | { readonly kind: "begin-again"; readonly text: string }
  /** It cannot go on, and what it started from is as it was. */
  | { readonly kind: "give-up"; readonly text: string }

export type KeeperOptions = {
  /** Undefined: at a planned stop what the node holds is lost. */
  readonly directory: DataDirectory | undefined
  readonly node: () => Pick<CacheNode, "snapshot" | "snapshotWritten" | "restore" | "restored" | "snapshotClaimed">
  /** Asked when it is written. */
  readonly head: () => SnapshotHead
  /** Runs a step of the node; nothing runs after one that failed. */
  readonly guarded: (step: () => void) => void
  readonly event: (event: HostEvent) => void
  readonly failed: (failure: ResumeFailure) => void
  readonly wallMs: () => number
  readonly times?: { readonly retryEveryMs: number; readonly giveUpAfterMs: number; readonly shownMs: number }
}

/** A full disk may be emptied. Until then the data is in memory, and nowhere else. */
const defaultTimes = {
  retryEveryMs: 2_000,
  giveUpAfterMs: 10 * 60_000,
  /** Whoever ordered the stop looks several times a second; so long the end is there to be seen. */
  shownMs: 1_000,
}

/** Ends a piece of work that nobody waits for any more. */
class Abandoned extends Error {}

export class Keeper {
  readonly #options: KeeperOptions
  #report: DiskReport
  readonly #closing = new AbortController()
  #isRefused = false
  /** What is under way. */
  #work: Promise<void> = Promise.resolve()

  constructor(options: KeeperOptions) {
    this.#options = options
    this.#report = options.directory === undefined ? { kind: "none" } : { kind: "idle" }
  }

  get report(): DiskReport {
    return this.#report
  }

  /** The cluster has stopped, and nothing changes in this node any more. */
  writeDown(): void {
    const { directory } = this.#options
    this.#do(directory === undefined ? () => this.#shown() : () => this.#write(directory))
  }

  /** The node has begun to resume from this. */
  read(snapshot: OpenSnapshot): void {
    this.#report = { kind: "loading", entries: 0 }
    this.#do(() => this.#read(snapshot))
  }

  /** All members are back; what this one started from must not be used again. */
  claim(): void {
    this.#do(async () => {
      const { directory, failed, guarded, node } = this.#options
      try {
        await directory?.takeOutOfUse()
      } catch (error) {
        const text = `${directory?.snapshotPath} cannot be taken out of use, so nothing may begin from it: ${problemOf(error)}`
        return failed({ kind: "give-up", text })
      }
      guarded(() => node().snapshotClaimed())
    })
  }

  /** The cluster goes on, with this node. */
  resumed(): void {
    // What stays is in nobody's way, and the next one replaces it.
    this.#do(async () => this.#options.directory?.forgetUsed().catch(() => {}))
  }

  /** What this node started from is of no use. */
  refuse(why: string): void {
    if (this.#isRefused) return
    this.#isRefused = true
    this.#do(() => this.#refuse(why))
  }

  /** Ends what is under way, with nothing half written left behind. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.#work
    this.#options.directory?.release()
  }

  #do(work: () => Promise<void>): void {
    this.#work = this.#work.then(async () => {
      if (this.#closing.signal.aborted) return
      try {
        await work()
      } catch (error) {
        if (this.#closing.signal.aborted) return
        this.#options.guarded(() => {
          throw error
        })
      }
    })
  }

  async #write(directory: DataDirectory): Promise<void> {
    const { event, times = defaultTimes, wallMs } = this.#options
    const { snapshotPath: path } = directory
    const giveUpAtMs = performance.now() + times.giveUpAfterMs
    for (;;) {
      this.#report = { kind: "writing", entries: 0 }
      const startedAtMs = performance.now()
      try {
        const written = await directory.write({
          head: this.#options.head(),
          parts: this.#parts(),
          wallMs,
          onProgress: entries => {
            this.#throwIfClosed()
            this.#report = { kind: "writing", entries }
          },
        })
        this.#report = { kind: "written", ...written }
        event({ kind: "snapshot-written", path, ...written, tookMs: Math.round(performance.now() - startedAtMs) })
        return this.#shown()
      } catch (error) {
        this.#throwIfClosed()
        const detail = problemOf(error)
        this.#report = { kind: "failed", detail }
        event({ kind: "snapshot-not-written", path, detail })
        if (performance.now() > giveUpAtMs) return this.#tellWritten()
      }
      await this.#pause(times.retryEveryMs)
    }
  }

  /** What the node throws is its own mistake, and not the disk's. */
  *#parts(): Generator<SnapshotPart, void, undefined> {
    const parts = this.#options.node().snapshot()
    for (;;) {
      let next: IteratorResult<SnapshotPart, void> | undefined
      this.#options.guarded(() => {
        next = parts.next()
      })
      if (next === undefined) throw new Abandoned()
      if (next.done === true) return
      yield next.value
    }
  }

  async #shown(): Promise<void> {
    await this.#pause((this.#options.times ?? defaultTimes).shownMs)
    this.#tellWritten()
  }

  #tellWritten(): void {
    this.#options.guarded(() => this.#options.node().snapshotWritten())
  }

  async #read(snapshot: OpenSnapshot): Promise<void> {
    const startedAtMs = performance.now()
    let entries = 0
    try {
      for await (const { part, wallMs } of snapshot.parts) {
        this.#throwIfClosed()
        if (this.#isRefused) return
        // A calendar that went back tells nothing; then no time has passed.
        const agoMs = Math.max(0, this.#options.wallMs() - wallMs)
        this.#step(node => node.restore(part, agoMs))
        if (part.kind === "entries") entries += part.entries.length
        this.#report = { kind: "loading", entries }
      }
      this.#step(node => node.restored())
    } catch (error) {
      this.#throwIfClosed()
      return this.refuse(`${this.#options.directory?.snapshotPath} cannot be used: ${problemOf(error)}`)
    } finally {
      await snapshot.close().catch(() => {}) // all that was wanted of it has been read, or nothing ever will be
    }
    this.#report = { kind: "idle" }
    this.#options.event({ kind: "snapshot-read", entries, tookMs: Math.round(performance.now() - startedAtMs) })
  }

  #step(run: (node: ReturnType<KeeperOptions["node"]>) => string | undefined): void {
    let problem: string | undefined
    this.#options.guarded(() => {
      problem = run(this.#options.node())
    })
    if (problem !== undefined) throw new SnapshotDamage(problem)
  }

  async #refuse(why: string): Promise<void> {
    const { directory, event, failed } = this.#options
    let where = `; it is kept as ${directory?.refusedPath}`
    try {
      await directory?.putAside()
    } catch (error) {
      where = `; it could not be put aside: ${problemOf(error)}`
    }
    event({ kind: "snapshot-unusable", detail: why })
    failed({ kind: "begin-again", text: `${why}${where}` })
  }

  async #pause(forMs: number): Promise<void> {
    await sleep(forMs, undefined, { signal: this.#closing.signal })
  }

  #throwIfClosed(): void {
    if (this.#closing.signal.aborted) throw new Abandoned()
  }
}
