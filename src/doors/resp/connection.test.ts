/** Connections of one door, by sockets; the node behind it answers when the test says so. */
import { equal, ok } from "node:assert/strict"
import { once } from "node:events"
import { type AddressInfo, connect, type Socket } from "node:net"
import { test, type TestContext } from "node:test"
import type { CallOutcome } from "../../client/session.ts"
import type { ChannelMessage, NodeId, StatusReport } from "../../protocol/message.ts"
import { RespDoor, respListener } from "./door.ts"

async function stage(context: TestContext, { maxConnections = 10, peers = [] as readonly NodeId[] } = {}) {
  const calls: ((outcome: CallOutcome) => void)[] = []
  const toDoors: ChannelMessage[] = []
  const door = new RespDoor({
    ...{ version: "0", port: 0, maxConnections, wallMs: Date.now, nowMs: () => performance.now() },
    node: {
      status: () => ({}) as StatusReport, // nobody asks for it
      reads: () => ({ hits: 0, misses: 0 }),
      beforeInput: () => {},
      routes: () => undefined,
      callNow: () => undefined,
      call: (_asked, done) => calls.push(done),
      channelPeers: () => peers,
      sendToDoor: (_peer, message) => toDoors.push(message),
    },
    failed: error => context.diagnostic(String(error)),
  })
  const listener = respListener()
  listener.listen(0, "127.0.0.1")
  await once(listener, "listening")
  door.serve(listener)
  const { port } = listener.address() as AddressInfo // it listens at a port
  const sockets: Socket[] = []
  context.after(() => {
    for (const socket of sockets) socket.destroy()
    door.close()
  })
  const join = async () => {
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true })
    sockets.push(socket)
    const seen = { socket, said: "", bytes: 0 }
    socket.on("data", chunk => {
      seen.bytes += chunk.length
      if (seen.said.length < 1_000) seen.said += chunk.toString("latin1", 0, 1_000)
    })
    await once(socket, "connect")
    return seen
  }
  const publish = (channel: string, payload: Buffer) =>
    door.receive("b", {
      ...{ kind: "channel-ask", n: 1 },
      question: { about: "publish", channel: Buffer.from(channel), payload },
    })
  return { calls, door, join, listener, publish, toDoors }
}

/** Turns of this process, in which both ends are, until it is so: the test's own limit of time ends it otherwise. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise(resolve => setImmediate(resolve))
}

const limits = { timeout: 10_000 }
const subscribed = "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"

test("what is published waits for what its connection wrote before", limits, async context => {
  const { calls, door, join } = await stage(context)
  const client = await join()
  client.socket.write("SET k new\r\nPUBLISH c k\r\n")
  await until(() => calls.length === 1)
  equal(door.figures().channels.published, 0)
  calls[0]?.({ kind: "stored", version: 1 })
  await until(() => client.said.endsWith(":0\r\n"))
  equal(door.figures().channels.published, 1)
})

test("what is published does not wait for what was published before", limits, async context => {
  const { join, toDoors } = await stage(context, { peers: ["b"] })
  const client = await join()
  client.socket.write("PUBLISH c one\r\nPUBLISH c two\r\n")
  await until(() => toDoors.length === 2)
  equal(client.said, "")
})

test(
  "a connection that is to be closed listens to nothing any more, whether the other end has closed it or not",
  limits,
  async context => {
    const { join } = await stage(context)
    const [leaving, other] = [await join(), await join()]
    leaving.socket.write("SUBSCRIBE c\r\nQUIT\r\n")
    await once(leaving.socket, "end")
    other.socket.write("PUBLISH c x\r\n")
    await until(() => other.said !== "")
    equal(other.said, ":0\r\n")
    equal(leaving.said, `${subscribed}+OK\r\n`)
  },
)

test("what was published to a connection before it is ended is still written", limits, async context => {
  const { door, join } = await stage(context)
  const seen = await join()
  const { socket } = seen
  socket.write("HELLO 3\r\nSUBSCRIBE c\r\nPUBLISH c x\r\n*x\r\n")
  await once(socket, "end")
  const [, said = ""] = seen.said.split("subscribe\r\n$1\r\nc\r\n:1\r\n")
  equal(said, ":1\r\n-ERR Protocol error: invalid multibulk length\r\n>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n")
  socket.end()
  await until(() => door.figures().connections === 0)
  equal(door.figures().memoryBytes, 0)
})

test("who is refused and does not close its side is gone after a while, whatever it sends", limits, async context => {
  const { door, join, listener } = await stage(context, { maxConnections: 0 })
  context.mock.timers.enable({ apis: ["setTimeout"] })
  const refused = await join()
  await once(refused.socket, "end")
  equal(refused.said, "-ERR max number of clients reached\r\n")
  refused.socket.write("PING\r\n")
  const gone = once(refused.socket, "close")
  refused.socket.on("error", () => {})
  context.mock.timers.tick(4_999)
  equal(await connectionsOf(listener), 1)
  context.mock.timers.tick(1)
  await until(() => true)
  equal(await connectionsOf(listener), 0)
  refused.socket.destroy()
  await gone
  equal(door.figures().connections, 0)
})

test("who is refused and closes its side is gone at once", limits, async context => {
  const { join, listener } = await stage(context, { maxConnections: 0 })
  context.mock.timers.enable({ apis: ["setTimeout"] })
  const refused = await join()
  refused.socket.end("PING\r\n")
  await once(refused.socket, "close")
  while ((await connectionsOf(listener)) > 0) await until(() => true)
})

test("a long message to many is memory once, and none when they have taken it or are gone", limits, async context => {
  const { door, join, publish } = await stage(context)
  const all = [await join(), await join(), await join(), await join()]
  for (const { socket } of all) socket.write("SUBSCRIBE c\r\n")
  await until(() => all.every(({ said }) => said === subscribed))
  for (const { socket } of all) socket.pause()
  const bytes = 16 * 1024 * 1024
  publish("c", Buffer.alloc(bytes))
  const [gone, ...others] = all
  gone?.socket.destroy()
  await until(() => door.figures().connections === 3)
  const kept = door.figures().memoryBytes
  ok(kept > bytes && kept < bytes + 1_000, `${kept} bytes`)
  for (const { socket } of others) socket.resume()
  await until(() => others.every(other => other.bytes > bytes))
  await until(() => door.figures().memoryBytes === 0)
})

test("a message that was not even written is no memory when its connection is gone", limits, async context => {
  const { door, join, publish } = await stage(context)
  const client = await join()
  client.socket.write("SUBSCRIBE c\r\n")
  await until(() => client.said === subscribed)
  publish("c", Buffer.alloc(100_000))
  ok(door.figures().memoryBytes > 100_000)
  // Before the end of this turn.
  door.close()
  await until(() => door.figures().connections === 0)
  equal(door.figures().memoryBytes, 0)
})

function connectionsOf(listener: ReturnType<typeof respListener>): Promise<number> {
  return new Promise((resolve, reject) =>
    listener.getConnections((problem, count) => (problem === null ? resolve(count) : reject(problem))),
  )
}
