import { equal } from "node:assert/strict"
import { test } from "node:test"
import type { StatusReport } from "../../src/protocol/message.ts"
import { disagreement, incompleteness, unrest } from "./agreement.ts"

/** A report of node `id` that lists `members`, letter by letter. */
function report(id: string, members: string, more: Partial<StatusReport> = {}): StatusReport {
  return {
    id,
    name: id,
    addr: `127.0.0.1:${id.charCodeAt(0)}`,
    phase: "member",
    version: "0",
    clusterId: "c",
    epoch: 9,
    membersEpoch: 4,
    copies: 2,
    proto: 1,
    lost: [],
    shardCount: 16,
    underReplicated: 0,
    orphans: 0,
    members: [...members].map(letter => ({
      id: letter,
      name: letter,
      addr: "",
      clientAddr: "",
      zone: "",
      witness: false,
      protoMin: 1,
      protoMax: 1,
      since: 1,
      voter: true,
      leaving: false,
      primaries: 1,
      replicas: 1,
    })),
    hasLease: true,
    leading: 1,
    serving: 1,
    entries: 0,
    bytes: 0,
    maxBytes: 1,
    transfersOpen: 0,
    crowded: 0,
    forgetting: null,
    disk: { kind: "none" },
    awaited: [],
    ...more,
  }
}

const cases = [
  { reports: [report("a", "ab"), report("b", "ab")], problem: undefined },
  { reports: [report("a", "ab"), report("b", "ab", { epoch: 8 })], problem: undefined },
  {
    reports: [report("a", "ab"), report("b", "ab", { membersEpoch: 3 })],
    problem: "b has the list of epoch 3, a that of 4",
  },
  { reports: [report("a", "abc"), report("b", "ab")], problem: "a still lists c" },
  { reports: [report("a", "a"), report("b", "ab")], problem: "a lists 1 members, 1 of those running are missing" },
  { reports: [report("a", "a", { phase: "joining" })], problem: "a is joining" },
  { reports: [report("a", "ab"), report("b", "ba")], problem: "b has the list of epoch 4, a that of 4" },
  { reports: [], problem: "no node is running" },
]

for (const { reports, problem } of cases)
  test(`disagreement: ${problem ?? "none"} (${reports.map(each => each.name).join(" ")})`, () => {
    equal(disagreement(reports.map(each => ({ name: each.name, report: each }))), problem)
  })

test("a silent node is no agreement", () => {
  const sightings = [
    { name: "a", report: report("a", "a") },
    { name: "b", report: undefined },
  ]
  equal(disagreement(sightings), "b does not answer")
  equal(incompleteness(sightings), "b does not answer")
})

test("copies are complete when every node says so", () => {
  const all = [report("a", "ab"), report("b", "ab", { underReplicated: 3 })].map(each => ({
    name: each.name,
    report: each,
  }))
  equal(incompleteness(all), "3 shards lack copies in the eyes of b")
  equal(incompleteness(all.slice(0, 1)), undefined)
})

const movements = [
  { more: {}, problem: undefined },
  { more: { hasLease: false }, problem: "b has no lease" },
  { more: { leading: 5, serving: 4 }, problem: "b serves 4 of the 5 shards that it leads" },
  { more: { transfersOpen: 2 }, problem: "b moves 2 shards" },
]

for (const { more, problem } of movements)
  test(`unrest: ${problem ?? "none"}`, () => {
    const reports = [report("a", "ab"), report("b", "ab", more)]
    equal(unrest(reports.map(each => ({ name: each.name, report: each }))), problem)
  })
