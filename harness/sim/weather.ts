/**
 * What the network is like at the moment: who cannot reach whom, how long a message takes, how many are lost. Knows
 * machines and nothing of what they say to each other.
 */
import type { Prng } from "../../src/base/prng.ts"
import type { Address } from "../../src/protocol/message.ts"

/** A machine on the network. Nodes and clients stand on one each; a restarted process stands where the old one stood. */
export type Host = number

export type Climate = {
  /** Least time that a message is under way. */
  baseMs: number
  /** Mean of what comes on top, exponentially distributed. */
  jitterMs: number
  /** How often a message is held up much longer, and at most how long. What comes after it in its connection waits. */
  spikeChance: number
  spikeMs: number
  /** How often a message vanishes while its connection stays: TCP never does this, the protocol survives it. */
  lossChance: number
  /** How often a message overtakes others of its connection. TCP never does this either. */
  disorderChance: number
}

export const calmClimate: Climate = {
  baseMs: 0.2,
  jitterMs: 0.3,
  spikeChance: 0,
  spikeMs: 0,
  lossChance: 0,
  disorderChance: 0,
}

/** What is sent into a cut: kept and delivered after it, as TCP does, or its connections broken at once. */
export type CutManner = "stalls" | "resets"

/** A set of one-way cuts, made and healed together. Healing is by handle, so that cuts may overlap. */
export type Cut = { readonly from: readonly Host[]; readonly to: readonly Host[]; readonly manner: CutManner }

/** What of a link is concerned: bulk data may be stuck behind a full buffer while control passes on its own connection. */
export type Lane = "control" | "data"

/** Whoever keeps connections is told when the weather changes under them. */
export type Exposed = {
  weatherChanged(): void
  /** Every connection between these two machines breaks; both may dial again at once. */
  broken(a: Host, b: Host): void
}

export class Weather {
  readonly #prng: Prng
  readonly #hosts = new Map<string, Host>()
  readonly #exposed: Exposed[] = []
  #climate: Climate = calmClimate
  readonly #cuts = new Set<Cut>()
  readonly #slow = new Map<number, number>()
  readonly #down = new Set<Host>()
  /** Pairs between which bulk data is stuck, one way. */
  readonly #clogged = new Set<number>()
  /** Every pair that some cut keeps apart, so that the look-up for every message is cheap. */
  readonly #blocked = new Set<number>()

  constructor(prng: Prng) {
    this.#prng = prng
  }

  get climate(): Climate {
    return this.#climate
  }

  change(climate: Partial<Climate>): void {
    this.#climate = { ...this.#climate, ...climate }
  }

  /** The machine that an address leads to, whatever the port; made when first named. */
  hostAt(address: Address): Host {
    const name = address.slice(0, address.lastIndexOf(":"))
    let host = this.#hosts.get(name)
    if (host === undefined) {
      host = this.#hosts.size
      this.#hosts.set(name, host)
    }
    return host
  }

  watch(exposed: Exposed): void {
    this.#exposed.push(exposed)
  }

  isCut(from: Host, to: Host, lane: Lane = "control"): boolean {
    if (lane === "data" && this.#clogged.size > 0 && this.#clogged.has(pair(from, to))) return true
    return this.#blocked.size > 0 && this.#blocked.has(pair(from, to))
  }

  get cuts(): ReadonlySet<Cut> {
    return this.#cuts
  }

  cut(cut: Cut): void {
    this.#cuts.add(cut)
    this.#recount()
    if (cut.manner === "stalls") return
    for (const from of cut.from) for (const to of cut.to) if (from !== to) this.breakConnections(from, to)
  }

  heal(cut: Cut): void {
    this.#cuts.delete(cut)
    this.#recount()
  }

  /** The receiver's buffers are full, or the link is as good as stopped for anything but a few words. */
  clog(from: Host, to: Host): void {
    this.#clogged.add(pair(from, to))
    this.#tell()
  }

  unclog(from: Host, to: Host): void {
    this.#clogged.delete(pair(from, to))
    this.#tell()
  }

  /** The machine is gone without a word: nothing answers there, not even a refusal. */
  takeDown(host: Host): void {
    this.#down.add(host)
  }

  bringUp(host: Host): void {
    this.#down.delete(host)
  }

  isDown(host: Host): boolean {
    return this.#down.has(host)
  }

  breakConnections(a: Host, b: Host): void {
    for (const exposed of this.#exposed) exposed.broken(a, b)
  }

  /** Multiplies the delay of one direction of one pair; 1 ends it. */
  slowDown(from: Host, to: Host, factor: number): void {
    if (factor === 1) this.#slow.delete(pair(from, to))
    else this.#slow.set(pair(from, to), factor)
  }

  /** Everything passes again, at normal speed; machines that are down stay down. */
  clear(): void {
    this.#cuts.clear()
    this.#slow.clear()
    this.#clogged.clear()
    this.#climate = calmClimate
    this.#recount()
  }

  delayMs(from: Host, to: Host): number {
    const { baseMs, jitterMs, spikeChance, spikeMs } = this.#climate
    const chance = this.#prng.fraction()
    let delayMs = baseMs - jitterMs * Math.log(1 - chance)
    if (spikeChance > 0 && this.#prng.chance(spikeChance)) delayMs += this.#prng.between(0, spikeMs)
    const factor = this.#slow.size === 0 ? undefined : this.#slow.get(pair(from, to))
    return factor === undefined ? delayMs : Math.min(delayMs * factor, slowestMs)
  }

  isLost(): boolean {
    return this.#climate.lossChance > 0 && this.#prng.chance(this.#climate.lossChance)
  }

  /** Which of the frames under way in one direction arrives next. */
  nextOf(frames: number): number {
    const { disorderChance } = this.#climate
    if (disorderChance === 0 || frames < 2 || !this.#prng.chance(disorderChance)) return 0
    return this.#prng.below(frames)
  }

  #recount(): void {
    this.#blocked.clear()
    for (const cut of this.#cuts)
      for (const from of cut.from) for (const to of cut.to) if (from !== to) this.#blocked.add(pair(from, to))
    this.#tell()
  }

  #tell(): void {
    for (const exposed of this.#exposed) exposed.weatherChanged()
  }
}

/** However slow a link is, what is under way when it recovers arrives before anyone expects the cluster to be at rest. */
const slowestMs = 800

function pair(from: Host, to: Host): number {
  return from * 65_536 + to
}
