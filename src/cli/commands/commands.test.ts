/** What the functions behind the client commands print for each answer, without a process and without a cluster. */
import { deepEqual, equal, match, rejects, throws } from "node:assert/strict"
import { Readable, Writable } from "node:stream"
import { test } from "node:test"
import type { CallOutcome } from "../../client/call.ts"
import { maxValueBytes } from "../../protocol/limits.ts"
import type { Operation } from "../../protocol/message.ts"
import { type Asking, keyBytes } from "../asking.ts"
import { CommandFailure } from "../failure.ts"
import { deleteKeys } from "./delete.ts"
import { getValue } from "./get.ts"
import { increment } from "./incr.ts"
import { readValue, setValue } from "./set.ts"
import { touchKey } from "./touch.ts"
import { timeLeft } from "./ttl.ts"

class Bytes extends Writable {
  chunks: Buffer[] = []
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.chunks.push(chunk)
    done()
  }
  get text(): string {
    return Buffer.concat(this.chunks).toString("latin1")
  }
}

type Answers = (key: string, operation: Operation) => CallOutcome

async function tried(work: (asking: Asking) => Promise<number>, answers: Answers, format: "text" | "json" = "text") {
  const [stdout, stderr] = [new Bytes(), new Bytes()]
  const ask = async (key: Uint8Array, operation: Operation) => answers(new TextDecoder().decode(key), operation)
  const stdin = Readable.from([Buffer.from("from "), Buffer.from("stdin")])
  const code = await work({ ask, nodes: ["127.0.0.1:5555"], format, stdin, stdout, stderr })
  return { code, out: stdout.text, err: stderr.text }
}

const value = (text: string): CallOutcome => ({
  kind: "value",
  value: Buffer.from(text, "latin1"),
  flags: 3,
  version: 9,
})
const missing: Answers = () => ({ kind: "missing" })
const valueAndTtl: Answers = (_key, { op }) => (op === "ttl" ? { kind: "ttl", ttlMs: 1_500, version: 9 } : value("hé"))

type Row = {
  name: string
  work: (asking: Asking) => Promise<number>
  answers: Answers
  text: { code: number; out: string; err: string }
  json: { code: number; out: unknown }
}

const rows: Row[] = [
  {
    name: "get: exactly the bytes",
    work: asking => getValue(asking, "k"),
    answers: (_key, { op }) => (op === "ttl" ? { kind: "ttl", ttlMs: null, version: 9 } : value("\xff\x00\n")),
    text: { code: 0, out: "\xff\x00\n", err: "" },
    json: {
      code: 0,
      out: { key: "k", found: true, value: "/wAK", encoding: "base64", version: 9, flags: 3, ttlMs: null },
    },
  },
  {
    name: "get: no such key",
    work: asking => getValue(asking, "k"),
    answers: missing,
    text: { code: 1, out: "", err: 'dcache get: there is no key "k"\n' },
    json: { code: 1, out: { key: "k", found: false } },
  },
  {
    name: "set: stored",
    work: asking => setValue(asking, { key: "k", value: "v", ttlMs: null, condition: null }),
    answers: () => ({ kind: "stored", version: 4 }),
    text: { code: 0, out: "stored (version 4)\n", err: "" },
    json: { code: 0, out: { key: "k", stored: true, version: 4 } },
  },
  {
    name: "set: the key is there in another version",
    work: asking => setValue(asking, { key: "k", value: "v", ttlMs: null, condition: { if: "version", version: 2 } }),
    answers: () => ({ kind: "unmet", version: 4 }),
    text: { code: 1, out: "", err: 'dcache set: not stored: "k" is there, in version 4\n' },
    json: { code: 1, out: { key: "k", stored: false, reason: "unmet", version: 4 } },
  },
  {
    name: "set: the key is not there",
    work: asking => setValue(asking, { key: "k", value: "v", ttlMs: null, condition: { if: "present" } }),
    answers: missing,
    text: { code: 1, out: "", err: 'dcache set: not stored: there is no key "k"\n' },
    json: { code: 1, out: { key: "k", stored: false, reason: "missing" } },
  },
  {
    name: "delete: some were there",
    work: asking => deleteKeys(asking, ["a", "b"]),
    answers: key => (key === "a" ? { kind: "deleted" } : { kind: "missing" }),
    text: { code: 0, out: "deleted 1 of 2\n", err: "" },
    json: { code: 0, out: { deleted: ["a"], missing: ["b"] } },
  },
  {
    name: "delete: none was there",
    work: asking => deleteKeys(asking, ["a", "b"]),
    answers: missing,
    text: { code: 1, out: "", err: "dcache delete: none of the 2 keys was there\n" },
    json: { code: 1, out: { deleted: [], missing: ["a", "b"] } },
  },
  {
    name: "incr: the sum",
    work: asking => increment(asking, { key: "k", by: -5, ttlMs: null }),
    answers: (_key, operation) => ({
      kind: "counted",
      value: operation.op === "incr" ? operation.by : 0,
      version: 4,
      ttlMs: null,
    }),
    text: { code: 0, out: "-5\n", err: "" },
    json: { code: 0, out: { key: "k", value: -5, version: 4 } },
  },
  {
    name: "incr: a word",
    work: asking => increment(asking, { key: "k", by: 1, ttlMs: null }),
    answers: () => ({ kind: "not-a-number" }),
    text: {
      code: 1,
      out: "",
      err: 'dcache incr: the value of "k" is not a whole number, or the sum would not be one that can be told exactly\n',
    },
    json: { code: 1, out: { key: "k", value: null, reason: "not-a-number" } },
  },
  {
    name: "ttl: a key that stays",
    work: asking => timeLeft(asking, "k"),
    answers: () => ({ kind: "ttl", ttlMs: null, version: 4 }),
    text: { code: 0, out: "never\n", err: "" },
    json: { code: 0, out: { key: "k", found: true, ttlMs: null, version: 4 } },
  },
  {
    name: "ttl: no such key",
    work: asking => timeLeft(asking, "k"),
    answers: missing,
    text: { code: 1, out: "", err: 'dcache ttl: there is no key "k"\n' },
    json: { code: 1, out: { key: "k", found: false } },
  },
  {
    name: "touch: silent when done",
    work: asking => touchKey(asking, { key: "k", ttlMs: 5 }),
    answers: () => ({ kind: "touched", version: 4 }),
    text: { code: 0, out: "", err: "" },
    json: { code: 0, out: { key: "k", found: true, ttlMs: 5, version: 4 } },
  },
]

for (const { name, work, answers, text, json } of rows) {
  test(name, async () => {
    deepEqual(await tried(work, answers), text)
    const asJson = await tried(work, answers, "json")
    deepEqual({ code: asJson.code, out: JSON.parse(asJson.out) }, json)
    equal(asJson.err, "")
  })
}

test("get --json shows text as text, with the time left", async () => {
  const { out } = await tried(asking => getValue(asking, "k"), valueAndTtl, "json")
  equal(JSON.parse(out).ttlMs, 1_500)
})

const failures = [
  { code: "unreachable", mayHaveHappened: "no", exit: 3, line: /^nobody answers at 127.0.0.1:5555; start a node/ },
  { code: "timeout", mayHaveHappened: "no", exit: 3, line: /^no answer in time; .*--timeout$/ },
  {
    code: "timeout",
    mayHaveHappened: "unknown",
    exit: 4,
    line: /^no answer \(timeout\): it may have taken effect or not/,
  },
  { code: "unreachable", mayHaveHappened: "unknown", exit: 4, line: /may have taken effect/ },
  { code: "minority", mayHaveHappened: "no", exit: 5, line: /^refused, minority/ },
  { code: "full", mayHaveHappened: "no", exit: 5, line: /^refused, full: .*--memory$/ },
  { code: "busy", mayHaveHappened: "no", exit: 5, line: /^refused, busy/ },
  { code: "value-too-large", mayHaveHappened: "no", exit: 5, line: /larger than 8 ?MiB/ },
] as const

for (const { code, mayHaveHappened, exit, line } of failures) {
  test(`${code}, effect ${mayHaveHappened}: exit ${exit}`, async () => {
    const failed = tried(
      asking => increment(asking, { key: "k", by: 1, ttlMs: null }),
      () => ({ kind: "failed", code, mayHaveHappened }),
    )
    await rejects(failed, (error: unknown) => {
      if (!(error instanceof CommandFailure)) return false
      equal(error.exitCode, exit)
      match(error.message, line)
      return true
    })
  })
}

test("set - stores what standard input says", async () => {
  let stored = ""
  const answers: Answers = (_key, operation) => {
    if (operation.op === "set") stored = Buffer.from(operation.value).toString()
    return { kind: "stored", version: 1 }
  }
  await tried(asking => setValue(asking, { key: "k", value: "-", ttlMs: null, condition: null }), answers)
  equal(stored, "from stdin")
})

test("standard input is read no further than a value may be long", async () => {
  const piece = new Uint8Array(1024 * 1024)
  let pieces = 0
  function* endless(): Generator<Uint8Array> {
    for (;;) {
      pieces++
      yield piece
    }
  }
  await rejects(readValue(Readable.from(endless())), /refused: the value is larger than 8 ?MiB/)
  // What a stream reads ahead is bounded as well; a test that read on would never end.
  equal(pieces < 2 * (maxValueBytes / piece.length), true)
})

test("a key that no node would take is refused before anybody is asked", () => {
  equal(keyBytes("é".repeat(2_048)).length, 4_096)
  throws(() => keyBytes("é".repeat(2_049)), /refused: the key is longer than 4096 bytes/)
})
