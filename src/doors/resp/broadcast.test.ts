import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { Prng } from "../../base/prng.ts"
import type { ChannelAnswer, ChannelQuestion, NodeId } from "../../protocol/message.ts"
import { Broadcast, type BroadcastLimits } from "./broadcast.ts"

const limits: BroadcastLimits = {
  ...{ deadlineMs: 1_000, forgetMs: 10_000, windowBytes: 1_000, windowCount: 4, maxWaiting: 3, maxWaitingBytes: 2_000 },
}

/** A broadcast whose members answer when the test says so. */
function stage(members: NodeId[], changed: Partial<BroadcastLimits> = {}) {
  let nowMs = 0
  const sent: { readonly to: NodeId; readonly n: number; readonly text: string }[] = []
  const ended: string[] = []
  const broadcast = new Broadcast({
    members: () => members,
    send: (to, message) => {
      ok(message.kind === "channel-ask" && message.question.about === "publish")
      sent.push({ to, n: message.n, text: Buffer.from(message.question.payload).toString() })
    },
    nowMs: () => nowMs,
    limits: { ...limits, ...changed },
  })
  return {
    broadcast,
    ended,
    sentTo: (id: NodeId) => sent.flatMap(({ to, text }) => (to === id ? [text] : [])),
    publish: (text: string) =>
      broadcast.ask(message(text), answers =>
        ended.push(`${text}: ${answers.map(answer => (answer.about === "publish" ? answer.count : "?")).join("+")}`),
      ),
    /** Answers the oldest that this member was sent and has not answered. */
    answer: (id: NodeId, count: number) => {
      const at = sent.findIndex(({ to }) => to === id)
      const [asked] = sent.splice(at, 1)
      ok(asked !== undefined && at >= 0)
      broadcast.told(id, asked.n, counted(count))
    },
    passes: (ms: number) => {
      nowMs += ms
      broadcast.tick()
    },
  }
}

function message(text: string): ChannelQuestion {
  return { about: "publish", channel: Buffer.from("c"), payload: Buffer.from(text) }
}

function counted(count: number): ChannelAnswer {
  return { about: "publish", count }
}

test("with nobody to ask it has ended at once", () => {
  const { broadcast, ended, publish } = stage([])
  publish("a")
  deepEqual(ended, ["a: "])
  equal(broadcast.isAtRest, true)
})

test("it ends when all have answered, and answers that nobody waits for change nothing", () => {
  const { broadcast, ended, publish, answer } = stage(["x", "y"])
  publish("a")
  answer("y", 2)
  deepEqual(ended, [])
  broadcast.told("y", 1, counted(7))
  broadcast.told("z", 1, counted(7))
  broadcast.told("x", 99, counted(7))
  answer("x", 3)
  deepEqual(ended, ["a: 2+3"])
  equal(broadcast.isAtRest, true)
})

test("a member that does not answer costs one deadline, and from then on nothing, until it answers again", () => {
  const { broadcast, ended, publish, answer, passes } = stage(["x", "y"])
  publish("a")
  answer("x", 1)
  passes(999)
  deepEqual(ended, [])
  passes(1)
  deepEqual(ended, ["a: 1"])
  equal(broadcast.counts.unanswered, 1)
  publish("b")
  answer("x", 1)
  deepEqual(ended, ["a: 1", "b: 1"])
  answer("y", 5)
  publish("c")
  answer("x", 1)
  equal(ended.length, 2)
  // Of the one before, which nobody waits for any more.
  answer("y", 5)
  equal(ended.length, 2)
  answer("y", 5)
  deepEqual(ended.at(-1), "c: 1+5")
})

test("a lost link, and a member that is gone, end what they were asked", () => {
  const members = ["x", "y"]
  const { broadcast, ended, publish, answer, passes } = stage(members)
  publish("a")
  answer("x", 1)
  broadcast.lost("y")
  deepEqual(ended, ["a: 1"])
  publish("b")
  members.pop()
  answer("x", 1)
  passes(100)
  deepEqual(ended, ["a: 1", "b: 1"])
  equal(broadcast.isAtRest, true)
})

test("what does not fit the window waits in its order, and beyond a bound nothing is taken", () => {
  const { broadcast, ended, publish, answer, sentTo } = stage(["x", "y"])
  for (const text of ["a", "b", "c", "d"]) publish(text)
  deepEqual(sentTo("x"), ["a", "b", "c", "d"])
  for (const text of ["e", "f", "g"]) {
    equal(broadcast.hasRoom(message(text)), true)
    publish(text)
  }
  equal(broadcast.hasRoom(message("h")), false)
  deepEqual(sentTo("x"), ["a", "b", "c", "d"])
  answer("x", 1)
  equal(sentTo("x").length, 3)
  // The slower one of the two decides.
  answer("y", 1)
  deepEqual(sentTo("x"), ["b", "c", "d", "e"])
  for (let i = 0; i < 6; i++) {
    answer("x", 1)
    answer("y", 1)
  }
  deepEqual(
    ended.map(text => text[0]),
    ["a", "b", "c", "d", "e", "f", "g"],
  )
})

test("long messages fill the window by their bytes, and one longer than all of it still goes", () => {
  const { broadcast, publish, answer, sentTo } = stage(["x"])
  publish("a".repeat(1_500))
  publish("b".repeat(1_500))
  equal(sentTo("x").length, 1)
  equal(broadcast.hasRoom(message("c".repeat(1_500))), false)
  answer("x", 1)
  equal(sentTo("x").length, 1)
  ok(sentTo("x")[0]?.startsWith("b"))
})

test("a silent member is sent what fits, and in time its place is free again; the others are not kept waiting", () => {
  const { broadcast, ended, publish, answer, passes, sentTo } = stage(["x", "y"])
  publish("first")
  answer("x", 1)
  passes(1_000)
  for (let i = 0; i < 10; i++) {
    publish(`${i}`)
    answer("x", 1)
  }
  equal(ended.length, 11)
  deepEqual(sentTo("y"), ["first", "0", "1", "2"])
  equal(broadcast.counts.skipped, 7)
  passes(10_000)
  equal(broadcast.isAtRest, true)
  publish("last")
  equal(sentTo("y").at(-1), "last")
})

test("what waits when members become silent goes on after their deadline", () => {
  const { ended, publish, answer, passes, sentTo } = stage(["x", "y"])
  for (let i = 0; i < 7; i++) publish(`${i}`)
  for (let i = 0; i < 4; i++) answer("x", 1)
  equal(sentTo("x").length, 0)
  passes(1_000)
  equal(ended.length, 4)
  deepEqual(sentTo("x"), ["4", "5", "6"])
})

test("whatever happens, every ask ends once and in time, in order, and what is under way is bounded", () => {
  for (let seed = 1; seed <= 200; seed++) runAtRandom(seed)
})

/** Members answer, fall silent, are lost, come and go as chance has it; what is promised is looked at after each step. */
function runAtRandom(seed: number): void {
  const prng = new Prng(seed)
  const everyone = ["x", "y", "z"]
  let members = everyone
  let nowMs = 0
  /** What each was sent and has not answered, as the test sees it. */
  const open = new Map<NodeId, { readonly n: number }[]>(everyone.map(id => [id, []]))
  const lastSent = new Map<NodeId, number>()
  const asks: { begunAtMs: number; sentAtMs: number | undefined; ended: number }[] = []
  const broadcast = new Broadcast({
    members: () => members,
    send: (to, message) => {
      ok(message.kind === "channel-ask" && message.question.about === "publish")
      const { channel } = message.question
      const place = Number(Buffer.from(channel).toString())
      ok(place > (lastSent.get(to) ?? -1), "in the order in which they were asked")
      lastSent.set(to, place)
      const ask = asks[place]
      ok(ask)
      ask.sentAtMs ??= nowMs
      open.get(to)?.push({ n: message.n })
    },
    nowMs: () => nowMs,
    limits,
  })
  const tick = (ms: number) => {
    nowMs += ms
    broadcast.tick()
  }
  for (let step = 0; step < 300; step++) {
    const id = prng.pick(everyone)
    const what = prng.below(100)
    if (what < 35) {
      const question: ChannelQuestion = {
        ...{ about: "publish", channel: Buffer.from(`${asks.length}`), payload: new Uint8Array(prng.below(600)) },
      }
      if (!broadcast.hasRoom(question)) continue
      const ask = { begunAtMs: nowMs, sentAtMs: undefined as number | undefined, ended: 0 }
      asks.push(ask)
      broadcast.ask(question, () => {
        ask.ended += 1
        equal(ask.ended, 1, `seed ${seed}: once`)
        // A tick comes every so often: that late it may be.
        ok(nowMs - (ask.sentAtMs ?? nowMs) <= limits.deadlineMs + 100, `seed ${seed}: ${nowMs - ask.begunAtMs} ms`)
      })
    } else if (what < 75) {
      const [first] = open.get(id)?.splice(0, 1) ?? []
      if (first !== undefined) broadcast.told(id, first.n, counted(1))
    } else if (what < 80) {
      open.set(id, [])
      broadcast.lost(id)
    } else if (what < 84) {
      members = everyone.filter(() => prng.chance(0.8))
    } else tick(prng.below(100))
    ok(broadcast.underWay.every(({ bytes, count }) => count <= limits.windowCount && bytes < limits.windowBytes + 700))
  }
  for (let i = 0; i < 200; i++) tick(100)
  equal(broadcast.isAtRest, true, `seed ${seed}: at rest`)
  for (const [place, { ended }] of asks.entries()) equal(ended, 1, `seed ${seed}: ask ${place}`)
}
