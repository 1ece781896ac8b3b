/**
 * How much of a store the small queue of S3-FIFO should have: a tenth is right for most, and far too little where what is used
 * comes back once, after a while, and then no more. What either queue would gain by being a little larger is known from
 * what it has just lost: entries that are asked for soon after they were forgotten would still be there. The queue that loses more so grows.
 */
import { Ghost } from "./ghost.ts"

const least = 0.1
const most = 0.9
const step = 0.05
/** Of the entries, how many count as just lost, of each queue: the last one to two times as many. */
const lateShare = 0.1
/** So many of them that came back decide on a step; of a large store more, which takes longer to follow. */
const fewestReturns = 32
const returnsShare = 1 / 1_024
/** The small queue grows by clear superiority alone: of most workloads it is near enough as it is. */
const superiority = 3

export class SmallShare {
  readonly #lostBySmall = new Ghost(lateShare)
  readonly #lostByMain = new Ghost(lateShare)
  #smallReturns = 0
  #mainReturns = 0
  share = least

  get bytes(): number {
    return this.#lostBySmall.bytes + this.#lostByMain.bytes
  }

  lost(by: "small" | "main", position: number, entries: number, roomBytes: number): void {
    const ghost = by === "small" ? this.#lostBySmall : this.#lostByMain
    ghost.add(position, entries, roomBytes)
  }

  /** An entry begins that was not there. */
  began(position: number, entries: number): void {
    if (this.#lostBySmall.take(position)) this.#smallReturns += 1
    if (this.#lostByMain.take(position)) this.#mainReturns += 1
    if (this.#smallReturns + this.#mainReturns < Math.max(fewestReturns, entries * returnsShare)) return
    if (this.#smallReturns > superiority * this.#mainReturns) this.share = Math.min(most, this.share + step)
    else if (this.#mainReturns > this.#smallReturns) this.share = Math.max(least, this.share - step)
    this.#smallReturns = 0
    this.#mainReturns = 0
  }
}
