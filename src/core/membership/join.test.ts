import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import { Prng } from "../../base/prng.ts"
import type { ControlMessage, MemberInfo } from "../../protocol/message.ts"
import { initialView } from "../layout.ts"
import { Doorkeeper, Joiner } from "./join.ts"

const member = (id: string): MemberInfo => ({
  id,
  name: id,
  addr: `${id}:1`,
  clientAddr: `${id}:1`,
  zone: "",
  witness: false,
  protoMin: 1,
  protoMax: 1,
})
const view = initialView({
  clusterId: "here",
  generation: 1,
  copies: 2,
  maxVoters: 7,
  hashKey: [1, 2],
  shardCount: 8,
  member: member("a"),
})

test("a joiner asks all addresses it knows in turn, a few at a time, its own never", () => {
  const joiner = new Joiner({ seeds: ["s1", "me", "s2"], own: ["me"] })
  deepEqual(joiner.due(0, 300), ["s1", "s2"])
  deepEqual(joiner.due(299, 300), [])
  joiner.learn(["s3", "s1", "me", "s4"])
  deepEqual(joiner.due(300, 300), ["s3", "s4", "s1"])
  deepEqual(joiner.due(600, 300), ["s2", "s3", "s4"])
})

test("a joiner whose only seed is itself knows nobody", () => {
  deepEqual(new Joiner({ seeds: ["me"], own: ["me"] }).addresses, [])
})

const requests: {
  name: string
  change: Partial<Extract<ControlMessage, { kind: "join-request" }>>
  reason: string | undefined
}[] = [
  { name: "a joiner that asks for nothing special", change: {}, reason: undefined },
  { name: "a joiner that names this cluster", change: { clusterId: "here" }, reason: undefined },
  { name: "a joiner of another cluster", change: { clusterId: "there" }, reason: "wrong-cluster" },
  { name: "a joiner that wants another number of copies", change: { copies: 3 }, reason: "copies-differ" },
  { name: "a joiner that wants the same number of copies", change: { copies: 2 }, reason: undefined },
  {
    name: "a joiner that keeps everything where others forget",
    change: { eviction: "none" },
    reason: "eviction-differs",
  },
  { name: "a joiner that forgets by another rule than others", change: { eviction: "lru" }, reason: undefined },
  {
    name: "a joiner that speaks another protocol",
    change: { member: { ...member("b"), protoMin: 2, protoMax: 3 } },
    reason: "proto",
  },
]
for (const { name, change, reason } of requests)
  test(`${name}: ${reason ?? "may go on"}`, () => {
    const request = {
      kind: "join-request",
      member: member("b"),
      copies: null,
      clusterId: "",
      have: 0,
      eviction: null,
      ...change,
    } as const
    equal(new Doorkeeper(new Prng(1)).refusal(request, view, "s3fifo")?.reason, reason)
  })

test("only the process that answers at the advertised address is admitted", () => {
  const door = new Doorkeeper(new Prng(1))
  equal(door.answered(door.dialBack(member("b"), 0), "b")?.kind, "admit")
  equal(door.answered(door.dialBack(member("b"), 0), "c")?.kind, "taken")
  equal(door.answered(12_345, "b"), undefined, "nobody was asked that")
})

test("a joiner that nobody can dial is told so after several tries, not after one", () => {
  const door = new Doorkeeper(new Prng(1))
  for (let i = 0; i < 3; i++) door.dialBack(member("b"), 0)
  deepEqual(door.expire(1_999), [])
  deepEqual(door.expire(2_000), [])
  door.dialBack(member("b"), 2_000)
  deepEqual(
    door.expire(4_000).map(({ id }) => id),
    ["b"],
  )
})

test("a joiner learns new addresses also when it knows many, forgets the oldest it learned, and no seed", () => {
  const joiner = new Joiner({ seeds: ["seed"], own: ["me"] })
  for (let i = 0; i < 1_000; i++) joiner.learn([`old${i}`])
  joiner.learn(["living"])
  equal(joiner.addresses.length, 64)
  deepEqual([joiner.addresses[0], joiner.addresses.at(-1)], ["seed", "living"])
  equal(joiner.addresses.includes("old0"), false)
})

test("a joiner that was given more seeds than it remembers still learns", () => {
  const joiner = new Joiner({ seeds: Array.from({ length: 100 }, (_, i) => `seed${i}`), own: [] })
  for (let i = 0; i < 100; i++) joiner.learn([`old${i}`])
  joiner.learn(["living"])
  equal(joiner.addresses.includes("living"), true)
  equal(joiner.addresses.length, 64)
})

test("every joiner that nobody can dial is told so, however many came before and went away", () => {
  const door = new Doorkeeper(new Prng(1))
  const told = new Set<string>()
  const came = 1_100
  for (let i = 0; i < 4 * came; i++) {
    // Each asks four times, and gives up.
    door.dialBack(member(`b${Math.floor(i / 4)}`), i * 2_000)
    for (const { id } of door.expire((i + 1) * 2_000)) told.add(id)
  }
  equal(told.size, came)
})

test("of dial-backs that are all under way at once, the newest are remembered", () => {
  const door = new Doorkeeper(new Prng(1))
  const nonces = Array.from({ length: 2_000 }, (_, i) => door.dialBack(member(`b${i}`), 0))
  equal(nonces.filter((nonce, i) => door.answered(nonce, `b${i}`) !== undefined).length, 1_024)
  equal(door.answered(door.dialBack(member("c"), 0), "c")?.kind, "admit")
})
