/**
 * All stories of cuts between hosts, and what came of each: `npm run hosts`, as root; `npm run hosts -- isolated` those by
 * a part of their names. Exit status 1: something contradicts.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import type { StoryResult } from "./judged.ts"
import { told } from "./result-line.ts"

const hub = fileURLToPath(new URL("hub.ts", import.meta.url))
const args = ["--net", process.execPath, hub, ...process.argv.slice(2)]
const child = spawn("unshare", args, { stdio: ["ignore", "pipe", "inherit"] })
child.on("error", error => {
  process.stderr.write(`unshare of util-linux cannot be run: ${error.message}\n`)
  process.exit(3)
})
let isConsistent = true
for await (const line of createInterface(child.stdout)) {
  const result = JSON.parse(line) as StoryResult // hub.ts wrote it
  process.stdout.write(`${told(result)}\n`)
  if (result.violations.length > 0 || result.undecided > 0 || result.answeredWithoutCopy > 0) isConsistent = false
}
const [code] = child.exitCode === null ? await once(child, "close") : [child.exitCode]
process.exit(code === 0 && isConsistent ? 0 : 1)
