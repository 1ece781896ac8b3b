/** All that clients were told has an explanation, key by key: one order of their operations gives these answers. */
import { checkLinearizability } from "../../checker/linearizability.ts"
import type { MakeChecker } from "../checker.ts"

export const historyIsExplicable: MakeChecker = cluster => ({
  atEnd() {
    const { memory, recorder } = cluster
    // One history in 20,000 needed an eighth of it: dozens of increments of one key of which nobody knows the fate.
    const budget = { steps: 20_000_000, memory: 4_000_000 }
    const report = checkLinearizability(recorder.history(), { memory, budget })
    const promise = "what clients were told has an explanation"
    for (const { key, explanation, operations } of report.violations)
      cluster.violate(promise, `key ${key}: ${explanation}\n${operations.map(line => JSON.stringify(line)).join("\n")}`)
    for (const key of report.undecidedKeys) cluster.violate(promise, `key ${key} stayed undecided: look into it`)
  },
})
