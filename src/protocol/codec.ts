/**
 * Frames: CBOR bytes to checked messages, and back. The only file that knows the encoder, and the only place where
 * bytes from outside have no type yet.
 *
 *     between nodes     [[proto, clusterId, generation, from, to], [message, ...]]
 *     client and node   [message, ...]
 *     a message         [number of its kind, field, field, ...]          (`tables.ts`)
 *
 * A frame with one wrong field is refused whole, with the reason in words; a message of a kind that this build does not
 * know is skipped and reported. **Byte strings in decoded messages are windows onto the frame**: a short value kept
 * as it is keeps the whole frame alive, so whoever keeps bytes copies them.
 */
import { Encoder } from "cbor-x"
import { assert } from "../base/assert.ts"
import { CborReader } from "./cbor-reader.ts"
import { CborWriter } from "./cbor-writer.ts"
import { mayBeHot, readForClient, readForNode, readLinkFrame } from "./hot-decode.ts"
import { type AnyMessage, hotBytes, isHotHeader, writeHeader, writeHot } from "./hot-encode.ts"
import { maxFrameBytes } from "./limits.ts"
import type { ClientToNode, NodeToClient, SnapshotBlock } from "./message.ts"
import { plainProblem } from "./plain.ts"
import { Malformed, type Union } from "./schema.ts"
import {
  clientToNode,
  type FrameHeader,
  frameHeader,
  type LinkMessage,
  linkMessage,
  nodeToClient,
  snapshotBlock,
} from "./tables.ts"

export type { FrameHeader, LinkMessage } from "./tables.ts"

/**
 * A message ready to be encoded. `bytes` is the most that it takes in a frame; `wire` what the encoder is given, checked,
 * or undefined for one that is written without it (`hot-encode.ts`) and must not change before.
 */
export type Packed<M> = { readonly bytes: number; readonly wire: unknown; readonly message: M }

export type DecodedMessages<M> =
  /** `unsupported`: numbers of kinds that this build does not know. */
  | { readonly kind: "messages"; readonly messages: readonly M[]; readonly unsupported: readonly number[] }
  | { readonly kind: "malformed"; readonly reason: string }

export type DecodedLinkFrame =
  | {
      readonly kind: "frame"
      readonly header: FrameHeader
      readonly messages: readonly LinkMessage[]
      readonly unsupported: readonly number[]
    }
  | { readonly kind: "malformed"; readonly reason: string }

/** What a frame is encoded for: whoever puts it into a WebSocket frame, or a socket, by the end that dialed it or the other. */
export type Carrier = "bare" | "dialed" | "accepted"

/** The most that the header of a frame and the frame itself take, beside the messages. */
export const frameOverheadBytes = 300

// Plain CBOR (RFC 8949): by default the encoder would write private tags for records and for byte arrays. What has a
// fraction or needs more than 32 bits travels as a 64-bit float, exact below 2^53.
const plainCbor = { useRecords: false, tagUint8Array: false, int64AsNumber: true }
const cbor = new Encoder(plainCbor)

// ----------------------------------------------------------------------------------------------------- between nodes

export function packLinkMessage(message: LinkMessage): Packed<LinkMessage> {
  return pack(linkMessage, message)
}

export function encodeLinkFrame(
  header: FrameHeader,
  messages: readonly Packed<LinkMessage>[],
  as: Carrier = "bare",
): Uint8Array {
  writer.begin(frameOverheadBytes + bytesOf(messages))
  writer.list(2)
  if (isHotHeader(header)) writeHeader(header, writer)
  else writer.raw(cbor.encode(frameHeader.pack(header, { bytes: 0 })))
  return encoded(messages, as)
}

export function decodeLinkFrame(frame: Uint8Array): DecodedLinkFrame {
  const hot = hotFrame(frame, readLinkFrame)
  if (hot !== undefined) return { ...hot, kind: "frame", unsupported: none }
  return refusing(() => {
    const items = topLevel(frame)
    const header = frameHeader.unpack(items[0])
    return { ...unpackAll(linkMessage, items[1]), kind: "frame", header }
  })
}

// --------------------------------------------------------------------------------------------------- client and node

export function packForNode(message: ClientToNode): Packed<ClientToNode> {
  return pack(clientToNode, message)
}

/** Throws when no message can carry this: for what a program hands in as it is. */
export function assertCarried(message: ClientToNode): void {
  clientToNode.pack(message, { bytes: 0 })
}

export function packForClient(message: NodeToClient): Packed<NodeToClient> {
  return pack(nodeToClient, message)
}

/** A frame of a client's messages, or of a node's to a client. */
export function encodeClientFrame(
  messages: readonly Packed<ClientToNode | NodeToClient>[],
  as: Carrier = "bare",
): Uint8Array {
  writer.begin(frameOverheadBytes + bytesOf(messages))
  return encoded(messages, as)
}

/** What a client sent to a node. */
export function decodeForNode(frame: Uint8Array): DecodedMessages<ClientToNode> {
  const messages = hotFrame(frame, readForNode)
  if (messages !== undefined) return { kind: "messages", messages, unsupported: none }
  return refusing(() => unpackAll(clientToNode, topLevel(frame)))
}

/** What a node sent to a client. */
export function decodeForClient(frame: Uint8Array): DecodedMessages<NodeToClient> {
  const messages = hotFrame(frame, readForClient)
  if (messages !== undefined) return { kind: "messages", messages, unsupported: none }
  return refusing(() => unpackAll(nodeToClient, topLevel(frame)))
}

// ------------------------------------------------------------------------------------------------ values of programs

// Beside the above: objects as maps, dates, big integers, `Map`, `Set`. No private records; byte strings untagged.
const valueCbor = new Encoder({ useRecords: false, tagUint8Array: false })

/** Any value that CBOR can say, for a client that stores more than bytes. Throws for one that it cannot: a function. */
export function encodeValue(value: unknown): Uint8Array {
  // The encoder hands out a window onto a buffer that it goes on filling; the copy keeps no more alive than it is.
  return new Uint8Array(valueCbor.encode(value))
}

/** Throws when the bytes are no value. What it returns shares no memory with them. */
export function decodeValue(bytes: Uint8Array): unknown {
  return valueCbor.decode(new Uint8Array(bytes))
}

// ---------------------------------------------------------------------------------------------------------- at rest

/** One block of what a node writes down at a planned stop. */
export function encodeSnapshotBlock(block: SnapshotBlock): Uint8Array {
  // A copy, as above.
  return new Uint8Array(cbor.encode(snapshotBlock.pack(block, { bytes: 0 })))
}

/** The block, with windows onto `bytes`; or why there is none. */
export function decodeSnapshotBlock(
  bytes: Uint8Array,
): { readonly kind: "block"; readonly block: SnapshotBlock } | { readonly kind: "malformed"; readonly reason: string } {
  return refusing(() => ({ kind: "block", block: snapshotBlock.unpack(topLevel(bytes)) }))
}

// ----------------------------------------------------------------------------------------------------------- inside

const writer = new CborWriter()
const reader = new CborReader()
const none: readonly number[] = []

function pack<M extends AnyMessage>(table: Union<M>, message: M): Packed<M> {
  const bytes = hotBytes(message)
  if (bytes !== undefined) return { bytes, wire: undefined, message }
  const tally = { bytes: 0 }
  const wire = table.pack(message, tally)
  return { bytes: tally.bytes, wire, message }
}

function bytesOf(messages: readonly Packed<AnyMessage>[]): number {
  let bytes = 0
  for (const message of messages) bytes += message.bytes
  return bytes
}

/** The list of the messages, as the end of the frame that has been begun. */
function encoded(messages: readonly Packed<AnyMessage>[], as: Carrier): Uint8Array {
  writer.list(messages.length)
  for (const { message, wire } of messages) {
    if (wire === undefined) writeHot(message, writer)
    else writer.raw(cbor.encode(wire))
  }
  const frame = writer.end()
  assert(frame.length <= maxFrameBytes, "a frame that is sent is one that is accepted")
  return as === "bare" ? frame : writer.onSocket(as)
}

/** What the frame holds, when it is one of those of which there are many; undefined: the tables are to read it. */
function hotFrame<T>(frame: Uint8Array, read: (from: CborReader) => T | undefined): T | undefined {
  if (!mayBeHot(frame)) return undefined
  reader.begin(frame)
  return read(reader)
}

function topLevel(frame: Uint8Array): readonly unknown[] {
  if (frame.length > maxFrameBytes) throw new Malformed(`is longer than ${maxFrameBytes} bytes`).inside("frame")
  const problem = plainProblem(frame)
  if (problem !== undefined) throw new Malformed(problem).inside("frame")
  // A plain view, so that byte strings come out as plain `Uint8Array`s too, not as Node.js buffers.
  const item: unknown = cbor.decode(new Uint8Array(frame.buffer, frame.byteOffset, frame.length))
  if (!Array.isArray(item)) throw new Malformed("must be a list").inside("frame")
  return item
}

function unpackAll<M>(
  table: Union<M>,
  wire: unknown,
): { kind: "messages"; messages: readonly M[]; unsupported: readonly number[] } {
  if (!Array.isArray(wire)) throw new Malformed("must be a list").inside("messages")
  const messages: M[] = []
  const unsupported: number[] = []
  for (const item of wire) {
    const number: unknown = Array.isArray(item) ? item[0] : undefined
    if (typeof number === "number" && table.nameOf(number) === undefined) unsupported.push(number)
    else messages.push(table.unpack(item))
  }
  return { kind: "messages", messages, unsupported }
}

/** The one place where what a peer did wrong stops being an exception. Our own mistakes pass through. */
function refusing<D>(decode: () => D): D | { readonly kind: "malformed"; readonly reason: string } {
  try {
    return decode()
  } catch (error) {
    if (error instanceof Malformed) return { kind: "malformed", reason: error.message }
    throw error
  }
}
