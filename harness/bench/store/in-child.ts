/** Has a job done by a process of its own. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import type { Job, Jobs, Line } from "./child.ts"

/** For the engines whose entries lie on the heap: V8 would otherwise stop at some gigabytes. */
const heapMiB = 16_384

export async function inChild<Kind extends keyof Jobs>(
  job: Extract<Job, { kind: Kind }>,
  progress: (text: string) => void,
): Promise<Jobs[Kind]["result"]> {
  const script = fileURLToPath(new URL("child.ts", import.meta.url))
  const nodeArgs = ["--expose-gc", `--max-old-space-size=${heapMiB}`, "--disable-warning=ExperimentalWarning"]
  const child = spawn(process.execPath, [...nodeArgs, script, JSON.stringify(job)], {
    stdio: ["ignore", "pipe", "inherit"],
  })
  const exit = once(child, "exit")
  let result: Jobs[Kind]["result"] | undefined
  for await (const text of createInterface(child.stdout)) {
    const line: Line = JSON.parse(text)
    if ("progress" in line) progress(line.progress)
    else result = line.result as Jobs[Kind]["result"] // of the same job: the child is our own
  }
  const [code, signal] = await exit
  if (result !== undefined && code === 0) return result
  throw new Error(`the process of ${JSON.stringify(job)} ended with ${signal ?? code} and no result; out of memory?`)
}
