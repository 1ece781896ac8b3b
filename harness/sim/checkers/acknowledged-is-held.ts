/**
 * What is acknowledged is held by every in-sync replica of the newest decided view, at the instant of the answer: so
 * whichever of them leads next has it.
 */
import type { MakeChecker } from "../checker.ts"

export const acknowledgedIsHeld: MakeChecker = cluster => ({
  answers(process, request, result) {
    if (result.kind !== "stored" && result.kind !== "counted" && result.kind !== "touched") return
    const shard = cluster.shardOf(request.key)
    const config = cluster.newestView.shards[shard]
    // After a reset the versions of the former life mean nothing here.
    if (config === undefined || config.orphan || result.version <= config.seqBase) return
    for (const id of config.inSync) {
      const replica = cluster.livingProcess(id)
      const held = replica?.node.inspectShard(shard)
      if (replica === undefined || (held !== undefined && held.seq >= result.version)) continue
      cluster.violate(
        "what is acknowledged is held by every in-sync replica",
        `${cluster.nameOf(process.id)} acknowledges version ${result.version} of shard ${shard}, ` +
          `in-sync ${cluster.nameOf(id)} is at ${held === undefined ? "nothing" : held.seq}`,
      )
    }
  },
})
