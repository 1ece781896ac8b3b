/** Nothing grows without end: an entry is kept for each key at most, and nodes hold no more than their shards' share. */
import type { MakeChecker } from "../checker.ts"

export const staysBounded: MakeChecker = cluster => ({
  atRest() {
    for (const process of cluster.alive()) {
      const { entries } = process.node.status()
      const view = cluster.newestView
      let expected = 0
      for (const [shard, config] of view.shards.entries()) {
        if (config.inSync.includes(process.id)) expected += process.node.inspectShard(shard)?.entries.size ?? entries
      }
      if (entries > expected)
        cluster.violate(
          "nothing grows without end",
          `${cluster.nameOf(process.id)} keeps ${entries} entries and is a replica of ${expected}`,
        )
    }
  },
})
