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
  encodeClientFrame,
  encodeLinkFrame,
  type FrameHeader,
  frameOverheadBytes,
  type LinkMessage,
  packForClient,
  packForNode,
  packLinkMessage,
} from "./codec.ts"
import { maxFrameBytes, maxKeyBytes, maxValueBytes } from "./limits.ts"
import type {
  AdminCommand,
  AdminOutcome,
  Ballot,
  ClientToNode,
  Condition,
  Member,
  MemberInfo,
  NodeToClient,
  Operation,
  Refusal,
  ReplicatedOp,
  Request,
  Result,
  ViewCommand,
} from "./message.ts"

// ------------------------------------------------------------------------------------- any message of every kind

/** For each kind of a union, any message of that kind: a kind that is missing does not compile. */
type Kinds<T, Tag extends keyof T> = { [K in T[Tag] & string]: fc.Arbitrary<Extract<T, { [P in Tag]: K }>> }

function anyOf<T, Tag extends keyof T>(kinds: Kinds<T, Tag>): fc.Arbitrary<T> {
  // Each value is an arbitrary of one member of T.
  return fc.oneof(...(Object.values(kinds) as fc.Arbitrary<T>[]))
}

const id = fc
  .tuple(fc.nat(0xffff_ffff), fc.nat(0xffff_ffff))
  .map(([high, low]) => high.toString(16).padStart(8, "0") + low.toString(16).padStart(8, "0"))
const count = fc.oneof(fc.nat(), fc.integer({ min: 0, max: 2 ** 48 - 1 }))
const small = fc.nat(0xffff)
const word32 = fc.nat(0xffff_ffff)
const hash = fc.integer({ min: 0, max: 2 ** 53 - 1 })
const span = fc.double({ min: 0, max: 60_000, noNaN: true }).map(ms => (Object.is(ms, -0) ? 0 : ms))
const ttl = fc.option(span)
const bytes = fc.uint8Array({ maxLength: 300 })
const word = fc.string({ unit: "grapheme", maxLength: 40 }).filter(text => !/[\u0000-\u001f\u007f-\u009f]/.test(text))
const whole = fc.integer({ min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER })
const flag = fc.boolean()
const pairOf = <A, B>(a: fc.Arbitrary<A>, b: fc.Arbitrary<B>) => fc.tuple(a, b)
const listOf = <T>(item: fc.Arbitrary<T>) => fc.array(item, { maxLength: 5 })
const just = <const T>(kind: T) => fc.constant(kind)

const info = {
  id,
  name: word,
  addr: word,
  clientAddr: word,
  zone: word,
  witness: flag,
  protoMin: small,
  protoMax: small,
}
const memberInfo: fc.Arbitrary<MemberInfo> = fc.record(info)
const member: fc.Arbitrary<Member> = fc.record({ ...info, since: count, voter: flag, leaving: flag })
const ballot: fc.Arbitrary<Ballot> = fc.record({ round: count, proposer: id })
const fence = listOf(
  pairOf(
    id,
    fc.double({ min: -1_000, max: 1_000, noNaN: true }).map(ms => ms + 0),
  ),
)

const command = anyOf<ViewCommand, "kind">({
  ready: fc.record({ kind: just("ready"), shard: small, q: count, node: id, since: count }),
  join: fc.record({ kind: just("join"), member: memberInfo }),
  leave: fc.record({ kind: just("leave"), id }),
  remove: fc.record({ kind: just("remove"), id, since: count }),
  voter: fc.record({ kind: just("voter"), id, since: count }),
  reset: fc.record({ kind: just("reset"), shard: small, q: count }),
  "set-proto": fc.record({ kind: just("set-proto"), proto: small }),
  "set-layout": fc.record({ kind: just("set-layout"), version: small }),
})
/** Completions of one learner travel together, before all else: their order in the list means nothing. */
const commands = listOf(command).map(list => {
  const runs = Map.groupBy(list, each => (each.kind === "ready" ? `${each.node} ${each.since}` : ""))
  return [...runs]
    .filter(([run]) => run !== "")
    .concat([...runs].filter(([run]) => run === ""))
    .flatMap(([, run]) => run)
})

const condition = fc.option(
  anyOf<Condition, "if">({
    absent: fc.record({ if: just("absent") }),
    present: fc.record({ if: just("present") }),
    version: fc.record({ if: just("version"), version: count }),
    value: fc.record({ if: just("value"), value: bytes }),
  }),
)

const operation = anyOf<Operation, "op">({
  get: fc.record({ op: just("get") }),
  ttl: fc.record({ op: just("ttl") }),
  set: fc.record({ op: just("set"), value: bytes, flags: small, ttlMs: fc.oneof(ttl, just("keep")), condition }),
  delete: fc.record({ op: just("delete"), condition }),
  touch: fc.record({ op: just("touch"), ttlMs: ttl, condition }),
  incr: fc.record({ op: just("incr"), by: whole }),
})

const request: fc.Arbitrary<Request> = fc.record({
  clientId: id,
  n: count,
  ackedBelow: count,
  firstEpoch: count,
  key: bytes,
  operation,
  deadlineMs: span,
})

const results: Kinds<Result, "kind"> = {
  value: fc.record({ kind: just("value"), value: bytes, flags: small, version: count }),
  missing: fc.record({ kind: just("missing") }),
  ttl: fc.record({ kind: just("ttl"), ttlMs: ttl, version: count }),
  stored: fc.record({ kind: just("stored"), version: count }),
  deleted: fc.record({ kind: just("deleted") }),
  touched: fc.record({ kind: just("touched"), version: count }),
  counted: fc.record({ kind: just("counted"), value: whole, version: count }),
  unmet: fc.record({ kind: just("unmet"), version: count }),
  "not-a-number": fc.record({ kind: just("not-a-number") }),
}
const refusals: Kinds<Refusal, "kind"> = {
  moved: fc.record({ kind: just("moved"), shard: small, primary: id, epoch: count }),
  retry: fc.record({ kind: just("retry"), afterMs: span }),
  busy: fc.record({ kind: just("busy"), retryAfterMs: span }),
  full: fc.record({ kind: just("full") }),
  unavailable: fc.record({
    kind: just("unavailable"),
    reason: fc.constantFrom("minority", "orphan", "forked", "stopped", "joining"),
  }),
  timeout: fc.record({ kind: just("timeout") }),
  duplicate: fc.record({ kind: just("duplicate") }),
  rejected: fc.record({
    kind: just("rejected"),
    reason: fc.constantFrom("key-too-long", "value-too-large", "bad-request"),
  }),
}
const result = anyOf<Result, "kind">(results)
const reply = fc.oneof(result, anyOf<Refusal, "kind">(refusals))

const effect = anyOf<ReplicatedOp["effect"], "kind">({
  put: fc.record({ kind: just("put"), value: bytes, flags: small, ttlLeftMs: ttl }),
  delete: fc.record({ kind: just("delete") }),
  none: fc.record({ kind: just("none") }),
  "forget-client": fc.record({ kind: just("forget-client"), client: id }),
})
const ops: fc.Arbitrary<ReplicatedOp[]> = listOf(
  fc.record({
    seq: count,
    key: bytes,
    effect,
    origin: fc.option(fc.record({ client: id, n: count, ackedBelow: count })),
    result: fc.option(result),
  }),
)
const entry = fc.record({ key: bytes, value: bytes, flags: small, version: count, ttlLeftMs: ttl })
const dedup = fc.record({ client: id, low: count, idleMs: span, results: listOf(pairOf(count, result)) })

const packedView = fc.record({
  clusterId: id,
  generation: word32,
  baseEpoch: count,
  epoch: count,
  membersEpoch: count,
  copies: small,
  maxVoters: small,
  hashKey: pairOf(word32, word32),
  proto: small,
  layoutVersion: small,
  members: listOf(member),
  hash,
  ids: listOf(id),
  cells: listOf(count),
})

const onShard = { shard: small, q: count }
const linkMessage = anyOf<LinkMessage, "kind">({
  hello: fc.record({
    kind: just("hello"),
    protoMin: small,
    protoMax: small,
    id,
    addr: word,
    link: fc.constantFrom("control", "data"),
    clusterId: fc.oneof(just(""), id),
    generation: word32,
    auth: fc.option(bytes),
    process: fc.option(fc.record({ bootId: word, pidNamespace: word, pid: word32, startTicks: count })),
  }),
  goodbye: fc.record({
    kind: just("goodbye"),
    reason: fc.constantFrom("wrong-cluster", "unsupported-proto", "malformed", "too-large", "not-for-me", "stopping"),
    detail: word,
  }),
  beat: fc.record({ kind: just("beat"), n: count, epoch: count, viewHash: hash, acked: count }),
  "beat-ack": fc.record({ kind: just("beat-ack"), n: count, epoch: count }),
  released: fc.record({ kind: just("released"), epoch: count }),
  yield: fc.record({ kind: just("yield"), epoch: count }),
  suspect: fc.record({ kind: just("suspect"), subject: id, since: count, epoch: count }),
  unsuspect: fc.record({ kind: just("unsuspect"), subject: id, since: count }),
  "link-down": fc.record({ kind: just("link-down"), peer: id, since: count }),
  "join-request": fc.record({
    kind: just("join-request"),
    member: memberInfo,
    copies: fc.option(small),
    clusterId: fc.oneof(just(""), id),
    have: count,
  }),
  "try-also": fc.record({ kind: just("try-also"), addresses: listOf(word) }),
  "join-refused": fc.record({
    kind: just("join-refused"),
    reason: fc.constantFrom(
      "copies-differ",
      "address-taken",
      "no-dial-back",
      "proto",
      "full",
      "wrong-cluster",
      "flapping",
    ),
    detail: word,
  }),
  "dial-back": fc.record({ kind: just("dial-back"), nonce: word32, id }),
  "dial-back-ok": fc.record({ kind: just("dial-back-ok"), nonce: word32, id }),
  propose: fc.record({ kind: just("propose"), commands }),
  prepare: fc.record({ kind: just("prepare"), epoch: count, ballot }),
  promise: fc.record({
    kind: just("promise"),
    epoch: count,
    ballot,
    accepted: fc.option(fc.record({ ballot, commands, hash })),
  }),
  accept: fc.record({ kind: just("accept"), epoch: count, ballot, commands, hash }),
  accepted: fc.record({ kind: just("accepted"), epoch: count, ballot, ages: fence }),
  nack: fc.record({ kind: just("nack"), epoch: count, ballot, promised: ballot }),
  "view-pull": fc.record({ kind: just("view-pull"), have: count }),
  "view-delta": fc.record({
    kind: just("view-delta"),
    steps: listOf(fc.record({ epoch: count, commands, hash })),
    fence: fc.option(fence),
  }),
  "view-snapshot": fc.record({ kind: just("view-snapshot"), view: packedView }),
  waiting: fc.record({
    kind: just("waiting"),
    addr: word,
    witness: flag,
    hint: fc.option(
      fc.record({ clusterId: id, generation: word32, epoch: count, copies: small, addresses: listOf(word) }),
    ),
  }),
  repl: fc.record({ kind: just("repl"), ...onShard, tid: count, ops, commit: count, last: count }),
  "repl-ack": fc.record({ kind: just("repl-ack"), ...onShard, tid: count, seq: count, gap: flag, headroom: whole }),
  stale: fc.record({ kind: just("stale"), ...onShard, epoch: count }),
  sync: fc.record({ kind: just("sync"), ...onShard, base: count, ops }),
  "sync-ack": fc.record({ kind: just("sync-ack"), ...onShard, seq: count }),
  "transfer-begin": fc.record({
    kind: just("transfer-begin"),
    ...onShard,
    tid: count,
    since: count,
    baseSeq: count,
    commit: count,
    dedup: listOf(dedup),
  }),
  "transfer-chunk": fc.record({
    kind: just("transfer-chunk"),
    ...onShard,
    tid: count,
    index: count,
    entries: listOf(entry),
    fin: flag,
    endSeq: count,
  }),
  "transfer-ack": fc.record({ kind: just("transfer-ack"), ...onShard, tid: count, index: count }),
  forward: fc.record({ kind: just("forward"), n: count, request }),
  "forward-reply": fc.record({ kind: just("forward-reply"), n: count, reply, epoch: count }),
})

const adminCommand = anyOf<AdminCommand, "kind">({
  leave: fc.record({ kind: just("leave"), id }),
  forget: fc.record({ kind: just("forget"), id }),
  recover: fc.record({ kind: just("recover"), how: fc.constantFrom("plan", "force") }),
})

const clientToNode = anyOf<ClientToNode, "kind">({
  "client-hello": fc.record({ kind: just("client-hello"), clientId: id, protoMin: small, protoMax: small }),
  request: fc.record({ kind: just("request"), attempt: count, request }),
  "client-pull": fc.record({ kind: just("client-pull"), have: count }),
  "status-request": fc.record({ kind: just("status-request"), n: count }),
  admin: fc.record({ kind: just("admin"), n: count, command: adminCommand }),
})

const adminOutcome = anyOf<AdminOutcome, "kind">({
  accepted: fc.record({ kind: just("accepted") }),
  refused: fc.record({
    kind: just("refused"),
    reason: fc.constantFrom("not-a-member", "unknown-member", "last", "alive", "not-needed", "unsupported"),
    detail: word,
  }),
  plan: fc.record({
    kind: just("plan"),
    generation: word32,
    keeps: listOf(id),
    drops: listOf(id),
    shardsKept: count,
    shardsOrphaned: count,
  }),
})

const nodeToClient = anyOf<NodeToClient, "kind">({
  "client-view": fc.record({
    kind: just("client-view"),
    self: id,
    clusterId: id,
    proto: small,
    epoch: count,
    membersEpoch: count,
    hashKey: pairOf(word32, word32),
    members: listOf(fc.record({ id, name: word, addr: word, clientAddr: word })),
    primaries: listOf(small),
  }),
  "client-view-delta": fc.record({
    kind: just("client-view-delta"),
    from: count,
    epoch: count,
    changes: listOf(small),
  }),
  "client-not-ready": fc.record({ kind: just("client-not-ready"), addresses: listOf(word) }),
  reply: fc.record({ kind: just("reply"), n: count, attempt: count, reply, epoch: count }),
  status: fc.record({
    kind: just("status"),
    n: count,
    report: fc.record({
      id,
      name: word,
      addr: word,
      phase: fc.constantFrom("joining", "member", "leaving", "left"),
      version: word,
      clusterId: id,
      epoch: count,
      membersEpoch: count,
      copies: small,
      proto: small,
      shardCount: count,
      underReplicated: count,
      orphans: count,
      members: listOf(
        fc.record({ ...info, since: count, voter: flag, leaving: flag, primaries: count, replicas: count }),
      ),
      hasLease: flag,
      leading: count,
      serving: count,
      entries: count,
      bytes: count,
      maxBytes: count,
      transfersOpen: count,
      lost: listOf(small),
      crowded: count,
    }),
  }),
  "admin-reply": fc.record({ kind: just("admin-reply"), n: count, outcome: adminOutcome }),
})

const header: fc.Arbitrary<FrameHeader> = fc.record({
  proto: small,
  clusterId: fc.oneof(just(""), id),
  generation: word32,
  from: id,
  to: fc.option(id),
})

// ------------------------------------------------------------------------------------------------------ round trips

/** fast-check builds objects without a prototype; `deepEqual` would see a difference where there is none. */
function plain<T>(value: T): T {
  return structuredClone(value)
}

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
