import { equal, ok } from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { Fifo } from "./fifo.ts"
import { FrequencySketch } from "./frequency-sketch.ts"
import { Lru } from "./lru.ts"
import { optimalHits } from "./optimum.ts"
import type { Policy } from "./policy.ts"
import { references } from "./compare.ts"
import { S3Fifo } from "./s3-fifo.ts"
import { Sieve } from "./sieve.ts"
import { WTinyLfu } from "./w-tiny-lfu.ts"

const letters = 26
const alike = new Uint32Array(letters).fill(1)

/** "+" for a hit and "." for a miss, letter by letter; spaces are for the reader. */
function played(policy: Policy, requests: string): string {
  const answer = (letter: string) => (policy.request(letter.charCodeAt(0) - 97) ? "+" : ".")
  return [...requests].map(letter => (letter === " " ? " " : answer(letter))).join("")
}

const cases = [
  {
    policy: new Fifo({ capacity: 2, sizes: alike }),
    requests: "ab a c ab",
    answers: ".. + . ..",
    because: "a was the oldest, though just asked for",
  },
  {
    policy: new Lru({ capacity: 2, sizes: alike }),
    requests: "ab a c ab",
    answers: ".. + . +.",
    because: "b was not asked for the longest",
  },
  {
    policy: new Sieve({ capacity: 3, sizes: alike }),
    requests: "abc a d b e ad",
    answers: "... + . . . +.",
    because: "the hand spares a, takes b, goes on to c and d, and is far from a when e comes",
  },
  {
    policy: new S3Fifo({ capacity: 10, sizes: alike }),
    requests: "aaa bcdefghij k a b lmnopqrstu ab b",
    answers: ".++ ......... . + . .......... ++ +",
    because: "a was used twice on its way, b comes back after it left: neither goes for what comes once",
  },
  {
    policy: new S3Fifo({ capacity: 10, sizes: alike }),
    requests: "aa bcdefghij k a",
    answers: ".+ ......... . .",
    because: "one use in the small queue is not enough",
  },
  {
    policy: new WTinyLfu({ capacity: 4, sizes: alike }),
    requests: "aabbcc defg abc hhhh i h a",
    answers: ".+.+.+ .... +++ .+++ . + .",
    because: "what comes once does not get past the window; h came more often than a, the next victim",
  },
  {
    policy: new Lru({ capacity: 10, sizes: Uint32Array.of(6, 5, 4, 11) }),
    requests: "ab a c b d b",
    answers: ".. . . . . +",
    because: "6 and 5 do not fit 10, 6 and 4 do, and 11 is never kept",
  },
]

for (const { policy, requests, answers, because } of cases)
  test(`${policy.constructor.name}: ${requests}, because ${because}`, () => equal(played(policy, requests), answers))

for (const [name, make] of Object.entries(references)) {
  test(`${name}: what fits is missed once, whatever the sizes`, () => {
    const sizes = Uint32Array.from({ length: letters }, (_, key) => 1 + key)
    const policy = make({ capacity: 5 * 351, sizes })
    const alphabet = "abcdefghijklmnopqrstuvwxyz"
    equal(played(policy, `${alphabet} ${alphabet}`), `${".".repeat(letters)} ${"+".repeat(letters)}`)
  })

  test(`${name}: an entry larger than the cache drives nothing out`, () => {
    const policy = make({ capacity: 300, sizes: Uint32Array.of(1, 301) })
    equal(played(policy, "a b b a"), ". . . +")
  })
}

const someRequests = fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 12 })

test("the optimum is what trying every choice finds", () => {
  fc.assert(
    fc.property(someRequests, fc.integer({ min: 1, max: 4 }), (requests, capacity) => {
      equal(sum(optimalHits(Uint32Array.from(requests), capacity)), mostHits(requests, capacity))
    }),
    { numRuns: 300 },
  )
})

test("no policy beats the optimum", () => {
  const long = fc.array(fc.integer({ min: 0, max: letters - 1 }), { minLength: 1, maxLength: 300 })
  fc.assert(
    fc.property(long, fc.integer({ min: 1, max: 20 }), (requests, capacity) => {
      const most = sum(optimalHits(Uint32Array.from(requests), capacity))
      for (const [name, make] of Object.entries(references)) {
        const policy = make({ capacity, sizes: alike })
        const hits = requests.filter(key => policy.request(key)).length
        ok(hits <= most, `${name}: ${hits} hits, ${most} are possible`)
      }
    }),
    { numRuns: 200 },
  )
})

/** Every set of keys that a cache may hold, and the most hits on the way to it. */
function mostHits(requests: readonly number[], capacity: number): number {
  let reached = new Map([[0, 0]])
  for (const key of requests) {
    const next = new Map<number, number>()
    const reach = (held: number, hits: number) => next.set(held, Math.max(hits, next.get(held) ?? 0))
    for (const [held, hits] of reached) {
      const bit = 1 << key
      if ((held & bit) !== 0) reach(held, hits + 1)
      else {
        reach(held, hits)
        if (bitCount(held) < capacity) reach(held | bit, hits)
        else
          for (let other = 0; other < 5; other++)
            if ((held & (1 << other)) !== 0) reach((held ^ (1 << other)) | bit, hits)
      }
    }
    reached = next
  }
  return Math.max(...reached.values())
}

function bitCount(bits: number): number {
  return bits.toString(2).replaceAll("0", "").length
}

function sum(values: Uint8Array): number {
  return values.reduce((total, value) => total + value, 0)
}

test("a sketch counts, up to 15, and forgets half after ten counts for each entry", () => {
  const sketch = new FrequencySketch(10)
  for (let i = 0; i < 20; i++) sketch.count(7)
  equal(sketch.frequency(7), 15)
  equal(sketch.frequency(8), 0)
  for (let i = 0; i < 80; i++) sketch.count(9)
  equal(sketch.frequency(7), 7)
})
