import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { blocksOf, packTrace, parseLoad, unpackTrace } from "./block-trace.ts"
import { numbered, type Workload, workloads } from "./workloads.ts"

const scale = { keys: 2_000, requests: 30_000, seed: 1 }
const all = workloads(scale)

function named(name: string): Workload {
  const workload = all.find(each => each.name === name)
  if (workload === undefined) throw new Error(`no workload ${name}`)
  return workload
}

test("the same seed gives the same requests, another seed others", () => {
  const again = workloads(scale)
  deepEqual(
    again.map(({ requests }) => requests),
    all.map(({ requests }) => requests),
  )
  const [other] = workloads({ ...scale, seed: 2 })
  ok(other?.requests.some((key, at) => key !== all[0]?.requests[at]))
})

for (const { name, requests, sizes } of all)
  test(`${name}: its keys are numbered by first appearance, and each has a size`, () => {
    let known = 0
    for (const key of requests) {
      ok(key <= known)
      if (key === known) known += 1
    }
    equal(sizes.length, known)
    ok(sizes.every(size => size > 16))
  })

test("the most popular key of Zipf 1.0 is asked for about twice as often as the next", () => {
  const [first = 0, second = 0] = counts(named("zipf 1.0")).toSorted((a, b) => b - a)
  ok(first / second > 1.7 && first / second < 2.3, `${first} and ${second}`)
})

test("three requests in ten belong to scans", () => {
  // A scan's keys come one after another; a popular key seldom comes right before the next higher one.
  const { requests, sizes } = named("zipf 1.0, scans")
  ok(sizes.length > scale.keys)
  const plain = named("zipf 1.0").requests
  const repeated = (keys: Uint32Array) => keys.filter((key, at) => key === keys[at - 1]).length / keys.length
  // Two popular requests in a row are 0.7 squared of what they were.
  ok(Math.abs(repeated(requests) / repeated(plain) - 0.49) < 0.1, `${repeated(requests)} of ${repeated(plain)}`)
})

test("trades leave popularity as it is and change who has it", () => {
  const { requests } = named("zipf 1.0, trades")
  const half = requests.length / 2
  const [early, late] = [favourite(requests.subarray(0, half)), favourite(requests.subarray(half))]
  ok(early !== late)
})

test("news: what is new is popular, and old soon is not", () => {
  const { requests } = named("zipf 1.0, news")
  const late = favourite(requests.subarray(-2_000))
  ok(!requests.subarray(0, requests.length / 2).includes(late))
})

test("a loop asks for all keys in turn", () => {
  const { requests } = named("loop")
  ok(requests.every((key, at) => key === at % scale.keys))
})

test("mixed sizes: as many small ones as large ones, on a log scale", () => {
  const sizes = named("zipf 1.0, mixed sizes").sizes.toSorted()
  const median = (sizes[sizes.length >> 1] ?? 0) - 16
  ok(median > 200 && median < 330, `${median}`)
  ok((sizes[0] ?? 0) >= 32 && (sizes.at(-1) ?? 0) <= 4_112)
})

// As in traces/README.md.
const traces = [
  { name: "disk of a MySQL server", requests: 296_417, keys: 142_563 },
  { name: "disk of an MS SQL server", requests: 267_596, keys: 154_742 },
]
for (const { name, requests, keys } of traces)
  test(`${name}: ${requests} requests of ${keys} blocks`, () => {
    const trace = named(name)
    deepEqual([trace.requests.length, trace.sizes.length], [requests, keys])
  })

const load = `Copyright 1 ; 2 ; 3
start ; sector; length ; op ;  replay_delay=0 ; replay_duration=0
      0.000000000 ;     37766853 ;   64 ; W ; 0.0 ; 0.0
      0.456676896 ;            0 ;    1 ; R ; 0.0 ; 0.0
      0.466638358 ;           16 ;    8 ; W ; 0.0 ; 0.0
`

test("a load is read as runs of blocks, and every block that a request touches is asked for", () => {
  // 37,766,853 is sector 5 of its block: 64 sectors from there touch nine blocks.
  const runs = [
    { first: 4_720_856, count: 9 },
    { first: 0, count: 1 },
    { first: 2, count: 1 },
  ]
  deepEqual(parseLoad(load), runs)
  deepEqual(unpackTrace(packTrace(runs)), runs)
  deepEqual([...blocksOf(runs.slice(1))], [0, 2])
})

test("numbers become keys by first appearance", () => {
  deepEqual(numbered([7, -3, 7, 9]), { ids: Uint32Array.of(0, 1, 0, 2), count: 3 })
})

function counts({ requests, sizes }: Pick<Workload, "requests" | "sizes">): number[] {
  const seen = new Array<number>(sizes.length).fill(0)
  for (const key of requests) seen[key] = (seen[key] ?? 0) + 1
  return seen
}

function favourite(requests: Uint32Array): number {
  const seen = counts({ requests, sizes: new Uint32Array(Math.max(...requests) + 1) })
  return seen.indexOf(Math.max(...seen))
}
