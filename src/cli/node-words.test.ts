import { deepEqual, equal, match } from "node:assert/strict"
import { test } from "node:test"
import {
  diskNotice,
  type Greeting,
  greetingLines,
  joinRefusalText,
  leavingText,
  noticeOf,
  resumptionLine,
  stillTrying,
  stoppedText,
} from "./node-words.ts"

const node: Greeting = {
  version: "0.1.0",
  name: "n1",
  address: "10.0.0.7:5555",
  clientAddress: "cache.example.org:80",
  listening: "127.0.0.1:5555",
  choice: { kind: "default" },
  role: "member",
  statedZone: undefined,
  statedMemoryBytes: undefined,
  availableBytes: 16 * 1024 ** 3,
  reach: "this machine",
}

test("the first lines: the address, how to join it, how to use it", () => {
  deepEqual(greetingLines(node), [
    "dcache 0.1.0: node n1 at 10.0.0.7:5555",
    "  join it:  dcache node --join 10.0.0.7:5555",
    "  use it:   dcache set greeting hello --node cache.example.org:80",
  ])
})

const fourthLines = [
  {
    change: { statedMemoryBytes: 64 * 1024 * 1024 },
    line: /^memory 64 MiB: a node takes about 128 MiB by itself, .* entries get 16 MiB$/,
    because: "what was asked for cannot be kept to",
  },
  {
    change: { statedMemoryBytes: 100 * 1024 ** 3 },
    line: /^warning: memory 100 GiB is more than there is here \(16 GiB\)/,
    because: "it would be killed before it evicts",
  },
  {
    change: { listening: "0.0.0.0:5555", reach: "others" },
    line: /^warning: listening on 0\.0\.0\.0:5555 without a secret/,
    because: "others can reach it",
  },
  {
    change: { listening: "127.0.0.1:5556", choice: { kind: "next-port" } },
    line: /127\.0\.0\.1:5556, the first port free; it takes less memory/,
    because: "nobody asked for that port",
  },
  {
    change: { ...{ listening: "127.0.0.1:5556", statedMemoryBytes: 2 ** 30 }, choice: { kind: "next-port" } },
    line: /127\.0\.0\.1:5556, the first port free$/,
    because: "nobody asked for that port, but somebody for that much memory",
  },
  {
    change: { choice: { kind: "reaches-seed", seed: "10.0.0.1:5555" } },
    line: /from where 10\.0\.0\.1:5555 is reached/,
    because: "nobody asked for that address",
  },
  { change: { role: "witness" }, line: /^witness: it votes .*no data/, because: "it holds nothing" },
  { change: { statedZone: "east" }, line: /^zone east: /, because: "somebody stated a zone" },
] as const
for (const { change, line, because } of fourthLines) {
  test(`a fourth line, one alone: ${because}`, () => {
    const lines = greetingLines({ ...node, ...change })
    equal(lines.length, 4)
    match(lines[3] ?? "", line)
  })
}

test("whom it tries, where the address comes from, and what was said there", () => {
  equal(stillTrying(["a:1", "b:2"], "options", undefined), "still trying to join through a:1, b:2")
  match(stillTrying(["a:1"], "hint-file", undefined), /a:1, known from an earlier run; --bootstrap/)
  match(
    stillTrying(["a:1"], "options", joinRefusalText("no-dial-back", "nobody answers at x")),
    /; join refused: nobody answers at x; .*--advertise/,
  )
})

test("who restarts is told whom it waits for, and what may be done about it", () => {
  const missing = ["a:1", "b:2"]
  match(noticeOf({ kind: "awaiting", missing, to: "form" }) ?? "", /^waiting for a:1, b:2: .*anew, empty;.*--bootstrap/)
  match(
    noticeOf({ kind: "awaiting", missing, to: "resume" }) ?? "",
    /^waiting for a:1, b:2: .*where it stopped;.*dcache recover/,
  )
})

test("of a snapshot people are told how old it is, and what became of it", () => {
  const resumes = { kind: "resumes", path: "/d/snapshot", wallMs: 1_000, entries: 2 } as const
  equal(resumptionLine(resumes, 61_000), "resuming with 2 entries, written to /d/snapshot 1m ago")
  equal(
    resumptionLine(resumes, 0),
    "resuming with 2 entries, written to /d/snapshot 1s ago",
    "a calendar that went back",
  )
  match(stoppedText({ kind: "written", entries: 1, bytes: 2_048 }, "/d"), /^stopped: 1 entry \(2 KiB\) written to \/d;/)
  match(stoppedText({ kind: "none" }, undefined), /no --data, so what it held is gone/)
  match(stoppedText({ kind: "failed", detail: "the disk is full" }, "/d"), /its data is lost: .*: the disk is full$/)
  match(
    diskNotice({ kind: "failed", detail: "the disk is full" }) ?? "",
    /cannot be written: the disk is full; it tries again/,
  )
  equal(diskNotice({ kind: "idle" }), undefined)
})

test("people are told of members that come and go, not of every view", () => {
  const view = {
    kind: "view-installed",
    epoch: 9,
    membersEpoch: 9,
    members: 3,
    gap: false,
    underReplicated: 0,
  } as const
  equal(noticeOf({ ...view, joined: ["a", "b"], gone: ["c"] }), "3 members now: 2 joined, 1 gone")
  equal(noticeOf({ ...view, joined: [], gone: [] }), undefined)
  equal(noticeOf({ kind: "lease-lost" }), undefined)
  match(noticeOf({ kind: "minority", voters: 3 }) ?? "", /^no majority of the 3 voters is heard: .* refused/)
  match(noticeOf({ kind: "majority-again", afterMs: 1_500 }) ?? "", /heard again, after 1s500ms$/)
  equal(leavingText(1), "leaving: 1 shard left to hand over; once more stops at once")
})
