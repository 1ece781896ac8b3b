/**
 * What a client knows of the cluster: who its members are and which of them leads each shard. A value, replaced whole
 * when a newer view arrives; never merged from two.
 */
import { shardOfKey as shardOfKeyIn } from "../core/ring.ts"
import type { ClientMember, Epoch, NodeToClient, Operation, ShardId } from "../protocol/message.ts"
import { isOfShards } from "./call.ts"

export type ClientView = Extract<NodeToClient, { kind: "client-view" }>
export type ClientViewDelta = Extract<NodeToClient, { kind: "client-view-delta" }>

export type Routes = {
  readonly clusterId: string
  readonly epoch: Epoch
  readonly membersEpoch: Epoch
  readonly hashKey: readonly [number, number]
  readonly members: readonly ClientMember[]
  /** One index into `members` per shard; one outside of it: nobody leads that shard. */
  readonly primaries: readonly number[]
}

export function routesOf(view: ClientView): Routes {
  const { clusterId, epoch, membersEpoch, hashKey, members, primaries } = view
  return { clusterId, epoch, membersEpoch, hashKey, members, primaries }
}

/** The routes after `delta`; undefined when it does not begin where they stand, and the whole must be asked for. */
export function afterDelta(routes: Routes, delta: ClientViewDelta): Routes | undefined {
  // A delta lists what differs between its two ends. Begun elsewhere it can miss a shard that went away and came back.
  if (delta.from !== routes.epoch) return undefined
  const primaries = [...routes.primaries]
  for (let i = 0; i + 1 < delta.changes.length; i += 2) {
    const shard = delta.changes[i]
    const member = delta.changes[i + 1]
    if (shard === undefined || member === undefined || shard >= primaries.length) return undefined
    primaries[shard] = member
  }
  return { ...routes, epoch: delta.epoch, primaries }
}

export function shardOfKey(routes: Pick<Routes, "hashKey" | "primaries">, key: Uint8Array): ShardId {
  return shardOfKeyIn(key, { hashKey: routes.hashKey, shardCount: routes.primaries.length })
}

/** The shard that decides where this operation goes; undefined: it names none that there is. */
export function shardOfOperation(routes: Routes, key: Uint8Array, operation: Operation): ShardId | undefined {
  if (!isOfShards(operation)) return shardOfKey(routes, key)
  const first = operation.op === "clear" ? operation.shard : operation.shards[0]
  return first !== undefined && first < routes.primaries.length ? first : undefined
}

export function primaryOf(routes: Routes, shard: ShardId): ClientMember | undefined {
  return routes.members[routes.primaries[shard] ?? -1]
}
