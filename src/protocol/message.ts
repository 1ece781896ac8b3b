/**
 * Every message between nodes, and between a client and a node, as closed unions; with them the things that messages
 * carry: views, commands, operations, replies. Types alone: `codec.ts` turns them to bytes and checks what arrives,
 * `core` gives them their meaning (`src/core/README.md`).
 */

/** A process incarnation: 64 random bits as 16 hex digits. A restarted process has another one. */
export type NodeId = string
/** `host:port`; IPv6 hosts in brackets. */
export type Address = string
/** Number of a view; views are decided one after another, from 1. */
export type Epoch = number
/** Index of a fixed arc of the hash ring, from 0. */
export type ShardId = number
/** Position of an operation in its shard's order; also the version of the entry that it wrote. Below 2^48. */
export type Seq = number
/** A client incarnation: 64 random bits as 16 hex digits. */
export type ClientId = string

// ---------------------------------------------------------------------------------------------------- views

/** What a process says of itself when it joins. */
export type MemberInfo = {
  readonly id: NodeId
  readonly name: string
  /** What other nodes dial. */
  readonly addr: Address
  /** What clients dial. */
  readonly clientAddr: Address
  /** Copies of a shard stand in different zones while there are enough; empty: none stated. */
  readonly zone: string
  /** Votes, holds no shards. */
  readonly witness: boolean
  readonly protoMin: number
  readonly protoMax: number
}

export type Member = MemberInfo & {
  /** Epoch in which this entry of the member list was created: tells a re-join from the first. */
  readonly since: Epoch
  readonly voter: boolean
  readonly leaving: boolean
}

/** A replica being filled; `since` names this assignment of it. Never promoted. */
export type Learner = { readonly id: NodeId; readonly since: Epoch }

/** Who holds a shard. Changed only by a decided view. */
export type ShardConfig = {
  /** Config epoch: the view in which this config last changed. The fencing token of replication. */
  readonly q: Epoch
  readonly primary: NodeId | null
  /** View in which the shard last changed its primary or was reset. */
  readonly primarySince: Epoch
  /** Replicas that hold every acknowledged write, the primary included. Of an orphan: the last holders. */
  readonly inSync: readonly NodeId[]
  readonly learners: readonly Learner[]
  readonly orphan: boolean
  /** View that last reset the shard (it lost its data); 0: never. */
  readonly resetAt: Epoch
  /** Sequence numbers of the shard are above this; raised by 2^40 at a reset, so that versions never repeat. */
  readonly seqBase: Seq
}

/** The decided state of the cluster: who is a member and who holds what. Immutable. */
export type View = {
  readonly clusterId: string
  /** Changes when survivors go on by an operator's word. Not a count: a higher one is later. */
  readonly generation: number
  /** The epoch of the view that this generation went on from; 0: the first generation. */
  readonly baseEpoch: Epoch
  readonly epoch: Epoch
  /** Epoch in which the member list last changed. */
  readonly membersEpoch: Epoch
  /** Copies of each shard, the primary included. */
  readonly copies: number
  readonly maxVoters: number
  /** Key of the hash that places keys on the ring: two 32-bit words. */
  readonly hashKey: readonly [number, number]
  readonly proto: number
  readonly layoutVersion: number
  /** A planned stop was decided: nothing is executed any more, and the next view is that of those who started again. */
  readonly stopped: boolean
  /** Ordered by (since, id). */
  readonly members: readonly Member[]
  readonly shards: readonly ShardConfig[]
  /** Over the whole content; nodes compare it to notice a fork. An integer below 2^53. */
  readonly hash: number
}

/** A view as it travels: shards as a flat run of integers over a table of ids (`core/membership/view.ts` packs it). */
export type PackedView = Omit<View, "shards"> & { readonly ids: readonly NodeId[]; readonly cells: readonly number[] }

/** The value decided for an epoch is a list of these; one whose precondition fails is a no-op. */
export type ViewCommand =
  | { readonly kind: "ready"; readonly shard: ShardId; readonly q: Epoch; readonly node: NodeId; readonly since: Epoch }
  | { readonly kind: "join"; readonly member: MemberInfo }
  | { readonly kind: "leave"; readonly id: NodeId }
  | { readonly kind: "remove"; readonly id: NodeId; readonly since: Epoch }
  | { readonly kind: "voter"; readonly id: NodeId; readonly since: Epoch }
  | { readonly kind: "reset"; readonly shard: ShardId; readonly q: Epoch }
  | { readonly kind: "set-proto"; readonly proto: number }
  | { readonly kind: "set-layout"; readonly version: number }
  /** "complete": unless some copy is missing, or somebody is about to leave. */
  | { readonly kind: "stop"; readonly how: "complete" | "as-it-is" }
  /** The members of a stopped view, but for those that the same batch removes, have started again. */
  | { readonly kind: "resume" }

/** One decided view as a difference: the commands that lead from epoch - 1 to epoch, and the hash they must give. */
export type ViewStep = { readonly epoch: Epoch; readonly commands: readonly ViewCommand[]; readonly hash: number }

/** For each primary that lost a shard: how many ms from now an old lease of it may still last. */
export type FenceTimes = readonly (readonly [NodeId, number])[]

/** Orders competing proposals of one epoch: by round, then by proposer. */
export type Ballot = { readonly round: number; readonly proposer: NodeId }

// ---------------------------------------------------------------------------------------------------- operations

export type Condition =
  | { readonly if: "absent" }
  | { readonly if: "present" }
  | { readonly if: "version"; readonly version: Seq }
  | { readonly if: "value"; readonly value: Uint8Array }

/** What a client may ask of one key. `ttlMs` null: never expires; "keep": as long as the entry that is replaced, if there is one. */
export type KeyOperation =
  | { readonly op: "get" }
  | { readonly op: "ttl" }
  | {
      readonly op: "set"
      readonly value: Uint8Array
      /** Kept with the entry and returned with it; clients note here how they encoded the value. 16 bits. */
      readonly flags: number
      readonly ttlMs: number | null | "keep"
      readonly condition: Condition | null
    }
  | { readonly op: "delete"; readonly condition: Condition | null }
  | { readonly op: "touch"; readonly ttlMs: number | null; readonly condition: Condition | null }
  /**
   * Adds to a decimal integer kept as text; a missing key counts as 0. `ttlMs` is that of an entry that it makes: one that is
   * there keeps its own, which is how a rate limiter counts within a window.
   */
  | { readonly op: "incr"; readonly by: number; readonly ttlMs: number | null }

/**
 * Where a walk through a shard goes on: what lies before is done, in the order of positions and, at one position, of keys.
 * It means the same to every node that may lead the shard, so that nobody has to remember it. `after` null: from the first
 * key at the position on.
 */
export type Place = { readonly position: number; readonly after: Uint8Array | null }

/**
 * What a client may ask of whole shards; the `key` of the request is empty. It goes to the primary of the first shard, which
 * goes on to the others as long as it leads them, serves and has done no more than a request may cost, and says how far it came.
 * `from` null: from the beginning of the first shard. A key that begins with a zero byte is passed by unless `prefix` does
 * as well: those are what a cache or a door keeps for itself.
 */
export type ShardOperation =
  /** `limit`: most keys in the answer. "details": with what else is known of the entry; "values": with its value, too. */
  | {
      readonly op: "scan"
      readonly shards: readonly ShardId[]
      readonly from: Place | null
      readonly prefix: Uint8Array
      readonly limit: number
      readonly want: "keys" | "details" | "values"
    }
  /** How much is held. */
  | { readonly op: "size"; readonly shards: readonly ShardId[] }
  /** Deletes what it finds. A write of its shard: done once, however often it is sent. */
  | { readonly op: "clear"; readonly shard: ShardId; readonly from: Place | null; readonly prefix: Uint8Array }

/** What must hold of one key of a group, and what becomes of the key; a `check` leaves it as it is. */
export type GroupStep = {
  readonly key: Uint8Array
  readonly operation:
    | Extract<KeyOperation, { op: "set" | "delete" | "touch" }>
    | { readonly op: "check"; readonly condition: Condition }
}

/**
 * Several keys in one step: every condition is met and everything is written, or nothing is. Each key comes once; one primary leads
 * the shards of all of them. The `key` of the request is that of one of the steps: the version in the answer is of its shard. A touch
 * needs its key to be there.
 */
export type GroupOperation = { readonly op: "group"; readonly steps: readonly GroupStep[] }

export type Operation = KeyOperation | GroupOperation | ShardOperation

export type Request = {
  readonly clientId: ClientId
  /** Number of the operation; a retry carries the same. From 1. */
  readonly n: number
  /** All operations of this client below are finished. */
  readonly ackedBelow: number
  /** Epoch that the client knew at its first attempt: a reset later than it has lost the dedup record. */
  readonly firstEpoch: Epoch
  readonly key: Uint8Array
  readonly operation: Operation
  /** Time left, in ms, when the request was sent. */
  readonly deadlineMs: number
}

export type KeyResult =
  | { readonly kind: "value"; readonly value: Uint8Array; readonly flags: number; readonly version: Seq }
  /** Also: touch, delete, conditional set of a key that is not there. */
  | { readonly kind: "missing" }
  | { readonly kind: "ttl"; readonly ttlMs: number | null; readonly version: Seq }
  | { readonly kind: "stored"; readonly version: Seq }
  | { readonly kind: "deleted" }
  | { readonly kind: "touched"; readonly version: Seq }
  /** `ttlMs`: what was left to live when it was counted. */
  | { readonly kind: "counted"; readonly value: number; readonly version: Seq; readonly ttlMs: number | null }
  /** A condition that was not met by a key that is there. */
  | { readonly kind: "unmet"; readonly version: Seq }
  | { readonly kind: "not-a-number" }

/** An entry in a page. */
export type PageEntry = {
  readonly key: Uint8Array
  readonly details: {
    readonly flags: number
    readonly version: Seq
    readonly ttlMs: number | null
    readonly valueBytes: number
  } | null
  readonly value: Uint8Array | null
}

/** `next` null: all shards that were asked for are done. */
export type ShardResult =
  | { readonly kind: "page"; readonly entries: readonly PageEntry[]; readonly next: Place | null }
  /** Entries that have expired and are still there count, and what is not committed. */
  | { readonly kind: "size"; readonly entries: number; readonly bytes: number; readonly next: Place | null }
  | { readonly kind: "cleared"; readonly count: number; readonly next: Place | null }

export type GroupResult =
  /** What was written in the shard of the request's key has this version. In another shard it has the next one of that. */
  | { readonly kind: "group-done"; readonly version: Seq }
  /** The first step whose condition was not met, by its place. Nothing was written. */
  | { readonly kind: "group-unmet"; readonly step: number }

/** What an executed operation answers. Of a write it is recorded, so that a retry gets the same answer. */
export type Result = KeyResult | GroupResult | ShardResult

/** Why an operation was not executed, or not known to be. */
export type Refusal =
  /** Ask `addr`, the primary; `epoch` is the view that says so. */
  | { readonly kind: "moved"; readonly shard: ShardId; readonly primary: NodeId; readonly epoch: Epoch }
  /** Not executed, or not known to be: ask again with the same number. */
  | { readonly kind: "retry"; readonly afterMs: number }
  | { readonly kind: "busy"; readonly retryAfterMs: number }
  /** The memory limit is reached and nothing may be evicted. */
  | { readonly kind: "full" }
  | { readonly kind: "unavailable"; readonly reason: "minority" | "orphan" | "forked" | "stopped" | "joining" }
  /** The deadline passed, or what would tell is lost: the outcome is unknown. */
  | { readonly kind: "timeout" }
  /** An operation below the client's own `ackedBelow`. */
  | { readonly kind: "duplicate" }
  | { readonly kind: "rejected"; readonly reason: Rejection }

/** Why no repetition of this operation would be executed. "keys-apart": as long as no one node leads the shards of all of them. */
export type Rejection = "key-too-long" | "value-too-large" | "keys-apart" | "group-too-large" | "bad-request"

export type Reply = Result | Refusal

/** One operation in a shard's order, as replicas apply it. */
export type ReplicatedOp = {
  readonly seq: Seq
  readonly key: Uint8Array
  readonly effect:
    | { readonly kind: "put"; readonly value: Uint8Array; readonly flags: number; readonly ttlLeftMs: number | null }
    | { readonly kind: "delete" }
    /** Changes nothing, but its result is recorded (a failed condition). */
    | { readonly kind: "none" }
    /** Drops the dedup record of `client`. `key` is empty. */
    | { readonly kind: "forget-client"; readonly client: ClientId }
    /** Deletes the keys from one place up to another that begin with `prefix`, as a `clear` has it. `key` is empty. */
    | { readonly kind: "clear"; readonly from: Place; readonly to: Place; readonly prefix: Uint8Array }
    /** Writes several keys, each once. `key` is empty. */
    | { readonly kind: "group"; readonly writes: readonly GroupWrite[] }
  /** Whose operation it is; null: the primary's own (expiry, forgetting). */
  readonly origin: { readonly client: ClientId; readonly n: number; readonly ackedBelow: number } | null
  /** Recorded for `origin`. */
  readonly result: Result | null
}

export type GroupWrite = {
  readonly key: Uint8Array
  readonly effect: Extract<ReplicatedOp["effect"], { kind: "put" | "delete" }>
}

/** An entry in a transfer. */
export type TransferEntry = {
  readonly key: Uint8Array
  readonly value: Uint8Array
  readonly flags: number
  readonly version: Seq
  readonly ttlLeftMs: number | null
}

/** What is remembered of one client in one shard, as it travels. */
export type DedupRecord = {
  readonly client: ClientId
  readonly low: number
  readonly idleMs: number
  readonly results: readonly (readonly [number, Result])[]
}

// ---------------------------------------------------------------------------------------------------- at rest

/** The beginning of what a node writes down at a planned stop: which stop it was, and who this node is. */
export type SnapshotHead = {
  readonly self: MemberInfo
  /** Where it listened: started again without being told where, it listens there. */
  readonly listen: Address
  /** The stopped view. */
  readonly view: PackedView
  /** About how many follow. */
  readonly entries: number
}

/**
 * What follows, shard by shard: `shard` begins one, and nothing of it follows what begins the next. Entries and records are
 * those of the last operation that is known to have committed, `commit`; the operations after it come in their order.
 */
export type SnapshotPart =
  | { readonly kind: "shard"; readonly shard: ShardId; readonly commit: Seq }
  | { readonly kind: "records"; readonly records: readonly DedupRecord[] }
  | { readonly kind: "entries"; readonly entries: readonly TransferEntry[] }
  | { readonly kind: "operations"; readonly ops: readonly ReplicatedOp[] }

/** What is written down, block by block: a head, parts, an end. `wallMs`: when it was made, in ms since 1970. */
export type SnapshotBlock =
  | { readonly kind: "head"; readonly wallMs: number; readonly head: SnapshotHead }
  | { readonly kind: "part"; readonly wallMs: number; readonly part: SnapshotPart }
  /** So many parts came before, with so many entries; without it the rest is missing. */
  | { readonly kind: "end"; readonly parts: number; readonly entries: number }

// ---------------------------------------------------------------------------------------------------- node to node

export type ControlMessage =
  /** `acked`: the highest n that this voter has answered, as far as the sender heard: so that grants are confirmed. */
  | {
      readonly kind: "beat"
      readonly n: number
      readonly epoch: Epoch
      readonly viewHash: number
      readonly acked: number
    }
  /** A grant: the lease of the beat's sender counts from when it sent beat n. */
  | { readonly kind: "beat-ack"; readonly n: number; readonly epoch: Epoch }
  /** The sender has shown `epoch`: it no longer leads what it lost in it or before. */
  | { readonly kind: "released"; readonly epoch: Epoch }
  | { readonly kind: "yield"; readonly epoch: Epoch }
  | { readonly kind: "suspect"; readonly subject: NodeId; readonly since: Epoch; readonly epoch: Epoch }
  | { readonly kind: "unsuspect"; readonly subject: NodeId; readonly since: Epoch }
  | { readonly kind: "link-down"; readonly peer: NodeId; readonly since: Epoch }
  | {
      readonly kind: "join-request"
      readonly member: MemberInfo
      readonly copies: number | null
      readonly clusterId: string
      /** Epoch of the view that it has; 0: none. */
      readonly have: Epoch
      /** What it does when its memory ends; null: it is of a version that does not say, or holds no data. */
      readonly eviction: Eviction | null
    }
  /** The one asked is no member yet, or says whom else to ask. */
  | { readonly kind: "try-also"; readonly addresses: readonly Address[] }
  | { readonly kind: "join-refused"; readonly reason: JoinRefusal; readonly detail: string }
  /** The one asked was started and is in no cluster; what it knows of an earlier one. */
  | { readonly kind: "waiting"; readonly addr: Address; readonly witness: boolean; readonly hint: ColdHint | null }
  /** The sender was started with what it wrote down at the stop that view `epoch` decided. */
  | {
      readonly kind: "resuming"
      readonly generation: number
      readonly epoch: Epoch
      readonly state: ResumeState
      /** An operator has said: with those that are back. */
      readonly goesOn: boolean
    }
  /** All that are awaited are back: take what you started from out of use, and say when it is done. */
  | { readonly kind: "claim"; readonly epoch: Epoch }
  /** Sent to the address that a joiner advertises; only the process behind it can answer. */
  | { readonly kind: "dial-back"; readonly nonce: number; readonly id: NodeId }
  | { readonly kind: "dial-back-ok"; readonly nonce: number; readonly id: NodeId }
  | { readonly kind: "propose"; readonly commands: readonly ViewCommand[] }
  | { readonly kind: "prepare"; readonly epoch: Epoch; readonly ballot: Ballot }
  | {
      readonly kind: "promise"
      readonly epoch: Epoch
      readonly ballot: Ballot
      readonly accepted: {
        readonly ballot: Ballot
        readonly commands: readonly ViewCommand[]
        readonly hash: number
      } | null
    }
  | {
      readonly kind: "accept"
      readonly epoch: Epoch
      readonly ballot: Ballot
      readonly commands: readonly ViewCommand[]
      readonly hash: number
    }
  /** `ages`: for each primary that loses a shard by the value, ms since this voter last granted to it. */
  | { readonly kind: "accepted"; readonly epoch: Epoch; readonly ballot: Ballot; readonly ages: FenceTimes }
  | { readonly kind: "nack"; readonly epoch: Epoch; readonly ballot: Ballot; readonly promised: Ballot }
  | { readonly kind: "view-pull"; readonly have: Epoch }
  /** `fence` belongs to the last step; null: unknown, wait the full lease. */
  | { readonly kind: "view-delta"; readonly steps: readonly ViewStep[]; readonly fence: FenceTimes | null }
  | { readonly kind: "view-snapshot"; readonly view: PackedView }

/** How far a node is that was started after a planned stop; "claimed": what it started from will not be used again. */
export type ResumeState = "loading" | "waiting" | "claimed"

/** Which cluster a process belonged to before it was restarted, and where the members were in the newest view that it had. */
export type ColdHint = {
  readonly clusterId: string
  readonly generation: number
  /** In which the member list became this one. */
  readonly epoch: Epoch
  readonly copies: number
  readonly addresses: readonly Address[]
}

export type JoinRefusal =
  | "copies-differ"
  | "address-taken"
  | "no-dial-back"
  | "proto"
  | "full"
  | "wrong-cluster"
  | "flapping"
  | "eviction-differs"

export type DataMessage =
  /** `tid` 0: to an in-sync replica. `last`: the newest seq sent so far, so that a gap shows without an operation. */
  | {
      readonly kind: "repl"
      readonly shard: ShardId
      readonly q: Epoch
      readonly tid: number
      readonly ops: readonly ReplicatedOp[]
      readonly commit: Seq
      readonly last: Seq
    }
  /** Cumulative. `gap`: something is missing after `seq`, send it again. `headroom`: bytes that still fit. */
  | {
      readonly kind: "repl-ack"
      readonly shard: ShardId
      readonly q: Epoch
      readonly tid: number
      readonly seq: Seq
      readonly gap: boolean
      readonly headroom: number
    }
  | { readonly kind: "stale"; readonly shard: ShardId; readonly q: Epoch; readonly epoch: Epoch }
  | {
      readonly kind: "sync"
      readonly shard: ShardId
      readonly q: Epoch
      readonly base: Seq
      readonly ops: readonly ReplicatedOp[]
    }
  | { readonly kind: "sync-ack"; readonly shard: ShardId; readonly q: Epoch; readonly seq: Seq }
  | {
      readonly kind: "transfer-begin"
      readonly shard: ShardId
      readonly q: Epoch
      readonly tid: number
      readonly since: Epoch
      readonly baseSeq: Seq
      readonly commit: Seq
      readonly dedup: readonly DedupRecord[]
    }
  /** `index` from 0, in order; `endSeq`: the primary's newest seq when the entries were read. */
  | {
      readonly kind: "transfer-chunk"
      readonly shard: ShardId
      readonly q: Epoch
      readonly tid: number
      readonly index: number
      readonly entries: readonly TransferEntry[]
      readonly fin: boolean
      readonly endSeq: Seq
    }
  | {
      readonly kind: "transfer-ack"
      readonly shard: ShardId
      readonly q: Epoch
      readonly tid: number
      readonly index: number
    }
  /** What the sender, as a primary, holds no longer, each with its version: a copy may forget it, too. May be lost. */
  | {
      readonly kind: "forget"
      readonly epoch: Epoch
      readonly entries: readonly (readonly [key: Uint8Array, version: Seq])[]
    }
  | { readonly kind: "forward"; readonly n: number; readonly request: Request }
  | { readonly kind: "forward-reply"; readonly n: number; readonly reply: Reply; readonly epoch: Epoch }

export type PeerMessage = ControlMessage | DataMessage

/**
 * Between the doors of nodes, and none of the core's business: what is published, and who listens. Sent to members that
 * speak of channels (`channelProto`), over the data connection; may be lost.
 */
export type ChannelMessage =
  | { readonly kind: "channel-ask"; readonly n: number; readonly question: ChannelQuestion }
  | { readonly kind: "channel-told"; readonly n: number; readonly answer: ChannelAnswer }

export type ChannelQuestion =
  /** Hand this to whoever listens at your side. */
  | { readonly about: "publish"; readonly channel: Uint8Array; readonly payload: Uint8Array }
  /** Which channels are listened to? `pattern` null: all. */
  | { readonly about: "channels"; readonly pattern: Uint8Array | null }
  | { readonly about: "patterns" }
  /** How many listen to each of these? */
  | { readonly about: "subscribers"; readonly channels: readonly Uint8Array[] }

export type ChannelAnswer =
  /** Subscriptions to which it was handed. */
  | { readonly about: "publish"; readonly count: number }
  | { readonly about: "names"; readonly names: readonly Uint8Array[]; readonly isAll: boolean }
  | { readonly about: "subscribers"; readonly counts: readonly number[] }

/** Which of the two connections between a pair of nodes a message takes: control is never behind bulk data. */
export type LinkClass = "control" | "data"

// ---------------------------------------------------------------------------------------------------- client to node

export type ClientMember = {
  readonly id: NodeId
  readonly name: string
  readonly addr: Address
  readonly clientAddr: Address
}

export type ClientToNode =
  | { readonly kind: "client-hello"; readonly clientId: ClientId; readonly protoMin: number; readonly protoMax: number }
  /** `attempt` comes back with the answer, so that a client knows which of its attempts it belongs to. */
  | { readonly kind: "request"; readonly attempt: number; readonly request: Request }
  /** Reads of keys that the node leads, as far as it can do them at once. */
  | { readonly kind: "read-many"; readonly n: number; readonly keys: readonly Uint8Array[] }
  | { readonly kind: "client-pull"; readonly have: Epoch }
  | { readonly kind: "status-request"; readonly n: number }
  | { readonly kind: "admin"; readonly n: number; readonly command: AdminCommand }

export type NodeToClient =
  /** The whole of what a client needs to route. `primaries`: one index into `members` per shard, 65535: none. */
  | {
      readonly kind: "client-view"
      readonly self: NodeId
      readonly clusterId: string
      readonly proto: number
      readonly epoch: Epoch
      readonly membersEpoch: Epoch
      readonly hashKey: readonly [number, number]
      readonly members: readonly ClientMember[]
      readonly primaries: readonly number[]
    }
  /** What changed from `from` to `epoch` while the member list stayed: pairs of shard and index. */
  | {
      readonly kind: "client-view-delta"
      readonly from: Epoch
      readonly epoch: Epoch
      readonly changes: readonly number[]
    }
  /** The node is not a member yet: ask one of these, or wait. */
  | { readonly kind: "client-not-ready"; readonly addresses: readonly Address[] }
  | {
      readonly kind: "reply"
      readonly n: number
      readonly attempt: number
      readonly reply: Reply
      readonly epoch: Epoch
    }
  /** One result a key, in their order; null: to be asked by a request of its own. */
  | {
      readonly kind: "many-read"
      readonly n: number
      readonly results: readonly (Result | null)[]
      readonly epoch: Epoch
    }
  | { readonly kind: "status"; readonly n: number; readonly report: StatusReport }
  | { readonly kind: "admin-reply"; readonly n: number; readonly outcome: AdminOutcome }

/** What an operator orders, through any node. */
export type AdminCommand =
  /** The member hands its data over and is removed. */
  | { readonly kind: "leave"; readonly id: NodeId }
  /** The operator vouches that this process is dead. */
  | { readonly kind: "forget"; readonly id: NodeId }
  /** Those that are left go on as a new generation, without the voters that are gone. "plan": say what that would mean. */
  | { readonly kind: "recover"; readonly how: "plan" | "force" }
  /** All members write down what they hold, and end. "as-it-is": also when copies are missing. */
  | { readonly kind: "stop"; readonly how: "complete" | "as-it-is" }

export type AdminOutcome =
  /** Views to come show it; to be ordered again until one does. */
  | { readonly kind: "accepted" }
  | { readonly kind: "refused"; readonly reason: AdminRefusal; readonly detail: string }
  /** Who would go on, who would be left behind, and of how many shards a copy would be there. */
  | {
      readonly kind: "plan"
      readonly generation: number
      readonly keeps: readonly NodeId[]
      readonly drops: readonly NodeId[]
      readonly shardsKept: number
      readonly shardsOrphaned: number
    }

export type AdminRefusal =
  /** The node asked is no member of a cluster. */
  | "not-a-member"
  | "unknown-member"
  /** Of leave: nobody is left to take the data. */
  | "last"
  /** Of forget: it was heard of just now. */
  | "alive"
  /** Of recover: this node has a lease, so a majority of the voters is there. */
  | "not-needed"
  /** Of stop: something is under way that is worth waiting for. */
  | "not-complete"
  /** The cluster is stopped, or not resumed yet. */
  | "stopped"
  | "unsupported"

/** What one node knows and holds, for people and tests. */
export type StatusReport = {
  readonly id: NodeId
  readonly name: string
  readonly addr: Address
  readonly phase: "joining" | "member" | "leaving" | "left" | "stopped" | "resuming"
  readonly version: string
  readonly clusterId: string
  readonly epoch: Epoch
  readonly membersEpoch: Epoch
  readonly copies: number
  /** The protocol version that the cluster speaks; 0: no view. */
  readonly proto: number
  readonly shardCount: number
  /** Shards that have fewer in-sync replicas than their target has members. */
  readonly underReplicated: number
  readonly orphans: number
  /** Shards that once lost all holders, and began anew, empty: what was in them before that is gone. */
  readonly lost: readonly ShardId[]
  readonly members: readonly (Member & { readonly primaries: number; readonly replicas: number })[]
  readonly hasLease: boolean
  /** Of the shards that this node leads: those that serve now. */
  readonly leading: number
  readonly serving: number
  readonly entries: number
  readonly bytes: number
  readonly maxBytes: number
  readonly transfersOpen: number
  /** Shards with two copies in one zone although another zone has none. */
  readonly crowded: number
  /** How this node forgets; null: it is of a version that does not say. */
  readonly forgetting: Forgetting | null
  /** What becomes of its data at a planned stop, and became of it at the last; null: as above. */
  readonly disk: DiskReport | null
  /** Of a node that resumes: the addresses of those that it waits for; null: as above. */
  readonly awaited: readonly Address[] | null
}

/** By which rule entries are forgotten when memory ends; none: they are not, and writes are refused. */
export type Eviction = "s3fifo" | "lru" | "none"

/** What a node forgets for want of memory, and has forgotten since it started. */
export type Forgetting = {
  readonly eviction: Eviction
  /** Entries that it led. */
  readonly evicted: number
  /** Copies that it kept for others, by itself: it has less memory than what it backs. */
  readonly evictedCopies: number
}

export type DiskReport =
  /** It was given no directory: at a planned stop its copies are lost. */
  | { readonly kind: "none" }
  | { readonly kind: "idle" }
  | { readonly kind: "writing"; readonly entries: number }
  | { readonly kind: "written"; readonly entries: number; readonly bytes: number }
  /** It tries again until it is told to end. */
  | { readonly kind: "failed"; readonly detail: string }
  | { readonly kind: "loading"; readonly entries: number }

// ---------------------------------------------------------------------------------------------------- greeting

/** The first message on every connection between nodes, both ways. */
export type Hello = {
  readonly kind: "hello"
  readonly protoMin: number
  readonly protoMax: number
  readonly id: NodeId
  readonly addr: Address
  readonly link: LinkClass
  /** Empty while unknown (a joiner). */
  readonly clusterId: string
  readonly generation: number
  /** Place for a proof of a shared secret; null: none. */
  readonly auth: Uint8Array | null
  /** Which process of which machine this is, so that a peer on the same one can see it die; null: the system does not tell. */
  readonly process: ProcessMark | null
}

/** Names one process among all that ever ran: a number alone is used anew, and means nothing in another namespace. */
export type ProcessMark = {
  /** Of this run of the machine's kernel. */
  readonly bootId: string
  /** In which the number means this process. */
  readonly pidNamespace: string
  readonly pid: number
  /** When it started, in clock ticks since boot. */
  readonly startTicks: number
}

/** Sent instead of a greeting, or any time before closing: why this connection ends. */
export type Goodbye = {
  readonly kind: "goodbye"
  readonly reason:
    | "wrong-cluster"
    | "unsupported-proto"
    | "malformed"
    | "too-large"
    | "not-for-me"
    | "replaced"
    | "stopping"
    | "unauthorized"
  readonly detail: string
}
