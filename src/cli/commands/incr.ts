/** `dcache incr`: adds to a number, exactly once. */
import { Command, Option } from "clipanion"
import { type Asking, answerNo, printJson, resultOf, unexpected } from "../asking.ts"
import { ClientCommand, type Work } from "../client-command.ts"
import { exitCodes } from "../exit-codes.ts"
import { timeToLive, wholeNumber } from "../values.ts"

export class IncrCommand extends ClientCommand {
  static override paths = [["incr"]]
  static override usage = Command.Usage({
    description: "add to a number and print the sum",
    details:
      "BY is 1 unless stated, and may be negative. A key that is not there counts as 0. An entry that is there keeps its time to live. Exit status 1: the value is not a whole number.",
    examples: [
      ["Count a visit", "dcache incr visits"],
      ["Take five away", "dcache incr stock -5"],
      ["Count within a minute from the first one", "dcache incr logins:42 --ttl 1m"],
    ],
  })

  key = Option.String({ name: "KEY" })
  by = Option.String({ name: "BY", required: false })
  ttl = Option.String("--ttl", {
    description: "<DURATION> time to live of an entry that this makes, like 30s; default: it never expires",
  })

  override plan(): Work {
    const by = amount(this.by)
    const ttlMs = this.ttl === undefined ? null : timeToLive({ flag: "--ttl", text: this.ttl })
    return asking => increment(asking, { key: this.key, by, ttlMs })
  }
}

function amount(text: string | undefined): number {
  const bounds = { min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER }
  return text === undefined ? 1 : wholeNumber({ flag: "BY", text }, bounds)
}

export async function increment(
  asking: Asking,
  { key, by, ttlMs }: { key: string; by: number; ttlMs: number | null },
): Promise<number> {
  const result = await resultOf(asking, key, { op: "incr", by, ttlMs })
  switch (result.kind) {
    case "counted":
      if (asking.format === "json") printJson(asking, { key, value: result.value, version: result.version })
      else asking.stdout.write(`${result.value}\n`)
      return exitCodes.done
    case "not-a-number": {
      const why = "not a whole number, or the sum would not be one that can be told exactly"
      return answerNo(
        asking,
        { key, value: null, reason: "not-a-number" },
        `dcache incr: the value of "${key}" is ${why}`,
      )
    }
    default:
      throw unexpected("incr", result)
  }
}
