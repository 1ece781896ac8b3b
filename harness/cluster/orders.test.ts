/**
 * What an operator orders, on a bad day: a table of commands that are refused, then nodes that are drained from afar. Each
 * command is run as people run it.
 */
import { equal, match, ok } from "node:assert/strict"
import { createServer } from "node:net"
import { once } from "node:events"
import { describe, test } from "node:test"
import { Prng } from "../../src/base/prng.ts"
import { openWay } from "./access.ts"
import { checkRow, type Row, startCommand, titleOf } from "./command-row.ts"
import { commandUnderTest } from "./command-under-test.ts"
import { freePorts } from "./free-ports.ts"
import { type BenchNode, NodeBench } from "./node-bench.ts"

const command = commandUnderTest()

describe("orders that nobody has to be asked about", () => {
  const rows: Row[] = [
    {
      args: ["help", "leave"],
      code: 0,
      out: /dcache leave \[options\] <NODE>/,
      because: "each command explains itself",
    },
    { args: ["help", "forget"], code: 0, out: /vouch.*--yes/s, because: "each command explains itself" },
    { args: ["leave"], code: 2, err: /not enough positional arguments/, because: "nobody is named" },
    { args: ["leave", "a", "b"], code: 2, err: /extraneous positional/, because: "one at a time" },
    { args: ["leave", "a", "--deadline", "soon"], code: 2, err: /--deadline soon: /, because: "no duration" },
    { args: ["leave", "a", "--deadline", "1ms"], code: 2, err: /must be 1s or more/, because: "nobody leaves so fast" },
    { args: ["forget"], code: 2, err: /not enough positional arguments/, because: "nobody is named" },
  ]
  for (const row of rows) test(titleOf(row), () => checkRow(command, row))

  for (const name of ["leave", "forget"])
    test(`dcache ${name} n1 -> 3, and whom it asked, when nobody is there`, async () => {
      const [port] = await freePorts(1, new Prng(process.pid))
      const args = [name, "n1", "--node", `127.0.0.1:${port}`, "--timeout", "1s"]
      await checkRow(command, { args, code: 3, err: new RegExp(`nobody answers at 127.0.0.1:${port}`), because: "" })
    })

  test("Ctrl-C while a node is asked -> 130, silent", async context => {
    const mute = createServer(() => {}).listen(0, "127.0.0.1")
    context.after(() => mute.close())
    await once(mute, "listening")
    const address = mute.address()
    ok(address !== null && typeof address === "object")
    const dialed = once(mute, "connection")
    const { child, answer } = startCommand(command, ["leave", "n1", "--node", `127.0.0.1:${address.port}`])
    const [socket] = await dialed
    child.kill("SIGINT")
    const { code, out, err } = await answer
    socket.destroy()
    equal(`${code} ${out}${err}`, "130 ")
  })
})

const keys = Array.from({ length: 40 }, (_, i) => `key:${i}`)

async function perform(nodes: readonly BenchNode[], op: "get" | "set"): Promise<void> {
  const addresses = nodes.map(({ process }) => process.address)
  const way = await openWay({ nodes: addresses, routing: "to-primary", deadlineMs: 30_000 })
  for (const key of keys) {
    const answer = await way.perform(op === "get" ? { op, key } : { op, key, value: key })
    equal(op === "get" ? answer.value : answer.ending.kind, op === "get" ? key : "done")
  }
  await way.close()
}

test("nodes are drained from afar until one is left, which is told that it is the last", {
  timeout: 240_000,
}, async context => {
  const bench = new NodeBench(context)
  const nodes = await bench.cluster({ name: "n1" }, { name: "twin" }, { name: "twin" })
  const [first, second, third] = nodes
  ok(first && second && third)
  await perform(nodes, "set")
  const at = (node: BenchNode) => ["--node", node.process.address, "--timeout", "30s"]
  const check = (row: Row) => checkRow(command, row)
  const nobody = /no member is "n9"; there are n1 \(\w{16}, /
  await check({ args: ["leave", "n9", ...at(first)], code: 1, err: nobody, because: "unknown" })
  const several = /"twin" is more than one member: .*name one by its id/
  await check({ args: ["leave", "twin", ...at(first)], code: 2, err: several, because: "ambiguous" })
  const alive = /refused: n1 \(.*\) answers, so it lives; dcache leave drains it/
  await check({ args: ["forget", "n1", "--yes", ...at(second)], code: 5, err: alive, because: "it lives" })

  // By its address, through another node, as a program.
  const { code, out } = await startCommand(command, ["leave", third.process.address, "--json", ...at(first)]).answer
  equal(code, 0)
  match(out.toString(), /^\{"left":true,"id":"\w{16}","name":"twin","tookMs":\d+\}\n$/)
  equal((await third.process.ended).code, 0, third.process.tail)
  match(third.process.tail, /left: all data is handed over/)
  await bench.complete([first, second])
  await perform([first, second], "get")

  // Through itself, by its name, as a person without a terminal; of two copies one is left, which is said.
  const drained = await startCommand(command, ["leave", "n1", ...at(first)]).answer
  equal(drained.code, 0, drained.err)
  equal(drained.out.toString(), "n1 has left: its data is with the others\n")
  match(drained.err, /^one node with data remains, fewer than the 2 copies/)
  await perform([second], "get")

  const last = /refused: twin is the last node that holds data/
  await check({ args: ["leave", "twin", ...at(second)], code: 5, err: last, because: "nobody would have the data" })
})
