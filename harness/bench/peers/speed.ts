/** How fast each cache answers: rounds are interleaved, so that what else the machine does meets all alike; told are medians. */
import { Prng } from "../../../src/base/prng.ts"
import { median } from "../../cluster/cpu.ts"
import { reasonOf, within } from "../patience.ts"
import { type Cell, fill, middle, type Mode, measure, modes } from "../throughput/measure.ts"
import { type Lone, lone } from "./lone.ts"
import type { Peer } from "./targets.ts"

/** Shares of reads. */
export const readShares = [0.9, 0.5] as const

/** Of one target: a cell for each mode and share of reads; undefined: the peer refuses that. */
export type Speed = {
  readonly name: Peer["name"]
  cell(mode: Mode, reads: number): Cell | undefined
  readonly lone: Lone | undefined
}

/** Beyond its time, a round that is not over by then never is. */
const patienceMs = 15_000
const fillWithinMs = 30_000

/** Targets that fail are left out from then on, and said. */
export async function speeds(
  targets: readonly Peer[],
  options: {
    readonly rounds: number
    readonly ms: number
    readonly progress: (text: string) => void
    readonly leftOut: (reason: string) => void
  },
): Promise<Speed[]> {
  const { rounds, ms, progress, leftOut } = options
  const prng = new Prng(1)
  const cells = new Map<string, Cell[]>()
  const lones = new Map<string, Lone[]>()
  const refused = new Set<string>()
  const failed = new Set<string>()
  const bounded = async <T>(target: Peer, what: string, withinMs: number, work: () => Promise<T>): Promise<void> => {
    if (failed.has(target.name)) return
    progress(`${what}, ${target.name}`)
    try {
      await within(withinMs, what, work())
    } catch (error) {
      failed.add(target.name)
      leftOut(`${target.name}, speed: ${reasonOf(error)}`)
    }
  }
  const roundWithinMs = ms + patienceMs

  for (const target of targets)
    await bounded(target, "warming up", fillWithinMs + modes.length * roundWithinMs, async () => {
      await fillAny(target)
      // Compilers have done their work before anything counts.
      for (const mode of modes)
        await measure(target, mode, { ms, readShare: 0.9, prng }).catch(error => {
          // Many keys at once are what some refuse; whoever refuses single ones is of no use.
          if (mode !== "many of 100") throw error
          refused.add(`${target.name} ${mode}`)
        })
    })
  for (let round = 0; round < rounds; round++)
    for (const readShare of readShares)
      for (const mode of modes)
        for (const target of targets) {
          if (refused.has(`${target.name} ${mode}`)) continue
          const what = `round ${round + 1} of ${rounds}: ${mode}, ${readShare * 100} % reads`
          await bounded(target, what, roundWithinMs, async () =>
            add(cells, `${target.name} ${mode} ${readShare}`, await measure(target, mode, { ms, readShare, prng })),
          )
        }
  for (let round = 0; round < rounds; round++)
    for (const target of targets)
      await bounded(target, `round ${round + 1} of ${rounds}: one at a time`, roundWithinMs, async () =>
        add(lones, target.name, await lone(target, { ms, readShare: 0.9, prng })),
      )
  return targets
    .filter(({ name }) => !failed.has(name))
    .map(({ name }) => ({
      name,
      cell: (mode, reads) => {
        const seen = cells.get(`${name} ${mode} ${reads}`)
        return seen && middle(seen)
      },
      lone: middleLone(lones.get(name)),
    }))
}

/** Where many keys are refused together, one by one. */
async function fillAny(target: Peer): Promise<void> {
  try {
    await fill(target)
  } catch {
    const setMany = (entries: readonly (readonly [string, Uint8Array])[]) =>
      Promise.all(entries.map(([key, value]) => target.set(key, value)))
    await fill({ ...target, setMany })
  }
}

function middleLone(seen: readonly Lone[] | undefined): Lone | undefined {
  if (seen === undefined) return undefined
  return { p50Us: median(seen.map(({ p50Us }) => p50Us)), p99Us: median(seen.map(({ p99Us }) => p99Us)) }
}

function add<T>(map: Map<string, T[]>, key: string, value: T): void {
  map.set(key, [...(map.get(key) ?? []), value])
}
