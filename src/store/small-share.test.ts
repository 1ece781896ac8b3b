import { equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { mix32 } from "../base/hash.ts"
import { SmallShare } from "./small-share.ts"

const roomy = 2 ** 30
const entries = 1_000

function returning(shares: SmallShare, counts: { small: number; main: number }, from: number): void {
  for (let n = 0; n < counts.small; n++) {
    shares.lost("small", mix32(from + n), entries, roomy)
    shares.began(mix32(from + n), entries)
  }
  for (let n = 0; n < counts.main; n++) {
    shares.lost("main", mix32(from + 500 + n), entries, roomy)
    shares.began(mix32(from + 500 + n), entries)
  }
}

test("the small queue grows when what it lost comes back clearly more often than what the main queue lost, and shrinks again", () => {
  const shares = new SmallShare()
  equal(shares.share, 0.1)
  for (let round = 0; round < 30; round++) returning(shares, { small: 30, main: 2 }, round * 1_000)
  equal(Math.round(100 * shares.share), 90)
  for (let round = 30; round < 60; round++) returning(shares, { small: 8, main: 24 }, round * 1_000)
  equal(Math.round(100 * shares.share), 10)
})

test("a little more is no reason, nor is what comes back late or for the first time", () => {
  const shares = new SmallShare()
  for (let round = 0; round < 30; round++) returning(shares, { small: 19, main: 13 }, round * 1_000)
  equal(shares.share, 0.1)
  for (let n = 0; n < 10_000; n++) shares.lost("small", mix32(n), entries, roomy)
  for (let n = 0; n < 9_000; n++) shares.began(mix32(n), entries)
  for (let n = 20_000; n < 30_000; n++) shares.began(mix32(n), entries)
  equal(shares.share, 0.1)
  ok(shares.bytes < 2_000)
})
