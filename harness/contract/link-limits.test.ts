/** What the links of real nodes do at their limits, and how they treat each other's time and memory. */
import { deepEqual, equal, ok } from "node:assert/strict"
import { test, type TestContext } from "node:test"
import { maxValueBytes } from "../../src/protocol/limits.ts"
import type { PeerMessage } from "../../src/protocol/message.ts"
import { frameOf, helloOf, RawPeer, rawId } from "./raw-peer.ts"
import { SocketNetwork } from "./socket-network.ts"
import type { HostBounds } from "../../src/host/bounds.ts"

function networkFor(context: TestContext, bounds: Partial<HostBounds> = {}): SocketNetwork {
  const network = new SocketNetwork(bounds)
  context.after(() => network.close())
  return network
}

function control(n: number): PeerMessage {
  return { kind: "yield", epoch: n }
}

function bulk(n: number, bytes: number): PeerMessage {
  const entry = { key: new Uint8Array(1), value: new Uint8Array(bytes), flags: 0, version: 1, ttlLeftMs: null }
  return { kind: "transfer-chunk", shard: 0, q: 1, tid: 1, index: n, entries: [entry], fin: false, endSeq: 0 }
}

/** A node, and a peer without manners that has greeted it as node `rawId`. */
async function nodeAndRawPeer(context: TestContext, bounds: Partial<HostBounds> = {}) {
  const network = networkFor(context, bounds)
  const node = await network.start({ address: "known" })
  const peer = await RawPeer.dial(node.address, "/peer")
  context.after(() => peer.close())
  peer.send(frameOf([helloOf()], { to: node.id }))
  await network.until("the node greets", () => peer.messages.length === 1)
  return { network, node, peer }
}

test("what one turn sends to a peer leaves in one frame", async context => {
  const { network, node, peer } = await nodeAndRawPeer(context)
  for (let n = 1; n <= 100; n++) node.send(rawId, control(n))
  await network.until("all arrive", () => peer.messages.length === 101)
  equal(peer.frames.length, 2, "the greeting, and the hundred")
})

test("a frame ends where it has reached its size, and a larger message goes alone", async context => {
  const network = networkFor(context)
  const [a, b] = [await network.start({ address: "known" }), await network.start({ address: "known" })]
  const sizes = [100_000, 100_000, 100_000, 1_000_000, 10]
  sizes.forEach((bytes, n) => a.send(b.id, bulk(n, bytes)))
  await network.until("all arrive", () => b.received.length === sizes.length)
  deepEqual(
    b.received.map(({ message }) => (message.kind === "transfer-chunk" ? message.entries[0]?.value.length : 0)),
    sizes,
  )
})

test("control is not behind bulk data", async context => {
  const network = networkFor(context)
  const [a, b] = [await network.start({ address: "known" }), await network.start({ address: "known" })]
  a.send(b.id, control(0))
  a.send(b.id, bulk(0, 1))
  await network.until("both connections stand", () => b.received.length === 2)
  for (let n = 1; n <= 3; n++) a.send(b.id, bulk(n, maxValueBytes))
  a.send(b.id, control(1))
  await network.until("all arrive", () => b.received.length === 6)
  const position = b.received.findIndex(({ message }) => message.kind === "yield" && message.epoch === 1)
  ok(position < 5, `control came at ${position} of 0 to 5`)
})

test("a peer that does not read is cut off at the bound, and counts as lost", async context => {
  const { network, node, peer } = await nodeAndRawPeer(context, { unsentBytes: 1024 * 1024 })
  peer.stopReading()
  let sent = 0
  await network.until("the node gives up", () => {
    if (sent++ < 1_000) node.send(rawId, { kind: "view-delta", steps: [], fence: new Array(2_000).fill([rawId, 1]) })
    return node.lost.includes(rawId)
  })
  ok(node.events.some(event => event.kind === "link-ended" && event.why === "overflow"))
})

test("a peer that falls silent is asked for a sign of life, then given up", async context => {
  const { network, node, peer } = await nodeAndRawPeer(context, { pingMs: 20, silenceMs: 100 })
  // It answers pings as long as it reads: five of them take as long as the silence that would end it.
  for (let pings = 1; pings <= 5; pings++) {
    node.send(rawId, control(pings))
    await network.until("a ping", () => peer.pings === pings)
  }
  deepEqual(node.lost, [])
  peer.stopReading()
  node.send(rawId, control(2))
  await network.until("the node gives up", () => node.lost.includes(rawId))
  ok(node.events.some(event => event.kind === "link-ended" && event.why === "silent"))
})

test("what waits for a connection longer than it is worth is dropped, and reported as lost", async context => {
  const network = networkFor(context, { queueMs: 50, dialMs: 10_000 })
  const a = await network.start({ address: "known" })
  const mute = await network.start({ address: "known" })
  mute.fallMute()
  a.send(mute.id, control(1))
  await network.until("the loss", () => a.lost.includes(mute.id))
})

test("too much waiting for one connection is dropped, and reported as lost", async context => {
  const network = networkFor(context, { queueBytes: 10_000 })
  const [a, b] = [await network.start({ address: "known" }), await network.start({ address: "known" })]
  a.send(b.id, bulk(1, 20_000))
  deepEqual(a.lost, [], "not from within the call: the core is in the middle of a step")
  await network.until("the loss", () => a.lost.includes(b.id))
})

test("a message that no frame can hold is refused by its sender, and harms nothing else", async context => {
  const network = networkFor(context)
  const [a, b] = [await network.start({ address: "known" }), await network.start({ address: "known" })]
  const { entries, ...rest } = bulk(1, maxValueBytes) as Extract<PeerMessage, { kind: "transfer-chunk" }>
  a.send(b.id, { ...rest, entries: [...entries, ...entries, ...entries] })
  a.send(b.id, control(2))
  await network.until("the other message", () => b.received.length === 1)
  ok(a.events.some(event => event.kind === "message-too-large"))
})

test("a connection to an address is closed when it has been idle", async context => {
  const network = networkFor(context, { idleMs: 50 })
  const [a, b] = [await network.start({ address: "known" }), await network.start({ address: "unknown" })]
  b.sendToAddress(a.address, control(1))
  await network.until("the message", () => a.received.length === 1)
  await network.until("the end of the connection", () => b.events.some(event => event.kind === "link-ended"))
  deepEqual([a.lost, b.lost], [[], []], "nobody lost anything by it")
})

test("data that waited through a long pause is not read, control is", async context => {
  const network = networkFor(context)
  const [a, b] = [await network.start({ address: "known" }), await network.start({ address: "known" })]
  a.send(b.id, control(1))
  a.send(b.id, bulk(1, 1))
  await network.until("both connections stand", () => b.received.length === 2)
  b.links.closeUnread("data")
  a.send(b.id, bulk(2, 1))
  a.send(b.id, control(2))
  await network.until("control goes on", () =>
    b.received.some(({ message }) => message.kind === "yield" && message.epoch === 2),
  )
  await network.until("the loss is told to both", () => a.lost.includes(b.id) && b.lost.includes(a.id))
  ok(!b.received.some(({ message }) => message.kind === "transfer-chunk" && message.index === 2))
})
