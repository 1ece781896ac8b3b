/**
 * What strangers do to the port of a node: bytes by chance, frames cut short, with bits turned, nested without end, with lengths that
 * nobody has memory for, on every door; senders that take their time, ends that vanish. Each attack is so many connections, and
 * says how they ended.
 */
import { setTimeout as sleep } from "node:timers/promises"
import type { Prng } from "../../src/base/prng.ts"
import { encodeClientFrame, encodeLinkFrame, packForNode, packLinkMessage } from "../../src/protocol/codec.ts"
import { protoMax, protoMin } from "../../src/protocol/limits.ts"
import type { Address, ClientToNode } from "../../src/protocol/message.ts"
import { RawStream, rawFrame } from "../contract/raw-stream.ts"

/** Connections of an attack: how many were made, and how many of them the node had ended when it was over. */
export type AttackOutcome = { readonly made: number; readonly ended: number }

export type Attack = {
  readonly name: string
  readonly run: (node: Address, prng: Prng) => Promise<AttackOutcome>
}

/** Of one connection's bytes, where the node has been told who is there. */
type Maker = (prng: Prng) => Uint8Array | string

const atOnce = 50
const connections = 400
/** A node ends what it cannot understand at once, and what says nothing, or too little, after five seconds. */
const endedAtOnceMs = 1_500
const endedWithinMs = 9_000

const hello: ClientToNode = { kind: "client-hello", clientId: "00000000000000aa", protoMin, protoMax }
const clientFrames = [
  encodeClientFrame([packForNode(hello)]),
  encodeClientFrame([packForNode({ kind: "status-request", n: 1 }), packForNode({ kind: "client-pull", have: 0 })]),
  encodeClientFrame([
    packForNode({
      kind: "request",
      attempt: 1,
      request: {
        ...{ clientId: "00000000000000aa", n: 1, ackedBelow: 1, firstEpoch: 1, deadlineMs: 1_000 },
        key: new TextEncoder().encode("fuzz"),
        operation: { op: "set", value: new Uint8Array(100), flags: 0, ttlMs: 1_000, condition: null },
      },
    }),
  ]),
].map(frame => Uint8Array.from(frame))
const peerFrames = [
  linkFrame([
    {
      ...{ kind: "hello", protoMin, protoMax, id: "00000000000000bb", addr: "127.0.0.1:1", link: "control" },
      ...{ clusterId: "", generation: 0, auth: null, process: null },
    },
  ]),
  linkFrame([{ kind: "beat", n: 1, epoch: 1, viewHash: 1, acked: 0 }]),
  linkFrame([{ kind: "view-pull", have: 0 }]),
]
const respCommands = [
  "*3\r\n$3\r\nSET\r\n$4\r\nfuzz\r\n$5\r\nvalue\r\n",
  "*2\r\n$4\r\nMGET\r\n$4\r\nfuzz\r\n*2\r\n$4\r\nINCR\r\n$5\r\nfuzz2\r\n",
  "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n*1\r\n$5\r\nMULTI\r\n*1\r\n$4\r\nEXEC\r\n",
]
const httpRequests = [
  "GET /status HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
  "POST /client HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
]

function linkFrame(messages: Parameters<typeof packLinkMessage>[0][]): Uint8Array {
  const header = { proto: protoMax, clusterId: "", generation: 0, from: "00000000000000bb", to: null }
  return Uint8Array.from(encodeLinkFrame(header, messages.map(packLinkMessage)))
}

// --------------------------------------------------------------------------------------------------------- what is sent

function randomBytes(prng: Prng, most = 2_000): Uint8Array {
  return Uint8Array.from({ length: 1 + prng.below(most) }, () => prng.below(256))
}

function cutShort(bytes: Uint8Array, prng: Prng): Uint8Array {
  return bytes.subarray(0, prng.below(bytes.length))
}

function withBitsTurned(bytes: Uint8Array, prng: Prng): Uint8Array {
  const turned = Uint8Array.from(bytes)
  for (let i = 1 + prng.below(4); i > 0; i--) {
    const at = prng.below(turned.length)
    turned[at] = (turned[at] ?? 0) ^ (1 << prng.below(8))
  }
  return turned
}

/** Lists in lists, or what says so: CBOR's and Redis' alike. */
function deeplyNested(prng: Prng): Uint8Array {
  const depth = prng.pick([100, 10_000, 1_000_000])
  return prng.chance(0.5) ? new Uint8Array(depth).fill(0x81) : new TextEncoder().encode("*1\r\n".repeat(depth / 4))
}

/** Strings and lists of CBOR that state lengths up to 2^63. */
function hugeLength(prng: Prng): Uint8Array {
  const head = prng.pick([0x5a, 0x7a, 0x9a, 0xba, 0x5b, 0x7b, 0x9b, 0xbb])
  const length = (head & 1) === 0 ? 4 : 8
  const stated = Uint8Array.from({ length }, (_, i) => (i === 0 ? 0x7f : prng.below(256)))
  return Uint8Array.from([0x82, head, ...stated, 1, 2, 3])
}

function mangled(valid: readonly Uint8Array[]): Maker {
  return prng => {
    const bytes = prng.pick(valid)
    switch (prng.below(5)) {
      case 0:
        return rawFrame(randomBytes(prng))
      case 1:
        return rawFrame(cutShort(bytes, prng))
      case 2:
        return rawFrame(withBitsTurned(bytes, prng))
      case 3:
        return rawFrame(deeplyNested(prng))
      default:
        return prng.chance(0.5) ? rawFrame(hugeLength(prng)) : rawFrame(bytes, prng.pick([2 ** 25, 2 ** 40, 2 ** 52]))
    }
  }
}

const mangledResp: Maker = prng => {
  const bytes = new TextEncoder().encode(prng.pick(respCommands))
  switch (prng.below(5)) {
    case 0:
      return `*${String.fromCharCode(...randomBytes(prng, 200))}\r\n`
    case 1:
      return cutShort(bytes, prng)
    case 2:
      return withBitsTurned(bytes, prng)
    case 3:
      return deeplyNested(prng)
    default:
      return prng.pick([
        "*2147483647\r\n",
        "*1\r\n$536870912\r\n",
        "*1\r\n$99999999999999999999\r\n",
        "*-1\r\n",
        "*3\r\n$3\r\nSET\r\n$-1\r\n",
        `*1\r\n$4\r\nPING${"x".repeat(5_000)}`,
      ])
  }
}

const mangledHttp: Maker = prng => {
  const bytes = new TextEncoder().encode(prng.pick(httpRequests))
  switch (prng.below(4)) {
    case 0:
      return cutShort(bytes, prng)
    case 1:
      return withBitsTurned(bytes, prng)
    case 2:
      return `GET /${"x".repeat(prng.pick([100, 10_000, 1_000_000]))} HTTP/1.1\r\nHost: a\r\n\r\n`
    default:
      return `GET / HTTP/1.1\r\nHost: a\r\n${"A: b\r\n".repeat(prng.pick([10, 5_000]))}Content-Length: 99999999999\r\n\r\n`
  }
}

// -------------------------------------------------------------------------------------------------- how it is sent

/** One connection after another, some at once; each sends what `make` says, shuts its side, and is watched. */
function burst(name: string, open: (node: Address) => Promise<RawStream>, make: Maker, first?: Uint8Array): Attack {
  return {
    name,
    async run(node, prng) {
      const streams: RawStream[] = []
      let refused = 0
      for (let made = 0; made < connections; made += atOnce) {
        const opened = await Promise.allSettled(Array.from({ length: atOnce }, () => open(node)))
        for (const result of opened) {
          // The node may have had enough of us.
          if (result.status === "rejected") refused += 1
          else {
            const stream = result.value
            if (first !== undefined) stream.write(first)
            stream.write(make(prng))
            // Half of them wait for what may come.
            if (prng.chance(0.5)) stream.socket.end()
            streams.push(stream)
          }
        }
      }
      return outcomeOf(streams, endedAtOnceMs, refused)
    },
  }
}

async function outcomeOf(streams: readonly RawStream[], withinMs = endedWithinMs, refused = 0): Promise<AttackOutcome> {
  const giveUpAtMs = performance.now() + withinMs
  while (performance.now() < giveUpAtMs && streams.some(({ isEnded }) => !isEnded)) await sleep(50)
  const ended = streams.filter(({ isEnded }) => isEnded).length
  for (const stream of streams) stream.destroy()
  return { made: streams.length + refused, ended: ended + refused }
}

/** Connections of all kinds that send a byte every so often and never come to an end. */
const drip: Attack = {
  name: "HTTP, frames of peers and of clients, a byte at a time",
  async run(node) {
    const kinds = [
      { open: asAnybody, text: new TextEncoder().encode("GET / HTTP/1.1\r\nX: ".padEnd(8_000, "x")) },
      { open: asPeer, text: endless },
      { open: asClient, text: endless },
    ]
    const streams: { readonly stream: RawStream; readonly text: Uint8Array }[] = []
    for (const { open, text } of kinds)
      for (let i = 0; i < 100; i++) {
        const stream = await open(node)
        stream.answerPings()
        streams.push({ stream, text })
      }
    const untilMs = performance.now() + endedWithinMs
    for (let i = 0; performance.now() < untilMs && streams.some(({ stream }) => !stream.isEnded); i++) {
      for (const { stream, text } of streams) if (!stream.isEnded) stream.write(text.subarray(i, i + 1))
      await sleep(100)
    }
    return outcomeOf(streams.map(({ stream }) => stream))
  },
}

/** Clients that have introduced themselves, are sent something, and are never heard of again. */
const vanished: Attack = {
  name: "ends that vanish without a word",
  async run(node) {
    const streams = await Promise.all(Array.from({ length: 200 }, () => RawStream.upgraded(node, "/client")))
    for (const stream of streams) {
      stream.write(greetingOfClient ?? "")
      stream.socket.pause()
    }
    // Paused ones do not see their end: what the node says of it is read at last.
    await sleep(endedWithinMs - 1_000)
    for (const stream of streams) stream.socket.resume()
    return outcomeOf(streams)
  },
}

const asPeer = (node: Address) => RawStream.upgraded(node, "/peer")
const asClient = (node: Address) => RawStream.upgraded(node, "/client")
const asAnybody = (node: Address) => RawStream.open(node)
const [greetingOfClient, greetingOfPeer] = [clientFrames[0], peerFrames[0]].map(frame =>
  rawFrame(frame ?? new Uint8Array()),
)
const endless = rawFrame(new Uint8Array(1_000), 1_000_000)

export const attacks: readonly Attack[] = [
  burst("bytes by chance", asAnybody, prng => randomBytes(prng)),
  burst("HTTP, mangled", asAnybody, mangledHttp),
  burst("frames of peers, mangled", asPeer, mangled(peerFrames)),
  burst("frames of peers that have greeted, mangled", asPeer, mangled(peerFrames), greetingOfPeer),
  burst("frames of clients, mangled", asClient, mangled(clientFrames)),
  burst("frames of clients that have greeted, mangled", asClient, mangled(clientFrames), greetingOfClient),
  burst("commands of Redis, mangled", asAnybody, mangledResp),
  drip,
  vanished,
]
