/**
 * How fast the checker judges. Histories come from a register that is really atomic, so
 * every first verdict must be "consistent"; then each is told ten lies, which are not always found out: a read that
 * comes a little later may still be right.
 */
import { Prng } from "../../src/base/prng.ts"
import { checkLinearizability } from "../checker/linearizability.ts"
import type { Workload } from "../checker/random-history.ts"
import { rightHistory, spoiled } from "../checker/random-history.ts"

const everything = ["get", "get", "get", "set", "set", "add", "delete", "cas", "incr"] as const
const usual = { values: "unique", longestNs: 1_000_000, unknown: 0.01 } as const

const cases: readonly (Workload & { readonly name: string })[] = [
  { ...usual, name: "many keys", operations: 1_000_000, processes: 64, keys: 10_000, mix: everything },
  { ...usual, name: "hot key, get and set", operations: 50_000, processes: 30, keys: 1, mix: ["get", "set"] },
  {
    ...usual,
    name: "hot key, with deletes",
    operations: 50_000,
    processes: 30,
    keys: 1,
    mix: ["get", "set", "delete"],
  },
  { ...usual, name: "hot counter", operations: 50_000, processes: 30, keys: 1, mix: ["get", "incr"] },
  { ...usual, name: "hot key, everything", operations: 20_000, processes: 10, keys: 1, mix: everything },
]

for (const { name, ...workload } of cases) {
  const prng = new Prng(1)
  const history = rightHistory(prng, workload)
  let lying = history
  for (let lie = 0; lie < 10; lie++) lying = spoiled(prng, lying)
  for (const [kind, judged] of [
    ["right", history],
    ["lying", lying],
  ] as const) {
    // Processor time: a machine that is busy with other things judges no slower.
    const before = process.cpuUsage()
    const { verdict, steps } = checkLinearizability(judged)
    const { user, system } = process.cpuUsage(before)
    const tookMs = (user + system) / 1_000
    const rate = Math.round(history.length / tookMs)
    console.log(
      `${name.padEnd(24)}${kind.padEnd(9)}${verdict.padEnd(14)}${tookMs.toFixed(0).padStart(7)} ms${String(rate).padStart(7)} operations/ms${String(steps).padStart(10)} steps`,
    )
  }
}
