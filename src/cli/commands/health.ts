/** `dcache health`: one question to one node, for container engines and supervisors; `dcache status` asks them all. */
import { get } from "node:http"
import type { Writable } from "node:stream"
import { Command } from "clipanion"
import type { Address } from "../../protocol/message.ts"
import { AskingCommand, exitOnInterrupt } from "../client-command.ts"
import { type ExitCode, exitCodes } from "../exit-codes.ts"
import { CommandFailure } from "../failure.ts"
import { nobodyAnswers } from "../outcomes.ts"

export class HealthCommand extends AskingCommand {
  static override paths = [["health"]]
  static override usage = Command.Usage({
    description: "ask one node whether it can serve",
    details: `
A node is healthy while it is a member with a lease: it hears from a majority of the voters. Asked is the first --node that answers.
It is cheap: the same as GET /health on the node's port, which answers 200, or 503 and why. Exit status 1: it is not healthy.`,
    examples: [
      ["Ask the local node", "dcache health"],
      ["In a Dockerfile", 'HEALTHCHECK CMD ["/dcache", "health"]'],
      ["Without dcache", "curl --fail http://127.0.0.1:5555/health"],
    ],
  })

  override async execute(): Promise<number> {
    const question = { nodes: this.nodes(), timeoutMs: this.timeoutMs(), format: this.json ? "json" : "text" } as const
    exitOnInterrupt()
    return health({ ...question, ...this.context })
  }
}

type Health = {
  readonly nodes: readonly Address[]
  readonly timeoutMs: number
  readonly format: "text" | "json"
  readonly stdout: Writable
  readonly stderr: Writable
}

export async function health({ nodes, timeoutMs, format, stdout, stderr }: Health): Promise<ExitCode> {
  const answer = await firstAnswer(nodes, AbortSignal.timeout(timeoutMs))
  if (answer === undefined) throw new CommandFailure(exitCodes.unreachable, nobodyAnswers(nodes))
  const { node, isHealthy, line } = answer
  if (format === "json") stdout.write(`${JSON.stringify({ node, healthy: isHealthy, detail: line })}\n`)
  else if (isHealthy) stdout.write(`${line}\n`)
  else stderr.write(`dcache health: ${node}: ${line}\n`)
  return isHealthy ? exitCodes.done : exitCodes.no
}

type Answer = { readonly node: Address; readonly isHealthy: boolean; readonly line: string }

async function firstAnswer(nodes: readonly Address[], signal: AbortSignal): Promise<Answer | undefined> {
  for (const node of nodes) {
    const answer = await answerOf(node, signal)
    if (answer !== undefined) return answer
  }
  return undefined
}

/** Longer than any line that a node answers. What is beyond is not from one. */
const maxLineChars = 300

/** Undefined: nobody, or no node. */
function answerOf(node: Address, signal: AbortSignal): Promise<Answer | undefined> {
  return new Promise(resolve => {
    const request = get(`http://${node}/health`, { signal, agent: false }, response => {
      const { statusCode } = response
      let text = ""
      response.setEncoding("utf8")
      response.on("data", (chunk: string) => (text = (text + chunk).slice(0, maxLineChars)))
      response.on("error", () => resolve(undefined))
      response.on("end", () => {
        // What is shown on a terminal moves no cursor.
        const line = text.replace(/\p{Cc}+/gu, " ").trim()
        resolve(statusCode === 200 || statusCode === 503 ? { node, isHealthy: statusCode === 200, line } : undefined)
      })
    })
    request.on("error", () => resolve(undefined))
  })
}
