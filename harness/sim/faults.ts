/**
 * What goes wrong in a random run. The seed chooses which kinds are present at all, when each strikes and whom; some
 * strike on the heels of another. A run that must lose no data spares the last holder of a shard and a majority of the
 * voters: killing those is known to be beyond what two copies survive.
 */
import type { Prng } from "../../src/base/prng.ts"
import type { SimulatedClient } from "./client.ts"
import type { SimulatedCluster } from "./cluster.ts"
import type { SimulatedProcess } from "./process.ts"
import type { Millis } from "./simulator.ts"
import type { CutManner } from "./weather.ts"

export const faultKinds = [
  "crash",
  "power-loss",
  "restart",
  "mid-step-crash",
  "leader-crash",
  "leader-mid-step-crash",
  "leaders-crash",
  "proved-death",
  "primary-crash",
  "pause",
  "suspend",
  "voters-pause",
  "isolate",
  "deafen",
  "mute",
  "halves",
  "ring",
  "bridge",
  "link",
  "one-way-link",
  "client-cut",
  "break-links",
  "loss",
  "disorder",
  "spikes",
  "slow-link",
  "clog",
  "slow-node",
  "join",
  "join-burst",
  "join-flap",
  "come-and-go",
  "leave",
  "leave-many",
  "leave-and-crash",
  "flap",
] as const

export type FaultKind = (typeof faultKinds)[number]
/** A process that is stopped for longer is long out, and its return is always the same. */
const longestPauseMs = 30_000

export type PlannedFault = { readonly kind: FaultKind; readonly atMs: Millis }

export class Faults {
  readonly #cluster: SimulatedCluster
  readonly #prng: Prng
  readonly #kinds: readonly FaultKind[]
  readonly #mayLoseData: boolean
  readonly #mostProcesses: number
  readonly #meanGapMs: Millis
  readonly struck = new Map<FaultKind, number>()
  readonly #only: ReadonlySet<number> | undefined
  /** What struck or would have, in order: a fault is named by its place here. */
  readonly planned: PlannedFault[] = []
  #isOn = true
  #struckAtMs = Number.NEGATIVE_INFINITY

  constructor(options: {
    cluster: SimulatedCluster
    prng: Prng
    kinds: readonly FaultKind[]
    mayLoseData: boolean
    mostProcesses: number
    meanGapMs: Millis
    /** Places of the faults that strike; the others are left out, and nothing else changes. Undefined: all. */
    only: ReadonlySet<number> | undefined
  }) {
    this.#cluster = options.cluster
    this.#prng = options.prng
    this.#kinds = options.kinds
    this.#mayLoseData = options.mayLoseData
    this.#mostProcesses = options.mostProcesses
    this.#meanGapMs = options.meanGapMs
    this.#only = options.only
  }

  begin(): void {
    // A second fault within 100 ms of the first is what a system that survives single ones dies of.
    const gapMs = this.#prng.chance(0.25) ? this.#prng.between(0, 100) : this.#prng.between(50, 2 * this.#meanGapMs)
    this.#cluster.simulator.after(gapMs, () => {
      if (!this.#isOn || this.#kinds.length === 0) return
      const kind = this.#prng.pick(this.#kinds)
      const place = this.planned.push({ kind, atMs: this.#cluster.nowMs }) - 1
      // Chance of its own: what comes later is the same with this fault and without it.
      const prng = this.#prng.fork()
      if (this.#only === undefined || this.#only.has(place)) this.#strike(kind, prng)
      this.begin()
    })
  }

  /** No further fault; what lasts is ended, and the dead stay dead. */
  end(): void {
    this.#isOn = false
    const { weather } = this.#cluster
    this.#cluster.heal()
    weather.clear()
    for (const process of this.#cluster.alive()) {
      process.slowDown(0)
      process.dieAfterSending(Number.POSITIVE_INFINITY)
      if (process.isSuspended) process.wake()
      else if (process.state === "paused") this.#cluster.resume(process)
    }
  }

  #strike(kind: FaultKind, prng: Prng): void {
    const cluster = this.#cluster
    const living = cluster.alive().filter(process => process.state === "running")
    if (living.length === 0) return
    const someone = prng.pick(living)
    const lastingMs = prng.pick([prng.between(10, 300), prng.between(300, 1_500), prng.between(1_000, 4_000)])
    const manner: CutManner = prng.chance(0.7) ? "stalls" : "resets"
    this.struck.set(kind, (this.struck.get(kind) ?? 0) + 1)
    const { tally } = cluster
    if (cluster.nowMs - this.#struckAtMs <= 100) tally.onTheHeels += 1
    this.#struckAtMs = cluster.nowMs
    if (living.some(({ node }) => node.status().transfersOpen > 0)) tally.duringTransfers += 1
    switch (kind) {
      case "crash":
        return this.#kill(someone)
      case "power-loss":
        return this.#kill(someone, "machine")
      case "restart": {
        if (!this.#mayDie(someone)) return
        cluster.crash(someone)
        const others = () => cluster.alive().some(process => process.address !== someone.address)
        cluster.simulator.after(prng.between(0, 500), () => {
          const isFree = cluster.alive().every(process => process.address !== someone.address)
          if (this.#isOn && others() && isFree) cluster.restart(someone)
        })
        return
      }
      case "mid-step-crash":
        if (this.#mayDie(someone)) someone.dieAfterSending(prng.below(8))
        return
      case "leader-crash":
        return this.#kill(cluster.leader())
      case "leader-mid-step-crash": {
        // Between its Accept and the news of the decision as well: each goes to several.
        const leader = cluster.leader()
        if (this.#mayDie(leader)) leader.dieAfterSending(prng.below(40))
        return
      }
      case "leaders-crash":
        return this.#killLeaders(3)
      case "proved-death": {
        if (!this.#mayDieProved(someone)) return
        cluster.crash(someone)
        for (const other of living)
          if (other !== someone) cluster.simulator.after(prng.between(0, 200), () => other.peerDied(someone.id))
        return
      }
      case "primary-crash":
        return this.#kill(cluster.primaryOfSome(prng.below(cluster.config.shardCount)))
      case "pause":
        return this.#pause(
          someone,
          prng.pick([prng.between(10, 600), prng.between(300, 5_200), prng.between(300, 5_200), longestPauseMs]),
        )
      case "suspend":
        someone.suspend()
        cluster.simulator.after(lastingMs, () => someone.wake())
        return
      case "voters-pause":
        for (const voter of prng.shuffled(cluster.voters()).slice(0, Math.ceil(cluster.voters().length / 2)))
          this.#pause(voter, prng.between(300, 900))
        return
      case "isolate":
        return this.#cutFor(lastingMs, () => cluster.isolate(someone, manner))
      case "deafen":
        return this.#cutFor(lastingMs, () => [cluster.deafen(someone, manner)])
      case "mute":
        return this.#cutFor(lastingMs, () => [cluster.mute(someone, manner)])
      case "halves": {
        const everyone = prng.shuffled<Standing>([...living, ...cluster.clients])
        const at = 1 + prng.below(everyone.length)
        return this.#cutFor(lastingMs, () => cluster.partition([everyone.slice(0, at), everyone.slice(at)], manner))
      }
      case "ring": {
        // Each reaches its two neighbours alone.
        const circle = prng.shuffled(living)
        const cuts = circle.flatMap((one, i) => {
          const far = circle.filter((_other, j) => (j - i + circle.length + 1) % circle.length > 2)
          return far.length === 0 ? [] : [cluster.cut([one], far, manner)]
        })
        return this.#cutFor(lastingMs, () => cuts)
      }
      case "bridge": {
        const everyone = prng.shuffled<Standing>([...living, ...cluster.clients])
        const at = 1 + prng.below(everyone.length - 1)
        const [left, right] = [everyone.slice(0, at), everyone.slice(at + 1)]
        return this.#cutFor(lastingMs, () => cluster.partition([left, right], manner))
      }
      case "link": {
        const other = prng.pick(living)
        return this.#cutFor(lastingMs, () => cluster.partition([[someone], [other]], manner))
      }
      case "one-way-link":
        return this.#cutFor(lastingMs, () => [cluster.cut([someone], [prng.pick(living)], manner)])
      case "client-cut": {
        if (cluster.clients.length === 0) return
        const client = prng.pick(cluster.clients)
        return this.#cutFor(lastingMs, () => cluster.partition([[client], living], manner))
      }
      case "break-links":
        for (const other of living) if (prng.chance(0.5)) cluster.weather.breakConnections(someone.host, other.host)
        return
      case "loss":
        cluster.weather.change({ lossChance: prng.pick([0.01, 0.05, 0.2]) })
        cluster.simulator.after(lastingMs, () => cluster.weather.change({ lossChance: 0 }))
        return
      case "disorder":
        cluster.weather.change({ disorderChance: prng.pick([0.02, 0.2]), spikeChance: 0.02, spikeMs: 50 })
        cluster.simulator.after(lastingMs, () => cluster.weather.change({ disorderChance: 0, spikeChance: 0 }))
        return
      case "spikes":
        cluster.weather.change({ spikeChance: 0.05, spikeMs: prng.pick([20, 100, 400]) })
        cluster.simulator.after(lastingMs, () => cluster.weather.change({ spikeChance: 0 }))
        return
      case "slow-link": {
        const other = prng.pick(living)
        cluster.weather.slowDown(someone.host, other.host, prng.pick([10, 100, 400]))
        cluster.simulator.after(lastingMs, () => cluster.weather.slowDown(someone.host, other.host, 1))
        return
      }
      case "clog": {
        const other = prng.pick(living)
        if (other.host === someone.host) return
        cluster.weather.clog(someone.host, other.host)
        cluster.simulator.after(lastingMs, () => cluster.weather.unclog(someone.host, other.host))
        return
      }
      case "slow-node":
        someone.slowDown(prng.pick([1, 3, 10]))
        cluster.simulator.after(lastingMs, () => someone.slowDown(0))
        return
      case "join":
        return this.#join(1, prng)
      case "join-burst":
        return this.#join(2 + prng.below(this.#mostProcesses >= manyProcesses ? 19 : 5), prng)
      case "join-flap":
        return this.#joinAndDie(3, prng)
      case "come-and-go":
        return this.#comeAndGo(prng)
      case "leave":
        return this.#leave(1, prng)
      case "leave-many":
        return this.#leave(2 + prng.below(2), prng)
      case "leave-and-crash":
        this.#leave(1, prng)
        cluster.simulator.after(prng.between(0, 300), () => {
          if (this.#isOn) this.#kill(prng.pick(cluster.alive()))
        })
        return
      case "flap":
        for (let i = 0; i < 4; i++)
          cluster.simulator.after(i * 500, () => {
            if (this.#isOn) this.#cutFor(prng.between(100, 400), () => cluster.isolate(someone, manner))
          })
        return
    }
  }

  #kill(process: SimulatedProcess, what: "process" | "machine" = "process"): void {
    if (this.#mayDie(process)) this.#cluster.crash(process, what)
  }

  /** One after another, each as soon as there is a new one. */
  #killLeaders(count: number): void {
    if (!this.#isOn || count === 0) return
    const leader = this.#cluster.leader()
    this.#kill(leader)
    this.#cluster.simulator.after(700, () => this.#killLeaders(count - 1))
  }

  /** Others know for certain, so that of two nodes one may die. */
  #mayDieProved(process: SimulatedProcess): boolean {
    if (!process.isAlive || this.#cluster.alive().length < 2) return false
    if (!this.#cluster.keepsMajorityWithout(process) && !this.#cluster.keepsAllOtherVoters(process)) return false
    return this.#mayLoseData || this.#cluster.keepsDataWithout(process)
  }

  /** A process that asks to join and dies at once, again and again, at one address. */
  #joinAndDie(times: number, prng: Prng): void {
    const cluster = this.#cluster
    if (!this.#isOn || times === 0 || cluster.alive().length >= this.#mostProcesses) return
    const joiner = cluster.join([prng.pick(cluster.alive())])
    cluster.simulator.after(prng.between(5, 400), () => {
      if (!this.#isOn || !this.#mayDie(joiner)) return
      cluster.crash(joiner)
      this.#joinAndDie(times - 1, prng)
    })
  }

  /** Joins, leaves as soon as it is a member, and comes back as another process at the same address. */
  #comeAndGo(prng: Prng): void {
    const cluster = this.#cluster
    if (cluster.alive().length >= this.#mostProcesses) return
    const guest = cluster.join([prng.pick(cluster.alive())])
    const look = () => {
      if (!this.#isOn) return
      if (guest.isAlive) {
        if (guest.node.phase === "member" && cluster.alive().length > 2) cluster.leave(guest)
        return cluster.simulator.after(50, look)
      }
      if (cluster.alive().every(({ address }) => address !== guest.address)) cluster.restart(guest)
    }
    cluster.simulator.after(50, look)
  }

  #mayDie(process: SimulatedProcess): boolean {
    if (!process.isAlive || this.#cluster.alive().length < 2) return false
    if (!this.#cluster.keepsMajorityWithout(process)) return false
    return this.#mayLoseData || this.#cluster.keepsDataWithout(process)
  }

  #pause(process: SimulatedProcess, forMs: Millis): void {
    if (process.state === "running") this.#cluster.pauseFor(process, forMs)
  }

  #cutFor(lastingMs: Millis, make: () => ReturnType<SimulatedCluster["partition"]>): void {
    const cuts = make()
    this.#cluster.simulator.after(lastingMs, () => this.#cluster.heal(cuts))
  }

  #join(count: number, prng: Prng): void {
    const cluster = this.#cluster
    for (let i = 0; i < count; i++) {
      if (cluster.alive().length >= this.#mostProcesses) return
      // Some know only others that are themselves still joining.
      const known = prng.shuffled(cluster.alive()).slice(0, 1 + prng.below(3))
      cluster.simulator.after(prng.between(0, 100), () => {
        if (this.#isOn) cluster.join(known)
      })
    }
  }

  #leave(count: number, prng: Prng): void {
    const members = this.#cluster.alive().filter(process => process.node.phase === "member")
    // Somebody has to stay, and a cluster of two is no longer the one that this run is about.
    const leaving = prng.shuffled(members).slice(0, Math.max(0, Math.min(count, members.length - 3)))
    for (const process of leaving) this.#cluster.leave(process)
  }
}

/** In a run of so many, as many may come at once. */
const manyProcesses = 20

type Standing = SimulatedProcess | SimulatedClient
