import { equal, match, ok } from "node:assert/strict"
import { test } from "node:test"
import picocolors from "picocolors"
import type { ClusterStatus, MemberStatus } from "./cluster-status.ts"
import type { NodeSample } from "./node-sample.ts"
import { countText, lookAt, plainLines, screenLines } from "./top-text.ts"

const colours = picocolors.createColors(false)

function member(index: number, more: Partial<MemberStatus> = {}): MemberStatus {
  const node = { hasLease: true, entries: 1_234_567, bytes: 3 * 2 ** 30, maxBytes: 4 * 2 ** 30, leading: 1_024 }
  return {
    id: `${index}`,
    name: `a-host-with-a-long-name-${index}`,
    role: "witness",
    leaving: false,
    node: { ...node, transfersOpen: 12_345 },
    ...more,
  } as MemberStatus // of all that a node says of itself, what is shown
}

function status(members: readonly MemberStatus[], more: Partial<ClusterStatus> = {}): ClusterStatus {
  const state = { clusterId: "0123456789abcdef", epoch: 99, underReplicated: 0, orphans: 0, differences: [] }
  return { ...state, members, ...more } as ClusterStatus
}

const sample = (atMs: number, operations: number, hits: number): NodeSample => ({
  ...{ atMs, operations, refused: 0, hits, misses: 10, evicted: 0, cpuS: atMs / 1_000, residentBytes: 0 },
  latency: [
    [0.002, operations],
    [Number.POSITIVE_INFINITY, operations],
  ],
})

const members = [member(1), member(2), member(3, { node: null })]
const before = new Map([
  ["1", sample(0, 0, 0)],
  ["2", sample(0, 0, 0)],
])
const after = new Map([
  ["1", sample(1_000, 100, 90)],
  ["2", sample(1_000, 123_456_789, 0)],
])
const look = lookAt(status(members), before, after)

test("nothing is wider than the terminal, however long names and numbers are", () => {
  for (const width of [80, 40, 1])
    for (const line of screenLines(look, { width, height: 24, order: "name", colours }))
      ok(line.length <= width, `${line.length} of ${width}: ${line}`)
})

test("a row has a member's figures, one that does not answer says so", () => {
  const lines = screenLines(look, { width: 80, height: 24, order: "name", colours })
  match(lines.join("\n"), /^a-host-with-a-… witness +100 +2\.0ms 100% +1\.2M +3\.0G 75% 100% +1024 12345$/m)
  match(lines.join("\n"), /no answer/)
  match(lines[1] ?? "", /^123\.5M operations\/s +p99 2\.0ms +hits 100%/)
})

test("rows are ordered as asked, and those without room are counted", () => {
  const lines = screenLines(look, { width: 80, height: 7, order: "operations", colours })
  equal(lines.length, 7)
  match(lines[4] ?? "", /123\.5M/)
  equal(lines[5], "and 2 more")
})

test("what needs a person is said above the rows", () => {
  const alarmed = status([member(1, { node: null })], { orphans: 3, differences: ["n1 does not answer: timeout"] })
  const lines = screenLines(lookAt(alarmed, before, after), { width: 80, height: 24, order: "name", colours })
  match(
    lines.join("\n"),
    /no node has a lease: everything is refused\n3 shards lost all holders.*\nn1 does not answer: timeout\n/,
  )
})

test("where nobody looks at a screen, a line for the cluster and one for each member", () => {
  const lines = plainLines(look, "12:00")
  equal(lines.length, 4)
  match(
    lines[0] ?? "",
    /^12:00 cluster members=3 epoch=99 ops\/s=123456889 p99=2\.0ms hits=100% refused\/s=0 copying=0$/,
  )
  equal(lines[3], "12:00 a-host-with-a-long-name-3 no answer")
})

test("counts take seven characters at most", () => {
  for (const [count, text] of [
    [undefined, "-"],
    [0, "0"],
    [0.25, "0.3"],
    [99_999, "99999"],
    [123_456, "123k"],
    [1_234_567, "1.2M"],
    [98_765_432_100, "98.8G"],
  ] as const)
    equal(countText(count), text)
})
