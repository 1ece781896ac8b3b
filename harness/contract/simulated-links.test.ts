/** The simulated links keep what any network owes the core, so that what runs on them would run on sockets. */
import { ok } from "node:assert/strict"
import { test } from "node:test"
import { Prng } from "../../src/base/prng.ts"
import type { Address, NodeId, PeerMessage } from "../../src/protocol/message.ts"
import { type LinkedProcess, PeerLinks, type PeerGreeting } from "../sim/links.ts"
import { Network } from "../sim/network.ts"
import { Simulator } from "../sim/simulator.ts"
import { Weather } from "../sim/weather.ts"
import { type Endpoint, type NetworkUnderTest, networkCases } from "./network-cases.ts"

/** Longer than anything in these cases takes. */
const patienceMs = 20_000

class SimulatedNetwork implements NetworkUnderTest {
  readonly #simulator = new Simulator()
  readonly #weather: Weather
  readonly #network: Network<PeerMessage, PeerGreeting>
  readonly #prng: Prng
  readonly #known = new Map<NodeId, Address>()
  readonly #hosts = new Map<NodeId, number>()
  #machines = 0

  constructor(seed: number, frames: "joined" | "single") {
    this.#prng = new Prng(seed)
    this.#weather = new Weather(this.#prng.fork())
    this.#weather.change({ baseMs: 0.5, jitterMs: 3 })
    this.#network = new Network({
      simulator: this.#simulator,
      weather: this.#weather,
      prng: this.#prng.fork(),
      settings: { frames, keepsOrder: true, giveUpMs: [500, 1_000] },
      dialTimeoutMs: 1_000,
    })
  }

  async start(options: { readonly address: "known" | "unknown"; readonly at?: Address }): Promise<Endpoint> {
    const id = this.#prng.hex64()
    const address = options.at ?? `machine${++this.#machines}:1`
    const received: { from: NodeId; message: PeerMessage }[] = []
    const lost: NodeId[] = []
    const refused: NodeId[] = []
    const self: LinkedProcess = {
      id,
      address,
      host: this.#weather.hostAt(address),
      canAccept: () => true,
      addressOf: peer => this.#known.get(peer),
      receive: (from, message) => received.push({ from, message }),
      linkLost: peer => lost.push(peer),
      peerRefused: peer => refused.push(peer),
    }
    if (options.address === "known") this.#known.set(id, address)
    this.#hosts.set(id, self.host)
    const links = new PeerLinks({ network: this.#network, self })
    return {
      id,
      address,
      received,
      lost,
      refused,
      send: (to, message) => links.send(to, message),
      sendToAddress: (to, message) => links.sendToAddress(to, message),
      die: async () => links.end("killed"),
    }
  }

  async breakBetween(a: Endpoint, b: Endpoint): Promise<void> {
    this.#simulator.run(this.#prng.between(0, 5))
    this.#weather.breakConnections(this.#hosts.get(a.id) ?? -1, this.#hosts.get(b.id) ?? -1)
  }

  async until(what: string, condition: () => boolean): Promise<void> {
    ok(
      this.#simulator.runUntil(condition, { withinMs: patienceMs, everyMs: 5 }),
      `not within ${patienceMs} ms: ${what}`,
    )
  }
}

for (const { name, run } of networkCases)
  for (const frames of ["joined", "single"] as const)
    test(`simulated, ${frames} frames: ${name}`, async () => {
      for (let seed = 1; seed <= 20; seed++) await run(new SimulatedNetwork(seed, frames))
    })
