/**
 * What is acknowledged is held by every in-sync replica of the newest decided view, at the instant of the answer: so
 * whichever of them leads next has it.
 */
import type { ShardInspection } from "../../../src/core/shard/inspection.ts"
import type { Request, Result, Seq } from "../../../src/protocol/message.ts"
import type { MakeChecker } from "../checker.ts"
import type { SimulatedCluster } from "../cluster.ts"
import type { SimulatedProcess } from "../process.ts"

const promise = "what is acknowledged is held by every in-sync replica"

export const acknowledgedIsHeld: MakeChecker = cluster => ({
  answers(process, request, result) {
    // A process that asks itself does so under a number that is not seen here.
    if (result.kind === "group-done" && request.firstEpoch > 0) eachPartIsHeld(cluster, process, request)
    if (!("version" in result) || result.kind === "value" || result.kind === "ttl" || result.kind === "unmet") return
    const shard = cluster.shardOf(request.key)
    const config = cluster.newestView.shards[shard]
    // After a reset the versions of the former life mean nothing here.
    if (config === undefined || config.orphan || result.version <= config.seqBase) return
    for (const id of config.inSync) {
      const replica = cluster.livingProcess(id)
      if (replica === undefined) continue
      const held = replica.node.inspectShard(shard)
      const [key, problem] = keysWrittenBy(request)
        .filter(key => cluster.shardOf(key) === shard)
        .map(key => [key, problemOf(held, key, result.version)] as const)
        .find(([, problem]) => problem !== undefined) ?? ["", undefined]
      if (problem === undefined) continue
      cluster.violate(
        promise,
        `${cluster.nameOf(process.id)} acknowledges version ${result.version} of ${key} in shard ${shard}; ` +
          `in-sync ${cluster.nameOf(id)} ${problem}`,
      )
    }
  },
})

function keysWrittenBy({ key, operation }: Request): string[] {
  if (operation.op !== "group") return [latin1(key)]
  return operation.steps.flatMap(step => (step.operation.op === "check" ? [] : [latin1(step.key)]))
}

/** Of a group each shard has its own number, and the record of it, which whoever leads next answers a repetition from. */
function eachPartIsHeld(
  cluster: SimulatedCluster,
  process: SimulatedProcess,
  { clientId, n, key: asked, operation }: Request,
): void {
  if (operation.op !== "group") return
  for (const step of operation.steps) {
    const key = latin1(step.key)
    const shard = cluster.shardOf(key)
    const config = cluster.newestView.shards[shard]
    if (config === undefined || config.orphan || config.resetAt > 0) continue
    for (const id of config.inSync) {
      const held = cluster.livingProcess(id)?.node.inspectShard(shard)
      if (held === undefined) continue
      const record = held.recordOf(clientId, n)
      if (record === "below") continue
      const isWritten = step.operation.op !== "check" && shard !== cluster.shardOf(latin1(asked))
      const problem = problemOfPart(held, key, record, isWritten)
      if (problem === undefined) continue
      const who = `${cluster.nameOf(process.id)} acknowledges a group with ${key} in shard ${shard}`
      cluster.violate(promise, `${who}; in-sync ${cluster.nameOf(id)} ${problem}`)
    }
  }
}

/**
 * The version is the one that the record gives. By which operation a copy has come to know of it says less: one that was
 * filled since has all its records by the operation that it was filled up to, which may be a later one.
 */
function problemOfPart(
  held: ShardInspection,
  key: string,
  record: Result | undefined,
  isWritten: boolean,
): string | undefined {
  if (record === undefined) return "knows nothing of it"
  if (record.kind !== "group-done") return `remembers it as ${record.kind}`
  return isWritten ? problemOf(held, key, record.version) : undefined
}

function problemOf(held: ShardInspection | undefined, key: string, version: Seq): string | undefined {
  if (held === undefined) return "holds nothing"
  if (held.seq < version) return `has come to ${held.seq}`
  const entry = held.entries.get(key)
  // A missing entry may have been deleted by a later operation; one that is older than the answer is wrong.
  return entry !== undefined && entry.version < version ? `has version ${entry.version} of it` : undefined
}

function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes)
}
