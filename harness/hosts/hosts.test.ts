/**
 * Real nodes on hosts that can really be cut from one another. Needs Linux, root, and the commands of iproute2, nftables and
 * util-linux: where they are not, it says so and shows nothing.
 */
import { deepEqual, equal, ok } from "node:assert/strict"
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { type TestContext, test } from "node:test"
import { fileURLToPath } from "node:url"
import type { StoryResult } from "./judged.ts"
import { told } from "./result-line.ts"

const hub = fileURLToPath(new URL("hub.ts", import.meta.url))
/** With less of the machine idle, times say more about it than about the cluster. */
const idleEnough = 0.3
const minorityWithinMs = 1_000

/** Undefined: hosts can be made here. */
function obstacle(): string | undefined {
  if (process.platform !== "linux") return "network namespaces are Linux'"
  if (process.getuid?.() !== 0) return "only root may make network namespaces"
  for (const command of ["unshare", "nsenter", "ip", "nft"])
    if (spawnSync(command, ["--version"]).error)
      return `there is no command ${command} (iproute2, nftables, util-linux)`
  // In a container root may lack the right to.
  const tried = spawnSync("unshare", ["--net", "nft", "list", "tables"], { encoding: "utf8" })
  return tried.status === 0 ? undefined : `a network namespace cannot be made: ${tried.stderr.trim()}`
}

async function tell(context: TestContext, stories: readonly string[]): Promise<StoryResult[]> {
  const child = spawn("unshare", ["--net", process.execPath, hub, ...stories], { stdio: ["ignore", "pipe", "pipe"] })
  context.after(() => child.kill("SIGKILL"))
  let [out, err] = ["", ""]
  child.stdout.on("data", (chunk: Buffer) => (out += chunk))
  child.stderr.on("data", (chunk: Buffer) => (err += chunk))
  const [code] = await once(child, "close")
  equal(code, 0, err)
  const results = out
    .trim()
    .split("\n")
    .map(line => JSON.parse(line) as StoryResult) // hub.ts wrote it
  equal(results.length, stories.length, err)
  return results
}

test("real cuts between real hosts: the side without a majority refuses, the other serves, and nothing contradicts", {
  skip: obstacle() ?? false,
  timeout: 240_000,
}, async context => {
  for (const result of await tell(context, ["a majority of three", "half and half"])) {
    context.diagnostic(told(result))
    deepEqual(result.violations, [], result.story)
    equal(result.undecided, 0, result.story)
    equal(result.answeredWithoutCopy, 0, result.story)
    ok(result.operations > 100 && result.asked > 100, "there is something to judge")
    if (result.idleShare < idleEnough) {
      context.diagnostic(`times not judged: only ${Math.round(result.idleShare * 100)} % of the machine was idle`)
      continue
    }
    const { minorityAnsweredForMs, minorityLongestWaitMs, majorityServesAfterMs } = result
    ok((minorityAnsweredForMs ?? 0) <= minorityWithinMs, told(result))
    ok((minorityLongestWaitMs ?? 0) <= minorityWithinMs, told(result))
    ok((majorityServesAfterMs ?? 0) <= result.servesWithinMs, told(result))
  }
})
