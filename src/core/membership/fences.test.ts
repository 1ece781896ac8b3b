import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import { Fences } from "./fences.ts"

function fences(): { fences: Fences; cleared: number[] } {
  const cleared: number[] = []
  return { fences: new Fences({ shardCount: 8, onCleared: shards => cleared.push(...shards) }), cleared }
}

test("a shard is fenced until the last of its predecessors' leases has ended", () => {
  const { fences: f, cleared } = fences()
  f.add({ who: "x", epoch: 3, untilMs: 100, shards: [1, 2] })
  f.add({ who: "y", epoch: 4, untilMs: 200, shards: [2] })
  equal(f.isOpen(0, 50), false)
  equal(f.isOpen(1, 99), true)
  equal(f.isOpen(1, 100), false)
  equal(f.isOpen(2, 150), true, "y led the shard in between")
  equal(f.isOpen(2, 200), false)
  deepEqual(cleared, [1, 2])
})

test("a predecessor that shows the view ends its own fences of that view and before, no others", () => {
  const { fences: f } = fences()
  f.add({ who: "x", epoch: 3, untilMs: 100, shards: [1] })
  f.add({ who: "x", epoch: 5, untilMs: 100, shards: [2] })
  f.add({ who: "y", epoch: 3, untilMs: 100, shards: [3] })
  f.add({ who: null, epoch: 3, untilMs: 100, shards: [4] })
  f.released("x", 4)
  deepEqual(
    [1, 2, 3, 4].map(shard => f.isOpen(shard, 0)),
    [false, true, true, true],
  )
})

test("whoever is waited for is asked once, for the newest view; an unknown predecessor cannot be asked", () => {
  const { fences: f } = fences()
  f.add({ who: "x", epoch: 3, untilMs: 100, shards: [1] })
  f.add({ who: "x", epoch: 5, untilMs: 100, shards: [2] })
  f.add({ who: "y", epoch: 4, untilMs: 100, shards: [3] })
  f.add({ who: null, epoch: 6, untilMs: 100, shards: [1] })
  deepEqual([...f.awaited(shard => shard !== 3)], [["x", 5]])
})
