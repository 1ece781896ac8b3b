/**
 * The member list while the commands of one view change it: each command with its precondition, and who votes. Knows
 * nothing of shards (`README.md`, "Views").
 */
import { maxMembers } from "../../protocol/limits.ts"
import type { Epoch, Member, MemberInfo, NodeId, View } from "../../protocol/message.ts"
import { isActive } from "../ring.ts"

/** The order of a member list: by age, then by id. */
export function compareAge(a: Member, b: Member): number {
  return a.since - b.since || (a.id < b.id ? -1 : Number(a.id > b.id))
}

export class MemberList {
  readonly #epoch: Epoch
  readonly #maxVoters: number
  readonly #proto: number
  readonly #members: Map<NodeId, Member>
  readonly #removed = new Set<NodeId>()
  #change: "none" | "roles" | "holders" = "none"

  /** `view` is the one that the commands lead away from. */
  constructor(view: Pick<View, "epoch" | "members" | "maxVoters" | "proto">) {
    this.#epoch = view.epoch + 1
    this.#maxVoters = view.maxVoters
    this.#proto = view.proto
    this.#members = new Map(view.members.map(member => [member.id, member]))
  }

  /** How far the commands reached: not at all, to voters alone, or to who may hold shards. */
  get change(): "none" | "roles" | "holders" {
    return this.#change
  }

  has(id: NodeId): boolean {
    return this.#members.has(id)
  }

  /** Whether anyone is there to be given shards. */
  hasActive(): boolean {
    return this.#some(isActive)
  }

  /** In the order of a view. */
  toArray(): readonly Member[] {
    return [...this.#members.values()].sort(compareAge)
  }

  // Each command says whether it did anything; one whose precondition fails does nothing.

  /** The last active member cannot leave: nobody would be left to hand its shards to. */
  leave(id: NodeId): boolean {
    const member = this.#members.get(id)
    if (member === undefined || member.leaving) return false
    if (!this.#some(other => other.id !== id && isActive(other))) return false
    this.#put({ ...member, leaving: true }, "holders")
    return true
  }

  /** `since` names the membership: a command meant for an earlier one must not hit a member that came back. */
  remove(id: NodeId, since: Epoch): boolean {
    if (this.#members.get(id)?.since !== since || this.#members.size === 1) return false
    this.#members.delete(id)
    this.#removed.add(id)
    this.#change = "holders"
    return true
  }

  /**
   * Two members never have one address: they would have the same tokens, and dialing it would reach one of them. What
   * asks for a member that this view removes is a duplicate of its first Join; the process does not know of it yet.
   */
  join(info: MemberInfo): boolean {
    if (this.#members.has(info.id) || this.#removed.has(info.id) || this.#members.size >= maxMembers) return false
    if (this.#some(other => other.addr === info.addr)) return false
    if (this.#proto < info.protoMin || this.#proto > info.protoMax) return false
    const { id, name, addr, clientAddr, zone, witness, protoMin, protoMax } = info
    const entry = { id, name, addr, clientAddr, zone, witness, protoMin, protoMax }
    this.#put({ ...entry, since: this.#epoch, voter: false, leaving: false }, "holders")
    return true
  }

  /** Makes a member a voter: in place of one that leaves, or in a free place, or to even out the zones. */
  addVoter(id: NodeId, since: Epoch): boolean {
    const member = this.#members.get(id)
    if (member?.since !== since || member.voter || member.leaving) return false
    const voters = this.toArray().filter(other => other.voter)
    const replaced = voters.findLast(voter => voter.leaving)
    if (replaced !== undefined) this.#setVoter(replaced, false)
    else if (voters.length >= this.#maxVoters) {
      const crowded = youngestOfCrowdedZone(voters, member.zone)
      if (crowded === undefined) return false
      this.#setVoter(crowded, false)
    }
    this.#setVoter(member, true)
    return true
  }

  /** Without a voter nothing could ever be decided again: the oldest that stays becomes one. */
  ensureVoter(): void {
    if (this.#some(member => member.voter)) return
    const members = this.toArray()
    const oldest = members.find(member => !member.leaving) ?? members[0]
    if (oldest !== undefined) this.#setVoter(oldest, true)
  }

  supportsProto(proto: number): boolean {
    return !this.#some(member => proto < member.protoMin || proto > member.protoMax)
  }

  #some(is: (member: Member) => boolean): boolean {
    for (const member of this.#members.values()) if (is(member)) return true
    return false
  }

  #setVoter(member: Member, voter: boolean): void {
    this.#put({ ...member, voter }, "roles")
  }

  #put(member: Member, change: "roles" | "holders"): void {
    this.#members.set(member.id, member)
    if (this.#change !== "holders") this.#change = change
  }
}

/** The youngest voter of the fullest zone, if that has two voters more than `zone`: replacing it evens them out. */
function youngestOfCrowdedZone(voters: readonly Member[], zone: string): Member | undefined {
  const counts = new Map<string, number>([[zone, 0]])
  for (const voter of voters) counts.set(voter.zone, (counts.get(voter.zone) ?? 0) + 1)
  const fullest = [...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1))[0]
  if (fullest === undefined || fullest[1] < (counts.get(zone) ?? 0) + 2) return undefined
  return voters.findLast(voter => voter.zone === fullest[0])
}
