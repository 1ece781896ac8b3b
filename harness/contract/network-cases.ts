/**
 * What any network owes the core, as cases that run on every network there is: on real sockets (`links.test.ts`) and in
 * the simulator. The network may lose messages when connections break; it may not repeat, reorder or misdeliver them,
 * nor lose them in silence.
 */
import { deepEqual, ok } from "node:assert/strict"
import type { Address, NodeId, PeerMessage } from "../../src/protocol/message.ts"

/** One process on the network under test, with all that its node would have been told. */
export interface Endpoint {
  readonly id: NodeId
  readonly address: Address
  readonly received: readonly { readonly from: NodeId; readonly message: PeerMessage }[]
  /** One entry for each call. */
  readonly lost: readonly NodeId[]
  readonly refused: readonly NodeId[]
  send(to: NodeId, message: PeerMessage): void
  sendToAddress(address: Address, message: PeerMessage): void
  /** The process dies; its connections end, its port closes. */
  die(): Promise<void>
}

export interface NetworkUnderTest {
  /** A process that listens. "known": the others can find its address by its id. `at`: where one listened that died. */
  start(options: { readonly address: "known" | "unknown"; readonly at?: Address }): Promise<Endpoint>
  /** Ends every connection between the two as a fault of the network would: both notice, neither meant it. */
  breakBetween(a: Endpoint, b: Endpoint): Promise<void>
  /** Lets time pass until it is true; fails, naming it, when that takes longer than anything here may. */
  until(what: string, condition: () => boolean): Promise<void>
}

export type NetworkCase = { readonly name: string; readonly run: (network: NetworkUnderTest) => Promise<void> }

export const networkCases: readonly NetworkCase[] = [
  {
    name: "messages of one class arrive once and in order, those that waited for the connection too",
    run: async network => {
      const [a, b] = await pair(network)
      for (let n = 1; n <= 300; n++) {
        a.send(b.id, control(n))
        a.send(b.id, data(n))
      }
      await network.until("the last of both classes", () => heard(b, a, "control", 300) && heard(b, a, "data", 300))
      deepEqual(numbers(b, a, "control"), upTo(300))
      deepEqual(numbers(b, a, "data"), upTo(300))
    },
  },
  {
    name: "two that dial each other at once end up with one order of messages each way",
    run: async network => {
      const [a, b] = await pair(network)
      for (let n = 1; n <= 50; n++) {
        a.send(b.id, data(n))
        b.send(a.id, data(n))
      }
      await talkAgain(network, a, b)
      await talkAgain(network, b, a)
      for (const [to, from] of [
        [a, b],
        [b, a],
      ] as const) {
        ok(isRising(numbers(to, from, "data")), "nothing twice, nothing out of order")
        const isWhole = numbers(to, from, "data").filter(n => n <= 50).length === 50
        ok(isWhole || from.lost.includes(to.id), "what is missing was reported")
      }
    },
  },
  {
    name: "a broken connection is reported to both ends, and nothing of it arrives after something newer",
    run: async network => {
      const [a, b] = await pair(network)
      a.send(b.id, data(1))
      await network.until("the first message", () => heard(b, a, "data", 1))
      for (let n = 2; n <= 100; n++) a.send(b.id, data(n))
      await network.breakBetween(a, b)
      for (let n = 101; n <= 200; n++) a.send(b.id, data(n))
      await network.until("both were told", () => a.lost.includes(b.id) && b.lost.includes(a.id))
      await talkAgain(network, a, b)
      ok(isRising(numbers(b, a, "data")), "nothing twice, nothing out of order")
    },
  },
  {
    name: "a connection that breaks time and again never repeats or reorders",
    run: async network => {
      const [a, b] = await pair(network)
      let n = 0
      for (let round = 0; round < 5; round++) {
        for (let i = 0; i < 20; i++) {
          n += 1
          a.send(b.id, data(n))
          b.send(a.id, data(n))
        }
        await network.breakBetween(a, b)
      }
      await talkAgain(network, a, b)
      await talkAgain(network, b, a)
      ok(isRising(numbers(b, a, "data")) && isRising(numbers(a, b, "data")), "nothing twice, nothing out of order")
    },
  },
  {
    name: "what is sent to an unknown process, or to oneself, is dropped without harm",
    run: async network => {
      const [a, b] = await pair(network)
      a.send("ffffffffffffffff", control(1))
      a.send(a.id, control(2))
      a.send(b.id, control(3))
      await network.until("the message to the known one", () => heard(b, a, "control", 3))
      deepEqual(a.received, [])
    },
  },
  {
    name: "a message to an address reaches whoever listens there, who can answer a caller that nobody knows",
    run: async network => {
      const [a] = await pair(network)
      const joiner = await network.start({ address: "unknown" })
      joiner.sendToAddress(a.address, control(1))
      await network.until("the call", () => heard(a, joiner, "control", 1))
      a.send(joiner.id, control(2))
      await network.until("the answer", () => heard(joiner, a, "control", 2))
    },
  },
  {
    name: "a message to an address where nobody listens is lost without harm",
    run: async network => {
      const [a, b] = await pair(network)
      const gone = await network.start({ address: "unknown" })
      await gone.die()
      a.sendToAddress(gone.address, control(1))
      a.send(b.id, control(2))
      await network.until("the message to the living one", () => heard(b, a, "control", 2))
    },
  },
  {
    name: "a process that takes over an address gets what is sent to the address, and nothing meant for its predecessor",
    run: async network => {
      const [a, b] = await pair(network)
      a.send(b.id, control(1))
      await network.until("the first message", () => heard(b, a, "control", 1))
      await b.die()
      const successor = await network.start({ address: "unknown", at: b.address })
      let n = 1
      await network.until("a message to the address", () => {
        n += 1
        a.send(b.id, control(n))
        a.sendToAddress(b.address, data(n))
        return numbers(successor, a, "data").length > 0
      })
      deepEqual(numbers(successor, a, "control"), [])
    },
  },
  {
    name: "the death of a process is reported: what was under way is lost, and nobody listens there",
    run: async network => {
      const [a, b] = await pair(network)
      a.send(b.id, control(1))
      await network.until("the first message", () => heard(b, a, "control", 1))
      await b.die()
      await network.until("the loss and the refusal", () => a.lost.includes(b.id) && a.refused.includes(b.id))
    },
  },
]

async function pair(network: NetworkUnderTest): Promise<[Endpoint, Endpoint]> {
  return [await network.start({ address: "known" }), await network.start({ address: "known" })]
}

/** Sends until something arrives, as the core would; numbered so that it is newer than all before. */
async function talkAgain(network: NetworkUnderTest, from: Endpoint, to: Endpoint): Promise<void> {
  let n = 1_000_000
  await network.until(`${from.id} reaches ${to.id} again`, () => {
    n += 1
    from.send(to.id, data(n))
    return numbers(to, from, "data").some(number => number > 1_000_000)
  })
}

/** The number of a message, in a field that its kind happens to have. */
function control(n: number): PeerMessage {
  return { kind: "yield", epoch: n }
}

function data(n: number): PeerMessage {
  return { kind: "stale", shard: 0, q: 1, epoch: n }
}

function numbers(at: Endpoint, from: Endpoint, linkClass: "control" | "data"): number[] {
  const kind = linkClass === "control" ? "yield" : "stale"
  return at.received.flatMap(({ from: sender, message }) =>
    sender === from.id && message.kind === kind ? [message.epoch] : [],
  )
}

function heard(at: Endpoint, from: Endpoint, linkClass: "control" | "data", n: number): boolean {
  return numbers(at, from, linkClass).includes(n)
}

function upTo(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i + 1)
}

function isRising(values: readonly number[]): boolean {
  return values.every((value, i) => i === 0 || value > (values[i - 1] ?? value))
}
