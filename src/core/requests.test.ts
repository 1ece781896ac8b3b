import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import { Prng } from "../base/prng.ts"
import type { MemberInfo, NodeToClient, PeerMessage, Refusal, View } from "../protocol/message.ts"
import { maxGroupBytes, maxGroupKeys, maxKeyBytes } from "../protocol/limits.ts"
import { initialView } from "./layout.ts"
import { Requests } from "./requests.ts"
import { shardOfKey } from "./ring.ts"
import { allRules } from "./rules.ts"

const self = "00000000000000aa"
const [oldPrimary, newPrimary] = ["00000000000000bb", "00000000000000cc"]

function viewLedBy(primary: string, epoch: number, shardCount = 1): View {
  const member: MemberInfo = {
    ...{ id: primary, name: "n", addr: "10.0.0.1:1", clientAddr: "10.0.0.1:1", zone: "", witness: false },
    ...{ protoMin: 1, protoMax: 1 },
  }
  const made = initialView({
    ...{ clusterId: "c", generation: 1, copies: 1, maxVoters: 1, hashKey: [1, 2] as const, shardCount, member },
  })
  return { ...made, epoch }
}

/** A node that leads nothing: what it forwards, and what it answers. */
function forwarder(shardCount = 1) {
  const sent: { to: string; message: PeerMessage }[] = []
  const answered: NodeToClient[] = []
  let view = viewLedBy(oldPrimary, 1, shardCount)
  const requests = new Requests({
    ...{
      self,
      maxForwards: 2,
      maxOwnCalls: 2,
      parkWithoutLeaseMs: 200,
      prng: new Prng(1),
      rules: allRules,
      now: () => 0,
    },
    shards: () => {
      throw new Error("this node leads nothing")
    },
    view: () => view,
    phase: () => "member",
    isForked: () => false,
    hasLease: () => true,
    otherAddresses: () => [],
    status: () => {
      throw new Error("nobody asks for it")
    },
    obey: () => {
      throw new Error("nobody commands")
    },
    pull: () => {},
    send: (to, message) => sent.push({ to, message }),
    sendToClient: (_, message) => answered.push(message),
  })
  requests.clientMessage(1, { kind: "client-hello", clientId: "c1", protoMin: 1, protoMax: 1 }, 0)
  answered.length = 0
  return {
    ...{ requests, sent, answered },
    /** Another node leads the shard of this key. */
    installViewWithout(primary: string, key: string) {
      const other = shardOfKey(Buffer.from(key), { hashKey: view.hashKey, shardCount: view.shards.length })
      const led = view.shards.map((config, i) => (i === other ? { ...config, primary: newPrimary } : config))
      equal(view.shards[other]?.primary, primary)
      view = { ...view, shards: led }
    },
    ask(n: number) {
      const key = new Uint8Array([n])
      const request = {
        clientId: "c1",
        n,
        ackedBelow: 1,
        firstEpoch: 1,
        key,
        operation: { op: "get" },
        deadlineMs: 5_000,
      } as const
      requests.clientMessage(1, { kind: "request", attempt: 1, request }, 0)
    },
    askGroup(keys: readonly (Uint8Array | string)[], value = new Uint8Array()) {
      const steps = keys.map(key => ({
        key: Buffer.from(key),
        operation: { op: "set", value, flags: 0, ttlMs: null, condition: null } as const,
      }))
      const operation = { op: "group", steps } as const
      const request = { clientId: "c1", n: 1, ackedBelow: 1, firstEpoch: 1, deadlineMs: 5_000, operation }
      const key = steps[0]?.key ?? new Uint8Array()
      requests.clientMessage(1, { kind: "request", attempt: 1, request: { ...request, key } }, 0)
      const reply = answered.pop()
      return reply?.kind === "reply" && reply.reply.kind === "rejected" ? reply.reply.reason : undefined
    },
    refusalFrom(peer: string, n: number, reply: Refusal) {
      requests.forwardReplied(peer, { kind: "forward-reply", n, reply, epoch: 1 }, 0)
    },
    replyFrom(peer: string, n: number, version: number) {
      const reply = { kind: "value", value: new Uint8Array(), flags: 0, version } as const
      requests.forwardReplied(peer, { kind: "forward-reply", n, reply, epoch: 1 }, 0)
    },
    install(primary: string, epoch: number) {
      const before = view
      view = viewLedBy(primary, epoch)
      requests.viewInstalled({ before, after: view, gap: false, changed: [0] }, 10)
    },
  }
}

test("what was forwarded to a primary that is replaced goes to its successor, and the successor's answer is the answer", () => {
  const node = forwarder()
  node.ask(1)
  deepEqual(
    node.sent.map(({ to }) => to),
    [oldPrimary],
  )
  node.install(newPrimary, 2)
  deepEqual(
    node.sent.map(({ to }) => to),
    [oldPrimary, newPrimary],
  )
  const replies = () => node.answered.flatMap(message => (message.kind === "reply" ? [message.reply] : []))
  node.replyFrom(oldPrimary, 1, 7)
  deepEqual(replies(), [], "nobody waits for the old one any more")
  node.replyFrom(newPrimary, 2, 8)
  deepEqual(
    replies().map(reply => reply.kind === "value" && reply.version),
    [8],
  )
})

test("what the successor refuses may have been done by the primary that never answered, and the client is told so", () => {
  const busy: Refusal = { kind: "busy", retryAfterMs: 20 }
  const kinds = (node: ReturnType<typeof forwarder>) =>
    node.answered.flatMap(message => (message.kind === "reply" ? [message.reply.kind] : []))
  const node = forwarder()
  node.ask(1)
  node.install(newPrimary, 2)
  node.refusalFrom(newPrimary, 2, busy)
  deepEqual(kinds(node), ["retry"])
  const straight = forwarder()
  straight.ask(1)
  straight.refusalFrom(oldPrimary, 1, busy)
  deepEqual(kinds(straight), ["busy"])
})

test("a view that names the same primary disturbs nothing", () => {
  const node = forwarder()
  node.ask(1)
  node.install(oldPrimary, 2)
  equal(node.sent.length, 1)
  node.replyFrom(oldPrimary, 1, 7)
  equal(node.answered.filter(({ kind }) => kind === "reply").length, 1)
})

test("a group is taken only as a whole: of one primary, each key once, within its bounds", () => {
  const several = forwarder(1_024)
  equal(several.askGroup(["a", "b"]), undefined)
  several.installViewWithout(oldPrimary, "b")
  equal(several.askGroup(["a", "b"]), "keys-apart")
  equal(several.askGroup(["a"]), undefined)
  const one = forwarder()
  equal(one.askGroup(["a", "b"]), undefined)
  equal(one.askGroup([]), "bad-request")
  equal(one.askGroup(["a", "b", "a"]), "bad-request")
  equal(one.askGroup(["a", "x".repeat(maxKeyBytes + 1)]), "key-too-long")
  const names = Array.from({ length: maxGroupKeys + 1 }, (_, i) => `k${i}`)
  equal(one.askGroup(names), "group-too-large")
  equal(one.askGroup(["a", "b"], new Uint8Array(maxGroupBytes / 2)), "group-too-large")
})
