/** What a transaction that was begun and not ended takes of the memory that all connections share. */
import { equal, match, ok } from "node:assert/strict"
import type { Socket } from "node:net"
import { Duplex } from "node:stream"
import { test } from "node:test"
import { connectionLimits, RespConnection } from "./connection.ts"
import { HalfCommands } from "./half-commands.ts"
import { ReplyWriter } from "./reply.ts"
import { Memory, TurnEnd } from "./shared.ts"
import { Entries } from "./testing/entries.ts"

function connection(memory: Memory, entries = new Entries()) {
  const { cache, client, server, channels } = entries.context()
  let said = ""
  const stream = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      said += chunk.toString("latin1")
      done()
    },
  })
  const socket = Object.assign(stream, { setNoDelay() {}, setTimeout() {} }) as unknown as Socket // what is used of one
  new RespConnection({
    ...{ socket, client, inline: "allowed", ended: () => {} },
    limits: { ...connectionLimits, maxQueuedBytes: 100_000, crowdedBytes: 10_000 },
    shared: {
      ...{ cache, server, channels, memory, writer: new ReplyWriter(), turnEnd: new TurnEnd(), busy: () => {} },
      counts: { connections: 0, commands: [], unknownCommands: 0, errors: 0, cutoffs: new Map() },
      halves: new HalfCommands({ halfCommandMs: 10_000, slowestBytesPerMs: 32, longestLookMs: 1_000 }),
      ...{ wallMs: () => 0, nowMs: () => 0, beforeInput: () => {} },
      failed: error => {
        throw error
      },
    },
  })
  return {
    /** What is said before anything else has to happen. */
    async send(...lines: readonly string[]): Promise<string> {
      said = ""
      for (const line of lines) stream.emit("data", Buffer.from(`${line}\r\n`))
      await turnEnded()
      return said
    },
  }
}

/** What was answered late in one turn of the event loop is sent at the end of it, and that is seen in the next one. */
async function turnEnded(): Promise<void> {
  await new Promise(setImmediate)
  await new Promise(setImmediate)
}

const set = `SET k ${"v".repeat(40_000)}`

test("what is queued counts as long as it is queued", async () => {
  for (const end of ["DISCARD", "RESET", "EXEC", "NOSUCH"]) {
    const memory = new Memory(1_000_000)
    const { send } = connection(memory)
    await send("MULTI", set, set)
    ok(memory.bytes > 80_000 && memory.bytes < 100_000, `${memory.bytes}`)
    await send(end)
    equal(memory.bytes, 0, end)
  }
})

test("and also while it is executed", async () => {
  const memory = new Memory(1_000_000)
  const entries = new Entries()
  entries.isLate = () => true
  const { send } = connection(memory, entries)
  equal(await send("MULTI", set, "EXEC"), "+OK\r\n+QUEUED\r\n")
  ok(memory.bytes > 40_000)
  await entries.answerAll()
  await turnEnded()
  equal(memory.bytes, 0)
  equal(entries.held.get("k")?.value.length, 40_000)
})

test("a transaction that is too large is refused, with less already when all connections hold too much", async () => {
  const memory = new Memory(1_000_000)
  const { send } = connection(memory)
  match(
    await send("MULTI", set, set, set, set),
    /QUEUED\r\n-ERR a transaction has at most 100000 bytes.*\r\n\+QUEUED\r\n$/,
  )
  equal(memory.bytes, 0)
  match(await send("EXEC"), /^-EXECABORT/)
  memory.change(1_000_001)
  match(await send("MULTI", set, "EXEC"), /-ERR a transaction has at most 10000 bytes.*\r\n-EXECABORT/)
})
