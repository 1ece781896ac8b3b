import { equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { mix32 } from "../base/hash.ts"
import { Ghost } from "./ghost.ts"

const roomy = 2 ** 30

test("who was forgotten lately is known, once; who was not is taken for one very rarely", () => {
  const ghost = new Ghost(0.7)
  for (let n = 0; n < 10_000; n++) ghost.add(mix32(n), 10_000, roomy)
  let known = 0
  for (let n = 9_000; n < 10_000; n++) if (ghost.take(mix32(n))) known++
  ok(known > 950, `${known} of the last thousand`)
  let again = 0
  for (let n = 9_000; n < 10_000; n++) if (ghost.take(mix32(n))) again++
  ok(again < 5, `${again} of them a second time`)
  let strangers = 0
  for (let n = 100_000; n < 110_000; n++) if (ghost.take(mix32(n))) strangers++
  ok(strangers < 10, `${strangers} of ten thousand strangers`)
})

test("it remembers 0.7 to 1.4 times as many as there are entries, and no more", () => {
  const ghost = new Ghost(0.7)
  for (let n = 0; n < 100_000; n++) ghost.add(mix32(n), 1_000, roomy)
  let latest = 0
  for (let n = 99_500; n < 100_000; n++) if (ghost.take(mix32(n))) latest++
  ok(latest > 450, `${latest} of the last 500`)
  let oldest = 0
  for (let n = 0; n < 98_000; n++) if (ghost.take(mix32(n))) oldest++
  ok(oldest < 200, `${oldest} of the oldest`)
  ok(ghost.bytes < 10_000)
})

test("it grows with the store, by no more than there is room for", () => {
  const ghost = new Ghost(0.7)
  for (let n = 0; n < 1_000; n++) ghost.add(mix32(n), 50_000, 0)
  equal(ghost.bytes, 0)
  equal(ghost.take(mix32(999)), false)
  for (let n = 0; n < 100_000; n++) {
    const before = ghost.bytes
    ghost.add(mix32(n), 50_000, 4_096)
    ok(ghost.bytes - before <= 4_096)
  }
  ok(ghost.bytes > 30_000, `${ghost.bytes} bytes`)
})
