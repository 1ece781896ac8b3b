/** `dcache clear`: deletes all keys of the cluster, or those that begin alike. */
import type { Readable, Writable } from "node:stream"
import { Command, Option } from "clipanion"
import { keyBytes } from "../asking.ts"
import { AskingCommand, exitOnInterrupt } from "../client-command.ts"
import { type ExitCode, exitCodes } from "../exit-codes.ts"
import { CommandFailure } from "../failure.ts"
import type { Walking } from "../walking.ts"

export class ClearCommand extends AskingCommand {
  static override paths = [["clear"]]
  static override usage = Command.Usage({
    description: "delete all keys of the cluster, or those with a prefix",
    details: `
What was there when the command began is gone when it ends; what is written meanwhile may stay. Asks first, unless --yes is given. --timeout is the time for each step, not
for all of them. When it stops in the middle, some keys are gone and the exit status says why; run it again for the rest. Exit status: 0 also when there was nothing, 1 not
confirmed.`,
    examples: [
      ["Everything, and be asked first", "dcache clear"],
      ["The keys of one user, in a script", "dcache clear --prefix user:42: --yes"],
    ],
  })

  prefix = Option.String("--prefix", { description: "<TEXT> only keys that begin with it" })
  yes = Option.Boolean("--yes", false, { description: "do not ask" })

  override async execute(): Promise<number> {
    const [nodes, timeoutMs, prefix] = [this.nodes(), this.timeoutMs(), this.prefix ?? ""]
    keyBytes(prefix)
    exitOnInterrupt()
    const { walker } = await import("../connect.ts")
    await using cluster = walker({ nodes, timeoutMs })
    const format = this.json ? "json" : "text"
    return await clearKeys({
      ...{ walk: cluster.walk, nodes, prefix, format, consent: this.yes ? "given" : "to-ask" },
      ...this.context,
    })
  }
}

type Clearing = Walking & {
  readonly prefix: string
  readonly consent: "given" | "to-ask"
  readonly format: "text" | "json"
  readonly stdin: Readable
  readonly stdout: Writable
  readonly stderr: Writable
}

export async function clearKeys(clearing: Clearing): Promise<ExitCode> {
  const { consent, format, prefix, stdin, stdout, stderr } = clearing
  const [{ clear, sizeOf }, { walked }, { confirmed }] = await Promise.all([
    import("../../client/walk.ts"),
    import("../walking.ts"),
    import("../confirmation.ts"),
  ])
  if (consent === "to-ask") {
    const { entries } = await walked(clearing, sizeOf)
    const what = prefix === "" ? "all keys" : `all keys that begin with "${prefix}"`
    await confirmed({ consent, stdin, stderr }, `Delete ${what}, of about ${entries} in the cluster?`)
  }
  const deleted = await walked(
    clearing,
    walk => clear(walk, keyBytes(prefix)),
    ({ message, exitCode }) =>
      new CommandFailure(exitCode, `${message}; some keys may be gone, run it again for the rest`),
  )
  stdout.write(format === "json" ? `${JSON.stringify({ deleted })}\n` : `deleted ${deleted}\n`)
  return exitCodes.done
}
