/** Everything that is sent arrives as it was; nothing that arrives can do more than be refused. */
import { deepEqual, equal, match, ok, throws } from "node:assert/strict"
import { test } from "node:test"
import { Encoder, Tag } from "cbor-x"
import fc from "fast-check"
import { AssertionFailure } from "../base/assert.ts"
import {
  decodeForClient,
  decodeForNode,
  decodeLinkFrame,
  decodeSnapshotBlock,
  encodeClientFrame,
  encodeLinkFrame,
  encodeSnapshotBlock,
  type FrameHeader,
  frameOverheadBytes,
  packForClient,
  packForNode,
  packLinkMessage,
} from "./codec.ts"
import { maxFrameBytes, maxKeyBytes, maxValueBytes } from "./limits.ts"
import type { Request } from "./message.ts"
import { listOf, linkMessage, clientToNode, nodeToClient, snapshotBlock, header, plain } from "./testing/any-message.ts"

// ------------------------------------------------------------------------------------------------------ round trips

test("what one node sends is what the other receives, whatever the kind", () => {
  fc.assert(
    fc.property(header, listOf(linkMessage), (head, messages) => {
      const packed = messages.map(message => packLinkMessage(message))
      const frame = encodeLinkFrame(head, packed)
      const atMost = packed.reduce((sum, { bytes }) => sum + bytes, frameOverheadBytes)
      ok(frame.length <= atMost, `${frame.length} bytes where at most ${atMost} were announced`)
      deepEqual(decodeLinkFrame(frame), {
        kind: "frame",
        header: plain(head),
        messages: plain(messages),
        unsupported: [],
      })
    }),
    { numRuns: 1_000 },
  )
})

test("what is written down is what is read back, whatever the block", () => {
  fc.assert(
    fc.property(snapshotBlock, block => {
      deepEqual(decodeSnapshotBlock(encodeSnapshotBlock(block)), { kind: "block", block: plain(block) })
    }),
    { numRuns: 1_000 },
  )
})

test("what a client sends is what the node receives", () => {
  fc.assert(
    fc.property(listOf(clientToNode), messages => {
      const frame = encodeClientFrame(messages.map(message => packForNode(message)))
      deepEqual(decodeForNode(frame), { kind: "messages", messages: plain(messages), unsupported: [] })
    }),
    { numRuns: 500 },
  )
})

test("what a node answers is what the client receives", () => {
  fc.assert(
    fc.property(listOf(nodeToClient), messages => {
      const frame = encodeClientFrame(messages.map(message => packForClient(message)))
      deepEqual(decodeForClient(frame), { kind: "messages", messages: plain(messages), unsupported: [] })
    }),
    { numRuns: 500 },
  )
})

// ---------------------------------------------------------------------------------------------------------- numbers

const from = "00000000000000aa"
const head: FrameHeader = { proto: 1, clusterId: "", generation: 0, from, to: null }

for (const epoch of [0, 23, 24, 2 ** 32 - 1, 2 ** 32, 2 ** 40 + 1, 2 ** 48 - 1]) {
  test(`${epoch} comes back as the same number`, () => {
    const decoded = decodeLinkFrame(encodeLinkFrame(head, [packLinkMessage({ kind: "yield", epoch })]))
    deepEqual(decoded.kind === "frame" && decoded.messages, [{ kind: "yield", epoch }])
  })
}

test("a 64-bit integer of another encoder is a number, not a BigInt", () => {
  const frame = foreign([[1, "", 0, from, null], [[35, 2n ** 40n]]])
  deepEqual(decodeLinkFrame(frame), {
    kind: "frame",
    header: head,
    messages: [{ kind: "yield", epoch: 2 ** 40 }],
    unsupported: [],
  })
})

for (const epoch of [-1, 0.5, 2 ** 48, Number.NaN, Number.POSITIVE_INFINITY]) {
  test(`we never send ${epoch} as an epoch`, () => {
    throws(() => packLinkMessage({ kind: "yield", epoch }), AssertionFailure)
  })
}

// ---------------------------------------------------------------------------------------------- what others may send

const encoder = new Encoder({ useRecords: false, tagUint8Array: false })
const records = new Encoder({ useRecords: true })

function foreign(value: unknown): Uint8Array {
  return encoder.encode(value)
}

function ofLength(frame: Uint8Array): Uint8Array {
  return Uint8Array.from(frame)
}

const wireHead = [1, "", 0, from, null]

const refused: { what: string; frame: Uint8Array; reason: RegExp }[] = [
  { what: "nothing", frame: new Uint8Array(0), reason: /ends too early/ },
  { what: "text", frame: new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"), reason: /./ },
  { what: "a number", frame: foreign(7), reason: /must be a list/ },
  { what: "bytes after the end", frame: Uint8Array.from([0x80, 0x80]), reason: /after its end/ },
  { what: "a map", frame: foreign({ kind: "beat" }), reason: /map/ },
  { what: "a date", frame: foreign([new Date(0)]), reason: /tag/ },
  { what: "a set", frame: foreign([new Set([1])]), reason: /tag/ },
  { what: "any tag", frame: foreign([new Tag([1], 6)]), reason: /tag/ },
  { what: "a record definition", frame: ofLength(records.encode([{ a: 1 }, { a: 2 }])), reason: /tag/ },
  { what: "undefined", frame: foreign([undefined]), reason: /simple value/ },
  { what: "an integer beyond 2^53", frame: foreign([2n ** 53n]), reason: /beyond 2\^53/ },
  { what: "a list of four billion", frame: Uint8Array.from([0x9a, 0xff, 0xff, 0xff, 0xff]), reason: /too early/ },
  { what: "a text of four billion", frame: Uint8Array.from([0x7a, 0xff, 0xff, 0xff, 0xff]), reason: /too early/ },
  { what: "a list without end", frame: Uint8Array.from([0x9f, 0xff]), reason: /indefinite/ },
  { what: "lists nested without measure", frame: new Uint8Array(100_000).fill(0x81), reason: /deeper/ },
  { what: "millions of items", frame: foreign(new Array(3_000_000).fill(0)), reason: /more than \d+ items/ },
  { what: "no header", frame: foreign([[], []]), reason: /^proto must be an integer/ },
  { what: "no messages", frame: foreign([wireHead]), reason: /^messages must be a list/ },
  { what: "a message that is a number", frame: foreign([wireHead, [7]]), reason: /must be a structure/ },
  { what: "a message that is empty", frame: foreign([wireHead, [[]]]), reason: /unknown kind/ },
  { what: "a missing field", frame: foreign([wireHead, [[32, 1, 2]]]), reason: /^beat\.viewHash must be an integer/ },
  { what: "a fraction", frame: foreign([wireHead, [[35, 1.5]]]), reason: /^yield\.epoch must be an integer/ },
  { what: "not a number", frame: foreign([wireHead, [[35, Number.NaN]]]), reason: /^yield\.epoch must be/ },
  {
    what: "an id in capitals",
    frame: foreign([wireHead, [[36, "00000000000000AA", 1, 1]]]),
    reason: /^suspect\.subject/,
  },
  {
    what: "a field deep inside",
    frame: foreign([
      wireHead,
      [
        [
          44,
          [
            [
              [4, from, 1],
              [4, from, -1],
            ],
            [],
          ],
        ],
      ],
    ]),
    reason: /^propose\.commands\.others\.1\.remove\.since must be an integer from 0/,
  },
  {
    what: "an unknown command",
    frame: foreign([wireHead, [[44, [[[99]], []]]]]),
    reason: /^propose\.commands\.others\.0 has an unknown kind/,
  },
  {
    what: "a key that is too long",
    frame: foreign([wireHead, [[64, 0, 1, 0, [[1, new Uint8Array(maxKeyBytes + 1), [2], null, null]], 0, 1]]]),
    reason: /^repl\.ops\.0\.key must be at most 4096 bytes/,
  },
  {
    what: "control characters in a name",
    frame: foreign([wireHead, [[2, "malformed", "\u001b[2J"]]]),
    reason: /^goodbye\.detail must be text/,
  },
]

for (const { what, frame, reason } of refused) {
  test(`a frame with ${what} is refused, with the place and the rule`, () => {
    const decoded = decodeLinkFrame(frame)
    equal(decoded.kind, "malformed")
    if (decoded.kind === "malformed") match(decoded.reason, reason)
  })
}

test("a frame beyond the limit is refused before it is looked at", () => {
  equal(decodeLinkFrame(new Uint8Array(maxFrameBytes + 1)).kind, "malformed")
})

test("a kind that this build does not know is skipped and reported, what is around it is heard", () => {
  const decoded = decodeLinkFrame(
    foreign([
      wireHead,
      [
        [35, 1],
        [9_999, "whatever"],
        [34, 2],
      ],
    ]),
  )
  deepEqual(decoded, {
    kind: "frame",
    header: head,
    messages: [
      { kind: "yield", epoch: 1 },
      { kind: "released", epoch: 2 },
    ],
    unsupported: [9_999],
  })
})

test("fields that a later version appends are ignored", () => {
  const decoded = decodeLinkFrame(foreign([[...wireHead, "later"], [[35, 1, "later"]], "later"]))
  deepEqual(decoded, { kind: "frame", header: head, messages: [{ kind: "yield", epoch: 1 }], unsupported: [] })
})

test("a greeting of a build that says nothing of its process is one of a process that nobody can watch", () => {
  const decoded = decodeLinkFrame(foreign([wireHead, [[1, 1, 1, from, "a:1", "control", "", 0, null]]]))
  const [hello] = decoded.kind === "frame" ? decoded.messages : []
  equal(hello?.kind === "hello" && hello.process, null)
})

test("the largest values there may be fit one frame, also both values of a comparison", () => {
  const request: Request = {
    clientId: from,
    n: 1,
    ackedBelow: 1,
    firstEpoch: 1,
    key: new Uint8Array(maxKeyBytes),
    operation: {
      op: "set",
      value: new Uint8Array(maxValueBytes),
      flags: 0,
      ttlMs: null,
      condition: { if: "value", value: new Uint8Array(maxValueBytes) },
    },
    deadlineMs: 1,
  }
  const frame = encodeLinkFrame(head, [packLinkMessage({ kind: "forward", n: 1, request })])
  equal(decodeLinkFrame(frame).kind, "frame")
})

test("an oversized key of a client is for the node to refuse, not for the codec", () => {
  const request: Request = {
    clientId: from,
    n: 1,
    ackedBelow: 1,
    firstEpoch: 1,
    key: new Uint8Array(maxKeyBytes + 1),
    operation: { op: "get" },
    deadlineMs: 1,
  }
  const frame = encodeClientFrame([packForNode({ kind: "request", attempt: 1, request })])
  equal(decodeForNode(frame).kind, "messages")
})

test("decoded bytes are windows onto the frame", () => {
  const frame = foreign([wireHead, [[64, 0, 1, 0, [[1, Uint8Array.of(1, 2, 3), [2], null, null]], 0, 1]]])
  const decoded = decodeLinkFrame(frame)
  ok(decoded.kind === "frame" && decoded.messages[0]?.kind === "repl")
  equal(decoded.messages[0].ops[0]?.key.buffer, frame.buffer)
})

test("random bytes are refused or understood, never more", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), frame => {
      decodeLinkFrame(frame)
      decodeForNode(frame)
      decodeForClient(frame)
    }),
    { numRuns: 5_000 },
  )
})

test("a valid frame with a few bytes changed is refused or understood, never more", () => {
  const change = fc.tuple(fc.nat(), fc.nat(255))
  fc.assert(
    fc.property(header, listOf(linkMessage), fc.array(change, { maxLength: 8 }), (head, messages, changes) => {
      const frame = Uint8Array.from(encodeLinkFrame(head, messages.map(packLinkMessage)))
      for (const [at, byte] of changes) frame[at % frame.length] = byte
      decodeLinkFrame(frame)
    }),
    { numRuns: 3_000 },
  )
})

test("a valid frame that is cut short is refused", () => {
  fc.assert(
    fc.property(header, listOf(linkMessage), fc.nat(), (head, messages, at) => {
      const frame = encodeLinkFrame(head, messages.map(packLinkMessage))
      equal(decodeLinkFrame(frame.subarray(0, at % frame.length)).kind, "malformed")
    }),
    { numRuns: 1_000 },
  )
})
