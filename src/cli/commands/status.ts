/** `dcache status`: the members as every node sees them. */
import { Command } from "clipanion"
import { AskingCommand, exitOnInterrupt } from "../client-command.ts"
import { type ClusterStatus, clusterStatus, type NodeAnswer } from "../cluster-status.ts"
import { exitCodes } from "../exit-codes.ts"
import { CommandFailure } from "../failure.ts"

export class StatusCommand extends AskingCommand {
  static override paths = [["status"]]
  static override usage = Command.Usage({
    description: "show the members as every node sees them, and how the copies stand",
    details:
      "Every node is asked by itself; where the lists of members differ, or a member does not answer, that is shown and the exit status is 1. A node that never answers costs --timeout.",
    examples: [
      ["Look at the cluster of the local node", "dcache status"],
      ["Wait until all copies are there", "until dcache status | grep -q 'copies complete'; do sleep 1; done"],
      ["The same for programs", "dcache status --json"],
    ],
  })

  override async execute(): Promise<number> {
    const nodes = this.nodes()
    const timeoutMs = this.timeoutMs()
    exitOnInterrupt()
    const { askEveryNode } = await import("../connect.ts")
    const status = statusOrFailure(await askEveryNode({ nodes, timeoutMs }), nodes)
    const { stdout, env } = this.context
    if (this.json) stdout.write(`${JSON.stringify(status)}\n`)
    else {
      const [{ statusText }, { coloursFor }] = await Promise.all([import("../status-text.ts"), import("../output.ts")])
      stdout.write(statusText(status, coloursFor(stdout, env)))
    }
    return status.agreed ? exitCodes.done : exitCodes.no
  }
}

export function statusOrFailure(answers: readonly NodeAnswer[], nodes: readonly string[]): ClusterStatus {
  const status = clusterStatus(answers)
  if (status) return status
  const joining = answers.find(answer => answer.report !== null)
  const message = joining
    ? `${joining.address} is not a member of a cluster yet (${joining.report?.phase}); try again when it has joined`
    : `nobody answers at ${nodes.join(", ")}; start a node there with dcache node, or name another with --node`
  throw new CommandFailure(exitCodes.unreachable, message)
}
