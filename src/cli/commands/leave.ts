/** `dcache leave`: drains a node from afar: it hands its data over, and is removed when it holds nothing. */
import type { Writable } from "node:stream"
import { Command, Option } from "clipanion"
import type { Address } from "../../protocol/message.ts"
import { AskingCommand, exitOnInterrupt } from "../client-command.ts"
import { type ExitCode, exitCodes } from "../exit-codes.ts"
import { duration } from "../values.ts"

export class LeaveCommand extends AskingCommand {
  static override paths = [["leave"]]
  static override usage = Command.Usage({
    description: "drain a node: it hands its data over, and leaves the cluster when it holds nothing",
    details: `
NODE is its name, its address, or its id (or the beginning of it). What Ctrl-C does to a node that runs in a terminal, this does from afar.
It ends when the node is no member any more; interrupted, or after --deadline, the node goes on leaving.
The node's process then ends, with exit status 0: a supervisor that restarts it brings it back.

Exit status: 0 it has left, 1 there is no such member, 4 it is still leaving, 5 refused: it is the last that holds data.`,
    examples: [
      ["By its name in dcache status", "dcache leave n2"],
      ["By its address, from another machine", "dcache leave 10.0.0.12:5555 --node 10.0.0.11"],
      ["In a script", "dcache leave n2 --deadline 30m --json"],
    ],
  })

  member = Option.String({ name: "NODE" })
  deadline = Option.String("--deadline", {
    description: "<DURATION> how long to wait until it has left; default 10m",
  })

  override async execute(): Promise<number> {
    const bounds = { minMs: 1_000, maxMs: 7 * 24 * 3_600_000 }
    const text = this.deadline
    const withinMs = text === undefined ? 600_000 : duration({ flag: "--deadline", text }, bounds)
    const question = { nodes: this.nodes(), timeoutMs: this.timeoutMs(), format: this.json ? "json" : "text" } as const
    exitOnInterrupt()
    return leave({ ...question, ...this.context, text: this.member, withinMs })
  }
}

type Leave = {
  readonly nodes: readonly Address[]
  readonly timeoutMs: number
  readonly format: "text" | "json"
  readonly text: string
  readonly withinMs: number
  readonly stdout: Writable
  readonly stderr: Writable
}

export async function leave(options: Leave): Promise<ExitCode> {
  const { format, nodes, stderr, stdout, text, timeoutMs, withinMs } = options
  const [{ askEveryNode }, { statusOrFailure }, { memberMeant }, orders, { Progress, isTerminal }] = await Promise.all([
    import("../connect.ts"),
    import("./status.ts"),
    import("../member-choice.ts"),
    import("../orders.ts"),
    import("../output.ts"),
  ])
  const status = statusOrFailure(await askEveryNode({ nodes, timeoutMs }), nodes)
  const { id, name } = memberMeant(status.members, text)
  const progress = new Progress(stderr)
  const startedAtMs = performance.now()
  const remaining = status.members.filter(member => member.id !== id && !member.leaving && member.role !== "witness")
  if (remaining.length > 0 && remaining.length < status.copies)
    stderr.write(`${fewerThan(status.copies, remaining.length)}\n`)
  let saidAtMs = Number.NEGATIVE_INFINITY
  try {
    await orders.removeMember({
      orders: new orders.Orders(orders.addressesBut(id, status.members, nodes), timeoutMs),
      command: { kind: "leave", id },
      name,
      decidedWithinMs: Math.max(timeoutMs, 5_000),
      withinMs,
      nowMs: () => performance.now(),
      onLook: shardsLeft => {
        const line = `${name} is leaving: ${shardsLeft} ${shardsLeft === 1 ? "shard" : "shards"} left to hand over`
        if (isTerminal(stderr)) return progress.show(line)
        if (format === "json" || performance.now() - saidAtMs < sayEveryMs) return
        saidAtMs = performance.now()
        stderr.write(`${line}\n`)
      },
    })
  } finally {
    progress.clear()
  }
  const tookMs = Math.round(performance.now() - startedAtMs)
  if (format === "json") stdout.write(`${JSON.stringify({ left: true, id, name, tookMs })}\n`)
  else stdout.write(`${name} has left: its data is with the others\n`)
  return exitCodes.done
}

function fewerThan(copies: number, remaining: number): string {
  const nodes = remaining === 1 ? "one node with data remains" : `${remaining} nodes with data remain`
  return `${nodes}, fewer than the ${copies} copies that the cluster keeps: until another joins, each key has ${remaining}`
}

/** How often the shards left are said where no line can be drawn over itself. */
const sayEveryMs = 5_000
