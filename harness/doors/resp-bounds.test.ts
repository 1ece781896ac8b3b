/** What one connection of the Redis door may ask of a node without harm to it, or to others: very much at once, and less than a command. */
import { deepEqual, equal, ok } from "node:assert/strict"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { connect, type Socket } from "node:net"
import { test } from "node:test"
import { Redis } from "ioredis"
import { NodeBench } from "../cluster/node-bench.ts"
import { until } from "../cluster/until.ts"

const isLinux = process.platform === "linux"
const commandCount = 1_000_000
/** So many commands are made, and their answers compared, together. */
const runLength = 10_000

test("bounds of the Redis door", { timeout: 120_000 }, async context => {
  const bench = new NodeBench(context)
  const nodes = await bench.cluster({ name: "first" }, { name: "second" })
  await bench.complete(nodes)
  const [target] = nodes
  ok(target)
  const port = Number(target.process.address.split(":").at(-1))
  const metric = async (name: string) => {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
    return Number(
      text
        .split("\n")
        .find(line => line.startsWith(`${name} `))
        ?.slice(name.length),
    )
  }

  await context.test(
    "a million pipelined commands are answered in their order, by a node that keeps little of them",
    async t => {
      const atFirstMib = residentMib(target.process.pid)
      const other = new Redis({ port })
      const watch = watchful(other)
      const socket = connect({ port, host: "127.0.0.1" })
      const sending = (async () => {
        for (let from = 0; from < commandCount; from += runLength)
          if (!socket.write(commandsFrom(from))) await once(socket, "drain")
      })()
      // Nobody reads yet: the node takes what it may owe, and then no more.
      socket.pause()
      const unread = 32 * 1024 * 1024
      await until(async () => (await metric("dcache_resp_memory_bytes")) >= unread, {
        ...{ withinMs: 60_000, everyMs: 100, what: () => "the node to have as many answers waiting as it may" },
      })
      let most = await metric("dcache_resp_memory_bytes")
      socket.resume()
      let answered = 0
      let expected = answersFrom(0)
      let at = 0
      for await (const data of socket) {
        let chunk = data as Buffer // of a socket without an encoding
        while (chunk.length > 0) {
          const part = Math.min(chunk.length, expected.length - at)
          ok(chunk.subarray(0, part).equals(expected.subarray(at, at + part)), `an answer after command ${answered}`)
          chunk = chunk.subarray(part)
          at += part
          if (at < expected.length) continue
          answered += runLength
          expected = answersFrom(answered)
          at = 0
        }
        if (answered % 100_000 === 0) most = Math.max(most, await metric("dcache_resp_memory_bytes"))
        if (answered === commandCount) break
      }
      await sending
      socket.destroy()
      const { asked, longestMs } = await watch.end()
      other.disconnect()
      const grownMib = residentMib(target.process.pid) - atFirstMib
      t.diagnostic(
        `${answered} answers; ${(most / 1024 / 1024).toFixed(1)} MiB of them waited at most, and the node grew by ${grownMib.toFixed(0)} MiB; ` +
          `another client had ${asked} answers meanwhile, the longest after ${longestMs.toFixed(0)} ms`,
      )
      equal(answered, commandCount)
      ok(most < unread + 16 * 1024 * 1024, `${most} bytes`)
      ok(grownMib < 400, `${grownMib} MiB`)
      ok(asked > 10 && longestMs < 5_000, `${asked} answers, the longest after ${longestMs} ms`)
    },
  )

  await context.test(
    "half a command is waited for ten seconds, then its connection is ended in words and counted, and gone five seconds later",
    async () => {
      const answer = "-ERR half a command, and its end did not come in time\r\n"
      const sent = [
        "*2\r\n$3\r\nGET\r\n$5\r\nab",
        "*3\r\n$3\r\nSET\r\n",
        "*1",
        "*1\r\n$4\r\nPING\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\nhalf of it",
      ]
      const halves = await Promise.all(
        sent.map(async text => {
          const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true })
          const fromMs = performance.now()
          socket.write(text)
          const said = await textOf(socket)
          return { socket, said, afterMs: performance.now() - fromMs }
        }),
      )
      // None ends its side, so that the node has all of them still.
      equal(await metric("dcache_resp_connections"), halves.length)
      deepEqual(
        halves.map(({ said }) => said),
        [answer, answer, answer, `+PONG\r\n${answer}`],
      )
      for (const { afterMs } of halves) ok(afterMs > 9_000, `${afterMs} ms`)
      equal(await metric('dcache_resp_cutoffs_total{reason="half-command"}'), halves.length)
      await until(async () => (await metric("dcache_resp_connections")) === 0, {
        ...{ withinMs: 10_000, everyMs: 100, what: () => "no connection to be left" },
      })
      for (const { socket } of halves) socket.destroy()
    },
  )

  await context.test(
    "the system asks after the far end of an idle connection",
    { skip: !isLinux && "how a timer of the system shows is known of Linux alone" },
    async () => {
      for (const first of ["*1\r\n$4\r\nPING\r\n", "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", ""]) {
        const socket = connect(port, "127.0.0.1")
        await once(socket, "connect")
        socket.write(first)
        if (first !== "") await once(socket, "data")
        await until(() => timerOf(port, socket.localPort ?? 0) === "keepalive", {
          ...{
            withinMs: 5_000,
            everyMs: 10,
            what: () => `a timer on the connection that said ${JSON.stringify(first)}`,
          },
        })
        socket.destroy()
      }
    },
  )
})

/** Mostly what is answered at once, and every so often what another node has to be asked for. */
function commandsFrom(from: number): string {
  let commands = ""
  for (let i = from; i < from + runLength; i++) {
    const text = padded(i)
    if (i % 100 === 0) commands += `*3\r\n$3\r\nSET\r\n$${keyOf(i).length}\r\n${keyOf(i)}\r\n$64\r\n${text}\r\n`
    else if (i % 100 === 1) commands += `*2\r\n$3\r\nGET\r\n$${keyOf(i).length}\r\n${keyOf(i)}\r\n`
    else commands += `*2\r\n$4\r\nECHO\r\n$64\r\n${text}\r\n`
  }
  return commands
}

function answersFrom(from: number): Buffer {
  let answers = ""
  for (let i = from; i < from + runLength; i++)
    answers += i % 100 === 0 ? "+OK\r\n" : `$64\r\n${padded(i % 100 === 1 ? i - 1 : i)}\r\n`
  return Buffer.from(answers)
}

function padded(i: number): string {
  return String(i).padStart(64, ".")
}

function keyOf(i: number): string {
  return `million:${Math.floor(i / 100) % 500}`
}

/** Asks for the same key, again and again. */
function watchful(redis: Redis) {
  let [asked, longestMs] = [0, 0]
  let isOn = true
  const asking = (async () => {
    while (isOn) {
      const fromMs = performance.now()
      equal(await redis.set("watched", "x"), "OK")
      longestMs = Math.max(longestMs, performance.now() - fromMs)
      asked += 1
      await new Promise(resolve => setTimeout(resolve, 20))
    }
  })()
  return {
    async end() {
      isOn = false
      await asking
      return { asked, longestMs }
    },
  }
}

/** Until the other end has ended its side. */
async function textOf(socket: Socket): Promise<string> {
  let text = ""
  socket.on("data", chunk => (text += String(chunk)))
  await once(socket, "end")
  return text
}

function residentMib(pid: number | undefined): number {
  if (!isLinux) return 0
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1_024
}

/** Of the node's end of a connection. */
function timerOf(port: number, remotePort: number): "keepalive" | "other" {
  const hex = (number: number) => number.toString(16).toUpperCase().padStart(4, "0")
  const line = readFileSync("/proc/net/tcp", "utf8")
    .split("\n")
    .find(
      row =>
        row.includes(`:${hex(port)} `) &&
        row
          .trim()
          .split(/\s+/)[2]
          ?.endsWith(`:${hex(remotePort)}`),
    )
  // The timer's kind and when it is due: 02 is that of keepalive, where nothing is under way.
  return line?.trim().split(/\s+/)[5]?.startsWith("02:") === true ? "keepalive" : "other"
}
