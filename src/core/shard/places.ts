/**
 * Places in a shard and stretches between them: keys are in the order of their positions and, at one position, of their
 * bytes. Pure; what walks through a shard and what clears a part of it agree on the order by it.
 */
import { reservedByte } from "../../protocol/limits.ts"
import type { Place } from "../../protocol/message.ts"
import type { HashedKey } from "../../store/store.ts"

/** Keys from one place up to another that begin alike. */
export type Stretch = { readonly from: Place; readonly to: Place; readonly prefix: Uint8Array }

export function isWithin(key: HashedKey, { from, to, prefix }: Stretch): boolean {
  return !isBefore(key, from) && isBefore(key, to) && isAskedFor(key.bytes, prefix)
}

export function isBefore({ position, bytes }: HashedKey, place: Place): boolean {
  if (position !== place.position) return position < place.position
  return place.after !== null && compareBytes(bytes, place.after) <= 0
}

/** Keys that begin with a zero byte are asked for only by a prefix that does. */
export function isAskedFor(key: Uint8Array, prefix: Uint8Array): boolean {
  if (prefix.length === 0) return key[0] !== reservedByte
  if (key.length < prefix.length) return false
  for (let i = 0; i < prefix.length; i++) if (key[i] !== prefix[i]) return false
  return true
}

export function inOrder(a: HashedKey, b: HashedKey): number {
  return a.position - b.position || compareBytes(a.bytes, b.bytes)
}

/** The shorter of two that begin alike comes first. */
function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length)
  for (let i = 0; i < shared; i++) if (a[i] !== b[i]) return (a[i] as number) - (b[i] as number) // within both
  return a.length - b.length
}
