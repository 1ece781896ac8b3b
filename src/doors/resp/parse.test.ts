import { deepEqual, equal, ok, throws } from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { CommandParser, type ParseLimits } from "./parse.ts"

const limits: ParseLimits = { maxWordBytes: 100, maxCommandBytes: 1_000, maxWords: 20, maxInlineBytes: 200 }

function parsed(chunks: readonly Buffer[], inline: "allowed" | "refused" = "allowed"): string[][] {
  const parser = new CommandParser({ limits, inline })
  const commands: string[][] = []
  for (const chunk of chunks) {
    parser.add(chunk)
    while (parser.next()) {
      const words = [parser.bytes.subarray(parser.nameStart, parser.nameEnd), ...parser.args()]
      commands.push(words.map(word => word.toString("latin1")))
    }
  }
  return commands
}

function encoded(commands: readonly (readonly Uint8Array[])[]): Buffer {
  return Buffer.concat(
    commands.flatMap(words => [
      Buffer.from(`*${words.length}\r\n`),
      ...words.flatMap(word => [Buffer.from(`$${word.length}\r\n`), Buffer.from(word), Buffer.from("\r\n")]),
    ]),
  )
}

test("commands are the same however their bytes are cut into chunks", () => {
  const command = fc.array(fc.uint8Array({ maxLength: 20 }), { minLength: 1, maxLength: 5 })
  fc.assert(
    fc.property(fc.array(command, { maxLength: 5 }), fc.array(fc.nat(200)), (commands, cuts) => {
      const bytes = encoded(commands)
      const places = [0, ...cuts.map(cut => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b)
      const chunks = places.slice(1).map((place, i) => bytes.subarray(places[i], place))
      const expected = commands.map(words => words.map(word => Buffer.from(word).toString("latin1")))
      deepEqual(parsed(chunks), expected)
    }),
  )
})

test("random bytes are commands or a protocol error, never anything else", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.constantFrom("allowed", "refused"), (bytes, inline) => {
      try {
        parsed([Buffer.from(bytes)], inline)
      } catch (error) {
        equal(error instanceof Error ? error.name : "", "ProtocolError")
      }
    }),
  )
})

for (const [line, words] of [
  ["PING\r\n", [["PING"]]],
  ["PING\n", [["PING"]]],
  ["\r\n\r\n", []],
  ["set  k   v \r\n", [["set", "k", "v"]]],
  ['set k "two words"\r\n', [["set", "k", "two words"]]],
  ["set k 'single ''\r\n", "unbalanced quotes"],
  ["set k 'it\\'s'\r\n", [["set", "k", "it's"]]],
  ['set k "\\x00\\n\\"a"\r\n', [["set", "k", '\0\n"a']]],
  ['set k "unclosed\r\n', "unbalanced quotes"],
  ['set k "a"b\r\n', "unbalanced quotes"],
  [`${"x".repeat(201)}`, "too big inline request"],
] as const)
  test(`the line ${JSON.stringify(line).slice(0, 40)}: ${JSON.stringify(words)}`, () => {
    if (typeof words === "string") throws(() => parsed([Buffer.from(line, "latin1")]), new RegExp(words))
    else deepEqual(parsed([Buffer.from(line, "latin1")]), words)
  })

for (const [bytes, problem] of [
  ["*21\r\n", "invalid multibulk length"],
  ["*1000000000000\r\n", "invalid multibulk length"],
  ["*x\r\n", "invalid multibulk length"],
  ["*1\r\n:5\r\n", "expected '\\$', got ':'"],
  ["*1\r\n$101\r\n", "invalid bulk length"],
  ["*1\r\n$-1\r\n", "invalid bulk length"],
  ["*1\r\n$1073741824\r\n", "invalid bulk length"],
  [`*20\r\n${`$90\r\n${"x".repeat(90)}\r\n`.repeat(20)}`, "too big command"],
] as const)
  test(`${JSON.stringify(bytes).slice(0, 40)} is refused: ${problem}`, () => {
    throws(() => parsed([Buffer.from(bytes)]), new RegExp(problem))
  })

test("an empty command, and one of no words, are passed over", () => {
  deepEqual(parsed([Buffer.from("*0\r\n*-1\r\n*1\r\n$4\r\nPING\r\n")]), [["PING"]])
})

test("a command in as many pieces as it has bytes is looked at once, and its memory is let go of", () => {
  const parser = new CommandParser({
    limits: { ...limits, maxCommandBytes: 100_000, maxWords: 10_000 },
    inline: "refused",
  })
  const bytes = encoded([Array.from({ length: 5_000 }, () => Buffer.from("word"))])
  let found = 0
  for (let i = 0; i < bytes.length; i++) {
    parser.add(bytes.subarray(i, i + 1))
    if (parser.next()) found = parser.count
    ok(parser.heldBytes <= 2 * bytes.length)
  }
  equal(found, 5_000)
  equal(parser.next(), false)
  equal(parser.heldBytes, 0)
})

test("words that were handed out stay as they are while more arrives", () => {
  const parser = new CommandParser({ limits, inline: "refused" })
  parser.add(Buffer.from("*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$3\r\nG"))
  ok(parser.next())
  const [first] = parser.args()
  equal(parser.next(), false)
  parser.add(Buffer.from("ET\r\n$1\r\nb\r\n*1"))
  ok(parser.next())
  const [second] = parser.args()
  equal(parser.next(), false)
  parser.add(Buffer.from("\r\n$4\r\nPING\r\n"))
  ok(parser.next())
  deepEqual([first?.toString(), second?.toString()], ["a", "b"])
})
