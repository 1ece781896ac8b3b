/** What was aimed at, against what was measured: each row a ratio within one run. Pure. */
import type { Mode } from "../throughput/measure.ts"
import type { Name } from "./targets.ts"

export type Figures = {
  /** Medians, by target, mode and share of reads. Undefined: it was left out, or the peer refuses that. */
  ops(name: Name, mode: Mode, reads: number): number | undefined
  /** Client and servers together. */
  cpuMicros(name: Name, mode: Mode, reads: number): number | undefined
  lone(name: Name): { readonly p50Us: number; readonly p99Us: number } | undefined
  bytesPerEntry(name: Name): number | undefined
}

export type Ratio = {
  readonly against: string
  readonly figure: string
  readonly reached: number | undefined
  readonly must: number
  readonly aim: number
  /** Whether more is better, or less. */
  readonly better: "more" | "less"
}

const one: Name = "dcache, 1 node"
const three: Name = "dcache, 3 nodes, 2 copies"
const peers: readonly Name[] = ["ioredis, auto-pipelining", "node-redis", "valkey-glide", "memcache-client"]

export function ratios(figures: Figures): Ratio[] {
  const { ops, cpuMicros, lone, bytesPerEntry } = figures
  const more = (
    against: string,
    figure: string,
    [must, aim]: readonly [number, number],
    a?: number,
    b?: number,
  ): Ratio => ({
    ...{ against, figure, must, aim, better: "more" },
    reached: a === undefined || b === undefined ? undefined : a / b,
  })
  const less = (against: string, figure: string, goal: readonly [number, number], a?: number, b?: number): Ratio => ({
    ...more(against, figure, goal, a, b),
    better: "less",
  })
  const single = (name: Name, mode: Mode, goal: readonly [number, number]) =>
    more(name, `operations a second, ${mode}`, goal, ops(one, mode, 0.9), ops(name, mode, 0.9))
  const io: Name = "ioredis, auto-pipelining"
  const cluster: Name = "ioredis, cluster of 3 + 3"
  const best = peers.map(name => ops(name, "many of 100", 0.9) ?? 0)
  const cost = (mode: Mode) =>
    less(io, `CPU an operation, ${mode}`, [0.75, 0.5], cpuMicros(one, mode, 0.9), cpuMicros(io, mode, 0.9))
  const [mine, theirs] = [lone(one), lone(io)]
  return [
    single(io, "64 callers", [1.6, 2]),
    single(io, "Promise.all of 100", [2, 2.5]),
    cost("64 callers"),
    cost("Promise.all of 100"),
    single("node-redis", "64 callers", [3, 4]),
    single("valkey-glide", "64 callers", [2.3, 3]),
    single("memcache-client", "64 callers", [2.8, 4]),
    more(
      cluster,
      "operations a second, 64 callers, 90 % reads",
      [2, 3],
      ops(three, "64 callers", 0.9),
      ops(cluster, "64 callers", 0.9),
    ),
    more(
      cluster,
      "operations a second, 64 callers, 50 % reads",
      [1.2, 2],
      ops(three, "64 callers", 0.5),
      ops(cluster, "64 callers", 0.5),
    ),
    more(
      "the best of all",
      "operations a second, many of 100",
      [0.9, 1.3],
      ops(one, "many of 100", 0.9),
      Math.max(...best) || undefined,
    ),
    less(io, "one at a time, p50", [1.3, 1], mine?.p50Us, theirs?.p50Us),
    less(io, "one at a time, p99", [1.3, 1], mine?.p99Us, theirs?.p99Us),
    ...([io, "memcache-client"] as const).map(name =>
      less(name, "the server's memory an entry", [0.9, 0.8], bytesPerEntry(one), bytesPerEntry(name)),
    ),
  ]
}

export function verdictOf({ reached, must, aim, better }: Ratio): "aim" | "must" | "missed" | "-" {
  if (reached === undefined) return "-"
  const meets = (goal: number) => (better === "more" ? reached >= goal : reached <= goal)
  return meets(aim) ? "aim" : meets(must) ? "must" : "missed"
}
