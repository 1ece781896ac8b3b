import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import type { ClientToNode } from "../protocol/message.ts"
import { type SocketLimits, Sockets, socketLimits } from "./sockets.ts"
import { blackHole, FakeCluster, FakeNode } from "./testing/fake-node.ts"

const hello: ClientToNode = { kind: "client-hello", clientId: "ab".repeat(8), protoMin: 1, protoMax: 1 }
const pull: ClientToNode = { kind: "client-pull", have: 0 }

/** Sockets that note what they tell. */
function noted(limits: Partial<SocketLimits> = {}) {
  const told: string[] = []
  const events = {
    step: (work: () => void) => work(),
    opened: () => void told.push("opened"),
    lost: (_to: string, reason: string) => void told.push(`lost: ${reason}`),
    received: (_from: string, { kind }: { kind: string }) => void told.push(kind),
  }
  const sockets = new Sockets({ events, nowMs: () => performance.now(), limits: { ...socketLimits, ...limits } })
  return { told, sockets }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(2)
}

test("what is sent before a connection opens leaves in one frame when it does, in order", async () => {
  await using node = await FakeNode.start(new FakeCluster())
  const { told, sockets } = noted()
  for (const message of [hello, pull, pull]) sockets.send(node.address, message)
  await until(() => told.length === 4)
  deepEqual(told, ["opened", "client-view", "client-view", "client-view"])
  deepEqual(
    node.frames.map(frame => frame.map(({ kind }) => kind)),
    [["client-hello", "client-pull", "client-pull"]],
  )
  await sockets.close()
})

test("a node that does not answer, nor a ping, is given up in bounded time", async () => {
  await using node = await FakeNode.start(new FakeCluster())
  node.phase = "silent"
  const { told, sockets } = noted({ pingMs: 20, silenceMs: 100 })
  sockets.send(node.address, hello)
  await until(() => told.length === 2)
  deepEqual(told, ["opened", "lost: has fallen silent"])
  await sockets.close()
})

test("a node that has answered everything may be silent for as long as it likes", async () => {
  await using node = await FakeNode.start(new FakeCluster())
  const { told, sockets } = noted({ pingMs: 5, silenceMs: 10 })
  sockets.send(node.address, hello)
  await until(() => told.length === 2)
  await sleep(60)
  deepEqual(told, ["opened", "client-view"])
  await sockets.close()
})

test("a node that does not read is given up when more is unsent than allowed", async () => {
  await using node = await FakeNode.start(new FakeCluster())
  const { told, sockets } = noted({ unsentBytes: 1_000 })
  sockets.send(node.address, hello)
  await until(() => told.length === 2)
  for (let i = 0; i < 100; i++) sockets.send(node.address, pull)
  await until(() => told.length === 3)
  equal(told[2], "lost: does not read")
  await sockets.close()
})

test("a dial without an answer, a refused one and an address that is none are each told of once", async () => {
  const hole = await blackHole()
  const { told, sockets } = noted({ dialMs: 50 })
  for (const address of [hole.address, "127.0.0.1:1", "no address"]) sockets.send(address, hello)
  await until(() => told.length === 3)
  await sleep(20)
  deepEqual(told.sort(), [
    "lost: Opening handshake has timed out",
    "lost: nobody listens there",
    "lost: that is no address",
  ])
  await sockets.close()
  await hole.close()
})

test("hanging up, before or after a connection opens, is told of to nobody", async () => {
  await using node = await FakeNode.start(new FakeCluster())
  const { told, sockets } = noted()
  sockets.send(node.address, hello)
  sockets.hangUp(node.address)
  sockets.send(node.address, hello)
  await until(() => told.length === 2)
  sockets.hangUp(node.address)
  await until(() => node.connections === 0)
  await sleep(20)
  deepEqual(told, ["opened", "client-view"])
  ok(node.frames.length === 1, "the first dial came to nothing")
})
