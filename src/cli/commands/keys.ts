/** `dcache keys`: the keys of the whole cluster, as they come. */
import type { Writable } from "node:stream"
import { Command, Option } from "clipanion"
import { keyBytes } from "../asking.ts"
import { AskingCommand, exitOnInterrupt } from "../client-command.ts"
import { type ExitCode, exitCodes } from "../exit-codes.ts"
import { writeAtItsPace } from "../output.ts"
import type { Walking } from "../walking.ts"
import { readable } from "./get.ts"

export class KeysCommand extends AskingCommand {
  static override paths = [["keys"]]
  static override usage = Command.Usage({
    description: "print the keys of the whole cluster, one a line",
    details: `
In no particular order. A key that is there from beginning to end comes exactly once, whatever happens to the nodes; one that comes or goes meanwhile may. Keys are
printed byte for byte: one that holds a line end takes several lines, and --json tells them apart (one object a line: key, and encoding, text or base64). --timeout is the time
for each step, not for all of them. Exit status: 0 also when there is none.`,
    examples: [
      ["All keys", "dcache keys"],
      ["Those of users, counted", "dcache keys --prefix user: | wc -l"],
      ["For a program", "dcache keys --json"],
    ],
  })

  prefix = Option.String("--prefix", { description: "<TEXT> only keys that begin with it" })

  override async execute(): Promise<number> {
    const [nodes, timeoutMs, prefix] = [this.nodes(), this.timeoutMs(), keyBytes(this.prefix ?? "")]
    exitOnInterrupt()
    const { walker } = await import("../connect.ts")
    await using cluster = walker({ nodes, timeoutMs })
    const { stdout } = this.context
    return await listKeys({ walk: cluster.walk, nodes, prefix, format: this.json ? "json" : "text", stdout })
  }
}

type Listing = Walking & {
  readonly prefix: Uint8Array
  readonly format: "text" | "json"
  readonly stdout: Writable
}

export async function listKeys(listing: Listing): Promise<ExitCode> {
  const { prefix, format, stdout } = listing
  const [{ pagesOf }, { walked }] = await Promise.all([import("../../client/walk.ts"), import("../walking.ts")])
  await walked(listing, async walk => {
    for await (const page of pagesOf(walk, { prefix, want: "keys" })) {
      const lines = page.map(({ key }) => (format === "json" ? jsonLine(key) : Buffer.concat([key, lineEnd])))
      if (!(await writeAtItsPace(stdout, Buffer.concat(lines)))) return
    }
  })
  return exitCodes.done
}

const lineEnd = Buffer.from("\n")

function jsonLine(bytes: Uint8Array): Buffer {
  const { value: key, encoding } = readable(bytes)
  return Buffer.from(`${JSON.stringify({ key, encoding })}\n`)
}
