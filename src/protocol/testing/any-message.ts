/** Any message of every kind, for property tests: a kind or a field that is missing here does not compile. */
import fc from "fast-check"
import type { FrameHeader, LinkMessage } from "../codec.ts"
import type {
  AdminCommand,
  AdminOutcome,
  Ballot,
  ChannelAnswer,
  ChannelQuestion,
  ClientToNode,
  Condition,
  DiskReport,
  GroupStep,
  GroupWrite,
  Member,
  MemberInfo,
  NodeToClient,
  Operation,
  Refusal,
  ReplicatedOp,
  Request,
  Result,
  SnapshotBlock,
  SnapshotPart,
  ViewCommand,
} from "../message.ts"

/** For each kind of a union, any message of that kind: a kind that is missing does not compile. */
type Kinds<T, Tag extends keyof T> = { [K in T[Tag] & string]: fc.Arbitrary<Extract<T, { [P in Tag]: K }>> }

function anyOf<T, Tag extends keyof T>(kinds: Kinds<T, Tag>): fc.Arbitrary<T> {
  // Each value is an arbitrary of one member of T.
  return fc.oneof(...(Object.values(kinds) as fc.Arbitrary<T>[]))
}

export const id = fc
  .tuple(fc.nat(0xffff_ffff), fc.nat(0xffff_ffff))
  .map(([high, low]) => high.toString(16).padStart(8, "0") + low.toString(16).padStart(8, "0"))
const count = fc.oneof(fc.nat(), fc.integer({ min: 0, max: 2 ** 48 - 1 }))
const small = fc.nat(0xffff)
const word32 = fc.nat(0xffff_ffff)
const hash = fc.integer({ min: 0, max: 2 ** 53 - 1 })
const span = fc.double({ min: 0, max: 60_000, noNaN: true }).map(ms => (Object.is(ms, -0) ? 0 : ms))
const ttl = fc.option(span)
export const bytes = fc.uint8Array({ maxLength: 300 })
const word = fc.string({ unit: "grapheme", maxLength: 40 }).filter(text => !/[\u0000-\u001f\u007f-\u009f]/.test(text))
const whole = fc.integer({ min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER })
const flag = fc.boolean()
const pairOf = <A, B>(a: fc.Arbitrary<A>, b: fc.Arbitrary<B>) => fc.tuple(a, b)
export const listOf = <T>(item: fc.Arbitrary<T>) => fc.array(item, { maxLength: 5 })
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

export const command = anyOf<ViewCommand, "kind">({
  ready: fc.record({ kind: just("ready"), shard: small, q: count, node: id, since: count }),
  join: fc.record({ kind: just("join"), member: memberInfo }),
  leave: fc.record({ kind: just("leave"), id }),
  remove: fc.record({ kind: just("remove"), id, since: count }),
  voter: fc.record({ kind: just("voter"), id, since: count }),
  reset: fc.record({ kind: just("reset"), shard: small, q: count }),
  "set-proto": fc.record({ kind: just("set-proto"), proto: small }),
  "set-layout": fc.record({ kind: just("set-layout"), version: small }),
  stop: fc.record({ kind: just("stop"), how: fc.constantFrom("complete", "as-it-is") }),
  resume: fc.record({ kind: just("resume") }),
})
/** Completions of one learner travel together, before all else: their order in the list means nothing. */
export const commands = listOf(command).map(list => {
  const runs = Map.groupBy(list, each => (each.kind === "ready" ? `${each.node} ${each.since}` : ""))
  return [...runs]
    .filter(([run]) => run !== "")
    .concat([...runs].filter(([run]) => run === ""))
    .flatMap(([, run]) => run)
})

const anyCondition = anyOf<Condition, "if">({
  absent: fc.record({ if: just("absent") }),
  present: fc.record({ if: just("present") }),
  version: fc.record({ if: just("version"), version: count }),
  value: fc.record({ if: just("value"), value: bytes }),
})
export const condition = fc.option(anyCondition)

const place = fc.record({ position: fc.integer({ min: 0, max: 2 ** 32 }), after: fc.option(bytes) })

export const operation = anyOf<Operation, "op">({
  get: fc.record({ op: just("get") }),
  ttl: fc.record({ op: just("ttl") }),
  set: fc.record({ op: just("set"), value: bytes, flags: small, ttlMs: fc.oneof(ttl, just("keep")), condition }),
  delete: fc.record({ op: just("delete"), condition }),
  touch: fc.record({ op: just("touch"), ttlMs: ttl, condition }),
  incr: fc.record({ op: just("incr"), by: whole, ttlMs: ttl }),
  scan: fc.record({
    op: just("scan"),
    shards: listOf(small),
    from: fc.option(place),
    prefix: bytes,
    limit: count,
    want: fc.constantFrom("keys", "details", "values"),
  }),
  size: fc.record({ op: just("size"), shards: listOf(small) }),
  clear: fc.record({ op: just("clear"), shard: small, from: fc.option(place), prefix: bytes }),
  group: fc.record({
    op: just("group"),
    steps: listOf(
      fc.record({
        key: bytes,
        operation: anyOf<GroupStep["operation"], "op">({
          check: fc.record({ op: just("check"), condition: anyCondition }),
          set: fc.record({
            op: just("set"),
            value: bytes,
            flags: small,
            ttlMs: fc.oneof(ttl, just("keep")),
            condition,
          }),
          delete: fc.record({ op: just("delete"), condition }),
          touch: fc.record({ op: just("touch"), ttlMs: ttl, condition }),
        }),
      }),
    ),
  }),
})

export const request: fc.Arbitrary<Request> = fc.record({
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
  counted: fc.record({ kind: just("counted"), value: whole, version: count, ttlMs: ttl }),
  unmet: fc.record({ kind: just("unmet"), version: count }),
  "not-a-number": fc.record({ kind: just("not-a-number") }),
  page: fc.record({
    kind: just("page"),
    entries: listOf(
      fc.record({
        key: bytes,
        details: fc.option(fc.record({ flags: small, version: count, ttlMs: ttl, valueBytes: count })),
        value: fc.option(bytes),
      }),
    ),
    next: fc.option(place),
  }),
  size: fc.record({ kind: just("size"), entries: count, bytes: count, next: fc.option(place) }),
  cleared: fc.record({ kind: just("cleared"), count, next: fc.option(place) }),
  "group-done": fc.record({ kind: just("group-done"), version: count }),
  "group-unmet": fc.record({ kind: just("group-unmet"), step: small }),
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
    reason: fc.constantFrom("key-too-long", "value-too-large", "keys-apart", "group-too-large", "bad-request"),
  }),
}
export const result = anyOf<Result, "kind">(results)
export const reply = fc.oneof(result, anyOf<Refusal, "kind">(refusals))

const effect = anyOf<ReplicatedOp["effect"], "kind">({
  put: fc.record({ kind: just("put"), value: bytes, flags: small, ttlLeftMs: ttl }),
  delete: fc.record({ kind: just("delete") }),
  none: fc.record({ kind: just("none") }),
  "forget-client": fc.record({ kind: just("forget-client"), client: id }),
  clear: fc.record({ kind: just("clear"), from: place, to: place, prefix: bytes }),
  group: fc.record({
    kind: just("group"),
    writes: listOf(
      fc.record({
        key: bytes,
        effect: anyOf<GroupWrite["effect"], "kind">({
          put: fc.record({ kind: just("put"), value: bytes, flags: small, ttlLeftMs: ttl }),
          delete: fc.record({ kind: just("delete") }),
        }),
      }),
    ),
  }),
})
export const ops: fc.Arbitrary<ReplicatedOp[]> = listOf(
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
  stopped: flag,
})

const eviction = fc.constantFrom("s3fifo", "lru", "none")
const onShard = { shard: small, q: count }

const channelQuestion = anyOf<ChannelQuestion, "about">({
  publish: fc.record({ about: just("publish"), channel: bytes, payload: bytes }),
  channels: fc.record({ about: just("channels"), pattern: fc.option(bytes) }),
  patterns: fc.record({ about: just("patterns") }),
  subscribers: fc.record({ about: just("subscribers"), channels: listOf(bytes) }),
})

const channelAnswer = anyOf<ChannelAnswer, "about">({
  publish: fc.record({ about: just("publish"), count }),
  names: fc.record({ about: just("names"), names: listOf(bytes), isAll: flag }),
  subscribers: fc.record({ about: just("subscribers"), counts: listOf(count) }),
})

export const linkMessage = anyOf<LinkMessage, "kind">({
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
    eviction: fc.option(eviction),
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
      "eviction-differs",
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
  resuming: fc.record({
    kind: just("resuming"),
    generation: word32,
    epoch: count,
    state: fc.constantFrom("loading", "waiting", "claimed"),
    goesOn: flag,
  }),
  claim: fc.record({ kind: just("claim"), epoch: count }),
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
  forget: fc.record({ kind: just("forget"), epoch: count, entries: listOf(pairOf(bytes, count)) }),
  forward: fc.record({ kind: just("forward"), n: count, request }),
  "forward-reply": fc.record({ kind: just("forward-reply"), n: count, reply, epoch: count }),
  "channel-ask": fc.record({ kind: just("channel-ask"), n: count, question: channelQuestion }),
  "channel-told": fc.record({ kind: just("channel-told"), n: count, answer: channelAnswer }),
})

const adminCommand = anyOf<AdminCommand, "kind">({
  leave: fc.record({ kind: just("leave"), id }),
  forget: fc.record({ kind: just("forget"), id }),
  recover: fc.record({ kind: just("recover"), how: fc.constantFrom("plan", "force") }),
  stop: fc.record({ kind: just("stop"), how: fc.constantFrom("complete", "as-it-is") }),
})

export const clientToNode = anyOf<ClientToNode, "kind">({
  "client-hello": fc.record({ kind: just("client-hello"), clientId: id, protoMin: small, protoMax: small }),
  request: fc.record({ kind: just("request"), attempt: count, request }),
  "client-pull": fc.record({ kind: just("client-pull"), have: count }),
  "status-request": fc.record({ kind: just("status-request"), n: count }),
  admin: fc.record({ kind: just("admin"), n: count, command: adminCommand }),
  "read-many": fc.record({ kind: just("read-many"), n: count, keys: listOf(bytes) }),
})

const adminOutcome = anyOf<AdminOutcome, "kind">({
  accepted: fc.record({ kind: just("accepted") }),
  refused: fc.record({
    kind: just("refused"),
    reason: fc.constantFrom(
      "not-a-member",
      "unknown-member",
      "last",
      "alive",
      "not-needed",
      "not-complete",
      "stopped",
      "unsupported",
    ),
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

const disk = anyOf<DiskReport, "kind">({
  none: fc.record({ kind: just("none") }),
  idle: fc.record({ kind: just("idle") }),
  writing: fc.record({ kind: just("writing"), entries: count }),
  written: fc.record({ kind: just("written"), entries: count, bytes: count }),
  failed: fc.record({ kind: just("failed"), detail: word }),
  loading: fc.record({ kind: just("loading"), entries: count }),
})

export const nodeToClient = anyOf<NodeToClient, "kind">({
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
      phase: fc.constantFrom("joining", "member", "leaving", "left", "stopped", "resuming"),
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
      forgetting: fc.option(
        fc.record({
          eviction,
          evicted: count,
          evictedCopies: count,
        }),
      ),
      disk: fc.option(disk),
      awaited: fc.option(listOf(word)),
    }),
  }),
  "admin-reply": fc.record({ kind: just("admin-reply"), n: count, outcome: adminOutcome }),
  "many-read": fc.record({
    kind: just("many-read"),
    n: count,
    results: listOf(fc.option(result)),
    epoch: count,
  }),
})

export const snapshotBlock = anyOf<SnapshotBlock, "kind">({
  head: fc.record({
    kind: just("head"),
    wallMs: span,
    head: fc.record({ self: memberInfo, listen: word, view: packedView, entries: count }),
  }),
  part: fc.record({
    kind: just("part"),
    wallMs: span,
    part: anyOf<SnapshotPart, "kind">({
      shard: fc.record({ kind: just("shard"), shard: small, commit: count }),
      records: fc.record({ kind: just("records"), records: listOf(dedup) }),
      entries: fc.record({ kind: just("entries"), entries: listOf(entry) }),
      operations: fc.record({ kind: just("operations"), ops }),
    }),
  }),
  end: fc.record({ kind: just("end"), parts: count, entries: count }),
})

export const header: fc.Arbitrary<FrameHeader> = fc.record({
  proto: small,
  clusterId: fc.oneof(just(""), id),
  generation: word32,
  from: id,
  to: fc.option(id),
})

/** fast-check builds objects without a prototype; `deepEqual` would see a difference where there is none. */
export function plain<T>(value: T): T {
  return structuredClone(value)
}
