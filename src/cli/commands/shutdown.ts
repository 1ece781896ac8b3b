/** `dcache shutdown`: stops the whole cluster at one point; each node writes down what it holds, and ends. */
import { setTimeout as sleep } from "node:timers/promises"
import type { Readable, Writable } from "node:stream"
import { Command, Option } from "clipanion"
import type { Address, StatusReport } from "../../protocol/message.ts"
import { AskingCommand, exitOnInterrupt } from "../client-command.ts"
import type { ClusterStatus, MemberStatus } from "../cluster-status.ts"
import { type ExitCode, exitCodes } from "../exit-codes.ts"
import { CommandFailure } from "../failure.ts"
import type { Stopping } from "../stopping.ts"
import { duration } from "../values.ts"

export class ShutdownCommand extends AskingCommand {
  static override paths = [["shutdown"]]
  static override usage = Command.Usage({
    description: "stop the whole cluster; nodes that were started with --data keep what they hold",
    details: `
Stops all members at one decided point: from there on nothing is executed, and what was acknowledged before is kept. Each node that was started with --data
writes what it holds into that directory and ends; the others end, and what they held is gone with them. When all members have been started again, each with the same
--data at the same address, in any order, they are the same cluster with the same data; until then those that are back wait, and say for whom. Times to live go on meanwhile.

It waits until all copies are complete, so that the loss of any one of those directories costs nothing; --force does not. To stop one node, end it or use dcache leave.
A supervisor that starts nodes again when they end turns this into a restart of all of them.

Exit status: 0 stopped, and all is written; 1 not confirmed; 4 it is not known of every node; 5 refused: copies are not complete.`,
    examples: [
      ["Stop all, and be asked first", "dcache shutdown"],
      ["In a script, through a node elsewhere", "dcache shutdown --yes --node 10.0.0.7 --json"],
    ],
  })

  force = Option.Boolean("--force", false, {
    description: "do not wait for copies that are being made, or for nodes that leave",
  })
  yes = Option.Boolean("--yes", false, { description: "do not ask" })
  deadline = Option.String("--deadline", {
    description: "<DURATION> how long to wait for complete copies, and then for the nodes to end; default 10m each",
  })

  override async execute(): Promise<number> {
    const bounds = { minMs: 1_000, maxMs: 7 * 24 * 3_600_000 }
    const text = this.deadline
    const withinMs = text === undefined ? 600_000 : duration({ flag: "--deadline", text }, bounds)
    const question = { nodes: this.nodes(), timeoutMs: this.timeoutMs(), format: this.json ? "json" : "text" } as const
    exitOnInterrupt()
    const how = this.force ? "as-it-is" : "complete"
    return shutdown({ ...question, ...this.context, how, withinMs, consent: this.yes ? "given" : "to-ask" })
  }
}

type Shutdown = {
  readonly nodes: readonly Address[]
  readonly timeoutMs: number
  readonly format: "text" | "json"
  readonly how: "complete" | "as-it-is"
  readonly withinMs: number
  readonly consent: "given" | "to-ask"
  readonly stdin: Readable
  readonly stdout: Writable
  readonly stderr: Writable
}

/** Between two looks: nodes stay for a second after they have written. */
const lookEveryMs = 250
/** How often it is said how far it is where no line can be drawn over itself. */
const sayEveryMs = 5_000

export async function shutdown(options: Shutdown): Promise<ExitCode> {
  const { consent, format, nodes, stderr, stdin, stdout, timeoutMs } = options
  const [{ askEveryNode }, { statusOrFailure }, { confirmed }, { Stopping }] = await Promise.all([
    import("../connect.ts"),
    import("./status.ts"),
    import("../confirmation.ts"),
    import("../stopping.ts"),
  ])
  const status = statusOrFailure(await askEveryNode({ nodes, timeoutMs }), nodes)
  if (consent === "to-ask") stderr.write(`${meaningLines(status).join("\n")}\n`)
  await confirmed({ consent, stdin, stderr }, "Stop the whole cluster?")
  const say = await sayer(options)
  const startedAtMs = performance.now()
  await decided(status, options, say)
  const stopping = new Stopping(status.members)
  await ended(stopping, status.members, options, say)
  say.clear()
  const { problems, written } = stopping
  const tookMs = Math.round(performance.now() - startedAtMs)
  if (format === "json") {
    stdout.write(`${JSON.stringify({ stopped: true, tookMs, written, problems, members: stopping.members })}\n`)
  } else {
    for (const problem of problems) stderr.write(`${problem}\n`)
    const { formatSize } = await import("../../base/size.ts")
    const kept = `${counted(written.nodes, "node")} wrote ${entriesText(written.entries)} (${formatSize(written.bytes)})`
    stdout.write(`the cluster is stopped: ${written.nodes === 0 ? "nothing was kept" : kept}\n`)
  }
  return problems.length > 0 ? exitCodes.unknown : exitCodes.done
}

/** What it will mean, as far as the nodes tell. */
export function meaningLines({ clusterId, members, orphans, underReplicated }: ClusterStatus): string[] {
  const keeping = members.filter(({ node }) => node !== null && node.disk !== null && node.disk.kind !== "none")
  const losing = members.filter(({ node, role }) => node !== null && node.disk?.kind === "none" && role !== "witness")
  const silent = members.filter(({ node }) => node === null)
  return [
    `All ${counted(members.length, "member")} of cluster ${clusterId} will stop.`,
    keeping.length === 0
      ? "None of them was started with --data: everything that they hold is lost."
      : `${named(keeping)} will keep what ${keeping.length === 1 ? "it holds" : "they hold"}, and resume when all members are started again.`,
    ...(keeping.length > 0 && losing.length > 0
      ? [
          `${named(losing)} ${losing.length === 1 ? "was" : "were"} started without --data: of what only they hold nothing is left.`,
        ]
      : []),
    ...(silent.length > 0 ? [`${named(silent)} ${silent.length === 1 ? "does" : "do"} not answer.`] : []),
    ...(underReplicated > 0
      ? [`${counted(underReplicated, "shard")} are being copied: it waits for that, unless --force.`]
      : []),
    ...(orphans > 0 ? [`${counted(orphans, "shard")} have no holder.`] : []),
  ]
}

type Say = { readonly line: (text: string) => void; readonly clear: () => void }

/** Orders the stop until some node shows that it is decided. */
async function decided(status: ClusterStatus, options: Shutdown, say: Say): Promise<void> {
  const { Orders, addressesBut, refusalOf } = await import("../orders.ts")
  const { how, nodes, timeoutMs, withinMs } = options
  const orders = new Orders(addressesBut("", status.members, nodes), timeoutMs)
  const giveUpAtMs = performance.now() + withinMs
  for (let wasTaken = false; ; ) {
    try {
      const report = await orders.look()
      if (report.phase === "stopped") return
      const outcome = await orders.give({ kind: "stop", how })
      // Some node may have stopped, and started again, between two looks.
      if (outcome.kind === "refused" && outcome.reason === "stopped" && wasTaken) return
      if (outcome.kind === "refused" && outcome.reason !== "not-complete") throw refusalOf(outcome)
      wasTaken ||= outcome.kind === "accepted"
      if (outcome.kind === "refused") say.line(`waiting: ${outcome.detail}`)
      if (performance.now() > giveUpAtMs)
        throw undecided(report, outcome.kind === "refused" ? outcome.detail : undefined)
    } catch (error) {
      // When all have ended there is nobody to ask.
      if (wasTaken && error instanceof CommandFailure && error.exitCode === exitCodes.unreachable) return
      throw error
    }
    await sleep(lookEveryMs)
  }
}

function undecided({ hasLease }: StatusReport, underWay: string | undefined): CommandFailure {
  if (underWay !== undefined)
    return new CommandFailure(
      exitCodes.refused,
      `refused: ${underWay}; nothing was stopped. --force does not wait for that`,
    )
  if (hasLease)
    return new CommandFailure(
      exitCodes.unknown,
      "the stop was not decided in time; dcache status shows what became of it",
    )
  return new CommandFailure(
    exitCodes.refused,
    "refused, minority: the nodes that answer are cut off from most of the cluster, and can decide nothing; dcache status shows whom they miss",
  )
}

/** Looks at every member until it has ended. */
async function ended(stopping: Stopping, members: readonly MemberStatus[], options: Shutdown, say: Say): Promise<void> {
  const { askNode } = await import("../node-call.ts")
  const giveUpAtMs = performance.now() + options.withinMs
  while (!stopping.isOver && performance.now() < giveUpAtMs) {
    await Promise.all(
      members.map(async ({ id, clientAddress }) => {
        const end = await askNode(clientAddress, statusQuestion, Math.min(options.timeoutMs, 2_000))
        if (end.kind === "answered") stopping.said(id, end.answer)
        else if (end.kind === "unreachable") stopping.isGone(id)
      }),
    )
    say.line(stopping.progress)
    if (!stopping.isOver) await sleep(lookEveryMs)
  }
}

const statusQuestion = {
  message: { kind: "status-request", n: 1 } as const,
  answerIn: (message: { readonly kind: string; readonly report?: StatusReport }) =>
    message.kind === "status" ? message.report : undefined,
}

async function sayer({ format, stderr }: Shutdown): Promise<Say> {
  const { isTerminal, Progress } = await import("../output.ts")
  const progress = new Progress(stderr)
  let saidAtMs = Number.NEGATIVE_INFINITY
  return {
    line: text => {
      if (isTerminal(stderr)) return progress.show(text)
      if (format === "json" || performance.now() - saidAtMs < sayEveryMs) return
      saidAtMs = performance.now()
      stderr.write(`${text}\n`)
    },
    clear: () => progress.clear(),
  }
}

function named(members: readonly { readonly name: string }[]): string {
  return members.map(({ name }) => name).join(", ")
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`
}

function entriesText(count: number): string {
  return count === 1 ? "1 entry" : `${count} entries`
}
