/**
 * What any in-sync replica holds at rest is what it would answer if it led tomorrow: each of its values goes into the
 * history as if it had been read. So a copy that remembers too much is found without waiting for the failover that shows it.
 */
import type { MakeChecker } from "../checker.ts"

/** As a client of its own in the history. */
const reader = 1_000_000

export const copiesAreCurrent: MakeChecker = cluster => ({
  atRest() {
    const { recorder } = cluster
    for (const [shard, config] of cluster.newestView.shards.entries()) {
      if (config.orphan) continue
      for (const id of config.inSync)
        for (const [key, { value, version, expiresAtMs }] of cluster.livingProcess(id)?.node.inspectShard(shard)
          ?.entries ?? []) {
          // It may have ended already: only whoever leads it deletes it.
          if (expiresAtMs !== Number.POSITIVE_INFINITY) continue
          recorder.end(recorder.begin(reader, key, { op: "get" }), { kind: "value", value, flags: 0, version })
        }
    }
  },
})
