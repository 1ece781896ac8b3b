/**
 * At rest, the in-sync replicas of a shard are equal: entries, versions, and how far they have come. Where nodes forget,
 * one may lack what another holds if it had no memory for just that version, or was told by its primary to forget it, or
 * was filled by one of whom this holds. No two hold different versions of anything.
 */
import type { ShardInspection } from "../../../src/core/shard/inspection.ts"
import type { NodeId } from "../../../src/protocol/message.ts"
import type { MakeChecker } from "../checker.ts"

type Entry = ShardInspection["entries"] extends ReadonlyMap<string, infer E> ? E : never
type Side = { readonly held: ShardInspection; readonly mayLack: (key: string, entry: Entry) => boolean }

export const replicasAgree: MakeChecker = cluster => {
  /** Who gave up which version of a key, of its own accord or as it was told. */
  const givenUp = new Set<string>()
  const fillers = new Map<NodeId, Set<NodeId>>()
  const mayLack = (id: NodeId, entry: string, seen = new Set<NodeId>()): boolean => {
    if (seen.has(id)) return false
    seen.add(id)
    return givenUp.has(`${id} ${entry}`) || [...(fillers.get(id) ?? [])].some(filler => mayLack(filler, entry, seen))
  }
  const sideOf = (id: NodeId, shard: number): Side | undefined => {
    const held = cluster.livingProcess(id)?.node.inspectShard(shard)
    // Where nodes forget, each does what has expired by its own clock.
    const mayExpire = cluster.memory === "forgetful"
    return (
      held && {
        held,
        mayLack: (key, e) => (mayExpire && e.expiresAtMs < Infinity) || mayLack(id, `${key} ${e.version}`),
      }
    )
  }
  return {
    dropped(process, key, version) {
      givenUp.add(`${process.id} ${key} ${version}`)
    },
    received(process, from, message) {
      if (message.kind === "forget")
        for (const [key, version] of message.entries)
          givenUp.add(`${process.id} ${String.fromCharCode(...key)} ${version}`)
      if (message.kind !== "transfer-begin") return
      const known = fillers.get(process.id)
      if (known === undefined) fillers.set(process.id, new Set([from]))
      else known.add(from)
    },
    atRest() {
      for (const [shard, config] of cluster.newestView.shards.entries()) {
        if (config.orphan || config.primary === null) continue
        const leads = sideOf(config.primary, shard)
        for (const id of config.inSync) {
          if (id === config.primary) continue
          const backs = sideOf(id, shard)
          const difference = leads && backs ? differenceOf(leads, backs) : "one of them holds nothing"
          if (difference === undefined) continue
          const names = `${cluster.nameOf(config.primary)} and ${cluster.nameOf(id)}`
          cluster.violate("replicas agree at rest", `shard ${shard} at ${names}: ${difference}`)
        }
      }
    },
  }
}

function differenceOf(a: Side, b: Side): string | undefined {
  if (a.held.seq !== b.held.seq) return `they have come to ${a.held.seq} and ${b.held.seq}`
  if (a.held.dedupClients !== b.held.dedupClients)
    return `they remember ${a.held.dedupClients} and ${b.held.dedupClients} clients`
  for (const [key, entry] of a.held.entries) {
    const other = b.held.entries.get(key)
    if (other !== undefined && other.version !== entry.version)
      return `${key} is at ${entry.version} and ${other.version}`
    if (other !== undefined && !equalBytes(entry.value, other.value)) return `${key} has two values`
  }
  const lacking = lackOf(b, a) ?? lackOf(a, b)
  return lacking === undefined ? undefined : `only one has ${lacking}`
}

/** A key that the one holds, and the other lacks without a reason. */
function lackOf(other: Side, one: Side): string | undefined {
  for (const [key, entry] of one.held.entries)
    if (!other.held.entries.has(key) && !other.mayLack(key, entry)) return key
  return undefined
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}
