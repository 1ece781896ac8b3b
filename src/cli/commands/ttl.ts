/** `dcache ttl`: how long a key has left. */
import { Command, Option } from "clipanion"
import { formatDuration } from "../../base/duration.ts"
import { type Asking, answerNo, printJson, resultOf, unexpected } from "../asking.ts"
import { ClientCommand, type Work } from "../client-command.ts"
import { exitCodes } from "../exit-codes.ts"

export class TtlCommand extends ClientCommand {
  static override paths = [["ttl"]]
  static override usage = Command.Usage({
    description: "print how long a key has left",
    details: 'Prints a duration, or "never" for a key that does not expire. Exit status 1: there is no such key.',
    examples: [
      ["Ask for the time left", "dcache ttl session:7"],
      ["In milliseconds, for a program", "dcache ttl session:7 --json"],
    ],
  })

  key = Option.String({ name: "KEY" })

  override plan(): Work {
    return asking => timeLeft(asking, this.key)
  }
}

export async function timeLeft(asking: Asking, key: string): Promise<number> {
  const result = await resultOf(asking, key, { op: "ttl" })
  switch (result.kind) {
    case "missing":
      return answerNo(asking, { key, found: false }, `dcache ttl: there is no key "${key}"`)
    case "ttl":
      if (asking.format === "json")
        printJson(asking, { key, found: true, ttlMs: result.ttlMs, version: result.version })
      else asking.stdout.write(`${result.ttlMs === null ? "never" : formatDuration(result.ttlMs)}\n`)
      return exitCodes.done
    default:
      throw unexpected("ttl", result)
  }
}
