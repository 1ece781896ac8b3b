/** `dcache forget`: a person vouches that a node is dead, where the cluster by itself can only see that it is silent. */
import type { Readable, Writable } from "node:stream"
import { Command, Option } from "clipanion"
import type { Address } from "../../protocol/message.ts"
import { AskingCommand, exitOnInterrupt } from "../client-command.ts"
import type { ClusterStatus, MemberStatus } from "../cluster-status.ts"
import { type ExitCode, exitCodes } from "../exit-codes.ts"
import { CommandFailure } from "../failure.ts"

export class ForgetCommand extends AskingCommand {
  static override paths = [["forget"]]
  static override usage = Command.Usage({
    description: "vouch that a silent node is dead, so that the others go on without it",
    details: `
NODE is its name, its address, or its id (or the beginning of it). A node that is silent may be dead, or alive and cut off; the cluster cannot
tell, and waits where going on could give two answers: two nodes, one of which died, or voters of which half are gone. This says that its process has
ended, or never will be heard of again. If that is wrong, its clients may read old values from it, and what it acknowledges meanwhile is lost.
A node that answers is refused: dcache leave drains it. On a terminal it asks first; a script says --yes.

Exit status: 0 it is forgotten, 1 there is no such member or it was not confirmed, 5 refused: it lives.`,
    examples: [
      ["The machine of n2 has burnt", "dcache forget n2"],
      ["In a script that knows, by its id", "dcache forget 4fdbd806d4bf7ccd --yes"],
    ],
  })

  member = Option.String({ name: "NODE" })
  yes = Option.Boolean("--yes", false, { description: "it is dead: do not ask" })

  override async execute(): Promise<number> {
    const question = { nodes: this.nodes(), timeoutMs: this.timeoutMs(), format: this.json ? "json" : "text" } as const
    exitOnInterrupt()
    return forget({ ...question, ...this.context, text: this.member, consent: this.yes ? "given" : "to-ask" })
  }
}

type Forget = {
  readonly nodes: readonly Address[]
  readonly timeoutMs: number
  readonly format: "text" | "json"
  readonly text: string
  readonly consent: "given" | "to-ask"
  readonly stdin: Readable
  readonly stdout: Writable
  readonly stderr: Writable
}

export async function forget(options: Forget): Promise<ExitCode> {
  const { consent, format, nodes, stderr, stdin, stdout, text, timeoutMs } = options
  const [{ askEveryNode }, { statusOrFailure }, { inFull, memberMeant }, orders, { confirmed }] = await Promise.all([
    import("../connect.ts"),
    import("./status.ts"),
    import("../member-choice.ts"),
    import("../orders.ts"),
    import("../confirmation.ts"),
  ])
  const status = statusOrFailure(await askEveryNode({ nodes, timeoutMs }), nodes)
  const member = memberMeant(status.members, text)
  if (member.node !== null)
    throw new CommandFailure(
      exitCodes.refused,
      `refused: ${inFull(member)} answers, so it lives; dcache leave drains it`,
    )
  if (consent === "to-ask") stderr.write(`${riskLines(member, status).join("\n")}\n`)
  await confirmed({ consent, stdin, stderr }, `Is ${inFull(member)} dead?`)
  const { id, name } = member
  await orders.removeMember({
    orders: new orders.Orders(orders.addressesBut(id, status.members, nodes), timeoutMs),
    command: { kind: "forget", id },
    name,
    decidedWithinMs: Math.max(timeoutMs, 15_000),
    withinMs: Math.max(timeoutMs, 15_000),
    nowMs: () => performance.now(),
    onLook: () => {},
  })
  if (format === "json") stdout.write(`${JSON.stringify({ forgotten: true, id, name })}\n`)
  else stdout.write(`${inFull(member)} is forgotten; a process that is started there joins as a new node\n`)
  return exitCodes.done
}

function riskLines(member: MemberStatus, { members, orphans }: ClusterStatus): string[] {
  const silent = members.filter(other => other.node === null && other.id !== member.id).map(({ name }) => name)
  return [
    `${member.name} does not answer. It holds ${member.replicas} shards, and leads ${member.primaries} of them.`,
    "If its process is dead, the others can go on. If it lives, cut off from here, forgetting it risks that its clients",
    "read old values from it, and that what it acknowledges meanwhile is lost.",
    ...(silent.length > 0 ? [`Silent as well: ${silent.join(", ")}.`] : []),
    ...(orphans > 0 ? [`${orphans} shards have no holder left; those that it held last begin anew, empty.`] : []),
  ]
}
