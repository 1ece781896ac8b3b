/** At rest, the in-sync replicas of a shard are equal: entries, versions, and how far they have come. */
import type { ShardInspection } from "../../../src/core/shard/shards.ts"
import type { MakeChecker } from "../checker.ts"

export const replicasAgree: MakeChecker = cluster => ({
  atRest() {
    for (const [shard, config] of cluster.newestView.shards.entries()) {
      if (config.orphan || config.primary === null) continue
      const leads = cluster.livingProcess(config.primary)?.node.inspectShard(shard)
      for (const id of config.inSync) {
        if (id === config.primary) continue
        const holds = cluster.livingProcess(id)?.node.inspectShard(shard)
        const difference = leads && holds ? differenceOf(leads, holds) : "one of them holds nothing"
        if (difference === undefined) continue
        const names = `${cluster.nameOf(config.primary)} and ${cluster.nameOf(id)}`
        cluster.violate("replicas agree at rest", `shard ${shard} at ${names}: ${difference}`)
      }
    }
  },
})

function differenceOf(a: ShardInspection, b: ShardInspection): string | undefined {
  if (a.seq !== b.seq) return `they have come to ${a.seq} and ${b.seq}`
  if (a.entries.size !== b.entries.size) return `they hold ${a.entries.size} and ${b.entries.size} entries`
  for (const [key, entry] of a.entries) {
    const other = b.entries.get(key)
    if (other === undefined) return `only one has ${key}`
    if (other.version !== entry.version) return `${key} is at ${entry.version} and ${other.version}`
    if (!equalBytes(entry.value, other.value)) return `${key} has two values`
  }
  if (a.dedupClients !== b.dedupClients) return `they remember ${a.dedupClients} and ${b.dedupClients} clients`
  return undefined
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}
