/** `dcache set`: stores a value, always or on a condition. */
import type { Readable } from "node:stream"
import { Command, Option } from "clipanion"
import { maxValueBytes, textFlags } from "../../protocol/limits.ts"
import type { Condition } from "../../protocol/message.ts"
import { type Asking, answerNo, keyBytes, printJson, resultOf, unexpected } from "../asking.ts"
import { ClientCommand, type Work } from "../client-command.ts"
import { exitCodes } from "../exit-codes.ts"
import { CommandFailure, UsageError } from "../failure.ts"
import { valueTooLarge } from "../outcomes.ts"
import { timeToLive, wholeNumber } from "../values.ts"

export class SetCommand extends ClientCommand {
  static override paths = [["set"]]
  static override usage = Command.Usage({
    description: "store a value under a key",
    details:
      "The value - is read from standard input. Put -- before values that begin with a dash and are no numbers. Exit status 1: the condition was not met, and nothing was changed.",
    examples: [
      ["Store a value", "dcache set user:42 Ada"],
      ["For half a minute", "dcache set session:7 open --ttl 30s"],
      ["A file", "dcache set picture - < picture.png"],
      ["Only the first one wins", "dcache set leader me --if-absent"],
      ["Only if nobody changed it since it was read", "dcache set user:42 Grace --if-version 7"],
    ],
  })

  key = Option.String({ name: "KEY" })
  value = Option.String({ name: "VALUE|-" })
  ttl = Option.String("--ttl", {
    description: "<DURATION> time to live, like 30s, 5m, 2h, 1d; default: it never expires",
  })
  ifAbsent = Option.Boolean("--if-absent", false, { description: "only if the key is not there" })
  ifPresent = Option.Boolean("--if-present", false, { description: "only if the key is there" })
  ifVersion = Option.String("--if-version", { description: "<N> only if the key is there in this version" })

  override plan(): Work {
    const ttlMs = this.ttl === undefined ? null : timeToLive({ flag: "--ttl", text: this.ttl })
    const condition = onlyCondition(this)
    return asking => setValue(asking, { key: this.key, value: this.value, ttlMs, condition })
  }
}

function onlyCondition(form: {
  ifAbsent: boolean
  ifPresent: boolean
  ifVersion: string | undefined
}): Condition | null {
  const conditions: Condition[] = []
  if (form.ifAbsent) conditions.push({ if: "absent" })
  if (form.ifPresent) conditions.push({ if: "present" })
  if (form.ifVersion !== undefined) {
    const version = wholeNumber({ flag: "--if-version", text: form.ifVersion }, { min: 0, max: 2 ** 48 - 1 })
    conditions.push({ if: "version", version })
  }
  if (conditions.length > 1) throw new UsageError("give one of --if-absent, --if-present and --if-version")
  return conditions[0] ?? null
}

export async function setValue(
  asking: Asking,
  wanted: { key: string; value: string; ttlMs: number | null; condition: Condition | null },
): Promise<number> {
  const { key, ttlMs, condition } = wanted
  keyBytes(key) // refuses a key that is too long before standard input is read
  const isTyped = wanted.value !== "-"
  const value = isTyped ? new TextEncoder().encode(wanted.value) : await readValue(asking.stdin)
  // What is typed is text; a program that reads standard input back should get the bytes that went in.
  const flags = isTyped ? textFlags : 0
  if (value.length > maxValueBytes) throw new CommandFailure(exitCodes.refused, valueTooLarge)
  const result = await resultOf(asking, key, { op: "set", value, flags, ttlMs, condition })
  switch (result.kind) {
    case "stored":
      if (asking.format === "json") printJson(asking, { key, stored: true, version: result.version })
      else asking.stdout.write(`stored (version ${result.version})\n`)
      return exitCodes.done
    case "unmet": {
      const { version } = result
      const line = `dcache set: not stored: "${key}" is there, in version ${version}`
      return answerNo(asking, { key, stored: false, reason: "unmet", version }, line)
    }
    case "missing":
      return answerNo(
        asking,
        { key, stored: false, reason: "missing" },
        `dcache set: not stored: there is no key "${key}"`,
      )
    default:
      throw unexpected("set", result)
  }
}

/** All of standard input; stops reading as soon as it is more than a value may be. */
export async function readValue(stdin: Readable): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of stdin) {
    const part: Uint8Array = typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk
    bytes += part.length
    if (bytes > maxValueBytes) throw new CommandFailure(exitCodes.refused, valueTooLarge)
    chunks.push(part)
  }
  return Buffer.concat(chunks)
}
