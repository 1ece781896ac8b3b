import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { setImmediate } from "node:timers/promises"
import { encodeClientFrame, packForNode } from "../protocol/codec.ts"
import { maxClientMessages, protoMax, protoMin } from "../protocol/limits.ts"
import type { ClientToNode } from "../protocol/message.ts"
import { hostBounds } from "./bounds.ts"
import { Clients } from "./clients.ts"
import { FakeWebSocket } from "./testing/fake-websocket.ts"
import { TurnEnd } from "./turn-end.ts"
import { Turns } from "./turns.ts"

const hello: ClientToNode = { kind: "client-hello", clientId: "ab".repeat(8), protoMin, protoMax }

/** Clients of a node that takes so long for each message, by a clock that nothing else moves. */
function staged(costMs: number, bounds = hostBounds) {
  const clock = { nowMs: 0 }
  const nowMs = () => clock.nowMs
  const guarded = (step: () => void) => step()
  const taken: ClientToNode[] = []
  const refused: ClientToNode[] = []
  const clients = new Clients({
    message: (_, message) => {
      taken.push(message)
      clock.nowMs += costMs
    },
    refuse: (_, message) => refused.push(message),
    gone: () => {},
    event: () => {},
    turnEnd: new TurnEnd(guarded),
    turns: new Turns({ turnMs: hostBounds.turnMs, shareMs: hostBounds.shareMs, nowMs, guarded }),
    nowMs,
    bounds,
  })
  const connected = () => {
    const fake = new FakeWebSocket()
    clients.accept(fake.websocket, fake.tcp)
    const send = (...messages: ClientToNode[]) =>
      fake.emit("message", Buffer.from(encodeClientFrame(messages.map(packForNode))), true)
    return { fake, send }
  }
  return { connected, refused, taken }
}

const request = (n: number): ClientToNode => ({
  kind: "request",
  attempt: 1,
  request: {
    clientId: "ab".repeat(8),
    n,
    ackedBelow: 1,
    firstEpoch: 0,
    deadlineMs: 1_000,
    key: Buffer.from("key"),
    operation: { op: "get" },
  },
})

test("for want of time requests are refused, and what is dear and has no refusal is not answered", async () => {
  const { connected, refused, taken } = staged(100)
  const { send } = connected()
  const dear = (n: number): ClientToNode[] => [
    { kind: "read-many", n, keys: [Buffer.from("key")] },
    { kind: "status-request", n },
    { kind: "client-pull", have: 0 },
    request(n),
  ]
  send(hello, ...Array.from({ length: 11 }, (_, n) => dear(n)).flat())
  for (let i = 0; i < 100; i++) await setImmediate()
  const count = (kind: ClientToNode["kind"]) => taken.filter(message => message.kind === kind).length
  ok(count("read-many") < 6, `${count("read-many")} are read`)
  ok(count("status-request") < 6)
  equal(count("client-pull"), 11)
  equal(count("request") + refused.length, 11)
  deepEqual([...new Set(refused.map(({ kind }) => kind))], ["request"])
})

test("who holds more than its part, when all together hold too much, is refused what cannot be begun at once", async () => {
  const many = Array.from({ length: 40 }, (_, n) => request(n + 1))
  const waitingBytes = encodeClientFrame([hello, ...many].map(packForNode)).length
  const { connected, refused, taken } = staged(5, { ...hostBounds, waitingBytes })
  const [greedy, modest] = [connected(), connected()]
  greedy.send(hello, ...many)
  equal(refused.length, 0)
  greedy.send(...many)
  greedy.send(...many)
  const refusedThen = refused.length
  ok(refusedThen >= 40, `${refusedThen} are refused`)
  modest.send(hello, request(1))
  equal(refused.length, refusedThen)
  for (let i = 0; i < 200; i++) await setImmediate()
  equal(refused.length, refusedThen)
  equal(taken.length + refused.length, 123)
  greedy.send(...many)
  equal(refused.length, refusedThen, "what was held has been given back")
})

test("a frame of more messages than clients send ends the connection, and nothing of it is done", () => {
  const { connected, taken } = staged(0)
  const { fake, send } = connected()
  const pull: ClientToNode = { kind: "client-pull", have: 0 }
  send(hello, ...new Array(maxClientMessages - 1).fill(pull))
  equal(taken.length, maxClientMessages)
  send(...new Array(maxClientMessages + 1).fill(pull))
  equal(taken.length, maxClientMessages)
  deepEqual(fake.closed, [{ code: 1008, reason: `more than ${maxClientMessages} messages in one frame` }])
})
