/** `dcache touch`: a new time to live for a key that is there. */
import { Command, Option } from "clipanion"
import { type Asking, answerNo, printJson, resultOf, unexpected } from "../asking.ts"
import { ClientCommand, type Work } from "../client-command.ts"
import { exitCodes } from "../exit-codes.ts"
import { UsageError } from "../failure.ts"
import { timeToLive } from "../values.ts"

export class TouchCommand extends ClientCommand {
  static override paths = [["touch"]]
  static override usage = Command.Usage({
    description: "give a key a new time to live, its value unchanged",
    details: "Exit status 1: there is no such key.",
    examples: [
      ["Keep a session for another half hour", "dcache touch session:7 --ttl 30m"],
      ["Keep it for good", "dcache touch session:7 --ttl never"],
    ],
  })

  key = Option.String({ name: "KEY" })
  ttl = Option.String("--ttl", { description: "<DURATION> time to live from now, like 30s, 5m, 2h; or never" })

  override plan(): Work {
    if (this.ttl === undefined) throw new UsageError("say for how long, with --ttl 30m or --ttl never")
    const ttlMs = timeToLive({ flag: "--ttl", text: this.ttl })
    return asking => touchKey(asking, { key: this.key, ttlMs })
  }
}

export async function touchKey(asking: Asking, { key, ttlMs }: { key: string; ttlMs: number | null }): Promise<number> {
  const result = await resultOf(asking, key, { op: "touch", ttlMs, condition: null })
  switch (result.kind) {
    case "missing":
      return answerNo(asking, { key, found: false }, `dcache touch: there is no key "${key}"`)
    case "touched":
      if (asking.format === "json") printJson(asking, { key, found: true, ttlMs, version: result.version })
      return exitCodes.done
    default:
      throw unexpected("touch", result)
  }
}
