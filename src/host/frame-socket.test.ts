import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { hostBounds } from "./bounds.ts"
import { FrameSocket } from "./frame-socket.ts"
import { FakeWebSocket } from "./testing/fake-websocket.ts"
import { TurnEnd } from "./turn-end.ts"

function staged() {
  const clock = { nowMs: 0 }
  const fake = new FakeWebSocket()
  const socket = FrameSocket.accepted<{ bytes: number }>(fake.websocket, fake.tcp, {
    bounds: hostBounds,
    turnEnd: new TurnEnd(step => step()),
    nowMs: () => clock.nowMs,
    encode: () => new Uint8Array(1),
    frame: () => {},
    ended: () => {},
  })
  const pong = (payload: Buffer | undefined) => fake.emit("pong", payload ?? Buffer.alloc(0))
  return { clock, fake, pong, socket }
}

test("who answers only the newest ping (RFC 6455, 5.5.3) has answered the one that measures", () => {
  const { clock, fake, pong, socket } = staged()
  socket.send({ bytes: 1 })
  socket.flush()
  socket.lagMs()
  clock.nowMs += hostBounds.pingMs + 1
  socket.tick()
  equal(fake.pings.length, 2)
  pong(fake.pings.at(-1))
  clock.nowMs += 100
  equal(socket.lagMs(), hostBounds.pingMs + 1)
  clock.nowMs += 10
  pong(fake.pings.at(-1))
  clock.nowMs += 10
  equal(socket.lagMs(), 10)
})

test("a pong that answers another ping measures nothing", () => {
  const { clock, fake, pong, socket } = staged()
  socket.lagMs()
  const [first] = fake.pings
  clock.nowMs += 700
  socket.forgetLag()
  equal(socket.lagMs(), 0)
  pong(first)
  pong(undefined)
  clock.nowMs += 300
  equal(socket.lagMs(), 300)
  pong(fake.pings[1])
  equal(socket.lagMs(), 300)
})

test("a delay that was measured long ago says nothing of now", () => {
  const { clock, fake, pong, socket } = staged()
  socket.lagMs()
  clock.nowMs += 2_000
  pong(fake.pings[0])
  clock.nowMs += 3_600_000
  equal(socket.lagMs(), 0)
})

test("a delay that would be that of the other end's reading is not measured", () => {
  const { clock, fake, socket } = staged()
  fake.bufferedAmount = hostBounds.fullBytes
  equal(socket.lagMs(), 0)
  clock.nowMs += 1_000
  equal(socket.lagMs(), 0)
  deepEqual(fake.pings, [])
  fake.bufferedAmount = 0
  socket.lagMs()
  equal(fake.pings.length, 1)
})

test("a connection that is closed while it is not read is read to its end", () => {
  const { fake, socket } = staged()
  socket.pauseReading()
  ok(fake.isPaused)
  socket.close(1001, "stopping")
  equal(fake.closed.length, 1)
  ok(!fake.isPaused)
  socket.pauseReading()
  ok(!fake.isPaused)
})
