/**
 * Proof of death: silence never shows whether a peer died or is cut off, but of a process of this very machine the
 * operating system knows. Watches those peers of which it can tell, and reports a death once, when it is certain
 * ("Proof of death" in `src/core/README.md`).
 *
 * A peer is watched only if, while a connection to it stood, /proc showed the very process that greeted. What is not
 * shown is alive. A refused connection proves nothing: a firewall refuses as well.
 */
import type { NodeId, ProcessMark } from "../protocol/message.ts"
import type { ProcessTable } from "./process-table.ts"

export type DeathWatchOptions = {
  readonly processes: Pick<ProcessTable, "isNear" | "look">
  readonly isMember: (peer: NodeId) => boolean
  /** Whether some connection to it stands: of several, one may break. When the last one does, that is told again. */
  readonly isLinked: (peer: NodeId) => boolean
  /** Once for each process. */
  readonly died: (peer: NodeId) => void
  readonly nowMs: () => number
}

/** How often a peer whose connection broke is looked at: a process takes a moment to end after its sockets have. */
const lookEveryMs = 100
/** How often one whose connection stands is: whether it can still be seen. */
const reviewEveryMs = 30_000
/** A peer that is no member any more may be the last holder of something; after so long it is nobody's concern. */
const rememberMs = 120_000

type Watched = { readonly mark: ProcessMark; lostAtMs: number | undefined }

export class DeathWatch {
  readonly #options: DeathWatchOptions
  readonly #watched = new Map<NodeId, Watched>()
  #lookAtMs = 0
  #reviewAtMs = 0
  #state: "busy" | "at-rest" = "at-rest"

  constructor(options: DeathWatchOptions) {
    this.#options = options
  }

  /** A connection to this peer stands; `mark` is what it says of its process. */
  greeted(peer: NodeId, mark: ProcessMark | null): void {
    const { processes } = this.#options
    if (mark !== null && processes.isNear(mark) && processes.look(mark) === "running")
      this.#watched.set(peer, { mark, lostAtMs: undefined })
    else this.#watched.delete(peer)
  }

  /** A connection to this peer broke. */
  lost(peer: NodeId): void {
    const watched = this.#watched.get(peer)
    if (watched === undefined) return
    watched.lostAtMs ??= this.#options.nowMs()
    this.#look(peer, watched)
  }

  /** Returns whether a peer's end is awaited: then it is to be called every few tens of milliseconds. */
  tick(): "busy" | "at-rest" {
    const nowMs = this.#options.nowMs()
    if (nowMs >= this.#reviewAtMs) {
      this.#reviewAtMs = nowMs + reviewEveryMs
      this.#review()
    }
    if (nowMs < this.#lookAtMs) return this.#state
    this.#lookAtMs = nowMs + lookEveryMs
    this.#state = "at-rest"
    for (const [peer, watched] of this.#watched) {
      if (watched.lostAtMs === undefined) continue
      if (this.#options.isLinked(peer)) {
        watched.lostAtMs = undefined
        continue
      }
      this.#state = "busy"
      if (nowMs - watched.lostAtMs > rememberMs && !this.#options.isMember(peer)) this.#watched.delete(peer)
      else this.#look(peer, watched)
    }
    return this.#state
  }

  #look(peer: NodeId, { mark }: Watched): void {
    if (this.#options.processes.look(mark) !== "dead") return
    this.#watched.delete(peer)
    this.#options.died(peer)
  }

  #review(): void {
    for (const [peer, { mark, lostAtMs }] of this.#watched)
      if (lostAtMs === undefined && this.#options.processes.look(mark) === "unseen") this.#watched.delete(peer)
  }
}
