/** `dcache get`: the value of one key, byte for byte. */
import { Command, Option } from "clipanion"
import type { Result } from "../../protocol/message.ts"
import { type Asking, answerNo, printJson, resultOf, unexpected } from "../asking.ts"
import { ClientCommand, type Work } from "../client-command.ts"
import { exitCodes } from "../exit-codes.ts"

export class GetCommand extends ClientCommand {
  static override paths = [["get"]]
  static override usage = Command.Usage({
    description: "print the value of a key, byte for byte",
    details:
      "Nothing is added, not even a line end. With --json: value, encoding (text or base64), version, flags and ttlMs (null: never expires). Exit status 1: there is no such key.",
    examples: [
      ["Read a key through the local node", "dcache get user:42"],
      ["Read it through another node, into a file", "dcache get picture --node 10.0.0.7 > picture.png"],
      ["With its version and its remaining time", "dcache get user:42 --json"],
    ],
  })

  key = Option.String({ name: "KEY" })

  override plan(): Work {
    return asking => getValue(asking, this.key)
  }
}

export async function getValue(asking: Asking, key: string): Promise<number> {
  const found = asking.format === "json" ? await valueWithTtl(asking, key) : await valueOf(asking, key)
  if (!found) return answerNo(asking, { key, found: false }, `dcache get: there is no key "${key}"`)
  const { value, flags, version } = found
  if (asking.format === "text") asking.stdout.write(value)
  else printJson(asking, { key, found: true, ...readable(value), version, flags, ttlMs: found.ttlMs ?? null })
  return exitCodes.done
}

type Found = Extract<Result, { kind: "value" }> & { readonly ttlMs?: number | null }

async function valueOf(asking: Asking, key: string): Promise<Found | undefined> {
  const result = await resultOf(asking, key, { op: "get" })
  if (result.kind === "missing") return undefined
  if (result.kind === "value") return result
  throw unexpected("get", result)
}

/** Two questions: the time is that of right after the value. A key that went away in between has no time left. */
async function valueWithTtl(asking: Asking, key: string): Promise<Found | undefined> {
  const found = await valueOf(asking, key)
  if (!found) return undefined
  const ttl = await resultOf(asking, key, { op: "ttl" })
  if (ttl.kind === "missing") return { ...found, ttlMs: 0 }
  if (ttl.kind !== "ttl") throw unexpected("ttl", ttl)
  return { ...found, ttlMs: ttl.ttlMs }
}

/** JSON has no bytes: text where they are text, base64 where not. */
export function readable(value: Uint8Array): { value: string; encoding: "text" | "base64" } {
  try {
    return { value: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(value), encoding: "text" }
  } catch {
    return { value: Buffer.from(value).toString("base64"), encoding: "base64" } // not UTF-8
  }
}
