/** Nodes a, b, c; each report lists the members it was given by their letters. */
import { deepEqual, equal, match } from "node:assert/strict"
import { test } from "node:test"
import type { StatusReport } from "../protocol/message.ts"
import { clusterStatus, type NodeAnswer } from "./cluster-status.ts"
import { coloursFor } from "./output.ts"
import { statusText } from "./status-text.ts"

function member(name: string): StatusReport["members"][number] {
  const address = `${name}:5555`
  const self = {
    id: name.repeat(16),
    name,
    addr: address,
    clientAddr: address,
    zone: "",
    witness: false,
    protoMin: 1,
    protoMax: 1,
  }
  return { ...self, since: 1, voter: name !== "c", leaving: false, primaries: 5, replicas: 10 }
}

function answer(name: string, lists: string, change: Partial<StatusReport> = {}): NodeAnswer {
  const { id, addr } = member(name)
  const report: StatusReport = {
    id,
    name,
    addr,
    phase: "member",
    version: "0.1.0",
    clusterId: "one",
    epoch: 7,
    membersEpoch: 5,
    copies: 2,
    proto: 1,
    lost: [],
    shardCount: 15,
    underReplicated: 0,
    orphans: 0,
    members: [...lists].map(member),
    hasLease: true,
    leading: 5,
    serving: 5,
    entries: 3,
    bytes: 2_048,
    maxBytes: 1_048_576,
    transfersOpen: 0,
    crowded: 0,
    forgetting: { eviction: "s3fifo", evicted: 0, evictedCopies: 0 },
    disk: { kind: "none" },
    awaited: [],
    ...change,
  }
  return { address: addr, report }
}

const silent = (name: string): NodeAnswer => ({ address: `${name}:5555`, report: null, problem: "connection refused" })

const cases: { answers: NodeAnswer[]; agreed: boolean; differences: string[]; because: string }[] = [
  {
    answers: [answer("a", "abc"), answer("b", "abc"), answer("c", "abc")],
    agreed: true,
    differences: [],
    because: "all list all",
  },
  {
    answers: [answer("a", "ab", { epoch: 6 }), answer("b", "abc"), answer("c", "abc")],
    agreed: false,
    differences: ["a (a:5555) is at epoch 6 of 7 and does not list c (c:5555)"],
    because: "one has not heard of the newest member",
  },
  {
    answers: [answer("a", "abc", { epoch: 6 }), answer("b", "ab")],
    agreed: false,
    differences: ["a (a:5555) is at epoch 6 of 7 and still lists c (c:5555)"],
    because: "one has not heard that a member went",
  },
  {
    answers: [answer("a", "abc", { epoch: 6 }), answer("b", "abc"), answer("c", "abc")],
    agreed: true,
    differences: [],
    because: "epochs move on while copies move; the lists count",
  },
  {
    answers: [answer("a", "abc"), answer("b", "abc"), silent("c")],
    agreed: false,
    differences: ["c:5555 does not answer: connection refused"],
    because: "a member that is silent cannot agree",
  },
  {
    answers: [answer("a", "ab"), answer("b", "ab"), answer("c", "", { epoch: 0, phase: "joining" })],
    agreed: false,
    differences: ["c (c:5555) is not a member yet: joining"],
    because: "a joiner is told apart from a stranger",
  },
  {
    answers: [answer("a", "ab"), answer("b", "ab"), answer("c", "c", { clusterId: "two", epoch: 2 })],
    agreed: false,
    differences: ["c (c:5555) belongs to another cluster, two"],
    because: "two clusters are two clusters",
  },
]

for (const { answers, agreed, differences, because } of cases) {
  test(`clusterStatus: ${because}, in whatever order they answer`, () => {
    for (const ordered of [answers, [...answers].reverse()]) {
      const status = clusterStatus(ordered)
      equal(status?.agreed, agreed)
      deepEqual(status?.differences, differences)
    }
  })
}

test("clusterStatus: nobody, or nobody with a view, is no cluster", () => {
  equal(clusterStatus([silent("a")]), undefined)
  equal(clusterStatus([answer("a", "", { epoch: 0, phase: "joining" })]), undefined)
})

function text(answers: NodeAnswer[]): string {
  const status = clusterStatus(answers)
  return status ? statusText(status, coloursFor(process.stdout, { NO_COLOR: "1" })) : ""
}

test("statusText: a row for each member, aligned, and how the copies stand", () => {
  const lines = text([answer("a", "abc"), answer("b", "abc"), silent("c")]).split("\n")
  equal(lines[0], "cluster one: 3 members, epoch 7 (members since 5), 2 copies of 15 shards")
  equal(lines[2], "NAME  ADDRESS  ROLE    ENTRIES           BYTES  EVICTED  PRIMARIES  REPLICAS  LEASE      EPOCH")
  match(lines[3] ?? "", /^a {5}a:5555 {3}voter {9}3 +2\S* ?KiB of 1\S* ?MiB {8}0 {10}5 {8}10 {2}held {11}7$/)
  match(lines[5] ?? "", /^c {5}c:5555 {3}member .* - .*no answer {6}-$/)
  deepEqual(lines.slice(6), ["", "differs: c:5555 does not answer: connection refused", "copies complete", ""])
  match(text([answer("a", "a", { underReplicated: 3 })]), /\n3 shards being copied\n$/)
  match(text([answer("a", "a", { orphans: 1 })]), /\n1 shard lost all holders: .*refused.*\n.*\n.*dcache forget/)
  match(
    text([answer("a", "abc", { hasLease: false }), silent("b"), silent("c")]),
    /\nno lease: everything is refused until a majority of the \d voters? is heard; .*recover\ncopies complete\n$/,
  )
  match(text([answer("a", "a", { crowded: 2 })]), /\n2 shards with two copies in one zone/)
  const forgetting = { eviction: "lru", evicted: 41, evictedCopies: 7 } as const
  const crowded = text([answer("a", "a", { forgetting })])
  match(crowded, /MiB {7}41 /)
  match(crowded, /\na has too little memory for its share: it dropped 7 copies of others' entries\n/)
  match(text([answer("a", "a", { forgetting: { ...forgetting, eviction: "none" } })]), /MiB {5}none /)
  match(text([answer("a", "a", { forgetting: null })]), /MiB {8}- /)
  match(text([answer("a", "a", { lost: [3, 4, 5, 9] })]), /\ndata lost: 4 shards of 15 .* empty: 3-5, 9\n/)
})

test("statusText: zones are shown when there are several, and who leaves with what is left to hand over", () => {
  const zoned = (name: string, zone: string, leaving: boolean) => ({ ...member(name), zone, leaving })
  const members = [zoned("a", "east", false), zoned("b", "west", true)]
  const shown = text(["a", "b"].map(name => answer(name, "", { members })))
  match(shown, /\nNAME  ADDRESS  ZONE  ROLE /)
  match(shown, /\nb {5}b:5555 {3}west  voter, leaving /)
  match(shown, /\nb is leaving: 10 shards left to hand over\n/)
})
