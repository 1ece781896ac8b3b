/**
 * What is written and read by hand is, byte for byte and field for field, what the tables and cbor-x write and read; and
 * a frame that is read by hand means what the tables say it means, whatever was done to it.
 */
import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { Encoder } from "cbor-x"
import fc from "fast-check"
import { CborReader } from "./cbor-reader.ts"
import {
  decodeForClient,
  decodeForNode,
  decodeLinkFrame,
  encodeClientFrame,
  encodeLinkFrame,
  packForClient,
  packForNode,
  packLinkMessage,
} from "./codec.ts"
import { readForClient, readForNode, readLinkFrame } from "./hot-decode.ts"
import { hotBytes } from "./hot-encode.ts"
import { plainProblem } from "./plain.ts"
import type { Union } from "./schema.ts"
import { clientToNode, frameHeader, linkMessage, nodeToClient } from "./tables.ts"
import * as any from "./testing/any-message.ts"

const plainCbor = { useRecords: false, tagUint8Array: false, int64AsNumber: true }
const cbor = new Encoder(plainCbor)
const numRuns = 500

/** By the tables alone, and what a decoder makes of it; undefined: refused, or with a kind in it that they skip. */
function byTables<M>(table: Union<M>, frame: Uint8Array): readonly M[] | undefined {
  try {
    if (plainProblem(frame) !== undefined) return undefined
    return (cbor.decode(new Uint8Array(frame)) as unknown[]).map(item => table.unpack(item))
  } catch {
    return undefined
  }
}

function isHot(message: Parameters<typeof hotBytes>[0]): boolean {
  return hotBytes(message) !== undefined
}

/** Most frames are left whole. */
const cuts = fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: fc.nat() })

const requests = any.listOf(any.clientToNode.filter(isHot))
const replies = any.listOf(any.nodeToClient.filter(isHot))
const replications = any.listOf(any.linkMessage.filter(isHot))

test("a client's frame is written as cbor-x writes it, with other messages among those of which there are many", () => {
  const both = any.listOf(any.clientToNode)
  fc.assert(
    fc.property(fc.oneof(requests, both), list => {
      const expected = cbor.encode(list.map(message => clientToNode.pack(message, { bytes: 0 })))
      deepEqual(Buffer.from(encodeClientFrame(list.map(packForNode))), Buffer.from(expected))
    }),
    { numRuns },
  )
})

test("a node's frame to a client is written as cbor-x writes it", () => {
  fc.assert(
    fc.property(fc.oneof(replies, any.listOf(any.nodeToClient)), list => {
      const expected = cbor.encode(list.map(message => nodeToClient.pack(message, { bytes: 0 })))
      deepEqual(Buffer.from(encodeClientFrame(list.map(packForClient))), Buffer.from(expected))
    }),
    { numRuns },
  )
})

test("a frame between nodes is written as cbor-x writes it", () => {
  fc.assert(
    fc.property(any.header, fc.oneof(replications, any.listOf(any.linkMessage)), (header, list) => {
      const messages = list.map(message => linkMessage.pack(message, { bytes: 0 }))
      const expected = cbor.encode([frameHeader.pack(header, { bytes: 0 }), messages])
      deepEqual(Buffer.from(encodeLinkFrame(header, list.map(packLinkMessage))), Buffer.from(expected))
    }),
    { numRuns },
  )
})

test("what cbor-x wrote is read by hand, and is what was sent", () => {
  const reader = new CborReader()
  const read = <M, R>(table: Union<M>, list: readonly M[], by: (from: CborReader) => R): R => {
    reader.begin(new Uint8Array(cbor.encode(list.map(message => table.pack(message, { bytes: 0 })))))
    return by(reader)
  }
  fc.assert(
    fc.property(requests, replies, replications, any.header, (asked, answered, sent, header) => {
      deepEqual(read(clientToNode, asked, readForNode), any.plain(asked))
      deepEqual(read(nodeToClient, answered, readForClient), any.plain(answered))
      const messages = sent.map(message => linkMessage.pack(message, { bytes: 0 }))
      reader.begin(new Uint8Array(cbor.encode([frameHeader.pack(header, { bytes: 0 }), messages])))
      deepEqual(readLinkFrame(reader), { header: any.plain(header), messages: any.plain(sent) })
    }),
    { numRuns },
  )
})

test("a frame that was changed, cut or made up is read by hand only as the tables read it", () => {
  const reader = new CborReader()
  let byHand = 0
  const frames = fc.oneof(
    requests.map(list => encodeClientFrame(list.map(packForNode))),
    replies.map(list => encodeClientFrame(list.map(packForClient))),
    fc.uint8Array({ maxLength: 60 }),
  )
  const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 2 })
  fc.assert(
    fc.property(frames, changes, cuts, (original, changed, cut) => {
      const whole = Uint8Array.from(original)
      for (const [place, byte] of changed) if (whole.length > 0) whole[place % whole.length] = byte
      // In the middle of a buffer that goes on as if the frame did: what is outside of the window must not matter.
      const length = cut === null ? whole.length : cut % (whole.length + 1)
      const room = new Uint8Array(7 + 2 * whole.length)
      room.set(whole, 7)
      const frame = room.subarray(7, 7 + length)
      for (const [table, by] of [
        [clientToNode, readForNode],
        [nodeToClient, readForClient],
      ] as const) {
        reader.begin(frame)
        const messages = by(reader)
        if (messages === undefined) continue
        byHand++
        // Each table with the reader of its own direction.
        deepEqual(messages, byTables(table as Union<(typeof messages)[number]>, frame))
      }
    }),
    { numRuns: 5_000 },
  )
  ok(byHand > 200, `only ${byHand} frames were read by hand`)
})

test("frames between nodes that were changed or cut are read by hand only as the tables read them", () => {
  const reader = new CborReader()
  let byHand = 0
  const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 2 })
  fc.assert(
    fc.property(any.header, replications, changes, cuts, (header, list, changed, cut) => {
      const whole = Uint8Array.from(encodeLinkFrame(header, list.map(packLinkMessage)))
      for (const [place, byte] of changed) whole[place % whole.length] = byte
      const frame = whole.subarray(0, cut === null ? whole.length : cut % (whole.length + 1))
      reader.begin(frame)
      const read = readLinkFrame(reader)
      if (read === undefined) return
      byHand++
      equal(plainProblem(frame), undefined)
      const [head, messages] = cbor.decode(new Uint8Array(frame)) as [unknown, unknown[]]
      deepEqual(read.header, frameHeader.unpack(head))
      deepEqual(
        read.messages,
        messages.map(message => linkMessage.unpack(message)),
      )
    }),
    { numRuns: 2_000 },
  )
  ok(byHand > 200, `only ${byHand} frames were read by hand`)
})

test("frames written one after another do not overwrite one another, also where the buffer ends", () => {
  const value = new Uint8Array(50_000)
  const frames = Array.from({ length: 20 }, (_, n) =>
    encodeClientFrame([
      packForClient({
        ...{ kind: "reply", n, attempt: 1, epoch: 1 },
        reply: { kind: "value", value: value.fill(n), flags: 0, version: n },
      }),
    ]),
  )
  for (const [n, frame] of frames.entries()) {
    const decoded = decodeForClient(frame)
    ok(decoded.kind === "messages" && decoded.messages[0]?.kind === "reply")
    const { reply } = decoded.messages[0]
    ok(reply.kind === "value" && reply.value.every(byte => byte === n))
  }
})

test("frames that are not read by hand are read by the tables", () => {
  fc.assert(
    fc.property(any.listOf(any.clientToNode), any.listOf(any.nodeToClient), any.header, (asked, answered, header) => {
      const forNode = decodeForNode(encodeClientFrame(asked.map(packForNode)))
      deepEqual(forNode, { kind: "messages", messages: any.plain(asked), unsupported: [] })
      const forClient = decodeForClient(encodeClientFrame(answered.map(packForClient)))
      deepEqual(forClient, { kind: "messages", messages: any.plain(answered), unsupported: [] })
      const between = decodeLinkFrame(encodeLinkFrame(header, []))
      deepEqual(between, { kind: "frame", header: any.plain(header), messages: [], unsupported: [] })
    }),
    { numRuns },
  )
})

test("a frame for a socket is the same frame with the header of RFC 6455, 5.2 in front, masked by zeros where it was dialed", () => {
  for (const valueBytes of [0, 100, 60_000, 65_300, 65_400, 65_500, 65_600, 200_000])
    for (const as of ["dialed", "accepted"] as const) {
      const reply = { kind: "value", value: new Uint8Array(valueBytes).fill(7), flags: 0, version: 1 } as const
      const messages = [packForClient({ kind: "reply", n: 1, attempt: 1, reply, epoch: 1 })]
      const bare = Buffer.from(encodeClientFrame(messages))
      const framed = Buffer.from(encodeClientFrame(messages, as))
      equal(framed[0], 0x82) // whole, and binary
      const isMasked = as === "dialed"
      const second = framed[1] ?? 0
      equal(second >= 0x80, isMasked)
      const short = second & 0x7f
      const length = short < 126 ? short : short === 126 ? framed.readUInt16BE(2) : Number(framed.readBigUInt64BE(2))
      equal(length, bare.length)
      ok(short < 126 || length >= 126)
      ok(short !== 127 || length >= 65_536)
      const headerBytes = 2 + (short < 126 ? 0 : short === 126 ? 2 : 8)
      if (isMasked) equal(framed.readUInt32BE(headerBytes), 0)
      deepEqual(framed.subarray(headerBytes + (isMasked ? 4 : 0)), bare)
    }
})
