/**
 * Everything that must hold in an arena store between two operations, found out the long way: all segments are walked and
 * all slots looked up. What the store counts as it goes is compared with what is there.
 */
import { deepEqual, equal, ok } from "node:assert/strict"
import type { ArenaStore } from "../arena-store.ts"
import { digestOf } from "../entries.ts"
import {
  bytesAt,
  deadFlag,
  expiryAt,
  headerWords,
  keyLengthAt,
  lengthMask,
  padFlag,
  pieceFlag,
  piecedFlag,
  unitBytes,
  valueWordAt,
  versionAt,
} from "../record.ts"
import { free, none, open, sealed, unmapped, victim } from "../segments.ts"

export function checkInvariants(store: ArenaStore): void {
  const { segments, index, entries, reclaim, sweep } = store.parts

  // Every mapped segment is in exactly one place.
  const places = new Map<number, string>()
  const put = (segment: number, where: string) => {
    ok(!places.has(segment), `segment ${segment} is both ${places.get(segment)} and ${where}`)
    places.set(segment, where)
  }
  for (const queue of segments.queues) {
    let count = 0
    let before = none
    let openedAt = 0
    for (const segment of segments.sealedOf(queue)) {
      put(segment, "sealed")
      equal(segments.state[segment], sealed)
      equal(segments.queue[segment], queue.index)
      ok((segments.openedAt[segment] as number) > openedAt, "a queue is in the order of opening")
      openedAt = segments.openedAt[segment] as number
      before = segment
      count += 1
    }
    equal(queue.newest, before)
    if (queue.open !== none) {
      put(queue.open, "open")
      equal(segments.state[queue.open], open)
      equal(segments.queue[queue.open], queue.index)
      count += 1
    }
    equal(queue.count, count, "segments of a queue")
  }
  if (reclaim.victim !== none) {
    put(reclaim.victim, "victim")
    equal(segments.state[reclaim.victim], victim)
  }
  for (const segment of segments.freeOnes) {
    put(segment, "free")
    equal(segments.state[segment], free)
    equal(segments.live[segment], 0)
  }
  let mapped = 0
  for (let segment = 0; segment < segments.count; segment++) {
    if (segments.state[segment] === unmapped) {
      equal(segments.words[segment]?.length, 0)
      continue
    }
    mapped += 1
    ok(places.has(segment), `segment ${segment} is nowhere`)
    equal(segments.words[segment]?.byteLength, segments.segmentBytes)
  }
  equal(segments.mapped, mapped)
  ok(segments.mapped <= Math.max(segments.budget, segments.inUse), "free segments beyond the budget are given up")

  // Every segment can be walked to its end, and its counts are those of what is met on the way.
  const found = new Set<number>()
  const pieces = new Set<number>()
  let liveBytes = 0
  let deadBytes = 0
  let sealedCount = 0
  for (const [segment, where] of places) {
    if (where === "free") continue
    const words = segments.words[segment] as Uint32Array
    const used = segments.used[segment] as number
    let live = 0
    let atSweep = sweep.offset
    for (let offset = unitBytes; offset < used; ) {
      const at = offset >>> 2
      const word = words[at] as number
      const bytes = bytesAt(words, at)
      ok(bytes >= unitBytes && bytes % unitBytes === 0 && offset + bytes <= used, "a record lies in its segment")
      if (offset === sweep.offset) atSweep = none
      if (where === "victim" && offset < reclaim.offset)
        ok((word & (deadFlag | padFlag)) !== 0, "behind the one who empties nothing lives")
      if ((word & (deadFlag | padFlag)) === 0) {
        live += bytes
        const place = segments.placeAt(segment, offset)
        if ((word & pieceFlag) !== 0) pieces.add(place)
        else {
          found.add(place)
          const isAhead =
            sweep.segment === segment && sweep.openedAt === segments.openedAt[segment] && offset >= sweep.offset
          if (!isAhead)
            ok(expiryAt(words, at) >= (segments.soonestMs[segment] as number), "a segment knows what expires first")
        }
      }
      offset += bytes
    }
    if (sweep.segment === segment && sweep.openedAt === segments.openedAt[segment] && sweep.offset < used)
      equal(atSweep, none, "the sweep stands at a record")
    equal(segments.live[segment], live, `live bytes of segment ${segment}`)
    liveBytes += live
    if (where === "sealed") {
      deadBytes += segments.segmentBytes - live
      sealedCount += 1
    }
  }
  equal(segments.liveBytes, liveBytes, "live bytes")
  equal(segments.deadBytes, deadBytes, "dead bytes")
  equal(segments.sealedCount, sealedCount, "sealed segments")

  // Every entry has one slot, reachable from its home; every slot an entry; every piece of it is there.
  const listed = new Set<number>()
  const sums = Array.from({ length: index.partitionCount }, () => ({ count: 0, bytes: 0, digest: 0 }))
  for (const { start, width, count, table, from, end } of index.tables()) {
    let taken = 0
    let previous = -1
    for (let at = from; at < end; at += 2) {
      const place = table[at + 1] as number
      if (place === 0) {
        equal(table[at], 0)
        continue
      }
      const position = table[at] as number
      ok(position >= previous, "slots are in the order of positions")
      previous = position
      ok(position >= start && position < start + width, "a table has the positions that are its own")
      ok(found.delete(place), "a slot points at an entry, and no two at one")
      equal(entries.positionOf(place), position)
      equal(index.slotOf(position, place), at, "a slot is reached from its home")
      const words = segments.wordsOf(place)
      const word = segments.wordOf(place)
      if (((words[word] as number) & piecedFlag) !== 0) {
        const list = valueWordAt(words, word)
        let valueBytes = 0
        for (let i = 0; i < (words[list] as number); i++) {
          const piece = words[list + 1 + i] as number
          ok(pieces.delete(piece), "a listed piece is there, and listed once")
          listed.add(piece)
          equal(entries.recordOfPiece(piece), place)
          valueBytes += (segments.wordsOf(piece)[segments.wordOf(piece)] as number) & lengthMask
        }
        equal(valueBytes, (words[word] as number) & lengthMask, "pieces make up the value")
      }
      ok(word + headerWords + keyLengthAt(words, word) / 4 <= words.length)
      taken += 1
      const sum = sums[position >>> index.shift] as { count: number; bytes: number; digest: number }
      sum.count += 1
      sum.bytes += entries.bytesOf(place)
      sum.digest = (sum.digest + digestOf(position, versionAt(words, word))) | 0
    }
    equal(table[end - 1], 0, "a table ends with an empty slot")
    equal(count, taken, "entries of a table")
  }
  let count = 0
  for (const [partition, sum] of sums.entries()) {
    equal(index.countOf(partition), sum.count)
    equal(index.bytesOf(partition), sum.bytes)
    equal(index.digestOf(partition), sum.digest)
    count += sum.count
  }
  deepEqual([...found], [], "entries without a slot")
  deepEqual([...pieces], [], "pieces without an entry")
  equal(index.count, count)
}
