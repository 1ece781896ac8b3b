import { deepEqual, equal, ok, throws } from "node:assert/strict"
import { test } from "node:test"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { Channels } from "./channels.ts"
import type { ClientState } from "./command.ts"
import { type Reply, ReplyWriter, type RespVersion } from "./reply.ts"
import { Memory } from "./shared.ts"
import { Subscriber, type SubscriberLimits } from "./subscriber.ts"

const roomy: SubscriberLimits = {
  ...{ maxSubscriptions: 100, maxUnreadBytes: 1_000, longUnreadBytes: 500, longUnreadMs: 60_000, crowdedBytes: 50 },
}

function stage({ limits = roomy, maxSubscriptions = 1_000, maxPatternSubscriptions = 10, maxNameBytes = 10_000 } = {}) {
  const channels = new Channels({ maxSubscriptions, maxPatternSubscriptions, maxNameBytes })
  const memory = new Memory(10_000)
  let nowMs = 0
  const join = (version: RespVersion = 2) => {
    const client: ClientState = {
      ...{ id: 1, remote: "", local: "", connectedAtMs: 0, version, name: "", library: { name: "", version: "" } },
      ...{ database: 0, lastCommand: "", activeAtMs: 0, channels: 0, patterns: 0, queued: undefined, watching: 0 },
      ...{ heldBytes: 0, unsentBytes: 0 },
    }
    const seen = { client, due: 0, tooSlow: 0, unsentBytes: 0 }
    const subscriber = new Subscriber({
      ...{ client, channels, limits, memory, nowMs: () => nowMs },
      unsentBytes: () => seen.unsentBytes,
      due: () => (seen.due += 1),
      tooSlow: () => (seen.tooSlow += 1),
    })
    return {
      ...{ subscriber, seen },
      taken: () => {
        const deliveries = subscriber.take()
        for (const delivery of deliveries) memory.release(delivery)
        return Buffer.concat(deliveries.flatMap(({ parts }) => parts)).toString("latin1")
      },
    }
  }
  return { channels, join, memory, passes: (ms: number) => (nowMs += ms) }
}

const words = (...names: readonly string[]) => names.map(name => Buffer.from(name))
const publish = (channels: Channels, channel: string, payload: string) =>
  channels.publish(Buffer.from(channel), Buffer.from(payload))

function text(reply: Reply): string {
  const writer = new ReplyWriter()
  writer.write(reply)
  return Buffer.concat(writer.take()).toString()
}

test("each name is answered for, with how many there are by then; a second time changes nothing", () => {
  const { subscriber, seen } = stage().join()
  const one = (verb: string, name: string, count: number) =>
    `*3\r\n$${verb.length}\r\n${verb}\r\n$${name.length}\r\n${name}\r\n:${count}\r\n`
  equal(
    text(subscriber.subscribe("channel", words("a", "b", "a"))),
    one("subscribe", "a", 1) + one("subscribe", "b", 2) + one("subscribe", "a", 2),
  )
  equal(text(subscriber.subscribe("pattern", words("*"))), one("psubscribe", "*", 3))
  deepEqual([seen.client.channels, seen.client.patterns], [2, 1])
  equal(
    text(subscriber.unsubscribe("channel", words("b", "x"))),
    one("unsubscribe", "b", 2) + one("unsubscribe", "x", 2),
  )
  equal(text(subscriber.unsubscribe("channel", [])), one("unsubscribe", "a", 1))
  equal(text(subscriber.unsubscribe("channel", [])), "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:1\r\n")
  deepEqual([seen.client.channels, seen.client.patterns], [0, 1])
})

test("a message is handed out once for each subscription, by name first, in the words of each version", () => {
  const { channels, join } = stage()
  const [older, newer] = [join(2), join(3)]
  older.subscriber.subscribe("pattern", words("n?ws", "*"))
  older.subscriber.subscribe("channel", words("news"))
  newer.subscriber.subscribe("channel", words("news"))
  equal(publish(channels, "news", "x"), 4)
  equal(publish(channels, "other", "x"), 1)
  const told = (sign: string) => `${sign}3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$1\r\nx\r\n`
  const matched = (pattern: string, channel: string) =>
    `*4\r\n$8\r\npmessage\r\n$${pattern.length}\r\n${pattern}\r\n$${channel.length}\r\n${channel}\r\n$1\r\nx\r\n`
  equal(older.taken(), told("*") + matched("n?ws", "news") + matched("*", "news") + matched("*", "other"))
  equal(newer.taken(), told(">"))
  equal(older.taken(), "")
  deepEqual([older.seen.due, newer.seen.due], [1, 1])
  equal(channels.delivered, 5)
  newer.subscriber.leave()
  older.subscriber.leave()
  equal(publish(channels, "news", "x"), 0)
  deepEqual([channels.subscriptions, channels.channelCount, channels.patternCount], [0, 0, 0])
})

test("names and messages are bytes, whatever they are", () => {
  const { channels, join } = stage()
  const { subscriber, taken } = join()
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
  subscriber.subscribe("channel", [bytes])
  equal(channels.publish(bytes, bytes), 1)
  equal(taken().slice(-258, -2), bytes.toString("latin1"))
})

test("what is too long or too many is refused whole", () => {
  const { channels, join } = stage({ maxSubscriptions: 4, maxPatternSubscriptions: 2, maxNameBytes: 20 })
  const { subscriber } = join()
  throws(() => subscriber.subscribe("channel", words("a", "x".repeat(5_000))), /exceeds maximum allowed size/)
  throws(() => subscriber.subscribe("pattern", words("a", "b", "c")), /at most 2 subscriptions to patterns/)
  throws(() => subscriber.subscribe("channel", words("a", "b", "c", "d", "e")), /at most 4 subscriptions,/)
  throws(() => subscriber.subscribe("channel", words("x".repeat(21))), /at most 20 bytes of names/)
  equal(channels.subscriptions, 0)
  subscriber.subscribe("channel", words("a", "b", "c", "d"))
  // Those that are there take no further place.
  subscriber.subscribe("channel", words("a", "b", "c", "d"))
  const small = stage({ limits: { ...roomy, maxSubscriptions: 2 } }).join().subscriber
  throws(() => small.subscribe("channel", words("a", "b", "c")), /at most 2 subscriptions/)
})

test("who is behind by too much is cut off at once, and gets nothing more", () => {
  const { channels, join } = stage()
  const [slow, other] = [join(), join()]
  for (const { subscriber } of [slow, other]) subscriber.subscribe("channel", words("c"))
  slow.seen.unsentBytes = 900
  publish(channels, "c", "x".repeat(100))
  deepEqual([slow.seen.tooSlow, other.seen.tooSlow], [1, 0])
  equal(slow.taken(), "")
  equal(publish(channels, "c", "x"), 1)
})

test("who is behind by less is cut off when that lasts, and not when it has caught up in between", () => {
  const { channels, join, passes } = stage()
  const { subscriber, seen } = join()
  subscriber.subscribe("channel", words("c"))
  const at = (unsentBytes: number) => {
    seen.unsentBytes = unsentBytes
    publish(channels, "c", "x")
    subscriber.take()
  }
  at(600)
  passes(60_000)
  at(600)
  equal(seen.tooSlow, 0)
  at(100)
  passes(1)
  at(600)
  passes(60_000)
  at(600)
  equal(seen.tooSlow, 0)
  passes(1)
  at(600)
  equal(seen.tooSlow, 1)
})

test("when too much is kept, who has taken everything is sent a long message, and who has not is cut off", () => {
  const { channels, join, memory } = stage()
  const [quick, slow] = [join(), join()]
  for (const { subscriber } of [quick, slow]) subscriber.subscribe("channel", words("c"))
  memory.change(10_001)
  slow.seen.unsentBytes = 51
  publish(channels, "c", "x".repeat(500))
  deepEqual([quick.seen.tooSlow, slow.seen.tooSlow], [0, 1])
  ok(quick.taken().length > 500)
})

test("a message is memory once however many keep it, until the last has taken it or was cut off", () => {
  const { channels, join, memory } = stage()
  const all = [join(), join(), join()]
  for (const { subscriber } of all) subscriber.subscribe("channel", words("c"))
  publish(channels, "c", "x".repeat(200))
  const onceBytes = memory.bytes
  ok(onceBytes > 200 && onceBytes < 300)
  const [quick, slow, last] = all
  quick?.taken()
  equal(memory.bytes, onceBytes)
  if (slow !== undefined) slow.seen.unsentBytes = 1_000
  publish(channels, "c", "")
  equal(slow?.seen.tooSlow, 1)
  ok(memory.bytes > onceBytes)
  for (const one of [quick, last]) one?.taken()
  equal(memory.bytes, 0)
})

test("the names of channels are kept once, however many listen to them", () => {
  setFlagsFromString("--expose-gc")
  const collect = runInNewContext("gc") as () => void // that flag is what makes it one
  const { channels, join } = stage({ maxSubscriptions: 10_000, maxNameBytes: 1_000_000 })
  const names = Array.from({ length: 50 }, (_, i) => String(i).padStart(4_000, "."))
  const usedBytes = () => {
    collect()
    return process.memoryUsage().heapUsed
  }
  const atFirstBytes = usedBytes()
  const all = Array.from({ length: 100 }, () => join())
  for (const { subscriber } of all) subscriber.subscribe("channel", words(...names))
  const grownBytes = usedBytes() - atFirstBytes
  equal(channels.subscriptions, 5_000)
  // Once for each they would be 20,000,000.
  ok(grownBytes < 5_000_000, `${grownBytes} bytes`)
  equal(all.length, 100)
})
