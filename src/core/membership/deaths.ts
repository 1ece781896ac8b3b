/**
 * Members that are dead for certain, not merely silent: their process was seen to be gone, or an operator vouched for it.
 * And what follows for decisions: who may decide when some voters never answer again ("Proof of death" in `../README.md`).
 */
import type { NodeId } from "../../protocol/message.ts"
import type { Rules } from "../rules.ts"
import { majorityOf } from "./view.ts"

/** Deaths that are remembered; an older one has long been followed by a removal. */
const maxDeaths = 2_048

export class Deaths {
  readonly #self: NodeId
  readonly #rules: Pick<Rules, "deadAreFew" | "majorityDecides">
  readonly #dead = new Set<NodeId>()

  constructor(self: NodeId, rules: Pick<Rules, "deadAreFew" | "majorityDecides">) {
    this.#self = self
    this.#rules = rules
  }

  /** False: it was known. */
  add(id: NodeId): boolean {
    if (id === this.#self || this.#dead.has(id)) return false
    if (this.#dead.size >= maxDeaths) for (const oldest of [...this.#dead].slice(0, 1)) this.#dead.delete(oldest)
    this.#dead.add(id)
    return true
  }

  has(id: NodeId): boolean {
    return this.#dead.has(id)
  }

  /**
   * Whether these voters decide: a majority; or, where some are dead, all the others. Those who are dead must be fewer
   * than a majority: then one of the others accepted whatever was decided before, and is among those who decide now.
   */
  isQuorum(voters: readonly NodeId[], answered: (voter: NodeId) => boolean): boolean {
    const majority = majorityOf(voters.length)
    const alive = voters.filter(voter => !this.#dead.has(voter))
    if (voters.filter(answered).length >= (this.#rules.majorityDecides ? majority : 1)) return true
    const isFew = voters.length - alive.length < majority || !this.#rules.deadAreFew
    return alive.length > 0 && alive.length < voters.length && isFew && alive.every(answered)
  }
}
