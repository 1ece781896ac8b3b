/** What becomes of each member while the whole cluster stops, by what it says of itself, and what to tell people. Pure. */
import type { DiskReport, NodeId, StatusReport } from "../protocol/message.ts"
import { diskText } from "./status-text.ts"

type Named = { readonly id: NodeId; readonly name: string }

type State =
  /** It has not shown that it knows of the stop. */
  | { readonly kind: "unheard" }
  | { readonly kind: "stopped"; readonly disk: DiskReport }
  /** Started again already, by whoever looks after it. */
  | { readonly kind: "started-again" }

/** `isGone`: nobody answers where it was, now. `hasEnded`: and it knew of the stop. */
type Fate = Named & { state: State; isGone: boolean; hasEnded: boolean }

export type StoppedMember = Named & { readonly disk: DiskReport["kind"] | "unknown"; readonly ended: boolean }

export class Stopping {
  readonly #fates: readonly Fate[]

  constructor(members: readonly Named[]) {
    this.#fates = members.map(({ id, name }) => ({
      id,
      name,
      state: { kind: "unheard" },
      isGone: false,
      hasEnded: false,
    }))
  }

  /** It answers. A process that answers at its place with another id is its successor. */
  said(id: NodeId, report: Pick<StatusReport, "id" | "phase" | "disk">): void {
    const fate = this.#fateOf(id)
    fate.isGone = false
    if (report.id === id && report.phase === "stopped")
      fate.state = { kind: "stopped", disk: report.disk ?? { kind: "none" } }
    else if (fate.state.kind === "stopped" || report.phase === "resuming") {
      if (fate.state.kind === "unheard") fate.state = { kind: "started-again" }
      fate.hasEnded = true
    }
  }

  /** Nobody answers where it was. */
  isGone(id: NodeId): void {
    const fate = this.#fateOf(id)
    fate.isGone = true
    if (fate.state.kind !== "unheard") fate.hasEnded = true
  }

  /** Nothing more will come of waiting. */
  get isOver(): boolean {
    return this.#fates.every(({ hasEnded, isGone }) => hasEnded || isGone)
  }

  get members(): StoppedMember[] {
    return this.#fates.map(({ id, name, state, hasEnded }) => ({
      id,
      name,
      disk: state.kind === "stopped" ? state.disk.kind : "unknown",
      ended: hasEnded,
    }))
  }

  /** How far it is, in one line. */
  get progress(): string {
    const ended = this.#fates.filter(({ hasEnded }) => hasEnded).length
    const open = this.#fates.filter(({ hasEnded }) => !hasEnded).map(inWords)
    return `stopping: ${ended} of ${this.#fates.length} have ended${open.length > 0 ? `; ${open.join(", ")}` : ""}`
  }

  /** What is not as it should be: a sentence for each member that it is said of. */
  get problems(): string[] {
    return this.#fates.flatMap(({ name, state, hasEnded }) => {
      if (state.kind === "started-again") return []
      if (state.kind === "unheard")
        return [`${name} does not answer: it is dead, or it stops when it hears of the stop from the others`]
      const { disk } = state
      if (disk.kind === "failed") return [`${name} could not write down what it holds: ${disk.detail}`]
      if (!hasEnded) return [`${name} has not ended yet: ${diskText(disk)}`]
      if (disk.kind === "writing" || disk.kind === "idle")
        return [`${name} has ended, and did not say whether all was written`]
      return []
    })
  }

  get written(): { nodes: number; entries: number; bytes: number } {
    const sum = { nodes: 0, entries: 0, bytes: 0 }
    for (const { state } of this.#fates) {
      if (state.kind !== "stopped" || state.disk.kind !== "written") continue
      sum.nodes += 1
      sum.entries += state.disk.entries
      sum.bytes += state.disk.bytes
    }
    return sum
  }

  #fateOf(id: NodeId): Fate {
    const fate = this.#fates.find(one => one.id === id)
    if (fate === undefined) throw new Error(`${id} is no member`)
    return fate
  }
}

function inWords({ name, state }: Fate): string {
  return state.kind === "stopped" ? `${name} ${diskText(state.disk)}` : `${name} is not heard`
}
