/** Programs that a machine may lack: what needs them is skipped, and says so. */
import { spawnSync } from "node:child_process"

/** Debian's, for which Debian packages a client. */
export const python = "/usr/bin/python3"

export function skipWithout(program: string, ...args: string[]): { skip?: string } {
  const found = spawnSync(program, args.length > 0 ? args : ["--version"], { stdio: "ignore" })
  return found.status === 0 ? {} : { skip: `${program} ${args.join(" ")} is not to be had on this machine` }
}
