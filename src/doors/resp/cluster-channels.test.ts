import { deepEqual, equal, rejects } from "node:assert/strict"
import { test } from "node:test"
import type { ChannelMessage, NodeId } from "../../protocol/message.ts"
import { type Delivery, latin1Of } from "./channels.ts"
import { ClusterChannels } from "./cluster-channels.ts"

/** Doors that hear each other when the test says so. */
function doors(ids: readonly NodeId[]) {
  let nowMs = 0
  const wire: { readonly from: NodeId; readonly to: NodeId; readonly message: ChannelMessage }[] = []
  const deaf = new Set<NodeId>()
  const all = new Map(
    ids.map(id => {
      const channels = new ClusterChannels({
        members: () => ids.filter(other => other !== id),
        send: (to, message) => wire.push({ from: id, to, message }),
        nowMs: () => nowMs,
        busy: () => {},
        limits: {
          ...{ maxSubscriptions: 100, maxPatternSubscriptions: 100, maxNameBytes: 10_000_000 },
          ...{ deadlineMs: 1_000, forgetMs: 10_000, windowBytes: 1_000, windowCount: 8 },
          ...{ maxWaiting: 100, maxWaitingBytes: 10_000 },
        },
      })
      return [id, channels] as const
    }),
  )
  const door = (id: NodeId) => all.get(id) as ClusterChannels // every test names those that it made
  return {
    door,
    deaf,
    deliver: () => {
      for (let next = wire.shift(); next !== undefined; next = wire.shift())
        if (!deaf.has(next.to)) door(next.to).receive(next.from, next.message)
    },
    passes: (ms: number) => {
      nowMs += ms
      for (const channels of all.values()) channels.tick()
    },
    listen: (id: NodeId, name: string, kind: "channel" | "pattern" = "channel") => {
      const heard: string[] = []
      const deliver = ({ parts }: Delivery) => {
        heard.push(latin1Of(Buffer.concat(parts)).split("\r\n").at(-2) ?? "")
      }
      door(id).here.add(kind, name, { version: 2, deliver })
      return heard
    },
  }
}

const bytes = (text: string) => Buffer.from(text)

test("what is published at one node reaches subscribers of all, in order, and all are counted", async () => {
  const { door, deliver, listen } = doors(["a", "b", "c"])
  const heard = [listen("a", "news"), listen("b", "news"), listen("c", "n*", "pattern"), listen("c", "news")]
  const counts = Array.from({ length: 50 }, (_, i) => door("b").publish(bytes("news"), bytes(`${i}`)))
  deliver()
  deepEqual(
    await Promise.all(counts),
    counts.map(() => 4),
  )
  for (const messages of heard)
    deepEqual(
      messages,
      counts.map((_, i) => `${i}`),
    )
  deepEqual(door("b").figures(), { subscriptions: 1, published: 50, delivered: 50, unanswered: 0, skipped: 0 })
})

test("whoever does not answer in time is not counted", async () => {
  const { door, deaf, deliver, listen, passes } = doors(["a", "b", "c"])
  const heard = listen("c", "news")
  listen("b", "news")
  deaf.add("c")
  const count = door("a").publish(bytes("news"), bytes("x"))
  deliver()
  passes(1_000)
  equal(await count, 1)
  deepEqual(heard, [])
})

test("a node alone answers at once", () => {
  const { door, listen } = doors(["a"])
  listen("a", "news")
  equal(door("a").publish(bytes("news"), bytes("x")), 1)
  deepEqual(door("a").channels(undefined), ["news"])
})

test("questions are answered for the whole cluster, each name once", async () => {
  const { door, deliver, listen } = doors(["a", "b", "c"])
  for (const id of ["a", "b"]) listen(id, "news")
  listen("c", "other")
  for (const id of ["a", "c"]) listen(id, "n*", "pattern")
  listen("b", "x", "pattern")
  const asked = Promise.all([
    door("c").channels(undefined),
    door("c").channels(bytes("n*")),
    door("c").patterns(),
    door("c").subscribers([bytes("news"), bytes("other"), bytes("none")]),
  ])
  deliver()
  const [channels, matching, patterns, subscribers] = await asked
  deepEqual(channels.toSorted(), ["news", "other"])
  deepEqual(matching, ["news"])
  deepEqual(patterns.toSorted(), ["n*", "x"])
  deepEqual(subscribers, [2, 1, 0])
})

test("more names than one message holds are refused, each question in its own words", async () => {
  const { door, deliver, listen } = doors(["a", "b"])
  for (const kind of ["channel", "pattern"] as const)
    for (let i = 0; i < 50; i++) listen("b", String(i).padStart(90_000, "."), kind)
  const asked = Promise.all([
    rejects(async () => await door("a").channels(undefined), /too many names for one answer: ask for fewer/),
    rejects(async () => await door("a").patterns(), /too many patterns to count/),
  ])
  deliver()
  await asked
})
