/** Who is watched, when a death is reported, and when never. The processes are made up: each is what a test says it is. */
import { deepEqual } from "node:assert/strict"
import { beforeEach, test } from "node:test"
import type { ProcessMark } from "../protocol/message.ts"
import { DeathWatch } from "./process-proof.ts"
import type { ProcessSight } from "./process-table.ts"

const mark: ProcessMark = { bootId: "b", pidNamespace: "n", pid: 7, startTicks: 1 }
const elsewhere: ProcessMark = { ...mark, pidNamespace: "m" }

let nowMs = 0
let looks = 0
let sight: ProcessSight = "running"
let members: string[] = []
let linked: string[] = []
let died: string[] = []
let watch: DeathWatch

beforeEach(() => {
  nowMs = 0
  looks = 0
  sight = "running"
  members = ["p"]
  linked = []
  died = []
  watch = new DeathWatch({
    processes: {
      isNear: ({ pidNamespace }) => pidNamespace === "n",
      look: () => {
        looks += 1
        return sight
      },
    },
    isMember: peer => members.includes(peer),
    isLinked: peer => linked.includes(peer),
    died: peer => died.push(peer),
    nowMs: () => nowMs,
  })
})

function pass(ms: number): void {
  for (const endMs = nowMs + ms; nowMs < endMs; nowMs += 20) watch.tick()
}

test("a peer that is gone when its connection breaks is reported at once, and once", () => {
  watch.greeted("p", mark)
  sight = "dead"
  watch.lost("p")
  deepEqual(died, ["p"])
  watch.lost("p")
  pass(1_000)
  deepEqual(died, ["p"])
})

test("a peer is not looked at while another connection to it stands, and is when that breaks too", () => {
  watch.greeted("p", mark)
  linked = ["p"]
  watch.lost("p")
  looks = 0
  pass(1_000)
  deepEqual([looks, watch.tick()], [0, "at-rest"])
  linked = []
  watch.lost("p")
  pass(300)
  sight = "dead"
  pass(200)
  deepEqual(died, ["p"])
})

test("one that takes a while to end is reported when it has", () => {
  watch.greeted("p", mark)
  watch.lost("p")
  pass(300)
  deepEqual(died, [])
  sight = "dead"
  pass(200)
  deepEqual(died, ["p"])
})

test("while it is looked for, that is a few times a second", () => {
  watch.greeted("p", mark)
  watch.lost("p")
  looks = 0
  pass(10_000)
  deepEqual(looks > 20 && looks < 150, true, `${looks} looks in ten seconds`)
})

test("a peer of another machine or namespace is never reported, whatever is seen", () => {
  watch.greeted("p", elsewhere)
  sight = "dead"
  watch.lost("p")
  pass(1_000)
  deepEqual(died, [])
})

test("a peer that says nothing of its process is never reported", () => {
  watch.greeted("p", null)
  sight = "dead"
  watch.lost("p")
  pass(1_000)
  deepEqual(died, [])
})

for (const atGreeting of ["unseen", "dead"] as const) {
  test(`a peer that is ${atGreeting} while it greets is never reported: what it names is not what is seen here`, () => {
    sight = atGreeting
    watch.greeted("p", mark)
    sight = "dead"
    watch.lost("p")
    pass(1_000)
    deepEqual(died, [])
  })
}

test("a peer that can no longer be seen while its connection stands is not watched any more", () => {
  watch.greeted("p", mark)
  sight = "unseen"
  pass(6_000)
  sight = "dead"
  watch.lost("p")
  pass(1_000)
  deepEqual(died, [])
})

test("a process that is seen to be dead while its connection stands is reported when that breaks", () => {
  watch.greeted("p", mark)
  sight = "dead"
  pass(20_000)
  deepEqual(died, [])
  watch.lost("p")
  deepEqual(died, ["p"])
})

test("what cannot be seen after the connection broke is alive", () => {
  watch.greeted("p", mark)
  sight = "unseen"
  watch.lost("p")
  pass(200_000)
  deepEqual(died, [])
})

test("a peer that connects again is not looked for any more", () => {
  watch.greeted("p", mark)
  watch.lost("p")
  watch.greeted("p", mark)
  sight = "dead"
  pass(4_000)
  deepEqual(died, [])
})

test("a peer that is no member is forgotten after a while, a member never", () => {
  members = ["p"]
  linked = []
  for (const peer of ["p", "q"]) {
    watch.greeted(peer, mark)
    watch.lost(peer)
  }
  pass(200_000)
  sight = "dead"
  pass(200)
  deepEqual(died, ["p"])
})
