/**
 * At any instant at most one process could answer for a shard, paused processes included: what they would do when they
 * go on must be harmless too. This finds what the history does not show, since a second server is rarely asked.
 */
import type { ShardId } from "../../../src/protocol/message.ts"
import type { MakeChecker } from "../checker.ts"

export const oneServerPerShard: MakeChecker = cluster => {
  const look = (shard: ShardId) => {
    let server: string | undefined
    for (const process of cluster.processes) {
      // A machine that stands still with its clock cannot know better; its host tells it when it wakes.
      if (!process.isAlive || process.isSuspended || !process.node.serves(shard)) continue
      const name = `${cluster.nameOf(process.id)} at epoch ${process.node.view?.epoch}`
      if (server === undefined) server = name
      else cluster.violate("one server per shard", `shard ${shard} is served by ${server} and by ${name}`)
    }
  }
  return {
    answers: (_process, request) => look(cluster.shardOf(request.key)),
    glance() {
      for (let shard = 0; shard < cluster.config.shardCount; shard++) look(shard)
    },
  }
}
