/** What the port of a node does with whoever does not know how to behave: a reason, an end, and no harm to anybody else. */
import { deepEqual, equal, match, ok } from "node:assert/strict"
import { type TestContext, test } from "node:test"
import type { HostBounds } from "../../src/host/bounds.ts"
import { encodeClientFrame, packForNode } from "../../src/protocol/codec.ts"
import { maxFrameBytes, protoMax, protoMin } from "../../src/protocol/limits.ts"
import type { ClientToNode, Goodbye } from "../../src/protocol/message.ts"
import { frameOf, helloOf, RawPeer, rawExchange, rawId, type Speaker } from "./raw-peer.ts"
import { RawStream, rawFrame } from "./raw-stream.ts"
import { SocketNetwork } from "./socket-network.ts"

async function oneNode(context: TestContext, bounds: Partial<HostBounds> = {}) {
  const network = new SocketNetwork(bounds)
  context.after(() => network.close())
  const node = await network.start({ address: "known" })
  return { network, node }
}

/** A node that still listens to those who behave. */
async function isUnharmed(network: SocketNetwork, node: Awaited<ReturnType<SocketNetwork["start"]>>): Promise<void> {
  const other = await network.start({ address: "known" })
  other.clusterId = node.clusterId
  other.send(node.id, { kind: "yield", epoch: 77 })
  await network.until("a well-behaved peer is heard", () => node.received.some(({ from }) => from === other.id))
}

// ------------------------------------------------------------------------------------------------------------ peers

type PeerCase = {
  what: string
  frames: readonly (Uint8Array | string)[]
  reason: Goodbye["reason"]
}

const selfCluster = "00000000000000c1"
const yieldFrame = (speaker: Speaker) => frameOf([{ kind: "yield", epoch: 1 }], { clusterId: selfCluster, ...speaker })
const goodHello = frameOf([helloOf()])

const peerCases: PeerCase[] = [
  { what: "garbage", frames: [Uint8Array.of(0xff, 1, 2, 3)], reason: "malformed" },
  { what: "an empty frame", frames: [new Uint8Array(0)], reason: "malformed" },
  { what: "a message before the greeting", frames: [yieldFrame({})], reason: "malformed" },
  { what: "a second greeting", frames: [goodHello, goodHello], reason: "malformed" },
  {
    what: "a greeting in another's name",
    frames: [frameOf([helloOf({ id: "00000000000000bb" })])],
    reason: "malformed",
  },
  {
    what: "a greeting of another cluster",
    frames: [frameOf([helloOf({ clusterId: "00000000000000c2" })], { clusterId: "00000000000000c2" })],
    reason: "wrong-cluster",
  },
  {
    what: "a version that is too new",
    frames: [frameOf([helloOf({ protoMin: protoMax + 1, protoMax: protoMax + 1 })])],
    reason: "unsupported-proto",
  },
  {
    what: "a version that is too old",
    frames: [frameOf([helloOf({ protoMin: 0, protoMax: 0 })])],
    reason: "unsupported-proto",
  },
  {
    what: "a call for somebody else",
    frames: [frameOf([helloOf()], { to: "00000000000000dd" })],
    reason: "not-for-me",
  },
  {
    what: "a later frame for somebody else",
    frames: [goodHello, yieldFrame({ to: "00000000000000dd" })],
    reason: "not-for-me",
  },
  {
    what: "a later frame in another's name",
    frames: [goodHello, yieldFrame({ from: "00000000000000dd" })],
    reason: "malformed",
  },
  {
    what: "a later frame of another cluster",
    frames: [goodHello, yieldFrame({ clusterId: "00000000000000c2" })],
    reason: "wrong-cluster",
  },
  { what: "garbage after a greeting", frames: [goodHello, Uint8Array.of(0x81)], reason: "malformed" },
]

for (const { what, frames, reason } of peerCases) {
  test(`a peer that sends ${what} is told "${reason}" and cut off`, async context => {
    const { network, node } = await oneNode(context)
    node.clusterId = selfCluster
    const peer = await RawPeer.dial(node.address, "/peer")
    for (const frame of frames) peer.send(frame)
    const { code } = await peer.closed
    equal(code, 1008)
    const goodbye = peer.messages.find(message => message.kind === "goodbye")
    equal(goodbye?.reason, reason)
    ok(goodbye?.detail !== "", "the reason comes with an explanation")
    equal(node.events.filter(event => event.kind === "link-refused").length, 1, "said once in the log")
    deepEqual(node.received, [])
    await isUnharmed(network, node)
  })
}

test("a peer that sends text is cut off", async context => {
  const { network, node } = await oneNode(context)
  const peer = await RawPeer.dial(node.address, "/peer")
  peer.send("hello?")
  equal((await peer.closed).code, 1003)
  await isUnharmed(network, node)
})

test("a peer that sends a frame beyond the limit is cut off before it is read", async context => {
  const { network, node } = await oneNode(context)
  const peer = await RawPeer.dial(node.address, "/peer")
  peer.send(new Uint8Array(maxFrameBytes + 1))
  equal((await peer.closed).code, 1009)
  await isUnharmed(network, node)
})

test("a peer that never greets is cut off after the deadline", async context => {
  const { network, node } = await oneNode(context, { greetingMs: 50 })
  const peer = await RawPeer.dial(node.address, "/peer")
  equal((await peer.closed).code, 1008)
  await isUnharmed(network, node)
})

test("messages of another generation are dropped, those of this one are heard", async context => {
  const { network, node } = await oneNode(context)
  node.clusterId = selfCluster
  const peer = await RawPeer.dial(node.address, "/peer")
  context.after(() => peer.close())
  peer.send(goodHello)
  peer.send(yieldFrame({ generation: 9 }))
  peer.send(frameOf([{ kind: "yield", epoch: 2 }], { clusterId: selfCluster }))
  await network.until("the message of this generation", () => node.received.length > 0)
  deepEqual(node.received, [{ from: rawId, message: { kind: "yield", epoch: 2 } }])
})

test("a node that does not know its cluster yet takes up with any", async context => {
  const { network, node } = await oneNode(context)
  const peer = await RawPeer.dial(node.address, "/peer")
  context.after(() => peer.close())
  peer.send(frameOf([helloOf({ clusterId: selfCluster })], { clusterId: selfCluster }))
  peer.send(yieldFrame({}))
  await network.until("the message", () => node.received.length === 1)
})

// ----------------------------------------------------------------------------------------------------------- clients

const helloAsClient: ClientToNode = { kind: "client-hello", clientId: rawId, protoMin, protoMax }
const fromClient = (...messages: ClientToNode[]) => encodeClientFrame(messages.map(packForNode))

const clientCases: { what: string; frames: readonly (Uint8Array | string)[]; code: number; reason: RegExp }[] = [
  { what: "garbage", frames: [Uint8Array.of(0xff)], code: 1008, reason: /^frame / },
  { what: "text", frames: ["GET key"], code: 1003, reason: /binary/ },
  {
    what: "a question before its name",
    frames: [fromClient({ kind: "status-request", n: 1 })],
    code: 1008,
    reason: /client-hello must come first/,
  },
  {
    what: "its name twice",
    frames: [fromClient(helloAsClient, helloAsClient)],
    code: 1008,
    reason: /client-hello comes once/,
  },
  {
    what: "a version that nobody speaks",
    frames: [fromClient({ ...helloAsClient, protoMin: 99, protoMax: 99 })],
    code: 1008,
    reason: new RegExp(`versions ${protoMin} to ${protoMax}, the client 99 to 99`),
  },
  {
    what: "a field that is wrong",
    frames: [fromClient(helloAsClient), Uint8Array.of(0x81, 0x82, 3, 0x20)],
    code: 1008,
    reason: /^client-pull\.have must be/,
  },
  { what: "a frame beyond the limit", frames: [new Uint8Array(maxFrameBytes + 1)], code: 1009, reason: /./ },
]

for (const { what, frames, code, reason } of clientCases) {
  test(`a client that sends ${what} is cut off with the reason`, async context => {
    const { network, node } = await oneNode(context)
    const client = await RawPeer.dial(node.address, "/client")
    for (const frame of frames) client.send(frame)
    const closing = await client.closed
    equal(closing.code, code)
    // For what is too long ws has a code and no words.
    if (code !== 1009) match(closing.reason, reason)
    await isUnharmed(network, node)
    const introduced = node.clientMessages.some(({ message }) => message.kind === "client-hello")
    await network.until("the node has been told", () => node.clientsGone.length === (introduced ? 1 : 0))
  })
}

test("a client that never says its name is cut off after the deadline", async context => {
  const { node } = await oneNode(context, { greetingMs: 50 })
  const client = await RawPeer.dial(node.address, "/client")
  const { code, reason } = await client.closed
  deepEqual({ code, reason }, { code: 1008, reason: "no client-hello" })
  deepEqual(node.clientsGone, [], "the core never heard of it")
})

test("a client that does not read its answers is cut off at the bound", async context => {
  const { network, node } = await oneNode(context, { unsentBytes: 1024 * 1024 })
  const client = await RawPeer.dial(node.address, "/client")
  context.after(() => client.close())
  client.send(fromClient(helloAsClient))
  await network.until("the introduction", () => node.clientMessages.length === 1)
  const connection = node.clientMessages[0]?.connection ?? 0
  client.stopReading()
  const addresses = new Array(1_000).fill("a".repeat(200))
  let sent = 0
  await network.until("the node gives up", () => {
    if (sent++ < 1_000) node.clients.send(connection, { kind: "client-not-ready", addresses })
    return node.clientsGone.includes(connection)
  })
})

test("a client that asks for more than a connection holds is answered as fast as it reads, in order", async context => {
  const { network, node } = await oneNode(context, { unsentBytes: 2 * 2 ** 20, fullBytes: 2 ** 20 })
  const client = await RawPeer.dial(node.address, "/client")
  context.after(() => client.close())
  client.send(fromClient(helloAsClient))
  await network.until("the introduction", () => node.clientMessages.length === 1)
  // Each is answered at once, by 200 KiB.
  const addresses = new Array(1_000).fill("a".repeat(200))
  node.onClientMessage = connection => node.clients.send(connection, { kind: "client-not-ready", addresses })
  client.stopReading()
  const questions = Array.from({ length: 100 }, (_, n): ClientToNode => ({ kind: "status-request", n }))
  client.send(fromClient(...questions.slice(0, 50)))
  client.send(fromClient(...questions.slice(50)))
  await network.until("some are begun", () => node.clientMessages.length > 5)
  ok(node.clientMessages.length < 60, "the others wait")
  client.goOnReading()
  await network.until("all are begun", () => node.clientMessages.length === 101)
  deepEqual(
    node.clientMessages.slice(1).map(({ message }) => (message.kind === "status-request" ? message.n : undefined)),
    questions.map((_, n) => n),
  )
  deepEqual(node.clientsGone, [])
})

test("a client that asks for more than it ever reads is cut off after the deadline", async context => {
  const { network, node } = await oneNode(context, { unsentBytes: 2 * 2 ** 20, fullBytes: 2 ** 20, unbegunMs: 100 })
  const client = await RawPeer.dial(node.address, "/client")
  context.after(() => client.close())
  const addresses = new Array(1_000).fill("a".repeat(200))
  node.onClientMessage = connection => node.clients.send(connection, { kind: "client-not-ready", addresses })
  client.stopReading()
  client.send(
    fromClient(helloAsClient, ...Array.from({ length: 100 }, (_, n): ClientToNode => ({ kind: "status-request", n }))),
  )
  await network.until("the node gives up", () => node.clientsGone.length === 1)
  ok(node.events.some(event => event.kind === "client-ended" && event.why === "overflow"))
  ok(node.clientMessages.length < 60, "what was not begun never is")
})

// ------------------------------------------------------------------------------------------------------- half frames

/** A client that has introduced itself, and may now send what no library would. */
async function rawClient(address: string): Promise<RawStream> {
  const stream = await RawStream.upgraded(address, "/client")
  stream.write(rawFrame(fromClient(helloAsClient)))
  return stream
}

test("a frame that begins and does not end is given up, though its sender shows that it lives", async context => {
  const { network, node } = await oneNode(context, { silenceMs: 100 })
  const client = await rawClient(node.address)
  client.answerPings()
  client.write(rawFrame(new Uint8Array(500), 1_000))
  await client.ended
  ok(node.events.some(event => event.kind === "client-ended" && event.why === "half-frame"))
  const peer = await RawStream.upgraded(node.address, "/peer")
  peer.write(rawFrame(frameOf([helloOf()], { to: node.id })))
  peer.write(rawFrame(new Uint8Array(500), 1_000))
  await peer.ended
  ok(node.events.some(event => event.kind === "link-ended" && event.why === "half-frame"))
  await isUnharmed(network, node)
})

test("of many half frames that together are too many the largest are given up, and the others are completed", async context => {
  const { network, node } = await oneNode(context, { heldBytes: 1_000_000 })
  const frame = fromClient({ kind: "status-request", n: 1 })
  const small = await rawClient(node.address)
  small.write(rawFrame(frame).subarray(0, 15))
  const large = await Promise.all(Array.from({ length: 5 }, () => rawClient(node.address)))
  context.after(() => [small, ...large].map(client => client.destroy()))
  for (const client of large) client.write(rawFrame(new Uint8Array(400_000), 800_000))
  await network.until("enough are given up", () => large.filter(({ isEnded }) => isEnded).length === 3)
  equal(small.isEnded, false)
  small.write(rawFrame(frame).subarray(15))
  await network.until("the small one is heard", () =>
    node.clientMessages.some(({ message }) => message.kind === "status-request"),
  )
})

test("clients beyond their bound are told to try later, and nodes still find a place", async context => {
  const { network, node } = await oneNode(context, { maxClients: 1 })
  const first = await RawPeer.dial(node.address, "/client")
  context.after(() => first.close())
  await network.until("the first", () => node.openConnections === 1)
  const second = await RawPeer.dial(node.address, "/client")
  const { code, reason } = await second.closed
  deepEqual([code, reason], [1013, "more than 1 clients"])
  await isUnharmed(network, node)
})

// -------------------------------------------------------------------------------------------------------------- HTTP

const exchanges: { what: string; bytes: string; answer: RegExp }[] = [
  { what: "no HTTP", bytes: "\u0016\u0003\u0001 what is this?\r\n\r\n", answer: /^HTTP\/1\.1 400 / },
  {
    what: "a path that is not there",
    bytes: "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    answer: /^HTTP\/1\.1 404 /,
  },
  {
    what: "another method",
    bytes: "DELETE /status HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    answer: /^HTTP\/1\.1 405 /,
  },
  {
    what: "headers without end",
    bytes: `GET / HTTP/1.1\r\nHost: a\r\nX: ${"y".repeat(20_000)}`,
    answer: /^HTTP\/1\.1 400 |^HTTP\/1\.1 431 /,
  },
  {
    what: "an upgrade at a path that is not there",
    bytes: "GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    answer: /^HTTP\/1\.1 404 /,
  },
  {
    what: "an upgrade in the name of a web page",
    bytes:
      "GET /client HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nOrigin: https://example.org\r\n" +
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    answer: /^HTTP\/1\.1 403 /,
  },
  {
    what: "an upgrade without a key",
    bytes: "GET /peer HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    answer: /^HTTP\/1\.1 400 /,
  },
]

for (const { what, bytes, answer } of exchanges) {
  test(`a connection that sends ${what} is answered and closed`, async context => {
    const { network, node } = await oneNode(context)
    match(await rawExchange(node.address, bytes), answer)
    await isUnharmed(network, node)
  })
}

test("a connection that says nothing is closed after the deadline", async context => {
  const { node } = await oneNode(context, { greetingMs: 100 })
  // Answered, if at all, with "408 Request Timeout".
  match(await rawExchange(node.address, ""), /^$|^HTTP\/1\.1 408 |^HTTP\/1\.1 400 /)
})

test("connections beyond the bound are turned away, and taken again when others have gone", async context => {
  const { network, node } = await oneNode(context, { maxConnections: 2 })
  const first = await RawPeer.dial(node.address, "/client")
  const second = await RawPeer.dial(node.address, "/client")
  context.after(() => [first, second].map(client => client.close()))
  await RawPeer.dial(node.address, "/client").then(
    () => ok(false, "the third was taken"),
    () => {},
  )
  ok(node.events.some(event => event.kind === "connection-refused"))
  first.close()
  second.close()
  await network.until("a place is free", () => node.openConnections === 0)
  const fourth = await RawPeer.dial(node.address, "/client")
  fourth.close()
})
