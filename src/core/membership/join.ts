/**
 * Both sides of joining. The joiner asks every address it knows until a view names it. The one asked lets the joiner
 * prove that it is where it says, by a message to the advertised address that only the process behind it can answer,
 * before it proposes the join: a member that nobody can dial would be removed at once, over and over ("Views").
 */
import type { Prng } from "../../base/prng.ts"
import { maxMembers } from "../../protocol/limits.ts"
import type {
  Address,
  ControlMessage,
  Eviction,
  JoinRefusal,
  MemberInfo,
  NodeId,
  View,
} from "../../protocol/message.ts"

type JoinRequest = Extract<ControlMessage, { kind: "join-request" }>

/** Addresses that a joiner remembers. */
const maxAddresses = 64
/** Asked in one round. */
const askedAtOnce = 3
/** Dial-backs under way; beyond, the oldest is forgotten and the joiner asks again. */
const maxDialBacks = 1_024
/** A dial-back without an answer for so long has failed. */
const dialBackMs = 2_000

/** The joiner's side: whom to ask next. */
export class Joiner {
  readonly #known: Address[]
  readonly #own: ReadonlySet<Address>
  #next = 0
  readonly #seedCount: number
  #askAtMs = Number.NEGATIVE_INFINITY

  /** `seeds` are kept for good, what is learned only until there is something newer. */
  constructor(options: { seeds: readonly Address[]; own: readonly Address[] }) {
    this.#own = new Set(options.own)
    this.#known = options.seeds.filter(address => !this.#own.has(address)).slice(0, maxAddresses / 2)
    this.#seedCount = this.#known.length
  }

  get addresses(): readonly Address[] {
    return this.#known
  }

  learn(addresses: readonly Address[]): void {
    for (const address of addresses) {
      if (this.#own.has(address) || this.#known.includes(address)) continue
      if (this.#known.length >= maxAddresses) this.#known.splice(this.#seedCount, 1)
      this.#known.push(address)
    }
  }

  /** Addresses to ask now, a few of those known, in turn. */
  due(nowMs: number, retryMs: number): Address[] {
    if (nowMs < this.#askAtMs || this.#known.length === 0) return []
    this.#askAtMs = nowMs + retryMs
    const asked: Address[] = []
    for (let i = 0; i < Math.min(askedAtOnce, this.#known.length); i++) {
      asked.push(this.#known[this.#next % this.#known.length] as Address) // the index is within bounds
      this.#next += 1
    }
    return asked
  }
}

/** The member's side: checks a request, and has its address dialed back. */
export class Doorkeeper {
  readonly #prng: Prng
  readonly #dialBacks = new Map<number, { member: MemberInfo; atMs: number }>()
  /** Dial-backs of each joiner that failed one after another. */
  readonly #unanswered = new Map<NodeId, number>()

  constructor(prng: Prng) {
    this.#prng = prng
  }

  /** Why a joiner cannot be admitted, whatever it tries; undefined: it may go on. */
  refusal(request: JoinRequest, view: View, eviction: Eviction): { reason: JoinRefusal; detail: string } | undefined {
    const { member, copies, clusterId } = request
    if (clusterId !== "" && clusterId !== view.clusterId)
      return { reason: "wrong-cluster", detail: `this is cluster ${view.clusterId}, not ${clusterId}` }
    if (copies !== null && copies !== view.copies)
      return { reason: "copies-differ", detail: `this cluster keeps ${view.copies} copies, not ${copies}` }
    // One that forgets would lose what the others are trusted to keep; one that does not would refuse what they take.
    if (request.eviction !== null && (request.eviction === "none") !== (eviction === "none"))
      return { reason: "eviction-differs", detail: `this cluster's eviction is ${eviction}, not ${request.eviction}` }
    if (member.protoMin > view.proto || member.protoMax < view.proto)
      return { reason: "proto", detail: `this cluster speaks protocol ${view.proto}` }
    if (view.members.length >= maxMembers)
      return { reason: "full", detail: `this cluster has ${maxMembers} members already` }
    return undefined
  }

  /** Returns the nonce to send to the joiner's address. */
  dialBack(member: MemberInfo, nowMs: number): number {
    const nonce = this.#prng.uint32()
    if (this.#dialBacks.size >= maxDialBacks) forgetOldest(this.#dialBacks)
    this.#dialBacks.set(nonce, { member, atMs: nowMs })
    return nonce
  }

  /** The process behind the advertised address says who it is. */
  answered(
    nonce: number,
    id: NodeId,
  ): { kind: "admit"; member: MemberInfo } | { kind: "taken"; member: MemberInfo } | undefined {
    const dialBack = this.#dialBacks.get(nonce)
    if (dialBack === undefined) return undefined
    this.#dialBacks.delete(nonce)
    this.#unanswered.delete(dialBack.member.id)
    return { kind: dialBack.member.id === id ? "admit" : "taken", member: dialBack.member }
  }

  /** Joiners that did not answer at their address several times running, to be told so. */
  expire(nowMs: number): MemberInfo[] {
    const unreachable: MemberInfo[] = []
    for (const [nonce, { member, atMs }] of this.#dialBacks) {
      if (nowMs - atMs < dialBackMs) break // in order of age
      this.#dialBacks.delete(nonce)
      const failures = (this.#unanswered.get(member.id) ?? 0) + 1
      if (this.#unanswered.size >= maxDialBacks) forgetOldest(this.#unanswered)
      this.#unanswered.set(member.id, failures)
      if (failures % 4 === 0) unreachable.push(member)
    }
    return unreachable
  }
}

function forgetOldest<K>(map: Map<K, unknown>): void {
  for (const key of map.keys()) {
    map.delete(key)
    return
  }
}
