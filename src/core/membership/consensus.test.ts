import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { Prng } from "../../base/prng.ts"
import type { ControlMessage, NodeId, View, ViewCommand } from "../../protocol/message.ts"
import { apply, initialView } from "../layout.ts"
import { Placement } from "../ring.ts"
import { allRules } from "../rules.ts"
import { Consensus, type Decision } from "./consensus.ts"
import { Deaths } from "./deaths.ts"

const placement = new Placement()
const voters = ["1", "2", "3", "4", "5"].map(digit => digit.repeat(16))

function member(id: NodeId) {
  return { id, name: id, addr: `${id}:1`, clientAddr: `${id}:1`, zone: "", witness: false, protoMin: 1, protoMax: 1 }
}

function firstView(): View {
  return initialView({
    clusterId: "c",
    generation: 1,
    copies: 2,
    maxVoters: 5,
    hashKey: [1, 2],
    shardCount: 4,
    member: member(voters[0] as NodeId),
  })
}

/** Five acceptors, a bag of messages that a test delivers, repeats or loses as it likes. */
function arena(seed: number) {
  const view = firstView()
  const bag: { from: NodeId; to: NodeId; message: ControlMessage }[] = []
  const decisions = new Map<NodeId, Decision>()
  /** By epoch: the hashes of all views that anybody took for decided. */
  const decided = new Map<number, Set<number>>()
  const views = new Map<NodeId, View>(voters.map(id => [id, view]))
  const ages = new Map<NodeId, [NodeId, number][]>()
  const all = new Map<NodeId, Consensus>()
  const prng = new Prng(seed)
  for (const id of voters) {
    const deaths = new Deaths(id, allRules)
    const consensus: Consensus = new Consensus({
      self: id,
      prng: prng.fork(),
      rules: allRules,
      times: { paxosRetryMs: 50, paxosRetryMaxMs: 250, finishAcceptedMs: 150, finishPromisedMs: 300 },
      isQuorum: (voters, answered) => deaths.isQuorum(voters, answered),
      send: (to, message) => bag.push({ from: id, to, message }),
      apply: commands => apply(views.get(id) ?? view, commands, placement),
      grantAges: () => ages.get(id) ?? [],
      fenceMs: () => 505,
      decided: decision => {
        decisions.set(id, decision)
        views.set(id, decision.view)
        const { epoch, hash } = decision.step
        decided.set(epoch, (decided.get(epoch) ?? new Set()).add(hash))
        consensus.viewInstalled(decision.view, voters)
      },
      diverged: () => {
        throw new Error("nothing diverges here")
      },
    })
    consensus.viewInstalled(view, voters)
    all.set(id, consensus)
  }
  function deliver(index: number, nowMs: number, keep: "once" | "again" = "once"): void {
    const at = index % bag.length
    const { from, to, message } = bag[at] as (typeof bag)[number]
    if (keep === "once") bag.splice(at, 1)
    const consensus = all.get(to) as Consensus
    if (message.kind === "prepare") consensus.prepare(from, message, nowMs)
    else if (message.kind === "promise") consensus.promise(from, message, nowMs)
    else if (message.kind === "accept") consensus.accept(from, message, nowMs)
    else if (message.kind === "accepted") consensus.accepted(from, message, nowMs)
    else if (message.kind === "nack") consensus.nack(from, message)
  }
  return { all, bag, decisions, decided, ages, deliver }
}

function join(id: string): ViewCommand[] {
  return [{ kind: "join", member: member(id.repeat(16)) }]
}

test("whatever is delivered, lost, repeated and retried, an epoch gets one view", () => {
  const event = fc.oneof(
    { weight: 12, arbitrary: fc.record({ what: fc.constant("deliver" as const), which: fc.nat(1_000) }) },
    { weight: 1, arbitrary: fc.record({ what: fc.constant("repeat" as const), which: fc.nat(1_000) }) },
    { weight: 2, arbitrary: fc.record({ what: fc.constant("lose" as const), which: fc.nat(1_000) }) },
    { weight: 2, arbitrary: fc.record({ what: fc.constant("propose" as const), which: fc.nat(4) }) },
    { weight: 2, arbitrary: fc.record({ what: fc.constant("tick" as const), which: fc.nat(4) }) },
  )
  fc.assert(
    fc.property(fc.nat(), fc.array(event, { minLength: 40, maxLength: 250 }), (seed, events) => {
      const { all, bag, decided, deliver } = arena(seed)
      let nowMs = 0
      for (const { what, which } of events) {
        nowMs += 7
        const id = voters[which % voters.length] as NodeId
        if (what === "propose") all.get(id)?.propose(join("abcde"[which] as string), nowMs)
        else if (what === "tick") all.get(id)?.tick((nowMs += 60), 0, "finish")
        else if (bag.length === 0) continue
        else if (what === "lose") bag.splice(which % bag.length, 1)
        else deliver(which, nowMs, what === "repeat" ? "again" : "once")
      }
      for (const [epoch, hashes] of decided) equal(hashes.size, 1, `epoch ${epoch}`)
    }),
    { numRuns: 300 },
  )
})

test("an acceptance whose proposer went away is finished by another voter, with the accepted value", () => {
  const { all, bag, decisions, deliver } = arena(1)
  const [first, second] = voters as [NodeId, NodeId]
  all.get(first)?.propose(join("a"), 0)
  while (bag.some(({ message }) => message.kind !== "accept"))
    deliver(
      bag.findIndex(({ message }) => message.kind !== "accept"),
      1,
    )
  // One voter accepts; then the proposer and all that it had said are gone.
  deliver(
    bag.findIndex(({ to }) => to === second),
    2,
  )
  bag.length = 0
  equal(all.get(second)?.hasOpenAcceptance, true)
  all.get(second)?.tick(100, 0, "finish")
  equal(bag.length, 0, "not before its time")
  all.get(second)?.tick(200, 0, "finish")
  while (bag.length > 0) {
    if (bag[0]?.to === first) bag.shift()
    else deliver(0, 201)
  }
  deepEqual(decisions.get(second)?.step.commands, join("a"))
})

test("the fence of a replaced primary follows from the youngest grant that a deciding voter reports", () => {
  const { all, bag, decisions, ages, deliver } = arena(1)
  const [first, second, third] = voters as [NodeId, NodeId, NodeId]
  ages.set(second, [["x", 30]])
  ages.set(third, [["x", 400]])
  all.get(first)?.propose(join("a"), 0)
  while (bag.length > 0) deliver(0, 10)
  equal(decisions.get(first)?.fenceUntilMs.get("x"), 10 - 30 + 505)
})
