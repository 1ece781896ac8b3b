import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import { Prng } from "../../src/base/prng.ts"
import type { Address, NodeId, PeerMessage } from "../../src/protocol/message.ts"
import { type LinkedProcess, PeerLinks, type PeerGreeting } from "./links.ts"
import { Network } from "./network.ts"
import { Simulator } from "./simulator.ts"
import { Weather } from "./weather.ts"

/** Processes that note what they are told, on a network of their own. */
function machines(seed: number) {
  const simulator = new Simulator()
  const prng = new Prng(seed)
  const weather = new Weather(prng.fork())
  const network = new Network<PeerMessage, PeerGreeting>({
    simulator,
    weather,
    prng,
    settings: { frames: "single", keepsOrder: false, giveUpMs: [500, 1_000] },
    dialTimeoutMs: 1_000,
  })
  const addresses = new Map<NodeId, Address>()
  const start = (id: NodeId, address: Address) => {
    addresses.set(id, address)
    const heard: string[] = []
    const self: LinkedProcess = {
      id,
      address,
      host: weather.hostAt(address),
      canAccept: () => true,
      addressOf: peer => addresses.get(peer),
      receive: (from, message) => heard.push(`${from} ${told(message)}`),
      linkLost: peer => heard.push(`lost ${peer}`),
      peerRefused: peer => heard.push(`refused ${peer}`),
    }
    const links = new PeerLinks({ network, self })
    return { id, host: self.host, heard, links, send: (to: NodeId, n: number) => links.send(to, yieldOf(n)) }
  }
  return { simulator, weather, start }
}

function yieldOf(n: number): PeerMessage {
  return { kind: "yield", epoch: n }
}

function forwardReplyOf(n: number): PeerMessage {
  return { kind: "forward-reply", n, reply: { kind: "missing" }, epoch: 0 }
}

function told(message: PeerMessage): string {
  if (message.kind === "yield") return `${message.epoch}`
  return message.kind === "forward-reply" ? `data ${message.n}` : message.kind
}

function numbers(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i)
}

test("what one process says to another in one class arrives in order, whatever the delays", () => {
  const { simulator, weather, start } = machines(1)
  const [a, b] = [start("a", "ha:1"), start("b", "hb:1")]
  weather.change({ spikeChance: 0.3, spikeMs: 100 })
  for (const n of numbers(0, 100)) simulator.at(n, () => a.send("b", n))
  simulator.run(1_000)
  deepEqual(
    b.heard,
    numbers(0, 100).map(n => `a ${n}`),
  )
})

test("the two classes of one pair overtake each other", () => {
  const { simulator, weather, start } = machines(2)
  const [a, b] = [start("a", "ha:1"), start("b", "hb:1")]
  weather.change({ spikeChance: 0.3, spikeMs: 100 })
  for (const n of numbers(0, 50))
    simulator.at(n, () => {
      a.send("b", n)
      a.links.send("b", forwardReplyOf(n))
    })
  simulator.run(1_000)
  equal(b.heard.length, 100)
  const isDataLate = b.heard.indexOf("a data 20") > b.heard.indexOf("a 25")
  const isControlLate = b.heard.some(
    (line, i) => line.startsWith("a data") && b.heard.indexOf(`a ${line.slice(7)}`) > i,
  )
  equal(isDataLate || isControlLate, true)
})

test("a short cut holds messages back and delivers them after it, in order", () => {
  const { simulator, weather, start } = machines(3)
  const [a, b] = [start("a", "ha:1"), start("b", "hb:1")]
  a.send("b", 0)
  simulator.run(10)
  const cut = { from: [a.host], to: [b.host], manner: "stalls" } as const
  weather.cut(cut)
  for (const n of numbers(1, 20)) simulator.after(n, () => a.send("b", n))
  b.send("a", 99)
  simulator.run(200)
  deepEqual(b.heard, ["a 0"])
  deepEqual(a.heard, ["b 99"], "the other direction stays open")
  weather.heal(cut)
  for (const n of numbers(20, 40)) a.send("b", n)
  simulator.run(50)
  deepEqual(
    b.heard,
    numbers(0, 40).map(n => `a ${n}`),
  )
})

test("a connection through which nothing passes for long is given up at both ends", () => {
  const { simulator, weather, start } = machines(4)
  const [a, b] = [start("a", "ha:1"), start("b", "hb:1")]
  a.send("b", 0)
  simulator.run(10)
  const cut = { from: [a.host], to: [b.host], manner: "stalls" } as const
  weather.cut(cut)
  a.send("b", 1)
  simulator.run(1_500)
  weather.heal(cut)
  a.send("b", 2)
  simulator.run(100)
  deepEqual(b.heard, ["a 0", "lost a", "a 2"])
  deepEqual(a.heard, ["lost b"])
})

test("a broken connection loses what is under way, and is dialed again", () => {
  const { simulator, weather, start } = machines(5)
  const [a, b] = [start("a", "ha:1"), start("b", "hb:1")]
  a.send("b", 0)
  simulator.run(10)
  a.send("b", 1)
  weather.breakConnections(a.host, b.host)
  simulator.run(100)
  a.send("b", 2)
  simulator.run(10)
  deepEqual(b.heard, ["a 0", "lost a", "a 2"])
  deepEqual(a.heard, ["lost b"])
})

test("a killed process resets its connections, and its address refuses", () => {
  const { simulator, start } = machines(6)
  const [a, b] = [start("a", "ha:1"), start("b", "hb:1")]
  a.send("b", 0)
  simulator.run(10)
  b.links.end("killed")
  simulator.run(100)
  deepEqual(a.heard, ["lost b", "refused b"])
})

test("a machine without power says nothing; its silence is noticed much later", () => {
  const { simulator, weather, start } = machines(7)
  const [a, b] = [start("a", "ha:1"), start("b", "hb:1")]
  a.send("b", 0)
  simulator.run(10)
  weather.takeDown(b.host)
  b.links.end("killed")
  simulator.run(400)
  deepEqual(a.heard, [])
  simulator.run(3_000)
  deepEqual(a.heard, ["lost b"])
})

test("nothing meant for a dead process reaches the one that took its address", () => {
  const { simulator, start } = machines(8)
  const [a, b] = [start("a", "ha:1"), start("b", "hb:1")]
  a.send("b", 0)
  simulator.run(10)
  b.links.end("killed")
  const c = start("c", "hb:1")
  for (const n of numbers(1, 10)) a.send("b", n)
  simulator.run(100)
  a.send("b", 10)
  simulator.run(100)
  deepEqual(c.heard, [])
  a.send("c", 11)
  simulator.run(100)
  deepEqual(c.heard, ["a 11"])
})

test("what is sent to an address reaches whoever is there, who can answer by the connection it came over", () => {
  const { simulator, start } = machines(9)
  const [a, b] = [start("a", "ha:1"), start("b", "hb:1")]
  a.links.sendToAddress("hb:1", yieldOf(1))
  a.links.sendToAddress("hx:1", yieldOf(2))
  simulator.run(100)
  b.send("a", 3)
  simulator.run(100)
  deepEqual(b.heard, ["a 1"])
  deepEqual(a.heard, ["b 3"])
})

test("both dialing at once loses nothing", () => {
  for (const seed of numbers(0, 50)) {
    const { simulator, start } = machines(seed)
    const [a, b] = [start("a", "ha:1"), start("b", "hb:1")]
    a.send("b", 1)
    b.send("a", 1)
    simulator.run(seed / 20)
    a.send("b", 2)
    b.send("a", 2)
    simulator.run(100)
    deepEqual(
      [a.heard, b.heard],
      [
        ["b 1", "b 2"],
        ["a 1", "a 2"],
      ],
      `seed ${seed}`,
    )
  }
})
