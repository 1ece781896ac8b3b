/** Tells whoever watches, a few times a second, how the run goes. Holds what the parts of the run last said of themselves. */
import type { ProgressState } from "./progress-line.ts"
import type { Recorder } from "./recorder.ts"

const everyMs = 250
/** Figures of less than a second jump about. */
const windowMs = 1_000

export type LiveProgressOptions = {
  readonly recorder: Recorder
  readonly memberCount: () => number
  readonly nowMs: () => number
  readonly show: (state: ProgressState) => void
}

export class LiveProgress {
  phase = "starting"
  fault: string | undefined
  readonly #options: LiveProgressOptions
  readonly #timer: NodeJS.Timeout
  #load: ProgressState["load"]
  #windowFromMs: number

  constructor(options: LiveProgressOptions) {
    this.#options = options
    this.#windowFromMs = options.nowMs()
    this.#timer = setInterval(() => this.#show(), everyMs)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #show(): void {
    const { recorder, memberCount, nowMs, show } = this.#options
    const elapsedMs = nowMs()
    const spanMs = elapsedMs - this.#windowFromMs
    if (spanMs >= windowMs) {
      const figures = recorder.takeWindow()
      this.#load = figures.count === 0 ? undefined : { perSecond: (figures.count / spanMs) * 1_000, figures }
      this.#windowFromMs = elapsedMs
    }
    show({ phase: this.phase, elapsedMs, members: memberCount(), load: this.#load, fault: this.fault })
  }
}
