import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import { allRules } from "../rules.ts"
import { Fences } from "./fences.ts"

function fences(): { fences: Fences; cleared: number[] } {
  const cleared: number[] = []
  return {
    fences: new Fences({ shardCount: 8, rules: allRules, onCleared: shards => cleared.push(...shards) }),
    cleared,
  }
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

test("a shard whose primary is known to have served is freed of all its fences, and no other shard is", () => {
  const { fences: f, cleared } = fences()
  f.add({ who: "x", epoch: 3, untilMs: 100, shards: [1, 2] })
  f.add({ who: null, epoch: 4, untilMs: 200, shards: [1, 2] })
  f.lift(1)
  f.lift(1)
  equal(f.isOpen(1, 0), false)
  equal(f.isOpen(2, 0), true)
  deepEqual(cleared, [1])
  equal(f.isOpen(2, 150), true)
  equal(f.isOpen(2, 200), false)
  deepEqual(cleared, [1, 2], "the end of a fence says nothing of a shard that was lifted out of it")
  equal(f.isOpen(1, 200), false)
  f.add({ who: "y", epoch: 5, untilMs: 400, shards: [1] })
  equal(f.isOpen(1, 300), true, "a later fence holds as any other")
})
