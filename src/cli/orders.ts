/**
 * Giving an order to a cluster, and watching what becomes of it. An order is given again until the view of a node shows
 * that it was carried out: whoever took it may die the moment after.
 */
import { setTimeout as sleep } from "node:timers/promises"
import type { Address, AdminCommand, AdminOutcome, NodeId, StatusReport } from "../protocol/message.ts"
import { exitCodes } from "./exit-codes.ts"
import { CommandFailure } from "./failure.ts"
import { askNode, type Question } from "./node-call.ts"
import { nobodyAnswers } from "./outcomes.ts"

/** Between two looks at a cluster that carries out an order. */
const lookEveryMs = 300

/** Some nodes, of which the one that answered last is asked first. */
export class Orders {
  readonly #timeoutMs: number
  #addresses: readonly Address[]

  /** `timeoutMs`: of one question to one node. */
  constructor(addresses: readonly Address[], timeoutMs: number) {
    this.#addresses = [...new Set(addresses)]
    this.#timeoutMs = timeoutMs
  }

  /** What the first node that answers says of an order. */
  async give(command: AdminCommand): Promise<AdminOutcome> {
    return this.#first(address => askNode(address, orderOf(command), this.#timeoutMs))
  }

  /** The same to every node; the first refusal if there is one, and at least one must answer. */
  async giveAll(command: AdminCommand): Promise<AdminOutcome> {
    const ends = await Promise.all(this.#addresses.map(address => askNode(address, orderOf(command), this.#timeoutMs)))
    const outcomes = ends.flatMap(end => (end.kind === "answered" ? [end.answer] : []))
    const outcome = outcomes.find(({ kind }) => kind === "refused") ?? outcomes[0]
    if (outcome !== undefined) return outcome
    throw new CommandFailure(exitCodes.unreachable, nobodyAnswers(this.#addresses))
  }

  /** What the first node that answers says of itself and the cluster. */
  async look(): Promise<StatusReport> {
    return this.#first(address =>
      askNode(
        address,
        {
          message: { kind: "status-request", n: 1 },
          answerIn: message => (message.kind === "status" ? message.report : undefined),
        },
        this.#timeoutMs,
      ),
    )
  }

  async #first<R>(ask: (address: Address) => ReturnType<typeof askNode<R>>): Promise<R> {
    for (const address of this.#addresses) {
      const end = await ask(address)
      if (end.kind !== "answered") continue
      this.#addresses = [address, ...this.#addresses.filter(other => other !== address)]
      return end.answer
    }
    throw new CommandFailure(exitCodes.unreachable, nobodyAnswers(this.#addresses))
  }
}

function orderOf(command: AdminCommand): Question<AdminOutcome> {
  return {
    message: { kind: "admin", n: 1, command },
    answerIn: message => (message.kind === "admin-reply" ? message.outcome : undefined),
  }
}

export type Removal = {
  readonly orders: Orders
  readonly command: Extract<AdminCommand, { kind: "leave" | "forget" }>
  /** As the person knows it. */
  readonly name: string
  /** How long an order may take to be decided. */
  readonly decidedWithinMs: number
  /** How long the whole may take. */
  readonly withinMs: number
  readonly nowMs: () => number
  /** While it hands over what it holds. */
  readonly onLook: (shardsLeft: number) => void
}

/** Orders a member out of the cluster, and waits until the list of members no longer has it. */
export async function removeMember(removal: Removal): Promise<void> {
  const { command, decidedWithinMs, name, nowMs, onLook, orders, withinMs } = removal
  const startedAtMs = nowMs()
  for (;;) {
    const report = await orders.look()
    const member = report.members.find(({ id }) => id === command.id)
    if (member === undefined && report.epoch > 0) return
    const isUnderWay = command.kind === "leave" && member?.leaving === true
    const waitedMs = nowMs() - startedAtMs
    if (isUnderWay) onLook(member.replicas)
    if (!isUnderWay) {
      if (waitedMs > decidedWithinMs) throw undecided(report, name)
      // A death is not handed on: who is to decide without the dead must be told by itself.
      const outcome = command.kind === "forget" ? await orders.giveAll(command) : await orders.give(command)
      if (outcome.kind === "refused" && outcome.reason !== "unknown-member") throw refusalOf(outcome)
    } else if (waitedMs > withinMs) {
      throw new CommandFailure(
        exitCodes.unknown,
        `${name} is still leaving, with ${member.replicas} shards to hand over; it goes on by itself, and dcache status shows how far it is`,
      )
    }
    await sleep(lookEveryMs)
  }
}

export function refusalOf({ reason, detail }: Extract<AdminOutcome, { kind: "refused" }>): CommandFailure {
  return new CommandFailure(reason === "unknown-member" ? exitCodes.no : exitCodes.refused, `refused: ${detail}`)
}

function undecided({ hasLease }: StatusReport, name: string): CommandFailure {
  if (hasLease)
    return new CommandFailure(
      exitCodes.unknown,
      `the order to remove ${name} was not decided in time; dcache status shows what became of it`,
    )
  return new CommandFailure(
    exitCodes.refused,
    "refused, minority: the nodes that answer are cut off from most of the cluster, and can decide nothing; dcache status shows whom they miss",
  )
}

/** Whom to ask: those that are to stay, at the addresses that clients dial, then whoever was named. */
export function addressesBut(
  gone: NodeId,
  members: readonly { readonly id: NodeId; readonly clientAddress: Address }[],
  named: readonly Address[],
): Address[] {
  const staying = members.filter(({ id }) => id !== gone).map(({ clientAddress }) => clientAddress)
  const leaving = members.filter(({ id }) => id === gone).map(({ clientAddress }) => clientAddress)
  return [...staying, ...named.filter(address => !leaving.includes(address)), ...leaving]
}
