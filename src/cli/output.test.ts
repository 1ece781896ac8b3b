import { deepEqual, equal, throws } from "node:assert/strict"
import { Writable } from "node:stream"
import { test } from "node:test"
import { coloursFor, ignoreClosedPipes, Progress, writeAtItsPace } from "./output.ts"

class Screen extends Writable {
  readonly isTTY: boolean
  readonly columns = 20
  text = ""
  constructor(kind: "terminal" | "file") {
    super()
    this.isTTY = kind === "terminal"
  }
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString()
    done()
  }
}

const colourCases = [
  { kind: "terminal", env: {}, coloured: true, because: "somebody looks" },
  { kind: "file", env: {}, coloured: false, because: "nobody looks" },
  { kind: "terminal", env: { NO_COLOR: "1" }, coloured: false, because: "somebody said no" },
  { kind: "terminal", env: { NO_COLOR: "" }, coloured: true, because: "an empty NO_COLOR says nothing" },
  { kind: "terminal", env: { TERM: "dumb" }, coloured: false, because: "the terminal cannot" },
  { kind: "file", env: { FORCE_COLOR: "1" }, coloured: true, because: "somebody insists" },
] as const
for (const { kind, env, coloured, because } of colourCases) {
  test(`colours on a ${kind} with ${JSON.stringify(env)}: ${coloured}, ${because}`, () =>
    equal(coloursFor(new Screen(kind), env).isColorSupported, coloured))
}

test("Progress draws over itself, cut to the width, no faster than can be read", () => {
  const screen = new Screen("terminal")
  let nowMs = 0
  const progress = new Progress(screen, () => nowMs)
  progress.show("12 left")
  progress.show("11 left")
  nowMs = 100
  progress.show("a line that is longer than the screen")
  progress.clear()
  progress.clear()
  deepEqual(screen.text.split("\r\x1b[2K"), ["", "12 left", "a line that is long", ""])
})

test("Progress says nothing where nobody looks", () => {
  const file = new Screen("file")
  const progress = new Progress(file)
  progress.show("12 left")
  progress.clear()
  equal(file.text, "")
})

test("a reader that goes away is no failure; another error of a stream is", () => {
  const screen = new Screen("file")
  ignoreClosedPipes(screen)
  screen.emit("error", closedPipe)
  throws(() => screen.emit("error", Object.assign(new Error("disk full"), { code: "ENOSPC" })), /disk full/)
})

test("what is written at the reader's pace ends when the reader goes away while it is waited for", async () => {
  const pipe = new Writable({ highWaterMark: 1, write: (_bytes, _encoding, done) => setImmediate(done, closedPipe) })
  ignoreClosedPipes(pipe)
  equal(await writeAtItsPace(pipe, Buffer.from("ab")), false)
  const slow = new Writable({ highWaterMark: 1, write: (_bytes, _encoding, done) => setImmediate(done) })
  equal(await writeAtItsPace(slow, Buffer.from("ab")), true)
})

const closedPipe = Object.assign(new Error("write EPIPE"), { code: "EPIPE" })
