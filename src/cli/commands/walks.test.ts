/** What `keys` and `clear` print and how they end, without a process and without a cluster. */
import { deepEqual, equal, match, rejects } from "node:assert/strict"
import { PassThrough, Readable, Writable } from "node:stream"
import { test } from "node:test"
import type { CallOutcome } from "../../client/call.ts"
import type { Asking } from "../../client/walk.ts"
import type { ShardOperation } from "../../protocol/message.ts"
import { CommandFailure, UsageError } from "../failure.ts"
import { clearKeys } from "./clear.ts"
import { listKeys } from "./keys.ts"

class Output extends Writable {
  text = ""
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString("latin1")
    done()
  }
}

type Answers = (operation: ShardOperation) => CallOutcome

/** A cluster of one shard. */
function cluster(answers: Answers) {
  const view = { epoch: 1, hashKey: [1, 2], primaries: [0] } as const
  const asking: Asking = { view: () => view, ask: async operation => answers(operation) }
  return { walk: async () => asking, nodes: ["127.0.0.1:5555"] }
}

const holding =
  (...keys: string[]): Answers =>
  operation => {
    if (operation.op === "size") return { kind: "size", entries: keys.length, bytes: 0, next: null }
    const prefix = Buffer.from(operation.prefix).toString("latin1")
    const found = keys.filter(key => key.startsWith(prefix))
    if (operation.op === "clear") return { kind: "cleared", count: found.length, next: null }
    const entries = found.map(key => ({ key: Buffer.from(key, "latin1"), details: null, value: null }))
    return { kind: "page", entries, next: null }
  }

const refusing = (op: ShardOperation["op"], mayHaveHappened: "no" | "unknown", otherwise: Answers): Answers => {
  const failed = { kind: "failed", code: "minority", mayHaveHappened } as const
  return operation => (operation.op === op ? failed : otherwise(operation))
}

async function keys(answers: Answers, options: { prefix?: string; format?: "text" | "json" } = {}) {
  const stdout = new Output()
  const { prefix = "", format = "text" } = options
  const code = await listKeys({ ...cluster(answers), prefix: Buffer.from(prefix), format, stdout })
  return { code, out: stdout.text }
}

async function clear(answers: Answers, options: { prefix?: string; format?: "text" | "json"; typed?: string } = {}) {
  const { prefix = "", format = "text", typed } = options
  const [stdout, stderr] = [new Output(), new Output()]
  const stdin = Object.assign(Readable.from([typed ?? ""]), { isTTY: true, setRawMode: () => {} })
  const consent = typed === undefined ? "given" : "to-ask"
  const code = await clearKeys({ ...cluster(answers), ...{ prefix, format, consent, stdin, stdout, stderr } })
  return { code, out: stdout.text, err: stderr.text }
}

test("keys: one a line, byte for byte", async () => {
  deepEqual(await keys(holding("a", "\xff\x00", "b")), { code: 0, out: "a\n\xff\x00\nb\n" })
  deepEqual(await keys(holding()), { code: 0, out: "" })
  deepEqual(await keys(holding("user:1", "other"), { prefix: "user:" }), { code: 0, out: "user:1\n" })
})

test("keys --json: one object a line, and bytes that are no text as base64", async () => {
  const { out } = await keys(holding("a\n", "\xff"), { format: "json" })
  deepEqual(
    out.trimEnd().split("\n").map(line => JSON.parse(line)), // biome-ignore format: one line says it
    [{ key: "a\n", encoding: "text" }, { key: "/w==", encoding: "base64" }], // biome-ignore format: one line says it
  )
})

test("keys ends when its reader has gone", async () => {
  let asked = 0
  const endless: Answers = () => {
    asked += 1
    const key = Buffer.from("k".repeat(100_000))
    return { kind: "page", entries: [{ key, details: null, value: null }], next: { position: asked, after: null } }
  }
  const stdout = new PassThrough()
  stdout.once("data", () => stdout.destroy())
  equal(await listKeys({ ...cluster(endless), prefix: Buffer.of(), format: "text", stdout }), 0)
  equal(asked < 10, true)
})

test("clear: how many there were, also none", async () => {
  deepEqual(await clear(holding("a", "b")), { code: 0, out: "deleted 2\n", err: "" })
  deepEqual(await clear(holding("a", "b"), { prefix: "x" }), { code: 0, out: "deleted 0\n", err: "" })
  deepEqual(JSON.parse((await clear(holding("a"), { format: "json" })).out), { deleted: 1 })
})

test("clear asks before it does anything", async () => {
  const asked = await clear(holding("user:1", "b"), { typed: "y\n", prefix: "user:" })
  equal(asked.out, "deleted 1\n")
  match(asked.err, /Delete all keys that begin with "user:", of about 2 in the cluster\? \[y\/N\]/)
  let cleared = 0
  const watched: Answers = operation => {
    if (operation.op === "clear") cleared += 1
    return holding("a")(operation)
  }
  const declined = clear(watched, { typed: "n\n" })
  await rejects(declined, (error: unknown) => error instanceof CommandFailure && error.exitCode === 1)
  equal(cleared, 0)
})

test("clear in a script needs --yes", async () => {
  const stdin = Readable.from([])
  const stdout = new Output()
  const asking = { ...cluster(holding("a")), prefix: "", consent: "to-ask", format: "text" } as const
  await rejects(clearKeys({ ...asking, stdin, stdout, stderr: stdout }), UsageError)
})

test("a refusal in the middle has its exit status, and says what it leaves behind", async () => {
  const failing = (code: number, message: RegExp) => (error: unknown) => {
    if (!(error instanceof CommandFailure)) return false
    equal(error.exitCode, code)
    match(error.message, message)
    return true
  }
  await rejects(keys(refusing("scan", "no", holding("a"))), failing(5, /^refused, minority/))
  await rejects(
    clear(refusing("clear", "unknown", holding("a"))),
    failing(4, /may have taken effect.*some keys may be gone, run it again for the rest/),
  )
  await rejects(keys(() => ({ kind: "missing" })), failing(70, /does not fit/)) // biome-ignore format: one line says it
})
