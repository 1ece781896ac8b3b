import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import { array, bulk, error, integer, nil, ok, type Reply, ReplyWriter, type RespVersion } from "./reply.ts"

function written(version: RespVersion, ...replies: readonly Reply[]): string {
  const writer = new ReplyWriter()
  writer.version = version
  for (const reply of replies) writer.write(reply)
  return Buffer.concat(writer.take()).toString("latin1")
}

const rows: readonly { reply: Reply; resp2: string; resp3?: string }[] = [
  { reply: ok, resp2: "+OK\r\n" },
  { reply: error("ERR two\r\nlines, and ü"), resp2: "-ERR two lines, and ?\r\n" },
  { reply: integer(7), resp2: ":7\r\n" },
  { reply: integer(-120), resp2: ":-120\r\n" },
  { reply: integer(9_223_372_036_854_775_807n), resp2: ":9223372036854775807\r\n" },
  { reply: bulk("ü"), resp2: "$2\r\n\xc3\xbc\r\n" },
  { reply: bulk(""), resp2: "$0\r\n\r\n" },
  { reply: nil, resp2: "$-1\r\n", resp3: "_\r\n" },
  { reply: { kind: "nil-array" }, resp2: "*-1\r\n", resp3: "_\r\n" },
  { reply: array([integer(1), array([])]), resp2: "*2\r\n:1\r\n*0\r\n" },
  { reply: { kind: "set", items: [ok] }, resp2: "*1\r\n+OK\r\n", resp3: "~1\r\n+OK\r\n" },
  { reply: { kind: "push", items: [ok] }, resp2: "*1\r\n+OK\r\n", resp3: ">1\r\n+OK\r\n" },
  {
    reply: { kind: "map", entries: [[bulk("a"), integer(1)]] },
    resp2: "*2\r\n$1\r\na\r\n:1\r\n",
    resp3: "%1\r\n$1\r\na\r\n:1\r\n",
  },
  { reply: { kind: "several", replies: [ok, integer(1)] }, resp2: "+OK\r\n:1\r\n" },
]

for (const { reply, resp2, resp3 = resp2 } of rows)
  test(`as bytes: ${JSON.stringify(resp2)}, in the newer version ${JSON.stringify(resp3)}`, () => {
    equal(written(2, reply), resp2)
    equal(written(3, reply), resp3)
  })

test("values of any length come out whole and in order, and nothing is left for the next", () => {
  const writer = new ReplyWriter()
  const lengths = [0, 47, 48, 49, 1_000, 16_384, 16_385, 65_535, 65_536, 65_537, 300_000]
  const values = lengths.map((length, i) => Buffer.alloc(length, 65 + i))
  const all = [...values, ...values.toReversed(), ...Array.from({ length: 3_000 }, () => Buffer.from("x"))]
  for (const bytes of all) writer.write({ kind: "bulk", bytes })
  const expected = all.map(bytes => `$${bytes.length}\r\n${bytes.toString("latin1")}\r\n`).join("")
  equal(writer.waitingBytes, expected.length)
  const taken = writer.take()
  // Whoever handed in a value may go on to use its memory.
  for (const bytes of values) bytes.fill(0)
  equal(Buffer.concat(taken).toString("latin1"), expected)
  deepEqual(writer.take(), [])
})
