/**
 * One fault from its instant to full repair: what is done to which node, how long the key ranges concerned went
 * unanswered, and when every node reported the expected members and all copies.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { unreachable } from "../../src/base/assert.ts"
import type { Prng } from "../../src/base/prng.ts"
import { burst, type FaultKind } from "./fault-plan.ts"
import type { Fleet, FleetNode } from "./fleet.ts"
import { type Ask, keyOfEachShard, keysLedBy, Prober } from "./prober.ts"
import { until } from "./until.ts"

export type FaultOptions = {
  readonly fleet: Fleet
  readonly prng: Prng
  readonly ask: Ask
  /** Nanoseconds since the start of the run. */
  readonly nowNs: () => number
  readonly signal: AbortSignal
  /** Told what is going on, in a few words. */
  readonly onStage: (stage: string) => void
}

export type FaultOutcome = {
  readonly kind: FaultKind
  readonly node: string
  readonly fromNs: number
  readonly toNs: number
  readonly failoverMs: number | null
  readonly completeMs: number | null
  /** What did not come about in the time allowed; undefined: all is well. */
  readonly problem: string | undefined
}

/** Well beyond detection and its adaptive limit, so that the paused node has been replaced when it goes on. */
export const pauseMs = 3_000
const freezeMs = 10_000
/** About the time after which a silent member is voted out. */
const flapMs = 500
const flaps = 3
const answerWithinMs = 30_000
const completeWithinMs = 60_000
const leaveWithinMs = 60_000
/** Ranges watched while nothing should stand still: enough to meet most moves, few enough to be no load of their own. */
const watchedRanges = 64

/** Rejects only when it is interrupted: what went wrong is part of the outcome. */
export async function makeFault(kind: FaultKind, options: FaultOptions): Promise<FaultOutcome> {
  const { fleet, nowNs, prng, signal, onStage } = options
  const victim = victimOf(kind, fleet, prng)
  const keys = rangesConcerned(kind, victim, options)
  let node = victim?.name ?? "a new node"
  onStage(`${kind} of ${node}`)
  const fromNs = nowNs()
  // Runs up to its first wait: when the first question is asked, the deed is done.
  const deed = carryOut(kind, victim, options)
  const prober = new Prober({ ask: options.ask, keys, mode: modeOf(kind), nowMs: () => nowNs() / 1e6, signal })
  let completeMs: number | null = null
  let problem: string | undefined
  try {
    node = (await deed).name
    if (modeOf(kind) === "once") await prober.answered(answerWithinMs)
    await fleet.complete(completeWithinMs, obstacle => onStage(`${kind} of ${node}: ${obstacle}`))
    completeMs = (nowNs() - fromNs) / 1e6
  } catch (error) {
    problem = `after the ${kind} of ${node}: ${error instanceof Error ? error.message : String(error)}`
  }
  const failoverMs = await prober.stop()
  signal.throwIfAborted()
  if (failoverMs === null) problem ??= `after the ${kind} of ${node} some keys were never answered`
  return { kind, node, fromNs, toNs: nowNs(), failoverMs, completeMs, problem }
}

/** Does it, and settles with the node that it happened to when nothing more is to be done but to wait for repair. */
async function carryOut(kind: FaultKind, victim: FleetNode | undefined, options: FaultOptions): Promise<FleetNode> {
  const { fleet, prng, signal } = options
  if (kind === "join" || kind === "join-burst" || !victim) {
    const count = kind === "join-burst" ? burst : 1
    await fleet.reservePorts(count)
    const seed = prng.pick(fleet.nodes)
    const joiners = Array.from({ length: count }, () => fleet.startNew([seed]))
    await Promise.all(joiners.map(joiner => fleet.joined(joiner)))
    return joiners[0] as FleetNode // there is at least one
  }
  fleet.disturbed(victim)
  switch (kind) {
    case "crash":
    case "leader-crash":
      fleet.forget(victim)
      victim.process.kill()
      await victim.process.ended
      return victim
    case "restart": {
      fleet.forget(victim)
      victim.process.kill()
      await victim.process.ended
      const successor = fleet.startAgain(victim, [prng.pick(fleet.nodes)])
      await fleet.joined(successor)
      return successor
    }
    case "pause":
    case "freeze":
      await stopped(victim, kind === "pause" ? pauseMs : freezeMs, signal)
      return victim
    case "flap":
      for (let i = 0; i < flaps; i++) {
        await stopped(victim, flapMs, signal)
        await sleep(flapMs, undefined, { signal })
      }
      return victim
    case "leave": {
      fleet.forget(victim)
      victim.process.terminate()
      const hasEnded = () => victim.process.end
      await until(hasEnded, {
        withinMs: leaveWithinMs,
        what: () => `${victim.name} to leave\n${victim.process.tail}`,
        signal,
      })
      return victim
    }
    default:
      return unreachable(kind)
  }
}

async function stopped({ process }: FleetNode, forMs: number, signal: AbortSignal): Promise<void> {
  process.pause()
  try {
    await sleep(forMs, undefined, { signal })
  } finally {
    process.resume()
  }
}

/** The oldest voter leads when a view is to be decided. */
function victimOf(kind: FaultKind, fleet: Fleet, prng: Prng): FleetNode | undefined {
  if (kind === "join" || kind === "join-burst") return undefined
  if (kind !== "leader-crash") return prng.pick(fleet.nodes)
  const members = fleet.nodes[0]?.observer.lastReport?.members ?? []
  const oldest = members.filter(({ voter }) => voter).toSorted((a, b) => a.since - b.since)[0]
  return fleet.nodes.find(({ observer }) => observer.lastReport?.id === oldest?.id) ?? prng.pick(fleet.nodes)
}

/** What stands still is asked until it answers; what should not stand still at all is watched until all is done. */
function modeOf(kind: FaultKind): "once" | "throughout" {
  return kind === "leave" || kind === "join" || kind === "join-burst" ? "throughout" : "once"
}

/** One key of each range that the victim leads; of a change that stops nothing, a sample of the ranges that may move. */
function rangesConcerned(kind: FaultKind, victim: FleetNode | undefined, { fleet, prng }: FaultOptions): string[] {
  const bystander = fleet.nodes.find(node => node !== victim && node.observer.routes)
  const routes = bystander?.observer.routes
  if (!routes) return []
  const keys = keyOfEachShard(routes)
  const id = victim?.observer.lastReport?.id
  const concerned = id === undefined ? keys : keysLedBy(routes, keys, id)
  return modeOf(kind) === "once" ? concerned : prng.shuffled(concerned).slice(0, watchedRanges)
}
