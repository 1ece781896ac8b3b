/**
 * What all commands share that ask a running cluster: whom, for how long, and in which form. A command states its plan,
 * which refuses what cannot be meant before anybody is asked; the code of the client is loaded after that.
 */
import { Command, Option } from "clipanion"
import { defaultPort, formatAddress } from "../base/address.ts"
import type { Address } from "../protocol/message.ts"
import type { Asking } from "./asking.ts"
import { exitCodes } from "./exit-codes.ts"
import { address, listed, timeLimit } from "./values.ts"

export type Work = (asking: Asking) => Promise<number>

export const defaultNode: Address = `127.0.0.1:${defaultPort}`

export abstract class AskingCommand extends Command {
  node = Option.Array("--node", {
    description: `<HOST:PORT> any node of the cluster; repeatable, tried in turn; default ${defaultNode}`,
  })
  timeout = Option.String("--timeout", { description: "<DURATION> how long to wait for the answer; default 5s" })
  json = Option.Boolean("--json", false, { description: "print JSON" })

  protected nodes(): Address[] {
    const given = listed("--node", this.node).map(text => formatAddress(address(text, defaultPort)))
    return given.length > 0 ? given : [defaultNode]
  }

  protected timeoutMs(): number {
    return this.timeout === undefined ? 5_000 : timeLimit({ flag: "--timeout", text: this.timeout })
  }
}

export abstract class ClientCommand extends AskingCommand {
  /** Reads the form; throws `UsageError`. */
  abstract plan(): Work

  override async execute(): Promise<number> {
    const work = this.plan()
    const nodes = this.nodes()
    const timeoutMs = this.timeoutMs()
    exitOnInterrupt()
    const { asker } = await import("./connect.ts")
    const { stdin, stdout, stderr } = this.context
    await using cluster = asker({ nodes, timeoutMs })
    return await work({ ask: cluster.ask, nodes, format: this.json ? "json" : "text", stdin, stdout, stderr })
  }
}

/** Nothing here is worth a farewell: whoever asked no longer wants the answer. */
export function exitOnInterrupt(): void {
  process.once("SIGINT", () => process.exit(exitCodes.interrupted))
}
