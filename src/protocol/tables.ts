/**
 * How each message is laid out on the wire: one row a kind, its number and its fields in order. Numbers are never
 * reused and fields only ever appended, so that builds next to each other in version understand one another. The
 * compiler holds these tables against the unions of `message.ts`.
 */
import {
  maxChannelBytes,
  maxDetailChars,
  maxFrameBytes,
  maxGroupKeys,
  maxKeyBytes,
  maxKeysRead,
  maxListItems,
  maxMembers,
  maxNameChars,
  maxOperationsAhead,
  maxPageEntries,
  maxShards,
  maxTtlMs,
  maxValueBytes,
  maxViewCells,
} from "./limits.ts"
import type {
  AdminCommand,
  AdminOutcome,
  AdminRefusal,
  Ballot,
  ChannelAnswer,
  ChannelMessage,
  ChannelQuestion,
  ClientMember,
  ClientToNode,
  ColdHint,
  Condition,
  DedupRecord,
  Eviction,
  FenceTimes,
  Forgetting,
  Goodbye,
  GroupStep,
  GroupWrite,
  Hello,
  JoinRefusal,
  LinkClass,
  Member,
  MemberInfo,
  NodeToClient,
  Operation,
  PackedView,
  PageEntry,
  PeerMessage,
  Place,
  ProcessMark,
  DiskReport,
  Refusal,
  Rejection,
  ReplicatedOp,
  Reply,
  Request,
  Result,
  ResumeState,
  SnapshotBlock,
  SnapshotHead,
  SnapshotPart,
  StatusReport,
  TransferEntry,
  ViewCommand,
  ViewStep,
} from "./message.ts"
import {
  appended,
  appendedFlag,
  bytes,
  type Field,
  finite,
  flag,
  hex64,
  int,
  list,
  nonNegative,
  nullable,
  pair,
  type Shape,
  struct,
  text,
  uint,
  uint16s,
  union,
  type Variants,
  variant,
  word,
  Malformed,
  packedOnce,
} from "./schema.ts"

// ------------------------------------------------------------------------------------------------ single values

const id = hex64
const name = text(maxNameChars)
const address = text(maxNameChars)
const addresses = list(address, maxMembers)
const detail = text(maxDetailChars)
const clusterId = text(64)
const proto = uint(0xffff)
const generation = uint(0xffff_ffff)
/** Epochs, sequence numbers and whatever else only counts up. */
const counter = uint(2 ** 48 - 1)
const shard = uint(maxShards - 1)
const viewHash = uint(2 ** 53 - 1)
const flags = uint(0xffff)
const key = bytes(maxKeyBytes)
const value = bytes(maxValueBytes)
/** Null: never expires. What is left of a life may have run out on the way: not below 0, and never longer than a life. */
const ttlMs = nullable(uintOrFraction(maxTtlMs))
/** As above, or -1: "keep". */
const ttlChange: Field<number | null | "keep"> = {
  pack: (value, tally) => (value === "keep" ? int.pack(-1, tally) : ttlMs.pack(value, tally)),
  unpack: wire => (wire === -1 ? "keep" : ttlMs.unpack(wire)),
}
const word32 = uint(0xffff_ffff)
const hashKey = pair(word32, word32)

function uintOrFraction(max: number): Field<number> {
  return { pack: nonNegative.pack, unpack: wire => Math.min(max, nonNegative.unpack(wire)) }
}

// -------------------------------------------------------------------------------------------------------- views

const memberInfoShape: Shape<MemberInfo> = {
  id,
  name,
  addr: address,
  clientAddr: address,
  zone: name,
  witness: flag,
  protoMin: proto,
  protoMax: proto,
}
const memberInfo = struct<MemberInfo>(memberInfoShape)

const memberShape: Shape<Member> = { ...memberInfoShape, since: counter, voter: flag, leaving: flag }

const packedView = struct<PackedView>({
  clusterId,
  generation,
  baseEpoch: counter,
  epoch: counter,
  membersEpoch: counter,
  copies: proto,
  maxVoters: proto,
  hashKey,
  proto,
  layoutVersion: proto,
  members: list(struct<Member>(memberShape), maxMembers),
  hash: viewHash,
  ids: list(id, maxListItems),
  cells: list(counter, maxViewCells),
  stopped: appendedFlag,
})

/** Shards and config epochs of one learner's completions, in turn. */
type Completions = { readonly node: string; readonly since: number; readonly places: readonly number[] }
const completions = list(
  struct<Completions>({ node: id, since: counter, places: list(counter, 2 * maxListItems) }),
  maxListItems,
)

const viewCommand = union<ViewCommand, "kind">("kind", {
  ready: variant(1, { shard, q: counter, node: id, since: counter }),
  join: variant(2, { member: memberInfo }),
  leave: variant(3, { id }),
  remove: variant(4, { id, since: counter }),
  voter: variant(5, { id, since: counter }),
  reset: variant(6, { shard, q: counter }),
  "set-proto": variant(7, { proto }),
  "set-layout": variant(8, { version: proto }),
  stop: variant(9, { how: word({ complete: true, "as-it-is": true }) }),
  resume: variant(10, {}),
})
/**
 * A view after a join completes a thousand transfers, and goes to everyone: those of one learner share its name. Many
 * messages carry the same list, which is packed once.
 */
const commands = packedOnce(viewCommands())
function viewCommands(): Field<readonly ViewCommand[]> {
  const others = list(viewCommand, maxListItems)
  const packed = struct<{ others: readonly ViewCommand[]; completions: readonly Completions[] }>({
    others,
    completions,
  })
  return {
    pack: (values, tally) => {
      const runs = new Map<string, { node: string; since: number; places: number[] }>()
      const rest: ViewCommand[] = []
      for (const command of values) {
        if (command.kind !== "ready") {
          rest.push(command)
          continue
        }
        const { node, since } = command
        const run = runs.get(`${node} ${since}`) ?? { node, since, places: [] }
        run.places.push(command.shard, command.q)
        runs.set(`${node} ${since}`, run)
      }
      return packed.pack({ others: rest, completions: [...runs.values()] }, tally)
    },
    unpack: wire => {
      const { others: rest, completions: runs } = packed.unpack(wire)
      const values: ViewCommand[] = []
      for (const { node, since, places } of runs) {
        if (places.length % 2 !== 0) throw new Malformed("must have a config epoch for each shard")
        for (let i = 0; i < places.length; i += 2) {
          const [shard, q] = [places[i] as number, places[i + 1] as number] // both indexes are within bounds
          if (shard >= maxShards) throw new Malformed(`must name shards below ${maxShards}`)
          values.push({ kind: "ready", shard, q, node, since })
        }
        if (values.length + rest.length > maxListItems) throw new Malformed(`must be at most ${maxListItems} commands`)
      }
      values.push(...rest)
      return values
    },
  }
}

const viewStep = struct<ViewStep>({ epoch: counter, commands, hash: viewHash })
/** What is left of a fence may be below 0: it has ended. */
const fenceTimes: Field<FenceTimes> = list(pair(id, finite), maxListItems)
const ballot = struct<Ballot>({ round: counter, proposer: id })

// --------------------------------------------------------------------------------------------------- operations

/**
 * In what clients ask for, keys and values may be as long as the frame: the node refuses what is too long by a reply
 * to that one request, not by closing a connection that carries others.
 */
const askedBytes = bytes(maxFrameBytes)

const condition = union<Condition, "if">("if", {
  absent: variant(1, {}),
  present: variant(2, {}),
  version: variant(3, { version: counter }),
  value: variant(4, { value: askedBytes }),
})

const place = struct<Place>({ position: uint(2 ** 32), after: nullable(key) })
/** Which shards there are is for the node to say. */
const shards = uint16s(maxShards)

const set = { value: askedBytes, flags, ttlMs: ttlChange, condition: nullable(condition) }
const groupStep = struct<GroupStep>({
  key: askedBytes,
  operation: union<GroupStep["operation"], "op">("op", {
    check: variant(1, { condition }),
    set: variant(3, set),
    delete: variant(4, { condition: nullable(condition) }),
    touch: variant(5, { ttlMs, condition: nullable(condition) }),
  }),
})

const operation = union<Operation, "op">("op", {
  get: variant(1, {}),
  ttl: variant(2, {}),
  set: variant(3, set),
  delete: variant(4, { condition: nullable(condition) }),
  touch: variant(5, { ttlMs, condition: nullable(condition) }),
  incr: variant(6, { by: int, ttlMs }),
  scan: variant(7, {
    shards,
    from: nullable(place),
    prefix: askedBytes,
    limit: counter,
    want: word({ keys: true, details: true, values: true }),
  }),
  size: variant(8, { shards }),
  clear: variant(9, { shard, from: nullable(place), prefix: askedBytes }),
  group: variant(10, { steps: list(groupStep, maxListItems) }),
})

const request = struct<Request>({
  clientId: id,
  n: counter,
  ackedBelow: counter,
  firstEpoch: counter,
  key: askedBytes,
  operation,
  deadlineMs: nonNegative,
})

const pageEntry = struct<PageEntry>({
  key,
  details: nullable(struct({ flags, version: counter, ttlMs, valueBytes: counter })),
  value: nullable(value),
})

const resultVariants: Variants<Result, "kind"> = {
  value: variant(1, { value, flags, version: counter }),
  missing: variant(2, {}),
  ttl: variant(3, { ttlMs, version: counter }),
  stored: variant(4, { version: counter }),
  deleted: variant(5, {}),
  touched: variant(6, { version: counter }),
  counted: variant(7, { value: int, version: counter, ttlMs }),
  unmet: variant(8, { version: counter }),
  "not-a-number": variant(9, {}),
  page: variant(10, { entries: list(pageEntry, maxPageEntries), next: nullable(place) }),
  size: variant(11, { entries: counter, bytes: counter, next: nullable(place) }),
  cleared: variant(12, { count: counter, next: nullable(place) }),
  "group-done": variant(13, { version: counter }),
  "group-unmet": variant(14, { step: uint(maxListItems) }),
}

const refusalVariants: Variants<Refusal, "kind"> = {
  moved: variant(32, { shard, primary: id, epoch: counter }),
  retry: variant(33, { afterMs: nonNegative }),
  busy: variant(34, { retryAfterMs: nonNegative }),
  full: variant(35, {}),
  unavailable: variant(36, {
    reason: word({ minority: true, orphan: true, forked: true, stopped: true, joining: true }),
  }),
  timeout: variant(37, {}),
  duplicate: variant(38, {}),
  rejected: variant(39, {
    reason: word<Rejection>({
      "key-too-long": true,
      "value-too-large": true,
      "keys-apart": true,
      "group-too-large": true,
      "bad-request": true,
    }),
  }),
}

const result = union<Result, "kind">("kind", resultVariants)
const reply = union<Reply, "kind">("kind", { ...resultVariants, ...refusalVariants })

const put = { value, flags, ttlLeftMs: ttlMs }
const groupWrite = struct<GroupWrite>({
  key,
  effect: union<GroupWrite["effect"], "kind">("kind", { put: variant(1, put), delete: variant(2, {}) }),
})

const effect = union<ReplicatedOp["effect"], "kind">("kind", {
  put: variant(1, put),
  delete: variant(2, {}),
  none: variant(3, {}),
  "forget-client": variant(4, { client: id }),
  clear: variant(5, { from: place, to: place, prefix: key }),
  group: variant(6, { writes: list(groupWrite, maxGroupKeys) }),
})

const replicatedOp = struct<ReplicatedOp>({
  seq: counter,
  key,
  effect,
  origin: nullable(struct({ client: id, n: counter, ackedBelow: counter })),
  result: nullable(result),
})
const ops = list(replicatedOp, maxListItems)

const transferEntry = struct<TransferEntry>({ key, value, flags, version: counter, ttlLeftMs: ttlMs })

const dedupRecord = struct<DedupRecord>({
  client: id,
  low: counter,
  idleMs: nonNegative,
  results: list(pair(counter, result), maxOperationsAhead + 1),
})

// ------------------------------------------------------------------------------------------------- node to node

const joinRefusal = word<JoinRefusal>({
  "copies-differ": true,
  "address-taken": true,
  "no-dial-back": true,
  proto: true,
  full: true,
  "wrong-cluster": true,
  flapping: true,
  "eviction-differs": true,
})
const eviction = word<Eviction>({ s3fifo: true, lru: true, none: true })

const channel = bytes(maxChannelBytes)
const channels = list(channel, maxListItems)

const channelQuestion = union<ChannelQuestion, "about">("about", {
  publish: variant(1, { channel, payload: value }),
  channels: variant(2, { pattern: nullable(channel) }),
  patterns: variant(3, {}),
  subscribers: variant(4, { channels }),
})

const channelAnswer = union<ChannelAnswer, "about">("about", {
  publish: variant(1, { count: counter }),
  names: variant(2, { names: channels, isAll: flag }),
  subscribers: variant(3, { counts: list(counter, maxListItems) }),
})

/** What travels between nodes: greetings, everything of the core, and what their doors tell each other. */
export type LinkMessage = PeerMessage | ChannelMessage | Hello | Goodbye

/** Numbers below 32: connections themselves; below 64: control; from 64: data. */
export const linkMessage = union<LinkMessage, "kind">("kind", {
  hello: variant(1, {
    protoMin: proto,
    protoMax: proto,
    id,
    addr: address,
    link: word<LinkClass>({ control: true, data: true }),
    clusterId,
    generation,
    auth: nullable(bytes(maxKeyBytes)),
    process: appended(
      struct<ProcessMark>({ bootId: text(64), pidNamespace: text(64), pid: word32, startTicks: counter }),
    ),
  }),
  goodbye: variant(2, {
    reason: word<Goodbye["reason"]>({
      "wrong-cluster": true,
      "unsupported-proto": true,
      malformed: true,
      "too-large": true,
      "not-for-me": true,
      replaced: true,
      stopping: true,
      unauthorized: true,
    }),
    detail,
  }),

  beat: variant(32, { n: counter, epoch: counter, viewHash, acked: counter }),
  "beat-ack": variant(33, { n: counter, epoch: counter }),
  released: variant(34, { epoch: counter }),
  yield: variant(35, { epoch: counter }),
  suspect: variant(36, { subject: id, since: counter, epoch: counter }),
  unsuspect: variant(37, { subject: id, since: counter }),
  "link-down": variant(38, { peer: id, since: counter }),
  "join-request": variant(39, {
    member: memberInfo,
    copies: nullable(proto),
    clusterId,
    have: counter,
    eviction: appended(eviction),
  }),
  "try-also": variant(40, { addresses }),
  "join-refused": variant(41, { reason: joinRefusal, detail }),
  "dial-back": variant(42, { nonce: viewHash, id }),
  "dial-back-ok": variant(43, { nonce: viewHash, id }),
  propose: variant(44, { commands }),
  prepare: variant(45, { epoch: counter, ballot }),
  promise: variant(46, {
    epoch: counter,
    ballot,
    accepted: nullable(struct({ ballot, commands, hash: viewHash })),
  }),
  accept: variant(47, { epoch: counter, ballot, commands, hash: viewHash }),
  accepted: variant(48, { epoch: counter, ballot, ages: fenceTimes }),
  nack: variant(49, { epoch: counter, ballot, promised: ballot }),
  "view-pull": variant(50, { have: counter }),
  "view-delta": variant(51, { steps: list(viewStep, maxListItems), fence: nullable(fenceTimes) }),
  "view-snapshot": variant(52, { view: packedView }),
  waiting: variant(53, {
    addr: address,
    witness: flag,
    hint: nullable(struct<ColdHint>({ clusterId, generation, epoch: counter, copies: proto, addresses })),
  }),
  resuming: variant(54, {
    generation,
    epoch: counter,
    state: word<ResumeState>({ loading: true, waiting: true, claimed: true }),
    goesOn: flag,
  }),
  claim: variant(55, { epoch: counter }),

  repl: variant(64, { shard, q: counter, tid: counter, ops, commit: counter, last: counter }),
  "repl-ack": variant(65, { shard, q: counter, tid: counter, seq: counter, gap: flag, headroom: finite }),
  stale: variant(66, { shard, q: counter, epoch: counter }),
  sync: variant(67, { shard, q: counter, base: counter, ops }),
  "sync-ack": variant(68, { shard, q: counter, seq: counter }),
  "transfer-begin": variant(69, {
    shard,
    q: counter,
    tid: counter,
    since: counter,
    baseSeq: counter,
    commit: counter,
    dedup: list(dedupRecord, maxListItems),
  }),
  "transfer-chunk": variant(70, {
    shard,
    q: counter,
    tid: counter,
    index: counter,
    entries: list(transferEntry, maxListItems),
    fin: flag,
    endSeq: counter,
  }),
  "transfer-ack": variant(71, { shard, q: counter, tid: counter, index: counter }),
  forward: variant(72, { n: counter, request }),
  "forward-reply": variant(73, { n: counter, reply, epoch: counter }),
  forget: variant(74, { epoch: counter, entries: list(pair(key, counter), maxListItems) }),
  "channel-ask": variant(75, { n: counter, question: channelQuestion }),
  "channel-told": variant(76, { n: counter, answer: channelAnswer }),
})

// ----------------------------------------------------------------------------------------------- client to node

const adminCommand = union<AdminCommand, "kind">("kind", {
  leave: variant(1, { id }),
  forget: variant(2, { id }),
  recover: variant(3, { how: word({ plan: true, force: true }) }),
  stop: variant(4, { how: word({ complete: true, "as-it-is": true }) }),
})

const adminOutcome = union<AdminOutcome, "kind">("kind", {
  accepted: variant(1, {}),
  refused: variant(2, {
    reason: word<AdminRefusal>({
      "not-a-member": true,
      "unknown-member": true,
      last: true,
      alive: true,
      "not-needed": true,
      "not-complete": true,
      stopped: true,
      unsupported: true,
    }),
    detail,
  }),
  plan: variant(3, {
    generation,
    keeps: list(id, maxMembers),
    drops: list(id, maxMembers),
    shardsKept: counter,
    shardsOrphaned: counter,
  }),
})

export const clientToNode = union<ClientToNode, "kind">("kind", {
  "client-hello": variant(1, { clientId: id, protoMin: proto, protoMax: proto }),
  request: variant(2, { attempt: counter, request }),
  "client-pull": variant(3, { have: counter }),
  "status-request": variant(4, { n: counter }),
  admin: variant(5, { n: counter, command: adminCommand }),
  "read-many": variant(6, { n: counter, keys: list(key, maxKeysRead) }),
})

const clientMember = struct<ClientMember>({ id, name, addr: address, clientAddr: address })

const diskReport = union<DiskReport, "kind">("kind", {
  none: variant(1, {}),
  idle: variant(2, {}),
  writing: variant(3, { entries: counter }),
  written: variant(4, { entries: counter, bytes: counter }),
  failed: variant(5, { detail }),
  loading: variant(6, { entries: counter }),
})

const statusReport = struct<StatusReport>({
  id,
  name,
  addr: address,
  phase: word<StatusReport["phase"]>({
    joining: true,
    member: true,
    leaving: true,
    left: true,
    stopped: true,
    resuming: true,
  }),
  version: name,
  clusterId,
  epoch: counter,
  membersEpoch: counter,
  copies: proto,
  proto,
  shardCount: counter,
  underReplicated: counter,
  orphans: counter,
  lost: list(shard, maxListItems),
  members: list(
    struct<StatusReport["members"][number]>({ ...memberShape, primaries: counter, replicas: counter }),
    maxMembers,
  ),
  hasLease: flag,
  leading: counter,
  serving: counter,
  entries: counter,
  bytes: counter,
  maxBytes: counter,
  transfersOpen: counter,
  crowded: counter,
  forgetting: appended(
    struct<Forgetting>({
      eviction,
      evicted: counter,
      evictedCopies: counter,
    }),
  ),
  disk: appended(diskReport),
  awaited: appended(addresses),
})

export const nodeToClient = union<NodeToClient, "kind">("kind", {
  "client-view": variant(1, {
    self: id,
    clusterId,
    proto,
    epoch: counter,
    membersEpoch: counter,
    hashKey,
    members: list(clientMember, maxMembers),
    primaries: uint16s(maxShards),
  }),
  "client-view-delta": variant(2, { from: counter, epoch: counter, changes: uint16s(2 * maxShards) }),
  "client-not-ready": variant(3, { addresses }),
  reply: variant(4, { n: counter, attempt: counter, reply, epoch: counter }),
  status: variant(5, { n: counter, report: statusReport }),
  "admin-reply": variant(6, { n: counter, outcome: adminOutcome }),
  "many-read": variant(7, { n: counter, results: list(nullable(result), maxKeysRead), epoch: counter }),
})

// ------------------------------------------------------------------------------------------------------ at rest

const snapshotHead = struct<SnapshotHead>({ self: memberInfo, listen: address, view: packedView, entries: counter })

const snapshotPart = union<SnapshotPart, "kind">("kind", {
  shard: variant(1, { shard, commit: counter }),
  records: variant(2, { records: list(dedupRecord, maxListItems) }),
  entries: variant(3, { entries: list(transferEntry, maxListItems) }),
  operations: variant(4, { ops }),
})

export const snapshotBlock = union<SnapshotBlock, "kind">("kind", {
  head: variant(1, { wallMs: nonNegative, head: snapshotHead }),
  part: variant(2, { wallMs: nonNegative, part: snapshotPart }),
  end: variant(3, { parts: counter, entries: counter }),
})

// ------------------------------------------------------------------------------------------------------ headers

/** In front of the messages of every frame between nodes: whose it is and whom it is for. */
export type FrameHeader = {
  readonly proto: number
  /** Empty: the sender does not know yet. */
  readonly clusterId: string
  readonly generation: number
  readonly from: string
  /** Null: whoever listens at the address that was dialed. */
  readonly to: string | null
}

export const frameHeader = struct<FrameHeader>({ proto, clusterId, generation, from: id, to: nullable(id) })
