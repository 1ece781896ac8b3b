import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { setImmediate } from "node:timers/promises"
import { encodeClientFrame, packForNode } from "../protocol/codec.ts"
import { protoMax, protoMin } from "../protocol/limits.ts"
import type { ClientToNode } from "../protocol/message.ts"
import { hostBounds } from "./bounds.ts"
import { Clients } from "./clients.ts"
import { FakeWebSocket } from "./testing/fake-websocket.ts"
import { TurnEnd } from "./turn-end.ts"
import { Turns } from "./turns.ts"

const hello: ClientToNode = { kind: "client-hello", clientId: "ab".repeat(8), protoMin, protoMax }

/** Clients of a node that takes so long for each message, by a clock that nothing else moves. */
function staged(costMs: number) {
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
    bounds: hostBounds,
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
