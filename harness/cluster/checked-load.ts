/** A load on real nodes whose history is kept and judged: for tests that do something to the nodes meanwhile. */
import type { Prng } from "../../src/base/prng.ts"
import type { Address } from "../../src/protocol/message.ts"
import { openWay } from "./access.ts"
import { judge } from "./judge.ts"
import { OperationChooser } from "./operations.ts"
import { readBack } from "./read-back.ts"
import { type OperationFigures, Recorder } from "./recorder.ts"
import type { StressReport } from "./report.ts"
import { Workload } from "./workload.ts"

export type CheckedLoadOptions = {
  /** Some of the nodes; the clients learn of the others. */
  readonly nodes: readonly Address[]
  readonly prng: Prng
  readonly keyCount: number
  readonly processCount: number
  /** Operations a second. */
  readonly rate: number
  readonly deadlineMs: number
}

export type LoadVerdict = Pick<StressReport, "verdict" | "violations" | "lostWrites" | "problems"> & {
  readonly figures: OperationFigures
  readonly errorCodes: Readonly<Record<string, number>>
}

const clientCount = 3

/** It begins at once. `stop` ends it, reads every key back and judges. */
export async function startCheckedLoad(options: CheckedLoadOptions): Promise<{
  /** Operations answered so far. */
  count(): number
  stop(nodes: readonly Address[]): Promise<LoadVerdict>
  /** Ends it without a verdict, if it goes on: a test that has failed must not leave it. */
  end(): Promise<void>
}> {
  const { nodes, prng, keyCount, processCount, rate, deadlineMs } = options
  const nowNs = () => Number(process.hrtime.bigint())
  const accesses = await Promise.all(
    Array.from({ length: clientCount }, () => openWay({ nodes, routing: "to-primary", deadlineMs })),
  )
  const recorder = new Recorder()
  const chooser = new OperationChooser({ prng: prng.fork(), keyCount })
  const load = new Workload({ chooser, recorder, accesses, processCount, rate, nowNs })
  let ended: Promise<unknown> | undefined
  const end = async () => {
    ended ??= load.stop().then(() => Promise.all(accesses.map(access => access.close())))
    await ended
  }
  return {
    count: () => recorder.count,
    end,
    async stop(through) {
      await end()
      const figures = recorder.figures("all")
      const errorCodes = recorder.errorCodes()
      const readBackFromNs = nowNs()
      const ways = await Promise.all(
        through.map(node => openWay({ nodes: [node], routing: "through-dialed", deadlineMs })),
      )
      const { keys } = chooser
      const read = await readBack({ keys, ways, prng: prng.fork(), recorder, firstProcess: processCount, nowNs })
      await Promise.all(ways.map(way => way.close()))
      const history = recorder.history()
      const readBackOf = { keys: keys.length, ...read }
      const judgement = judge(history, { readBackFromNs, readBack: readBackOf, problems: [], memory: "strict" })
      return { ...judgement, figures, errorCodes }
    },
  }
}
