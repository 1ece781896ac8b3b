/**
 * A whole cluster that stopped finds together again. Nothing is left of it but hints: which members its newest view had,
 * as each node wrote it down. Processes that were restarted and are in no cluster tell each other theirs; when there is
 * one at the address of every member of the newest hint, nobody is left who could still serve, and the one at the lowest
 * address forms a new, empty cluster, which the others join. Until then they wait: whoever is missing may be alive, cut
 * off, with data ("Cold start" in `../README.md`). Knows no clock and sends nothing.
 */
import { maxMembers } from "../../protocol/limits.ts"
import type { Address, ColdHint } from "../../protocol/message.ts"
import type { Rules } from "../rules.ts"

/** What one process that is in no cluster says of itself. */
export type Waiter = {
  readonly addr: Address
  readonly witness: boolean
  readonly hint: ColdHint | null
}

export type ColdVerdict =
  | { readonly kind: "form"; readonly copies: number }
  | { readonly kind: "wait"; readonly missing: readonly Address[] }

export type ColdStartOptions = {
  readonly hint: ColdHint
  readonly self: { readonly addr: Address; readonly witness: boolean }
  /** How often each process asks a few of the others. */
  readonly askEveryMs: number
  readonly rules: Pick<Rules, "coldStartWaits">
}

/** How long a process counts as waiting after it said so, and as much again for each member as it takes to be asked. */
const freshMs = 3_000

export class ColdStart {
  readonly #options: ColdStartOptions
  #newest: ColdHint
  readonly #waiters = new Map<Address, { readonly witness: boolean; readonly atMs: number }>()

  constructor(options: ColdStartOptions) {
    this.#options = options
    this.#newest = options.hint
  }

  /** Where members of the newest known view were. */
  get addresses(): readonly Address[] {
    return this.#newest.addresses
  }

  heard({ addr, witness, hint }: Waiter, nowMs: number): void {
    // Who lost its hint is nobody to count: only with it can be known that no later view had other members.
    if (hint === null || hint.clusterId !== this.#options.hint.clusterId) return
    if (isNewer(hint, this.#newest)) this.#newest = hint
    if (this.#waiters.size < 2 * maxMembers || this.#waiters.has(addr))
      this.#waiters.set(addr, { witness, atMs: nowMs })
  }

  verdict(nowMs: number): ColdVerdict {
    const { rules, self, askEveryMs } = this.#options
    const { addresses } = this.#newest
    const sinceMs = nowMs - freshMs - addresses.length * askEveryMs
    const isHere = (addr: Address) => addr === self.addr || (this.#waiters.get(addr)?.atMs ?? sinceMs) > sinceMs
    const missing = addresses.filter(addr => !isHere(addr))
    if (missing.length > 0 && rules.coldStartWaits) return { kind: "wait", missing }
    // A witness holds no data, so it cannot form a cluster.
    const isWitness = (addr: Address) => (addr === self.addr ? self : this.#waiters.get(addr))?.witness !== false
    const [lowest] = addresses.filter(addr => !isWitness(addr)).sort()
    // Until the one that forms it has done so, it is the one that is waited for.
    if (lowest !== self.addr) return { kind: "wait", missing: lowest === undefined ? [] : [lowest] }
    return { kind: "form", copies: this.#newest.copies }
  }
}

function isNewer(a: ColdHint, b: ColdHint): boolean {
  return a.generation !== b.generation ? a.generation > b.generation : a.epoch > b.epoch
}
