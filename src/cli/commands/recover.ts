/** `dcache recover`: a person vouches that a majority of the voters is gone for good, and those that are left go on. */
import { setTimeout as sleep } from "node:timers/promises"
import type { Readable, Writable } from "node:stream"
import { Command, Option } from "clipanion"
import type { Address, AdminOutcome } from "../../protocol/message.ts"
import { AskingCommand, exitOnInterrupt } from "../client-command.ts"
import type { ClusterStatus, MemberStatus } from "../cluster-status.ts"
import { type ExitCode, exitCodes } from "../exit-codes.ts"
import { CommandFailure } from "../failure.ts"

export class RecoverCommand extends AskingCommand {
  static override paths = [["recover"]]
  static override usage = Command.Usage({
    description: "go on without a majority of the voters, when it is gone for good",
    details: `
When more than half of the voters are gone, the others refuse everything: they cannot tell whether those are dead, or alive, cut off, and serving. Without
--force this shows what recovery would keep and what it would lose. With --force the nodes that are left become a new generation of the cluster: what they hold is
served again within seconds, what nobody holds is refused until --orphan-reset has passed, and begins anew, empty.

Only when the missing nodes are dead, or will never be heard of again. Should they live, there are two clusters that know nothing of each other's writes and never
merge; end one of them. Fewer than half are missing: dcache forget. All are gone: dcache node --bootstrap.

Exit status: 0 done, 1 not confirmed, 5 refused: the cluster decides as ever.`,
    examples: [
      ["What would come of it", "dcache recover --node 10.0.0.7"],
      ["Do it, and be asked once more", "dcache recover --force --node 10.0.0.7"],
    ],
  })

  force = Option.Boolean("--force", false, { description: "do it, not only show it" })
  yes = Option.Boolean("--yes", false, { description: "the missing nodes are gone for good: do not ask" })

  override async execute(): Promise<number> {
    const question = { nodes: this.nodes(), timeoutMs: this.timeoutMs(), format: this.json ? "json" : "text" } as const
    exitOnInterrupt()
    const mode = this.force ? "force" : "plan"
    return recover({ ...question, ...this.context, mode, consent: this.yes ? "given" : "to-ask" })
  }
}

type Recover = {
  readonly nodes: readonly Address[]
  readonly timeoutMs: number
  readonly format: "text" | "json"
  readonly mode: "plan" | "force"
  readonly consent: "given" | "to-ask"
  readonly stdin: Readable
  readonly stdout: Writable
  readonly stderr: Writable
}

type Plan = Extract<AdminOutcome, { kind: "plan" }>

/** From the order to a lease of the new generation. */
const leaseWithinMs = 15_000
const lookEveryMs = 200

export async function recover(options: Recover): Promise<ExitCode> {
  const { consent, format, mode, nodes, stderr, stdin, stdout, timeoutMs } = options
  const [{ askEveryNode }, { statusOrFailure }, { inFull }, { Orders, refusalOf }, { confirmed }] = await Promise.all([
    import("../connect.ts"),
    import("./status.ts"),
    import("../member-choice.ts"),
    import("../orders.ts"),
    import("../confirmation.ts"),
  ])
  const status = statusOrFailure(await askEveryNode({ nodes, timeoutMs }), nodes)
  const survivor = newestOf(status)
  // Of those that answer, the one that knows most: what another knew later would be lost.
  const orders = new Orders([survivor.clientAddress], timeoutMs)
  const plan = await orders.give({ kind: "recover", how: "plan" })
  if (plan.kind === "refused") throw refusalOf(plan)
  if (plan.kind !== "plan") throw new CommandFailure(exitCodes.refused, "refused: this node does not know the command")
  const lines = planLines(plan, status, inFull(survivor))
  if (mode === "plan") {
    if (format === "json") stdout.write(`${JSON.stringify({ recovered: false, through: survivor.id, ...plan })}\n`)
    else stdout.write(`${lines.join("\n")}\ndcache recover --force does it\n`)
    return exitCodes.done
  }
  if (consent === "to-ask") stderr.write(`${lines.join("\n")}\n`)
  await confirmed({ consent, stdin, stderr }, "Are the missing nodes gone for good?")
  const outcome = await orders.give({ kind: "recover", how: "force" })
  if (outcome.kind === "refused") throw refusalOf(outcome)
  const giveUpAtMs = performance.now() + Math.max(leaseWithinMs, timeoutMs)
  let report = await orders.look()
  while (!report.hasLease) {
    if (performance.now() > giveUpAtMs)
      throw new CommandFailure(
        exitCodes.unknown,
        "recovered, but it does not serve yet; dcache status shows whom it misses",
      )
    await sleep(lookEveryMs)
    report = await orders.look()
  }
  const { members, orphans } = report
  if (format === "json") {
    const counts = { members: members.length, orphans }
    stdout.write(`${JSON.stringify({ recovered: true, through: survivor.id, ...plan, ...counts })}\n`)
  } else
    stdout.write(
      `recovered: ${counted(members.length, "member")} serve again; ${counted(orphans, "shard")} without a holder; dcache status shows the rest\n`,
    )
  return exitCodes.done
}

function newestOf({ members }: ClusterStatus): MemberStatus {
  const answered = members.filter(({ node }) => node !== null)
  const [newest] = answered.toSorted((a, b) => (b.node?.epoch ?? 0) - (a.node?.epoch ?? 0))
  if (newest !== undefined) return newest
  throw new CommandFailure(exitCodes.unreachable, "no member of the cluster answers by the address that it states")
}

function planLines(plan: Plan, { members }: ClusterStatus, through: string): string[] {
  const named = (ids: readonly string[]) =>
    ids.map(id => members.find(member => member.id === id)?.name ?? id).join(", ")
  const stillThere = members.filter(({ id, node }) => node !== null && plan.drops.includes(id))
  return [
    `Through ${through}, which knows the newest of those that answer:`,
    `  goes on with ${named(plan.keeps)}`,
    `  without ${named(plan.drops)}`,
    ...(stillThere.length > 0
      ? [`  of those ${named(stillThere.map(({ id }) => id))} answer, and join again with what they alone hold`]
      : []),
    `  ${counted(plan.shardsKept, "shard")} keep their data; ${counted(plan.shardsOrphaned, "shard")} have no holder left`,
    "What a missing node acknowledged last, and nobody here has heard of, is lost. If it lives, it goes on beside this cluster.",
  ]
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`
}
