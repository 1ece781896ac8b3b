/** How to run this very program once more, as `stress` does for its nodes. The one place that knows in what form it runs. */
import { isSea } from "node:sea"
import { CommandFailure } from "./failure.ts"
import { exitCodes } from "./exit-codes.ts"

/** Without arguments. The packaged binary is all of itself; Node.js needs the script that it was started with. */
export function selfCommand(): { readonly file: string; readonly args: readonly string[] } {
  if (isSea()) return { file: process.execPath, args: [] }
  const script = process.argv[1]
  if (script === undefined) throw new CommandFailure(exitCodes.unreachable, "cannot tell how this program was started")
  return { file: process.execPath, args: [...process.execArgv, script] }
}
