/** One event a line, whatever is in it. */
import { deepEqual, equal } from "node:assert/strict"
import { PassThrough } from "node:stream"
import { test } from "node:test"
import { createLog, type LogLevel } from "./log.ts"

function written(format: "json" | "text", level: LogLevel, write: (log: ReturnType<typeof createLog>) => void): string {
  const stream = new PassThrough()
  write(createLog({ stream, format, level, wallMs: () => Date.UTC(2026, 0, 2, 3, 4, 5, 678) }))
  return stream.read()?.toString() ?? ""
}

test("for machines, an event is one line of JSON", () => {
  const line = written("json", "info", log => log.event("warn", "link-ended", { peer: "a\nb", tookMs: 1.25 }))
  equal(line.indexOf("\n"), line.length - 1)
  const event = { time: "2026-01-02T03:04:05.678Z", level: "warn", event: "link-ended", peer: "a\nb", tookMs: 1.25 }
  deepEqual(JSON.parse(line), event)
})

test("for people, it is words, and what could move a cursor is quoted", () => {
  const line = written("text", "info", log =>
    log.event("info", "joined", { epoch: 3, lateByMs: 80.123, detail: "\u001b[2J two words", asking: ["a:1", "b:2"] }),
  )
  equal(line, '03:04:05.678 info  joined epoch=3 lateByMs=80.1 detail="\\u001b[2J two words" asking=[a:1,b:2]\n')
})

test("events below the level are not written", () => {
  equal(
    written("text", "warn", log => log.event("info", "joined")),
    "",
  )
})

test("a reader that goes away does not take the node with it", () => {
  const stream = new PassThrough()
  createLog({ stream, format: "json", level: "info", wallMs: () => 0 })
  // A stream whose errors nobody listens to would throw here.
  stream.emit("error", new Error("EPIPE"))
})
