/** `dcache delete`: forgets one or several keys. */
import { Command, Option } from "clipanion"
import { type Asking, answerNo, printJson, resultOf, unexpected } from "../asking.ts"
import { ClientCommand, type Work } from "../client-command.ts"
import { exitCodes } from "../exit-codes.ts"

export class DeleteCommand extends ClientCommand {
  static override paths = [["delete"]]
  static override usage = Command.Usage({
    description: "delete keys, and say how many there were",
    details: "Exit status 1: none of them was there.",
    examples: [
      ["Delete one key", "dcache delete user:42"],
      ["Delete several", "dcache delete user:42 user:43 user:44"],
    ],
  })

  keys = Option.Rest({ required: 1, name: "KEY" })

  override plan(): Work {
    return asking => deleteKeys(asking, this.keys)
  }
}

/** Deletes under way at a time: enough to hide the round trip, few enough for any client's queue. */
const atATime = 64

export async function deleteKeys(asking: Asking, keys: readonly string[]): Promise<number> {
  const deleted: string[] = []
  const missing: string[] = []
  for (let from = 0; from < keys.length; from += atATime) {
    const some = keys.slice(from, from + atATime)
    // All are waited for before a failure is told: what was under way is then known to be over.
    const settled = await Promise.allSettled(some.map(key => deleteKey(asking, key)))
    for (const [index, outcome] of settled.entries()) {
      if (outcome.status === "rejected") throw outcome.reason
      const key = some[index] ?? ""
      if (outcome.value === "deleted") deleted.push(key)
      else missing.push(key)
    }
  }
  if (asking.format === "json") printJson(asking, { deleted, missing })
  if (deleted.length === 0) {
    const what = keys.length === 1 ? `there is no key "${keys[0]}"` : `none of the ${keys.length} keys was there`
    return asking.format === "json" ? exitCodes.no : answerNo(asking, {}, `dcache delete: ${what}`)
  }
  if (asking.format === "text") asking.stdout.write(`deleted ${deleted.length} of ${keys.length}\n`)
  return exitCodes.done
}

async function deleteKey(asking: Asking, key: string): Promise<"deleted" | "missing"> {
  const result = await resultOf(asking, key, { op: "delete", condition: null })
  if (result.kind === "deleted" || result.kind === "missing") return result.kind
  throw unexpected("delete", result)
}
