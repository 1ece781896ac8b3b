/**
 * Keys that are only ever written together are of one version at every holder, at every moment: nobody has a part of a group,
 * neither while it is under way nor after it was undone. What is forgotten, or deleted by stretches, may be gone for one alone.
 */
import type { ShardInspection } from "../../../src/core/shard/inspection.ts"
import type { MakeChecker } from "../checker.ts"

export const groupsAreWhole: MakeChecker = cluster => {
  const look = () => {
    const mayLack = cluster.memory === "forgetful" || cluster.wasCleared
    for (const keys of cluster.together) {
      const shard = cluster.shardOf(keys[0] ?? "")
      for (const process of cluster.alive()) {
        // It reads what it wrote, piece by piece, and answers nobody before it has all.
        if (process.node.phase === "resuming") continue
        const held = process.node.inspectShard(shard)
        if (held === undefined || (held.role !== "primary" && held.role !== "replica")) continue
        const versions = versionsOf(keys, held).filter(version => !mayLack || version !== undefined)
        if (new Set(versions).size <= 1) continue
        const found = `${keys.join(", ")} at versions ${versions.map(version => version ?? "none").join(", ")}`
        cluster.violate("a group is there whole or not at all", `${cluster.nameOf(process.id)} holds ${found}`)
      }
    }
  }
  return {
    glance: look,
    atRest: look,
    answers(_process, { operation }) {
      if (operation.op === "group") look()
    },
  }
}

function versionsOf(keys: readonly string[], { entries }: ShardInspection): (number | undefined)[] {
  return keys.map(key => entries.get(key)?.version)
}
